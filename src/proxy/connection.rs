//! One connection to an upstream's server.
//!
//! Never here: which connection a request takes (`pool`, `stack`), what is sent.

use std::{io, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::task::{AbortHandle, spawn_local};

use super::{
    RequestBody,
    dial::{Dialled, Way},
    resolve::Names,
    server::Permit,
    share::Hold,
    transport::{Slot, Transport},
};

/// An HTTP/1.1 connection. Dropping it closes the socket at once, whatever is still under way on it.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    slot: Arc<Slot>,
    served: bool,
    released: bool,
    task: AbortHandle,
    generation: u64,
    /// The index of its server.
    pub(super) server: usize,
    /// What the request that it carries counts as; `None` while it is idle.
    pub(super) hold: Option<Hold>,
}

impl Connection {
    /// Connects within `limit`. Must be called within a local runtime: the socket is driven by a task of its own,
    /// and keeps `permit` until it is closed, as a tunnel too.
    ///
    /// # Errors
    /// As [`Way::dial`] has it.
    pub(super) async fn open(way: &Way, limit: Duration, permit: Option<Permit>) -> io::Result<Self> {
        let Dialled { stream, peer, generation } = way.dial(limit).await?;
        let slot = Slot::new(peer);
        let transport = TokioIo::new(Transport::new(stream, Arc::clone(&slot), permit));
        let handshake = Builder::new().max_header_size(MAX_RESPONSE_HEAD).handshake(transport);
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let task = spawn_local(async move {
            // Whatever goes wrong is told to the request that is under way; an idle connection just ends.
            let _ = connection.with_upgrades().await;
        });
        let task = task.abort_handle();
        Ok(Self { sender, slot, served: false, released: false, task, generation, server: 0, hold: None })
    }

    /// Hands `request` to the connection. The error has it again if nothing of it was sent.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        self.slot.forget();
        self.sender.try_send_request(request)
    }

    /// Whether a byte has come since the last [`Self::send`].
    pub(super) fn has_heard(&self) -> bool {
        self.slot.has_heard()
    }

    /// Whether it has carried a request before this one.
    pub(super) const fn has_served(&self) -> bool {
        self.served
    }

    /// Notes that it has carried a request.
    pub(super) const fn set_served(&mut self) {
        self.served = true;
    }

    /// Whether it takes the next request: the last one has been sent whole, and its answer read whole.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether either side has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Lets go of it: hyper's task hands the socket to whoever it was upgraded for, and ends.
    /// The socket keeps its place among the server's connections, and what is given back the client's share.
    pub(super) fn release(mut self) -> Option<Hold> {
        self.released = true;
        self.hold.take()
    }

    /// Waits until [`Self::is_ready`]; `false` if it is closed instead.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Whether its server's name still leads where it leads.
    pub(super) fn is_current(&mut self, names: &Names) -> bool {
        let generation = names.generation();
        if self.generation != generation {
            if !self.slot.peer().is_some_and(|peer| names.contains(peer)) {
                return false;
            }
            self.generation = generation;
        }
        true
    }
}

impl Drop for Connection {
    /// hyper would first send the rest of a body that nobody waits for.
    fn drop(&mut self) {
        if !self.released {
            self.task.abort();
        }
    }
}

/// Bytes of a response's head. The number of its fields is hyper's default, 100: another one costs an allocation
/// per response.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
