//! What `server` tells of a connection to whoever answers its requests.

use std::net::IpAddr;

/// What the connection that a request came on says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downstream {
    /// The other end of the connection: the client, or a proxy in front of us.
    pub peer: IpAddr,
    /// Whether that is a proxy of TCP which does not name its client: its connection says nothing of the proxy's.
    pub unnamed: bool,
    /// Whether it came over TLS that ended here.
    pub secure: bool,
}
