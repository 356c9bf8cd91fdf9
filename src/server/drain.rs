//! How a server stops: first nothing new, then nothing at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time,
};

/// Tells connections to finish, counts those that are open, and in the end cuts them. A cheap handle.
///
/// Serving, then draining (nothing is accepted, requests in flight finish, idle connections close), then ended
/// (whatever is left is cut and the workers return). There is no way back.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

impl Drain {
    /// Serving.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain, if nobody has.
    pub fn start(&self) {
        self.advance(DRAINING);
    }

    /// Ends at once: connections that are left are cut.
    pub fn cut(&self) {
        self.advance(ENDED);
    }

    /// Begins to drain, waits until no connection is left, at most for `grace`, and ends.
    /// Returns how many connections were cut.
    pub async fn finish(&self, grace: Duration) -> usize {
        self.start();
        let _ = time::timeout(grace, self.emptied()).await;
        let left = self.open();
        self.cut();
        left
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.has_reached(DRAINING)
    }

    /// Waits until the drain begins.
    pub async fn draining(&self) {
        self.reached(DRAINING).await;
    }

    /// Waits until the drain has ended.
    pub async fn ended(&self) {
        self.reached(ENDED).await;
    }

    /// Connections open now, tunnels among them.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    /// Rings at the next change of stage, from this call on. Look at the stage after taking it.
    pub(super) fn bell(&self) -> OwnedNotified {
        Arc::clone(&self.0.moved).notified_owned()
    }

    /// Counts one connection more, unless there are `limit` or the drain has begun.
    pub(super) fn enter(&self, limit: usize) -> bool {
        let others = self.0.open.fetch_add(1, Ordering::SeqCst);
        // Counted first and looked at afterwards: `finish` can miss a connection only if it is refused here.
        let enters = others < limit && !self.is_draining();
        if !enters {
            self.leave();
        }
        enters
    }

    /// Counts one connection less.
    pub(super) fn leave(&self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_draining() {
            self.0.emptied.notify_waiters();
        }
    }

    fn advance(&self, stage: u8) {
        self.0.stage.fetch_max(stage, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    fn has_reached(&self, stage: u8) -> bool {
        self.0.stage.load(Ordering::SeqCst) >= stage
    }

    async fn reached(&self, stage: u8) {
        loop {
            let moved = self.0.moved.notified();
            if self.has_reached(stage) {
                return;
            }
            moved.await;
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    moved: Arc<Notify>,
    open: AtomicUsize,
    emptied: Notify,
}

const DRAINING: u8 = 1;
const ENDED: u8 = 2;

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_as_soon_as_the_last_connection_has_left() {
        let drain = Drain::new();
        assert!(drain.enter(2));
        assert!(drain.enter(2));
        assert!(!drain.enter(2), "a third");
        assert_eq!(drain.open(), 2);

        let other = drain.clone();
        let start = time::Instant::now();
        let finish = tokio::spawn(async move { other.finish(Duration::from_secs(30)).await });
        drain.draining().await;
        drain.leave();
        assert!(!drain.enter(2), "while draining");
        time::sleep(Duration::from_secs(7)).await;
        assert!(!drain.has_reached(ENDED));
        drain.leave();
        assert_eq!(finish.await.unwrap(), 0);
        assert_eq!(start.elapsed(), Duration::from_secs(7));
        drain.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_after_the_grace_is_cut_and_counted() {
        let drain = Drain::new();
        assert!(drain.enter(9) && drain.enter(9));
        let start = time::Instant::now();
        assert_eq!(drain.finish(Duration::from_secs(30)).await, 2);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        drain.ended().await;
    }

    #[test]
    fn a_bell_taken_before_the_change_rings() {
        let drain = Drain::new();
        let mut bell = Box::pin(drain.bell());
        drain.start();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(bell.as_mut().poll(&mut context).is_ready());
        assert!(drain.is_draining());
        drain.start();
        assert!(!drain.has_reached(ENDED), "a second start is no end");
    }
}
