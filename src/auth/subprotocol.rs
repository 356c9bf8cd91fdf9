//! A token that a browser's WebSocket offers as a subprotocol.
//!
//! A page cannot set `Authorization` on a WebSocket, only subprotocols (RFC 6455, section 11.3.4): it offers
//! `bearer.TOKEN` beside those that it speaks.
//! Never here: whether the token is good.

use http::{
    HeaderMap, HeaderValue,
    header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};

use super::TokenRefusal;

/// The token that a handshake offers; `None` where the request is no handshake or offers none.
///
/// # Errors
/// [`TokenRefusal::Malformed`] where it offers two, as whoever reads on might take the other; and where what it offers
/// is no subprotocol, as it might be one to whoever trims more than blanks.
pub(super) fn offered(headers: &HeaderMap) -> Result<Option<&str>, TokenRefusal> {
    if !headers.contains_key(UPGRADE) {
        return Ok(None);
    }
    let mut tokens = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter(|member| is_token(member));
    let Some(first) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(TokenRefusal::Malformed);
    }
    let (_, token) = first.trim_ascii().split_at_checked(PREFIX.len()).ok_or(TokenRefusal::Malformed)?;
    let is_plain = token.iter().all(|byte| is_letter(*byte))
        && first.trim_ascii().first().is_some_and(|byte| is_letter(*byte));
    std::str::from_utf8(token).ok().filter(|_| is_plain).map(Some).ok_or(TokenRefusal::Malformed)
}

/// Takes every offered token out, so that no upstream sees one, and gives back the last as it was written.
pub fn withhold(headers: &mut HeaderMap) -> Option<HeaderValue> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return None;
    }
    let mut withheld = None;
    let mut rest = Vec::new();
    for member in headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
    {
        if is_token(member) {
            withheld = HeaderValue::from_bytes(member.trim_ascii()).ok();
        } else {
            if !rest.is_empty() {
                rest.push(b',');
            }
            rest.extend_from_slice(member);
        }
    }
    if withheld.is_some() {
        // Parts of what was a legal value, so this does not fail; were it to, none is better than a token.
        match HeaderValue::from_bytes(rest.trim_ascii()) {
            Ok(rest) if !rest.is_empty() => drop(headers.insert(SEC_WEBSOCKET_PROTOCOL, rest)),
            _ => drop(headers.remove(SEC_WEBSOCKET_PROTOCOL)),
        }
    }
    withheld
}

/// Whether it begins with `bearer.`, in any case and behind whatever a lenient reader cuts off: a backend that reads it
/// otherwise must not see it either.
fn is_token(member: &[u8]) -> bool {
    let start = member.iter().position(|byte| is_letter(*byte)).unwrap_or(member.len());
    let name = member.get(start..).unwrap_or_default();
    name.get(..PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

/// What a subprotocol is made of (a token of RFC 9110, section 5.6.2), as far as tokens go.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte)
}

const PREFIX: &[u8] = b"bearer.";

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        for line in lines {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn a_handshake_offers_one_token() {
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&["chat, superchat"], Ok(None)),
            (&["bearer.a.b.c"], Ok(Some("a.b.c"))),
            (&["chat,bearer.a.b.c ,superchat"], Ok(Some("a.b.c"))),
            (&["chat", "Bearer.a.b.c"], Ok(Some("a.b.c"))),
            (&["bearer."], Ok(Some(""))),
            (&["bearer"], Ok(None)),
            (&["bearer.a.b.c, bearer.a.b.c"], Err(TokenRefusal::Malformed)),
            (&["bearer.a", "bearer.b"], Err(TokenRefusal::Malformed)),
            (&["\"bearer.a\""], Err(TokenRefusal::Malformed)),
            (&["chat, \t'bearer.a"], Err(TokenRefusal::Malformed)),
            (&["chat, overbearer.a"], Ok(None)),
        ] {
            assert_eq!(offered(&handshake(lines)), expected, "{lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_bytes(b"chat,\xa0bearer.a").unwrap());
        assert_eq!(offered(&headers), Err(TokenRefusal::Malformed));
        assert!(withhold(&mut headers).is_some());
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "chat");
        let mut headers = handshake(&["bearer.a.b.c"]);
        headers.remove(UPGRADE);
        assert_eq!(offered(&headers), Ok(None), "an ordinary request has another place for its token");
    }

    #[test]
    fn no_token_is_passed_on() {
        for (lines, withheld, rest) in [
            (&["chat, superchat"][..], None, Some("chat, superchat")),
            (&["bearer.a"], Some("bearer.a"), None),
            (&["bearer.a", "bearer.b"], Some("bearer.b"), None),
            (&["chat, bearer.a, superchat"], Some("bearer.a"), Some("chat, superchat")),
            (&["BEARER.a,chat", "x"], Some("BEARER.a"), Some("chat,x")),
            (&["chat,\"bearer.a\""], Some("\"bearer.a\""), Some("chat")),
        ] {
            let mut headers = handshake(lines);
            assert_eq!(withhold(&mut headers).as_ref().map(|value| value.to_str().unwrap()), withheld);
            let left: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
            if withheld.is_some() {
                assert!(left.len() <= 1);
                assert_eq!(left.first().map(|value| value.to_str().unwrap()), rest, "{lines:?}");
            }
        }
    }
}
