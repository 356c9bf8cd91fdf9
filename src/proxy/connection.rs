//! One connection to an upstream's server.
//!
//! Never here: which connection a request takes (`pool`), what is sent.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    task::{AbortHandle, spawn_local},
};

use super::{RequestBody, resolve::Server};

/// An HTTP/1.1 connection. Dropping it closes the socket at once, whatever is still under way on it.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    heard: Rc<Cell<bool>>,
    served: bool,
    task: AbortHandle,
}

impl Connection {
    /// Connects to the first address of `server` that answers, within `limit`. Must be called within a local
    /// runtime: the socket is driven by a task of its own, which keeps `permit` until the socket is closed.
    pub(super) async fn open(
        server: &Server,
        limit: Duration,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let connecting = tokio::time::timeout(limit, connect(server, limit));
        let stream = connecting.await.unwrap_or_else(|late| Err(late.into()))?;
        // A request is written whole, and a part of a body must not wait for the next one.
        stream.set_nodelay(true)?;
        let heard = Rc::new(Cell::new(false));
        let socket = Socket { stream, heard: Rc::clone(&heard), deaf: false };
        let handshake = Builder::new().max_header_size(MAX_RESPONSE_HEAD).handshake(TokioIo::new(socket));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let task = spawn_local(async move {
            let _permit = permit;
            // Whatever goes wrong is told to the request that is under way; an idle connection just ends.
            let _ = connection.await;
        });
        Ok(Self { sender, heard, served: false, task: task.abort_handle() })
    }

    /// Hands `request` to the connection. The error has it again if nothing of it was sent.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        self.heard.set(false);
        self.sender.try_send_request(request)
    }

    /// Whether a byte has come since the last [`Self::send`].
    pub(super) fn has_heard(&self) -> bool {
        self.heard.get()
    }

    /// Whether it has carried a request before this one.
    pub(super) const fn has_served(&self) -> bool {
        self.served
    }

    /// Notes that it has carried a request.
    pub(super) const fn set_served(&mut self) {
        self.served = true;
    }

    /// Whether it takes the next request: the last one has been sent whole, and its answer read whole.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether either side has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until [`Self::is_ready`]; `false` if it is closed instead.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl Drop for Connection {
    /// hyper would first send the rest of a body that nobody waits for.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(server: &Server, limit: Duration) -> io::Result<TcpStream> {
    let addresses = server.addresses().await?;
    // An address that swallows everything must leave time for the next one.
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(last)
}

/// A socket that notes whether anything came in: only then may a request have been answered.
struct Socket {
    stream: TcpStream,
    heard: Rc<Cell<bool>>,
    /// Whether the server takes no more.
    deaf: bool,
}

impl Socket {
    /// What comes of writing `bytes`. A server that has heard enough answers and closes: what it does not take is
    /// then lost in any case, but hyper would lose the answer as well, which may be there to be read. The end, if
    /// that is all there is, is read too.
    fn written(&mut self, bytes: usize, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if is_refusal(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(bytes))
            }
            other => other,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.set(true);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
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
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(bytes, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes of a response's head. The number of its fields is hyper's default, 100: another one costs an allocation
/// per response.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
