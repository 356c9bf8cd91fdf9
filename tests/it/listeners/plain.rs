//! The whole gateway without TLS.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{PUBLIC_ECHO, connect, hear, listen, plain, say};
use crate::harness::{TestGateway, Upstream, bearer, ok, registration, request};

const ALONE: &str = "[listen]\nhttps = \"off\"\nplain = \"127.0.0.1:0\"\nworkers = 2\n";

fn register(address: SocketAddr) -> String {
    let body = registration("ada").to_string();
    let json = ["Content-Type: application/json"];
    say(address, request("POST", "/api/auth/register/", &json, body.as_bytes()))
        .unwrap()
        .expect(201)
        .member("access")
}

/// One request over HTTP/2 with prior knowledge.
fn h2c(address: SocketAddr, request: Request<Full<Bytes>>) -> (u16, Bytes) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        (head.status.as_u16(), body.collect().await.unwrap().to_bytes())
    })
}

/// What reached the upstream, but for the line that tells how it came.
fn lines(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.only();
    let lines = seen.lines().into_iter().filter(|line| !line.starts_with("x-forwarded-proto: "));
    lines.map(str::to_owned).collect()
}

const FORGED: [(&str, &str); 6] = [
    ("x-user-id", "999"),
    ("x_user_id", "999"),
    ("remote-user", "999"),
    ("x-forwarded-for", "999"),
    ("x-real-ip", "999"),
    ("forwarded", "for=999"),
];

#[test]
fn it_alone_is_the_whole_gateway_over_http1() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{ALONE}{}", upstream.config()));
    assert!(gateway.app().addresses().https.is_none());
    assert!(!gateway.folder().join("certs").exists(), "a certificate that nobody is shown");
    let address = plain(&gateway);
    let token = register(address);
    say(address, request("GET", "/x", &[], b"")).unwrap().expect(401);
    say(address, request("GET", "/public/..;/x", &[], b"")).unwrap().expect(400);
    assert_eq!(upstream.requests(), []);

    let mut headers: Vec<String> = FORGED.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    headers.push(bearer(&token));
    headers.push("X-Request-Id: r-1".to_owned());
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = say(address, request("POST", "/a%2Fb?q=1", &headers, b"hello")).unwrap().expect(200);
    assert_eq!(answer.text(), "seen");
    let expected = [
        "POST /a%2Fb?q=1 HTTP/1.1",
        "content-length: 5",
        "host: localhost",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: localhost",
        "x-request-id: r-1",
        "x-user-id: 1",
    ];
    assert_eq!(lines(&upstream), expected);
}

#[test]
fn http2_with_prior_knowledge_is_the_same() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{ALONE}{}", upstream.config()));
    let address = plain(&gateway);
    let authorization = bearer(&register(address)).split_once(": ").unwrap().1.to_owned();
    let get = |path: &str| Request::get(format!("http://app.example{path}"));
    assert_eq!(h2c(address, get("/x").body(Full::default()).unwrap()).0, 401);
    assert_eq!(h2c(address, get("/public/..;/x").body(Full::default()).unwrap()).0, 400);
    assert_eq!(upstream.requests(), []);

    let mut request = Request::post("http://app.example/a%2Fb?q=1").header("authorization", authorization);
    for (name, value) in FORGED {
        request = request.header(name, value);
    }
    let request = request.header("x-request-id", "r-1").body(Full::from("hello")).unwrap();
    assert_eq!(h2c(address, request), (200, Bytes::from("seen")));
    let expected = [
        "POST /a%2Fb?q=1 HTTP/1.1",
        "content-length: 5",
        "host: app.example",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: app.example",
        "x-request-id: r-1",
        "x-user-id: 1",
    ];
    assert_eq!(lines(&upstream), expected);
}

/// An upstream that took the offer would read the connection's next requests as HTTP/2, past every rule.
#[test]
fn an_upgrade_to_http2_is_not_passed_on() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{ALONE}{}", upstream.config()));
    let offer =
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    say(plain(&gateway), request("GET", "/public/x", &offer, b"")).unwrap().expect(200);
    let seen = upstream.only().head().to_ascii_lowercase();
    assert!(!seen.contains("upgrade") && !seen.contains("h2c") && !seen.contains("http2-settings"), "{seen}");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let gateway = TestGateway::with(&format!("{ALONE}{PUBLIC_ECHO}"));
    for method in ["GET", "POST", "PRI"] {
        let mut stream = connect(plain(&gateway));
        for byte in request(method, "/x", &[], b"") {
            stream.write_all(&[byte]).unwrap();
        }
        hear(&mut stream).unwrap().expect(200);
    }
}

#[test]
fn both_listeners_share_bounds_and_end_together() {
    let limits = "[limits]\nconnections = 2\n";
    let gateway = TestGateway::with(&format!("{}{limits}{PUBLIC_ECHO}", listen("plain = \"127.0.0.1:0\"")));
    let mut secure = gateway.connect();
    secure.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
    crate::harness::Answer::read(&mut secure, false).unwrap().expect(200);
    let mut open = connect(plain(&gateway));
    open.write_all(&request("GET", "/x", &[], b"")).unwrap();
    hear(&mut open).unwrap().expect(200);

    let refused = say(plain(&gateway), request("GET", "/x", &[], b"")).unwrap().expect(503);
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    assert!(gateway.try_raw(request("GET", "/x", &[], b"")).is_none());

    let metrics = gateway.operator("/metrics").expect(200);
    for line in [
        "portcullis_connections{listener=\"https\"} 1",
        "portcullis_connections{listener=\"plain\"} 1",
        "portcullis_connections{listener=\"http\"} 0",
        "portcullis_connections_refused_total 2",
    ] {
        assert!(metrics.text().lines().any(|had| had == line), "no `{line}` in {}", metrics.text());
    }
    gateway.stop();
    assert_eq!(open.read(&mut [0]).unwrap(), 0);
    assert_eq!(secure.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_client_that_says_nothing_is_closed_in_time() {
    let config = format!("{ALONE}[limits]\nheader_timeout = \"300ms\"\n{PUBLIC_ECHO}");
    let gateway = TestGateway::with(&config);
    for said in ["", "PRI * HT", "G"] {
        let answer = say(plain(&gateway), said);
        assert!(answer.is_none_or(|answer| answer.status == 408), "{said}");
    }
}
