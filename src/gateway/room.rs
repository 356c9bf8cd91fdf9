//! How much one HTTP/2 connection can make us keep before it is answered: heads, and what auth endpoints read.
//!
//! Each head has its bound (`[limits] header_size`) and so has the number of streams, but their product is more than
//! one client is worth, who need not even log in. HTTP/1 has one request at a time and is not counted.
//! Never here: forwarded bodies, which HTTP/2's own windows bound.

use std::{cell::Cell, rc::Rc};

use http::{HeaderMap, Version, header::CONTENT_LENGTH, request::Parts};

/// What a connection's requests hold, in bytes. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Rc<Cell<usize>>);

impl Room {
    /// Room for a request's head; `None` where the connection holds too much already.
    pub(super) fn hold(&self, head: &Parts) -> Option<Held> {
        let mut held = Held { room: self.clone(), bytes: 0 };
        (head.version != Version::HTTP_2 || held.more(size(head))).then_some(held)
    }
}

/// What one request holds of its connection's room, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Room,
    bytes: usize,
}

impl Held {
    /// Holds so many bytes more, if there is room. Whoever holds all that is held may always hold more: a single request
    /// has its own bounds.
    pub(super) fn more(&mut self, bytes: usize) -> bool {
        let used = self.room.0.get();
        let is_alone = used == self.bytes;
        let fits = is_alone || used.saturating_add(bytes) <= MOST;
        if fits {
            self.bytes = self.bytes.saturating_add(bytes);
            self.room.0.set(used.saturating_add(bytes));
        }
        fits
    }

    /// Holds no more than this from now on: the rest has been passed on.
    pub(super) fn at_most(&mut self, bytes: usize) {
        let spare = self.bytes.saturating_sub(bytes);
        self.bytes -= spare;
        self.room.0.set(self.room.0.get().saturating_sub(spare));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.at_most(0);
    }
}

/// As large as the body says it is, or as it may be.
pub(super) fn body_size(headers: &HeaderMap, most: usize) -> usize {
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    said.map_or(most, |length: usize| length.min(most))
}

/// As HTTP/2 counts (RFC 9113, section 10.5.1).
fn size(head: &Parts) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    fields.sum::<usize>() + head.uri.path().len() + head.uri.query().map_or(0, str::len)
}

/// A thousand requests of browsers, or thirty-two with the longest heads that are taken by default.
const MOST: usize = 1024 * 1024;
const FIELD: usize = 32;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(version: Version, length: usize) -> Parts {
        let request = Request::builder().version(version).header("x", "v".repeat(length)).body(());
        request.unwrap().into_parts().0
    }

    #[test]
    fn a_connection_holds_so_much_and_one_request_whatever_it_is() {
        let room = Room::default();
        let large = head(Version::HTTP_2, 2 * MOST);
        let mut held = vec![room.hold(&large).unwrap()];
        assert!(room.hold(&large).is_none());
        assert!(held[0].more(1));
        held[0].at_most(10);
        assert_eq!(room.0.get(), 10);

        let quarter = head(Version::HTTP_2, MOST / 4);
        while let Some(one) = room.hold(&quarter) {
            held.push(one);
        }
        assert_eq!(held.len(), 4);
        assert!(!held[3].more(MOST));
        held.pop();
        assert!(room.hold(&quarter).is_some());
        held.clear();
        assert_eq!(room.0.get(), 0);
    }

    #[test]
    fn http1_is_not_counted() {
        let room = Room::default();
        let large = head(Version::HTTP_11, 2 * MOST);
        let held: Vec<_> = (0..9).map(|_| room.hold(&large).unwrap()).collect();
        assert_eq!((room.0.get(), held.len()), (0, 9));
    }
}
