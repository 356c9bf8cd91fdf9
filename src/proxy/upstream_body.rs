//! The upstream's answer on its way to the client.
//!
//! Never here: framing (`response`), which connections are kept (`pool`).

use std::{
    pin::Pin,
    rc::Weak,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{connection::Connection, pool::Pool, remove_hop_by_hop_of_response};
use crate::body::{BodyError, Timed};

/// The body of an upstream's answer, read no faster than the client takes it.
///
/// An upstream that breaks off, or is silent for too long, is an error and never an end. The connection goes back
/// to its pool with the last frame; a body that is dropped before closes it.
pub struct UpstreamBody {
    /// `None` when there is nothing (more) to read.
    incoming: Option<Timed<Incoming>>,
    lease: Option<Lease>,
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, idle: Duration, lease: Lease) -> Self {
        let ended = incoming.is_end_stream();
        let mut body = Self { incoming: Some(Timed::new(incoming, idle)), lease: Some(lease) };
        if ended {
            body.end();
        }
        body
    }

    fn end(&mut self) {
        self.incoming = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    remove_hop_by_hop_of_response(trailers);
                }
                if frame.is_trailers() || incoming.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.incoming = None;
                if let Some(lease) = this.lease.take() {
                    lease.break_off();
                }
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A connection on loan. Dropped, it is closed.
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// Where it comes from.
    pub(super) pool: Weak<Pool>,
    /// Whether it may go back there.
    pub(super) may_serve_again: bool,
}

impl Lease {
    fn give_back(self) {
        if let Some(pool) = self.pool.upgrade().filter(|_| self.may_serve_again) {
            pool.give_back(self.connection);
        }
    }

    fn break_off(self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.count(self.connection.server, |numbers| &numbers.broken_answers);
        }
    }
}
