use std::net::IpAddr;

use crate::interim::Interim;

/// What the connection that a request came on says of it.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// The other end of the connection: the client, or a proxy in front of us.
    pub peer: IpAddr,
    /// Whether it came over TLS that ended here.
    pub secure: bool,
    /// Where interim responses go, where there can be any.
    pub interim: Option<Interim>,
}
