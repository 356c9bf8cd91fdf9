//! Attacks as data. The upstream's record is the judge: it may hold what a client has sent as a request of its own,
//! and nothing else, whatever the bytes around it were meant to become.

mod arena;
mod chunks;
mod h2_downgrade;
mod headers;
mod judge;
mod models;
mod path_pieces;
mod paths;
mod request_lines;
mod smuggling;

use arena::Arena;

/// What a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// 200.
    Passed,
    /// A status from 400 on, or nothing but the end of the connection.
    Refused,
    /// One of the two: the standard lets us choose.
    Either,
    /// Nothing yet: more bytes are awaited.
    Nothing,
}

use Answered::{Either, Nothing, Passed, Refused};

/// One attack: what is sent on a connection of its own, and what may come of it.
pub struct Case {
    pub bytes: Vec<u8>,
    /// The request lines that may reach the upstream, without their version, in this order.
    pub reaches: &'static [&'static str],
    /// To the first request.
    pub answered: Answered,
}

impl Case {
    pub fn new(bytes: impl Into<Vec<u8>>, reaches: &'static [&'static str], answered: Answered) -> Self {
        Self { bytes: bytes.into(), reaches, answered }
    }
}

/// Tries all of them and tells of every one that went wrong.
#[track_caller]
pub fn check(cases: impl IntoIterator<Item = Case>) {
    let mut arena = Arena::start();
    let mut faults = Vec::new();
    for case in cases {
        if let Err(fault) = arena.attack(&case) {
            faults.push(format!("{fault}\n    {}", shown(&case.bytes)));
        }
    }
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults.join("\n"));
}

/// The parts, one after the other.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() > 700 { format!("{}…", &text[..700]) } else { text }
}

/// A request that nobody has sent where it is found inside of another. Its header is stripped if the gateway ever
/// takes it for a request, and tells if the upstream does.
pub const HIDDEN: &[u8] = b"GET /public/hidden HTTP/1.1\r\nHost: localhost\r\nX-User-Id: forged\r\n\r\n";
