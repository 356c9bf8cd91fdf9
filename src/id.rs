//! Names of users, sessions and tokens.
//!
//! Identifiers that this gateway makes are sixteen bytes; those that others made are folded into sixteen bytes
//! by SHA-256, so that maps and tables hold one small fixed size.
//! Never here: what an identifier opens.

use std::{fmt, str::FromStr};

use aws_lc_rs::{digest, rand};

/// Identifies one token: `jti` (RFC 7519, section 4.1.7), thirty-two hexadecimal digits where we made it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; 16]);

impl TokenId {
    /// A new random identifier.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// The identifier that a `jti` claim names. Ours are read back; whatever another issuer wrote is hashed.
    pub fn from_claim(jti: &str) -> Self {
        Self(parse_hex(jti).unwrap_or_else(|| fold(b"jti\0", jti.as_bytes())))
    }

    /// Identifies a token without `jti` by its signing input (RFC 7515, section 2): header, dot, payload.
    pub fn of_signing_input(signing_input: &[u8]) -> Self {
        Self(fold(b"jws\0", signing_input))
    }

    /// As the store keeps it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As the store keeps it.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Identifies one session: `sid`, everything that descends from one login.
///
/// It begins with the number that the revocation log had reached when the session was opened, so that "all
/// sessions opened until now" compares numbers and not the clocks of several machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new session, opened when the revocation log had reached `sequence`.
    pub fn opened_at(sequence: u64) -> Self {
        let random: [u8; 16] = random_bytes();
        let mut bytes = [0; 16];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&sequence.to_be_bytes());
        tail.copy_from_slice(random.first_chunk::<8>().unwrap_or(&[0; 8]));
        Self(bytes)
    }

    /// The session that a `sid` claim names; `None` if we cannot have made it.
    pub fn from_claim(sid: &str) -> Option<Self> {
        parse_hex(sid).map(Self)
    }

    /// The number of the revocation log's last entry when this session was opened; `None` where the log cannot have
    /// reached it: such a `sid` is not ours, but of a backend that shares our secret and has sessions of its own. One
    /// made by chance passes for ours one time in four million.
    pub fn sequence(&self) -> Option<u64> {
        let number = u64::from_be_bytes(*self.0.first_chunk::<8>().unwrap_or(&[0; 8]));
        (number < NUMBERS).then_some(number)
    }

    /// As the store keeps it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As the store keeps it.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Names a user: 1 to 255 visible ASCII characters without comma, safe in a header and in a log line.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Box<str>);

impl UserId {
    /// The longest name of a user, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(text: &str) -> Result<Self, InvalidUserId> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_LEN;
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
            Ok(Self(text.into()))
        } else {
            Err(InvalidUserId)
        }
    }
}

/// So that maps keyed by [`UserId`] can be asked with a borrowed claim.
impl std::borrow::Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that cannot name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user id is 1 to 255 visible ASCII characters without comma")]
pub struct InvalidUserId;

macro_rules! hex_text {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 32];
                match hex::encode_to_slice(self.0, &mut digits) {
                    Ok(()) => f.write_str(std::str::from_utf8(&digits).unwrap_or_default()),
                    Err(_) => Err(fmt::Error),
                }
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

hex_text!(TokenId, SessionId);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Bytes that nobody can guess.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The library aborts the process rather than hand out bytes from a generator that it could not seed, and an
    // identifier of zeros must never be taken for a random one.
    #[allow(clippy::expect_used, reason = "there is no safe way on without randomness")]
    rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// The revocation log's numbers are below: milliseconds since the Unix epoch, which gets there in the year 2109.
const NUMBERS: u64 = 1 << 42;

/// Thirty-two lower-case hexadecimal digits, nothing else: two spellings of one id would be two ids elsewhere.
fn parse_hex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

fn fold(domain: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(domain);
    context.update(bytes);
    let digest = context.finish();
    *digest.as_ref().first_chunk::<16>().unwrap_or(&[0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_identifiers_survive_a_round_trip() {
        let token = TokenId::random();
        assert_eq!(TokenId::from_claim(&token.to_string()), token);
        let session = SessionId::opened_at(7);
        assert_eq!(SessionId::from_claim(&session.to_string()), Some(session));
        assert_eq!(session.sequence(), Some(7));
        let foreign = SessionId::from_claim("f47ac10b58cc4372a5670e02b2c3d479").unwrap();
        assert_eq!(foreign.sequence(), None);
    }

    #[test]
    fn another_issuers_identifier_is_hashed_and_spelling_counts() {
        let lower = "0123456789abcdef0123456789abcdef";
        assert_ne!(TokenId::from_claim(lower), TokenId::from_claim(&lower.to_uppercase()));
        assert_ne!(TokenId::from_claim("a"), TokenId::of_signing_input(b"a"));
        assert_eq!(SessionId::from_claim("not ours"), None);
    }

    #[test]
    fn a_user_id_fits_a_header_and_a_list() {
        for good in ["1", "68abc123", "idp:ada@example.com", &"x".repeat(255)] {
            assert!(good.parse::<UserId>().is_ok(), "{good}");
        }
        for bad in ["", "a,b", "a b", "zoë", "a\n", &"x".repeat(256)] {
            assert!(bad.parse::<UserId>().is_err(), "{bad}");
        }
    }
}
