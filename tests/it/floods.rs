//! Floods of what is cheap to send: each ends its connection or stays bounded, and meanwhile others are served.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustls::StreamOwned;
use socket2::SockRef;
use tempfile::TempDir;

use crate::harness::{
    Answer, Client, Process, Scripted, TestGateway, Upstream,
    frames::{
        self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, HEADERS, PING,
        PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
    },
    ok, request,
};

/// A gateway in a process of its own, so that its memory can be read, one worker for all; and an upstream.
struct Flooded {
    gateway: Process,
    upstream: Upstream,
    before: u64,
    _folder: TempDir,
}

impl Flooded {
    fn start() -> Self {
        let upstream = Upstream::start(|request, stream| {
            let length = if request.head().contains("/large") { 500_000 } else { 1000 };
            ok(stream, &"x".repeat(length))
        });
        let folder = TempDir::new().unwrap();
        let config = format!(
            "[limits]\nheader_timeout = \"3s\"\nidle_timeout = \"2s\"\nbody_timeout = \"1s\"\n{}",
            upstream.config()
        );
        let gateway = Process::start(folder.path(), &config);
        gateway.get("/public/warm", &[]).expect(200);
        let before = gateway.resident();
        Self { gateway, upstream, before, _folder: folder }
    }

    /// Lets `flood` run, and asks as another client would meanwhile. What was flooded, and how often, is the flood's.
    fn while_flooded<T: Send + 'static>(&self, flood: impl FnOnce(Client) -> T + Send + 'static) -> T {
        let client: Client = (*self.gateway).clone();
        let flood = thread::spawn(move || flood(client));
        let mut slowest = Duration::ZERO;
        loop {
            let started = Instant::now();
            self.gateway.get("/public/other", &[]).expect(200);
            slowest = slowest.max(started.elapsed());
            if flood.is_finished() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(slowest < Duration::from_secs(2), "another client waited {slowest:?}");
        let grown = self.gateway.resident().saturating_sub(self.before);
        assert!(grown < 48 * 1024, "it grew by {grown} KiB");
        flood.join().unwrap()
    }

    /// Requests that reached the upstream and were not the other client's.
    fn reached(&self) -> usize {
        self.upstream.requests().iter().filter(|request| request.head().contains("/public/x")).count()
    }
}

/// Sends until the connection is ended, at most so often; whether it was broken off, or with which reason it ended:
/// one that was told why is listened to for a while, so that it hears it.
fn ending(mut h2: Frames, most: usize, mut each: impl FnMut(usize) -> Vec<u8>) -> Ended {
    let broken = (0..most).any(|index| h2.send(&each(index)).is_err());
    h2.wait_at_most(Duration::from_secs(7));
    match h2.ended() {
        Some(reason) => Ended::Told(reason),
        None if broken => Ended::Broken,
        None => Ended::Never,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Broken,
    Never,
    Told(u32),
}

impl Ended {
    fn is_calming(self) -> bool {
        matches!(self, Self::Broken | Self::Told(ENHANCE_YOUR_CALM))
    }
}

fn odd(index: usize) -> u32 {
    u32::try_from(2 * index + 1).unwrap()
}

#[test]
fn requests_taken_back_at_once_end_the_connection() {
    let flooded = Flooded::start();
    // Together in one write: most are never looked at. One by one: each is a request, until the credit is spent.
    let ended = flooded.while_flooded(|client| {
        ending(Frames::connect(&client, &[]), 20_000, |index| {
            [frames::get(odd(index), "/public/x"), frames::reset(odd(index))].concat()
        })
    });
    assert!(ended.is_calming(), "{ended:?}");
    let one_by_one = flooded.reached();
    assert!(one_by_one <= 1_000, "{one_by_one} reached the upstream");
    flooded.while_flooded(|client| {
        let mut h2 = Frames::connect(&client, &[]);
        let burst: Vec<u8> = (0..10_000)
            .flat_map(|index| [frames::get(odd(index), "/public/x"), frames::reset(odd(index))].concat())
            .collect();
        let _ = h2.send(&burst);
        h2.ended()
    });
    assert!(flooded.reached() - one_by_one <= 200, "{}", flooded.reached() - one_by_one);
}

/// CVE-2025-8671, MadeYouReset: requests that the client makes the server take back, by breaking the rules of their
/// streams.
#[test]
fn requests_that_we_are_made_to_reset_end_the_connection() {
    for breach in [
        // A window that grows by nothing; or by too much.
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]),
        |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()),
        // A body after the end; a head after the end.
        |stream| frame(DATA, 0, stream, b"x"),
        |stream| frames::get(stream, "/public/x"),
        // A stream that depends on itself.
        |stream: u32| frame(PRIORITY, 0, stream, &[stream.to_be_bytes().to_vec(), vec![1]].concat()),
    ] {
        let flooded = Flooded::start();
        let ended = flooded.while_flooded(move |client| {
            ending(Frames::connect(&client, &[]), 20_000, |index| {
                [frames::get(odd(index), "/public/x"), breach(odd(index))].concat()
            })
        });
        assert_ne!(ended, Ended::Never);
        assert!(flooded.reached() <= 2_500, "{} reached the upstream", flooded.reached());
    }
}

#[test]
fn frames_that_only_cost_end_the_connection() {
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    let empty_head = [frames::post(1, "/public/x"), Vec::new()].concat();
    for (what, once, flood) in [
        ("PING", Vec::new(), frame(PING, 0, 0, &[7; 8])),
        ("PING that answers nothing", Vec::new(), frame(PING, ACK, 0, &[7; 8])),
        ("SETTINGS", Vec::new(), settings.clone()),
        ("SETTINGS without any", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", Vec::new(), frame(PRIORITY, 0, 9, &[0, 0, 0, 7, 1])),
        ("WINDOW_UPDATE", Vec::new(), frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("WINDOW_UPDATE of a stream", empty_head.clone(), frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
        ("RST_STREAM", frames::get(1, "/public/x"), frames::reset(1)),
        ("unknown", Vec::new(), frame(0xfa, 0, 0, &[7; 8])),
        ("DATA without any", empty_head.clone(), frame(DATA, 0, 1, &[])),
        ("DATA with padding alone", empty_head.clone(), frame(DATA, 8, 1, &[3, 0, 0, 0])),
        ("DATA byte by byte", empty_head, frame(DATA, 0, 1, b"x")),
    ] {
        let flooded = Flooded::start();
        let flood = flood.repeat(100);
        let ended = flooded.while_flooded(move |client| {
            let mut h2 = Frames::connect(&client, &[]);
            h2.send(&once).unwrap();
            ending(h2, 10_000, |_| flood.clone())
        });
        assert!(ended.is_calming(), "{what}: {ended:?}");
    }
}

#[test]
fn a_client_that_does_not_read_its_pongs_costs_no_memory() {
    let flooded = Flooded::start();
    flooded.while_flooded(|client| {
        let mut h2 = Frames::connect(&client, &[]);
        let socket = h2.socket();
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        // Whatever blocks the writer, it ends within the time for idle clients.
        let guard = thread::spawn(move || {
            for _ in 0..800 {
                if seen.load(Ordering::SeqCst) {
                    return true;
                }
                thread::sleep(Duration::from_millis(10));
            }
            let _ = socket.shutdown(std::net::Shutdown::Both);
            false
        });
        let flood = [frame(PING, 0, 0, &[7; 8]), frames::get(1, "/public/x")].concat().repeat(1000);
        while h2.send(&flood).is_ok() {}
        ended.store(true, Ordering::SeqCst);
        assert!(guard.join().unwrap(), "it was not cut");
    });
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let block = frames::fields(&[("x", &"y".repeat(1000))]);
    for (what, piece) in [("empty", Vec::new()), ("small", vec![0, 1, b'x', 1, b'y']), ("large", block)] {
        let flooded = Flooded::start();
        let ended = flooded.while_flooded(move |client| {
            let mut h2 = Frames::connect(&client, &[]);
            h2.send(&frame(HEADERS, END_STREAM, 1, &frames::asking("GET", "/public/x"))).unwrap();
            ending(h2, 20_000, |_| frame(CONTINUATION, 0, 1, &piece))
        });
        assert!(ended.is_calming(), "{what}: {ended:?}");
        assert_eq!(flooded.reached(), 0);
    }
}

/// A small block that unpacks to much (RFC 7541, section 7.3).
/// Nobody needs a token to send heads: what waits for its answer is bounded in all, not stream by stream alone.
#[test]
fn large_heads_at_once_are_bounded() {
    let flooded = Flooded::start();
    flooded.while_flooded(|client| {
        let mut h2 = Frames::connect(&client, &[(1, 0)]);
        let long = "x".repeat(28_000);
        let block =
            [frames::asking("POST", "/api/auth/login/"), frames::fields(&[("x-long", &long)])].concat();
        let (begin, rest) = block.split_at(16_384);
        for stream in (0..STREAMS).map(odd) {
            h2.send(&frame(HEADERS, 0, stream, begin)).unwrap();
            h2.send(&frame(CONTINUATION, END_HEADERS, stream, rest)).unwrap();
        }
        let mut refused = Vec::new();
        // A head of 28,000 bytes and a body of up to 64 KiB: there is room for eleven at most.
        while refused.len() < STREAMS - 11 {
            let answer = h2.until(HEADERS).unwrap();
            assert_eq!(answer.status(), 503);
            refused.push(answer.stream);
        }
        let held: Vec<_> = (0..STREAMS).map(odd).filter(|stream| !refused.contains(stream)).collect();
        for stream in &held {
            h2.send(&frames::reset(*stream)).unwrap();
        }
        // Whoever lets go has room again.
        let next = odd(STREAMS);
        h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, next, &frames::asking("GET", "/public/x")))
            .unwrap();
        loop {
            let answer = h2.until(HEADERS).unwrap();
            if answer.stream == next {
                break assert_eq!(answer.status(), 200);
            }
            assert_eq!(answer.status(), 503);
        }
    });
    assert_eq!(flooded.reached(), 1);
}

/// As many as are allowed by default.
const STREAMS: usize = 200;

#[test]
fn a_packed_head_is_measured_unpacked() {
    let flooded = Flooded::start();
    let statuses = flooded.while_flooded(|client| {
        let mut h2 = Frames::connect(&client, &[]);
        // One field of 3,000 bytes into the dynamic table, then named a thousand times, a byte each.
        let mut first = frames::asking("GET", "/public/x");
        let mut field = frames::fields(&[("x", &"y".repeat(3_000))]);
        field[0] = 0x40;
        first.extend(field);
        first.extend(vec![0xbe; 1_000]);
        h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &first)).unwrap();
        h2.wait_at_most(Duration::from_secs(5));
        let mut statuses = Vec::new();
        for stream in (3..200).step_by(2) {
            let mut block = frames::asking("GET", "/public/x");
            block.extend(vec![0xbe; 10_000]);
            if h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).is_err() {
                break;
            }
        }
        while let Some(frame) = h2.next() {
            if frame.kind == HEADERS {
                statuses.push(frame.status());
            }
        }
        statuses
    });
    assert!(statuses.iter().all(|status| *status == 431), "{statuses:?}");
    assert_eq!(flooded.reached(), 0);
}

#[test]
fn malformed_heads_reset_their_stream_or_end_the_connection() {
    let flooded = Flooded::start();
    for fields in [
        &[][..],
        &[("", "x")],
        &[(":method", "GET"), (":scheme", "https"), (":path", "/public/x"), (":authority", "a"), ("", "x")],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("X-Upper", "x"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("connection", "close"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("transfer-encoding", "chunked"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("te", "gzip"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("x", "a\r\nb: c"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            ("content-length", "5"),
        ],
        &[(":method", "GET"), (":scheme", "https"), (":path", ""), (":authority", "a")],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":path", "/"),
            (":authority", "a"),
        ],
        &[("x", "y"), (":method", "GET"), (":scheme", "https"), (":path", "/public/x"), (":authority", "a")],
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/public/x"),
            (":authority", "a"),
            (":status", "200"),
        ],
    ] {
        let mut h2 = Frames::connect(&flooded.gateway, &[]);
        h2.wait_at_most(Duration::from_secs(5));
        h2.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &frames::fields(fields))).unwrap();
        let refused = loop {
            match h2.next() {
                None => break true,
                Some(frame) if frame.kind == RST_STREAM || frame.kind == frames::GOAWAY => break true,
                Some(frame) if frame.kind == HEADERS => break frame.status() >= 400,
                Some(_) => {}
            }
        };
        assert!(refused, "{fields:?}");
    }
    assert_eq!(flooded.reached(), 0, "{:?}", flooded.upstream.requests());
}

/// Windows that stay shut, or open by a byte: an answer that nobody takes is bounded in memory and in time.
#[test]
fn answers_that_nobody_takes_are_let_go() {
    let (upstream, let_go) = Scripted::telling(|mut wire, _| {
        if let Some(head) = wire.head() {
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
            let piece = vec![b'x'; 100_000];
            let whole = (0..400).all(|_| wire.say(&piece));
            return (head.starts_with("GET /socket "), whole);
        }
        (false, false)
    });
    let folder = TempDir::new().unwrap();
    let config = format!("[limits]\nidle_timeout = \"1s\"\n{}", upstream.config());
    let gateway = Process::start(folder.path(), &config);
    let before = gateway.resident();
    for window in [0, 1] {
        let mut h2 = Frames::connect(&gateway, &[(4, window)]);
        for index in 0..100 {
            h2.send(&frames::get(odd(index), "/x")).unwrap();
        }
        let (mut resets, started) = (0, Instant::now());
        while resets < 100 {
            let frame = h2.next().expect("a reset of each stream");
            resets += u32::from(frame.kind == RST_STREAM);
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let grown = gateway.resident().saturating_sub(before);
        assert!(grown < 64 * 1024, "it grew by {grown} KiB");
    }
    // In HTTP/1.1, where it is the socket that fills.
    let mut stream = gateway.connect();
    stream.get_mut().write_all(&request("GET", "/socket", &[], b"")).unwrap();
    let taken_whole = loop {
        if let (true, whole) = let_go.recv_timeout(Duration::from_secs(20)).expect("it is let go") {
            break whole;
        }
    };
    assert!(!taken_whole);
    let mut heard = Vec::new();
    assert!(stream.read_to_end(&mut heard).is_err() && heard.len() < 40_000_000, "{}", heard.len());
}

#[test]
fn heads_that_trickle_are_cut() {
    let flooded = Flooded::start();
    flooded.while_flooded(|client| {
        let mut streams: Vec<_> = (0..50).map(|_| client.connect()).collect();
        for stream in &mut streams {
            stream.get_mut().write_all(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n").unwrap();
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1_500) {
            for stream in &mut streams {
                // Cut already, where the machine is slow.
                let _ = stream.get_mut().write_all(b"X: y\r\n");
            }
            thread::sleep(Duration::from_millis(100));
        }
        let statuses: Vec<_> = streams
            .iter_mut()
            .map(|stream| Answer::read(stream, false).map(|answer| answer.status))
            .collect();
        assert!(statuses.iter().flatten().all(|status| *status == 408), "{statuses:?}");
        assert!(statuses.contains(&Some(408)), "{statuses:?}");
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    });
    assert_eq!(flooded.reached(), 0);
}

#[test]
fn bodies_that_stop_are_cut() {
    let flooded = Flooded::start();
    flooded.while_flooded(|client| {
        let mut streams: Vec<_> = (0..50).map(|_| client.connect()).collect();
        for stream in &mut streams {
            stream.get_mut().write_all(&request("POST", "/public/x", &["Content-Length: 100"], b"")).unwrap();
            stream.get_mut().write_all(b"x").unwrap();
        }
        for stream in &mut streams {
            assert_eq!(Answer::read(stream, false).unwrap().status, 408);
        }
    });
    assert_eq!(flooded.reached(), 0, "none of them was ever whole");
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let upstream = Upstream::start(|request, stream| {
        let number = request.request_line().split(['/', ' ']).nth(3).unwrap().to_owned();
        ok(stream, &number)
    });
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    gateway.get("/public/0", &[]).expect(200);
    let before = gateway.resident();
    let mut stream = gateway.connect();
    const MANY: usize = 5_000;
    let mut writer = stream.get_mut().sock.try_clone().unwrap();
    // A body in one of them, and a refusal in another, must not shift the rest.
    let all: Vec<u8> = (0..MANY)
        .flat_map(|index| match index % 10 {
            3 => request("POST", &format!("/public/{index}"), &[], b"GET /public/666 HTTP/1.1\r\n\r\n"),
            7 => request("GET", "/protected", &[], b""),
            _ => request("GET", &format!("/public/{index}"), &[], b""),
        })
        .collect();
    stream.get_mut().conn.set_buffer_limit(None);
    stream.get_mut().conn.writer().write_all(&all).unwrap();
    let mut sealed = Vec::new();
    while stream.get_ref().conn.is_handshaking() {
        let StreamOwned { conn, sock } = stream.get_mut();
        conn.complete_io(sock).unwrap();
    }
    while stream.get_ref().conn.wants_write() {
        stream.get_mut().conn.write_tls(&mut sealed).unwrap();
    }
    let writing = thread::spawn(move || writer.write_all(&sealed));
    for index in 0..MANY {
        let answer = Answer::read(&mut stream, false).unwrap_or_else(|| panic!("no answer {index}"));
        match index % 10 {
            7 => assert_eq!(answer.status, 401),
            _ => assert_eq!((answer.status, answer.text()), (200, index.to_string().as_str())),
        }
    }
    writing.join().unwrap().unwrap();
    assert!(gateway.resident().saturating_sub(before) < 32 * 1024);
}

#[test]
fn a_client_that_sends_ahead_and_never_reads_is_cut() {
    let flooded = Flooded::start();
    flooded.while_flooded(|client| {
        let mut stream = client.connect();
        let socket = stream.get_ref().sock.try_clone().unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let many = request("GET", "/public/large", &[], b"").repeat(100);
        let started = Instant::now();
        let mut error = None;
        while error.is_none() {
            error = stream.get_mut().write_all(&many).err();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{error:?}");
    });
}

/// Long heads in answer to uploads that have only begun: the next request waits until its client has taken the last
/// answer.
#[test]
fn requests_wait_for_their_turn() {
    let large = format!("HTTP/1.1 204 No Content\r\nX-Large: {}\r\n\r\n", "x".repeat(30_000));
    let (sender, asked) = mpsc::channel();
    let upstream = Scripted::start(move |mut wire, _| {
        while wire.head().is_some() && wire.say(&large) && sender.send(()).is_ok() {
            wire.take(1);
        }
    });
    let gateway = TestGateway::with(&format!(
        "[listen]\nhttps = \"off\"\nplain = \"127.0.0.1:0\"\nworkers = 1\n[limits]\nidle_timeout = \"3s\"\n{}",
        upstream.config()
    ));
    let mut stream = gateway.client().socket();
    SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
    let head = request("POST", "/x", &["Content-Length: 1"], b"");
    let mut passed_on = 0;
    while passed_on < MANY && stream.write_all(&head).is_ok() {
        // What the sockets hold is passed on, and no more. The client is cut off in the end, since it reads nothing.
        if asked.recv_timeout(Duration::from_secs(5)).is_err() {
            break;
        }
        passed_on += 1;
        // The trick needs an answer that is there before the rest of its request. It is no wait for anything to be true:
        // without it the test passes as well.
        thread::sleep(Duration::from_millis(5));
        if stream.write_all(b"x").is_err() {
            break;
        }
    }
    assert!(passed_on > 0 && passed_on < MANY, "{passed_on}");
    const MANY: usize = 400;
}

#[test]
fn what_is_endless_in_http1_is_bounded() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        "[limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nheader_size = \"8KiB\"\n{}",
        upstream.config()
    ));
    let chunked = request("POST", "/public/x", &["Transfer-Encoding: chunked"], b"");
    let after = |start: &[u8], piece: &[u8]| (start.to_vec(), piece.repeat(50));
    for (what, (start, piece)) in [
        ("empty lines before a request", after(b"", b"\r\n")),
        ("fields", after(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n")),
        ("one field", after(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"xxxxxx")),
        ("a request line", after(b"GET /", b"xxxxxx")),
        ("the extension of a chunk", after(&[&chunked[..], b"5;"].concat(), b"xxxxxx")),
        ("extensions of chunks", after(&chunked, b"1;extension=of-a-chunk\r\nx\r\n")),
        ("the size of a chunk", after(&chunked, b"00000")),
        ("trailers", after(&[&chunked[..], b"0\r\n"].concat(), b"X: y\r\n")),
        ("one trailer", after(&[&chunked[..], b"0\r\nX: "].concat(), b"xxxxxx")),
    ] {
        let mut stream = gateway.connect();
        stream.get_ref().sock.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.get_mut().write_all(&start).unwrap();
        let broken = (0..10_000).any(|_| stream.get_mut().write_all(&piece).is_err());
        let started = Instant::now();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        let heard = String::from_utf8_lossy(&heard);
        assert!(started.elapsed() < Duration::from_secs(10), "{what}: never ended");
        assert!(broken || heard.starts_with("HTTP/1.1 4"), "{what}: {heard}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_body_in_the_smallest_chunks_passes() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let mut bytes = request("POST", "/public/x", &["Transfer-Encoding: chunked"], b"");
    bytes.extend(b"1\r\nx\r\n".repeat(2_000));
    bytes.extend(b"0\r\n\r\n");
    gateway.raw(bytes).expect(200);
    let seen = upstream.only().body;
    assert_eq!(seen.iter().filter(|byte| **byte == b'x').count(), 2_000);
}
