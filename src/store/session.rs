//! Sessions, as they are opened, listed and refreshed.
//!
//! Never here: tokens' bytes; of a token the store knows an id and two instants.

use std::{net::IpAddr, time::Duration};

use super::{Revocation, User};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// A session to be opened, and the first pair of tokens that goes with it.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The first refresh token: the session's base.
    pub refresh: TokenId,
    /// When it expires.
    pub refresh_expires_at: Timestamp,
    /// When the access token beside it expires.
    pub access_expires_at: Timestamp,
    /// The absolute end, however often the session is refreshed.
    pub ends_at: Timestamp,
    /// Where the login came from.
    pub address: Option<IpAddr>,
    /// What the client calls itself; cut to 256 bytes.
    pub agent: String,
    /// How many sessions the user may have, this one counted; the least recently refreshed go. At least one.
    pub per_user: u32,
}

/// A session just opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its name: `sid`.
    pub session: SessionId,
    /// What to apply to memory: sessions that had to go.
    pub revoked: Vec<Revocation>,
}

/// A refresh token from elsewhere, signed with our secret but without `sid`, that asks for a session.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// Whose token it is.
    pub user: UserId,
    /// Its `iat`, where it has one.
    pub issued_at: Option<Timestamp>,
    /// When its login was, as far as can be told, and no later: the session counts as opened then.
    pub login_at: Timestamp,
    /// The session to be opened; its base is the token itself.
    pub session: NewSession,
}

/// A session as its user and operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name: `sid`.
    pub id: SessionId,
    /// When it was opened; where it was adopted, when the login was elsewhere.
    pub opened_at: Timestamp,
    /// When tokens were last made for it.
    pub refreshed_at: Timestamp,
    /// Its absolute end.
    pub ends_at: Timestamp,
    /// Where the login came from.
    pub address: Option<IpAddr>,
    /// What the client called itself.
    pub agent: String,
}

/// A refresh token presented. Its signature, expiry and revocation are the caller's to check.
#[derive(Clone, Debug)]
pub struct RefreshRequest {
    /// The session that the token names.
    pub session: SessionId,
    /// The user that the token names.
    pub user: UserId,
    /// The token.
    pub presented: TokenId,
    /// How long the new access token lives.
    pub access_lifetime: Duration,
    /// How long the successor lives.
    pub refresh_lifetime: Duration,
    /// How long a repetition gets the same answer.
    pub grace: Duration,
}

/// What a refresh has bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// Whose session it is.
    pub user: User,
    /// The session.
    pub session: SessionId,
    /// The successor of the presented token.
    pub refresh: IssuedToken,
    /// The access token that goes with it.
    pub access: IssuedToken,
    /// Whether a rotating client has left a successor unused.
    pub event: Option<Replaced>,
    /// What to apply to memory.
    pub revoked: Vec<Revocation>,
}

/// A token that may be minted: these three decide its bytes, beside the user and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// `jti`.
    pub id: TokenId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// A successor that was handed out, never used and then replaced, in a session that had used one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The refresh token that was replaced.
    pub refresh: TokenId,
    /// The access token that went with it, now revoked.
    pub access: TokenId,
}

/// What is kept of a client's name for itself: the longest beginning that fits, whole characters only.
pub(super) fn cut_agent(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(MAX_AGENT)).unwrap_or_default()
}

/// The longest name of a client that is kept, in bytes.
const MAX_AGENT: usize = 256;
