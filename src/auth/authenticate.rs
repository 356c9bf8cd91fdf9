//! The check on the hot path: from a request's headers to a [`Principal`], or to why there is none.
//!
//! All memory and no wait. Whatever is still open is asked about again here ([`Authenticator::recheck`]), so that
//! an answer lasts exactly as long as a new request would pass.
//! Never here: which route wants a token, and what its rule asks (`gateway`).

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};

use super::{principal::Principal, subprotocol};
use crate::{
    clock::{Stopwatch, Timestamp},
    revocation::{Freshness, RevocationList},
    token::{self, KeyRing, Profile, TokenError, TokenKind, Verified},
};

/// A token as the client sent it: present and well placed, not yet verified.
#[derive(Clone, Copy)]
pub struct BearerToken<'r> {
    text: &'r str,
    place: Place,
}

/// Where in its request a token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization`.
    Authorization,
    /// Among a WebSocket's subprotocols.
    Subprotocol,
}

impl<'r> BearerToken<'r> {
    /// Reads the credentials from a request's head: scheme in any case, one blank, the token (RFC 6750,
    /// section 2.1). A WebSocket's handshake may offer the token as a subprotocol instead.
    ///
    /// # Errors
    /// [`TokenRefusal::Missing`] without credentials of this scheme, [`TokenRefusal::Malformed`] where they are
    /// not one word, where a backend could find some in credentials of another scheme, and where there are two
    /// `Authorization` lines, or one and a subprotocol: an upstream might choose the other.
    pub fn from_headers(headers: &'r HeaderMap, scheme: &str) -> Result<Self, TokenRefusal> {
        let offered = subprotocol::offered(headers)?;
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let Some(line) = lines.next() else {
            let text = offered.ok_or(TokenRefusal::Missing)?;
            return Ok(Self { text, place: Place::Subprotocol });
        };
        if offered.is_some() || lines.next().is_some() {
            return Err(TokenRefusal::Malformed);
        }
        let text = line.to_str().map_err(|_| TokenRefusal::Malformed)?;
        let (word, token) = text.split_once(' ').unwrap_or((text, ""));
        if !word.eq_ignore_ascii_case(scheme) {
            return Err(if mentions(text, scheme) { TokenRefusal::Malformed } else { TokenRefusal::Missing });
        }
        if token.is_empty() || token.contains([' ', '\t', ',']) {
            return Err(TokenRefusal::Malformed);
        }
        Ok(Self { text: token, place: Place::Authorization })
    }

    /// The token's text.
    pub const fn as_str(self) -> &'r str {
        self.text
    }
}

/// Whether a lenient backend might find credentials of `scheme` in a line that begins with another one, or with
/// this one and not a single blank: many look for `Bearer ` anywhere. Such a line must be neither nobody's nor
/// passed on. What a word of base64 happens to hold does not count.
fn mentions(line: &str, scheme: &str) -> bool {
    let line = line.as_bytes();
    let is_inner = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    line.windows(scheme.len().max(1)).enumerate().any(|(start, word)| {
        let before = start.checked_sub(1).and_then(|before| line.get(before));
        let after = line.get(start + word.len());
        word.eq_ignore_ascii_case(scheme.as_bytes())
            && (matches!(after, Some(b' ' | b'\t')) || !(is_inner(before) || is_inner(after)))
    })
}

/// Why credentials do not open a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The token is past its expiry.
    #[error("the token is expired")]
    Expired,
    /// The token is not one of ours.
    #[error("the token is invalid")]
    Invalid,
    /// The credentials are not one token.
    #[error("the credentials are malformed")]
    Malformed,
    /// There are no credentials.
    #[error("there are no credentials")]
    Missing,
    /// The token, its session or its user was revoked.
    #[error("the token is revoked")]
    Revoked,
    /// A token of another kind: a refresh token opens nothing.
    #[error("the token is of the wrong kind")]
    WrongKind,
}

impl From<TokenError> for TokenRefusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::Expired,
            TokenError::Invalid => Self::Invalid,
        }
    }
}

/// The check on the hot path: signature, kind, times, revocation. A cheap handle.
#[derive(Clone, Debug)]
pub struct Authenticator {
    keys: Arc<KeyRing>,
    profile: Arc<Profile>,
    revocations: RevocationList,
}

impl Authenticator {
    /// Checks tokens of `profile` signed by `keys`.
    pub const fn new(keys: Arc<KeyRing>, profile: Arc<Profile>, revocations: RevocationList) -> Self {
        Self { keys, profile, revocations }
    }

    /// Whom a request comes from.
    ///
    /// # Errors
    /// [`TokenRefusal`]: anything but one valid, unexpired, unrevoked access token.
    pub fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Result<Principal, TokenRefusal> {
        let token = BearerToken::from_headers(headers, self.profile.scheme)?;
        let verified = self.verify(token.as_str(), TokenKind::Access, now)?;
        Ok(Principal::new(verified, token.place))
    }

    /// Whether a request of `principal`, let pass before, would still be: what may change while an answer lasts is
    /// asked again, expiry and revocation.
    ///
    /// # Errors
    /// [`TokenRefusal::Expired`], [`TokenRefusal::Revoked`].
    pub fn recheck(&self, principal: &Principal, now: Timestamp) -> Result<(), TokenRefusal> {
        if now >= self.end(principal) {
            return Err(TokenRefusal::Expired);
        }
        self.check_revocation(principal.verified(), now)
    }

    /// The instant from which [`Self::recheck`] finds the token of `principal` expired.
    pub fn end(&self, principal: &Principal) -> Timestamp {
        token::end(principal.verified().expires_at, &self.profile)
    }

    /// Changes when [`Self::recheck`] may refuse, for another reason than the time, what it did not before. To be read
    /// before asking it.
    pub fn generation(&self) -> u64 {
        self.revocations.generation()
    }

    /// Checks a token of that kind: the one check that every operation passes too.
    pub(super) fn verify(
        &self,
        token: &str,
        kind: TokenKind,
        now: Timestamp,
    ) -> Result<Verified, TokenRefusal> {
        let verified = self.verify_any(token, now)?;
        if verified.kind == kind { Ok(verified) } else { Err(TokenRefusal::WrongKind) }
    }

    /// Checks a token of any kind.
    pub(super) fn verify_any(&self, token: &str, now: Timestamp) -> Result<Verified, TokenRefusal> {
        let verified = token::verify(token, &self.keys, &self.profile, now)?;
        self.check_revocation(&verified, now)?;
        Ok(verified)
    }

    fn check_revocation(&self, verified: &Verified, now: Timestamp) -> Result<(), TokenRefusal> {
        match self.revocations.refuses(verified, now) {
            None => Ok(()),
            Some(_) => Err(TokenRefusal::Revoked),
        }
    }

    pub(super) const fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// How tokens are written and presented here.
    pub const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Whether what is known of revocations is recent enough to believe a token at `now`.
    pub fn freshness(&self, now: Stopwatch) -> Freshness {
        self.revocations.freshness(now)
    }

    pub(super) const fn revocations(&self) -> &RevocationList {
        &self.revocations
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Result<String, TokenRefusal> {
        let mut headers = HeaderMap::new();
        for line in lines {
            // The only byte beyond ASCII here is one that no UTF-8 has.
            let bytes: Vec<u8> = line.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(&bytes).unwrap());
        }
        BearerToken::from_headers(&headers, "Bearer").map(|token| token.as_str().to_owned())
    }

    #[test]
    fn credentials_are_one_line_one_scheme_one_word() {
        use TokenRefusal::{Malformed, Missing};
        let check = |lines: &[&str], expected: Result<&str, TokenRefusal>| {
            assert_eq!(read(lines), expected.map(str::to_owned), "{lines:?}");
        };
        check(&["Bearer a.b.c"], Ok("a.b.c"));
        check(&["bEARER a.b.c"], Ok("a.b.c"));
        check(&[], Err(Missing));
        check(&[""], Err(Missing));
        check(&["Basic YTpi"], Err(Missing));
        check(&["Bearera.b.c"], Err(Missing));
        check(&["Basic YmVhcmVyOng="], Err(Missing));
        check(&["Basic xBEARERx="], Err(Missing));
        check(&["Token a"], Err(Missing));
        check(&["Bearer\ta.b.c"], Err(Malformed));
        check(&["Bearer,a.b.c"], Err(Malformed));
        check(&["Bearer:a.b.c"], Err(Malformed));
        check(&["Basic YTpi, Bearer a.b.c"], Err(Malformed));
        check(&["Basic YTpi,bearer\ta.b.c"], Err(Malformed));
        check(&["xBearer a.b.c"], Err(Malformed));
        check(&["Token \"Bearer\" a"], Err(Malformed));
        check(&["Bearer"], Err(Malformed));
        check(&["Bearer  a.b.c"], Err(Malformed));
        check(&["Bearer a.b.c d"], Err(Malformed));
        check(&["Bearer a.b.c, Bearer d"], Err(Malformed));
        check(&["Bearer a\u{ff}"], Err(Malformed));
        check(&["Bearer a.b.c", "Bearer a.b.c"], Err(Malformed));
        check(&["Basic YTpi", "Bearer a.b.c"], Err(Malformed));
    }
}
