//! What one worker of the HTTPS listener does.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    net::{TcpListener, TcpStream},
    task, time,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::{
    ConnInfo, Limits,
    accept::accept,
    activity::Activity,
    admission::{Admission, Permit},
    connection::Http,
    plain::canonical,
    tls,
    tracked::Tracked,
};

/// Everything that the connections of one worker share.
pub(super) struct Secure<W> {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    http: Rc<Http>,
    admission: Admission,
    make_service: W,
}

impl<W> Secure<W> {
    /// Serves until the drain has ended. What is open then is cut with the runtime.
    pub(super) async fn run<S, B>(
        listener: std::net::TcpListener,
        admission: Admission,
        tls: Arc<rustls::ServerConfig>,
        limits: &Limits,
        make_service: W,
    ) -> io::Result<()>
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::from_std(listener)?;
        let drain = admission.drain().clone();
        let this = Rc::new(Self {
            acceptor: TlsAcceptor::from(tls),
            handshake_timeout: limits.handshake_timeout,
            http: Rc::new(Http::new(limits, &drain)),
            admission,
            make_service,
        });
        accept(listener, &drain, |stream, peer| {
            // Where there are too many, the socket is closed by being dropped.
            if let Some(permit) = this.admission.admit(peer.ip()) {
                task::spawn_local(Rc::clone(&this).serve(stream, peer, permit));
            }
        })
        .await;
        drain.ended().await;
        Ok(())
    }

    async fn serve<S, B>(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, permit: Permit)
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // The peer is gone already where the socket has no address.
        let Ok(local) = stream.local_addr() else { return };
        let activity = Arc::new(Activity::new());
        let socket = Tracked::new(stream, Arc::clone(&activity), permit);
        // Boxed, since it is large and soon over.
        let connection = match Box::pin(self.handshake(socket)).await {
            Some(stream) => self.connection(stream, peer, canonical(local), activity),
            None => return,
        };
        connection.await;
    }

    fn connection<S, B>(
        &self,
        stream: TlsStream<Tracked<TcpStream>>,
        peer: SocketAddr,
        local: SocketAddr,
        activity: Arc<Activity>,
    ) -> Pin<Box<dyn Future<Output = ()>>>
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (protocol, version) = tls::agreed(stream.get_ref().1);
        let interim = protocol.interim();
        let service = (self.make_service)(ConnInfo {
            peer,
            local,
            protocol,
            tls: Some(version),
            interim: interim.clone(),
        });
        self.http.serve(protocol, stream, activity, interim, service)
    }

    async fn handshake(&self, socket: Tracked<TcpStream>) -> Option<TlsStream<Tracked<TcpStream>>> {
        let numbers = self.admission.metrics();
        // Both keep the socket, and with it the permit, until the failure is counted.
        let handshake = pin!(self.acceptor.accept(socket).into_fallible());
        let failed = match time::timeout(self.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => {
                numbers.handshakes.increment();
                return Some(stream);
            }
            Ok(Err((error, socket))) => Some((error, socket)),
            Err(_) => None,
        };
        // Scanners and probes fail all day: a counter tells an operator more than lines would.
        match &failed {
            Some((error, _)) => debug!(error = %error, "A TLS handshake failed: {error}"),
            None => debug!("A TLS handshake took too long"),
        }
        numbers.handshake_failures.increment();
        None
    }
}
