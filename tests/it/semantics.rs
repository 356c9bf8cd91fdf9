//! What HTTP means by methods, statuses and framings crosses as it is, in both versions; the upstream's bytes and the
//! client's are the judges.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tempfile::TempDir;

use crate::harness::{
    Answer, Process, Scripted, TestGateway, Upstream, Wire,
    frames::{self, DATA, END_STREAM, Frames, HEADERS},
    ok, request,
};

/// What an upstream answers, and what each client must then have: status, some of the head, the body.
struct Case {
    method: &'static str,
    said: &'static str,
    status: u16,
    fields: &'static [(&'static str, Option<&'static str>)],
    body: &'static str,
    /// Whether the upstream's connection serves again.
    kept: bool,
}

const fn case(
    method: &'static str,
    said: &'static str,
    status: u16,
    fields: &'static [(&'static str, Option<&'static str>)],
    body: &'static str,
) -> Case {
    Case { method, said, status, fields, body, kept: true }
}

const fn closing(case: Case) -> Case {
    Case { kept: false, ..case }
}

const ANSWERS: [Case; 26] = [
    case(
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        &[("content-length", Some("5"))],
        "hello",
    ),
    case(
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        200,
        &[("content-length", None)],
        "hello",
    ),
    case("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, &[("content-length", Some("0"))], ""),
    case("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, &[], ""),
    closing(case(
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        200,
        &[],
        "hello",
    )),
    closing(case(
        "GET",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        &[("content-length", Some("5"))],
        "hello",
    )),
    case(
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n",
        200,
        &[("content-length", Some("12345")), ("etag", Some("\"x\""))],
        "",
    ),
    case("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, &[], ""),
    case("HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, &[], ""),
    case(
        "HEAD",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
        404,
        &[("content-length", Some("9"))],
        "",
    ),
    closing(case(
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        200,
        &[("content-length", Some("5"))],
        "",
    )),
    case(
        "GET",
        "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        204,
        &[("content-length", None), ("x-a", Some("1"))],
        "",
    ),
    case("DELETE", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, &[], ""),
    // Its length is not told in HTTP/1.1 (hyper leaves it out, as RFC 9110, section 8.6, allows); it is no body anyway.
    case(
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n",
        304,
        &[("etag", Some("\"x\""))],
        "",
    ),
    case("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, &[("content-length", None)], ""),
    case(
        "POST",
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        205,
        &[("content-length", Some("0"))],
        "",
    ),
    case(
        "GET",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\nllo",
        206,
        &[("content-range", Some("bytes 2-4/9"))],
        "llo",
    ),
    case(
        "GET",
        "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: 63\r\n\r\n--b\r\nContent-Range: bytes 0-0/9\r\n\r\nh\r\n--b\r\nContent-Range: x\r\n\r\n",
        206,
        &[("content-type", Some("multipart/byteranges; boundary=b"))],
        "--b\r\nContent-Range: bytes 0-0/9\r\n\r\nh\r\n--b\r\nContent-Range: x\r\n\r\n",
    ),
    case(
        "GET",
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n",
        416,
        &[("content-range", Some("bytes */9"))],
        "",
    ),
    case(
        "GET",
        "HTTP/1.1 301 Moved\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nhi",
        301,
        &[("location", Some("/y"))],
        "hi",
    ),
    case("GET", "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi", 299, &[], "hi"),
    case("GET", "HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nhi", 599, &[], "hi"),
    case("PUT", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, &[], ""),
    case(
        "OPTIONS",
        "HTTP/1.1 200 OK\r\nAllow: GET, PROPFIND\r\nContent-Length: 0\r\n\r\n",
        200,
        &[("allow", Some("GET, PROPFIND"))],
        "",
    ),
    case("PROPFIND", "HTTP/1.1 207 Multi-Status\r\nContent-Length: 6\r\n\r\n<all/>", 207, &[], "<all/>"),
    case("BREW", "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 5\r\n\r\nshort", 418, &[], "short"),
];

fn check(answer: &Answer, case: &Case, version: &str) {
    let which = format!("{version} {} {:?}", case.method, case.said);
    assert_eq!((answer.status, answer.text(), answer.whole), (case.status, case.body, true), "{which}");
    for (name, value) in case.fields {
        assert_eq!(answer.header(name), *value, "{which}: {name} in {:?}", answer.headers);
    }
    assert!(version == "HTTP/1.1" || answer.header("transfer-encoding").is_none(), "{which}");
}

#[test]
fn answers_cross_as_they_are() {
    for case in ANSWERS {
        let said = case.said;
        let upstream = Scripted::start(move |mut wire, _| {
            while wire.head().is_some() {
                wire.say(said);
            }
        });
        let gateway = TestGateway::with(&upstream.config());
        // The client's connection serves all: what is left of one answer would be the next one's beginning.
        let mut stream = gateway.connect();
        for _ in 0..3 {
            stream.get_mut().write_all(&request(case.method, "/x", &[], b"")).unwrap();
            let answer = Answer::read(&mut stream, case.method == "HEAD")
                .unwrap_or_else(|| panic!("{} {said:?}: closed", case.method));
            check(&answer, &case, "HTTP/1.1");
        }
        let h2 = gateway.h2();
        for _ in 0..2 {
            let request = Request::builder()
                .method(case.method)
                .uri("https://localhost/x")
                .body(Full::<Bytes>::default())
                .unwrap();
            check(&h2.send(request).unwrap(), &case, "HTTP/2");
        }
        let connections = upstream.connections();
        assert_eq!(connections, if case.kept { 1 } else { 5 }, "{} {said:?}", case.method);
    }
}

/// What the client sends, and what the upstream must get: the request line, how the body is framed, the body.
const REQUESTS: [(&str, &str, &str, &[&str], &str); 18] = [
    ("GET /x HTTP/1.1", "", "GET /x HTTP/1.1", &[], ""),
    ("GET /x HTTP/1.1", "Content-Length: 5\r\n\r\nhello", "GET /x HTTP/1.1", &["content-length: 5"], "hello"),
    (
        "GET /x HTTP/1.1",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "GET /x HTTP/1.1",
        &["transfer-encoding: chunked"],
        "5\r\nhello\r\n0\r\n\r\n",
    ),
    ("HEAD /x HTTP/1.1", "", "HEAD /x HTTP/1.1", &[], ""),
    ("POST /x HTTP/1.1", "Content-Length: 0\r\n\r\n", "POST /x HTTP/1.1", &["content-length: 0"], ""),
    ("POST /x HTTP/1.1", "", "POST /x HTTP/1.1", &["content-length: 0"], ""),
    ("PUT /x HTTP/1.1", "", "PUT /x HTTP/1.1", &["content-length: 0"], ""),
    (
        "POST /x HTTP/1.1",
        "Content-Length: 5\r\n\r\nhello",
        "POST /x HTTP/1.1",
        &["content-length: 5"],
        "hello",
    ),
    (
        "POST /x HTTP/1.1",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        "POST /x HTTP/1.1",
        &["transfer-encoding: chunked"],
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ),
    (
        "POST /x HTTP/1.1",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1",
        &["transfer-encoding: chunked"],
        "0\r\n\r\n",
    ),
    ("DELETE /x HTTP/1.1", "", "DELETE /x HTTP/1.1", &[], ""),
    (
        "DELETE /x HTTP/1.1",
        "Content-Length: 5\r\n\r\nhello",
        "DELETE /x HTTP/1.1",
        &["content-length: 5"],
        "hello",
    ),
    ("OPTIONS /x HTTP/1.1", "", "OPTIONS /x HTTP/1.1", &[], ""),
    (
        "PROPFIND /x HTTP/1.1",
        "Depth: 1\r\nContent-Length: 6\r\n\r\n<all/>",
        "PROPFIND /x HTTP/1.1",
        &["content-length: 6", "depth: 1"],
        "<all/>",
    ),
    ("BREW /x HTTP/1.1", "", "BREW /x HTTP/1.1", &[], ""),
    ("get /x HTTP/1.1", "", "get /x HTTP/1.1", &[], ""),
    ("GET /x HTTP/1.0", "", "GET /x HTTP/1.1", &[], ""),
    ("GET https://localhost/x?y HTTP/1.1", "", "GET /x?y HTTP/1.1", &[], ""),
];

#[test]
fn requests_cross_as_they_are() {
    for (line, rest, expected, fields, body) in REQUESTS {
        let upstream = Upstream::start(|request, stream| match request.request_line().starts_with("HEAD") {
            // A body would come into the next exchange.
            true => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").is_ok(),
            false => ok(stream, "seen"),
        });
        let gateway = TestGateway::with(
            &upstream.config().replace("path = \"/*\"", "path = \"/*\"\naccess = \"public\"").replace(
                "[[route]]\n            path = \"/public/*\"",
                "[[route]]\n            path = \"/other/*\"",
            ),
        );
        let rest = if rest.is_empty() { "\r\n" } else { rest };
        let mut stream = gateway.connect();
        write!(stream.get_mut(), "{line}\r\nHost: localhost\r\n{rest}").unwrap();
        let answer = Answer::read(&mut stream, line.starts_with("HEAD")).unwrap();
        assert_eq!(answer.status, 200, "{line} {rest:?}");
        if !line.ends_with("1.0") {
            stream.get_mut().write_all(&request("GET", "/again", &[], b"")).unwrap();
            Answer::read(&mut stream, false).unwrap().expect(200);
        }
        let requests = upstream.requests();
        let seen = &requests[0];
        assert_eq!(seen.request_line(), expected, "{line} {rest:?}");
        let framing: Vec<_> = seen
            .lines()
            .into_iter()
            .skip(1)
            .filter(|line| !line.starts_with("x-") && !line.starts_with("host"))
            .map(str::to_owned)
            .collect();
        assert_eq!(framing, fields, "{line} {rest:?}");
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "{line} {rest:?}");
    }
}

#[test]
fn requests_of_http2_are_framed_for_http1() {
    for (method, length, data, expected, body) in [
        ("GET", None, &[][..], None, ""),
        ("POST", None, &[], Some("content-length: 0"), ""),
        ("POST", Some("0"), &[], Some("content-length: 0"), ""),
        ("POST", Some("5"), &["hel", "lo"], Some("content-length: 5"), "hello"),
        (
            "POST",
            None,
            &["hel", "lo"],
            Some("transfer-encoding: chunked"),
            "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ),
        ("DELETE", Some("5"), &["hello"], Some("content-length: 5"), "hello"),
        ("PROPFIND", None, &["<all/>"], Some("transfer-encoding: chunked"), "6\r\n<all/>\r\n0\r\n\r\n"),
    ] {
        let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
        let gateway = TestGateway::with(&upstream.config());
        let mut h2 = Frames::connect(&gateway, &[]);
        let mut block = frames::asking(method, "/public/x");
        block.extend(frames::fields(
            &length.map(|length| ("content-length", length)).into_iter().collect::<Vec<_>>(),
        ));
        let end = if data.is_empty() { END_STREAM } else { 0 };
        h2.send(&frames::frame(HEADERS, frames::END_HEADERS | end, 1, &block)).unwrap();
        for (index, piece) in data.iter().enumerate() {
            // Each piece is on its way before the next: they are not joined.
            while upstream.connections() == 0 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(20));
            let end = if index + 1 == data.len() { END_STREAM } else { 0 };
            h2.send(&frames::frame(DATA, end, 1, piece.as_bytes())).unwrap();
        }
        assert_eq!(h2.until(HEADERS).unwrap().status(), 200);
        let seen = upstream.only();
        let framing = seen
            .lines()
            .into_iter()
            .find(|line| line.contains("content-length") || line.contains("transfer"));
        assert_eq!(
            (framing, String::from_utf8_lossy(&seen.body).as_ref()),
            (expected, body),
            "{method} {length:?}"
        );
    }
}

#[test]
fn a_question_to_the_whole_server_goes_nowhere() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        "[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"http://{}\"\n",
        upstream.address
    ));
    // No route takes it, so nobody has an answer.
    gateway.raw("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(400);
    assert_eq!(upstream.requests(), []);
}

const LARGE: usize = 64 << 20;

/// A gateway in a process of its own, whose memory is looked at while bodies pass.
fn streaming(serve: impl Fn(Wire, usize) + Send + Sync + 'static) -> (Process, Scripted, TempDir) {
    let upstream = Scripted::start(serve);
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    (gateway, upstream, folder)
}

fn grown(gateway: &Process, before: u64) {
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "it grew by {grown} KiB");
}

/// 64 MiB in each direction at once, neither waiting for the other's end: memory stays as it is.
#[test]
fn large_bodies_pass_both_ways_at_once() {
    let (gateway, _upstream, _folder) = streaming(|mut wire, _| {
        while wire.head().is_some() {
            wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            let mut echoed = 0;
            while echoed < LARGE {
                let piece = wire.take(65_536.min(LARGE - echoed));
                if piece.is_empty() || !wire.say(&piece) {
                    return;
                }
                echoed += piece.len();
            }
        }
    });
    let mut warm = gateway.connect();
    warm.get_mut().write_all(b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    Answer::read(&mut warm, false).unwrap().expect(400);
    let before = gateway.resident();
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("POST", "/x", &[&format!("Content-Length: {LARGE}")], b"")).unwrap();
    // Echoed piece by piece: more than all buffers hold, and the client never sends all before it reads.
    let piece: Vec<u8> = (0..65_536_u32).map(|index| (index % 251) as u8).collect();
    let mut heard = vec![0; piece.len()];
    stream.get_mut().write_all(&piece).unwrap();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.clear();
        std::io::BufRead::read_until(&mut stream, b'\n', &mut heard).unwrap();
        if heard == b"\r\n" {
            break;
        }
    }
    heard = vec![0; piece.len()];
    for index in 1..=LARGE / piece.len() {
        if index < LARGE / piece.len() {
            stream.get_mut().write_all(&piece).unwrap();
        }
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, piece);
        if index % 256 == 0 {
            grown(&gateway, before);
        }
    }
}

#[test]
fn large_bodies_pass_at_the_pace_of_the_slower_side() {
    let (gateway, _upstream, _folder) = streaming(|mut wire, number| {
        while let Some(head) = wire.head() {
            if head.starts_with("POST") {
                // Reads nothing for a while: what the client sends must wait where it is.
                thread::sleep(Duration::from_millis(500));
                assert_eq!(wire.take(LARGE).len(), LARGE, "{number}");
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            } else {
                wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                let piece = vec![b'x'; 1 << 20];
                for _ in 0..LARGE >> 20 {
                    if !wire.say(&piece) {
                        return;
                    }
                }
            }
        }
    });
    gateway.get("/%00", &[]).expect(400);
    let before = gateway.resident();
    // Up, in both versions.
    let answer = gateway.request("POST", "/x", &[], &vec![b'x'; LARGE]);
    assert_eq!(answer.status, 200);
    grown(&gateway, before);
    let h2 = crate::harness::H2::connect(&gateway);
    let up = Request::post("https://localhost/x").body(Full::from(vec![b'x'; LARGE])).unwrap();
    h2.send(up).unwrap().expect(200);
    grown(&gateway, before);
    // Down, the client idle at first.
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
    thread::sleep(Duration::from_millis(500));
    grown(&gateway, before);
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_eq!((answer.body.len(), answer.whole), (LARGE, true));
    let down = Request::get("https://localhost/x").body(Full::default()).unwrap();
    assert_eq!(h2.send(down).unwrap().body.len(), LARGE);
    grown(&gateway, before);
}

/// An upstream that has heard enough: its answer reaches a client that is still sending, and nothing else is broken.
#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    for (close, http2) in [(false, false), (true, false), (false, true), (true, true)] {
        let upstream = Scripted::start(move |mut wire, _| {
            wire.head();
            wire.take(10_000);
            wire.say(if close {
                "HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 4\r\n\r\nstop"
            } else {
                "HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop"
            });
            if !close {
                wire.rest();
            }
        });
        let gateway = TestGateway::with(&upstream.config());
        if http2 {
            let mut h2 = Frames::connect(&gateway, &[]);
            h2.send(&frames::post(1, "/x")).unwrap();
            for _ in 0..6 {
                h2.send(&frames::frame(DATA, 0, 1, &[b'x'; 10_000])).unwrap();
            }
            assert_eq!(h2.until(HEADERS).unwrap().status(), 413);
            assert_eq!(h2.until(DATA).unwrap().payload, b"stop");
            h2.send(&frames::get(3, "/%00")).unwrap();
            assert_eq!(h2.until(HEADERS).unwrap().status(), 400);
            continue;
        }
        let mut stream = gateway.connect();
        stream.get_mut().write_all(&request("POST", "/x", &["Content-Length: 3000000"], b"")).unwrap();
        let started = Instant::now();
        for _ in 0..300 {
            if stream.get_mut().write_all(&[b'x'; 10_000]).is_err() {
                break;
            }
        }
        let answer = Answer::read(&mut stream, false).unwrap_or_else(|| panic!("no answer, {close}"));
        assert_eq!((answer.status, answer.text()), (413, "stop"), "{close}");
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    }
}
