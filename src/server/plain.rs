//! HTTP/1.1 without TLS, on a listener that somebody else has bound: the admin surface.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use socket2::SockRef;
use tokio::task;

use super::{
    ConnInfo, Drain, Limits, Protocol, ServerError, Workers, accept::accept, activity::Activity,
    admission::Admission, connection::Http, listen, tracked::Tracked,
};
use crate::metrics::Metrics;

/// Serves until `drain` has ended, on one thread with a runtime of its own; `make_worker` is called there.
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
    W: Fn(ConnInfo) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (metrics, ended) = (metrics.clone(), drain.clone());
    let work = async move || serve(listener, &limits, &metrics, &ended, make_worker()).await;
    Workers::start(vec![work], drain)
}

/// Serves until `drain` has ended, on the runtime of the calling thread, which must be a `LocalRuntime` (or a
/// `LocalSet`). Connections that are open then live as long as that runtime.
async fn serve<W, S, B>(
    listener: TcpListener,
    limits: &Limits,
    metrics: &Metrics,
    drain: &Drain,
    make_service: W,
) -> io::Result<()>
where
    W: Fn(ConnInfo) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    listen::prepare(SockRef::from(&listener))?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let admission = Admission::new(limits, metrics, drain);
    let http = Rc::new(Http::new(limits, drain));
    accept(listener, drain, |stream: tokio::net::TcpStream, peer| {
        let Some(permit) = admission.admit(peer.ip()) else { return };
        let Ok(local) = stream.local_addr() else { return };
        let protocol = Protocol::Http1;
        let interim = protocol.interim();
        let service = make_service(ConnInfo {
            peer,
            local: canonical(local),
            protocol,
            tls: None,
            interim: interim.clone(),
        });
        let activity = Arc::new(Activity::new());
        let socket = Tracked::new(stream, Arc::clone(&activity), permit);
        task::spawn_local(http.serve(protocol, socket, activity, interim, service));
    })
    .await;
    drain.ended().await;
    Ok(())
}

/// An IPv4 address is never written as IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
