//! Answers that their client does not take, in HTTP/2 and in HTTP/1.1.

use std::{
    io::{Read, Write},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tempfile::TempDir;

use super::{Flooded, odd};
use crate::harness::{
    Process, Scripted, TestGateway,
    frames::{self, Frames, RST_STREAM},
    request,
};

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
