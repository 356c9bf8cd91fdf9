//! Why the gateway does not start, or ended early, in one sentence an operator can act on.

use std::{io, net::SocketAddr};

use crate::{
    route::Tie,
    server::ServerError,
    store::{OpenError, StoreError},
};

/// Why the gateway does not start, or has ended early. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The admin listener cannot be had.
    #[error("cannot listen on {address} for operators: {cause}")]
    Admin {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// Revocations of other processes are no longer heard.
    #[error("the revocation feed has ended")]
    FeedEnded,
    /// A thread or a runtime was refused.
    #[error("the system refuses a thread: {0}")]
    Resources(#[source] io::Error),
    /// Two routes tie; `config` has said so in better words.
    #[error("some routes tie: {}", ties(.0))]
    Routes(Vec<Tie>),
    /// The public listener cannot be had, or a worker failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The revocation log cannot be read.
    #[error("the revocation log cannot be read: {0}")]
    RevocationLog(#[from] StoreError),
}

fn ties(ties: &[Tie]) -> String {
    let pairs: Vec<String> =
        ties.iter().map(|tie| format!("number {} and number {}", tie.first + 1, tie.second + 1)).collect();
    pairs.join(", ")
}
