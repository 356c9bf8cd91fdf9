//! Revocations in force here that the store could not keep or was not asked to: in memory, and written as soon as it can be.
//!
//! Never here: what is in force (`list`). Lost with the process, as whoever asked was told by a 503.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::RevocationList;
use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    id::UserId,
    metrics::Metrics,
    store::{Outage, Revocation, Revoked, Store, StoreError},
};

/// What this process refuses and the store could not keep: it is written once the store is back.
///
/// Whoever asked was told that it failed, but cannot ask again: the token that would ask is refused here. Bounded, for
/// each user too; only living tokens get anything in here.
#[derive(Debug, Default)]
pub(super) struct Unwritten(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    missed: VecDeque<Missed>,
    of_user: HashMap<UserId, usize>,
    /// Whether operators know that there is no room.
    told: bool,
}

/// One revocation that the log lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missed {
    what: Revoked,
    until: Timestamp,
    /// Whose tokens it concerns.
    user: UserId,
}

impl Unwritten {
    pub(super) fn add(&self, what: &Revoked, until: Timestamp, user: &UserId, metrics: &Metrics) {
        match what {
            // Taking a refusal back can wait for whoever wants that.
            Revoked::UserUnblocked(_) => return,
            Revoked::Session(_)
            | Revoked::Token(_)
            | Revoked::UserBlocked(_)
            | Revoked::UserInstant { .. } => {}
        }
        let mut queue = self.queue();
        // Looked for one by one: what is in here is refused, so each living token or session brings one such walk, and
        // hardly another.
        if let Some(missed) = queue.missed.iter_mut().find(|missed| missed.what.is_same(what)) {
            missed.until = missed.until.max(until);
            if let (Revoked::UserInstant { at: known, .. }, Revoked::UserInstant { at, .. }) =
                (&mut missed.what, what)
            {
                *known = (*known).max(*at);
            }
            return;
        }
        if queue.has_room(user) {
            queue.push(Missed { what: what.clone(), until, user: user.clone() });
            return;
        }
        let is_news = !std::mem::replace(&mut queue.told, true);
        drop(queue);
        metrics.revocations_forgotten.increment();
        if is_news {
            error!(
                user.id = %user,
                "A revocation that the store could not keep will not be written, nor will others: too many wait already"
            );
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue().missed.len()
    }

    /// To be called at the end of the process: whoever was logged out here alone is logged in again after it.
    pub(super) fn tell_of_loss(&self) {
        let queue = self.queue();
        let revocations = queue.missed.len();
        let mut lost = queue.missed.iter().take(NAMED).map(Missed::name).collect::<Vec<_>>().join(", ");
        drop(queue);
        let are_lost = match revocations {
            0 => return,
            1 => "logout is lost with this process, the store has not heard of it",
            _ => "logouts are lost with this process, the store has not heard of them",
        };
        if revocations > NAMED {
            lost = format!("{lost} and {} more", revocations - NAMED);
        }
        error!(
            revocations,
            lost, "{revocations} {are_lost}: log out again, by `portcullis session revoke`, {lost}"
        );
    }

    fn first(&self) -> Option<Missed> {
        self.queue().missed.front().cloned()
    }

    /// It stays where it has grown meanwhile.
    fn written(&self, missed: &Missed) {
        let mut queue = self.queue();
        if queue.missed.front() == Some(missed) {
            queue.pop();
        }
    }

    /// Behind the others: what is wrong may be with this one alone.
    fn put_off(&self) {
        let mut queue = self.queue();
        if queue.missed.len() > 1 {
            queue.missed.rotate_left(1);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// One account, with as many tokens as a backend makes for it, shall not take everybody's room.
    fn has_room(&self, user: &UserId) -> bool {
        self.missed.len() < CAPACITY && self.of_user.get(user).is_none_or(|of_user| *of_user < OF_ONE_USER)
    }

    fn push(&mut self, missed: Missed) {
        *self.of_user.entry(missed.user.clone()).or_default() += 1;
        self.missed.push_back(missed);
    }

    fn pop(&mut self) {
        let Some(missed) = self.missed.pop_front() else { return };
        if let Entry::Occupied(mut of_user) = self.of_user.entry(missed.user) {
            *of_user.get_mut() = of_user.get().saturating_sub(1);
            if *of_user.get() == 0 {
                of_user.remove();
            }
        }
        self.told = false;
    }
}

/// Writes what the store has missed whenever it can be written. Once for each list: it takes from the front.
///
/// Apart from following the log: a store that cannot be written may still be read.
pub(super) async fn write_missed(store: Store, list: RevocationList, metrics: Metrics, clock: Clock) {
    let outage = Outage::default();
    let mut rounds = interval(PAUSE);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let mut written = 0_u32;
        while let Some(missed) = list.unwritten().first() {
            match missed.write(&store, clock.now()).await {
                Ok(revoked) => {
                    revoked.iter().for_each(|revocation| list.apply(revocation));
                    list.unwritten().written(&missed);
                    written += 1;
                    outage.succeeded();
                }
                // The feed knows nothing of it where the store can be read.
                Err(failure) => {
                    metrics.store_failures.increment();
                    if outage.failed(Stopwatch::start()).is_some() {
                        tell_of_waiting(list.unwritten_len(), &store, &failure);
                    }
                    list.unwritten().put_off();
                    break;
                }
            }
        }
        if written > 0 {
            info!(revocations = written, "Wrote revocations that the store had missed");
        }
    }
}

fn tell_of_waiting(revocations: usize, store: &Store, failure: &StoreError) {
    let wait = match revocations {
        1 => "revocation holds here alone and waits",
        _ => "revocations hold here alone and wait",
    };
    error!(
        %store,
        error = %failure,
        revocations,
        "{revocations} {wait} to be written into the store, {store}: {failure}"
    );
}

impl Missed {
    /// What an operator can revoke it by.
    fn name(&self) -> String {
        match &self.what {
            Revoked::Session(session) => format!("session {session}"),
            Revoked::Token(token) => format!("token {token}"),
            Revoked::UserBlocked(user) | Revoked::UserInstant { user, .. } | Revoked::UserUnblocked(user) => {
                format!("user {user}")
            }
        }
    }

    /// Writing it twice does no harm: a commit whose answer was lost is not known to have been kept.
    async fn write(&self, store: &Store, now: Timestamp) -> Result<Vec<Revocation>, StoreError> {
        match &self.what {
            Revoked::Session(session) => store.end_session(*session, Some(self.until)).await,
            Revoked::Token(token) => store.revoke_token(*token, self.until).await,
            Revoked::UserBlocked(user) => store.block_user(user, self.until, now).await,
            Revoked::UserInstant { user, at } => end_older_sessions(store, user, *at, self.until, now).await,
            Revoked::UserUnblocked(_) => Ok(Vec::new()),
        }
    }
}

/// Ends what the user had at that instant, and nothing of what they have opened since, here or elsewhere.
///
/// An entry for all of it would stand behind the new sessions in the log, and end them too. Where there are some,
/// the older ones end one by one; tokens without session then stay refused by this process alone.
async fn end_older_sessions(
    store: &Store,
    user: &UserId,
    at: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<Revocation>, StoreError> {
    let sessions = store.sessions_of(user, now, SESSIONS).await?;
    let (older, newer): (Vec<_>, Vec<_>) =
        sessions.into_iter().partition(|session| Revoked::older_than(Some(session.opened_at.seconds()), at));
    if newer.is_empty() {
        return store.end_sessions_of(user, until, at).await;
    }
    let mut revoked = Vec::new();
    for session in older {
        revoked.extend(store.end_session(session.id, None).await?);
    }
    Ok(revoked)
}

/// Revocations that may wait: some megabytes.
const CAPACITY: usize = 10_000;

/// Of those, the most that concern one user: more than they have sessions, as a rule.
const OF_ONE_USER: usize = 256;

/// Of those that are lost, how many an operator is given by name: a line has an end.
const NAMED: usize = 20;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Sessions of one user that are looked at, the last refreshed first.
const SESSIONS: u32 = 10_000;

#[cfg(test)]
mod tests;
