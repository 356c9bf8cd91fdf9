//! Writes interim responses between the messages that hyper writes.
//!
//! Never here: what they say (`proxy`), whose turn it is (`interim`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::interim::Interim;

/// A connection, above TLS, that says what `interim` holds as soon as whatever was written is flushed.
///
/// hyper flushes when it has written all it has. An exchange may speak only before its answer begins, and loses what it
/// said when its answer begins before all earlier messages are written; so whatever is there after a flush belongs
/// between two messages.
#[derive(Debug)]
pub(super) struct Interjecting<T> {
    inner: T,
    interim: Interim,
    /// All that hyper had was written.
    flushed: bool,
    /// Of an interim response that the peer has begun to take.
    rest: Bytes,
}

impl<T> Interjecting<T> {
    pub(super) const fn new(inner: T, interim: Interim) -> Self {
        Self { inner, interim, flushed: true, rest: Bytes::new() }
    }
}

impl<T> Interjecting<T> {
    fn set_flushed(&mut self, flushed: bool) {
        self.flushed = flushed;
        self.interim.set_behind(!flushed);
    }
}

impl<T: AsyncWrite + Unpin> Interjecting<T> {
    /// Ready at once where there is nothing to say, which is nearly always.
    fn poll_interject(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flushed && self.rest.is_empty() && self.interim.waits() {
            self.rest = self.interim.take().into();
        }
        while !self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rest.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Interjecting<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Interjecting<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interject(cx))?;
        self.set_flushed(false);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interject(cx))?;
        self.set_flushed(false);
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.set_flushed(true);
        if self.rest.is_empty() && !self.interim.waits() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_interject(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_interim_response_stands_between_two_messages() {
        let (mut peer, inner) = tokio::io::duplex(1024);
        let interim = Interim::default();
        let mut connection = Interjecting::new(inner, interim.clone());
        connection.write_all(b"first ").await.unwrap();
        // The rest of the first message is still to be written.
        let exchange = interim.open();
        exchange.sink().put(b"hint ");
        connection.write_all(b"message ").await.unwrap();
        connection.flush().await.unwrap();
        exchange.sink().put(b"another ");
        connection.write_all(b"second message").await.unwrap();
        connection.flush().await.unwrap();
        drop(connection);
        let mut seen = String::new();
        peer.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "first message hint another second message");
    }

    #[tokio::test]
    async fn an_answer_that_is_put_behind_another_loses_its_interim_responses() {
        let (mut peer, inner) = tokio::io::duplex(5);
        let interim = Interim::default();
        let mut connection = Interjecting::new(inner, interim.clone());
        assert_eq!(connection.write(b"first ").await.unwrap(), 5, "the peer takes no more for now");
        let exchange = interim.open();
        exchange.sink().put(b"hint ");
        drop(exchange);
        let write = async {
            connection.write_all(b" second, begun ").await.unwrap();
            connection.flush().await.unwrap();
            connection.write_all(b"and ended").await.unwrap();
            connection.flush().await.unwrap();
            drop(connection);
        };
        let mut seen = String::new();
        let (_, read) = tokio::join!(write, peer.read_to_string(&mut seen));
        read.unwrap();
        assert_eq!(seen, "first second, begun and ended");
    }

    #[tokio::test]
    async fn a_slow_peer_gets_an_interim_response_whole() {
        let (mut peer, inner) = tokio::io::duplex(4);
        let interim = Interim::default();
        let mut connection = Interjecting::new(inner, interim.clone());
        interim.open().sink().put(b"a hint that is too long for the pipe ");
        let write = async {
            connection.write_all(b"message").await.unwrap();
            connection.flush().await.unwrap();
            drop(connection);
        };
        let mut seen = String::new();
        let (_, read) = tokio::join!(write, peer.read_to_string(&mut seen));
        read.unwrap();
        assert_eq!(seen, "a hint that is too long for the pipe message");
    }
}
