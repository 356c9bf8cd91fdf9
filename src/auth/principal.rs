use crate::{
    id::{SessionId, TokenId, UserId},
    token::{ClaimValue, Verified},
};

/// A user whose token has passed every check: signature, type, expiry, revocation.
///
/// Only this room can make one, and `proxy` forwards as a user only with one.
#[derive(Debug)]
pub struct Principal {
    verified: Verified,
}

impl Principal {
    pub(super) const fn new(verified: Verified) -> Self {
        Self { verified }
    }

    /// Whom the request is forwarded as.
    pub const fn user(&self) -> &UserId {
        &self.verified.user
    }

    /// The token that opened the door: what a log line may say of it.
    pub const fn token(&self) -> TokenId {
        self.verified.token
    }

    /// The session that the token descends from, where it names one.
    pub const fn session(&self) -> Option<SessionId> {
        self.verified.session
    }

    /// The value of the `index`-th of the profile's `extra_claims`, where the token carries it.
    pub fn extra_claim(&self, index: usize) -> Option<&ClaimValue> {
        self.verified.extra_claims.get(index)?.as_ref()
    }

    /// All that was verified.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }
}
