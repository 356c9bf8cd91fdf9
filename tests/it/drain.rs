//! The end: nothing accepted is dropped, nothing new is accepted, and it ends in time.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tempfile::TempDir;

use crate::harness::{
    Answer, H2, Process, Scripted, Upstream,
    frames::{self, DATA, END_STREAM, Frames, GOAWAY, HEADERS},
    ok, request,
};

/// Waits until the gateway says that it drains: after the delay, if there is one, it accepts nothing.
fn drain(gateway: &Process) {
    gateway.signal("-TERM");
    while !gateway.said().contains("Draining") {
        thread::yield_now();
    }
}

/// An upstream that says a head, waits until it is told, and says the rest. What it is asked while it waits, it
/// reports.
fn held() -> (Scripted, mpsc::Sender<()>, mpsc::Receiver<String>) {
    let (go, told) = mpsc::channel::<()>();
    let (asked, heads) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Scripted::start(move |mut wire, _| {
        while let Some(head) = wire.head() {
            let length = if head.contains("content-length: 8") { 8 } else { 0 };
            let early = head.contains("/early");
            if early {
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
            }
            asked.send(head).unwrap();
            let body = wire.take(length);
            if !early {
                told.lock().unwrap().recv().unwrap();
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
            } else {
                told.lock().unwrap().recv().unwrap();
            }
            assert_eq!(body.len(), length);
            wire.say("half");
        }
    });
    (upstream, go, heads)
}

#[test]
fn what_is_in_flight_is_finished_and_nothing_else_is_begun() {
    let (upstream, go, asked) = held();
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    let address = gateway.socket().peer_addr().unwrap();

    let mut idle = gateway.connect();
    idle.get_mut().write_all(b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    Answer::read(&mut idle, false).unwrap().expect(400);
    let mut idle_h2 = Frames::connect(&gateway, &[]);
    idle_h2.send(&frames::get(1, "/%00")).unwrap();
    idle_h2.until(HEADERS).unwrap();

    // Head sent; and, behind it, the next request.
    let mut head_sent = gateway.connect();
    let ahead = [request("GET", "/head", &[], b""), request("GET", "/second", &[], b"")].concat();
    head_sent.get_mut().write_all(&ahead).unwrap();
    asked.recv().unwrap();
    // Body half sent.
    let mut half_sent = gateway.connect();
    half_sent.get_mut().write_all(&request("POST", "/body", &["Content-Length: 8"], b"")).unwrap();
    half_sent.get_mut().write_all(b"half").unwrap();
    asked.recv().unwrap();
    // Answer half received.
    let mut half_received = gateway.connect();
    half_received.get_mut().write_all(&request("GET", "/early", &[], b"")).unwrap();
    asked.recv().unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\nhalf") {
        let mut byte = [0];
        half_received.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    // Streams of HTTP/2: a question, an upload.
    let mut h2 = Frames::connect(&gateway, &[]);
    h2.send(&frames::get(1, "/head")).unwrap();
    asked.recv().unwrap();
    let mut upload = frames::asking("POST", "/body");
    upload.extend(frames::fields(&[("content-length", "8")]));
    h2.send(&frames::frame(HEADERS, frames::END_HEADERS, 3, &upload)).unwrap();
    h2.send(&frames::frame(DATA, 0, 3, b"half")).unwrap();
    asked.recv().unwrap();

    drain(&gateway);
    // Idle connections end, in order; HTTP/2 is told goodbye.
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(idle_h2.until(GOAWAY).unwrap().code(), 0);
    assert_eq!(h2.until(GOAWAY).unwrap().code(), 0);
    // Nobody new comes in.
    let refused = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(error) => break assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
            // Between the word and the deed.
            Ok(_) => assert!(refused.elapsed() < Duration::from_secs(2), "still accepted"),
        }
    }

    half_sent.get_mut().write_all(b"half").unwrap();
    h2.send(&frames::frame(DATA, END_STREAM, 3, b"half")).unwrap();
    for _ in 0..5 {
        go.send(()).unwrap();
    }
    for (stream, which) in [(&mut head_sent, "head sent"), (&mut half_sent, "body half sent")] {
        let answer = Answer::read(stream, false).unwrap_or_else(|| panic!("{which}: dropped"));
        assert_eq!(
            (answer.status, answer.text(), answer.header("connection")),
            (200, "halfhalf", Some("close")),
            "{which}"
        );
        assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "{which}: something came after the end");
    }
    let mut rest = Vec::new();
    half_received.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"half");
    let (mut bodies, mut ends) = (Vec::<u8>::new(), 0);
    while ends < 2 {
        let frame = h2.next().expect("both answers");
        if frame.kind == DATA {
            bodies.extend(&frame.payload);
            ends += u32::from(frame.flags & END_STREAM != 0);
        }
    }
    assert_eq!(bodies.len(), 16);

    let (code, said) = gateway.wait();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("every request was answered"), "{said}");
    let begun: Vec<_> = asked.try_iter().collect();
    assert_eq!(begun, Vec::<String>::new(), "begun while it drained");
}

#[test]
fn what_is_left_after_the_grace_is_cut() {
    let (upstream, _go, asked) = held();
    let folder = TempDir::new().unwrap();
    let config = format!("[shutdown]\ngrace = \"700ms\"\n{}", upstream.config());
    let gateway = Process::start(folder.path(), &config);
    let mut busy = gateway.connect();
    busy.get_mut().write_all(&request("GET", "/early", &[], b"")).unwrap();
    let mut h2 = Frames::connect(&gateway, &[]);
    h2.send(&frames::get(1, "/head")).unwrap();
    asked.recv().unwrap();
    asked.recv().unwrap();
    let started = Instant::now();
    gateway.signal("-TERM");
    let mut heard = Vec::new();
    let ended = busy.read_to_end(&mut heard);
    assert!(ended.is_err() && String::from_utf8_lossy(&heard).ends_with("half"), "{ended:?}");
    h2.ended();
    let (code, said) = gateway.wait();
    assert_eq!(code, 0, "{said}");
    assert!((700..4_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(said.contains("cut after the grace period"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once_and_in_order() {
    let (upstream, _go, asked) = held();
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    let mut busy = gateway.connect();
    busy.get_mut().write_all(&request("GET", "/head", &[], b"")).unwrap();
    asked.recv().unwrap();
    drain(&gateway);
    let started = Instant::now();
    gateway.signal("-TERM");
    let (code, said) = gateway.wait();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(code, 0, "{said}");
}

/// Clients that ask without pause while the gateway stops: whatever reached the upstream is answered in full.
#[test]
fn under_load_every_request_that_was_begun_is_answered() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reached);
    let upstream = Upstream::start(move |_, stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok(stream, &"x".repeat(5_000))
    });
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    let stopped = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for number in 0..12 {
        let (client, stopped): (crate::harness::Client, _) = ((*gateway).clone(), Arc::clone(&stopped));
        clients.push(thread::spawn(move || {
            let mut answered = 0;
            if number % 3 == 0 {
                let h2 = H2::connect(&client);
                loop {
                    let request =
                        Request::get("https://localhost/public/x").body(Full::<Bytes>::default()).unwrap();
                    match h2.send(request) {
                        Ok(answer) => {
                            assert_eq!((answer.status, answer.body.len()), (200, 5_000));
                            answered += 1;
                        }
                        Err(_) => break,
                    }
                }
            } else {
                let mut stream = client.connect();
                while stream.get_mut().write_all(&request("GET", "/public/x", &[], b"")).is_ok() {
                    let Some(answer) = Answer::read(&mut stream, false) else { break };
                    assert_eq!((answer.status, answer.body.len(), answer.whole), (200, 5_000, true));
                    answered += 1;
                }
            }
            assert!(stopped.load(Ordering::SeqCst), "ended before the drain began");
            answered
        }));
    }
    while reached.load(Ordering::SeqCst) < 300 {
        thread::yield_now();
    }
    stopped.store(true, Ordering::SeqCst);
    gateway.signal("-TERM");
    let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let (code, said) = gateway.wait();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("every request was answered"), "{said}");
    assert_eq!(answered, reached.load(Ordering::SeqCst), "begun and not answered");
}

#[test]
fn before_the_drain_there_is_the_delay() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let folder = TempDir::new().unwrap();
    let config = format!("[shutdown]\ndelay = \"3s\"\n{}", upstream.config());
    let gateway = Process::start(folder.path(), &config);
    let started = Instant::now();
    drain(&gateway);
    // A load balancer has not noticed yet.
    gateway.get("/public/x", &[]).expect(200);
    let (code, said) = gateway.wait();
    assert_eq!(code, 0, "{said}");
    assert!(started.elapsed() >= Duration::from_secs(3));
}
