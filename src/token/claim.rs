//! What a token that has been checked says.

use crate::id::{SessionId, TokenId, UserId};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Opens protected routes.
    Access,
    /// Buys further tokens, and opens nothing.
    Refresh,
}

/// What a token says, once signature, type, issuer, audience and times have been checked.
///
/// Revocation has not: that is `auth`'s to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Access or refresh.
    pub kind: TokenKind,
    /// Whose it is.
    pub user: UserId,
    /// Its `jti`, or the hash of its signing input where it has none.
    pub token: TokenId,
    /// Its session, where it names one of ours.
    pub session: Option<SessionId>,
    /// `iat` in seconds since the epoch, where it has one.
    pub issued_at: Option<u64>,
    /// `exp` in seconds since the epoch.
    pub expires_at: u64,
    /// The profile's `extra_claims`, index for index; `None` where the token lacks one.
    pub extra_claims: Vec<Option<ClaimValue>>,
}

/// The value of a claim that headers and rules may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Several texts.
    List(Vec<String>),
    /// A text.
    Text(String),
}
