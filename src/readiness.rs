//! Whether this process should be sent requests.
//!
//! Owned by `app`, which sets it; read by `admin`.
//! Never here: how the parts come to be ready.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What readiness consists of. A cheap handle; clones share one state, which begins as not ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Parts>);

impl Readiness {
    /// Nothing is ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether the store is read and the list of revocations complete.
    pub fn set_store_read(&self, read: bool) {
        self.0.store_read.store(read, Ordering::SeqCst);
    }

    /// Says that the process is about to stop. There is no way back.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the store is read and the list of revocations complete.
    pub fn store_read(&self) -> bool {
        self.0.store_read.load(Ordering::SeqCst)
    }

    /// Whether the process is about to stop.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Whether requests should be sent here.
    pub fn ready(&self) -> bool {
        self.store_read() && !self.draining()
    }
}

#[derive(Debug, Default)]
struct Parts {
    store_read: AtomicBool,
    draining: AtomicBool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_with_the_store_read_and_not_draining() {
        let readiness = Readiness::new();
        assert!(!readiness.ready());
        readiness.set_store_read(true);
        assert!(readiness.clone().ready());
        readiness.set_draining();
        assert!(!readiness.ready());
        assert!(readiness.store_read());
    }
}
