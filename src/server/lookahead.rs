//! A stream of which the first bytes can be looked at before anybody reads them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What was read ahead is handed out before anything else, so that no byte is lost and none comes twice.
#[derive(Debug)]
pub(super) struct Lookahead<T> {
    ahead: BytesMut,
    inner: T,
}

impl<T> Lookahead<T> {
    /// Nothing read ahead; then it costs no memory.
    pub(super) fn new(inner: T) -> Self {
        Self { ahead: BytesMut::new(), inner }
    }

    /// What was read ahead.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Forgets the first `count` bytes that were read ahead.
    pub(super) fn skip(&mut self, count: usize) {
        self.ahead.advance(count.min(self.ahead.len()));
        self.free();
    }

    /// The stream itself.
    pub(super) const fn get_ref(&self) -> &T {
        &self.inner
    }

    fn free(&mut self) {
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }
}

impl<T: AsyncRead + Unpin> Lookahead<T> {
    /// Reads some bytes more ahead, and says how many: none where the peer has ended. How often is the caller's to
    /// bound. Dropped half-way, it has read nothing.
    pub(super) async fn read_ahead(&mut self) -> io::Result<usize> {
        self.ahead.reserve(PIECE);
        self.inner.read_buf(&mut (&mut self.ahead).limit(PIECE)).await
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lookahead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        let given = self.ahead.split_to(count);
        buf.put_slice(&given);
        self.free();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lookahead<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
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

/// More than a PROXY header without extensions has, or the preface of HTTP/2.
const PIECE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_and_once() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 5).collect();
        let mut stream = Lookahead::new(text.as_slice());
        assert_eq!(stream.read_ahead().await.unwrap(), PIECE);
        assert_eq!(stream.read_ahead().await.unwrap(), PIECE);
        stream.skip(7);
        assert_eq!(stream.ahead(), &text[7..2 * PIECE]);
        let mut heard = vec![stream.read_u8().await.unwrap()];
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, &text[7..]);
        assert_eq!(stream.read_ahead().await.unwrap(), 0);
    }
}
