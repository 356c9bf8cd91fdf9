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
/// [`TokenRefusal::Malformed`] where it offers two: whoever reads on might take the other.
pub(super) fn offered(headers: &HeaderMap) -> Result<Option<&str>, TokenRefusal> {
    if !headers.contains_key(UPGRADE) {
        return Ok(None);
    }
    let mut tokens = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(token);
    let Some(first) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(TokenRefusal::Malformed);
    }
    std::str::from_utf8(first).map(Some).map_err(|_| TokenRefusal::Malformed)
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
        if token(member).is_some() {
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

/// What follows `bearer.`, in any case: a backend that compares it otherwise must not see it either.
fn token(member: &[u8]) -> Option<&[u8]> {
    let (prefix, token) = member.trim_ascii().split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(token)
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
        ] {
            assert_eq!(offered(&handshake(lines)), expected, "{lines:?}");
        }
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
