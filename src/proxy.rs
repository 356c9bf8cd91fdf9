//! Forwarding to upstreams.

mod settings;

pub use settings::{Encoding, HostHeader, IdentityHeader, IdentitySettings, IdentityValue, UpstreamSettings};
