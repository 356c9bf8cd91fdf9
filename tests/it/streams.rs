//! What must arrive while the rest is still to come: interim responses, server-sent events, trailers.

use std::{
    io::{BufRead, Read, Write},
    net::TcpStream,
    sync::{Mutex, mpsc},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::harness::{Answer, Stream, TestGateway, Upstream, ok, request};

/// An upstream that says one thing, waits until it is told to go on, and says the other.
fn in_two_parts(first: &'static str, second: &'static str) -> (Upstream, mpsc::Sender<()>) {
    let (go_on, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |_, stream: &mut TcpStream| {
        stream.write_all(first.as_bytes()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(second.as_bytes()).is_ok()
    });
    (upstream, go_on)
}

fn ask(gateway: &TestGateway, bytes: &[u8]) -> Stream {
    let mut stream = gateway.connect();
    stream.get_mut().write_all(bytes).unwrap();
    stream
}

fn read(stream: &mut Stream, text: &str) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), text);
}

#[test]
fn an_early_hint_arrives_before_its_answer() {
    let hint =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    let processing = "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n";
    // Nobody told the upstream that the client would wait for this one.
    let go = "HTTP/1.1 100 Continue\r\n\r\n";
    let first = String::leak(format!("{go}{hint}{processing}"));
    let (upstream, go_on) = in_two_parts(first, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let gateway = TestGateway::with(&upstream.config());
    let mut stream = ask(&gateway, &request("GET", "/public/x", &[], b""));
    for _ in 0..2 {
        read(
            &mut stream,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        );
        go_on.send(()).unwrap();
        let answer = Answer::read(&mut stream, false).unwrap();
        assert_eq!((answer.status, answer.text()), (200, "hi"));
        stream.get_mut().write_all(&request("GET", "/public/again", &[], b"")).unwrap();
    }
    assert_eq!(upstream.connections(), 1);
    go_on.send(()).unwrap();
}

#[test]
fn a_client_that_knows_no_interim_responses_gets_none() {
    let (upstream, go_on) = in_two_parts(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let gateway = TestGateway::with(&upstream.config());
    go_on.send(()).unwrap();
    let mut stream = ask(&gateway, b"GET /public/x HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.0 200 OK\r\n");
    // HTTP/2 has them, but no way from here to there: the answer comes alone.
    go_on.send(()).unwrap();
    let get = Request::get("https://localhost/public/x").body(Full::<Bytes>::default()).unwrap();
    let answer = gateway.h2().send(get).unwrap();
    assert_eq!((answer.status, answer.text()), (200, "hi"));
}

#[test]
fn hints_without_an_answer_end_in_a_gateway_time_out() {
    let (upstream, go_on) = in_two_parts("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", "");
    let address = upstream.address;
    let gateway = TestGateway::with(&format!(
        r#"
        [upstream.slow]
        servers = ["http://{address}"]
        response_timeout = "200ms"
        [[route]]
        path = "/*"
        access = "public"
        upstream = "slow"
        "#
    ));
    let mut stream = ask(&gateway, &request("GET", "/x", &[], b""));
    read(&mut stream, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 504 Gateway Timeout\r\n");
    go_on.send(()).unwrap();
}

#[test]
fn events_arrive_as_they_are_sent() {
    for head in ["Transfer-Encoding: chunked", "Connection: close"] {
        let chunk = |text: &str| match head.starts_with("Transfer") {
            true => format!("{:x}\r\n{text}\r\n", text.len()),
            false => text.to_owned(),
        };
        let first = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n{head}\r\n\r\n{}",
            chunk("data: one\n\n")
        );
        let (upstream, go_on) = in_two_parts(first.leak(), chunk("data: two\n\n").leak());
        // Shorter than anybody's patience: events may be further apart than other answers' bytes.
        let config = format!("[limits]\nresponse_idle_timeout = \"1ms\"\n{}", upstream.config());
        let gateway = TestGateway::with(&config);
        let mut stream = ask(&gateway, &request("GET", "/public/x", &[], b""));
        let mut line = String::new();
        while line != "data: one\n" {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "{head}: the stream ended");
        }
        go_on.send(()).unwrap();
        while line != "data: two\n" {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "{head}: the stream ended");
        }
    }
}

#[test]
fn trailers_pass_both_ways() {
    let upstream = Upstream::start(|request, stream| match request.body.is_empty() {
        true => stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  2\r\nhi\r\n0\r\nX-Sum: 7\r\nConnection: close\r\n\r\n",
            )
            .is_ok(),
        false => ok(stream, "seen"),
    });
    let gateway = TestGateway::with(&upstream.config());
    // Down, to whoever takes trailers (RFC 9110, section 6.5.1).
    let answer = gateway.get("/public/x", &["TE: trailers"]);
    assert_eq!((answer.text(), answer.header("trailer x-sum")), ("hi", Some("7")));
    let answer = gateway.get("/public/x", &[]);
    assert_eq!((answer.text(), answer.header("trailer x-sum")), ("hi", None));
    // Up, as announced; never what would be forged in a header.
    let head = "POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                Trailer: X-Sum, X-User-Id\r\n\r\n";
    let answer = gateway.raw(format!("{head}2\r\nhi\r\n0\r\nX-Sum: 7\r\nX-User-Id: 1\r\n\r\n"));
    assert_eq!(answer.expect(200).text(), "seen");
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&seen.body).to_ascii_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
}
