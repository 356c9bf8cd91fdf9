//! WebSockets: who may open a tunnel, what the upstream gets, and how a tunnel ends.

use std::{
    io::{BufRead, Read, Write},
    net::TcpStream,
    sync::mpsc,
};

use crate::harness::{Answer, Client, Recorded, Stream, TestGateway, Upstream, bearer, ok, request};

const HANDSHAKE: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upstream that accepts every handshake and sends back what comes, in capitals.
fn shouting() -> Upstream {
    Upstream::start(|request, stream| {
        if request.header("upgrade").is_none() {
            return ok(stream, "no handshake");
        }
        stream.write_all(ACCEPTED.as_bytes()).unwrap();
        shout(stream)
    })
}

fn shout(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return false,
            Ok(read) => stream.write_all(&bytes[..read].to_ascii_uppercase()).unwrap(),
        }
    }
}

/// Opens a handshake and reads the head of its answer: status line and header lines, names in lower case.
fn open(client: &Client, target: &str, lines: &[&str]) -> (Stream, Vec<String>) {
    let mut stream = client.connect();
    let lines: Vec<&str> = HANDSHAKE.iter().chain(lines).copied().collect();
    stream.get_mut().write_all(&request("GET", target, &lines, b"")).unwrap();
    let head = read_head(&mut stream);
    (stream, head)
}

fn read_head(stream: &mut Stream) -> Vec<String> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            head[1..].sort_unstable();
            return head;
        }
        // hyper adds the date.
        if !line.starts_with("date: ") {
            head.push(line.to_owned());
        }
    }
}

fn exchange(stream: &mut Stream, text: &str) -> String {
    stream.get_mut().write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let upstream = shouting();
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    let (mut stream, head) = open(&gateway, "/chat?room=1", &[&bearer(&token), "X-User-Id: 7"]);
    assert_eq!(
        head,
        [
            "HTTP/1.1 101 Switching Protocols",
            "connection: Upgrade",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "upgrade: websocket",
        ]
    );
    assert_eq!(exchange(&mut stream, "hello"), "HELLO");
    let large = "x".repeat(3_000_000);
    let mut writer = gateway.connect();
    drop(std::mem::replace(&mut writer, stream));
    // A second tunnel at the same time, and more than any buffer holds.
    let (mut stream, _) = open(&gateway, "/chat?room=2", &[&bearer(&token)]);
    for piece in large.as_bytes().chunks(100_000) {
        let piece = std::str::from_utf8(piece).unwrap();
        assert_eq!(exchange(&mut stream, piece), piece.to_uppercase());
    }
    assert!(gateway.operator("/metrics").text().contains("\nportcullis_tunnels "));
    let seen = &upstream.requests()[0];
    assert_eq!(
        seen.lines(),
        [
            "GET /chat?room=1 HTTP/1.1",
            "connection: Upgrade",
            "host: localhost",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version: 13",
            "upgrade: websocket",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: localhost",
            "x-forwarded-proto: https",
            &format!("x-request-id: {}", seen.header("x-request-id").unwrap()),
            "x-user-id: 1",
        ]
    );
}

#[test]
fn without_a_good_token_nobody_reaches_the_upstream() {
    let upstream = shouting();
    let gateway = TestGateway::with(&upstream.config());
    let pair = gateway.register("ada");
    let (access, refresh) = (pair.member("access"), pair.member("refresh"));
    let revoked = gateway.login("ada").member("access");
    gateway.post_as("/api/auth/logout/", &revoked, &serde_json::json!({})).expect(200);
    let offer = |token: &str| format!("Sec-WebSocket-Protocol: bearer.{token}");
    for lines in [
        vec![],
        vec!["Sec-WebSocket-Protocol: chat".to_owned()],
        vec![offer("a.b.c")],
        vec![offer(&refresh)],
        vec![offer(&revoked)],
        vec![offer("")],
        // Two tokens: whoever reads on might take the other.
        vec![offer(&access), bearer(&access)],
        vec![offer(&access), offer(&access)],
        vec![format!("Sec-WebSocket-Protocol: bearer.{access}, bearer.{access}")],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (mut stream, head) = open(&gateway, "/chat", &lines);
        assert_eq!(head[0], "HTTP/1.1 401 Unauthorized", "{lines:?}");
        // What would be frames is a request that is none.
        stream.get_mut().write_all(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 101"), "{lines:?}");
    }
    assert!(upstream.requests().is_empty());
    // Where there is no handshake, a subprotocol opens nothing.
    gateway.get("/chat", &[&offer(&access)]).expect(401);
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_browser_offers_its_token_as_a_subprotocol() {
    let upstream = Upstream::start(|request, stream| {
        let chosen = request.header("sec-websocket-protocol").map(|offered| {
            let first = offered.split(',').next().unwrap().trim().to_owned();
            format!("Sec-WebSocket-Protocol: {first}\r\n\r\n")
        });
        let head = ACCEPTED.strip_suffix("\r\n").unwrap();
        stream
            .write_all(format!("{head}{}", chosen.unwrap_or_else(|| "\r\n".to_owned())).as_bytes())
            .unwrap();
        shout(stream)
    });
    let address = upstream.address;
    let gateway = TestGateway::with(&format!(
        "{}\n[[route]]\npath = \"/forwarding/*\"\nupstream = \"http://{address}\"\nforward_token = true",
        upstream.config()
    ));
    let token = gateway.register("ada").member("access");
    let chosen = |head: &[String]| {
        head.iter().find_map(|line| line.strip_prefix("sec-websocket-protocol: ").map(str::to_owned))
    };
    let seen = |upstream: &Upstream| {
        let last = upstream.requests().pop().unwrap();
        (last.header("sec-websocket-protocol"), last.header("authorization"))
    };

    let offer = format!("Sec-WebSocket-Protocol: chat, bearer.{token}, superchat");
    let (mut stream, head) = open(&gateway, "/chat", &[&offer]);
    assert_eq!(chosen(&head).as_deref(), Some("chat"));
    assert_eq!(exchange(&mut stream, "hello"), "HELLO");
    assert_eq!(seen(&upstream), (Some("chat, superchat".to_owned()), None));
    assert!(!upstream.requests().iter().any(|request| request.head().contains(&token)));

    // A browser wants one of what it offered to be chosen.
    let offer = format!("Sec-WebSocket-Protocol: bearer.{token}");
    let (_stream, head) = open(&gateway, "/chat", &[&offer]);
    assert_eq!(chosen(&head), Some(format!("bearer.{token}")));
    assert_eq!(seen(&upstream), (None, None));

    // An upstream that wants tokens finds this one where all others are.
    let (_stream, _) = open(&gateway, "/forwarding/chat", &[&offer]);
    assert_eq!(seen(&upstream), (None, Some(format!("Bearer {token}"))));

    // A public route leaves credentials alone.
    let (_stream, _) = open(&gateway, "/public/chat", &[&offer]);
    assert_eq!(seen(&upstream), (Some(format!("bearer.{token}")), None));
}

#[test]
fn only_the_token_that_was_checked_is_ever_forwarded() {
    let upstream = shouting();
    let address = upstream.address;
    let gateway = TestGateway::with(&format!(
        r#"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "http://{address}"
        forward_token = true
        [[route]]
        path = "/optional/*"
        upstream = "http://{address}"
        access = "optional"
        forward_token = true
        "#
    ));
    let token = gateway.register("ada").member("access");
    let authorization = bearer(&token);
    let forged = "bearer.FORGED.by.me";
    // No handshake: the subprotocol is not where the token came from, whatever becomes of `Authorization`.
    for lines in [
        vec![authorization.clone(), format!("Sec-WebSocket-Protocol: {forged}")],
        vec![authorization.clone(), format!("Sec-WebSocket-Protocol: chat, {forged}")],
        vec![authorization.clone(), format!("Sec-WebSocket-Protocol: \"{forged}\"")],
        vec![authorization.clone(), format!("Sec_WebSocket_Protocol: {forged}")],
        vec![
            authorization.clone(),
            "Connection: authorization".to_owned(),
            format!("Sec-WebSocket-Protocol: {forged}"),
        ],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        gateway.get("/x", &lines).expect(200);
        let seen = upstream.requests().pop().unwrap();
        assert!(!seen.head().contains("FORGED"), "{lines:?}: {}", seen.head());
        assert_eq!(seen.header("x-user-id").as_deref(), Some("1"));
        let forwarded = seen.header("authorization");
        assert!(forwarded.is_none_or(|line| line == format!("Bearer {token}")), "{lines:?}");
    }
    let request = http::Request::get("https://localhost/x")
        .header("authorization", format!("Bearer {token}"))
        .header("sec-websocket-protocol", forged)
        .body(http_body_util::Full::default())
        .unwrap();
    assert_eq!(gateway.h2().send(request).unwrap().status, 200);
    assert!(!upstream.requests().pop().unwrap().head().contains("FORGED"));

    // Nobody's request on an optional route does not pass a token on either.
    gateway.get("/optional/x", &[&format!("Sec-WebSocket-Protocol: {forged}")]).expect(200);
    assert!(!upstream.requests().pop().unwrap().head().contains("FORGED"));

    // A handshake whose offer is no subprotocol is refused: a lenient reader would find a token there.
    let before = upstream.requests().len();
    let mut stream = gateway.connect();
    let mut bytes = request_line_and(&HANDSHAKE, "/optional/ws");
    bytes.extend(b"Sec-WebSocket-Protocol: \xa0bearer.a.b.c\r\n\r\n");
    stream.get_mut().write_all(&bytes).unwrap();
    assert_eq!(read_head(&mut stream)[0], "HTTP/1.1 401 Unauthorized");
    assert_eq!(upstream.requests().len(), before);
}

fn request_line_and(lines: &[&str], target: &str) -> Vec<u8> {
    let mut bytes = request("GET", target, lines, b"");
    bytes.truncate(bytes.len() - 2);
    bytes
}

#[test]
fn whatever_is_no_handshake_is_an_ordinary_request() {
    let upstream = shouting();
    let gateway = TestGateway::with(&upstream.config());
    let h2c = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    for (method, lines, body) in [
        ("GET", &h2c[..], &b""[..]),
        ("GET", &["Connection: Upgrade", "Upgrade: websocket, h2c"], b""),
        ("GET", &["Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"], b""),
        ("GET", &["Upgrade: websocket"], b""),
        ("GET", &["Connection: Upgrade"], b""),
        ("GET", &["Connection: Upgrade", "Upgrade: tls/1.0"], b""),
        ("POST", &["Connection: Upgrade", "Upgrade: websocket"], b""),
        ("POST", &["Connection: Upgrade", "Upgrade: websocket"], b"body"),
        ("GET", &["Connection: Upgrade", "Upgrade: websocket"], b"body"),
    ] {
        let answer = gateway.request(method, "/public/x", lines, body).expect(200);
        assert_eq!(answer.text(), "no handshake", "{method} {lines:?}");
        let seen = upstream.requests().pop().unwrap();
        assert_eq!((seen.header("connection"), seen.header("upgrade")), (None, None), "{method} {lines:?}");
        assert_eq!(seen.header("http2-settings"), None);
        assert_eq!(seen.body, body);
    }
    // HTTP/1.0 knows no upgrade (RFC 9110, section 7.8).
    let bytes =
        b"GET /public/x HTTP/1.0\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(gateway.raw(bytes).expect(200).text(), "no handshake");
}

#[test]
fn a_refused_handshake_is_answered_and_its_connection_not_used_again() {
    let upstream = Upstream::start(|request, stream| match request.header("upgrade") {
        Some(_) => write!(stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").is_ok(),
        None => ok(stream, "ordinary"),
    });
    let gateway = TestGateway::with(&upstream.config());
    for round in 1..=2 {
        let mut stream = gateway.connect();
        stream.get_mut().write_all(&request("GET", "/public/ws", &HANDSHAKE, b"")).unwrap();
        let answer = Answer::read(&mut stream, false).unwrap();
        assert_eq!((answer.status, answer.text()), (403, "no"));
        // The client's side goes on: what follows is judged like any other request.
        stream.get_mut().write_all(&request("GET", "/private", &[], b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, false).unwrap().status, 401);
        stream.get_mut().write_all(&request("GET", "/public/x", &[], b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, false).unwrap().text(), "ordinary");
        // One for the handshake. The ordinary requests share another, which the next handshake takes away.
        assert_eq!(upstream.connections(), if round == 1 { 2 } else { 3 });
    }
}

#[test]
fn an_upgrade_that_nobody_asked_for_or_that_is_half_is_a_bad_gateway() {
    let answers: &[&str] = &[
        // Another protocol, none at all, or WebSocket without its proof.
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ];
    for answer in answers {
        let upstream = Upstream::start(|_, stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            // Bytes that would be somebody else's answer, were the connection used again.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
            true
        });
        let gateway = TestGateway::with(&upstream.config());
        let (_, head) = open(&gateway, "/public/ws", &[]);
        assert_eq!(head[0], "HTTP/1.1 502 Bad Gateway", "{answer}");
        assert_eq!(gateway.get("/public/x", &[]).status, 502, "{answer}");
    }
    // Not asked for.
    let upstream = Upstream::start(|_, stream| stream.write_all(ACCEPTED.as_bytes()).is_ok());
    let gateway = TestGateway::with(&upstream.config());
    assert_eq!(gateway.get("/public/x", &[]).status, 502);
}

#[test]
fn bytes_right_behind_either_head_are_carried() {
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(format!("{ACCEPTED}first").as_bytes()).unwrap();
        shout(stream)
    });
    let gateway = TestGateway::with(&upstream.config());
    let mut stream = gateway.connect();
    // A client may not do so (RFC 6455, section 4.1); one that does gets no other meaning.
    let mut bytes = request("GET", "/public/ws", &HANDSHAKE, b"");
    bytes.extend(b"GET /private HTTP/1.1\r\n\r\n");
    stream.get_mut().write_all(&bytes).unwrap();
    assert_eq!(read_head(&mut stream)[0], "HTTP/1.1 101 Switching Protocols");
    let mut rest = vec![0; 5 + 25];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(rest, b"firstGET /PRIVATE HTTP/1.1\r\n\r\n");
}

#[test]
fn either_side_may_close() {
    let (told, tell) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::start(move |request, stream| {
        stream.write_all(ACCEPTED.as_bytes()).unwrap();
        if request.request_line().contains("bye") {
            stream.write_all(b"bye").unwrap();
            return false;
        }
        shout(stream);
        told.lock().unwrap().send(()).unwrap();
        false
    });
    let gateway = TestGateway::with(&upstream.config());
    let (mut stream, _) = open(&gateway, "/public/bye", &[]);
    let mut rest = Vec::new();
    // To the end of the TLS stream, not merely of the socket: nothing was cut off.
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");

    let (mut stream, _) = open(&gateway, "/public/ws", &[]);
    assert_eq!(exchange(&mut stream, "hello"), "HELLO");
    drop(stream);
    tell.recv_timeout(std::time::Duration::from_secs(20)).expect("the upstream is told");

    let log = gateway.stop();
    let tunnels: Vec<_> = log.iter().filter(|line| line["status"] == 101).collect();
    let carried: Vec<_> =
        tunnels.iter().map(|line| (line["bytes_in"].as_u64(), line["bytes_out"].as_u64())).collect();
    assert_eq!(carried, [(Some(0), Some(3)), (Some(5), Some(5))]);
}

#[test]
fn a_silent_tunnel_ends_after_its_time_and_others_do_not_wait_so_long() {
    let upstream = shouting();
    let config =
        format!("[limits]\nstream_idle_timeout = \"100ms\"\nidle_timeout = \"60s\"\n{}", upstream.config());
    let gateway = TestGateway::with(&config);
    let (mut stream, _) = open(&gateway, "/public/ws", &[]);
    let mut rest = Vec::new();
    // Cut, so that it does not look like an end of the upstream's.
    let error = stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(gateway.get("/public/x", &[]).expect(200).text(), "no handshake");
}

#[test]
fn a_tunnel_holds_its_place_at_the_upstream() {
    let upstream = shouting();
    let address = upstream.address;
    let gateway = TestGateway::with(&format!(
        r#"
        [upstream.one]
        servers = ["http://{address}"]
        connections = 1
        connect_timeout = "100ms"
        [[route]]
        path = "/*"
        access = "public"
        upstream = "one"
        "#
    ));
    let (mut stream, _) = open(&gateway, "/ws", &[]);
    assert_eq!(exchange(&mut stream, "hello"), "HELLO");
    gateway.get("/x", &[]).expect(503);
    drop(stream);
    // The place comes free when the tunnel's end is noticed.
    while gateway.get("/x", &[]).status == 503 {}
    assert_eq!(
        upstream.requests().iter().map(Recorded::request_line).filter(|line| line.contains("/ws")).count(),
        1
    );
}

#[test]
fn the_drain_waits_for_requests_and_closes_tunnels_at_its_deadline() {
    let upstream = shouting();
    let config = format!("[shutdown]\ngrace = \"500ms\"\n{}", upstream.config());
    let gateway = TestGateway::with(&config);
    let address = gateway.app().addresses().https.unwrap();
    let (mut stream, _) = open(&gateway, "/public/ws", &[]);
    assert_eq!(exchange(&mut stream, "before"), "BEFORE");
    let began = std::time::Instant::now();
    let stopped = std::thread::spawn(move || gateway.stop());
    // Nothing new is accepted as soon as the drain has begun; the tunnel goes on until the deadline.
    while TcpStream::connect(address).is_ok() {}
    assert_eq!(exchange(&mut stream, "during"), "DURING");
    assert!(stream.read_to_end(&mut Vec::new()).is_err(), "cut, not ended");
    let log = stopped.join().unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_millis(500));
    let tunnel = log.iter().find(|line| line["status"] == 101).unwrap();
    assert_eq!((tunnel["bytes_in"].as_u64(), tunnel["bytes_out"].as_u64()), (Some(12), Some(12)));
}
