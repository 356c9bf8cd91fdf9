//! Which route a request takes: path readings, hosts, methods, order.
//!
//! Never here: tokens, headers other than the host, anything asynchronous.

mod settings;

pub use settings::{Access, Destination, HostPattern, PathPattern, Route};
