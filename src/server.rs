//! Sockets, TLS, HTTP connections, workers and the drain.
//!
//! A connection stays on the thread that accepted it: each worker has its own listening socket, its own runtime
//! and its own service, and one task serves a connection from its handshake to its end.
//! Never here: what a request means (`gateway`), what operators see (`admin`). Whatever is served is a hyper
//! service.

mod accept;
mod activity;
mod admission;
mod connection;
mod counted;
mod drain;
mod error;
mod frames;
mod listen;
mod overheard;
mod plain;
mod reused;
mod secure;
mod settings;
mod stream;
pub mod tls;
mod tracked;
mod watchdog;
mod worker;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
pub use drain::Drain;
pub use error::ServerError;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
pub use plain::start_plain;
pub use settings::{Limits, Settings, Shutdown, TlsVersion};
pub use worker::Workers;

use self::{admission::Admission, listen::Sockets, secure::Secure};
use crate::metrics::Metrics;

/// The public HTTPS listener, bound and not yet listening.
#[derive(Debug)]
pub struct Server {
    sockets: Sockets,
    tls: Arc<rustls::ServerConfig>,
    limits: Limits,
}

impl Server {
    /// Takes the address, one socket a worker, so that a port in use is known before anything is served.
    /// Clients are refused until [`Self::start`].
    ///
    /// # Errors
    /// [`ServerError::Address`] where the address cannot be had, even if another process shares its port with
    /// whoever asks; [`ServerError::Tls`] where the certificate cannot be used with the versions asked for.
    pub fn bind(settings: &Settings) -> Result<Self, ServerError> {
        Ok(Self {
            tls: tls::server_config(settings)?,
            sockets: Sockets::bind(settings.https, settings.workers)?,
            limits: settings.limits.clone(),
        })
    }

    /// Where clients will be heard; with the port that the system chose where port 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.sockets.address()
    }

    /// Listens, and serves on one thread a worker until `drain` has ended.
    ///
    /// `make_worker` is called once on each of these threads, inside its runtime (where `spawn_local` works),
    /// with the worker's number. What it returns makes the service of each connection.
    ///
    /// # Errors
    /// [`ServerError::Address`] or [`ServerError::Thread`] where the system refuses; then nothing goes on.
    pub fn start<M, W, S, B>(
        self,
        make_worker: M,
        metrics: &Metrics,
        drain: &Drain,
    ) -> Result<Workers, ServerError>
    where
        M: Fn(usize) -> W + Send + Sync + 'static,
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let make_worker = Arc::new(make_worker);
        let admission = Admission::new(&self.limits, metrics, drain);
        let mut works = Vec::new();
        for (index, listener) in self.sockets.listen()?.into_iter().enumerate() {
            let (make_worker, admission) = (Arc::clone(&make_worker), admission.clone());
            let (tls, limits) = (Arc::clone(&self.tls), self.limits.clone());
            works
                .push(async move || Secure::run(listener, admission, tls, &limits, make_worker(index)).await);
        }
        Workers::start(works, drain)
    }
}

/// What is known of a connection before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// The peer's address; an IPv4 address is never written as IPv6.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// The protocol that was agreed on.
    pub protocol: Protocol,
    /// The TLS version that was agreed on; `None` on a plain connection.
    pub tls: Option<TlsVersion>,
}

/// Versions of HTTP, as far as a connection cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
}

#[cfg(test)]
mod tests;
