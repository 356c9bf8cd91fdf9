//! Every bound has its own answer.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use crate::harness::{
    Answer, Scripted, Stream, TestGateway, Upstream, bearer,
    frames::{self, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM},
    ok, request,
};

const SHORT: &str = r#"
[limits]
header_timeout = "700ms"
idle_timeout = "2s"
body_timeout = "300ms"
auth_body = "1KiB"
auth_body_timeout = "300ms"
header_size = "8KiB"
header_count = 30
"#;

const PUBLIC: &str = "[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n";

fn short() -> TestGateway {
    TestGateway::with(&format!("{SHORT}{PUBLIC}"))
}

/// All that comes before the connection ends, and whether it ended at all.
fn hear(stream: &mut Stream) -> (String, bool) {
    let mut heard = Vec::new();
    let ended = match stream.read_to_end(&mut heard) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    };
    (String::from_utf8_lossy(&heard).into_owned(), ended)
}

/// The status line of what `bytes` get.
fn status_line(gateway: &TestGateway, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = gateway.connect();
    // Refused in the middle, perhaps.
    let _ = stream.get_mut().write_all(bytes.as_ref());
    let (heard, ended) = hear(&mut stream);
    assert!(ended, "left open after {heard}");
    heard.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn each_bound_on_a_head_has_its_answer() {
    let gateway = short();
    let long = |length: usize| "x".repeat(length);
    let many = (0..40).map(|index| format!("X-{index}: 1\r\n")).collect::<String>();
    let head =
        |line: &str, fields: &str| format!("{line}\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    for (bytes, expected) in [
        (head("GET / HTTP/1.1", "X: 1\r\n"), "HTTP/1.1 200 OK"),
        (head("GET / HTTP/1.1", &format!("X: {}\r\n", long(7_900))), "HTTP/1.1 200 OK"),
        (head("GET / HTTP/1.1", &many), "HTTP/1.1 431 Request Header Fields Too Large"),
        (
            head("GET / HTTP/1.1", &format!("X: {}\r\n", long(20_000))),
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
        (head(&format!("GET /{} HTTP/1.1", long(7_900)), ""), "HTTP/1.1 200 OK"),
        (head(&format!("GET /{} HTTP/1.1", long(9_000)), ""), "HTTP/1.1 414 URI Too Long"),
        (head(&format!("GET /{} HTTP/1.1", long(40_000)), ""), "HTTP/1.1 414 URI Too Long"),
        (head(&format!("GET /{} HTTP/1.1", long(70_000)), ""), "HTTP/1.1 414 URI Too Long"),
        // No white space at all: whatever it is, it is too long for a request line.
        (long(20_000), "HTTP/1.1 414 URI Too Long"),
        (head("GET /", ""), "HTTP/1.1 400 Bad Request"),
        (head("GET  / HTTP/1.1", ""), "HTTP/1.1 400 Bad Request"),
        (head("G(T / HTTP/1.1", ""), "HTTP/1.1 400 Bad Request"),
        (head("GET / HTTP/1.1", "X : 1\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("GET / HTTP/1.1", "X: 1\r\n Y: 2\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("GET / HTTP/1.1", "X: \0\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("GET / HTTP/3.0", ""), "HTTP/1.1 400 Bad Request"),
        (head("POST / HTTP/1.1", "Content-Length: +1\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("POST / HTTP/1.1", "Content-Length: 1\r\nContent-Length: 2\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("POST / HTTP/1.1", "Content-Length: 18446744073709551616\r\n"), "HTTP/1.1 400 Bad Request"),
        (head("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"), "HTTP/1.1 400 Bad Request"),
        // Its end cannot be told (RFC 9112, section 6.3) …
        (head("POST / HTTP/1.1", "Transfer-Encoding: gzip\r\n"), "HTTP/1.1 400 Bad Request"),
        // … and here it can, but nobody behind us would know what it holds (section 6.1).
        (head("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n"), "HTTP/1.1 501 Not Implemented"),
        (
            head("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            "HTTP/1.1 501 Not Implemented",
        ),
    ] {
        let start = &bytes[..bytes.len().min(60)];
        let expected = expected
            .replace("HTTP/1.1", if bytes.contains("HTTP/1.0\r\n") { "HTTP/1.0" } else { "HTTP/1.1" });
        let line = status_line(&gateway, &bytes);
        assert_eq!(
            line.replace("HTTP/1.0", "HTTP/1.1"),
            expected.replace("HTTP/1.0", "HTTP/1.1"),
            "{start:?}"
        );
    }
}

#[test]
fn a_target_that_is_too_long_after_an_earlier_request_is_414() {
    let gateway = short();
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
    Answer::read(&mut stream, false).unwrap().expect(200);
    let long = format!("/{}", "x".repeat(20_000));
    stream.get_mut().write_all(&request("GET", &long, &[], b"")).unwrap();
    let (heard, ended) = hear(&mut stream);
    assert!(heard.starts_with("HTTP/1.1 414 URI Too Long\r\n") && ended, "{heard}");
    // And a field that is too long is not.
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
    Answer::read(&mut stream, false).unwrap().expect(200);
    stream.get_mut().write_all(&request("GET", "/x", &[&format!("X: {long}")], b"")).unwrap();
    assert!(hear(&mut stream).0.starts_with("HTTP/1.1 431 "));
}

#[test]
fn each_bound_on_a_head_has_its_answer_in_http2() {
    let gateway = short();
    let head = |extra: &[(&str, &str)]| {
        let mut block = frames::asking("GET", "/x");
        block.extend(frames::fields(extra));
        block
    };
    let names: Vec<String> = (0..40).map(|index| format!("x-{index}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    for (block, status) in [
        (head(&[("x", "1")]), 200),
        (head(&[("x", &"x".repeat(7_000))]), 200),
        (head(&many), 431),
        (head(&[("x", &"x".repeat(9_000))]), 431),
        // One size for all that RFC 9113 (section 6.5.2) counts; its end is known, so the connection goes on.
        (frames::asking("GET", &format!("/{}", "x".repeat(9_000))), 431),
    ] {
        let mut h2 = Frames::connect(&gateway, &[]);
        h2.send(&frames::frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).unwrap();
        assert_eq!(h2.until(HEADERS).unwrap().status(), status, "{} bytes", block.len());
        h2.send(&frames::get(3, "/x")).unwrap();
        assert_eq!(h2.until(HEADERS).unwrap().status(), 200);
    }
}

#[test]
fn a_slow_head_is_408() {
    let gateway = short();
    let started = Instant::now();
    assert_eq!(status_line(&gateway, "GET / HTTP/1.1\r\nHost: local"), "HTTP/1.1 408 Request Timeout");
    assert!(started.elapsed() >= Duration::from_millis(700));
    // Nothing was asked: nothing is answered.
    assert_eq!(status_line(&gateway, ""), "");
}

#[test]
fn a_slow_handshake_is_cut_off() {
    let gateway = TestGateway::with(&format!("[limits]\nhandshake_timeout = \"300ms\"\n{PUBLIC}"));
    for start in [&b""[..], b"\x16\x03\x01"] {
        let (mut socket, started) = (gateway.socket(), Instant::now());
        socket.write_all(start).unwrap();
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        assert!((300..3_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }
    assert_eq!(gateway.app().metrics().handshake_failures.value(), 2);
}

#[test]
fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let gateway = short();
    let mut stream = gateway.connect();
    for _ in 0..2 {
        stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
        Answer::read(&mut stream, false).unwrap().expect(200);
        // Not synchronisation: the silence itself is what is tried.
        std::thread::sleep(Duration::from_secs(1));
    }
    let idle = Instant::now();
    assert_eq!(hear(&mut stream), (String::new(), true));
    assert!(idle.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_idle_http2_connection_is_told_goodbye() {
    let gateway = short();
    let mut h2 = Frames::connect(&gateway, &[]);
    h2.send(&frames::get(1, "/x")).unwrap();
    let started = Instant::now();
    assert_eq!(h2.until(GOAWAY).unwrap().code(), 0);
    assert!((1_900..4_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[test]
fn a_forwarded_body_too_slow_is_408() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{SHORT}{}", upstream.config()));
    let token = gateway.register("ada").member("access");
    let authorization = bearer(&token);
    let mut announced = request("POST", "/x", &[&authorization], b"hello");
    announced.pop();
    let mut chunked = request("POST", "/x", &[&authorization, "Transfer-Encoding: chunked"], b"");
    chunked.extend(b"5\r\nhel");
    for bytes in [announced, chunked] {
        assert_eq!(status_line(&gateway, bytes), "HTTP/1.1 408 Request Timeout");
    }
    let mut h2 = Frames::connect(&gateway, &[]);
    h2.send(&frames::post(1, "/public/x")).unwrap();
    h2.send(&frames::frame(frames::DATA, 0, 1, b"hel")).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 408);
    h2.send(&frames::get(3, "/public/x")).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 200);
    // What never came whole never counts as a request.
    assert_eq!(upstream.requests().len(), 1);
}

const JSON: &str = "Content-Type: application/json";

/// The body of an auth endpoint: too large as announced, too large as it comes, too slow; the client still sends.
#[test]
fn the_body_of_an_auth_endpoint_is_bounded() {
    let gateway = short();
    let path = "/api/auth/login/";
    let large = request("POST", path, &[JSON], &vec![b'x'; 200_000]);
    let mut huge = request("POST", path, &[JSON, "Content-Length: 1000000000"], b"");
    huge.extend(vec![b'x'; 50_000]);
    let mut chunked = request("POST", path, &[JSON, "Transfer-Encoding: chunked"], b"");
    for _ in 0..100 {
        chunked.extend(format!("400\r\n{}\r\n", "x".repeat(1024)).bytes());
    }
    let mut slow = request("POST", path, &[JSON], b"{}");
    slow.pop();
    for (bytes, expected) in [
        (large, "HTTP/1.1 413 Payload Too Large"),
        (huge, "HTTP/1.1 413 Payload Too Large"),
        (chunked, "HTTP/1.1 413 Payload Too Large"),
        (slow, "HTTP/1.1 408 Request Timeout"),
    ] {
        assert_eq!(status_line(&gateway, bytes), expected);
    }
}

/// A client that goes on sending while it is refused must still read why, and not a broken connection.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let gateway = TestGateway::with(&format!("[limits]\nauth_body = \"1KiB\"\n{PUBLIC}"));
    for (target, length, status) in [
        ("/api/auth/login/", 3_000_000, "HTTP/1.1 413 "),
        ("/api/auth/login/", 100_000, "HTTP/1.1 413 "),
        ("/%00", 3_000_000, "HTTP/1.1 400 "),
    ] {
        for chunked in [false, true] {
            let framing = if chunked {
                "Transfer-Encoding: chunked".to_owned()
            } else {
                format!("Content-Length: {length}")
            };
            let mut stream = gateway.connect();
            stream.get_mut().write_all(&request("POST", target, &[JSON, &framing], b"")).unwrap();
            let piece = "x".repeat(10_000);
            let started = Instant::now();
            for _ in 0..length / 10_000 {
                let piece = if chunked { format!("2710\r\n{piece}\r\n") } else { piece.clone() };
                if stream.get_mut().write_all(piece.as_bytes()).is_err() {
                    break;
                }
            }
            let (mut line, took) = ([0; 13], started.elapsed());
            let read = stream.read_exact(&mut line);
            if read.is_err() && took > Duration::from_secs(4) {
                // Nobody is listened to for ever: this machine was too slow to tell.
                continue;
            }
            assert!(read.is_ok(), "{target} {length} {chunked}: {read:?} after {took:?}");
            assert_eq!(std::str::from_utf8(&line).unwrap(), status, "{target} {length} {chunked}");
        }
    }
}

#[test]
fn the_body_of_an_auth_endpoint_is_bounded_in_http2() {
    let gateway = short();
    for (pieces, status) in [(40, 413), (0, 408)] {
        let mut h2 = Frames::connect(&gateway, &[]);
        h2.send(&frames::post(1, "/api/auth/login/")).unwrap();
        for _ in 0..pieces {
            h2.send(&frames::frame(frames::DATA, 0, 1, &[b'x'; 1024])).unwrap();
        }
        assert_eq!(h2.until(HEADERS).unwrap().status(), status);
        // The rest is not wanted, and that is no error (RFC 9113, section 8.1).
        assert_eq!(h2.until(RST_STREAM).unwrap().code(), 0);
        h2.send(&frames::get(3, "/x")).unwrap();
        assert_eq!(h2.until(HEADERS).unwrap().status(), 200);
    }
}

#[test]
fn connections_beyond_the_caps_are_closed() {
    for cap in ["connections_per_address", "connections"] {
        let gateway = TestGateway::with(&format!("[limits]\n{cap} = 2\n{PUBLIC}"));
        let mut first = gateway.connect();
        let mut second = gateway.connect();
        for stream in [&mut first, &mut second] {
            stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
            Answer::read(stream, false).unwrap().expect(200);
        }
        assert!(gateway.try_raw(request("GET", "/x", &[], b"")).is_none());
        assert_eq!(gateway.app().metrics().connections_refused.value(), 1);
    }
}

/// RFC 9110, section 10.1.1: judged by the head; asked for only when somebody reads it; and what the client then
/// does not send is never taken for its next request.
#[test]
fn a_body_is_asked_for_when_it_is_read() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{SHORT}{}", upstream.config()));
    let head = |target: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };

    // Accepted: asked for, then answered, and the connection goes on.
    let mut stream = gateway.connect();
    for (target, status) in [("/public/x", "HTTP/1.1 200 "), ("/api/auth/login/", "HTTP/1.1 401 ")] {
        let body = r#"{"username":"nobody","password":"nothing at all"}"#;
        stream.get_mut().write_all(head(target, body.len()).as_bytes()).unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.get_mut().write_all(body.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream, false).unwrap();
        assert!(status.contains(&answer.status.to_string()), "{target}: {}", answer.status);
    }
    assert_eq!(upstream.only().header("expect").as_deref(), None);

    // Refused: the refusal and nothing else, and the connection ends: nobody knows what comes next on it.
    for (target, length, status) in [
        ("/x", 5, "HTTP/1.1 401 "),
        ("/public/..;/x", 5, "HTTP/1.1 400 "),
        ("/api/auth/login/", 5_000, "HTTP/1.1 413 "),
    ] {
        let mut stream = gateway.connect();
        stream.get_mut().write_all(head(target, length).as_bytes()).unwrap();
        let mut line = [0; 13];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(std::str::from_utf8(&line).unwrap(), status);
        // A client may answer with its next request, or with the body after all.
        let _ = stream.get_mut().write_all(b"GET /public/next HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (heard, ended) = hear(&mut stream);
        assert!(ended && !heard.contains("HTTP/1.1"), "{target}: {heard}");
        assert!(heard.to_ascii_lowercase().contains("connection: close"), "{target}: {heard}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_upstream_that_answers_before_it_reads_spares_the_body() {
    let upstream = Scripted::start(|mut wire, _| {
        wire.head();
        wire.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        wire.rest();
    });
    let gateway = TestGateway::with(&format!("{SHORT}{}", upstream.config()));
    let mut stream = gateway.connect();
    stream
        .get_mut()
        .write_all(&request("POST", "/x", &["Content-Length: 100000", "Expect: 100-continue"], b""))
        .unwrap();
    Answer::read(&mut stream, false).unwrap().expect(403);
}

#[test]
fn an_expectation_that_nobody_knows_is_417() {
    let gateway = short();
    for expect in ["something-else", "100-continue, more", "200-ok"] {
        let head = format!("Expect: {expect}");
        assert_eq!(
            status_line(&gateway, request("POST", "/x", &[&head], b"hello")),
            "HTTP/1.1 417 Expectation Failed"
        );
    }
    // Without a body nothing is expected to come, and case says nothing.
    gateway.get("/x", &["Expect: 100-Continue"]).expect(200);
    let mut h2 = Frames::connect(&gateway, &[]);
    let mut block = frames::asking("GET", "/x");
    block.extend(frames::fields(&[("expect", "something-else")]));
    h2.send(&frames::frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 417);
}

/// hyper sends no 100 over HTTP/2. Clients that wait for one wait a moment and go on (RFC 9110, section 10.1.1).
#[test]
fn an_expectation_is_no_hindrance_in_http2() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{SHORT}{}", upstream.config()));
    let mut h2 = Frames::connect(&gateway, &[]);
    let expecting = |path: &str| {
        let mut block = frames::asking("POST", path);
        block.extend(frames::fields(&[("expect", "100-continue")]));
        block
    };
    h2.send(&frames::frame(HEADERS, END_HEADERS, 1, &expecting("/x"))).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 401);
    assert_eq!(h2.until(RST_STREAM).unwrap().code(), 0);
    h2.send(&frames::frame(HEADERS, END_HEADERS, 3, &expecting("/public/x"))).unwrap();
    h2.send(&frames::frame(frames::DATA, END_STREAM, 3, b"hello")).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.header("expect"), seen.body), (None, b"5\r\nhello\r\n0\r\n\r\n".to_vec()));
}

#[test]
fn a_refusal_of_an_upload_over_http2_is_no_reset() {
    let gateway = short();
    let mut h2 = Frames::connect(&gateway, &[]);
    // More than is read of a body that nobody wants: the announced length says so at once.
    let length = 3_000_000.to_string();
    let head = [frames::asking("POST", "/%00"), frames::fields(&[("content-length", &length)])].concat();
    h2.send(&frames::frame(HEADERS, frames::END_HEADERS, 1, &head)).unwrap();
    assert_eq!(h2.until(HEADERS).unwrap().status(), 400);
    let answered = Instant::now();
    let reset = h2.until(RST_STREAM).unwrap();
    assert!(answered.elapsed() > Duration::from_millis(500), "reset with its answer, {}", reset.code());
}
