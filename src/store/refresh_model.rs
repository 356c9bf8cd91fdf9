//! The refresh rule as its promise reads, and those who come with tokens, played at random: against the rule alone
//! and against each kind of store.
//!
//! *Honest* is one client that keeps its first token for ever, or stores each successor. It never ends in theft:
//! - alone, it may lose any requests and answers, ask again at any time, and stay away for as long as its token
//!   lives;
//! - in up to three tabs that share a storage, requests may moreover come twice and answers late and in any order,
//!   if whatever one waking of the tabs sets off is over within the grace, and the grace passes before the next.
//!
//! Beyond that lies what no rule of this kind tells from theft: two tabs that keep tokens in memory only are two
//! clients; and where two repeat a lost refresh just before and just after the grace has run out, one gets a
//! successor that the other has replaced at once. If that one is stored last, the next refresh ends the session.
//!
//! *Seen* is a stolen chain when the session ends in theft. Whenever two parties hold one token, one of them stores
//! successors, and each comes later than the grace after the other has come, the session ends at their fourth turn at
//! the latest, whoever begins and however often each comes in its turn. Who uses the token once and never comes again loses the access
//! token it bought as soon as the client comes back, and the event is told.
//!
//! *Unseen* remain, by the contract:
//! - two who never store successors: they do the same, with the same token, which dies with its `exp`;
//! - a single use of the first token beside a client that has used no successor yet: what it bought lives until its
//!   own expiry, if the client comes back to the same token;
//! - who always comes within the grace after the client: both hold one chain, and get the same tokens.
//!
//! Never here: the code of the rule.

use std::time::Duration;

use proptest::{prelude::*, test_runner::TestCaseResult};

use crate::{clock::Timestamp, id::TokenId};

/// A session under the rule.
pub(super) trait Subject {
    /// Presents a token. `None` is theft: the session has ended, or had ended before.
    fn present(&mut self, token: TokenId, now: Timestamp) -> Option<Bought>;
}

/// What a presented token has bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bought {
    pub(super) refresh: TokenId,
    pub(super) access: TokenId,
    /// The refresh and the access token that have been replaced unused, where the event was told.
    pub(super) replaced: Option<(TokenId, TokenId)>,
}

/// The grace of every session here.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// When every session here begins.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Every token that a session ever had and what became of it, with nothing summed up: the contract read aloud.
pub(super) struct History {
    first: TokenId,
    /// Each with the token it was handed out for, and when.
    made: Vec<(TokenId, TokenId, Timestamp)>,
    /// Successors that were presented.
    used: Vec<TokenId>,
    /// Superseded or replaced, and when.
    retired: Vec<(TokenId, Timestamp)>,
}

/// What the contract promises for a presented token.
enum Promise {
    New { replacing: Option<TokenId> },
    Same(TokenId),
    Theft,
}

impl History {
    pub(super) fn new(first: TokenId) -> Self {
        Self { first, made: Vec::new(), used: Vec::new(), retired: Vec::new() }
    }

    fn promise(&mut self, presented: TokenId, now: Timestamp) -> Promise {
        let base = self.used.last().copied().unwrap_or(self.first);
        let successor = self.made.iter().rev().find(|made| made.1 == base).map(|made| (made.0, made.2));
        let Some((successor, made_at)) = successor else {
            return if presented == base { Promise::New { replacing: None } } else { Promise::Theft };
        };
        if presented == base {
            if now.since(made_at) < GRACE {
                return Promise::Same(successor);
            }
            self.retired.push((successor, now));
            return Promise::New { replacing: (!self.used.is_empty()).then_some(successor) };
        }
        if presented == successor {
            self.retired.push((base, now));
            self.used.push(successor);
            return Promise::New { replacing: None };
        }
        let mut remembered = self.retired.iter().rev().take(4);
        match remembered.any(|(token, since)| *token == presented && now.since(*since) < GRACE) {
            true => Promise::Same(successor),
            false => Promise::Theft,
        }
    }

    /// Presents a token to `subject` and says whether it did as promised; `false` where the session has ended.
    fn check(
        &mut self,
        subject: &mut impl Subject,
        presented: TokenId,
        now: Timestamp,
    ) -> Result<bool, TestCaseError> {
        let promise = self.promise(presented, now);
        let bought = subject.present(presented, now);
        match (promise, bought) {
            (Promise::Theft, bought) => {
                prop_assert_eq!(bought, None);
                Ok(false)
            }
            (Promise::Same(token), bought) => {
                prop_assert_eq!(bought.map(|bought| (bought.refresh, bought.replaced)), Some((token, None)));
                Ok(true)
            }
            (Promise::New { replacing }, bought) => {
                let Some(bought) = bought else {
                    return Err(TestCaseError::fail("a good token was taken for a thief's"));
                };
                prop_assert_eq!(bought.replaced.map(|replaced| replaced.0), replacing);
                prop_assert!(!self.all().contains(&bought.refresh), "a token was made twice");
                let base = self.used.last().copied().unwrap_or(self.first);
                self.made.push((bought.refresh, base, now));
                Ok(true)
            }
        }
    }

    fn all(&self) -> Vec<TokenId> {
        std::iter::once(self.first).chain(self.made.iter().map(|made| made.0)).collect()
    }
}

/// Which token comes, counted back from the latest; 8 is none of the session's. And after how many milliseconds.
pub(super) type Presentation = (usize, u64);

pub(super) fn presentations() -> impl Strategy<Value = Vec<Presentation>> {
    let which = prop_oneof![8 => 0_usize..3, 3 => 3_usize..8, 1 => Just(8_usize)];
    prop::collection::vec((which, pause()), 1..50)
}

fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..3, 0_u64..4_000, 9_990_u64..10_010, 10_000_u64..4_000_000]
}

/// Anybody comes with any token at any time: the subject does what the contract says, for as long as it lives.
pub(super) fn obeys(
    subject: &mut impl Subject,
    first: TokenId,
    presentations: &[Presentation],
) -> TestCaseResult {
    let mut history = History::new(first);
    let mut now = START;
    for (back, pause) in presentations {
        now = now.plus(Duration::from_millis(*pause));
        let all = history.all();
        let presented = match back {
            8 => TokenId::random(),
            back => all[all.len().saturating_sub(back + 1)],
        };
        if !history.check(subject, presented, now)? {
            break;
        }
    }
    Ok(())
}

/// The tabs of one client wake together: what each of them does, in milliseconds from the waking.
#[derive(Clone, Debug)]
pub(super) struct Wave {
    /// How long nobody came before it.
    pause: u64,
    tabs: Vec<Tab>,
}

#[derive(Clone, Debug)]
struct Tab {
    reads: u64,
    /// Once, or twice where the network repeats it; never where it is lost.
    arrives: Vec<u64>,
    /// `None`: the answer is lost.
    stores: Option<u64>,
}

pub(super) fn waves() -> impl Strategy<Value = (bool, Vec<Wave>)> {
    let grace = u64::try_from(GRACE.as_millis()).unwrap();
    let tab =
        (prop::collection::vec(0..grace, 4), 0_usize..8, any::<bool>()).prop_map(|(mut at, how, kept)| {
            at.sort_unstable();
            let arrives = match how {
                0 => Vec::new(),
                1 | 2 => vec![at[1], at[2]],
                _ => vec![at[1]],
            };
            Tab { reads: at[0], arrives, stores: kept.then_some(at[3]) }
        });
    let away = prop_oneof![Just(0_u64), 0_u64..10_000, 0_u64..86_400_000];
    let wave = (away, prop::collection::vec(tab, 1..4)).prop_map(|(pause, tabs)| Wave { pause, tabs });
    (any::<bool>(), prop::collection::vec(wave, 1..16))
}

impl Wave {
    /// One tab that asks once: nothing of it can come late.
    fn is_plain(&self) -> bool {
        matches!(self.tabs.as_slice(), [tab] if tab.arrives.len() < 2)
    }
}

/// One client, whatever is lost, late or twice, is never taken for a thief.
pub(super) fn serves_the_honest(
    subject: &mut impl Subject,
    first: TokenId,
    (stores, waves): &(bool, Vec<Wave>),
) -> TestCaseResult {
    enum Step {
        Read,
        Arrive,
        Store,
    }
    let mut stored = first;
    let mut begin = START;
    let mut last = 0;
    for (number, wave) in waves.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &waves[before]);
        let plain = before.is_none_or(|before| before.is_plain() && wave.is_plain());
        let over = if plain { begin.plus(Duration::from_millis(last)) } else { begin.plus(GRACE * 2) };
        begin = over.plus(Duration::from_millis(wave.pause));
        let mut steps = Vec::new();
        for (index, tab) in wave.tabs.iter().enumerate() {
            steps.push((tab.reads, index, Step::Read));
            steps.extend(tab.arrives.iter().map(|at| (*at, index, Step::Arrive)));
            steps.extend(tab.stores.map(|at| (at, index, Step::Store)));
        }
        // Stable: what one tab does at one instant stays in its order.
        steps.sort_by_key(|step| step.0);
        let mut read = vec![first; wave.tabs.len()];
        let mut answers = vec![None; wave.tabs.len()];
        for (at, tab, step) in steps {
            last = at;
            match step {
                Step::Read => read[tab] = stored,
                Step::Arrive => {
                    let bought = subject.present(read[tab], begin.plus(Duration::from_millis(at)));
                    prop_assert!(bought.is_some(), "an honest client was taken for a thief");
                    answers[tab] = answers[tab].or(bought);
                }
                Step::Store if *stores => stored = answers[tab].map_or(stored, |bought| bought.refresh),
                Step::Store => {}
            }
        }
    }
    Ok(())
}

/// A token in two hands, and how they come.
#[derive(Clone, Debug)]
pub(super) struct Robbery {
    /// How often the client has refreshed before, storing successors.
    before: usize,
    /// Whether client and thief store successors from then on.
    stores: [bool; 2],
    /// Whether the thief is the first to come.
    thief_first: bool,
    /// What each does when it is its turn: so many refreshes, so far apart in milliseconds.
    turns: Vec<(usize, u64)>,
}

pub(super) fn robberies() -> impl Strategy<Value = Robbery> {
    let stores = prop_oneof![Just([true, true]), Just([true, false]), Just([false, true])];
    let turns = prop::collection::vec((1_usize..4, pause()), 4);
    (0_usize..6, stores, any::<bool>(), turns).prop_map(|(before, stores, thief_first, turns)| Robbery {
        before,
        stores,
        thief_first,
        turns,
    })
}

/// A stolen chain beside an honest one ends in theft by their fourth turn.
pub(super) fn sees_a_stolen_chain(
    subject: &mut impl Subject,
    first: TokenId,
    robbery: &Robbery,
) -> TestCaseResult {
    let mut now = START;
    let mut token = first;
    for _ in 0..robbery.before {
        token = subject.present(token, now).map_or(token, |bought| bought.refresh);
        now = now.plus(Duration::from_mins(30));
    }
    let mut tokens = [token; 2];
    for (turn, (times, apart)) in robbery.turns.iter().enumerate() {
        let who = (turn + usize::from(robbery.thief_first)) % 2;
        now = now.plus(GRACE);
        for time in 0..*times {
            now = now.plus(Duration::from_millis(if time == 0 { 0 } else { *apart }));
            let Some(bought) = subject.present(tokens[who], now) else { return Ok(()) };
            if robbery.stores[who] {
                tokens[who] = bought.refresh;
            }
        }
    }
    Err(TestCaseError::fail("two chains live on side by side"))
}

/// Somebody uses a client's token once: what that bought dies when the client comes, where it has used a successor.
pub(super) fn takes_back_what_was_bought_once(
    subject: &mut impl Subject,
    first: TokenId,
    before: usize,
) -> TestCaseResult {
    let mut now = START;
    let mut token = first;
    for _ in 0..before {
        token = subject.present(token, now).map_or(token, |bought| bought.refresh);
        now = now.plus(Duration::from_mins(30));
    }
    let stolen = subject.present(token, now);
    let back = subject.present(token, now.plus(GRACE));
    let (Some(stolen), Some(back)) = (stolen, back) else {
        return Err(TestCaseError::fail("a good token was taken for a thief's"));
    };
    prop_assert_ne!(stolen.refresh, back.refresh);
    prop_assert_eq!(back.replaced, (before > 0).then_some((stolen.refresh, stolen.access)));
    // And whoever has it shows himself by coming again.
    prop_assert_eq!(subject.present(stolen.refresh, now.plus(GRACE * 2)), None);
    Ok(())
}

/// Whatever has come before: later than the grace two tokens at most are good, and to use one is the other's end.
pub(super) fn leaves_one_chain<S: Subject + Clone>(
    subject: &S,
    first: TokenId,
    presentations: &[Presentation],
) -> TestCaseResult {
    let mut subject = subject.clone();
    let mut all = vec![first];
    let mut now = START;
    for (back, pause) in presentations {
        now = now.plus(Duration::from_millis(*pause));
        let presented = all[all.len().saturating_sub(back + 1)];
        let mut next = subject.clone();
        // A thief of whom nobody has heard would only end it.
        let Some(bought) = next.present(presented, now) else { continue };
        subject = next;
        if !all.contains(&bought.refresh) {
            all.push(bought.refresh);
        }
    }
    now = now.plus(GRACE);
    let good: Vec<_> =
        all.iter().filter(|token| subject.clone().present(**token, now).is_some()).copied().collect();
    prop_assert!(matches!(good.len(), 1 | 2), "{} tokens are good", good.len());
    for used in &good {
        let mut subject = subject.clone();
        let successor = subject.present(*used, now).map(|bought| bought.refresh);
        for other in good.iter().filter(|other| *other != used) {
            prop_assert_eq!(subject.clone().present(*other, now.plus(GRACE)), None);
        }
        prop_assert!(successor.is_some_and(|token| subject.present(token, now.plus(GRACE)).is_some()));
    }
    Ok(())
}
