//! A dialect's tokens as data, so that whoever mints and verifies knows none of them.

use std::time::Duration;

/// How one dialect writes its tokens and presents them: data, so that this room serves any dialect.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The authentication scheme (RFC 9110, section 11.1), compared without case.
    pub scheme: &'static str,
    /// The claim that tells access from refresh.
    pub kind_claim: &'static str,
    /// Its value in an access token.
    pub access_kind: &'static str,
    /// Its value in a refresh token.
    pub refresh_kind: &'static str,
    /// The claim that names the user.
    pub user_claim: String,
    /// Further claims: written from the user's record, read for headers and rules.
    pub extra_claims: Vec<String>,
    /// `iss`: written and required.
    pub issuer: Option<String>,
    /// `aud`: written, and one of them required. Where it is empty, a token that carries `aud` is refused.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// How long an access token lives; none that expires later is taken.
    pub access_lifetime: Duration,
    /// How long a refresh token lives; none that expires later is taken.
    pub refresh_lifetime: Duration,
}
