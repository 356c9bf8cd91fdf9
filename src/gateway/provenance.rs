//! Where a request comes from, and whose word on that is believed: trusted proxies', as far as they go.
//!
//! Never here: PROXY headers (`server`), what upstreams are told of it (`proxy`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::downstream::Downstream;
use crate::{net::Networks, route::is_host};

/// Where a request comes from, as far as somebody can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Provenance {
    /// The client: the other end of the connection, or whom trusted proxies name.
    pub(super) client: IpAddr,
    /// The connection.
    pub(super) downstream: Downstream,
    /// Whether the other end of the connection is a trusted proxy that speaks for itself.
    pub(super) believed: bool,
}

impl Provenance {
    /// Of a request with these headers, on that connection.
    pub(super) fn of(headers: &HeaderMap, downstream: Downstream, trusted: &Networks) -> Self {
        // A proxy of TCP passes on what an unknown client claims of itself.
        let believed = !downstream.unnamed && !trusted.is_empty() && trusted.contains(downstream.peer);
        let client =
            if believed { client(headers, downstream.peer, trusted) } else { downstream.peer.to_canonical() };
        Self { client, downstream, believed }
    }

    /// `X-Forwarded-Proto`: how the client sent its request. What a trusted proxy says of it must be one word that
    /// browsers know, else the connection tells.
    pub(super) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        let said = self.said(headers, &FORWARDED_PROTO).and_then(|said| {
            SCHEMES.into_iter().find(|scheme| said.as_bytes().eq_ignore_ascii_case(scheme.as_bytes()))
        });
        said.unwrap_or(if self.downstream.secure { "https" } else { "http" })
    }

    /// `X-Forwarded-Host`, where a trusted proxy says one that is one.
    ///
    /// Upstreams are told, routes are not chosen by it: many a proxy passes on what its client claims here. So a
    /// malformed one is left out, not refused; the upstream then gets `Host`, as without it.
    pub(super) fn forwarded_host(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let said = self.said(headers, &FORWARDED_HOST)?;
        said.to_str().is_ok_and(is_host).then(|| said.clone())
    }

    /// The only value of a header, of those that a trusted proxy sets.
    fn said<'h>(&self, headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
        if !self.believed {
            return None;
        }
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    }
}

/// The rightmost entry of `X-Forwarded-For` that is no trusted proxy: each entry is the word of the one on its
/// right. One that is no address ends the walk at whoever said it.
fn client(headers: &HeaderMap, peer: IpAddr, trusted: &Networks) -> IpAddr {
    let mut client = peer.to_canonical();
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = address(entry) else { break };
        client = address;
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: plain, or with a port, then in brackets if it is of IPv6.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let address = if let Some(literal) = text.strip_prefix('[') {
        let (address, port) = literal.split_once(']')?;
        if !port.is_empty() {
            port.strip_prefix(':').and_then(self::port)?;
        }
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        self::port(port)?;
        IpAddr::V4(address.parse::<Ipv4Addr>().ok()?)
    };
    Some(address.to_canonical())
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Some proxies name a WebSocket's scheme by its own word.
const SCHEMES: [&str; 4] = ["https", "http", "wss", "ws"];

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Networks {
        ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
            .map(|text| text.parse().unwrap())
            .into_iter()
            .collect()
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn from(peer: &str, fields: &[(&'static str, &'static str)]) -> (Provenance, HeaderMap) {
        let headers = headers(fields);
        let downstream = Downstream { peer: peer.parse().unwrap(), unnamed: false, secure: false };
        (Provenance::of(&headers, downstream, &trusted()), headers)
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_no_trusted_proxy() {
        for (peer, lines, expected) in [
            ("6.6.6.6", &["1.1.1.1"][..], "6.6.6.6"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9, 1.1.1.1, 10.2.3.4"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9,1.1.1.1 ,\t10.2.3.4"], "1.1.1.1"),
            ("10.0.0.1", &["9.9.9.9", "1.1.1.1", "192.0.2.7"], "1.1.1.1"),
            ("10.0.0.1", &["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
            ("10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("10.0.0.1", &["2001:db9::1"], "2001:db9::1"),
            ("10.0.0.1", &["[2001:db9::1]"], "2001:db9::1"),
            ("10.0.0.1", &["9.9.9.9, [2001:db9::1]:4711, [2001:db8::1]:1"], "2001:db9::1"),
            // Who said garbage is as far as one can see.
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, , 10.2.3.4"], "10.2.3.4"),
            ("10.0.0.1", &["1.1.1.1, _hidden, 10.2.3.4"], "10.2.3.4"),
            ("10.0.0.1", &["1.1.1.1", ""], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:x"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:65536"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:+1"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db9::1"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db9::1]x"], "10.0.0.1"),
            ("10.0.0.1", &["[1.1.1.1]"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["01.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1 2.2.2.2"], "10.0.0.1"),
            ("10.0.0.1", &["for=1.1.1.1"], "10.0.0.1"),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let (provenance, _) = from(peer, &fields);
            assert_eq!(provenance.client, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        let (alias, _) = from("10.0.0.1", &[("x_forwarded_for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
        assert_eq!(alias.client, "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn scheme_and_host_are_a_trusted_proxys_one_sane_word() {
        let scheme = |peer, lines: &[&'static str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
            let (provenance, headers) = from(peer, &fields);
            provenance.scheme(&headers)
        };
        assert_eq!(scheme("10.0.0.1", &["https"]), "https");
        assert_eq!(scheme("10.0.0.1", &["HTTPS"]), "https");
        assert_eq!(scheme("10.0.0.1", &["wss"]), "wss");
        for lines in [&["https", "https"][..], &["https,http"], &["httpsx"], &[""], &["ftp"], &[]] {
            assert_eq!(scheme("10.0.0.1", lines), "http", "{lines:?}");
        }
        assert_eq!(scheme("6.6.6.6", &["https"]), "http");

        let host = |peer, lines: &[&'static str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-host", *line)).collect();
            let (provenance, headers) = from(peer, &fields);
            provenance.forwarded_host(&headers)
        };
        assert_eq!(host("10.0.0.1", &["a.example:8443"]).unwrap(), "a.example:8443");
        for lines in [&["a", "b"][..], &["a, b"], &["a/b"], &["u@a"], &[""], &["a:99999"], &[]] {
            assert_eq!(host("10.0.0.1", lines), None, "{lines:?}");
        }
        assert_eq!(host("6.6.6.6", &["a.example"]), None);
    }
}
