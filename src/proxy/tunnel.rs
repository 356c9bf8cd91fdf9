//! Bytes both ways between a client and an upstream, once both have changed their protocol.
//!
//! A quiet tunnel holds no buffer: bytes go from one socket to the other through the stack, and only what the other
//! side does not take at once is kept.
//! Never here: whether there may be a tunnel (`websocket`), what the bytes mean beyond where frames end (`frames`), when
//! a tunnel is cut (`gateway`).

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
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    join,
    time::{sleep, timeout},
};

use super::{
    frames::{Farewell, FrameBorders},
    share::Hold,
};
use crate::id::random_bytes;

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
    /// Whoever let it be opened had it cut.
    #[error("it was cut")]
    Cut,
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
    /// When `cut` gives a farewell, nothing more is carried. Each side that has whole frames is told it with Close
    /// (RFC 6455, section 5.5.1) and closed in order; a side that has a part of one is cut.
    ///
    /// # Errors
    /// [`TunnelError`]; both connections are cut then, so that what broke off does not look ended.
    pub async fn run(
        self,
        mut progress: impl FnMut(Carried),
        mut cut: impl FnMut(&mut Context<'_>) -> Poll<Farewell>,
    ) -> Result<(), TunnelError> {
        let Self { client, upstream, idle, _hold } = self;
        let mut opened = pin!(async { Ok((upstream.await?, client.await?)) });
        let opened = poll_fn(|cx| match cut(cx) {
            Poll::Ready(_) => Poll::Ready(Err(TunnelError::Cut)),
            Poll::Pending => opened.as_mut().poll(cx),
        });
        let (upstream, client) = opened.await?;
        let (mut upstream, mut client) = (TokioIo::new(upstream), TokioIo::new(client));
        let (mut up, mut down) = (Direction::default(), Direction::default());
        let mut timer = pin!(sleep(idle));
        let mut seen = Carried::default();
        let mut closing = false;
        let farewell = poll_fn(|cx| {
            if let Poll::Ready(farewell) = cut(cx) {
                return Poll::Ready(Ok(Some(farewell)));
            }
            let ups = up.poll(cx, &mut client, &mut upstream);
            let downs = down.poll(cx, &mut upstream, &mut client);
            let carried = Carried { up: up.frames.passed(), down: down.frames.passed() };
            progress(carried);
            if let Poll::Ready(ended) = ups {
                return Poll::Ready(ended.map(|()| None).map_err(TunnelError::from));
            }
            if let Poll::Ready(ended) = downs {
                return Poll::Ready(ended.map(|()| None).map_err(TunnelError::from));
            }
            if (up.ended || down.ended) && !closing {
                closing = true;
                timer.set(sleep(CLOSING));
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                if closing {
                    return Poll::Ready(Ok(None));
                }
                // Looked at when the time is up alone: bytes must not cost a timer each.
                if carried == seen {
                    return Poll::Ready(Err(TunnelError::Idle));
                }
                seen = carried;
                timer.set(sleep(idle));
            }
        })
        .await?;
        let Some(farewell) = farewell else { return Ok(()) };
        let to_client = part(client, down, farewell.frame(None));
        // A server must refuse what a client does not mask (RFC 6455, section 5.1).
        let to_upstream = part(upstream, up, farewell.frame(Some(random_bytes())));
        let _ = timeout(PARTING, async { join!(to_client, to_upstream) }).await;
        Err(TunnelError::Cut)
    }
}

/// Says `close` behind the last whole frame that went to `to`, and ends our side; then listens until the other one
/// ends, as what lies unread when a socket is closed may take the Close frame away from its reader. Where a frame has
/// been begun it can only be broken off.
async fn part(mut to: TokioIo<Upgraded>, mut way: Direction, close: Vec<u8>) -> io::Result<()> {
    if !way.drop_begun_frame() {
        return Ok(());
    }
    if !way.frames.has_closed() {
        way.rest.extend(close);
    }
    poll_fn(|cx| way.poll_rest(cx, &mut to)).await?;
    to.shutdown().await?;
    let mut discarded = [0; 1024];
    while to.read(&mut discarded).await? > 0 {}
    Ok(())
}

/// One way through the tunnel.
#[derive(Default)]
struct Direction {
    /// What has been read and not yet taken; mostly nothing.
    rest: Vec<u8>,
    taken: usize,
    unflushed: bool,
    ended: bool,
    /// Followed in every tunnel: where its last frame ended cannot be found out when it is to be cut.
    frames: FrameBorders,
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
            self.frames.follow(read);
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

    /// Forgets what has been read of a frame that is not whole; false where some of it has been taken already.
    fn drop_begun_frame(&mut self) -> bool {
        let left = self.rest.len().saturating_sub(self.taken);
        let sent = self.frames.passed().saturating_sub(left as u64);
        let Some(whole) = self.frames.border().checked_sub(sent) else { return false };
        let whole = usize::try_from(whole).unwrap_or(usize::MAX);
        self.rest.truncate(self.taken.saturating_add(whole));
        true
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

/// For the last words of a tunnel that is cut, and for its peers to end their side: what they have been sent is all that
/// they get, but until then their connections stay.
const PARTING: Duration = Duration::from_millis(500);

/// Read at once.
const PIECE: usize = 8 * 1024;
