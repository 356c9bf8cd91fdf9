//! Sockets, TLS, HTTP connections, workers and the drain.

mod settings;

pub use settings::{Limits, Settings, Shutdown, TlsVersion};
