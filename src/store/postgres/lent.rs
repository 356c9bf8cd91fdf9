//! A connection out of the pool, and what becomes of one that was given up on.
//!
//! A server does not see by itself that nobody waits any more: a commit waits for a standby past every timeout of the
//! session, and past the end of its connection. Each would be one more than the pool may have.
//! Never here: what is done with a connection; a wait that an operation's caller would feel.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::timeout;

use super::{connect::Connector, thread::Background};

/// A connection on loan. Dropped, it is closed, and what its server still does for it is cancelled: whoever gave up on
/// it left it in the midst of something.
pub(super) struct Lent<'c> {
    client: Option<Object>,
    canceller: &'c Canceller,
}

impl<'c> Lent<'c> {
    pub(super) const fn new(client: Object, canceller: &'c Canceller) -> Self {
        Self { client: Some(client), canceller }
    }

    /// The connection, which is there until it is given back.
    pub(super) const fn client(&mut self) -> Option<&mut Object> {
        self.client.as_mut()
    }

    /// Gives it back to the pool, in the midst of nothing.
    pub(super) fn give_back(mut self) {
        drop(self.client.take());
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        match self.client.take() {
            // Its server has ended it, or is out of reach.
            Some(client) if client.is_closed() => drop(Object::take(client)),
            Some(client) => self.canceller.cancel(client),
            None => {}
        }
    }
}

/// Ends what servers do for connections that were given up on.
pub(super) struct Canceller {
    connector: Connector,
    background: Background,
}

impl Canceller {
    pub(super) const fn new(connector: Connector, background: Background) -> Self {
        Self { connector, background }
    }

    /// Asks the server to cancel what it does, and closes the connection.
    ///
    /// It keeps its place in the pool until the server is done with it, so that no other is opened beside it. The pool
    /// thereby also bounds how many are being cancelled.
    fn cancel(&self, client: Object) {
        let connector = self.connector.clone();
        self.background.spawn(async move {
            let cancelled = async {
                connector.cancel(&client).await?;
                // Answered behind all that was asked before.
                client.batch_execute("").await
            };
            // In vain where the server is gone or hangs, about which every operation complains.
            let _ = timeout(CANCELLING, cancelled).await;
            drop(Object::take(client));
        });
    }
}

/// How long a server that does not answer may keep a place in the pool. What began at the end of an operation ends
/// before the store's thread is given up on.
pub(super) const CANCELLING: Duration = Duration::from_secs(2);
