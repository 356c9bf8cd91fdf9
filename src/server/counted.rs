//! A service whose requests are counted until the last of their answers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use pin_project_lite::pin_project;

use super::{
    Protocol,
    activity::{Activity, InFlight},
    stream,
};

/// `service`, with each request in flight until the last of its answer is handed over or dropped. Neither a
/// task nor an allocation per request.
pub(super) fn counted<S, B>(
    service: S,
    activity: Arc<Activity>,
    protocol: Protocol,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Counted<B>>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Counted<B>>, Infallible>> + 'static,
>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let piece = match protocol {
        Protocol::Http1 => usize::MAX,
        Protocol::Http2 => PIECE,
    };
    service_fn(move |request: Request<Incoming>| Answering {
        in_flight: Some(activity.begin(!request.body().is_end_stream())),
        answer: service.call(request),
        begun: false,
        piece,
    })
}

pin_project! {
    // A type and no `async` block, which would hold the answer twice: as what it has caught and as what it awaits.
    struct Answering<F> {
        #[pin]
        answer: F,
        in_flight: Option<InFlight>,
        begun: bool,
        piece: usize,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Counted<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (in_flight, piece) = (this.in_flight, *this.piece);
        if let Some(in_flight) = in_flight.as_ref().filter(|_| !*this.begun) {
            ready!(in_flight.poll_turn(cx));
            *this.begun = true;
        }
        this.answer.poll(cx).map_ok(|answer| {
            if let Some(in_flight) = in_flight.as_ref().filter(|_| answer.status() == SWITCHING) {
                in_flight.tunnelled();
            }
            answer.map(|body| Counted { body, rest: Bytes::new(), piece, in_flight: in_flight.take() })
        })
    }
}

/// The body of an answer; with it the request ends.
pub(super) struct Counted<B> {
    body: B,
    /// What is still to be given of the last frame.
    rest: Bytes,
    piece: usize,
    in_flight: Option<InFlight>,
}

impl<B: Body<Data = Bytes> + Unpin> Counted<B> {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.len() > self.piece => self.rest = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(self.piece));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.next(cx);
        stream::note(polled.is_ready());
        if let Poll::Ready(Some(Err(_))) = &polled
            && let Some(in_flight) = &self.in_flight
        {
            in_flight.broken();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

const SWITCHING: StatusCode = StatusCode::SWITCHING_PROTOCOLS;

/// An HTTP/2 client is timed by the pieces it takes: the larger they are, the faster it must be. More than one
/// frame (RFC 9113, section 6.5.2) would be cut up anyway.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn a_large_frame_is_given_in_pieces() {
        let activity = Arc::new(Activity::new());
        let whole = Bytes::from((0..=255).cycle().take(2 * PIECE + 5).collect::<Vec<u8>>());
        let mut body = Counted {
            body: Full::new(whole.clone()),
            rest: Bytes::new(),
            piece: PIECE,
            in_flight: Some(activity.begin(false)),
        };
        let mut given = Vec::new();
        for left in [whole.len(), PIECE + 5, 5] {
            assert_eq!(body.size_hint().exact(), Some(left as u64));
            assert!(!body.is_end_stream());
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.len(), left.min(PIECE));
            given.extend_from_slice(&piece);
        }
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
        assert_eq!(given, whole);
    }
}
