//! How the list follows the store's log, and the store learns what it has missed: every process by itself, in a
//! thread of its own.
//!
//! Never here: what an entry refuses (`list`), SQL (`store`).

use std::{pin::pin, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::{
    Freshness, RevocationList,
    sweep::{self, sweep},
    unwritten::write_missed,
};
use crate::{
    clock::{Clock, Stopwatch},
    metrics::Metrics,
    store::{Logged, Marker, Revocation, Revoked, Store, StoreError},
};

/// Keeps a [`RevocationList`] level with the store's log, whoever writes into it.
pub struct Feed {
    store: Store,
    list: RevocationList,
    metrics: Metrics,
    clock: Clock,
    /// The log's last entry that has been applied.
    sequence: u64,
    /// What the store said before the log was last read to its end.
    marker: Marker,
    /// The way by which `last` was read, or found to be still there.
    way: u64,
    /// The last entry that was read: it tells whether the log is still the one that it was read from.
    last: Option<Revocation>,
    /// The log has lost entries, and is being read again from its beginning: what was known when that was found.
    again: Option<u64>,
    /// The way is a new one, and the log may count on from below what is known here.
    below: bool,
    away: bool,
    /// When the store's failure was last told of, and as what.
    told: Option<(Stopwatch, String)>,
    /// Away for so long that nobody is let in.
    stale: bool,
}

impl Feed {
    /// Reads the whole log into the list. Until this has succeeded no public listener may open.
    pub async fn catch_up(
        store: Store,
        list: RevocationList,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let began = Stopwatch::start();
        // Before reading: what is committed meanwhile is read once more, never missed.
        let marker = store.change_marker().await?;
        let mut feed = Self {
            store,
            list,
            metrics,
            clock,
            sequence: 0,
            marker,
            way: marker.way,
            last: None,
            again: None,
            below: false,
            away: false,
            told: None,
            stale: false,
        };
        feed.read_to_end(None).await?;
        feed.list.looked(began);
        Ok(feed)
    }

    /// Follows the log until `shutdown`, writes what the store has missed, and sweeps list and store. A store that
    /// is away is waited for.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let list = self.list.clone();
        let sweep = sweep(self.store.clone(), self.list.clone(), self.clock.clone(), sweep::STEADY);
        let write =
            write_missed(self.store.clone(), self.list.clone(), self.metrics.clone(), self.clock.clone());
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.follow() => {}
            () = write => {}
            () = sweep => {}
        }
        list.unwritten().tell_of_loss();
    }

    /// Applies what has been committed since the last time, by this process or any other.
    pub async fn poll_once(&mut self) -> Result<(), StoreError> {
        let began = Stopwatch::start();
        let marker = self.store.change_marker().await?;
        if marker != self.marker {
            self.read_up_to(marker).await?;
        }
        self.list.looked(began);
        if self.below {
            // A store that can be read and not written shall not keep the feed; the next look tries again.
            self.below = self.store.raise_log(self.list.known()).await.is_err();
        }
        Ok(())
    }

    async fn read_up_to(&mut self, marker: Marker) -> Result<(), StoreError> {
        let metrics = self.metrics.clone();
        self.read_to_end(Some(&metrics)).await?;
        self.marker = marker;
        Ok(())
    }

    async fn follow(mut self) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.store.hint() => {}
            }
            let (list, mut told) = (self.list.clone(), self.stale);
            let outcome = {
                let mut look = pin!(self.poll_once());
                // A store that hangs keeps a look waiting for longer than operators may be left without a word.
                loop {
                    tokio::select! {
                        outcome = &mut look => break outcome,
                        () = sleep(POLL), if !told => told = tell_if_stale(&list),
                    }
                }
            };
            self.stale = told;
            self.report(outcome);
        }
    }

    /// Says that the store is away, again where that has another cause by now, once that it is away for too long, and
    /// once that it is back. A store that comes and goes is told of no more often.
    fn report(&mut self, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) if self.away || self.stale => {
                (self.away, self.stale) = (false, false);
                let store = &self.store;
                info!(
                    %store,
                    log.sequence = self.sequence,
                    "The revocation feed has caught up with the store, {store}"
                );
            }
            Ok(()) => {}
            Err(failure) => {
                self.metrics.store_failures.increment();
                let (now, why) = (Stopwatch::start(), failure.to_string());
                if self.is_news(now, &why) {
                    let store = &self.store;
                    error!(%store, error = %why, "The revocation feed cannot read the store, {store}: {why}");
                    (self.away, self.told) = (true, Some((now, why)));
                }
                if !self.stale {
                    self.stale = tell_if_stale(&self.list);
                }
            }
        }
    }

    fn is_news(&self, now: Stopwatch, why: &str) -> bool {
        match &self.told {
            Some((at, told)) => (!self.away || told != why) && now.since(*at) >= BETWEEN_LINES,
            None => true,
        }
    }

    /// Applies what stands behind the last entry. `metrics` is told the age of each that was not in force here yet.
    async fn read_to_end(&mut self, metrics: Option<&Metrics>) -> Result<(), StoreError> {
        let store = self.store.clone();
        let size = if metrics.is_some() { PAGE } else { FIRST_PAGE };
        let mut page = store.log_after(self.sequence, size).await?;
        loop {
            if page.way != self.way {
                self.look_for_loss(page.way).await?;
                page = store.log_after(self.sequence, size).await?;
                continue;
            }
            let entries = page.entries;
            let last = entries.last().map(|entry| entry.revocation.sequence);
            let Some(last) = last.filter(|_| entries.len() >= size as usize) else {
                self.take_in(&entries, metrics);
                self.again = None;
                return Ok(());
            };
            // The store reads on meanwhile: nobody is served before the end of a long log.
            let next = store.log_after(last, size);
            let (next, ()) = tokio::join!(biased; next, async { self.take_in(&entries, metrics) });
            page = next?;
        }
    }

    fn take_in(&mut self, entries: &[Logged], metrics: Option<&Metrics>) {
        for entry in entries {
            if let (Some(metrics), Some(age)) = (metrics, entry.age)
                && self.again.is_none()
                && !self.list.has_heard(&entry.revocation)
            {
                metrics.revocation_delay.observe(age);
            }
            self.apply(&entry.revocation);
            self.sequence = entry.revocation.sequence;
        }
        self.last = entries.last().map(|entry| entry.revocation.clone()).or(self.last.take());
        self.metrics.revocation_sequence.set(self.sequence);
    }

    fn apply(&self, revocation: &Revocation) {
        self.list.apply(revocation);
        // By its number it may seem older than a word that the log has lost.
        if let (Some(known), Revoked::UserBlocked(user)) = (self.again, &revocation.what) {
            self.list.block_behind(user, known);
        }
    }

    /// Finds out whether the log still has the entry that was read last. After a failover, or a restore from a backup,
    /// it may have lost entries and given their numbers to others: then all of it is read again, and what is in memory
    /// stays. An entry that was only swept looks the same.
    async fn look_for_loss(&mut self, way: u64) -> Result<(), StoreError> {
        // First, since sessions are opened meanwhile. Also where the last entry is still there: what this process has
        // written itself may be lost, and was perhaps never read.
        self.below = self.store.raise_log(self.list.known()).await.is_err();
        let Some(last) = &self.last else {
            self.way = way;
            return Ok(());
        };
        let found = self.store.log_after(last.sequence.saturating_sub(1), 1).await?;
        if found.entries.first().is_some_and(|entry| entry.revocation == *last) {
            self.way = found.way;
            return Ok(());
        }
        let store = &self.store;
        warn!(
            %store,
            log.sequence = last.sequence,
            "The last revocation read is no longer in the log of {store}, which is read again: it was swept; or a failover \
             has lost commits, or a backup was restored, and others may take what was revoked since (see the README, \
             `After restoring a backup`)"
        );
        self.way = found.way;
        self.sequence = 0;
        self.again = Some(self.list.known());
        Ok(())
    }
}

/// Says that nobody is let in any more, where that is so.
fn tell_if_stale(list: &RevocationList) -> bool {
    let is_stale = list.freshness(Stopwatch::start()) == Freshness::Stale;
    if is_stale {
        error!(
            "Whatever needs a token is refused, and what is open by one is cut, until the store can be read: \
             `max_staleness`"
        );
    }
    is_stale
}

/// How often the store is asked whether anything was committed: within a second everybody knows.
const POLL: Duration = Duration::from_millis(200);

/// Between two lines of a store that is away.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Entries read at once.
const PAGE: u32 = 4096;

/// As [`PAGE`], before anybody is served: to hand over a page costs more than to read one where the machine is busy.
const FIRST_PAGE: u32 = 16_384;

#[cfg(test)]
mod tests;
