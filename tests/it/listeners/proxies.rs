//! PROXY headers: believed of trusted proxies, wanted of them, and of nobody else.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use super::{PUBLIC_ECHO, connect, hear, plain};
use crate::harness::{Answer, TestGateway, Upstream, ok, request};

/// Believes this machine.
fn config(rest: &str) -> String {
    format!(
        "[listen]\nhttps = \"127.0.0.1:0\"\nplain = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nworkers = 1\n\
         trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n{rest}"
    )
}

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n";
const V1_V6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb\x04\0\x01x";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn sent(address: SocketAddr, header: &[u8], bytewise: bool) -> Option<Answer> {
    let mut stream = connect(address);
    let bytes = [header, &request("GET", "/public/x", &[], b"")].concat();
    if bytewise {
        for byte in bytes {
            stream.write_all(&[byte]).ok()?;
        }
    } else {
        stream.write_all(&bytes).ok()?;
    }
    hear(&mut stream)
}

#[test]
fn the_client_is_whom_the_header_names() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&config(&upstream.config()));
    for (header, client) in [
        (V1, "203.0.113.7"),
        (V1_V6, "2001:db8::7"),
        (V2, "203.0.113.7"),
        (V2_LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ] {
        for bytewise in [false, true] {
            sent(plain(&gateway), header, bytewise).unwrap().expect(200);
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(seen.header("x-forwarded-for").as_deref(), Some(client));
            assert_eq!(seen.request_line(), "GET /public/x HTTP/1.1");
        }
    }
    let http = gateway.app().addresses().http.unwrap();
    sent(http, V1, true).unwrap().expect(308);
    assert_eq!(gateway.app().metrics().proxy_header_failures.value(), 0);
    let log = gateway.stop();
    assert_eq!(log[0]["client"], "203.0.113.7");
}

/// A proxy of TCP that names nobody passes on what its unknown client claims: nothing of it is the proxy's word.
#[test]
fn a_header_that_names_nobody_makes_nobody_trusted() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&config(&upstream.config()));
    let unix = [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".to_vec(), vec![0; 216]].concat();
    for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n", &unix] {
        let mut stream = connect(plain(&gateway));
        let claims =
            ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example"];
        stream.write_all(&[header, &request("GET", "/public/x", &claims, b"")].concat()).unwrap();
        hear(&mut stream).unwrap().expect(200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
        assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("localhost"));
    }
    // Where it names a client that is itself a proxy we trust, that one is believed.
    let mut stream = connect(plain(&gateway));
    let head = b"PROXY TCP4 127.0.0.9 127.0.0.1 56324 443\r\n".as_slice();
    stream
        .write_all(&[head, &request("GET", "/public/x", &["X-Forwarded-For: 6.6.6.6"], b"")].concat())
        .unwrap();
    hear(&mut stream).unwrap().expect(200);
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("6.6.6.6, 127.0.0.9"));
}

#[test]
fn it_comes_before_tls() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&config(&upstream.config()));
    for header in [V1, V2] {
        let mut stream = gateway.connect();
        // The client begins its handshake with its first write.
        stream.get_mut().sock.write_all(header).unwrap();
        stream.get_mut().write_all(&request("GET", "/public/x", &[], b"")).unwrap();
        Answer::read(&mut stream, false).unwrap().expect(200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("203.0.113.7"));
    }
    assert!(gateway.try_raw(request("GET", "/public/x", &[], b"")).is_none(), "without a header");
}

#[test]
fn a_connection_without_a_good_header_is_closed() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&config(&format!(
        "[limits]\nhandshake_timeout = \"300ms\"\n{}",
        upstream.config()
    )));
    let failures = || gateway.app().metrics().proxy_header_failures.value();
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 5000], b"\r\n".to_vec()].concat();
    for (header, why) in [
        (&b""[..], "missing"),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 56324\r\n", "malformed"),
        (b"PROXY TCP4 203.0.113.7, 198.51.100.1 56324 443\r\n", "malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd", "too short"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "too long"),
        (&long, "too long"),
    ] {
        let before = failures();
        assert!(sent(plain(&gateway), header, false).is_none(), "{why}");
        assert_eq!(failures(), before + 1, "{why}");
    }
    // Begun, and never finished.
    for begun in [&b""[..], b"PROXY TC", &V2[..20]] {
        let mut stream = connect(plain(&gateway));
        stream.write_all(begun).unwrap();
        let before = failures();
        assert!(hear(&mut stream).is_none());
        assert_eq!(failures(), before + 1);
    }
    assert_eq!(upstream.requests(), []);
    // Twice: the second is the client's own, and no request.
    let twice = [V1, V1].concat();
    assert!(sent(plain(&gateway), &twice, false).is_none_or(|answer| answer.status == 400));
    assert_eq!(upstream.requests(), []);
}

#[test]
fn nobody_else_may_connect() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let config = config(&upstream.config()).replace("127.0.0.0/8", "192.0.2.0/24");
    let gateway = TestGateway::with(&config);
    assert!(sent(plain(&gateway), V1, false).is_none());
    assert!(sent(plain(&gateway), b"", false).is_none());
    assert!(gateway.try_raw(request("GET", "/public/x", &[], b"")).is_none());
    assert_eq!(gateway.app().metrics().proxies_untrusted.value(), 3);
    assert_eq!(upstream.requests(), []);
}

/// Without `proxy_protocol` a header is what it looks like: a malformed request.
#[test]
fn where_it_is_off_nobody_is_believed() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&config(&upstream.config()).replace("proxy_protocol = true", ""));
    for header in [V1, V2] {
        assert!(sent(plain(&gateway), header, false).is_none_or(|answer| answer.status == 400));
    }
    assert_eq!(upstream.requests(), []);
}

#[test]
fn connections_are_counted_by_the_address_in_the_header() {
    let limits = "[limits]\nconnections_per_address = 1\nconnections = 3\n";
    let gateway = TestGateway::with(&config(&format!("{limits}{PUBLIC_ECHO}")));
    let held = |header: &[u8]| -> (TcpStream, u16) {
        let mut stream = connect(plain(&gateway));
        stream.write_all(&[header, &request("GET", "/x", &[], b"")].concat()).unwrap();
        let status = hear(&mut stream).unwrap().status;
        (stream, status)
    };
    let (_first, status) = held(V1);
    assert_eq!(status, 200);
    assert_eq!(held(V2).1, 503, "the same client");
    let (_second, status) = held(V1_V6);
    assert_eq!(status, 200);
    // A proxy that has said nothing yet takes a place among all, and none of a client's.
    let _silent = connect(plain(&gateway));
    let other = b"PROXY TCP4 203.0.113.8 198.51.100.1 1 2\r\n";
    assert_eq!(held(other).1, 503, "too many in all");
}
