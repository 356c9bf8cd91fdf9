//! Sockets, TLS, HTTP connections, workers and the drain.
//!
//! A connection stays on the thread that accepted it: each worker has its own listening socket, its own runtime
//! and its own service, and one task serves a connection from its handshake to its end.
//! Never here: what a request means (`gateway`), what operators see (`admin`). Whatever is served is a hyper
//! service.

mod accept;
mod activity;
mod admission;
mod certificate;
mod connection;
mod counted;
mod drain;
mod error;
mod frames;
mod gate;
mod interject;
mod listen;
mod lookahead;
mod overheard;
mod plain;
mod proxy_header;
mod reused;
mod secure;
mod settings;
mod sni;
mod sniff;
mod stream;
pub mod tls;
mod tracked;
mod watchdog;
mod worker;

use std::{convert::Infallible, io, net::SocketAddr, net::TcpListener, rc::Rc, sync::Arc};

use bytes::Bytes;
pub use drain::Drain;
pub use error::ServerError;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
pub use plain::start_plain;
/// For its fuzz target alone.
#[cfg(fuzzing)]
pub use proxy_header::{NoProxyHeader, ProxyHeader, parse as parse_proxy_header};
pub use settings::{Https, Limits, Settings, Shutdown, TlsVersion};
pub use worker::Workers;

use self::{
    admission::Admission, connection::Http, gate::Gate, listen::Sockets, plain::Plain, secure::Secure,
};
use crate::{
    interim::Interim,
    metrics::{Listener, Metrics},
    net::Networks,
};

/// The public listeners, bound and not yet listening.
#[derive(Debug)]
pub struct Server {
    https: Option<(Sockets, Arc<rustls::ServerConfig>)>,
    plain: Option<Sockets>,
    http: Option<Sockets>,
    workers: usize,
    proxies: Option<Networks>,
    limits: Limits,
}

/// Where clients are heard, listener by listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// The same without TLS.
    pub plain: Option<SocketAddr>,
    /// Redirects to HTTPS.
    pub http: Option<SocketAddr>,
}

/// What one worker serves.
#[derive(Clone, Debug)]
pub struct Services<W, R> {
    /// Makes the service of each connection, with TLS and without.
    pub main: W,
    /// Makes the service of each connection that shall learn of HTTPS.
    pub redirect: R,
}

impl Server {
    /// Takes the addresses, one socket each for a worker, so that a port in use is known before anything is served.
    /// Clients are refused until [`Self::start`].
    ///
    /// # Errors
    /// [`ServerError::Address`] where an address cannot be had, even if another process shares its port with
    /// whoever asks; [`ServerError::Tls`] and [`ServerError::ClientCa`] where certificates cannot be used with the
    /// versions asked for.
    pub fn bind(settings: &Settings) -> Result<Self, ServerError> {
        let bind = |address: Option<SocketAddr>| {
            address.map(|address| Sockets::bind(address, settings.workers)).transpose()
        };
        let https = match &settings.https {
            Some(https) => {
                let tls = tls::server_config(https)?;
                Some((Sockets::bind(https.address, settings.workers)?, tls))
            }
            None => None,
        };
        Ok(Self {
            https,
            plain: bind(settings.plain)?,
            http: bind(settings.http)?,
            workers: settings.workers.get(),
            proxies: settings.proxies.clone(),
            limits: settings.limits.clone(),
        })
    }

    /// Where clients will be heard; with the ports that the system chose where port 0 was asked for.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            https: self.https.as_ref().map(|(sockets, _)| sockets.address()),
            plain: self.plain.as_ref().map(Sockets::address),
            http: self.http.as_ref().map(Sockets::address),
        }
    }

    /// Listens, and serves on one thread a worker until `drain` has ended.
    ///
    /// `make_worker` is called once on each of these threads, inside its runtime (where `spawn_local` works),
    /// with the worker's number.
    ///
    /// # Errors
    /// [`ServerError::Address`] or [`ServerError::Thread`] where the system refuses; then nothing goes on.
    pub fn start<M, W, S, B, R, T, C>(
        self,
        make_worker: M,
        metrics: &Metrics,
        drain: &Drain,
    ) -> Result<Workers, ServerError>
    where
        M: Fn(usize) -> Services<W, R> + Send + Sync + 'static,
        W: Fn(ConnInfo) -> S + Clone + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: Fn(ConnInfo) -> T + 'static,
        T: Service<Request<Incoming>, Response = Response<C>, Error = Infallible> + 'static,
        C: Body<Data = Bytes> + Unpin + 'static,
        C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let make_worker = Arc::new(make_worker);
        let admission = Admission::new(&self.limits, metrics, drain);
        let (https, tls) = self.https.unzip();
        let mut https = listen(https)?;
        let (mut plain, mut http) = (listen(self.plain)?, listen(self.http)?);
        let mut works = Vec::new();
        for index in 0..self.workers {
            let worker = Worker {
                https: https.next().zip(tls.clone()),
                plain: plain.next(),
                http: http.next(),
                admission: admission.clone(),
                proxies: self.proxies.clone(),
                limits: self.limits.clone(),
            };
            let make_worker = Arc::clone(&make_worker);
            works.push(async move || worker.run(make_worker(index)).await);
        }
        Workers::start(works, drain)
    }
}

fn listen(sockets: Option<Sockets>) -> Result<std::vec::IntoIter<TcpListener>, ServerError> {
    let listeners = sockets.map(Sockets::listen).transpose()?;
    Ok(listeners.unwrap_or_default().into_iter())
}

/// One worker's part of every listener.
struct Worker {
    https: Option<(TcpListener, Arc<rustls::ServerConfig>)>,
    plain: Option<TcpListener>,
    http: Option<TcpListener>,
    admission: Admission,
    proxies: Option<Networks>,
    limits: Limits,
}

impl Worker {
    async fn run<W, S, B, R, T, C>(self, services: Services<W, R>) -> io::Result<()>
    where
        W: Fn(ConnInfo) -> S + Clone + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: Fn(ConnInfo) -> T + 'static,
        T: Service<Request<Incoming>, Response = Response<C>, Error = Infallible> + 'static,
        C: Body<Data = Bytes> + Unpin + 'static,
        C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { https, plain, http, admission, proxies, limits } = self;
        let gate = |listener| Gate::new(admission.of(listener), proxies.clone(), limits.handshake_timeout);
        let protocol = Rc::new(Http::new(&limits, admission.metrics(), admission.drain()));
        let main = services.main.clone();
        let https = async {
            let Some((listener, tls)) = https else { return Ok(()) };
            Secure::new(gate(Listener::Https), tls, Rc::clone(&protocol), main).run(listener).await
        };
        let plain = async {
            let Some(listener) = plain else { return Ok(()) };
            let plain = Plain::new(gate(Listener::Plain), Rc::clone(&protocol), services.main);
            plain.with_http2(limits.header_timeout).run(listener).await
        };
        let http = async {
            let Some(listener) = http else { return Ok(()) };
            Plain::new(gate(Listener::Http), Rc::clone(&protocol), services.redirect).run(listener).await
        };
        tokio::try_join!(https, plain, http).map(drop)
    }
}

/// An IPv4 address is never written as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// The client's address: the socket's peer, or whom that stands for by a PROXY header; an IPv4 address is
    /// never written as IPv6.
    pub peer: SocketAddr,
    /// Whether the peer is a proxy of TCP whose PROXY header names nobody: what comes is not the proxy's word.
    pub unnamed: bool,
    /// Our address.
    pub local: SocketAddr,
    /// The protocol that was agreed on.
    pub protocol: Protocol,
    /// The TLS version that was agreed on; `None` on a plain connection.
    pub tls: Option<TlsVersion>,
    /// Where interim responses go; `None` where there can be none.
    pub interim: Option<Interim>,
}

/// Versions of HTTP, as far as a connection cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
}

impl Protocol {
    /// Where a connection's interim responses go; none can be written over HTTP/2.
    fn interim(self) -> Option<Interim> {
        match self {
            Self::Http1 => Some(Interim::default()),
            Self::Http2 => None,
        }
    }
}

#[cfg(test)]
mod tests;
