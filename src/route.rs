//! Which route a request takes: path readings, hosts, methods, order.
//!
//! A gateway and the backend behind it seldom read a path alike. So a request passes only where every reading
//! that a lenient backend might take finds what the plain bytes find; `reading` makes them, `rewrite` says what
//! they are made of.
//! Never here: tokens, headers other than the host, anything asynchronous.

mod cors;
mod endpoints;
mod group;
mod host;
mod host_set;
mod hosts;
mod marks;
mod opened;
mod path_map;
mod path_pattern;
mod reading;
mod rewrite;
mod settings;
mod strip;
mod table;

#[cfg(test)]
mod tests;

pub use cors::{Cors, Origin, OriginError, Origins};
pub use host::{HostPatternError, is_host};
pub use host_set::{HostRefusal, HostSet};
pub use opened::Opened;
pub use path_pattern::PathPatternError;
pub use settings::{Access, Claim, Destination, HostPattern, PathPattern, Requirement, Route};
pub use strip::{Prefix, PrefixError};
pub use table::{Found, Owner, Refusal, RouteTable, Tie};
