//! What can go wrong on the way to an upstream and back.
//!
//! Never here: statuses and words of answers (`gateway`).

use std::{io, sync::Arc, time::Duration};

use crate::body::BodyError;

/// Why a request could not be forwarded. The texts name the upstream: they are for the log, never for the client.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No connection could be made: 502.
    #[error("no connection to the upstream `{upstream}`: {cause}")]
    Connect {
        /// The upstream's name.
        upstream: Arc<str>,
        /// What the system said.
        cause: io::Error,
    },
    /// CONNECT and TRACE are never forwarded (RFC 9110, sections 9.3.6 and 9.3.8): 405. The one asks for a tunnel
    /// past every rule, the other would show the client what only the upstream may see.
    #[error("the method is never forwarded")]
    MethodRefused,
    /// As many connections as allowed are in use, and none came free in time: 503.
    #[error("no connection to the upstream `{upstream}` came free in time")]
    NoCapacity {
        /// The upstream's name.
        upstream: Arc<str>,
    },
    /// The health checks of every server fail: 503.
    #[error("no server of the upstream `{upstream}` is healthy")]
    NoHealthyServer {
        /// The upstream's name.
        upstream: Arc<str>,
        /// When that may have changed.
        retry_after: Duration,
    },
    /// The client's own body broke off or came too slowly; the upstream is not to blame.
    #[error("the request's body failed: {0}")]
    RequestBody(#[from] BodyError),
    /// The upstream closed the connection before an answer, or its answer cannot be passed on: 502.
    #[error("no usable answer from the upstream `{upstream}`: {cause}")]
    Response {
        /// The upstream's name.
        upstream: Arc<str>,
        /// What was wrong.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server is busy, and the client's address has its share of its connections: 503.
    #[error("the client holds its share of the busy upstream `{upstream}`")]
    ShareUsed {
        /// The upstream's name.
        upstream: Arc<str>,
    },
    /// Neither a connection nor the head of an answer came in time: 504.
    #[error("the upstream `{upstream}` did not {awaited} in time")]
    Timeout {
        /// The upstream's name.
        upstream: Arc<str>,
        /// What it did not do.
        awaited: Awaited,
    },
}

/// What a late upstream was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The head of its answer.
    Answer,
    /// A connection.
    Connection,
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer => "answer",
            Self::Connection => "accept a connection",
        })
    }
}
