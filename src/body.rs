//! What every body needs: a bound on its size, a bound on its silence, a count of its bytes, and a way to break off.
//!
//! Never here: what a body means, where it goes.

mod cuttable;

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Sleep;

pub use cuttable::{Cuttable, set_given, take_given};

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer broke off, or broke the framing.
    #[error("the body broke off: {0}")]
    Aborted(Box<dyn std::error::Error + Send + Sync>),
    /// Nothing came for longer than allowed, or the whole took too long.
    #[error("the body came too slowly")]
    TooSlow,
    /// More bytes than allowed.
    #[error("the body is too large")]
    TooLarge,
}

/// Reads a body of at most `limit` bytes within `deadline`, whole.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as the length is announced or passed; [`BodyError::TooSlow`] at the deadline.
pub async fn read<B>(body: B, limit: usize, deadline: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    tokio::time::timeout(deadline, read_to_end(body, limit)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn read_to_end<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Aborted(error.into()))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// Reads and forgets a body that nobody wants, at most `limit` bytes of it within `deadline`; one that announces
/// more is left alone. Whether it came to its end.
pub async fn discard<B: Body<Data = Bytes>>(body: B, limit: usize, deadline: Duration) -> bool {
    if body.size_hint().lower() > limit as u64 {
        return false;
    }
    let read = async {
        let mut body = std::pin::pin!(body);
        let mut read = 0;
        loop {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => return false,
                None => return true,
            }
            if read > limit {
                return false;
            }
        }
    };
    tokio::time::timeout(deadline, read).await.unwrap_or(false)
}

/// A body that fails with [`BodyError::TooSlow`] when no frame comes for `limit`.
///
/// The timer exists only while the body keeps its reader waiting: a body that is there at once costs none.
#[derive(Debug)]
pub struct Timed<B> {
    inner: B,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> Timed<B> {
    /// Bounds the silence of `inner`.
    pub const fn new(inner: B, limit: Duration) -> Self {
        Self { inner, limit, waiting: None }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Aborted(error.into()))));
        }
        let limit = this.limit;
        let timer = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
