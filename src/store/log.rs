use std::time::Duration;

use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// An entry of the revocation log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place in the log. Numbers only grow; those of swept entries are not used again.
    pub sequence: u64,
    /// What is refused from now on.
    pub what: Revoked,
    /// How long it must be remembered: the latest expiry that a concerned token can have, and [`Self::SLACK`].
    pub until: Timestamp,
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

    /// Whether a token without session counts as issued before `instant`. Without `iat` it is older than any.
    pub fn older_than(issued_at: Option<u64>, instant: Timestamp) -> bool {
        issued_at
            .is_none_or(|seconds| Timestamp::from_seconds(seconds) <= instant.plus(Self::CLOCK_TOLERANCE))
    }
}
