use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{expiring::Expiring, users::Users};
use crate::{
    clock::Timestamp,
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
    metrics: Metrics,
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
    /// A list that refuses nothing, and keeps `metrics.revocations` true.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Lists {
            tokens: Expiring::new(),
            sessions: Expiring::new(),
            users: Users::new(),
            known: AtomicU64::new(0),
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
        lists.users.refuses(token, now)
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
        self.count();
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

    /// Refuses what could not be written into the log because the store is away.
    ///
    /// Only this process knows of it, and not after a restart. A user-instant has no number here: sessions that
    /// the log's last known number does not tell apart are told apart by the time of their tokens, those of the
    /// next ten seconds included, until the same user's instant reaches the log.
    pub fn apply_local(&self, what: &Revoked, until: Timestamp) {
        let known = self.0.known.load(Ordering::Acquire);
        let users = &self.0.users;
        match what {
            Revoked::Session(session) => self.0.sessions.insert(*session.as_bytes(), until),
            Revoked::Token(token) => self.0.tokens.insert(*token.as_bytes(), until),
            Revoked::UserBlocked(user) => {
                users.change(user, |refused| refused.set_blocked_locally(true, known))
            }
            Revoked::UserInstant { user, at } => {
                users.change(user, |refused| refused.add_local_instant(known, *at, until));
            }
            Revoked::UserUnblocked(user) => {
                users.change(user, |refused| refused.set_blocked_locally(false, known));
            }
        }
        self.count();
    }

    /// Forgets what no living token is concerned by, one small part locked at a time. Milliseconds for each hundred
    /// thousand entries: not for async threads.
    pub fn sweep(&self, now: Timestamp) {
        self.0.tokens.sweep(now);
        self.0.sessions.sweep(now);
        self.0.users.sweep(now);
        self.count();
    }

    /// How many tokens, sessions and users are on the list.
    pub fn len(&self) -> usize {
        self.0.tokens.len() + self.0.sessions.len() + self.0.users.len()
    }

    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn count(&self) {
        self.0.metrics.revocations.set(u64::try_from(self.len()).unwrap_or(u64::MAX));
    }
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationList").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
