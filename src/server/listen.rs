//! One listening socket a worker, all on one address.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use super::ServerError;

/// Sockets that share an address with each other and with nobody else. Bound, not yet listening.
#[derive(Debug)]
pub(super) struct Sockets {
    address: SocketAddr,
    sockets: Vec<Socket>,
}

impl Sockets {
    pub(super) fn bind(address: SocketAddr, count: NonZeroUsize) -> Result<Self, ServerError> {
        bind_all(address, count).map_err(|error| ServerError::Address { address, error })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(self) -> Result<Vec<TcpListener>, ServerError> {
        let address = self.address;
        let listen = |socket: Socket| -> io::Result<TcpListener> {
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        let listeners: io::Result<_> = self.sockets.into_iter().map(listen).collect();
        listeners.map_err(|error| ServerError::Address { address, error })
    }
}

/// Sets what every connection accepted by `listener` shall have: Linux hands it down, which saves the calls.
pub(super) fn prepare(listener: SockRef<'_>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    listener.set_tcp_nodelay(true)?;
    // Notices a peer that vanished while nothing is on its way to it: a quiet stream, an open tunnel.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_PROBE).with_retries(3);
    listener.set_tcp_keepalive(&keepalive)
}

fn bind_all(mut address: SocketAddr, count: NonZeroUsize) -> io::Result<Sockets> {
    // A shared port hides that another process holds it, so it is first asked for alone. Port 0 needs no such
    // probe: for it the system looks for a port that nobody holds.
    if address.port() != 0 {
        socket(address)?.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(count.get());
    for _ in 0..count.get() {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        prepare(SockRef::from(&socket))?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        sockets.push(socket);
    }
    Ok(Sockets { address, sockets })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // The port of a process that has just ended can be had at once.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means both families, whatever this machine's default is.
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Connections that may wait to be accepted, for each worker; the system lowers it to its own limit.
const BACKLOG: i32 = 4096;
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_PROBE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[test]
    fn all_sockets_share_the_port_that_was_chosen() {
        let sockets = Sockets::bind(ANY, TWO).unwrap();
        let address = sockets.address();
        assert_ne!(address.port(), 0);
        let listeners = sockets.listen().unwrap();
        assert_eq!(listeners.len(), 2);
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
    }

    #[test]
    fn a_port_in_use_is_refused_even_if_its_holder_would_share_it() {
        for shared in [false, true] {
            let holder = socket(ANY).unwrap();
            holder.set_reuse_port(shared).unwrap();
            holder.bind(&ANY.into()).unwrap();
            holder.listen(1).unwrap();
            let address = holder.local_addr().unwrap().as_socket().unwrap();
            let error = Sockets::bind(address, TWO).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot listen on {address}: the port is in use"));
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused_in_words() {
        let error = Sockets::bind("192.0.2.1:1".parse().unwrap(), TWO).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 192.0.2.1:1: "), "{error}");
    }

    #[test]
    fn accepted_connections_inherit_their_options() {
        let listener = Sockets::bind(ANY, TWO).unwrap().listen().unwrap().remove(0);
        drop(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        // The sibling socket is closed, so the connection can only have come here.
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(SockRef::from(&accepted).keepalive().unwrap());
    }
}
