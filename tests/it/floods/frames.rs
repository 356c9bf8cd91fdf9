//! HTTP/2 frames that cost a client nothing: taken back, without end, or answered with what it does not read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Ended, Flooded, ending, odd};
use crate::harness::frames::{self, ACK, DATA, Frames, PING, PRIORITY, SETTINGS, WINDOW_UPDATE, frame};

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
