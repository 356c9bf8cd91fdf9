//! What one connection is doing, as its socket and its service see it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
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
    /// Who waits until it does.
    patient: Mutex<Option<Waker>>,
    in_flight: AtomicUsize,
    multiplexed: AtomicBool,
    broken: AtomicBool,
    /// Whether the peer has more to send: the body of its last request, or the rest of a refused head.
    uploading: AtomicBool,
    /// Bytes of the request line that comes.
    line: AtomicUsize,
    line_ended: AtomicBool,
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
            patient: Mutex::new(None),
            in_flight: AtomicUsize::new(0),
            multiplexed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            uploading: AtomicBool::new(false),
            line: AtomicUsize::new(0),
            line_ended: AtomicBool::new(false),
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

    /// These bytes came in HTTP/1.
    pub(super) fn received_of_line(&self, bytes: &[u8]) {
        if self.line_ended.load(Relaxed) || self.in_flight.load(Relaxed) > 0 {
            return;
        }
        let line = self.line.load(Relaxed);
        // Empty lines before a request are none of it (RFC 9112, section 2.2).
        let empty =
            if line == 0 { bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count() } else { 0 };
        let bytes = bytes.get(empty..).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.line_ended.store(end.is_some(), Relaxed);
        self.line.store(line.saturating_add(end.unwrap_or(bytes.len())), Relaxed);
    }

    /// How long the request line is, as far as it has come.
    pub(super) fn request_line(&self) -> usize {
        self.line.load(Relaxed)
    }

    /// Whether a head has begun that is no request yet.
    pub(super) fn has_unread_head(&self) -> bool {
        self.phase.load(Relaxed) == HEAD && self.in_flight.load(Relaxed) == 0
    }

    /// An answer, or the connection, is broken off: whoever reads it must not take it for whole.
    pub(super) fn broken(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Whether the peer may still be sending what nobody reads.
    pub(super) fn is_uploading(&self) -> bool {
        self.uploading.load(Relaxed) && !self.multiplexed.load(Relaxed)
    }

    /// Whether a connection that is closed now must look broken off: an answer that has no other end than the
    /// connection's (RFC 9112, section 6.3) would seem whole.
    pub(super) fn is_broken(&self) -> bool {
        let answering = self.in_flight.load(Relaxed) > 0 && !self.multiplexed.load(Relaxed);
        answering || self.broken.load(Relaxed) || self.is_blocked()
    }

    /// The peer took bytes.
    pub(super) fn wrote(&self) {
        if self.blocked.load(Relaxed) != NEVER {
            self.blocked.store(NEVER, Relaxed);
            if let Some(patient) = self.patient.lock().unwrap_or_else(PoisonError::into_inner).take() {
                patient.wake();
            }
        }
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

    /// Whether the peer takes nothing of what we have for it.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) != NEVER
    }

    /// Ready when another request may begin. In HTTP/1 not while the peer takes nothing of the last answers: hyper would
    /// keep theirs as well, whatever their size.
    pub(super) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        if self.multiplexed.load(Relaxed) || !self.is_blocked() {
            return Poll::Ready(());
        }
        *self.patient.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        Poll::Pending
    }

    /// We have closed our side.
    pub(super) fn closing(&self) {
        let phase = self.phase.load(Relaxed);
        if phase == HEAD && self.in_flight.load(Relaxed) == 0 {
            // A head that was refused before its end: the rest is on its way.
            self.uploading.store(true, Relaxed);
        }
        if phase != CLOSING {
            self.enter(CLOSING);
        }
    }

    /// The peer was waited for long enough: what it may still send is not waited for as well.
    pub(super) fn given_up(&self) {
        self.uploading.store(false, Relaxed);
        self.enter(CLOSING);
    }

    /// A request's head is there, and says whether a body follows. The request is in flight until the returned value
    /// is dropped.
    pub(super) fn begin(self: &Arc<Self>, has_body: bool) -> InFlight {
        self.uploading.store(has_body, Relaxed);
        self.in_flight.store(self.in_flight.load(Relaxed) + 1, Relaxed);
        self.line.store(0, Relaxed);
        self.line_ended.store(false, Relaxed);
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

impl InFlight {
    /// Its answer makes the connection a tunnel: what comes from now on is no request.
    pub(super) fn tunnelled(&self) {
        self.0.line.store(0, Relaxed);
        self.0.line_ended.store(true, Relaxed);
    }

    /// Ready when it may be looked at.
    pub(super) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll_turn(cx)
    }

    /// Its answer breaks off. In HTTP/2 that ends the stream alone.
    pub(super) fn broken(&self) {
        if !self.0.multiplexed.load(Relaxed) {
            self.0.broken();
        }
    }
}

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

        let request = activity.begin(false);
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

        let (one, two) = (activity.begin(false), activity.begin(false));
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
        let _request = activity.begin(false);
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
        let request = activity.begin(false);
        let closed = later().await;
        activity.closing();
        later().await;
        activity.closing();
        activity.blocked();
        drop(request);
        assert_eq!(activity.waiting(), Some((Waiting::Close, closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_line_is_measured_until_it_ends() {
        let activity = Arc::new(Activity::new());
        activity.opened(Protocol::Http1);
        activity.received_of_line(b"\r\n\r\n");
        activity.received_of_line(b"\nGET /");
        assert_eq!(activity.request_line(), 5);
        activity.received_of_line(b"xxxxx");
        assert_eq!(activity.request_line(), 10);
        activity.received_of_line(b" HTTP/1.1\r\nX: ");
        activity.received_of_line(b"more than a line");
        assert_eq!(activity.request_line(), 20);
        let request = activity.begin(true);
        activity.received_of_line(b"a body");
        drop(request);
        activity.received_of_line(b"PUT /");
        assert_eq!(activity.request_line(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_a_reset_where_an_answer_would_seem_whole() {
        let of = |protocol| {
            let activity = Arc::new(Activity::new());
            activity.opened(protocol);
            activity
        };
        let http1 = of(Protocol::Http1);
        assert!(!http1.is_broken());
        let request = http1.begin(false);
        assert!(http1.is_broken(), "an answer is under way");
        drop(request);
        assert!(!http1.is_broken());
        http1.blocked();
        assert!(http1.is_broken(), "the peer takes nothing");
        http1.wrote();
        http1.begin(false).broken();
        assert!(http1.is_broken(), "an answer broke off");

        let http2 = of(Protocol::Http2);
        let stream = http2.begin(false);
        stream.broken();
        assert!(!http2.is_broken(), "streams have ends of their own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_more_to_send_is_listened_to_at_the_end() {
        let activity = Arc::new(Activity::new());
        activity.opened(Protocol::Http1);
        assert!(!activity.is_uploading());
        drop(activity.begin(true));
        assert!(activity.is_uploading());
        drop(activity.begin(false));
        assert!(!activity.is_uploading());
        activity.received();
        activity.closing();
        assert!(activity.is_uploading(), "a head that was refused");
        activity.given_up();
        assert!(!activity.is_uploading());
    }
}
