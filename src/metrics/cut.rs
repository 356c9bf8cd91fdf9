//! Answers cut, by cause.

use super::Counter;

/// Why an answer was cut before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its token expired.
    Expired,
    /// Its token was revoked, or its user blocked.
    Revoked,
}

impl Cut {
    /// Every cause.
    pub const ALL: [Self; 2] = [Self::Expired, Self::Revoked];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A counter for each cause.
#[derive(Debug, Default)]
pub struct ByCut {
    expired: Counter,
    revoked: Counter,
}

impl ByCut {
    /// That of one cause.
    pub const fn of(&self, cut: Cut) -> &Counter {
        match cut {
            Cut::Expired => &self.expired,
            Cut::Revoked => &self.revoked,
        }
    }
}
