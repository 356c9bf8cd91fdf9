//! The answers of one worker that are still open, each with the token that opened it: cut when it dies, and when
//! nobody can say any more whether it has.
//!
//! The worker looks every so often whether anything has been revoked, a token has expired meanwhile, or what is known of
//! revocations has become too old, and only then walks through them. Who is cut is the authenticator's to say, as it is
//! whose requests pass.
//! Never here: how an answer ends (`forward`, `body`, `proxy`).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::Notify, task::yield_now, time::sleep};

use crate::{
    auth::{Authenticator, Principal, TokenRefusal},
    body::Cuttable,
    clock::{Clock, Stopwatch, Timestamp},
    metrics::Cut,
    revocation::Freshness,
};

/// Every answer of a worker that was opened by a token and has not ended.
///
/// To enter and to leave costs a short answer a few moves and, but for the first ones, no allocation.
pub(super) struct OpenAnswers {
    entries: RefCell<Vec<Rc<Entry>>>,
    /// Entries that nobody has, for the next answers.
    spare: RefCell<Vec<Rc<Entry>>>,
    /// No token here expires before.
    soonest: Cell<Timestamp>,
    /// Whether [`Self::watch`] is looking, and need not be woken.
    watched: Cell<bool>,
    opened: Notify,
}

/// One open answer. Dropped, it has ended.
pub(super) struct OpenAnswer {
    list: Rc<OpenAnswers>,
    entry: Rc<Entry>,
}

impl OpenAnswers {
    /// Nothing is open. Somebody has to [`Self::watch`].
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            entries: RefCell::default(),
            spare: RefCell::default(),
            soonest: Cell::new(Timestamp::FOREVER),
            watched: Cell::new(false),
            opened: Notify::new(),
        })
    }

    /// Enters an answer to a request of `principal`, whose token opens nothing from `end` on.
    pub(super) fn open(self: &Rc<Self>, principal: Principal, end: Timestamp) -> OpenAnswer {
        self.soonest.set(self.soonest.get().min(end));
        let mut entries = self.entries.borrow_mut();
        let place = Cell::new(entries.len());
        let filled =
            Entry { principal: Some(principal), place, cut: Cell::new(None), waker: Cell::new(None) };
        let mut spare = self.spare.borrow_mut().pop();
        let entry = match spare.as_mut().and_then(Rc::get_mut) {
            Some(room) => {
                *room = filled;
                spare.unwrap_or_default()
            }
            // None is left, or somebody still looks at it.
            None => Rc::new(filled),
        };
        entries.push(Rc::clone(&entry));
        if !self.watched.replace(true) {
            self.opened.notify_one();
        }
        OpenAnswer { list: Rc::clone(self), entry }
    }

    /// Cuts what must be cut, for ever. While nothing is open it sleeps.
    pub(super) async fn watch(self: Rc<Self>, authenticator: Authenticator, clock: Clock) {
        let mut known = None;
        loop {
            self.opened.notified().await;
            let mut was_stale = false;
            while !self.entries.borrow().is_empty() {
                sleep(PERIOD).await;
                // Before the walk: what is revoked during it is for the next one.
                let generation = Some(authenticator.generation());
                let now = clock.now();
                let is_stale = authenticator.freshness(Stopwatch::start()) == Freshness::Stale;
                // Twice, or a process that was stopped for a while would cut everything before the feed, which was
                // stopped as well, has had a turn.
                let revocations = if is_stale && was_stale { Freshness::Stale } else { Freshness::Fresh };
                was_stale = is_stale;
                if known != generation || now >= self.soonest.get() || revocations == Freshness::Stale {
                    known = generation;
                    self.walk(&authenticator, now, revocations).await;
                }
            }
            self.watched.set(false);
        }
    }

    /// Asks of every answer whether its request would still pass.
    async fn walk(&self, authenticator: &Authenticator, now: Timestamp, revocations: Freshness) {
        self.soonest.set(Timestamp::FOREVER);
        let mut left = self.len();
        while left > 0 {
            let from = left.saturating_sub(AT_ONCE);
            for entry in self.entries.borrow().get(from..left).unwrap_or_default() {
                let Some(principal) = entry.principal.as_ref().filter(|_| !entry.is_cut()) else { continue };
                match (authenticator.recheck(principal, now), revocations) {
                    (Ok(()), Freshness::Fresh) => {
                        self.soonest.set(self.soonest.get().min(authenticator.end(principal)));
                    }
                    (Ok(()), Freshness::Stale) => entry.cut(Cut::Stale),
                    // As the judge has it: a token that is bad anyway is refused as that.
                    (Err(refusal), _) => entry.cut(cause(refusal)),
                }
            }
            if from > 0 {
                yield_now().await;
            }
            // From the end to the beginning: into the place of one that leaves meanwhile moves the last one, which has
            // been asked, or has come after the walk began and passed the judge.
            left = from.min(self.len());
        }
    }

    fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    fn leave(&self, entry: &mut Rc<Entry>) {
        let mut entries = self.entries.borrow_mut();
        let place = entry.place.get();
        if entries.get(place).is_some_and(|listed| Rc::ptr_eq(listed, entry)) {
            entries.swap_remove(place);
            if let Some(moved) = entries.get(place) {
                moved.place.set(place);
            }
        }
        drop(entries);
        if let Some(unshared) = Rc::get_mut(entry) {
            *unshared = Entry::default();
            let mut spare = self.spare.borrow_mut();
            if spare.len() < SPARE {
                spare.push(Rc::clone(entry));
            }
        }
    }
}

impl OpenAnswer {
    /// Whose it is.
    pub(super) fn principal(&self) -> Option<&Principal> {
        self.entry.principal.as_ref()
    }

    /// Ready when it must be cut; else the task is woken when that comes.
    pub(super) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Cut> {
        if let Some(cut) = self.cut() {
            return Poll::Ready(cut);
        }
        let known = self.entry.waker.take().filter(|known| known.will_wake(cx.waker()));
        self.entry.waker.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    /// Why it must be cut, if it must.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.entry.cut.get()
    }

    /// For whoever carries it.
    pub(super) fn cuttable(&self) -> Rc<dyn Cuttable> {
        Rc::clone(&self.entry) as Rc<dyn Cuttable>
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.list.leave(&mut self.entry);
    }
}

#[derive(Default)]
struct Entry {
    /// `None` in a spare one.
    principal: Option<Principal>,
    /// Its index in the list.
    place: Cell<usize>,
    cut: Cell<Option<Cut>>,
    /// The task that carries the answer.
    waker: Cell<Option<Waker>>,
}

impl Entry {
    fn cut(&self, cut: Cut) {
        self.cut.set(Some(cut));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Cuttable for Entry {
    fn is_cut(&self) -> bool {
        self.cut.get().is_some()
    }
}

/// What metrics and the access log call it when a token that was good opens nothing any more.
const fn cause(refusal: TokenRefusal) -> Cut {
    match refusal {
        TokenRefusal::Expired => Cut::Expired,
        TokenRefusal::Invalid
        | TokenRefusal::Malformed
        | TokenRefusal::Missing
        | TokenRefusal::Revoked
        | TokenRefusal::WrongKind => Cut::Revoked,
    }
}

/// Between two looks. With the time that a revocation takes to get here, and an answer to end, less than a second; so are
/// the two looks that find the store away for too long.
const PERIOD: Duration = Duration::from_millis(250);

/// Asked in one go, some hundred microseconds; then others have their turn.
const AT_ONCE: usize = 1024;

/// Entries kept for the next answers.
const SPARE: usize = 256;

#[cfg(test)]
mod tests;
