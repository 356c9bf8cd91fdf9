//! From an accepted socket to a client that may be served: whose it is, and whether there is room for it.
//!
//! Never here: what a PROXY header looks like (`proxy_header`), TLS, HTTP.

use std::{
    mem::MaybeUninit,
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    admission::{Admission, Permit, Place},
    lookahead::Lookahead,
    proxy_header,
};
use crate::net::Networks;

/// What the connections of one listener pass first, on one worker.
#[derive(Debug)]
pub(super) struct Gate {
    admission: Admission,
    /// Who says in a PROXY header whom it stands for; `None` where nobody does.
    proxies: Option<Networks>,
    patience: Duration,
    /// What a client is told for which there is no room.
    farewell: &'static [u8],
}

/// A socket on its way through the gate.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A proxy's, whose header is still to come.
    Announced { stream: TcpStream, proxy: SocketAddr, place: Place, deadline: Instant },
    /// A client's.
    Known(Client),
}

/// A client for which there is room.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Lookahead<TcpStream>,
    /// Its own address, whoever the socket's peer is; the proxy's where that names nobody.
    pub(super) peer: SocketAddr,
    /// Whether the peer is a proxy that names nobody.
    pub(super) unnamed: bool,
    pub(super) permit: Permit,
    /// When TLS must be agreed on.
    pub(super) deadline: Instant,
}

impl Gate {
    /// A gate that closes on whom there is no room for.
    pub(super) const fn new(admission: Admission, proxies: Option<Networks>, patience: Duration) -> Self {
        Self { admission, proxies, patience, farewell: b"" }
    }

    /// Tells those whom there is no room for, where they would understand: not before a TLS handshake.
    pub(super) fn with_farewell(self) -> Self {
        Self { farewell: TOO_MANY, ..self }
    }

    pub(super) const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// A socket that was just accepted. `None` where it is refused, and closed.
    pub(super) fn arrive(&self, stream: TcpStream, peer: SocketAddr) -> Option<Arrival> {
        let deadline = Instant::now() + self.patience;
        let Some(proxies) = &self.proxies else {
            let Some(permit) = self.admission.admit(peer.ip()) else {
                self.turn_away(&stream);
                return None;
            };
            let stream = Lookahead::new(stream);
            return Some(Arrival::Known(Client { stream, peer, unnamed: false, permit, deadline }));
        };
        if !proxies.contains(peer.ip()) {
            // Whoever it is could call itself anything.
            self.admission.metrics().proxies_untrusted.increment();
            return None;
        }
        let Some(place) = self.admission.enter() else {
            self.turn_away(&stream);
            return None;
        };
        Some(Arrival::Announced { stream, proxy: peer, place, deadline })
    }

    /// Waits for the header where there is one. `None` where the client is refused, and closed.
    pub(super) async fn admit(&self, arrival: Arrival) -> Option<Client> {
        match arrival {
            Arrival::Known(client) => Some(client),
            // Boxed: most connections never need the room.
            Arrival::Announced { stream, proxy, place, deadline } => {
                Box::pin(self.announced(Lookahead::new(stream), proxy, place, deadline)).await
            }
        }
    }

    async fn announced(
        &self,
        mut stream: Lookahead<TcpStream>,
        proxy: SocketAddr,
        place: Place,
        deadline: Instant,
    ) -> Option<Client> {
        let header = timeout_at(deadline, read_header(&mut stream)).await.ok().flatten();
        let Some(source) = header else {
            self.admission.metrics().proxy_header_failures.increment();
            return None;
        };
        let peer = source.unwrap_or(proxy);
        let Some(permit) = place.claim(peer.ip()) else {
            self.turn_away(stream.get_ref());
            return None;
        };
        Some(Client { stream, peer, unnamed: source.is_none(), permit, deadline })
    }

    /// Waits for nothing: a socket is what there may be too many of.
    fn turn_away(&self, stream: &TcpStream) {
        if self.farewell.is_empty() {
            return;
        }
        let socket = SockRef::from(stream);
        // A client that does not hear it sees the connection closed, and that is the answer, too.
        let _ = socket.send(self.farewell);
        let _ = socket.shutdown(Shutdown::Write);
        // A request that is here already and stays unread would make the system take the answer back.
        let _ = socket.recv(&mut [MaybeUninit::uninit(); 4096]);
    }
}

/// The address in the header, which is taken off the stream; `None` where there is no header.
async fn read_header(stream: &mut Lookahead<TcpStream>) -> Option<Option<SocketAddr>> {
    loop {
        if let Some(header) = proxy_header::parse(stream.ahead()).ok()? {
            stream.skip(header.length);
            return Some(header.source);
        }
        // Bounded: with `proxy_header::LONGEST` bytes it is decided.
        if stream.read_ahead().await.ok()? == 0 {
            return None;
        }
    }
}

/// RFC 9110, section 15.6.4.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";
