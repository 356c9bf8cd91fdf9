//! What broke on one side is never whole on the other.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::harness::{
    Answer, Ending, Scripted, TestGateway, Wire,
    frames::{self, DATA, END_STREAM, Frames, HEADERS, INTERNAL_ERROR, RST_STREAM},
    request,
};

/// All bytes of an answer, and how the connection ended: `Ok` in order, that is with TLS's own goodbye.
fn hear(gateway: &TestGateway, bytes: &[u8]) -> (String, io::Result<()>) {
    let mut stream = gateway.connect();
    stream.get_mut().write_all(bytes).unwrap();
    let mut heard = Vec::new();
    let ended = stream.read_to_end(&mut heard).map(|_| ());
    (String::from_utf8(heard).unwrap(), ended)
}

fn is_broken(ended: &io::Result<()>) -> bool {
    ended.as_ref().is_err_and(|error| {
        matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    })
}

/// The ways in which an upstream dies in mid-answer: what it says, and whether it ends with a reset.
const DEATHS: [(&str, bool); 11] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno size\r\n", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nno trailer\r\n\r\n", false),
    ("HTTP/1.1 200 OK\r\n\r\nhalf", true),
    ("HTTP/1.0 200 OK\r\n\r\nhalf", true),
];

/// An upstream that says this and dies, the answer's start taken by the client before.
fn dying(said: &'static str, with_reset: bool) -> (Scripted, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let upstream = Scripted::start(move |mut wire, _| {
        if wire.head().is_some() {
            wire.say(said);
            let _ = told.lock().unwrap().recv();
            if with_reset {
                wire.reset();
            }
        }
    });
    (upstream, go)
}

#[test]
fn an_upstream_that_dies_in_mid_answer_is_never_a_whole_answer() {
    for (said, with_reset) in DEATHS {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let (upstream, die) = dying(said, with_reset);
            let gateway = TestGateway::with(&upstream.config());
            let mut stream = gateway.connect();
            write!(stream.get_mut(), "GET /x {version}\r\nHost: localhost\r\n\r\n").unwrap();
            let mut heard = Vec::new();
            let wanted: &[u8] = if said.contains("half") { b"half" } else { b"\r\n\r\n" };
            while !heard.windows(wanted.len()).any(|window| window == wanted) {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                heard.push(byte[0]);
            }
            die.send(()).unwrap();
            let ended = stream.read_to_end(&mut heard).map(|_| ());
            let heard = String::from_utf8(heard).unwrap();
            let case = format!("{version} {said:?} {with_reset}: {heard:?} {ended:?}");
            // An end before the length, or before the last chunk, or without TLS's goodbye; best all of it.
            assert!(!heard.ends_with("0\r\n\r\n"), "{case}");
            assert!(is_broken(&ended), "{case}");
        }
        let (upstream, die) = dying(said, with_reset);
        let gateway = TestGateway::with(&upstream.config());
        let mut h2 = Frames::connect(&gateway, &[]);
        h2.send(&frames::get(1, "/x")).unwrap();
        if said.contains("half") {
            h2.until(DATA).unwrap();
        } else {
            h2.until(HEADERS).unwrap();
        }
        die.send(()).unwrap();
        let end = loop {
            let frame = h2.next().unwrap();
            assert_eq!(frame.flags & END_STREAM, 0, "{said:?}: {frame:?}");
            if frame.kind == RST_STREAM {
                break frame;
            }
        };
        assert_eq!((end.stream, end.code()), (1, INTERNAL_ERROR), "{said:?}");
        // That stream alone.
        drop((upstream, h2));
        let log = gateway.stop();
        assert_eq!(log[0]["aborted"], true, "{said:?}: {log:?}");
    }
}

#[test]
fn an_upstream_that_falls_silent_in_mid_answer_is_an_error() {
    let upstream = Scripted::start(|mut wire, _| {
        if wire.head().is_some() {
            wire.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
            wire.rest();
        }
    });
    let gateway =
        TestGateway::with(&format!("[limits]\nresponse_idle_timeout = \"300ms\"\n{}", upstream.config()));
    let (heard, ended) = hear(&gateway, &request("GET", "/x", &[], b""));
    assert!(heard.ends_with("4\r\nhalf\r\n") && is_broken(&ended), "{heard:?} {ended:?}");
}

/// A server of HTTP/1.0, or one that marks no end: whole when the connection ends in order, and told in whatever
/// framing the client understands.
#[test]
fn an_answer_that_ends_with_its_connection_is_framed_for_the_client() {
    for said in ["HTTP/1.0 200 OK\r\n\r\nwhole", "HTTP/1.1 200 OK\r\n\r\nwhole"] {
        let upstream = Scripted::start(move |mut wire, _| {
            if wire.head().is_some() {
                wire.say(said);
            }
        });
        let gateway = TestGateway::with(&upstream.config());
        let (heard, ended) = hear(&gateway, &request("GET", "/x", &["Connection: close"], b""));
        assert!(heard.contains("transfer-encoding: chunked\r\n"), "{heard:?}");
        assert!(heard.ends_with("\r\n\r\n5\r\nwhole\r\n0\r\n\r\n") && ended.is_ok(), "{heard:?} {ended:?}");
        let (heard, ended) = hear(&gateway, b"GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert!(heard.starts_with("HTTP/1.0 200 OK\r\n") && !heard.contains("chunked"), "{heard:?}");
        assert!(heard.ends_with("\r\n\r\nwhole") && ended.is_ok(), "{heard:?} {ended:?}");
        // Nor is it chunked for a client of HTTP/1.0 that wants to stay.
        let (heard, ended) =
            hear(&gateway, b"GET /x HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
        assert!(heard.ends_with("\r\n\r\nwhole") && !heard.contains("chunked") && ended.is_ok(), "{heard:?}");
    }
}

/// What the upstream saw of a request whose client went away: what came, how it ended, and after how long.
type Seen = (String, Vec<u8>, Ending, Duration);

fn watching(before: usize, said: &'static str) -> (Scripted, mpsc::Receiver<()>, mpsc::Receiver<Seen>) {
    let (arrived, arrival) = mpsc::channel();
    let (upstream, seen) = Scripted::telling(move |mut wire: Wire, _| {
        let head = wire.head().unwrap_or_default();
        let mut body = wire.take(before);
        wire.say(said);
        let _ = arrived.send(());
        let started = Instant::now();
        let (rest, ending) = wire.rest();
        body.extend(rest);
        (head, body, ending, started.elapsed())
    });
    (upstream, arrival, seen)
}

#[test]
fn a_client_that_goes_away_takes_its_request_along() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"] {
        let (upstream, arrival, seen) = watching(0, said);
        let gateway = TestGateway::with(&upstream.config());
        let mut stream = gateway.connect();
        stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
        arrival.recv().unwrap();
        if !said.is_empty() {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
        }
        drop(stream);
        let (_, _, ending, took) = seen.recv().unwrap();
        assert_ne!(ending, Ending::Open);
        assert!(took < Duration::from_secs(1), "HTTP/1.1 {said:?}: {took:?}");

        for hang_up in [false, true] {
            let mut h2 = Frames::connect(&gateway, &[]);
            h2.send(&frames::get(1, "/x")).unwrap();
            arrival.recv().unwrap();
            if !said.is_empty() {
                h2.until(HEADERS).unwrap();
            }
            if hang_up {
                h2.hang_up()
            } else {
                h2.send(&frames::reset(1)).unwrap()
            }
            let (_, _, ending, took) = seen.recv().unwrap();
            assert_ne!(ending, Ending::Open);
            assert!(took < Duration::from_secs(1), "HTTP/2 {hang_up} {said:?}: {took:?}");
        }
        // None of these was used again.
        assert_eq!(upstream.connections(), 3);
    }
}

#[test]
fn an_upload_that_breaks_off_is_never_whole() {
    let (upstream, arrival, seen) = watching(4, "");
    let gateway = TestGateway::with(&upstream.config());
    let head = |line: &str| request("POST", "/x", &[line], b"");
    for (bytes, hang_up) in [
        ([head("Content-Length: 10"), b"half".to_vec()].concat(), true),
        ([head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n".to_vec()].concat(), true),
        ([head("Transfer-Encoding: chunked"), b"9\r\nhalf".to_vec()].concat(), true),
        ([head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n0\r\n".to_vec()].concat(), true),
        // Broken by the client's own words: the connection stays, the framing is gone.
        ([head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\nno size\r\n".to_vec()].concat(), false),
        ([head("Transfer-Encoding: chunked"), b"4\r\nhalfno end\r\n".to_vec()].concat(), false),
        (
            [head("Transfer-Encoding: chunked"), b"4\r\nhalf\r\n0\r\nno trailer\r\n\r\n".to_vec()].concat(),
            false,
        ),
    ] {
        let case = String::from_utf8(bytes.clone()).unwrap();
        let mut stream = gateway.connect();
        stream.get_mut().write_all(&bytes).unwrap();
        arrival.recv().unwrap();
        if hang_up {
            drop(stream);
        } else {
            let answer = Answer::read(&mut stream, false).unwrap_or_else(|| panic!("no answer: {case}"));
            assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{case}");
        }
        let (upstream_head, body, ending, _) = seen.recv().unwrap();
        let body = String::from_utf8(body).unwrap();
        let whole =
            if upstream_head.contains("chunked") { body.ends_with("0\r\n\r\n") } else { body.len() >= 10 };
        assert!(!whole && ending != Ending::Open, "{case:?}: {body:?} {ending:?}");
    }
    // In HTTP/2: taken back; and shorter, or longer, than announced.
    for (length, end) in [
        (None, frames::reset(1)),
        (Some("10"), frames::frame(DATA, END_STREAM, 1, b"")),
        (Some("5"), frames::frame(DATA, END_STREAM, 1, b"too much")),
    ] {
        let mut h2 = Frames::connect(&gateway, &[]);
        let mut block = frames::asking("POST", "/x");
        block.extend(frames::fields(
            &length.map(|length| ("content-length", length)).into_iter().collect::<Vec<_>>(),
        ));
        h2.send(&frames::frame(HEADERS, frames::END_HEADERS, 1, &block)).unwrap();
        h2.send(&frames::frame(DATA, 0, 1, b"half")).unwrap();
        arrival.recv().unwrap();
        h2.send(&end).unwrap();
        let (upstream_head, body, ending, _) = seen.recv().unwrap();
        let body = String::from_utf8(body).unwrap();
        let announced = length.map_or(usize::MAX, |length| length.parse().unwrap());
        let whole = if upstream_head.contains("chunked") {
            body.ends_with("0\r\n\r\n")
        } else {
            body.len() >= announced
        };
        assert!(!whole && ending != Ending::Open, "{length:?}: {body:?} {ending:?}");
    }
}

/// Answers beside the one that was asked for, and between two requests: what an attacker leaves in a connection for the next client
/// must find no next client.
#[test]
fn a_connection_that_says_more_than_it_was_asked_serves_nobody_else() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood\r\n",
    ] {
        let upstream = Scripted::start(move |mut wire, _| {
            if wire.head().is_some() {
                wire.say(said);
            }
            wire.rest();
        });
        let gateway = TestGateway::with(&upstream.config());
        for number in 1..=3 {
            let answer = gateway.get("/x", &[]);
            assert!(!answer.text().contains("evil"), "{said:?}");
            assert_eq!(upstream.connections(), number, "{said:?}");
        }
        // The body of an answer to HEAD is the next answer.
        let answer = gateway.request("HEAD", "/x", &[], b"");
        assert!(!answer.text().contains("evil"), "{said:?}");
        gateway.get("/x", &[]);
        assert_eq!(upstream.connections(), 5, "{said:?}");
    }
    // Said while nobody has asked: at the start of a connection, and between two requests.
    let (go, told) = mpsc::channel::<()>();
    let (said, heard) = mpsc::channel::<()>();
    let (told, said) = (std::sync::Mutex::new(told), std::sync::Mutex::new(said));
    let upstream = Scripted::start(move |mut wire, number| {
        if number == 0 {
            wire.head();
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
            told.lock().unwrap().recv().unwrap();
            wire.say(EVIL);
            said.lock().unwrap().send(()).unwrap();
        } else {
            wire.head();
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean");
        }
        wire.rest();
    });
    let gateway = TestGateway::with(&upstream.config());
    assert_eq!(gateway.get("/x", &[]).text(), "good");
    go.send(()).unwrap();
    heard.recv().unwrap();
    // It may have been seen or not; either way it is nobody's answer.
    let answer = gateway.get("/x", &[]);
    assert_ne!(answer.text(), "evil");
}
