//! HTTP on one connection: hyper within our limits.
//!
//! The protocol is known before the first byte is read here (ALPN, `sniff`, or HTTP/1.1 alone): nothing is guessed.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time,
};

use super::{
    Drain, Limits, Protocol,
    activity::Activity,
    counted::counted,
    interject::Interjecting,
    overheard::Overheard,
    reused::reused,
    stream::bounded,
    watchdog::{CLOSING, Order, Patience, Watchdog},
};
use crate::{
    body::{self, Cuttable},
    interim::Interim,
    metrics::Metrics,
};

/// Serves HTTP; one per worker.
#[derive(Debug)]
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<Local>,
    patience: Patience,
    header_size: usize,
    metrics: Metrics,
    drain: Drain,
}

impl Http {
    pub(super) fn new(limits: &Limits, metrics: &Metrics, drain: &Drain) -> Self {
        Self {
            http1: http1(limits),
            http2: http2(limits),
            patience: Patience { head: limits.header_timeout, idle: limits.idle_timeout },
            header_size: limits.header_size,
            metrics: metrics.clone(),
            drain: drain.clone(),
        }
    }

    /// Serves one connection to its end. `activity` is the one that its socket notes, `interim` the
    /// one that its service may speak through.
    ///
    /// Boxed with nothing but the connection in it: an idle connection is little more than this future.
    pub(super) fn serve<T, S, B>(
        self: &Rc<Self>,
        protocol: Protocol,
        io: T,
        activity: Arc<Activity>,
        interim: Option<Interim>,
        service: S,
    ) -> Pin<Box<dyn Future<Output = ()>>>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        activity.opened(protocol);
        let this = Rc::clone(self);
        let service = counted(service, Arc::clone(&activity), protocol);
        let io = Overheard::new(io, Arc::clone(&activity), protocol, this.header_size, &this.metrics);
        match protocol {
            Protocol::Http1 => {
                let io = Interjecting::new(io, interim.unwrap_or_default());
                let mut connection = this.http1.serve_connection(TokioIo::new(io), service).with_upgrades();
                Box::pin(async move {
                    let timed_out = this
                        .watch(Pin::new(&mut connection), &activity, |connection| {
                            connection.graceful_shutdown();
                        })
                        .await;
                    if timed_out {
                        activity.given_up();
                    }
                    // Whatever lives across an await is carried by every connection, so nothing large does here.
                    let told = connection.into_parts().filter(|_| timed_out);
                    if let Some(told) = told.map(|parts| Box::pin(say_timeout(parts.io.into_inner()))) {
                        told.await;
                    }
                })
            }
            Protocol::Http2 => {
                let mut connection = this.http2.serve_connection(TokioIo::new(io), service);
                Box::pin(async move {
                    this.watch(Pin::new(&mut connection), &activity, |connection| {
                        connection.graceful_shutdown();
                    })
                    .await;
                })
            }
        }
    }

    /// Drives a connection to its end. Returns whether it ended because a head took too long.
    async fn watch<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        activity: &Activity,
        finish: impl Fn(Pin<&mut C>),
    ) -> bool {
        let mut watchdog = Watchdog {
            activity,
            patience: self.patience,
            drain: &self.drain,
            bell: pin!(self.drain.bell()),
            timer: pin!(time::sleep(self.patience.head)),
            heard: None,
            finishing: None,
        };
        // The answer that a peer takes nothing of, where there is one.
        let mut held = None;
        loop {
            // The connection first: a request that is there already when the drain begins is still answered.
            let order = poll_fn(|cx| match connection.as_mut().poll(cx) {
                // An error is the peer's: it broke off or broke the rules, and hyper has answered what it could.
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending if is_cut(&mut held, activity) => Poll::Ready(Some(Order::Cut)),
                Poll::Pending => watchdog.poll(cx).map(Some),
            });
            match order.await {
                Some(Order::Finish) => finish(connection.as_mut()),
                Some(Order::TimeOut) => return true,
                Some(Order::Cut) | None => return false,
            }
        }
    }
}

/// Whether the answer on an HTTP/1 connection must break off. Its body says so itself, but hyper does not ask it while
/// the peer takes nothing.
fn is_cut(held: &mut Option<Rc<dyn Cuttable>>, activity: &Activity) -> bool {
    if let Some(answer) = body::take_given() {
        *held = Some(answer);
    }
    if !activity.is_blocked() {
        *held = None;
    }
    held.as_ref().is_some_and(|answer| answer.is_cut())
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper's own timer would also run between requests, and costs an allocation a request.
    builder.header_read_timeout(None);
    builder.half_close(false);
    builder.max_header_size(limits.header_size);
    // Bounds what is read ahead and what waits to be written, so that slow peers cost little memory.
    builder.max_buf_size(limits.header_size.max(HYPERS_LEAST_BUFFER));
    // hyper allows 100 by default, and looks for room on the heap as soon as it is told any number.
    if limits.header_count != HYPERS_HEADER_COUNT {
        builder.max_headers(limits.header_count);
    }
    builder
}

fn http2(limits: &Limits) -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(Local { patience: limits.idle_timeout });
    builder.timer(TokioTimer::new());
    builder.max_concurrent_streams(limits.streams);
    builder.max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX));
    // Windows are what a peer may send unasked, that is our memory: no adaptive ones, which grow to 16 MiB.
    builder.initial_stream_window_size(STREAM_WINDOW);
    builder.initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_send_buf_size(SEND_BUFFER);
    // Said here although they are the defaults: a looser default shall not come with an update.
    builder.max_pending_accept_reset_streams(PENDING_RESETS);
    builder.max_local_error_reset_streams(ERROR_RESETS);
    builder.keep_alive_interval(PING_INTERVAL);
    builder.keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// RFC 9110, section 15.5.9. hyper only closes; a client should learn that trying again may help.
async fn say_timeout(mut io: impl AsyncWrite + Unpin) {
    let say = async {
        io.write_all(REQUEST_TIMEOUT).await?;
        io.shutdown().await
    };
    // The peer has ended or takes too long for that as well: there is nobody to tell.
    let _: Result<std::io::Result<()>, _> = time::timeout(CLOSING, say).await;
}

/// Puts HTTP/2 streams onto the connection's own thread.
#[derive(Clone, Copy, Debug)]
struct Local {
    patience: Duration,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(reused(bounded(stream, self.patience)));
    }
}

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const HYPERS_HEADER_COUNT: usize = 100;
const HYPERS_LEAST_BUFFER: usize = 8192;
/// 2.5 MB/s for one upload over 100 ms; hyper's 1 MiB would let a client make us keep four times as much.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Two uploads at full speed; all that one connection can make us keep of its bodies.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// Bytes of one answer that wait for the peer's window.
const SEND_BUFFER: usize = 16 * 1024;
/// Streams opened and reset before they are looked at (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that a peer makes us reset by breaking the rules (CVE-2025-8671).
const ERROR_RESETS: usize = 1024;
/// Between two questions whether the peer is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// For its answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
