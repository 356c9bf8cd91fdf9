//! What is refused of a user as a whole: everything, or what is older than an instant.
//!
//! What is older is told by the log's order where a session says when it began in it, since clocks of gateways are
//! seconds apart; by time only where there is no session.
//! Never here: single tokens and sessions (`expiring`).

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::{
    expiring::{NEVER_ENDS, SHARDS, counts, places, whole_seconds},
    list::Cause,
};
use crate::{clock::Timestamp, id::UserId, store::Revoked, token::Verified};

/// Users that are blocked, or whose older tokens are dead.
pub(super) struct Users {
    users: DashMap<UserId, Refused, RandomState>,
    /// So that asking an empty map costs one load.
    len: AtomicUsize,
}

impl Users {
    pub(super) fn new() -> Self {
        Self {
            users: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            len: AtomicUsize::new(0),
        }
    }

    /// `known` is the log's highest number seen.
    pub(super) fn refuses(&self, token: &Verified, known: u64, now: Timestamp) -> Option<Cause> {
        if self.len() == 0 {
            return None;
        }
        self.users.get(&token.user)?.refuses(token, known, now)
    }

    pub(super) fn change(&self, user: &UserId, change: impl FnOnce(&mut Refused)) {
        let mut refused = self.users.entry(user.clone()).or_insert_with(|| {
            // First, while the shard is locked: whoever finds the count at zero was there before the user.
            self.len.fetch_add(1, Ordering::Release);
            Refused::default()
        });
        change(&mut refused);
    }

    /// Whether an entry of that number or a later one has said anything of the user.
    pub(super) fn have_heard(&self, user: &UserId, sequence: u64) -> bool {
        self.users.get(user).is_some_and(|refused| {
            let instant = refused.instant.as_ref().map_or(0, |instant| instant.sequence);
            refused.blocked_by.max(instant) >= sequence
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The table's memory, spare room included; each id is taken to be a short one, in a block of its own.
    pub(super) fn bytes(&self) -> usize {
        let table = places(self.users.capacity()).saturating_mul(size_of::<(UserId, Refused)>() + 1);
        table.saturating_add(self.len().saturating_mul(SHORT_ID))
    }

    /// Forgets users of whom nothing is refused any more, one shard locked at a time, and gives the second after
    /// which that holds for the next one.
    pub(super) fn sweep(&self, now: Timestamp) -> Option<u32> {
        let mut next = NEVER_ENDS;
        self.users.retain(|_, refused| {
            let stays = refused.counts(now);
            if stays {
                next = next.min(refused.ends());
            } else {
                self.len.fetch_sub(1, Ordering::Release);
            }
            stays
        });
        (next < NEVER_ENDS).then_some(next)
    }
}

/// What is refused of one user.
#[derive(Default)]
pub(super) struct Refused {
    blocked: bool,
    /// The log's number of the last word on `blocked`: words arrive twice, and not always in order.
    blocked_by: u64,
    instant: Option<Instant>,
    local: Option<Local>,
}

/// Everything older is dead: by the log's order where a session tells it, else by time.
struct Instant {
    sequence: u64,
    at: Timestamp,
    until: u32,
}

impl Instant {
    /// However far apart clocks may be: no token of a session that was opened after it.
    fn is_older_by_time(&self, issued_at: Option<u64>) -> bool {
        let issued_at = issued_at.map_or(Timestamp::FOREVER, Timestamp::from_seconds);
        issued_at.plus(Revoked::CLOCK_TOLERANCE) < self.at
    }
}

/// An instant that the log has not heard of, because the store is away.
struct Local {
    /// The log's last number known when it was made.
    known: u64,
    at: Timestamp,
    until: u32,
}

impl Refused {
    /// Blocks or unblocks by entry `sequence`, unless that one or a later one has spoken already.
    pub(super) fn set_blocked(&mut self, blocked: bool, sequence: u64) {
        if sequence > self.blocked_by {
            self.blocked = blocked;
            self.blocked_by = sequence;
        }
    }

    /// Blocks or unblocks until an entry behind `known` speaks.
    pub(super) fn set_blocked_locally(&mut self, blocked: bool, known: u64) {
        self.blocked = blocked;
        self.blocked_by = self.blocked_by.max(known);
    }

    /// Kills what is older than entry `sequence`, made `at`. Never takes back what an earlier entry killed.
    pub(super) fn add_instant(&mut self, sequence: u64, at: Timestamp, until: Timestamp) {
        let until = whole_seconds(until);
        let instant = self.instant.get_or_insert(Instant { sequence, at, until });
        instant.sequence = instant.sequence.max(sequence);
        instant.at = instant.at.max(at);
        instant.until = instant.until.max(until);
        // What was said while the store was away has been said properly now.
        if self.local.as_ref().is_some_and(|local| local.known < sequence && local.at <= at) {
            self.local = None;
        }
    }

    /// Kills what is older than `at`, as far as this process can tell, which knows the log up to `known`.
    pub(super) fn add_local_instant(&mut self, known: u64, at: Timestamp, until: Timestamp) {
        let until = whole_seconds(until);
        let local = self.local.get_or_insert(Local { known, at, until });
        local.known = local.known.max(known);
        local.at = local.at.max(at);
        local.until = local.until.max(until);
    }

    fn refuses(&self, token: &Verified, known: u64, now: Timestamp) -> Option<Cause> {
        if self.blocked {
            return Some(Cause::UserBlocked);
        }
        // A session that is not ours orders nothing; only time can.
        let opened_at = token.session.and_then(|session| session.sequence());
        let older_than = |at| Revoked::older_than(token.issued_at, at);
        let by_instant = self.instant.as_ref().is_some_and(|instant| {
            counts(instant.until, now)
                && opened_at.map_or_else(
                    || older_than(instant.at),
                    |opened| {
                        // A log that had run ahead of the clock and was restored counts lower than it did. What it
                        // cannot have reached is younger only if its own time says so as well.
                        let lost = opened > known && instant.is_older_by_time(token.issued_at);
                        opened < instant.sequence || lost
                    },
                )
        });
        // Sessions opened before and after it may bear one number: those are told apart by time.
        let by_local = self.local.as_ref().is_some_and(|local| {
            counts(local.until, now)
                && (opened_at.is_some_and(|opened| opened < local.known) || older_than(local.at))
        });
        (by_instant || by_local).then_some(Cause::UserInstant)
    }

    /// The second after which nothing counts any more.
    fn ends(&self) -> u32 {
        let instant = self.instant.as_ref().map(|instant| instant.until);
        let local = self.local.as_ref().map(|local| local.until);
        if self.blocked { NEVER_ENDS } else { instant.max(local).unwrap_or(NEVER_ENDS) }
    }

    fn counts(&self, now: Timestamp) -> bool {
        self.blocked
            || self.instant.as_ref().is_some_and(|instant| counts(instant.until, now))
            || self.local.as_ref().is_some_and(|local| counts(local.until, now))
    }
}

/// What an allocator sets aside for a few bytes.
const SHORT_ID: usize = 16;
