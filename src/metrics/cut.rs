//! Answers cut, by cause.

use super::Counter;

/// Why an answer was cut before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its token expired.
    Expired,
    /// Its token was revoked, or its user blocked.
    Revoked,
    /// Its token may have been revoked, and nobody here would know: the store could not be read for too long.
    Stale,
}

impl Cut {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Expired, Self::Revoked, Self::Stale];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Stale => "stale",
        }
    }
}

/// A counter for each cause.
#[derive(Debug, Default)]
pub struct ByCut {
    expired: Counter,
    revoked: Counter,
    stale: Counter,
}

impl ByCut {
    /// That of one cause.
    pub const fn of(&self, cut: Cut) -> &Counter {
        match cut {
            Cut::Expired => &self.expired,
            Cut::Revoked => &self.revoked,
            Cut::Stale => &self.stale,
        }
    }
}
