//! An HTTP/2 stream whose client takes nothing of its answer.
//!
//! hyper waits for a stream's window for ever, and a client may keep one shut while it keeps the connection
//! alive: it would hold an answer, and behind it an upstream's connection, for nothing.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs a stream. Drops it, which resets it (RFC 9113, section 6.4), when the client takes no further piece of the
/// answer for `patience`.
pub(super) async fn bounded(stream: impl Future<Output = ()>, patience: Duration) {
    let mut stream = pin!(stream);
    // Set while it is the client's turn. Most streams never need it.
    let mut limit: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        GIVEN.set(None);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match GIVEN.take() {
            Some(true) => limit = Some(Box::pin(sleep_until(Instant::now() + patience))),
            Some(false) => limit = None,
            None => {}
        }
        match &mut limit {
            Some(limit) => limit.as_mut().poll(cx),
            None => Poll::Pending,
        }
    })
    .await;
}

/// The body of the stream that is being polled was asked for a piece, and had one or had not.
pub(super) fn note(given: bool) {
    GIVEN.set(Some(given));
}

thread_local! {
    /// Whether the last question to a body, within the present poll of a stream, got a piece: then the stream is
    /// pending for its client's sake. hyper makes the futures of streams, so there is no nearer place to hand this
    /// from a body to its stream.
    static GIVEN: Cell<Option<bool>> = const { Cell::new(None) };
}
