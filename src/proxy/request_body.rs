//! The client's body on its way to the upstream.
//!
//! The connection's task reads it while the request waits for its answer, so what both must know lies in one
//! shared cell: how many bytes have passed, whose turn it is, and how it failed.
//!
//! In HTTP/2 a body ends where its stream does, whatever `Content-Length` says, and one that says otherwise is malformed
//! and must not be forwarded (RFC 9113, section 8.1.1). The upstream takes the request for whole when it has as many bytes
//! as were announced: the last of them wait here for the end.
//! Never here: what a slow body is answered with (`gateway`).

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Preparation;
use crate::body::{BodyError, Timed};

/// A request's body as the upstream reads it: silence is bounded, bytes are counted, trailers are cleaned.
pub struct RequestBody {
    /// `None` when there is nothing (more) to read.
    incoming: Option<Timed<Incoming>>,
    /// `None` for a body that was empty from the start, which costs nothing.
    upload: Option<Rc<Upload>>,
    trailers: Option<TrailerRules>,
    /// What has been read and is not the upstream's yet: the last of what was announced, or trailers behind it.
    held: Option<Frame<Bytes>>,
    /// Whether its end is that of a stream of its own.
    is_stream: bool,
}

impl RequestBody {
    /// The body of a request of that version; more than `idle` without a byte is an error.
    pub fn new(incoming: Incoming, version: Version, idle: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let (incoming, upload) = (Some(Timed::new(incoming, idle)), Some(Rc::default()));
        Self { incoming, upload, trailers: None, held: None, is_stream: version == Version::HTTP_2 }
    }

    /// No body.
    pub const fn empty() -> Self {
        Self { incoming: None, upload: None, trailers: None, held: None, is_stream: false }
    }

    /// Waits for the end of a body that was announced as empty and has not ended: with its head the upstream would have
    /// the whole request.
    ///
    /// # Errors
    /// [`BodyError`] where more came than was announced, or nothing.
    pub(super) async fn settled(mut self) -> Result<Self, BodyError> {
        if self.framing() != Framing::Exact(0) {
            return Ok(self);
        }
        while let Some(frame) = self.frame().await {
            frame.map_err(|failed| self.why(failed))?;
        }
        Ok(Self::empty())
    }

    fn why(&self, failed: UploadFailed) -> BodyError {
        let told = self.upload.as_ref().and_then(|upload| upload.take_failure());
        told.unwrap_or_else(|| BodyError::Aborted(failed.into()))
    }

    /// Counts the bytes that have been read of it, also after it is gone.
    pub fn bytes(&self) -> ByteCount {
        ByteCount(self.upload.clone())
    }

    /// How its end must be marked in HTTP/1.1 (RFC 9112, section 6).
    pub fn framing(&self) -> Framing {
        match &self.incoming {
            None => Framing::Absent,
            Some(incoming) => incoming.size_hint().exact().map_or(Framing::Chunked, Framing::Exact),
        }
    }

    pub(super) fn upload(&self) -> Option<Rc<Upload>> {
        self.upload.clone()
    }

    /// Cleans the trailers as the head was cleaned; without this they do not pass.
    pub(super) fn with_trailer_rules(mut self, rules: &Rc<Preparation>, method_override: bool) -> Self {
        if self.incoming.is_some() {
            self.trailers = Some(TrailerRules { rules: Rc::clone(rules), method_override });
        }
        self
    }

    fn fail<T>(&mut self, error: BodyError) -> Poll<Option<Result<T, UploadFailed>>> {
        if let Some(upload) = &self.upload {
            upload.failure.set(Some(error));
        }
        self.held = None;
        self.end();
        Poll::Ready(Some(Err(UploadFailed)))
    }

    fn end(&mut self) {
        self.incoming = None;
        if let Some(upload) = &self.upload {
            upload.finish();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailed>>> {
        let this = &mut *self;
        loop {
            let (Some(incoming), Some(upload)) = (&mut this.incoming, &this.upload) else {
                return Poll::Ready(this.held.take().map(Ok));
            };
            upload.turn.set(Turn::Client);
            match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    upload.turn.set(Turn::Upstream);
                    upload.moves.set(upload.moves.get().wrapping_add(1));
                    if let Some(data) = frame.data_ref() {
                        upload.bytes.set(upload.bytes.get().saturating_add(data.len() as u64));
                    }
                    let ended = frame.is_trailers() || incoming.is_end_stream();
                    let may_be_whole = !ended && incoming.size_hint().exact() == Some(0);
                    let frame = match frame.into_trailers() {
                        Ok(trailers) => {
                            this.trailers.as_ref().map(|rules| Frame::trailers(rules.clean(trailers)))
                        }
                        Err(data) => Some(data),
                    };
                    if ended {
                        this.end();
                    }
                    if may_be_whole {
                        // Empty ones may follow what is held already.
                        this.held = this.held.take().or(frame);
                    } else if let Some(held) = this.held.take() {
                        this.held = frame.filter(Frame::is_trailers);
                        return Poll::Ready(Some(Ok(held)));
                    } else {
                        return Poll::Ready(frame.map(Ok));
                    }
                }
                Some(Err(error)) => return this.fail(error),
                // The HTTP library takes a stream that its client resets with NO_ERROR for one that has ended.
                None if this.is_stream && !incoming.is_end_stream() => {
                    return this.fail(BodyError::Aborted("the stream was reset".into()));
                }
                None => this.end(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    /// Whoever waits for the end of the upload must not wait for one that nobody reads any more.
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads how many bytes of a request's body have passed.
#[derive(Clone, Debug)]
pub struct ByteCount(Option<Rc<Upload>>);

impl ByteCount {
    /// So many until now.
    pub fn value(&self) -> u64 {
        self.0.as_ref().map_or(0, |upload| upload.bytes.get())
    }
}

/// How the end of a request's body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Absent,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`.
    Exact(u64),
}

/// Tells the connection that its request cannot be finished; the waiting request knows the cause.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request's body failed")]
pub struct UploadFailed;

/// What the waiting request knows of its body, which the connection's task reads.
#[derive(Default)]
pub(super) struct Upload {
    bytes: Cell<u64>,
    moves: Cell<u64>,
    turn: Cell<Turn>,
    failure: Cell<Option<BodyError>>,
    waker: Cell<Option<Waker>>,
}

impl Upload {
    /// Why the client's body failed, once.
    pub(super) fn take_failure(&self) -> Option<BodyError> {
        self.failure.take()
    }

    /// Whether the body has been read to its end, or never will be.
    pub(super) fn is_finished(&self) -> bool {
        self.turn.get() == Turn::Nobody
    }

    /// Whether the client is the one who is waited for.
    pub(super) fn waits_for_client(&self) -> bool {
        self.turn.get() == Turn::Client
    }

    /// Grows with each part of the body that is read.
    pub(super) fn moves(&self) -> u64 {
        self.moves.get()
    }

    /// Wakes `waker` when the body has ended or failed.
    pub(super) fn wake_at_end(&self, waker: &Waker) {
        let known = self.waker.take().filter(|known| known.will_wake(waker));
        self.waker.set(Some(known.unwrap_or_else(|| waker.clone())));
    }

    fn finish(&self) {
        self.turn.set(Turn::Nobody);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("bytes", &self.bytes).field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// Who must act before the upload goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// The client must send.
    Client,
    /// It is over.
    Nobody,
    /// The upstream must take what there is.
    #[default]
    Upstream,
}

struct TrailerRules {
    rules: Rc<Preparation>,
    method_override: bool,
}

impl TrailerRules {
    fn clean(&self, mut trailers: http::HeaderMap) -> http::HeaderMap {
        // No character of a name in HTTP, but one for `http`, and so for HTTP/2 (RFC 9110, section 5.6.2).
        let quoted: Vec<_> = trailers.keys().filter(|name| name.as_str().contains('"')).cloned().collect();
        for name in quoted {
            trailers.remove(name);
        }
        self.rules.clean_trailers(&mut trailers, self.method_override);
        trailers
    }
}
