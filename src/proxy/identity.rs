//! The headers that tell an upstream who the user is.
//!
//! They are set last, and from a [`Principal`] alone: only `auth` can make one.
//! Never here: what is taken from the client's headers (`headers`).

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{Encoding, IdentityHeader, IdentitySettings, IdentityValue};
use crate::{
    auth::Principal,
    token::{ClaimValue, Verified},
};

/// The identity headers of `[identity]`.
#[derive(Debug)]
pub struct IdentityHeaders {
    headers: Vec<IdentityHeader>,
    encoding: Encoding,
}

impl IdentityHeaders {
    /// The headers that `settings` names.
    pub fn new(settings: &IdentitySettings) -> Self {
        Self { headers: settings.headers.clone(), encoding: settings.encoding }
    }

    /// Sets every identity header as `principal` has it, and removes those that it leaves open: an absent or empty
    /// claim, one that the encoding cannot write, all of them where there is nobody.
    pub fn set(&self, headers: &mut HeaderMap, principal: Option<&Principal>) {
        self.write(headers, principal.map(Principal::verified));
    }

    fn write(&self, headers: &mut HeaderMap, user: Option<&Verified>) {
        for header in &self.headers {
            match user.and_then(|user| self.value(header.value, user)) {
                Some(value) => headers.insert(&header.name, value),
                None => headers.remove(&header.name),
            };
        }
    }

    fn value(&self, from: IdentityValue, user: &Verified) -> Option<HeaderValue> {
        match from {
            IdentityValue::User => self.text(user.user.as_str()),
            IdentityValue::Claim(index) => match user.extra_claims.get(index)?.as_ref()? {
                ClaimValue::Bool(value) => {
                    Some(HeaderValue::from_static(if *value { "true" } else { "false" }))
                }
                ClaimValue::Integer(value) => Some(HeaderValue::from(*value)),
                ClaimValue::List(values) => self.list(values),
                ClaimValue::Text(value) => self.text(value),
            },
        }
    }

    fn text(&self, text: &str) -> Option<HeaderValue> {
        match self.encode(text)? {
            Cow::Borrowed([]) => None,
            Cow::Borrowed(bytes) => HeaderValue::from_bytes(bytes).ok(),
            Cow::Owned(bytes) => HeaderValue::from_maybe_shared(Bytes::from(bytes)).ok(),
        }
    }

    /// Joined by commas (RFC 9110, section 5.6.1); empty members are none. Where a member has a comma of its own
    /// that the encoding leaves, it would be read as two, one of which might be `admin`: then there is no list.
    fn list(&self, values: &[String]) -> Option<HeaderValue> {
        let mut joined = Vec::new();
        for value in values.iter().filter(|value| !value.is_empty()) {
            let encoded = self.encode(value)?;
            if encoded.contains(&b',') {
                return None;
            }
            if !joined.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(&encoded);
        }
        if joined.is_empty() { None } else { HeaderValue::from_maybe_shared(Bytes::from(joined)).ok() }
    }

    /// The bytes that stand for `text` and for no other.
    fn encode<'t>(&self, text: &'t str) -> Option<Cow<'t, [u8]>> {
        let bytes = text.as_bytes();
        match self.encoding {
            Encoding::Percent if bytes.iter().all(|byte| is_plain(*byte)) => Some(Cow::Borrowed(bytes)),
            Encoding::Percent => {
                let escaped =
                    |byte: &u8| if is_plain(*byte) { vec![*byte] } else { format!("%{byte:02X}").into() };
                Some(Cow::Owned(bytes.iter().flat_map(escaped).collect()))
            }
            Encoding::Latin1 | Encoding::Utf8 if is_changed_on_the_way(text) => None,
            Encoding::Utf8 => Some(Cow::Borrowed(bytes)),
            Encoding::Latin1 if text.is_ascii() => Some(Cow::Borrowed(bytes)),
            Encoding::Latin1 => {
                let latin: Option<Vec<u8>> =
                    text.chars().map(|character| u8::try_from(character).ok()).collect();
                latin.map(Cow::Owned)
            }
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b',' | b';')
}

/// Backends take blanks off a value's ends and cannot be sent control characters: `ada ` would be `ada`.
fn is_changed_on_the_way(text: &str) -> bool {
    text.trim().len() != text.len() || text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::{id::TokenId, token::TokenKind};

    fn user(name: &str, claims: Vec<Option<ClaimValue>>) -> Verified {
        Verified {
            kind: TokenKind::Access,
            user: name.parse().unwrap(),
            token: TokenId::from_bytes([0; 16]),
            session: None,
            issued_at: None,
            expires_at: 0,
            extra_claims: claims,
        }
    }

    fn identity(encoding: Encoding) -> IdentityHeaders {
        let header = |name, value| IdentityHeader { name: HeaderName::from_static(name), value };
        IdentityHeaders::new(&IdentitySettings {
            headers: vec![
                header("x-user-id", IdentityValue::User),
                header("x-claim", IdentityValue::Claim(0)),
            ],
            encoding,
            strip: Vec::new(),
        })
    }

    /// What `x-claim` says of one claim; the client's own word for it never stays.
    fn claim(encoding: Encoding, value: Option<ClaimValue>) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.append("x-claim", HeaderValue::from_static("forged"));
        headers.append("x-claim", HeaderValue::from_static("twice"));
        identity(encoding).write(&mut headers, Some(&user("7", vec![value])));
        let mut values = headers.get_all("x-claim").iter();
        let value = values.next().map(|value| value.as_bytes().to_vec());
        assert_eq!(values.next(), None);
        value
    }

    #[test]
    fn the_user_replaces_whatever_was_there() {
        let mut headers = HeaderMap::new();
        headers.append("x-user-id", HeaderValue::from_static("1"));
        headers.append("x-user-id", HeaderValue::from_static("2"));
        identity(Encoding::Percent).write(&mut headers, Some(&user("idp:ada@example.com", Vec::new())));
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-user-id"], "idp:ada@example.com");
    }

    #[test]
    fn nobody_has_no_headers() {
        let mut headers = HeaderMap::new();
        headers.append("x-user-id", HeaderValue::from_static("1"));
        headers.append("x-claim", HeaderValue::from_static("1"));
        identity(Encoding::Percent).set(&mut headers, None);
        assert!(headers.is_empty());
    }

    #[test]
    fn each_kind_of_claim_is_written_in_each_encoding() {
        use ClaimValue::*;
        use Encoding::*;
        let text = |text: &str| Text(text.to_owned());
        let list = |members: &[&str]| List(members.iter().map(|member| (*member).to_owned()).collect());
        for (value, percent, utf_8, latin_1) in [
            (Bool(true), Some("true"), Some("true"), Some(&b"true"[..])),
            (Integer(-7), Some("-7"), Some("-7"), Some(b"-7")),
            (text("ada"), Some("ada"), Some("ada"), Some(b"ada")),
            (text(""), None, None, None),
            (text("a b"), Some("a%20b"), Some("a b"), Some(b"a b")),
            (text("100%,;"), Some("100%25%2C%3B"), Some("100%,;"), Some(b"100%,;")),
            (text("zoë"), Some("zo%C3%AB"), Some("zoë"), Some(b"zo\xeb")),
            (text("€"), Some("%E2%82%AC"), Some("€"), None),
            (text("ada "), Some("ada%20"), None, None),
            (text("\u{a0}ada"), Some("%C2%A0ada"), None, None),
            (text("a\r\nx: y"), Some("a%0D%0Ax:%20y"), None, None),
            (text("a\u{85}b"), Some("a%C2%85b"), None, None),
            (list(&[]), None, None, None),
            (list(&["", ""]), None, None, None),
            (list(&["admin"]), Some("admin"), Some("admin"), Some(b"admin")),
            (list(&["a", "", "zoë"]), Some("a,zo%C3%AB"), Some("a,zoë"), Some(b"a,zo\xeb")),
            (list(&["x,admin", "b"]), Some("x%2Cadmin,b"), None, None),
            (list(&["b", "€"]), Some("b,%E2%82%AC"), Some("b,€"), None),
            (list(&["b", " a"]), Some("b,%20a"), None, None),
        ] {
            let said = |encoding| claim(encoding, Some(value.clone()));
            assert_eq!(said(Percent), percent.map(|text| text.as_bytes().to_vec()), "{value:?}");
            assert_eq!(said(Utf8), utf_8.map(|text| text.as_bytes().to_vec()), "{value:?}");
            assert_eq!(said(Latin1), latin_1.map(<[u8]>::to_vec), "{value:?}");
        }
    }

    #[test]
    fn an_absent_claim_leaves_the_header_out() {
        assert_eq!(claim(Encoding::Percent, None), None);
        let mut headers = HeaderMap::new();
        headers.append("x-claim", HeaderValue::from_static("forged"));
        identity(Encoding::Utf8).write(&mut headers, Some(&user("7", Vec::new())));
        assert!(!headers.contains_key("x-claim"));
    }
}
