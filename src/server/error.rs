//! Why connections cannot be served, or are served no more: each in one sentence.

use std::{io, net::SocketAddr};

use rustls::server::VerifierBuilderError;

/// Why connections cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", why(.error))]
    Address {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The authorities of client certificates cannot be used.
    #[error("client certificates cannot be verified: {0}")]
    ClientCa(VerifierBuilderError),
    /// A worker panicked.
    #[error("worker {worker} panicked")]
    Panicked {
        /// Which one, from 0.
        worker: usize,
    },
    /// A worker could not begin.
    #[error("worker {worker} has no runtime: {error}")]
    Runtime {
        /// Which one, from 0.
        worker: usize,
        /// What the system said.
        error: io::Error,
    },
    /// A worker's thread could not be had.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
    /// The TLS settings contradict themselves.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not use that port".to_owned(),
        _ => error.to_string(),
    }
}
