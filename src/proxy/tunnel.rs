//! Bytes both ways between a client and an upstream, once both have changed their protocol.
//!
//! A quiet tunnel holds no buffer: bytes go from one socket to the other through the stack, and only what the other
//! side does not take at once is kept.
//! Never here: whether there may be a tunnel (`websocket`), what the bytes mean.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

use super::share::Hold;

/// A tunnel to be: both sides have agreed, and their connections are about to be handed over.
pub struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
    /// How long neither side may be silent.
    pub(super) idle: Duration,
    /// The client's share of the upstream's connections.
    pub(super) _hold: Option<Hold>,
}

/// Bytes that a tunnel has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the client to the upstream.
    pub up: u64,
    /// From the upstream to the client.
    pub down: u64,
}

/// Why a tunnel ended before either side had closed it.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// A connection broke.
    #[error("a connection broke: {0}")]
    Broken(#[from] io::Error),
    /// Neither side said anything for too long.
    #[error("both sides were silent for too long")]
    Idle,
    /// One of the connections ended before it was handed over.
    #[error("a connection was not handed over: {0}")]
    NotOpened(#[from] hyper::Error),
}

impl Tunnel {
    /// Carries bytes until one side has closed, then closes the other one when it has taken what was on its way.
    /// `progress` is told what has been carried until now. Dropped, it cuts both connections.
    ///
    /// # Errors
    /// [`TunnelError`]; both connections are cut then, so that what broke off does not look ended.
    pub async fn run(self, mut progress: impl FnMut(Carried)) -> Result<(), TunnelError> {
        let mut upstream = TokioIo::new(self.upstream.await?);
        let mut client = TokioIo::new(self.client.await?);
        let (mut up, mut down) = (Direction::default(), Direction::default());
        let mut timer = pin!(sleep(self.idle));
        let mut seen = Carried::default();
        let mut closing = false;
        poll_fn(|cx| {
            let ups = up.poll(cx, &mut client, &mut upstream);
            let downs = down.poll(cx, &mut upstream, &mut client);
            let carried = Carried { up: up.carried, down: down.carried };
            progress(carried);
            if let Poll::Ready(ended) = ups {
                return Poll::Ready(ended.map_err(TunnelError::from));
            }
            if let Poll::Ready(ended) = downs {
                return Poll::Ready(ended.map_err(TunnelError::from));
            }
            if (up.ended || down.ended) && !closing {
                closing = true;
                timer.set(sleep(CLOSING));
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                if closing {
                    return Poll::Ready(Ok(()));
                }
                // Looked at when the time is up alone: bytes must not cost a timer each.
                if carried == seen {
                    return Poll::Ready(Err(TunnelError::Idle));
                }
                seen = carried;
                timer.set(sleep(self.idle));
            }
        })
        .await
    }
}

/// One way through the tunnel.
#[derive(Default)]
struct Direction {
    /// What has been read and not yet taken; mostly nothing.
    rest: Vec<u8>,
    taken: usize,
    unflushed: bool,
    ended: bool,
    carried: u64,
}

impl Direction {
    /// Carries what there is. Ready when `from` has ended and `to` has been told so.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TokioIo<Upgraded>,
        to: &mut TokioIo<Upgraded>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_rest(cx, to))?;
            if self.ended {
                return Pin::new(to).poll_shutdown(cx);
            }
            let mut scratch = [MaybeUninit::uninit(); PIECE];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            if Pin::new(&mut *from).poll_read(cx, &mut buffer)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
            let read = buffer.filled();
            self.ended = read.is_empty();
            self.carried += read.len() as u64;
            if !read.is_empty() {
                self.unflushed = true;
                let taken = match Pin::new(&mut *to).poll_write(cx, read)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(taken) => taken,
                    Poll::Pending => 0,
                };
                self.rest.extend_from_slice(read.get(taken..).unwrap_or_default());
            }
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, to: &mut TokioIo<Upgraded>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.rest.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *to).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.taken += taken,
            }
        }
        if self.taken > 0 {
            self.rest = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// For the last bytes, and for a peer that goes on sending to whom has closed.
const CLOSING: Duration = Duration::from_secs(2);

/// Read at once.
const PIECE: usize = 8 * 1024;
