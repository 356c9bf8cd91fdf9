//! The bytes of a connection, whatever carries them.
//!
//! One concrete type for every transport, so that whoever takes a connection over from HTTP (an upgrade) gets it
//! back by that type.
//! Never here: how a connection is made (`dial`), what is said on it.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::server::Permit;

/// A connection to a server, of any kind. Dropping it closes the socket, and then gives its permit back.
pub(super) struct Transport {
    stream: Stream,
    slot: Arc<Slot>,
    /// Whether the server takes no more.
    deaf: bool,
    // Behind the stream, so that it is given back when the socket is closed.
    _permit: Option<Permit>,
}

impl Transport {
    /// Without a permit the connection does not count among its server's.
    pub(super) const fn new(stream: Stream, slot: Arc<Slot>, permit: Option<Permit>) -> Self {
        Self { stream, slot, deaf: false, _permit: permit }
    }
}

/// What carries the bytes.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// What a socket and the holder of its connection both know.
pub(super) struct Slot {
    heard: AtomicBool,
    /// `None` where the server has no address.
    peer: Option<SocketAddr>,
}

impl Slot {
    pub(super) fn new(peer: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { heard: AtomicBool::new(false), peer })
    }

    /// The server's address.
    pub(super) const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether anything came in since [`Self::forget`]: only then may a request have been answered.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Begins to listen anew.
    pub(super) fn forget(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            self.slot.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl Transport {
    /// What comes of writing `bytes`. A server that has heard enough answers and closes: what it does not take is
    /// then lost in any case, but hyper would lose the answer as well, which may be there to be read. The end, if
    /// that is all there is, is read too.
    fn written<T>(&mut self, taken: T, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) if is_refusal(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(taken))
            }
            other => other,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.written(bytes.len(), result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(bytes));
        }
        let result = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        self.written(bytes, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        let result = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.written((), result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_can_be_handed_on_by_its_type() {
        const fn can_be_upgraded<T: Send + Unpin + 'static>() {}
        can_be_upgraded::<Transport>();
    }
}
