//! Throttled attempts, by limit.

use super::Counter;

/// The limits of `[auth.throttle]`, and one that stands firm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Failed passwords for one account.
    Account,
    /// Failed passwords from one address.
    Address,
    /// Registrations from one address.
    Registrations,
    /// Good logins of one account.
    Sessions,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 4] = [Self::Account, Self::Address, Self::Registrations, Self::Sessions];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Registrations => "registrations",
            Self::Sessions => "sessions",
        }
    }
}

/// A count for each limit.
#[derive(Debug, Default)]
pub struct ByLimit {
    account: Counter,
    address: Counter,
    registrations: Counter,
    sessions: Counter,
}

impl ByLimit {
    /// That of one limit.
    pub const fn of(&self, limit: Limit) -> &Counter {
        match limit {
            Limit::Account => &self.account,
            Limit::Address => &self.address,
            Limit::Registrations => &self.registrations,
            Limit::Sessions => &self.sessions,
        }
    }

    /// That of all limits together.
    pub fn value(&self) -> u64 {
        Limit::ALL.into_iter().map(|limit| self.of(limit).value()).sum()
    }
}
