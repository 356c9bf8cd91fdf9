//! The way to a server: its address, its socket, its handshake.
//!
//! Never here: HTTP, which server.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Endpoint, ServerTls,
    resolve::{LookUp, Names},
    transport::Stream,
};

/// Where a server is and how it is spoken to, for all workers.
pub(super) enum Way {
    Tcp { names: Arc<Names>, tls: Option<ServerTls> },
    Unix(PathBuf),
}

/// A connection, and to whom.
pub(super) struct Dialled {
    pub(super) stream: Stream,
    /// `None` where the server has no address.
    pub(super) peer: Option<SocketAddr>,
    /// [`Names::generation`] of the address.
    pub(super) generation: u64,
}

impl Way {
    pub(super) fn new(endpoint: &Endpoint, look_up: &LookUp) -> Self {
        match endpoint {
            Endpoint::Tcp { host, port, tls } => {
                Self::Tcp { names: Names::new(host, *port, Arc::clone(look_up)), tls: tls.clone() }
            }
            Endpoint::Unix(path) => Self::Unix(path.clone()),
        }
    }

    /// Connects within `limit`, the handshake included. Must be called within a local runtime.
    ///
    /// # Errors
    /// What the last address that was tried came to; `TimedOut` if that was nothing in time.
    pub(super) async fn dial(&self, limit: Duration) -> io::Result<Dialled> {
        let dialling = async {
            match self {
                Self::Tcp { names, tls } => dial_first(names, tls.as_ref(), limit).await,
                Self::Unix(path) => dial_unix(path).await,
            }
        };
        timeout(limit, dialling).await.unwrap_or_else(|late| Err(late.into()))
    }

    /// The names behind it, where it has some.
    pub(super) const fn names(&self) -> Option<&Arc<Names>> {
        match self {
            Self::Tcp { names, .. } => Some(names),
            Self::Unix(_) => None,
        }
    }
}

async fn dial_unix(path: &Path) -> io::Result<Dialled> {
    let stream = Stream::Unix(UnixStream::connect(path).await?);
    Ok(Dialled { stream, peer: None, generation: 0 })
}

/// The first of the addresses that answers.
async fn dial_first(names: &Arc<Names>, tls: Option<&ServerTls>, limit: Duration) -> io::Result<Dialled> {
    let addresses = names.addresses().await?;
    // An address that swallows everything must leave time for the next one.
    let share = limit / u32::try_from(addresses.list.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.list.iter().copied() {
        match timeout(share, dial_one(address, tls)).await {
            Ok(Ok(stream)) => {
                return Ok(Dialled { stream, peer: Some(address), generation: addresses.generation });
            }
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(last)
}

async fn dial_one(address: SocketAddr, tls: Option<&ServerTls>) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    // A request is written whole, and a part of a body must not wait for the next one.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Stream::Tcp(stream)) };
    let handshake = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream);
    match handshake.await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => Err(io::Error::new(error.kind(), format!("the TLS handshake failed: {error}"))),
    }
}
