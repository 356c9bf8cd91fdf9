//! An HTTP/2 stream whose client takes nothing of its answer.
//!
//! hyper waits for a stream's window for ever, and a client may keep one shut while it keeps the connection
//! alive: it would hold an answer, and behind it an upstream's connection, for nothing.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::{self, Cuttable};

/// Runs a stream. Drops it, which resets it (RFC 9113, section 6.4), when the client takes no further piece of the
/// answer for `patience`, or when its answer is cut meanwhile.
///
/// A type and no `async fn`, which would hold the stream twice: as its argument and as what it awaits.
pub(super) const fn bounded<F: Future<Output = ()>>(stream: F, patience: Duration) -> Bounded<F> {
    Bounded { stream, patience, limit: None, held: None }
}

pin_project! {
    pub(super) struct Bounded<F> {
        #[pin]
        stream: F,
        patience: Duration,
        // Set while it is the client's turn. Most streams never need it.
        limit: Option<Pin<Box<Sleep>>>,
        // The answer of which that piece is. While it is the client's turn nobody asks the body, which would say itself
        // that it is cut.
        held: Option<Rc<dyn Cuttable>>,
    }
}

impl<F: Future<Output = ()>> Future for Bounded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.held.as_ref().is_some_and(|answer| answer.is_cut()) {
            return Poll::Ready(());
        }
        GIVEN.set(None);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let answer = body::take_given();
        match GIVEN.take() {
            Some(true) => {
                *this.limit = Some(Box::pin(sleep_until(Instant::now() + *this.patience)));
                // A further piece of the same frame says nothing of whose it is.
                *this.held = answer.or_else(|| this.held.take());
            }
            Some(false) => (*this.limit, *this.held) = (None, None),
            None => {}
        }
        match this.limit {
            Some(limit) => limit.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
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
