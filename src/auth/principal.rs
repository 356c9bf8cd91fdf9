//! The proof that somebody's token has passed every check: a value that only this room can make.

use super::Place;
use crate::{
    id::{TokenId, UserId},
    token::Verified,
};

/// A user whose token has passed every check: signature, type, expiry, revocation.
///
/// Only this room can make one, and `proxy` forwards as a user only with one.
#[derive(Debug)]
pub struct Principal {
    verified: Verified,
    place: Place,
}

impl Principal {
    pub(super) const fn new(verified: Verified, place: Place) -> Self {
        Self { verified, place }
    }

    /// Whom the request is forwarded as.
    pub const fn user(&self) -> &UserId {
        &self.verified.user
    }

    /// The token that opened the door: what a log line may say of it.
    pub const fn token(&self) -> TokenId {
        self.verified.token
    }

    /// Where the token was that passed: no other part of the request may be taken for it.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// All that was verified.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whom the request was forwarded as, for whoever tells of it afterwards.
    pub fn into_user(self) -> UserId {
        self.verified.user
    }
}
