//! A connection on which we listen to what HTTP hears and says, behind TLS.
//!
//! `tracked` is the socket, and sees when bytes pass; here it is seen which.
//! Never here: what a request means. It knows a line from a frame, no more.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Protocol, activity::Activity, frames::Frames};
use crate::metrics::Metrics;

/// Passes everything on but for two things: an HTTP/2 client whose frames only cost is broken off, and where it is
/// the request line alone that is too long, hyper's 431 is made a 414 (RFC 9110, section 15.5.15).
pub(super) struct Overheard<T> {
    inner: T,
    activity: Arc<Activity>,
    /// `None` in HTTP/1.
    frames: Option<Frames>,
    /// Bytes of a request's head.
    header_size: usize,
    metrics: Metrics,
}

impl<T> Overheard<T> {
    pub(super) fn new(
        inner: T,
        activity: Arc<Activity>,
        protocol: Protocol,
        header_size: usize,
        metrics: &Metrics,
    ) -> Self {
        let frames = (protocol == Protocol::Http2).then(Frames::new);
        Self { inner, activity, frames, header_size, metrics: metrics.clone() }
    }

    /// Counts what hyper refuses by itself: nobody else hears of it.
    fn count_refusal(&self, said: &[u8], written: &Poll<io::Result<usize>>) {
        let is_refusal =
            self.frames.is_none() && said.starts_with(b"HTTP/1.") && said.get(8..10) == Some(b" 4");
        if is_refusal && matches!(written, Poll::Ready(Ok(_))) && self.activity.has_unread_head() {
            self.metrics.unread_requests.increment();
        }
    }

    /// Whether what is about to be said is hyper's answer to a head whose first line alone is too large. Of requests sent ahead less is known, as they are read together; they keep their 431.
    fn is_refused_line(&self, said: &[u8]) -> bool {
        self.frames.is_none()
            && self.activity.request_line() >= self.header_size
            && said.starts_with(b"HTTP/1.")
            && said.get(8..13) == Some(b" 431 ")
    }

    fn note(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(frames), Poll::Ready(Ok(bytes))) = (&mut self.frames, written) {
            frames.said(*bytes);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Overheard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let heard = buf.filled().get(before..).unwrap_or_default();
        if heard.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // The last of a handshake and the first of a request may come as one: the socket then saw a handshake.
        this.activity.received();
        let Some(frames) = &mut this.frames else {
            this.activity.received_of_line(heard);
            return Poll::Ready(Ok(()));
        };
        if frames.hear(heard) {
            return Poll::Ready(Ok(()));
        }
        this.activity.broken();
        Poll::Ready(Err(io::Error::other("frames without requests")))
    }
}

impl<T: AsyncWrite + Unpin> Overheard<T> {
    /// Says 414 instead, and the rest as it is.
    fn refuse_line(&mut self, cx: &mut Context<'_>, said: &[u8]) -> Poll<io::Result<usize>> {
        let rest = said.iter().position(|byte| *byte == b'\r').and_then(|end| said.get(end..));
        let answer = [URI_TOO_LONG, rest.unwrap_or(b"\r\n\r\n")].concat();
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &answer))?;
        self.metrics.unread_requests.increment();
        // It is short and the last that is said.
        Poll::Ready(if written == answer.len() {
            Ok(said.len())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        })
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Overheard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_refused_line(buf) {
            return self.refuse_line(cx, buf);
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&written);
        self.count_refusal(buf, &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.first().filter(|first| self.is_refused_line(first)) {
            return self.refuse_line(cx, first);
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(&written);
        if let Some(first) = bufs.first() {
            self.count_refusal(first, &written);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

const URI_TOO_LONG: &[u8] = b"HTTP/1.1 414 URI Too Long";
