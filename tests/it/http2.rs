//! HTTP/2 downstream: the same promises.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::harness::{TestGateway, Upstream, bearer, ok};

fn get(uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

#[test]
fn a_request_crosses_from_http2_to_http1() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    let authorization = bearer(&token).split_once(": ").unwrap().1.to_owned();
    let h2 = gateway.h2();
    let request = Request::post("https://app.example:8443/a%2Fb?q=1")
        .header("authorization", &authorization)
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-user-id", "999")
        .header("x-request-id", "r-1")
        .body(Full::from("hello"))
        .unwrap();
    let answer = h2.send(request).unwrap().expect(200);
    assert_eq!(answer.text(), "seen");
    let seen = upstream.only();
    let expected = [
        "POST /a%2Fb?q=1 HTTP/1.1",
        "content-length: 5",
        "cookie: a=1; b=2",
        "host: app.example:8443",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: app.example:8443",
        "x-forwarded-proto: https",
        "x-request-id: r-1",
        "x-user-id: 1",
    ];
    assert_eq!(seen.lines(), expected);
    assert_eq!(seen.body, b"hello");
}

#[test]
fn protection_is_the_same() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let h2 = gateway.h2();
    h2.send(get("https://localhost/x", &[])).unwrap().expect(401);
    h2.send(get("https://localhost/public/..;/x", &[])).unwrap().expect(400);
    h2.send(get("https://localhost/public/x", &[("host", "other.example")])).unwrap().expect(400);
    assert_eq!(upstream.requests(), []);
    h2.send(get("https://localhost/public/x", &[("x-user-id", "999"), ("remote-user", "999")]))
        .unwrap()
        .expect(200);
    assert!(!upstream.only().head().contains("999"));
}

#[test]
fn too_many_fields_are_refused() {
    let gateway = TestGateway::start();
    let h2 = gateway.h2();
    let names: Vec<String> = (0..150).map(|index| format!("x-{index}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    h2.send(get("https://localhost/public/x", &headers)).unwrap().expect(431);
}

#[test]
fn an_upstream_that_dies_in_mid_answer_is_no_clean_end() {
    let upstream = Upstream::start(|_, stream| {
        use std::io::Write;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        false
    });
    let gateway = TestGateway::with(&upstream.config());
    let error = gateway.h2().send(get("https://localhost/public/x", &[])).unwrap_err();
    let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(reason.contains("stream error"), "{error}: {reason}");
}

#[test]
fn head_has_a_length_and_no_body() {
    let gateway = TestGateway::start();
    let h2 = gateway.h2();
    for (uri, status) in [("https://localhost/public/x", 200), ("https://localhost/x", 401)] {
        let request = Request::head(uri).body(Full::default()).unwrap();
        let answer = h2.send(request).unwrap().expect(status);
        assert_ne!(answer.header("content-length"), Some("0"));
        assert_eq!(answer.body, b"");
    }
    let log = gateway.stop();
    assert!(log.iter().all(|line| line["aborted"] == false && line["bytes_out"] == 0), "{log:?}");
}

/// A stream that is reset while the client still sends would show it the reset, and not why.
#[test]
fn a_refused_upload_gets_its_answer() {
    let gateway = TestGateway::start();
    let h2 = gateway.h2();
    for _ in 0..20 {
        let request = Request::post("https://localhost/x").body(Full::from(vec![b'x'; 60_000])).unwrap();
        h2.send(request).unwrap().expect(401);
    }
}
