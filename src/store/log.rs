//! The revocation log: its entries, and how to see that there are more.
//!
//! Never here: memory of it (`revocation`).

use std::time::Duration;

use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// An entry of the revocation log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the log. Numbers only grow; those of swept entries are not used again.
    ///
    /// The number is the store's time in milliseconds since the Unix epoch, and one more than the last number where the
    /// clock is behind that: a hybrid logical clock. Sessions bear the log's last number, and so an entry made after the
    /// store was restored from a backup stands above every session that the backup knows nothing of.
    pub sequence: u64,
    /// What is refused from now on.
    pub what: Revoked,
    /// How long it must be remembered: the latest expiry that a concerned token can have, and [`Self::SLACK`].
    pub until: Timestamp,
}

/// An entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The entry.
    pub revocation: Revocation,
    /// How long ago it was appended, both instants by the store's clock; `None` where nobody wrote that down.
    pub age: Option<Duration>,
}

/// Entries of the log, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// By which way they were read: [`Marker::way`].
    pub way: u64,
    /// The entries.
    pub entries: Vec<Logged>,
}

/// What tells whether the log is to be read again: compared with the one before, and of no other meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Another whenever the way to the log was opened anew: what is at its end may be another server by now, or what a
    /// backup held.
    pub way: u64,
    /// Another whenever an entry was appended, by this process or not.
    pub change: u64,
}

impl Revocation {
    /// How long after its expiry a token may still be taken: under the largest leeway, by a clock that is behind
    /// the one of whoever sweeps.
    pub const SLACK: Duration = Duration::from_secs(70);
}

/// What a revocation refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Every token of one session.
    Session(SessionId),
    /// One token.
    Token(TokenId),
    /// Every token of the user, whoever minted it and whenever, until [`Self::UserUnblocked`].
    UserBlocked(UserId),
    /// Every token of the user that was issued before the instant.
    UserInstant {
        /// Whose tokens.
        user: UserId,
        /// The instant, for tokens that no session orders.
        at: Timestamp,
    },
    /// Takes [`Self::UserBlocked`] back.
    UserUnblocked(UserId),
}

impl Revoked {
    /// How far the clocks of those who issue tokens may differ: a token without session counts as older than an
    /// instant when its `iat` is at most so much later.
    pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

    /// The instant before which nothing was issued: an entry with it ends sessions, which its number orders, and no
    /// token without session.
    pub(super) const SESSIONS_ALONE: Timestamp = Timestamp::from_millis(0);

    /// Whether both concern the same tokens, be it until other instants.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::UserInstant { user, .. }, Self::UserInstant { user: another, .. }) => user == another,
            _ => self == other,
        }
    }

    /// Whether a token without session counts as issued before `instant`. Without `iat` it is older than any.
    pub fn older_than(issued_at: Option<u64>, instant: Timestamp) -> bool {
        instant != Self::SESSIONS_ALONE
            && issued_at
                .is_none_or(|seconds| Timestamp::from_seconds(seconds) <= instant.plus(Self::CLOCK_TOLERANCE))
    }
}

/// As SQL: the highest number that a clock gives an entry, so that one that is centuries ahead for a moment does not use
/// them up ([`SessionId::sequence`] ends at 2^42). The year 2096.
macro_rules! latest_number {
    () => {
        "4000000000000"
    };
}
pub(super) use latest_number;

/// What an entry revokes, as both stores number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Token = 1,
    Session = 2,
    UserInstant = 3,
    UserBlocked = 4,
    UserUnblocked = 5,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Token, Self::Session, Self::UserInstant, Self::UserBlocked, Self::UserUnblocked];

    pub(super) const fn of(what: &Revoked) -> Self {
        match what {
            Revoked::Session(_) => Self::Session,
            Revoked::Token(_) => Self::Token,
            Revoked::UserBlocked(_) => Self::UserBlocked,
            Revoked::UserInstant { .. } => Self::UserInstant,
            Revoked::UserUnblocked(_) => Self::UserUnblocked,
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }
}
