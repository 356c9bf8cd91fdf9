//! Names of upstreams' servers become addresses.
//!
//! Never here: connections.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{net::lookup_host, sync::Semaphore, task::spawn_local};

/// Where an upstream's server is.
///
/// A look-up runs on a thread that cannot be interrupted, so that a request that gives up leaves it behind: there
/// are never more than a few of them for one upstream, or a resolver that hangs would gather them without end.
pub(super) struct Server {
    host: String,
    port: u16,
    lookups: Arc<Semaphore>,
}

impl Server {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    /// Its addresses, in the order in which they are to be tried; never none.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port;
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let host = self.host.clone();
        let lookup = spawn_local(async move {
            let _permit = permit;
            lookup_host((host.as_str(), port))
                .await
                .map(|found| found.take(MAX_ADDRESSES).collect::<Vec<_>>())
        });
        let addresses = lookup.await.map_err(io::Error::other)??;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

/// Look-ups of one upstream's name at once, over all workers.
const MAX_LOOKUPS: usize = 4;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "local")]
    async fn addresses_are_themselves_and_names_are_looked_up() {
        let of = async |host| Server::new(host, 80).addresses().await;
        assert_eq!(of("192.0.2.1").await.unwrap(), ["192.0.2.1:80".parse().unwrap()]);
        assert_eq!(of("2001:db8::1").await.unwrap(), ["[2001:db8::1]:80".parse().unwrap()]);
        assert!(of("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(of("a name with blanks").await.is_err());
    }
}
