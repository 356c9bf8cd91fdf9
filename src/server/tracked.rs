//! A socket that notes what passes through it, and that closes without breaking off what it has just said.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{activity::Activity, admission::Permit, lookahead::Lookahead};

/// The socket itself, below TLS: here a slow TLS record is as visible as a slow head.
#[derive(Debug)]
pub(super) struct Tracked<T: Abort> {
    inner: T,
    activity: Arc<Activity>,
    closing: Closing,
    _permit: Permit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// We still write.
    No,
    /// Our side is closed; nothing was left unread.
    Half,
    /// Our side is closed; the peer is still sending, or may be, and is listened to until it stops.
    Lingering,
}

impl<T: Abort> Tracked<T> {
    pub(super) const fn new(inner: T, activity: Arc<Activity>, permit: Permit) -> Self {
        Self { inner, activity, closing: Closing::No, _permit: permit }
    }
}

impl<T: AsyncRead + Abort + Unpin> AsyncRead for Tracked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl<T: Abort> Tracked<T> {
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(_) => self.activity.wrote(),
            Poll::Pending => self.activity.blocked(),
        }
        written
    }
}

impl<T: AsyncRead + AsyncWrite + Abort + Unpin> AsyncWrite for Tracked<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Closes our side. Where the peer is still sending, as in an upload that was refused, reads on: the system
    /// answers bytes for a closed socket with a reset, and a reset takes our answer away from the peer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.activity.closing();
        if this.closing == Closing::No {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.closing = if this.activity.is_uploading() { Closing::Lingering } else { Closing::Half };
        }
        let mut scratch = [MaybeUninit::uninit(); 4096];
        loop {
            let mut discarded = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut this.inner).poll_read(cx, &mut discarded) {
                Poll::Ready(Ok(())) if !discarded.filled().is_empty() => this.closing = Closing::Lingering,
                Poll::Pending if this.closing == Closing::Lingering => return Poll::Pending,
                Poll::Ready(_) | Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<T: Abort> Drop for Tracked<T> {
    /// An end in order would make half an answer look whole; and for a peer that reads nothing the system would
    /// keep what is still to be sent for minutes.
    fn drop(&mut self) {
        if self.activity.is_broken() {
            self.inner.abort();
        }
    }
}

/// A socket whose end can be made to look like what it is: broken off.
pub(super) trait Abort {
    /// Makes the coming end a reset, not an end in order.
    fn abort(&self);
}

impl Abort for TcpStream {
    fn abort(&self) {
        // A socket that refuses is closed in order: all that is left to do.
        let _refused = self.set_zero_linger();
    }
}

impl<T: Abort> Abort for Lookahead<T> {
    fn abort(&self) {
        self.get_ref().abort();
    }
}

#[cfg(test)]
impl Abort for tokio::io::DuplexStream {
    fn abort(&self) {}
}
