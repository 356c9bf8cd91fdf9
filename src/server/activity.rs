//! What one connection is doing, as its socket and its service see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::Protocol;

/// Noted by the socket and the service, read by the watchdog.
///
/// One thread does all three. Atomics only because a socket that becomes a tunnel must be `Send`; so plain loads
/// and stores will do.
#[derive(Debug)]
pub(super) struct Activity {
    born: Instant,
    phase: AtomicU8,
    /// Begin of the phase, in microseconds since `born`.
    since: AtomicU64,
    /// Since when the peer takes nothing of what we have for it; [`NEVER`] where it does.
    blocked: AtomicU64,
    in_flight: AtomicUsize,
    multiplexed: AtomicBool,
}

/// What the peer keeps us waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The end of its side.
    Close,
    /// Anything at all.
    FirstByte,
    /// The rest of a request's head.
    Head,
    /// That it takes what we have for it.
    Reading,
    /// Another request, or none.
    Request,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            phase: AtomicU8::new(SILENT),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(NEVER),
            in_flight: AtomicUsize::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }

    /// HTTP begins.
    pub(super) fn opened(&self, protocol: Protocol) {
        self.multiplexed.store(protocol == Protocol::Http2, Relaxed);
        self.enter(SILENT);
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        if self.in_flight.load(Relaxed) > 0 {
            return;
        }
        match self.phase.load(Relaxed) {
            // In HTTP/2 bytes between requests are seldom a head, and a connection may be opened in advance.
            SILENT if self.multiplexed.load(Relaxed) => self.enter(IDLE),
            SILENT => self.enter(HEAD),
            IDLE if !self.multiplexed.load(Relaxed) => self.enter(HEAD),
            _ => {}
        }
    }

    /// The peer took bytes.
    pub(super) fn wrote(&self) {
        self.blocked.store(NEVER, Relaxed);
        let idle = self.phase.load(Relaxed) == IDLE && self.in_flight.load(Relaxed) == 0;
        if idle && !self.multiplexed.load(Relaxed) {
            // The end of an answer often leaves after its body is through. In HTTP/2 it may as well be our PING,
            // which must not keep the connection alive.
            self.enter(IDLE);
        }
    }

    /// The peer takes no more bytes for now.
    pub(super) fn blocked(&self) {
        if self.blocked.load(Relaxed) == NEVER {
            self.blocked.store(self.now(), Relaxed);
        }
    }

    /// We have closed our side.
    pub(super) fn closing(&self) {
        if self.phase.load(Relaxed) != CLOSING {
            self.enter(CLOSING);
        }
    }

    /// A request's head is there. The request is in flight until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.store(self.in_flight.load(Relaxed) + 1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// What the peer keeps us waiting for, and since when; `None` where it is not the peer.
    pub(super) fn waiting(&self) -> Option<(Waiting, Instant)> {
        let phase = self.phase.load(Relaxed);
        let blocked = self.blocked.load(Relaxed);
        let (waiting, since) = if phase == CLOSING {
            (Waiting::Close, self.since.load(Relaxed))
        } else if blocked != NEVER {
            (Waiting::Reading, blocked)
        } else if self.in_flight.load(Relaxed) > 0 {
            return None;
        } else {
            let waiting = match phase {
                SILENT => Waiting::FirstByte,
                HEAD => Waiting::Head,
                _ => Waiting::Request,
            };
            (waiting, self.since.load(Relaxed))
        };
        Some((waiting, self.born + Duration::from_micros(since)))
    }

    fn finished(&self) {
        let left = self.in_flight.load(Relaxed).saturating_sub(1);
        self.in_flight.store(left, Relaxed);
        if left == 0 && self.phase.load(Relaxed) != CLOSING {
            self.enter(IDLE);
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.since.store(self.now(), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(NEVER - 1)
    }
}

/// One request in flight; dropped with the last of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.finished();
    }
}

/// Nothing has come yet.
const SILENT: u8 = 0;
/// A head has begun.
const HEAD: u8 = 1;
/// At least one request is through, or the connection is multiplexed.
const IDLE: u8 = 2;
/// Our side is closed.
const CLOSING: u8 = 3;

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    async fn later() -> Instant {
        time::sleep(Duration::from_secs(1)).await;
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn an_http1_connection_waits_for_bytes_a_head_and_another_request() {
        let activity = Arc::new(Activity::new());
        let opened = later().await;
        activity.opened(Protocol::Http1);
        assert_eq!(activity.waiting(), Some((Waiting::FirstByte, opened)));

        let first = later().await;
        activity.received();
        later().await;
        activity.received();
        assert_eq!(activity.waiting(), Some((Waiting::Head, first)), "the head is timed as a whole");

        let request = activity.begin();
        activity.received();
        assert_eq!(activity.waiting(), None);

        let through = later().await;
        drop(request);
        assert_eq!(activity.waiting(), Some((Waiting::Request, through)));
        let written = later().await;
        activity.wrote();
        assert_eq!(activity.waiting(), Some((Waiting::Request, written)));

        let second = later().await;
        activity.received();
        assert_eq!(activity.waiting(), Some((Waiting::Head, second)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_may_say_things_between_requests() {
        let activity = Arc::new(Activity::new());
        activity.opened(Protocol::Http2);
        let preface = later().await;
        activity.received();
        later().await;
        activity.received();
        assert_eq!(activity.waiting(), Some((Waiting::Request, preface)));

        activity.wrote();
        assert_eq!(activity.waiting(), Some((Waiting::Request, preface)), "a PING of ours is no request");

        let (one, two) = (activity.begin(), activity.begin());
        drop(one);
        assert_eq!(activity.waiting(), None);
        let through = later().await;
        drop(two);
        assert_eq!(activity.waiting(), Some((Waiting::Request, through)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_waited_for_even_in_a_request() {
        let activity = Arc::new(Activity::new());
        activity.opened(Protocol::Http1);
        let _request = activity.begin();
        let blocked = later().await;
        activity.blocked();
        later().await;
        activity.blocked();
        assert_eq!(activity.waiting(), Some((Waiting::Reading, blocked)));
        activity.wrote();
        assert_eq!(activity.waiting(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn after_our_end_only_the_peers_end_is_waited_for() {
        let activity = Arc::new(Activity::new());
        activity.opened(Protocol::Http1);
        let request = activity.begin();
        let closed = later().await;
        activity.closing();
        later().await;
        activity.closing();
        activity.blocked();
        drop(request);
        assert_eq!(activity.waiting(), Some((Waiting::Close, closed)));
    }
}
