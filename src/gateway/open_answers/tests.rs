use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
};

use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::timeout;

use super::*;
use crate::{
    id::{SessionId, TokenId},
    metrics::Metrics,
    revocation::{self, RevocationList},
    store::{Revocation, Revoked},
    token::{KeyRing, KeySettings, NewToken, Profile, TokenKind},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LEEWAY: Duration = Duration::from_secs(5);

/// What judges, and who can be judged.
struct House {
    keys: Arc<KeyRing>,
    revocations: RevocationList,
    authenticator: Authenticator,
    clock: Clock,
    open: Rc<OpenAnswers>,
    watch: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

impl House {
    fn new() -> Self {
        Self::following(revocation::Settings::default())
    }

    /// Of a process that has read its log when it began, and never again.
    fn following(settings: revocation::Settings) -> Self {
        let key = KeySettings { id: "1".to_owned(), secret: vec![7; 32].into() };
        let keys = Arc::new(KeyRing::new(&[key]));
        let revocations = RevocationList::with(settings, Metrics::default());
        let authenticator = Authenticator::new(Arc::clone(&keys), Arc::new(profile()), revocations.clone());
        let (clock, open) = (Clock::manual(NOW), OpenAnswers::new());
        let watch = RefCell::new(Box::pin(Rc::clone(&open).watch(authenticator.clone(), clock.clone())) as _);
        Self { keys, revocations, authenticator, clock, open, watch }
    }

    /// An answer opened by a token of this session that lives for so many seconds.
    fn open(&self, session: u64, lifetime: u64) -> OpenAnswer {
        let token = NewToken {
            kind: TokenKind::Access,
            user: &"ada".parse().unwrap(),
            token: TokenId::random(),
            session: session_id(session),
            issued_at: NOW.seconds(),
            expires_at: NOW.seconds() + lifetime,
            extra_claims: &[],
        };
        let token = self.keys.mint(&profile(), &token).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let principal = self.authenticator.authenticate(&headers, self.clock.now()).unwrap();
        let end = self.authenticator.end(&principal);
        self.open.open(principal, end)
    }

    fn revoke(&self, session: u64) {
        let what = Revoked::Session(session_id(session));
        self.revocations.apply(&Revocation { sequence: 1, what, until: NOW.plus(Duration::from_secs(3600)) });
    }

    /// For ever, unless dropped; then it goes on the next time.
    async fn watch(&self) {
        poll_fn(|cx| self.watch.borrow_mut().as_mut().poll(cx)).await;
    }

    /// Looks as often as it would in a second.
    async fn a_second(&self) {
        let _ = timeout(Duration::from_secs(1), self.watch()).await;
    }
}

fn session_id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

fn profile() -> Profile {
    Profile {
        scheme: "Bearer",
        kind_claim: "token_type",
        access_kind: "access",
        refresh_kind: "refresh",
        user_claim: "user_id".to_owned(),
        extra_claims: Vec::new(),
        issuer: None,
        audience: Vec::new(),
        leeway: LEEWAY,
        access_lifetime: Duration::from_secs(1800),
        refresh_lifetime: Duration::from_secs(86_400),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_cut_when_its_token_dies_and_not_before() {
    let house = House::new();
    let (short, long, other) = (house.open(1, 60), house.open(2, 600), house.open(3, 600));
    house.a_second().await;
    assert_eq!([short.cut(), long.cut(), other.cut()], [None; 3]);

    house.revoke(2);
    house.a_second().await;
    assert_eq!([short.cut(), long.cut(), other.cut()], [None, Some(Cut::Revoked), None]);

    // It comes behind a walk, and goes before anything that the walk has seen.
    let late = house.open(4, 30);
    house.a_second().await;
    house.clock.advance(Duration::from_secs(30) + LEEWAY);
    house.a_second().await;
    assert_eq!([late.cut(), short.cut()], [Some(Cut::Expired), None]);

    // As far as clocks may differ, the judge lets it pass as well.
    house.clock.advance(Duration::from_secs(30) - Duration::from_millis(1));
    house.a_second().await;
    assert_eq!(short.cut(), None);
    house.clock.advance(Duration::from_millis(1));
    house.a_second().await;
    assert_eq!([short.cut(), other.cut()], [Some(Cut::Expired), None]);
    // Once more: what came first is what is told.
    house.revoke(1);
    house.clock.advance(Duration::from_secs(3600));
    house.a_second().await;
    assert_eq!(
        [short.cut(), long.cut(), other.cut()],
        [Some(Cut::Expired), Some(Cut::Revoked), Some(Cut::Expired)]
    );
}

/// At the second look, and not at the first: the feed may be about to have its turn.
#[tokio::test(start_paused = true)]
async fn what_nobody_can_vouch_for_is_cut() {
    let house = House::following(revocation::Settings { max_staleness: Some(Duration::ZERO) });
    let (good, dead, expired) = (house.open(1, 600), house.open(2, 600), house.open(3, 60));
    let _ = timeout(PERIOD + PERIOD / 2, house.watch()).await;
    assert_eq!([good.cut(), dead.cut(), expired.cut()], [None; 3]);
    house.revoke(2);
    house.clock.advance(Duration::from_secs(60) + LEEWAY);
    let _ = timeout(PERIOD, house.watch()).await;
    assert_eq!(
        [good.cut(), dead.cut(), expired.cut()],
        [Some(Cut::Stale), Some(Cut::Revoked), Some(Cut::Expired)]
    );
    // The judge lets nobody in by now, but for who was being let in when it happened.
    let late = house.open(4, 600);
    house.a_second().await;
    assert_eq!(late.cut(), Some(Cut::Stale));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_during_a_walk_keeps_nobody_from_being_asked() {
    let house = House::new();
    let many = u64::try_from(AT_ONCE).unwrap() * 4 + 7;
    let mut answers: Vec<_> = (0..many).map(|number| house.open(number, 600)).collect();
    (0..many).for_each(|number| house.revoke(number));
    let mut late = Vec::new();
    let churn = async {
        // To the instant of the walk, then to its first step.
        sleep(PERIOD).await;
        while answers.iter().all(|answer| answer.cut().is_none()) {
            yield_now().await;
        }
        // Between two steps: some leave, from everywhere, and others come.
        for round in 0..3_usize {
            for step in 0..300 {
                drop(answers.swap_remove(step * 7919 % answers.len()));
            }
            late.extend((0..50).map(|number| house.open(many + number + 50 * round as u64, 600)));
            yield_now().await;
        }
    };
    tokio::join!(house.a_second(), churn);
    assert_eq!(answers.len(), usize::try_from(many).unwrap() - 900);
    assert!(answers.iter().all(|answer| answer.cut() == Some(Cut::Revoked)));
    assert!(late.iter().all(|answer| answer.cut().is_none()));
    drop((answers, late));
    assert_eq!(house.open.len(), 0);
    assert!(house.open.spare.borrow().len() <= SPARE);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_used_again_and_remembers_nothing() {
    let house = House::new();
    let first = house.open(1, 600);
    house.revoke(1);
    let woken = poll_fn(|cx| first.poll_cut(cx));
    let _ = timeout(Duration::from_secs(1), async { tokio::join!(house.watch(), woken) }).await;
    assert_eq!(first.cut(), Some(Cut::Revoked));
    let place = Rc::as_ptr(&first.entry);
    drop(first);
    let second = house.open(2, 600);
    assert_eq!((Rc::as_ptr(&second.entry), second.cut()), (place, None));

    // Somebody still carries what has ended: it must not come to be another answer's.
    let carried = second.cuttable();
    drop(second);
    let third = house.open(2, 600);
    house.revoke(2);
    house.a_second().await;
    assert_eq!((third.cut(), carried.is_cut()), (Some(Cut::Revoked), false));
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_open_nobody_looks() {
    let house = House::new();
    let mut watch = pin!(house.watch());
    let polls = Cell::new(0);
    let watched = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        watch.as_mut().poll(cx)
    });
    let requests = async {
        sleep(Duration::from_secs(3600)).await;
        assert!(polls.get() < 5, "{}", polls.get());
        // A thousand short answers within a moment cost one look.
        for number in 0..1000 {
            drop(house.open(number, 600));
            yield_now().await;
        }
        sleep(Duration::from_secs(3600)).await;
    };
    tokio::select! {
        () = watched => {}
        () = requests => {}
    }
    // Besides its own: the yields of the requests poll it as well, which are of one task with it here.
    assert!(polls.get() < 1100, "{}", polls.get());
    assert!(!house.open.watched.get());
}
