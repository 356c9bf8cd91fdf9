//! HTTP without TLS: what one worker does for such a listener, and the admin surface.

use std::{convert::Infallible, io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use socket2::SockRef;
use tokio::{net::TcpStream, task};

use super::{
    ConnInfo, Drain, Limits, Protocol, ServerError, Workers,
    accept::accept,
    activity::Activity,
    admission::Admission,
    canonical,
    connection::Http,
    gate::{Arrival, Client, Gate},
    listen,
    lookahead::Lookahead,
    sniff::sniff,
    tracked::Tracked,
};
use crate::metrics::Metrics;

/// Serves HTTP/1.1 until `drain` has ended, on one thread with a runtime of its own; `make_worker` is called there.
///
/// # Errors
/// [`ServerError::Thread`].
pub fn start_plain<M, W, S, B>(
    listener: TcpListener,
    limits: Limits,
    metrics: &Metrics,
    drain: &Drain,
    make_worker: M,
) -> Result<Workers, ServerError>
where
    M: FnOnce() -> W + Send + 'static,
    W: Fn(ConnInfo) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (metrics, ended) = (metrics.clone(), drain.clone());
    let work = async move || {
        listen::prepare(SockRef::from(&listener))?;
        let gate = Gate::new(Admission::new(&limits, &metrics, &ended), None, limits.handshake_timeout);
        let http = Rc::new(Http::new(&limits, &metrics, &ended));
        Plain::new(gate, http, make_worker()).run(listener).await
    };
    Workers::start(vec![work], drain)
}

/// Everything that the connections of one listener and one worker share.
pub(super) struct Plain<W> {
    gate: Gate,
    http: Rc<Http>,
    /// What a client gets to show which protocol it speaks; `None` where all speak HTTP/1.1.
    sniffing: Option<Duration>,
    make_service: W,
}

impl<W> Plain<W> {
    /// HTTP/1.1 alone.
    pub(super) fn new(gate: Gate, http: Rc<Http>, make_service: W) -> Self {
        Self { gate: gate.with_farewell(), http, sniffing: None, make_service }
    }

    /// HTTP/2 with prior knowledge as well; a client gets `patience` to show that.
    pub(super) fn with_http2(self, patience: Duration) -> Self {
        Self { sniffing: Some(patience), ..self }
    }

    /// Serves until the drain has ended. What is open then is cut with the runtime.
    pub(super) async fn run<S, B>(self, listener: TcpListener) -> io::Result<()>
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let this = Rc::new(self);
        accept(listener, this.gate.admission(), |stream, peer| {
            if let Some(arrival) = this.gate.arrive(stream, peer) {
                task::spawn_local(Rc::clone(&this).serve(arrival));
            }
        })
        .await;
        this.gate.admission().drain().ended().await;
        Ok(())
    }

    async fn serve<S, B>(self: Rc<Self>, arrival: Arrival)
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(client) = self.gate.admit(arrival).await else { return };
        let Client { mut stream, peer, unnamed, permit, deadline: _ } = client;
        let Some(protocol) = self.protocol(&mut stream).await else { return };
        // The peer is gone already where the socket has no address.
        let Ok(local) = stream.get_ref().local_addr() else { return };
        let interim = protocol.interim();
        let service = (self.make_service)(ConnInfo {
            peer,
            unnamed,
            local: canonical(local),
            protocol,
            tls: None,
            interim: interim.clone(),
        });
        let activity = Arc::new(Activity::new());
        let socket = Tracked::new(stream, Arc::clone(&activity), permit);
        self.http.serve(protocol, socket, activity, interim, service).await;
    }

    async fn protocol(&self, stream: &mut Lookahead<TcpStream>) -> Option<Protocol> {
        match self.sniffing {
            None => Some(Protocol::Http1),
            // Boxed, since it is soon over.
            Some(patience) => Box::pin(sniff(stream, patience, self.gate.admission().drain())).await,
        }
    }
}
