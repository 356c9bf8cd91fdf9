//! Tokens made: claims in the words of a profile, signed.
//!
//! Never here: which claims, for whom, how long (`auth`, `store`).

use serde_json::{Map, Value, json};

use super::{
    claim::{ClaimValue, TokenKind},
    key::KeyRing,
    profile::Profile,
};
use crate::id::{SessionId, TokenId, UserId};

/// What a token that we make says.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// Access or refresh.
    pub kind: TokenKind,
    /// Whose it is.
    pub user: &'a UserId,
    /// Its `jti`.
    pub token: TokenId,
    /// Its `sid`.
    pub session: SessionId,
    /// `iat`, in seconds since the epoch.
    pub issued_at: u64,
    /// `exp`, in seconds since the epoch.
    pub expires_at: u64,
    /// Values of the profile's `extra_claims`, index for index.
    pub extra_claims: &'a [Option<ClaimValue>],
}

impl KeyRing {
    /// Writes and signs a token with the first key.
    ///
    /// # Errors
    /// Only where the ring is empty or the library cannot sign: never for what the token says.
    pub fn mint(&self, profile: &Profile, token: &NewToken<'_>) -> Result<String, MintError> {
        let key = self.signer().ok_or(MintError)?;
        jsonwebtoken::encode(&key.header, &claims(profile, token), &key.encoding).map_err(|_| MintError)
    }
}

/// A token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key can sign")]
pub struct MintError;

fn claims(profile: &Profile, token: &NewToken<'_>) -> Map<String, Value> {
    let kind = match token.kind {
        TokenKind::Access => profile.access_kind,
        TokenKind::Refresh => profile.refresh_kind,
    };
    let mut claims = Map::new();
    // First, so that no configured name can take the place of a claim that a check relies on.
    for (name, value) in profile.extra_claims.iter().zip(token.extra_claims) {
        if let Some(value) = value {
            claims.insert(name.clone(), json_of(value));
        }
    }
    claims.insert(profile.kind_claim.to_owned(), json!(kind));
    claims.insert(profile.user_claim.clone(), json!(token.user.as_str()));
    claims.insert("jti".to_owned(), json!(token.token.to_string()));
    claims.insert("sid".to_owned(), json!(token.session.to_string()));
    claims.insert("iat".to_owned(), json!(token.issued_at));
    claims.insert("exp".to_owned(), json!(token.expires_at));
    if let Some(issuer) = &profile.issuer {
        claims.insert("iss".to_owned(), json!(issuer));
    }
    match profile.audience.as_slice() {
        [] => {}
        [one] => drop(claims.insert("aud".to_owned(), json!(one))),
        several => drop(claims.insert("aud".to_owned(), json!(several))),
    }
    claims
}

fn json_of(value: &ClaimValue) -> Value {
    match value {
        ClaimValue::Bool(value) => json!(value),
        ClaimValue::Integer(value) => json!(value),
        ClaimValue::List(values) => json!(values),
        ClaimValue::Text(value) => json!(value),
    }
}
