//! HTTP/1.1: bodies that stop, requests sent ahead, and whatever a message can hold without end.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use rustls::StreamOwned;
use tempfile::TempDir;

use super::Flooded;
use crate::harness::{Answer, Process, TestGateway, Upstream, ok, request};

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
