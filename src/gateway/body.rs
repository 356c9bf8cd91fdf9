//! The body of every answer, ours and upstreams': counted as it goes, cut with its token.
//!
//! Never here: when an answer is cut (`open_answers`).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

use super::trail::Trail;
use crate::{
    body::{self, BodyError},
    proxy::UpstreamBody,
};

/// The body of any answer. The request's trail ends with it.
pub struct ResponseBody {
    source: Source,
    /// `None` for the answer that opens a tunnel: the tunnel has the trail.
    trail: Option<Box<Trail>>,
}

enum Source {
    Own(Option<Bytes>),
    Upstream(UpstreamBody),
}

impl ResponseBody {
    pub(super) fn own(body: Bytes, trail: Box<Trail>) -> Self {
        Self::new(Source::Own(Some(body).filter(|body| !body.is_empty())), trail)
    }

    pub(super) fn upstream(body: UpstreamBody, trail: Box<Trail>) -> Self {
        Self::new(Source::Upstream(body), trail)
    }

    /// No body and no trail.
    pub(super) const fn empty() -> Self {
        Self { source: Source::Own(None), trail: None }
    }

    fn new(source: Source, trail: Box<Trail>) -> Self {
        let mut body = Self { source, trail: Some(trail) };
        body.note_end();
        // Before the first frame, too: a client may not take the head.
        body.note_given();
        body
    }

    /// Tells whoever carries the answer how to learn that it is cut, as long as more of it comes.
    fn note_given(&self) {
        // What is our own is there at once and whole: it may be the word that a token has died.
        if let (Source::Upstream(_), Some(trail)) = (&self.source, &self.trail)
            && let Some(open) = trail.open.as_ref().filter(|_| !trail.ended)
        {
            body::set_given(open.cuttable());
        }
    }

    fn note_end(&mut self) {
        let ended = self.is_end_stream();
        if let Some(trail) = &mut self.trail {
            trail.ended = ended;
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let open = this.trail.as_ref().and_then(|trail| trail.open.as_ref());
        let polled = match &mut this.source {
            Source::Own(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            // Never an end: what was cut must not look whole.
            Source::Upstream(_) if open.is_some_and(|open| open.poll_cut(cx).is_ready()) => {
                return Poll::Ready(Some(Err(BodyError::Aborted("it was cut".into()))));
            }
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trail) = &mut this.trail {
                    trail.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
                this.note_end();
                this.note_given();
            }
            Poll::Ready(None) => {
                if let Some(trail) = &mut this.trail {
                    trail.ended = true;
                }
            }
            Poll::Ready(Some(Err(error))) => {
                // The upstream's doing: a client that leaves drops this body and asks it nothing more.
                let trail = this.trail.as_deref();
                tracing::warn!(
                    request.id = trail.and_then(|trail| trail.request_id.to_str().ok()),
                    upstream.name = trail.and_then(Trail::upstream_name),
                    %error,
                    "An upstream broke its answer off"
                );
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}

/// An answer of our own.
pub(super) fn own(answer: Response<Bytes>, mut trail: Box<Trail>) -> Response<ResponseBody> {
    let (mut parts, mut body) = answer.into_parts();
    trail.status = parts.status.as_u16();
    if let Some(cors) = &trail.cors {
        cors.write(&mut parts.headers);
    }
    if trail.method == Method::HEAD {
        // The answer says how long it would be, and hyper leaves it to us to send nothing of it over HTTP/2.
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        body = Bytes::new();
    }
    Response::from_parts(parts, ResponseBody::own(body, trail))
}
