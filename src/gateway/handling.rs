//! One request's future, small where that is most of them: the road to an upstream takes no allocation for it.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use super::body::ResponseBody;

pin_project! {
    /// A request on its road.
    #[project = Step]
    pub(super) enum Handling<F> {
        // What few requests need: each would carry the room for it.
        Boxed {
            answer: Pin<Box<dyn Future<Output = Response<ResponseBody>>>>,
        },
        Forward {
            #[pin]
            forward: F,
        },
        AtOnce {
            answer: Option<Response<ResponseBody>>,
        },
    }
}

impl<F: Future<Output = Response<ResponseBody>>> Future for Handling<F> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Boxed { answer } => answer.as_mut().poll(cx).map(Ok),
            Step::Forward { forward } => forward.poll(cx).map(Ok),
            // Taken once: nobody polls what is ready.
            Step::AtOnce { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}
