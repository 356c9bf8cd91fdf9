//! What an operator decides about tokens.

use std::time::Duration;

use crate::secret::Secret;

/// How tokens are made and what is asked of them (`[tokens]`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// `iss`: put into tokens and required.
    pub issuer: Option<String>,
    /// `aud`: put into tokens, and one of them required.
    pub audience: Vec<String>,
    /// How long an access token lives.
    pub access_lifetime: Duration,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// The absolute end of a session, from its opening.
    pub session_lifetime: Duration,
    /// How long a refresh that is repeated gets the same answer.
    pub refresh_grace: Duration,
    /// How far clocks may differ when `exp`, `nbf` and `iat` are read; at most a minute.
    pub leeway: Duration,
    /// The claim that names the user.
    pub user_claim: String,
    /// Further claims, in the order in which identity headers refer to them.
    pub claims: Vec<ClaimSettings>,
    /// The first signs, all verify. Never empty.
    pub keys: Vec<KeySettings>,
}

/// A further claim and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSettings {
    /// The claim's name in the token.
    pub claim: String,
    /// The field of the user's record: `username`, `email`, `roles` or an attribute's name.
    pub field: String,
}

/// A signing key (`[[tokens.key]]`); HS256 for now.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// `kid` (RFC 7515, section 4.1.4).
    pub id: String,
    /// The shared secret.
    pub secret: Secret,
}
