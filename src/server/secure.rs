//! What one worker of the HTTPS listener does.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    net::{TcpListener, TcpStream},
    task,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::{
    ConnInfo,
    accept::accept,
    activity::Activity,
    canonical,
    connection::Http,
    gate::{Arrival, Gate},
    lookahead::Lookahead,
    tls,
    tracked::Tracked,
};
use crate::metrics::HandshakeFailure;

/// Everything that the connections of one worker share.
pub(super) struct Secure<W> {
    gate: Gate,
    acceptor: TlsAcceptor,
    http: Rc<Http>,
    make_service: W,
}

type Socket = Tracked<Lookahead<TcpStream>>;

impl<W> Secure<W> {
    pub(super) fn new(gate: Gate, tls: Arc<rustls::ServerConfig>, http: Rc<Http>, make_service: W) -> Self {
        Self { gate, acceptor: TlsAcceptor::from(tls), http, make_service }
    }

    /// Serves until the drain has ended. What is open then is cut with the runtime.
    pub(super) async fn run<S, B>(self, listener: std::net::TcpListener) -> io::Result<()>
    where
        W: Fn(ConnInfo) -> S + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::from_std(listener)?;
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
        // The peer is gone already where the socket has no address.
        let Ok(local) = client.stream.get_ref().local_addr() else { return };
        let activity = Arc::new(Activity::new());
        let socket = Tracked::new(client.stream, Arc::clone(&activity), client.permit);
        // Boxed, since it is large and soon over.
        let connection = match Box::pin(self.handshake(socket, client.deadline)).await {
            Some(stream) => {
                self.connection(stream, (client.peer, client.unnamed), canonical(local), activity)
            }
            None => return,
        };
        connection.await;
    }

    fn connection<S, B>(
        &self,
        stream: TlsStream<Socket>,
        (peer, unnamed): (SocketAddr, bool),
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
            unnamed,
            local,
            protocol,
            tls: Some(version),
            interim: interim.clone(),
        });
        self.http.serve(protocol, stream, activity, interim, service)
    }

    async fn handshake(&self, socket: Socket, deadline: Instant) -> Option<TlsStream<Socket>> {
        let numbers = self.gate.admission().metrics();
        // Both keep the socket, and with it the permit, until the failure is counted.
        let handshake = pin!(self.acceptor.accept(socket).into_fallible());
        let failed = match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => {
                numbers.handshakes.increment();
                return Some(stream);
            }
            Ok(Err((error, socket))) => Some((error, socket)),
            Err(_) => None,
        };
        // Scanners and probes fail all day: a counter tells an operator more than lines would.
        let reason = match &failed {
            Some((error, _)) => {
                debug!(error = %error, "A TLS handshake failed: {error}");
                reason(error)
            }
            None => {
                debug!("A TLS handshake took too long");
                HandshakeFailure::Timeout
            }
        };
        numbers.handshake_failures.of(reason).increment();
        None
    }
}

/// What an operator should know of a failed handshake: whether it is our certificate, the client's, or nothing to do
/// with either.
fn reason(error: &io::Error) -> HandshakeFailure {
    use rustls::Error as E;
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<E>()) else {
        return HandshakeFailure::Closed;
    };
    match error {
        E::AlertReceived(_) => HandshakeFailure::Alert,
        E::InvalidCertificate(_) | E::InvalidCertRevocationList(_) => HandshakeFailure::CertificateRefused,
        E::NoApplicationProtocol | E::PeerIncompatible(_) => HandshakeFailure::Incompatible,
        E::NoCertificatesPresented => HandshakeFailure::NoCertificate,
        E::BadMaxFragmentSize
        | E::DecryptError
        | E::InappropriateHandshakeMessage { .. }
        | E::InappropriateMessage { .. }
        | E::InvalidEncryptedClientHello(_)
        | E::InvalidMessage(_)
        | E::PeerMisbehaved(_)
        | E::PeerSentOversizedRecord
        | E::UnsupportedNameType => HandshakeFailure::Protocol,
        // Ours, and whatever a later version of the library tells apart.
        _ => HandshakeFailure::Other,
    }
}
