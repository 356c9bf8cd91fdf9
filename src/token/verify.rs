//! Everything that can be known of a token from the token itself.
//!
//! Never here: revocation, sessions, the wall clock.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    claim::{TokenKind, Verified},
    fault::TokenFault,
    key::{Key, KeyRing},
    profile::Profile,
    read::{self, RawClaims, UserClaim},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// Why a token is not what it should be. What it says is known to be ours only in [`TokenError::Expired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Authentic, but past its `exp`.
    #[error("the token is expired")]
    Expired,
    /// Malformed, signed by nobody we trust, of no kind we know, or meant for others.
    #[error("the token is invalid")]
    Invalid,
}

impl From<TokenFault> for TokenError {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Expired => Self::Expired,
            TokenFault::Algorithm
            | TokenFault::Audience
            | TokenFault::Claims
            | TokenFault::Extension
            | TokenFault::Form
            | TokenFault::Header
            | TokenFault::Issuer
            | TokenFault::Kind
            | TokenFault::Lifetime
            | TokenFault::NoExpiry
            | TokenFault::NotYet
            | TokenFault::Session
            | TokenFault::Signature
            | TokenFault::User => Self::Invalid,
        }
    }
}

/// Checks all of a token that can be known from the token itself: form, signature, kind, issuer, audience,
/// user and times. Revocation is asked elsewhere.
///
/// The algorithm is the key's, never the token's (RFC 8725, section 3.1).
///
/// # Errors
/// [`TokenError`]; a wrong JSON type is a refusal, never "absent".
pub fn verify(
    token: &str,
    keys: &KeyRing,
    profile: &Profile,
    now: Timestamp,
) -> Result<Verified, TokenError> {
    examine(token, keys, profile, now).map_err(TokenError::from)
}

/// As [`verify`], for an operator who wants to know what is wrong.
///
/// # Errors
/// The first fault, in the order of [`super::TokenStep`].
pub fn examine(
    token: &str,
    keys: &KeyRing,
    profile: &Profile,
    now: Timestamp,
) -> Result<Verified, TokenFault> {
    if token.len() > MAX_LEN {
        return Err(TokenFault::Form);
    }
    let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenFault::Form)?;
    let (header, payload) = signing_input.split_once('.').ok_or(TokenFault::Form)?;
    check_signature(header, signing_input, signature, keys)?;

    // Most payloads fit the stack; a longer one is rare enough to allocate.
    let mut on_stack = [0; 1024];
    let on_heap;
    let json = if payload.len() <= on_stack.len() {
        let len = URL_SAFE_NO_PAD.decode_slice(payload, &mut on_stack).map_err(|_| TokenFault::Claims)?;
        on_stack.get(..len).unwrap_or_default()
    } else {
        on_heap = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenFault::Claims)?;
        &on_heap
    };
    let claims = read::claims(json, profile).map_err(|_| TokenFault::Claims)?;
    check_claims(claims, signing_input, profile, now)
}

/// The instant from which a token with that `exp` opens nothing, as far as clocks may differ.
pub fn end(expires_at: u64, profile: &Profile) -> Timestamp {
    Timestamp::from_seconds(expires_at).plus(profile.leeway)
}

/// A token beyond this is not parsed; ours have some hundred bytes.
const MAX_LEN: usize = 8 * 1024;

/// How far ahead the clock of a backend that shares our secret may be. Whoever revokes all that was issued until now
/// reckons with twice as much ([`crate::store::Revoked::CLOCK_TOLERANCE`]): their clock may be as far behind this one.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// `{"alg":"HS256","typ":"JWT"}`
const PLAIN_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// The length of an HMAC-SHA256 in base64url without padding.
const SIGNATURE_LEN: usize = 43;

fn check_signature(
    header: &str,
    signing_input: &str,
    signature: &str,
    keys: &KeyRing,
) -> Result<(), TokenFault> {
    if signature.len() != SIGNATURE_LEN {
        return Err(TokenFault::Signature);
    }
    let mut bytes = [0; 32];
    // The engine refuses padding and stray bits, so that one signature has one spelling.
    match URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes) {
        Ok(32) => {}
        _ => return Err(TokenFault::Signature),
    }
    let signed = |key: &Key| key.signed(signing_input.as_bytes(), &bytes);

    if let Some(key) = keys.by_header(header) {
        return signed(key).then_some(()).ok_or(TokenFault::Signature);
    }
    // What PyJWT and SimpleJWT write: spares the tokens of a backend that shares our secret the reading of JSON.
    if header == PLAIN_HEADER {
        return keys.iter().any(signed).then_some(()).ok_or(TokenFault::Signature);
    }
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenFault::Header)?;
    let header = read::header(&json).map_err(|_| TokenFault::Header)?;
    if header.has_extensions {
        return Err(TokenFault::Extension);
    }
    if header.alg.as_deref() != Some(Key::ALGORITHM) {
        return Err(TokenFault::Algorithm);
    }
    let known = match header.kid.as_deref().and_then(|id| keys.by_id(id)) {
        Some(key) => signed(key),
        // A backend that shares our secret names no key of ours.
        None => keys.iter().any(signed),
    };
    known.then_some(()).ok_or(TokenFault::Signature)
}

fn check_claims(
    claims: RawClaims<'_>,
    signing_input: &str,
    profile: &Profile,
    now: Timestamp,
) -> Result<Verified, TokenFault> {
    let kind = match claims.kind.as_deref() {
        Some(kind) if kind == profile.access_kind => TokenKind::Access,
        Some(kind) if kind == profile.refresh_kind => TokenKind::Refresh,
        _ => return Err(TokenFault::Kind),
    };
    let user: UserId = match &claims.user {
        Some(UserClaim::Text(text)) => text.parse().map_err(|_| TokenFault::User)?,
        Some(UserClaim::Number(number)) => number.to_string().parse().map_err(|_| TokenFault::User)?,
        None => return Err(TokenFault::User),
    };
    if claims.iss.as_deref() != profile.issuer.as_deref() && profile.issuer.is_some() {
        return Err(TokenFault::Issuer);
    }
    let meant_for_us = match &claims.aud {
        Some(audience) => audience.0.iter().any(|one| profile.audience.iter().any(|ours| ours == one)),
        None => profile.audience.is_empty(),
    };
    if !meant_for_us {
        return Err(TokenFault::Audience);
    }
    let session = match claims.sid.as_deref() {
        Some(sid) => Some(SessionId::from_claim(sid).ok_or(TokenFault::Session)?),
        None => None,
    };
    // A backend with our secret may have sessions of its own.
    let of_our_session = session.is_some_and(|session| session.sequence().is_some());

    let leeway = profile.leeway;
    let expires_at = claims.exp.ok_or(TokenFault::NoExpiry)?.0;
    if claims.nbf.is_some_and(|date| Timestamp::from_seconds(date.0) > now.plus(leeway)) {
        return Err(TokenFault::NotYet);
    }
    // `iat` orders a token without session of ours against revocations. One of a session is ordered by the log, and must
    // open doors on a replica whose clock is behind, and after this clock has stepped back.
    // The leeway says nothing here: who revokes all that was issued until now cannot reckon with it.
    let latest_issue = now.plus(CLOCKS_APART);
    let issued_at = claims.iat.map_or(latest_issue, |date| Timestamp::from_seconds(date.0));
    if !of_our_session && issued_at > latest_issue {
        return Err(TokenFault::NotYet);
    }
    if now >= end(expires_at, profile) {
        return Err(TokenFault::Expired);
    }
    // A session bounds what we minted. Where there is none, the token is a backend's that shares our secret, and
    // a revocation must know how long such a token can live.
    let lifetime = match kind {
        TokenKind::Access => profile.access_lifetime,
        TokenKind::Refresh => profile.refresh_lifetime,
    };
    // From its issue on: or a token made to live longer would come to life after the revocations that concern it.
    if !of_our_session && Timestamp::from_seconds(expires_at) > issued_at.plus(lifetime) {
        return Err(TokenFault::Lifetime);
    }

    let token = claims
        .jti
        .as_deref()
        // An empty one would name every token that has one.
        .filter(|jti| !jti.is_empty())
        .map_or_else(|| TokenId::of_signing_input(signing_input.as_bytes()), TokenId::from_claim);
    Ok(Verified {
        kind,
        user,
        token,
        session,
        issued_at: claims.iat.map(|date| date.0),
        expires_at,
        extra_claims: claims.extra,
    })
}

#[cfg(test)]
mod tests;
