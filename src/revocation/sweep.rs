//! Forgetting what no living token is concerned by: in memory and in the store, now and then.
//!
//! What is forgotten too early comes to life, so no clock is believed at once. One that is ahead for a moment, as after a
//! boot by a battery's clock, ends nothing; what it shows expired is refused as that, and is revoked again when the clock
//! is right.
//! Never here: what is refused now (`list`), which rows go (`store`).

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::RevocationList;
use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    store::Store,
};

/// Sweeps on a coarse timer, once the clock has been right by itself for as long as `steady`. Apart from following the log:
/// a store that is slow to write must not delay that.
pub(super) async fn sweep(store: Store, list: RevocationList, clock: Clock, steady: Duration) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut times = Times::new(steady);
    loop {
        rounds.tick().await;
        let ended = times.ended(clock.now(), Stopwatch::start());
        let swept = list.clone();
        // Also where nothing may go: when the next one does is known afterwards.
        let walk = move || swept.sweep(ended.unwrap_or_default());
        if tokio::task::spawn_blocking(walk).await.is_err() {
            warn!("The revocation list could not be swept");
        }
        if let Some(ended) = ended {
            sweep_store(&store, ended).await;
        }
    }
}

async fn sweep_store(store: &Store, ended: Timestamp) {
    let mut steps = interval(STEP);
    loop {
        steps.tick().await;
        match store.sweep(ended, SWEPT_AT_ONCE).await {
            Ok(SWEPT_AT_ONCE..) => {}
            Ok(_) => return,
            Err(failure) => {
                // A full disk may be full of this; the next round tries again.
                warn!(%store, error = %failure, "{store} could not be swept: {failure}");
                return;
            }
        }
    }
}

/// Tells which instant has passed for certain.
#[derive(Debug)]
struct Times {
    steady: Duration,
    /// What the clocks showed at the last look.
    last: Option<(Timestamp, Stopwatch)>,
    /// Since when the wall clock has gone as time does.
    since: Option<Stopwatch>,
}

impl Times {
    const fn new(steady: Duration) -> Self {
        Self { steady, last: None, since: None }
    }

    /// What ended before may go; `None` while the wall clock has been set too short a while ago, or not been seen for
    /// long enough to tell.
    fn ended(&mut self, wall: Timestamp, now: Stopwatch) -> Option<Timestamp> {
        let goes = self.last.replace((wall, now)).is_some_and(|(before, then)| {
            let expected = before.plus(now.since(then));
            wall.since(expected).max(expected.since(wall)) <= ASTRAY
        });
        let since = *self.since.get_or_insert(now);
        if !goes {
            self.since = Some(now);
        }
        let steady = if goes { now.since(since) } else { Duration::ZERO };
        (steady >= self.steady).then(|| wall.minus(MARGIN))
    }
}

/// How long a clock must go right before anything is forgotten by it: time servers are heard by then.
pub(super) const STEADY: Duration = Duration::from_mins(10);

/// How far it may be off all the same: a clock that takes local time for UTC goes right, and is wrong.
const MARGIN: Duration = Duration::from_hours(24);

/// By how much a clock that is only being adjusted may differ from one look to the next.
const ASTRAY: Duration = Duration::from_secs(10);

const ROUND: Duration = Duration::from_secs(60);

/// Between two steps of a sweep, so that others' writes get their turn.
const STEP: Duration = Duration::from_millis(100);

/// Rows that one step removes at most.
const SWEPT_AT_ONCE: u32 = 500;

#[cfg(test)]
mod tests;
