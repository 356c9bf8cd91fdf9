//! WebSocket handshakes (RFC 6455, section 4): which request is one, and which answer accepts it.
//!
//! No other protocol is switched to. `h2c` above all would be a tunnel past the judge, through which the upstream
//! is asked for anything.
//! Never here: the bytes behind the handshake (`tunnel`).

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    request, response,
};
use hyper::upgrade::OnUpgrade;

use super::headers::{members, remove_hop_by_hop_of_response};

/// A client's wish to have its connection made a tunnel.
pub(super) struct Handshake {
    client: OnUpgrade,
    /// What proves that the upstream speaks WebSocket.
    proof: String,
    /// The offered subprotocol that was a token and stays here.
    withheld: Option<HeaderValue>,
}

impl Handshake {
    /// Reads the wish from a request; must be called before its hop-by-hop fields are removed. Whatever is no
    /// handshake is an ordinary request, whose `Upgrade` goes no further.
    pub(super) fn of(head: &mut request::Parts, has_body: bool) -> Option<Self> {
        // hyper puts it there only where there is an `Upgrade`.
        let client = head.extensions.remove::<OnUpgrade>()?;
        let wanted = head.method == Method::GET
            && head.version == Version::HTTP_11
            && !has_body
            && names_websocket(&head.headers);
        let proof = only(&head.headers, &SEC_WEBSOCKET_KEY).filter(|_| wanted).map(proof)?;
        Some(Self { client, proof, withheld: None })
    }

    /// Says the wish to the upstream; must be called after the hop-by-hop fields were removed. `withheld` is the
    /// offered subprotocol that was a token.
    pub(super) fn apply(&mut self, headers: &mut HeaderMap, withheld: Option<HeaderValue>) {
        set_upgrade(headers);
        self.withheld = withheld;
    }

    /// Whether `head` accepts the wish; then makes it fit for the client.
    ///
    /// # Errors
    /// Why an answer with status 101 is none.
    pub(super) fn accept(self, head: &mut response::Parts) -> Result<OnUpgrade, &'static str> {
        if !names_websocket(&head.headers) {
            return Err("it changed to another protocol than the one that was asked for");
        }
        // Whoever merely says 101 may take what follows for anything.
        if only(&head.headers, &SEC_WEBSOCKET_ACCEPT)
            .is_none_or(|accept| accept.as_bytes() != self.proof.as_bytes())
        {
            return Err("it changed to WebSocket without the right `Sec-WebSocket-Accept`");
        }
        remove_hop_by_hop_of_response(&mut head.headers);
        set_upgrade(&mut head.headers);
        if let Some(withheld) = self.withheld
            && !head.headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
        {
            // Browsers give up where they offered subprotocols and the answer chooses none.
            head.headers.insert(SEC_WEBSOCKET_PROTOCOL, withheld);
        }
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.version = Version::HTTP_11;
        Ok(self.client)
    }
}

/// Both fields must say so: `Upgrade` alone is nobody's wish (RFC 9110, section 7.8).
fn names_websocket(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(members);
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return false;
    }
    only(headers, &UPGRADE)
        .is_some_and(|line| line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455, section 4.2.2).
fn proof(key: &HeaderValue) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finish())
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}
