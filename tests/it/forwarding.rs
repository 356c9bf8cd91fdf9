//! What the upstream gets, and what becomes of its answers.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::harness::{Answer, TestGateway, Upstream, bearer, ok, request};

#[test]
fn the_upstream_gets_the_request_as_it_came() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    let headers = [
        &bearer(&token),
        "Accept: a/b",
        "X-Custom: one",
        "X-Custom: two",
        "Cookie: a=1; b=2",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic x",
        "Upgrade: h2c",
        "TE: trailers, deflate",
        "traceparent: 00-1-2-3",
        "X-Request-Id: r-1",
    ];
    gateway.request("PUT", "/a//b;c=1/%C3%A9?q=%zz&r", &headers, b"body").expect(200);
    let seen = upstream.only();
    let expected = [
        "PUT /a//b;c=1/%C3%A9?q=%zz&r HTTP/1.1",
        "accept: a/b",
        "content-length: 4",
        "cookie: a=1; b=2",
        "host: localhost",
        "te: trailers",
        "traceparent: 00-1-2-3",
        "x-custom: one",
        "x-custom: two",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: localhost",
        "x-forwarded-proto: https",
        "x-request-id: r-1",
        "x-user-id: 1",
    ];
    assert_eq!(seen.lines(), expected);
    assert_eq!(seen.body, b"body");
}

#[test]
fn a_connection_serves_many_requests() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    for _ in 0..5 {
        gateway.get("/public/x", &[]).expect(200);
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (5, 1));
}

#[test]
fn answers_pass_as_they_are() {
    let upstream = Upstream::start(|request, stream| {
        let answer: &[u8] = match request.request_line() {
            "GET /public/chunked HTTP/1.1" => {
                b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"
            }
            "GET /public/close HTTP/1.1" => b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            "HEAD /public/head HTTP/1.1" => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n",
            "GET /public/304 HTTP/1.1" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            "GET /public/204 HTTP/1.1" => b"HTTP/1.1 204 No Content\r\n\r\n",
            _ => b"HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nhi",
        };
        stream.write_all(answer).unwrap();
        !request.request_line().contains("close")
    });
    let gateway = TestGateway::with(&upstream.config());
    let chunked = gateway.get("/public/chunked", &["TE: trailers"]).expect(200);
    assert_eq!((chunked.text(), chunked.whole), ("hello", true));
    assert_eq!(chunked.header("trailer X-Sum").or(chunked.header("trailer x-sum")), Some("7"));
    let close = gateway.get("/public/close", &[]).expect(200);
    assert_eq!((close.text(), close.whole), ("until the end", true));
    let head = gateway.request("HEAD", "/public/head", &[], b"").expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("12345"), Some("\"x\"")));
    gateway.get("/public/304", &[]).expect(304);
    gateway.get("/public/204", &[]).expect(204);
    let teapot = gateway.get("/public/teapot", &[]).expect(418);
    let cookies: Vec<_> =
        teapot.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!((teapot.text(), teapot.header("x-hop")), ("hi", None));
}

#[test]
fn nobody_listening_is_502_within_a_second() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"http://{address}\"\n");
    let gateway = TestGateway::with(&config);
    let started = Instant::now();
    let answer = gateway.get("/x", &[]).expect(502);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn a_late_upstream_is_504() {
    // Accepts, reads, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "[upstream.slow]\nservers = [\"http://{}\"]\nresponse_timeout = \"200ms\"\n\
         [[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"slow\"\n",
        listener.local_addr().unwrap()
    );
    let gateway = TestGateway::with(&config);
    gateway.get("/x", &[]).expect(504);
}

#[test]
fn an_answer_that_is_none_is_502() {
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").unwrap();
        false
    });
    let gateway = TestGateway::with(&upstream.config());
    gateway.get("/public/x", &[]).expect(502);
}

#[test]
fn an_upstream_that_dies_in_mid_answer_is_no_clean_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let upstream = Upstream::start(move |_, stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            false
        });
        let gateway = TestGateway::with(&upstream.config());
        let answer = gateway.get("/public/x", &[]);
        assert!(!answer.whole, "{answer:?}");
        let log = gateway.stop();
        assert_eq!(log[0]["aborted"], true, "{log:?}");
    }
}

#[test]
fn a_body_streams_while_it_is_sent() {
    let upstream = Upstream::start(|request, stream| ok(stream, &request.body.len().to_string()));
    let gateway = TestGateway::with(&upstream.config());
    // Ten times the memory that any buffer here has.
    let body = vec![b'x'; 10 << 20];
    let answer = gateway.request("POST", "/public/x", &[], &body).expect(200);
    assert_eq!(answer.text(), body.len().to_string());
}

#[test]
fn an_answer_streams_while_it_comes() {
    let (first_read, upstream_waits) = std::sync::mpsc::channel::<()>();
    let upstream_waits = std::sync::Mutex::new(upstream_waits);
    let upstream = Upstream::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none.").unwrap();
        // Only when the client has it does the rest come.
        upstream_waits.lock().unwrap().recv().unwrap();
        stream.write_all(b"two.").is_ok()
    });
    let gateway = TestGateway::with(&upstream.config());
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("GET", "/public/x", &[], b"")).unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"one.") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
    first_read.send(()).unwrap();
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"two.");
}

#[test]
fn a_body_is_not_asked_for_before_the_request_is_judged() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let head = "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = gateway.connect();
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 401");
    assert_eq!(upstream.requests(), []);
}

#[test]
fn a_request_is_sent_again_only_where_that_is_safe() {
    // Serves one request a connection without saying so: the second finds it closed.
    let upstream = Upstream::start(|_, stream| {
        ok(stream, "seen");
        false
    });
    let gateway = TestGateway::with(&upstream.config());
    for _ in 0..10 {
        gateway.get("/public/x", &[]).expect(200);
    }
}

#[test]
fn the_host_can_be_the_upstreams_own() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        "[upstream.own]\nservers = [\"http://{}\"]\nhost = \"upstream\"\n\
         [[route]]\npath = \"/*\"\naccess = \"public\"\nforward_token = true\nupstream = \"own\"\n",
        upstream.address
    ));
    gateway.get("/x", &[]).expect(200);
    let seen = upstream.only();
    assert_eq!(seen.header("host"), Some(upstream.address.to_string()));
    assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("localhost"));
}

#[test]
fn a_token_is_forwarded_where_the_route_says_so_and_claims_become_headers() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        r#"
        [tokens]
        claims = {{ username = "username", mail = "email" }}
        [identity]
        headers = {{ X-Remote-User = "username", X-Mail = "mail", X-User-Id = "user_id" }}
        names_are_ours = true
        [auth]
        registration = true
        [[route]]
        path = "/*"
        forward_token = true
        upstream = "http://{}"
        "#,
        upstream.address
    ));
    let body =
        serde_json::json!({"username": "zoë", "email": "zoe@example.com", "password": "correct horse"});
    let token = gateway.post("/api/auth/register/", &body).expect(201).member("access");
    gateway.get("/x", &[&bearer(&token), "X-Mail: forged@example.com"]).expect(200);
    let seen = upstream.only();
    assert_eq!(seen.header("x-remote-user").as_deref(), Some("zo%C3%AB"));
    assert_eq!(seen.header("x-mail").as_deref(), Some("zoe@example.com"));
    assert_eq!(seen.header("x-user-id").as_deref(), Some("1"));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}")));
}

#[test]
fn the_echo_backend_shows_what_an_upstream_would_see() {
    let gateway = TestGateway::start();
    let token = gateway.register("ada").member("access");
    let answer: Answer =
        gateway.request("POST", "/x?q=1", &[&bearer(&token), "X-User-Id: 999"], b"hello").expect(200);
    let json = answer.json();
    assert_eq!(
        (&json["method"], &json["path"], &json["query"]),
        (&"POST".into(), &"/x".into(), &"q=1".into())
    );
    assert_eq!(json["body"], serde_json::json!({"size": 5, "text": "hello"}));
    let headers = json["headers"].to_string();
    assert!(
        headers.contains(r#"["x-user-id","1"]"#) && !headers.contains("999") && !headers.contains(&token)
    );
}
