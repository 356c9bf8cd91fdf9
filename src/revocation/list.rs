//! The list itself: asked at each protected request, changed one entry at a time, swept.
//!
//! Never here: where entries come from (`auth`, `feed`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    expiring::Expiring,
    freshness::{Freshness, LastLook},
    settings::Settings,
    unwritten::Unwritten,
    users::Users,
};
use crate::{
    clock::{Stopwatch, Timestamp},
    id::UserId,
    metrics::Metrics,
    store::{Revocation, Revoked},
    token::Verified,
};

/// Everything that is refused before its expiry. A cheap handle; clones share one list.
///
/// Exact: nothing is refused that was not revoked, and a verdict does not depend on when the list was last swept.
#[derive(Clone)]
pub struct RevocationList(Arc<Lists>);

struct Lists {
    tokens: Expiring,
    sessions: Expiring,
    users: Users,
    /// The log's highest number seen.
    known: AtomicU64,
    /// Grows with whatever may refuse more than before.
    generation: AtomicU64,
    /// When the next entry expires, as of the last sweep: Unix seconds, 0 where none does.
    next_expiry: AtomicU64,
    look: LastLook,
    unwritten: Unwritten,
    metrics: Metrics,
}

/// How large a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Tokens revoked one by one.
    pub tokens: usize,
    /// Sessions that have ended.
    pub sessions: usize,
    /// Users that are blocked, or whose older tokens are dead.
    pub users: usize,
    /// Memory taken, spare room included, in bytes; what the allocator adds is not known.
    pub bytes: usize,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its session has ended.
    Session,
    /// It was revoked itself.
    Token,
    /// Its user is disabled or deleted.
    UserBlocked,
    /// Everything issued to its user until some instant was revoked, and it was.
    UserInstant,
}

impl RevocationList {
    /// A list that refuses nothing.
    pub fn new(metrics: Metrics) -> Self {
        Self::with(Settings::default(), metrics)
    }

    /// As [`Self::new`], for a process that is to follow a log as the settings say.
    pub fn with(settings: Settings, metrics: Metrics) -> Self {
        Self(Arc::new(Lists {
            tokens: Expiring::new(),
            sessions: Expiring::new(),
            users: Users::new(),
            known: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            next_expiry: AtomicU64::new(0),
            look: LastLook::new(settings.max_staleness),
            unwritten: Unwritten::default(),
            metrics,
        }))
    }

    /// Whether a verified token is refused all the same, and why. On the road of every protected request: it
    /// allocates nothing, and costs three loads while nothing is revoked.
    pub fn refuses(&self, token: &Verified, now: Timestamp) -> Option<Cause> {
        let lists = &*self.0;
        if lists.tokens.contains(token.token.as_bytes(), now) {
            return Some(Cause::Token);
        }
        if token.session.is_some_and(|session| lists.sessions.contains(session.as_bytes(), now)) {
            return Some(Cause::Session);
        }
        lists.users.refuses(token, self.known(), now)
    }

    /// Refuses what an entry of the log names. Entries may come twice and in any order; none is ever shortened.
    pub fn apply(&self, revocation: &Revocation) {
        let Revocation { sequence, what, until } = revocation;
        self.0.known.fetch_max(*sequence, Ordering::AcqRel);
        match what {
            Revoked::Session(session) => self.0.sessions.insert(*session.as_bytes(), *until),
            Revoked::Token(token) => self.0.tokens.insert(*token.as_bytes(), *until),
            Revoked::UserBlocked(user) => {
                self.0.users.change(user, |refused| refused.set_blocked(true, *sequence));
            }
            Revoked::UserInstant { user, at } => {
                self.0.users.change(user, |refused| refused.add_instant(*sequence, *at, *until));
            }
            Revoked::UserUnblocked(user) => {
                self.0.users.change(user, |refused| refused.set_blocked(false, *sequence));
            }
        }
        self.grow(what);
    }

    /// Whether the list holds what the entry names, by this entry or a later one.
    pub(super) fn has_heard(&self, revocation: &Revocation) -> bool {
        match &revocation.what {
            Revoked::Session(session) => self.0.sessions.contains(session.as_bytes(), Timestamp::default()),
            Revoked::Token(token) => self.0.tokens.contains(token.as_bytes(), Timestamp::default()),
            Revoked::UserBlocked(user) | Revoked::UserInstant { user, .. } | Revoked::UserUnblocked(user) => {
                self.0.users.have_heard(user, revocation.sequence)
            }
        }
    }

    /// Refuses what could not be written into the log because the store is away, or too many wait for it, and has
    /// [`super::Feed`] write it once that is over. Until then only this process knows of it, and not after a restart.
    ///
    /// `user` is whose tokens it concerns: of one user only so many can wait, the others are refused here alone.
    pub fn apply_unwritten(&self, what: &Revoked, until: Timestamp, user: &UserId) {
        self.apply_local(what, until);
        self.0.unwritten.add(what, until, user, &self.0.metrics);
    }

    /// Refuses what has no number here: what could not be written, or what somebody else has written whose word has not
    /// come by yet.
    ///
    /// Sessions that the log's last known number does not tell apart are told apart by the time of their tokens, those of
    /// the next ten seconds included, until the same user's instant comes by.
    pub fn apply_local(&self, what: &Revoked, until: Timestamp) {
        let known = self.known();
        let users = &self.0.users;
        match what {
            Revoked::Session(session) => self.0.sessions.insert(*session.as_bytes(), until),
            Revoked::Token(token) => self.0.tokens.insert(*token.as_bytes(), until),
            Revoked::UserBlocked(user) => {
                users.change(user, |refused| refused.set_blocked_locally(true, known));
            }
            Revoked::UserInstant { user, at } => {
                users.change(user, |refused| refused.add_local_instant(known, *at, until));
            }
            Revoked::UserUnblocked(user) => {
                users.change(user, |refused| refused.set_blocked_locally(false, known));
            }
        }
        self.grow(what);
    }

    /// Blocks a user until an entry of the log behind `known` takes that back.
    pub(super) fn block_behind(&self, user: &UserId, known: u64) {
        self.0.users.change(user, |refused| refused.set_blocked_locally(true, known));
        self.grow(&Revoked::UserBlocked(user.clone()));
    }

    /// Forgets what no living token is concerned by, one small part locked at a time. Milliseconds for each hundred
    /// thousand entries: not for async threads.
    pub fn sweep(&self, now: Timestamp) {
        let lists = &*self.0;
        let next = [lists.tokens.sweep(now), lists.sessions.sweep(now), lists.users.sweep(now)];
        let next = next.into_iter().flatten().min().map_or(0, u64::from);
        lists.next_expiry.store(next, Ordering::Relaxed);
    }

    /// Grows each time that more is refused than before. Whoever lets something go on by an answer of
    /// [`Self::refuses`] asks again when this has changed, and reads this first: what had been applied by then, that
    /// answer knows of.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// How many tokens, sessions and users are on the list.
    pub fn len(&self) -> usize {
        self.0.tokens.len() + self.0.sessions.len() + self.0.users.len()
    }

    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How large the list is. Walks some hundreds of parts: for whoever looks, not for requests.
    pub fn size(&self) -> Size {
        let Lists { tokens, sessions, users, .. } = &*self.0;
        Size {
            tokens: tokens.len(),
            sessions: sessions.len(),
            users: users.len(),
            bytes: tokens.bytes() + sessions.bytes() + users.bytes(),
        }
    }

    /// When the first of the present entries expires, as of the last sweep, in seconds since the epoch; `None`
    /// where none ever does. The oldest go first, a day after it: one longer past means that nobody sweeps.
    pub fn next_expiry(&self) -> Option<u64> {
        Some(self.0.next_expiry.load(Ordering::Relaxed)).filter(|next| *next > 0)
    }

    /// Whether anybody may be let in at `now` by what this process knows.
    pub fn freshness(&self, now: Stopwatch) -> Freshness {
        self.0.look.freshness(now)
    }

    /// How long ago, at `now`, the log was last read to its end.
    pub fn lag(&self, now: Stopwatch) -> Duration {
        self.0.look.age(now)
    }

    /// How old that may be; `None`: as old as it gets.
    pub fn max_staleness(&self) -> Option<Duration> {
        self.0.look.max_staleness()
    }

    /// How many revocations wait to be written because the store could not keep them.
    pub fn unwritten_len(&self) -> usize {
        self.0.unwritten.len()
    }

    /// The log's highest number seen.
    pub(super) fn known(&self) -> u64 {
        self.0.known.load(Ordering::Acquire)
    }

    /// A look into the log that began at `began` has seen its end.
    pub(super) fn looked(&self, began: Stopwatch) {
        self.0.look.succeeded(began);
    }

    pub(super) fn unwritten(&self) -> &Unwritten {
        &self.0.unwritten
    }

    /// To be called when `what` is applied, never before: who sees the new generation must find it refused.
    fn grow(&self, what: &Revoked) {
        if !matches!(what, Revoked::UserUnblocked(_)) {
            self.0.generation.fetch_add(1, Ordering::Release);
        }
    }
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationList").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
