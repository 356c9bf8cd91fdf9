//! Heads: without end, too many at once, packed, malformed, or byte by byte.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use super::{Flooded, ending, odd};
use crate::harness::{
    Answer,
    frames::{self, CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, frame},
};

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

/// A small block that unpacks to much (RFC 7541, section 7.3).
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
