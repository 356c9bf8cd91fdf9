//! Forwarding to upstreams: what they may believe is set, the rest is removed, bodies stream both ways.
//!
//! A worker owns its [`Forwarder`] and the connections in it; shared are only the caps on connections and what is
//! known of the servers.
//! Never here: which route, who the user is (`route`, `auth`); what a failure is answered with (`gateway`).

mod connection;
mod dial;
mod echo;
mod error;
mod forwarder;
mod frames;
mod headers;
mod health;
mod identity;
mod informational;
mod pool;
mod prepare;
mod request_body;
mod resolve;
mod response;
mod server;
mod settings;
mod share;
mod stack;
mod standing;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod tunnel;
mod upstream_body;
mod websocket;

pub use error::{Awaited, ProxyError};
pub use forwarder::{Forwarded, Forwarder, SharedUpstreams};
pub use frames::{CloseCode, Farewell, FrameBorders};
pub use headers::{HeaderRules, remove_hop_by_hop_of_request, remove_hop_by_hop_of_response};
pub use health::HealthChecks;
pub use identity::IdentityHeaders;
pub use prepare::{ForwardContext, Preparation};
pub use request_body::{ByteCount, Framing, RequestBody, UploadFailed};
pub use settings::{
    Encoding, Endpoint, HealthSettings, HostHeader, IdentityHeader, IdentitySettings, IdentityValue,
    ServerSettings, UpstreamSettings,
};
pub use tls::{ServerTls, TlsError, UpstreamTls, roots};
pub use tunnel::{Carried, Tunnel, TunnelError};
pub use upstream_body::UpstreamBody;
