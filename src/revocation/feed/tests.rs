use std::{collections::BTreeMap, future::pending};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::{
    clock::Timestamp,
    id::{TokenId, UserId},
    revocation::Cause,
    store::{self, Name, NewUser, Settings},
    token::{TokenKind, Verified},
};

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Bench {
    folder: TempDir,
    store: Store,
    list: RevocationList,
    metrics: Metrics,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let metrics = Metrics::new(Vec::new());
        let list = RevocationList::new(metrics.clone());
        Self { folder, store, list, metrics, clock: Clock::manual(T0) }
    }

    async fn feed(&self) -> Feed {
        let (list, metrics) = (self.list.clone(), self.metrics.clone());
        Feed::catch_up(self.store.clone(), list, metrics, self.clock.clone()).await.unwrap()
    }

    /// As an operator with a shell.
    fn sql(&self) -> Connection {
        Connection::open(self.folder.path().join("portcullis.db")).unwrap()
    }

    /// So many tokens at once, as no gateway would write them.
    fn append(&self, tokens: u32) {
        let sql = "WITH RECURSIVE row (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM row LIMIT ?1)
                   INSERT INTO revocations (kind, id, until)
                   SELECT 1, randomblob(16), 2000000000000 FROM row WHERE ?1 > 0";
        self.sql().execute(sql, [tokens]).unwrap();
    }

    fn refuses(&self, token: &Verified) -> Option<Cause> {
        self.list.refuses(token, self.clock.now())
    }

    /// Waits until the feed, which runs by itself, has seen to it.
    async fn eventually(&self, condition: impl Fn() -> bool) {
        let met = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), met).await.expect("the feed does its work");
    }
}

/// The same store as another process sees it.
fn open(folder: &TempDir) -> Store {
    Store::open(&Settings::Sqlite { path: folder.path().join("portcullis.db") }).unwrap()
}

fn token(user: &UserId) -> Verified {
    Verified {
        kind: TokenKind::Access,
        user: user.clone(),
        token: TokenId::random(),
        session: None,
        issued_at: Some(T0.seconds()),
        expires_at: T0.seconds() + 60,
        extra_claims: Vec::new(),
    }
}

fn ada() -> UserId {
    "ada".parse().unwrap()
}

#[tokio::test]
async fn a_new_gateway_knows_the_whole_log_before_it_opens() {
    let bench = Bench::new();
    let dead = token(&ada());
    bench.store.revoke_token(dead.token, T0).await.unwrap();
    bench.store.block_user(&"eve".parse().unwrap(), T0, T0).await.unwrap();
    bench.feed().await;
    assert_eq!(bench.refuses(&dead), Some(Cause::Token));
    assert_eq!(bench.refuses(&token(&"eve".parse().unwrap())), Some(Cause::UserBlocked));
    assert_eq!(bench.metrics.revocation_sequence.value(), bench.store.log_head().await.unwrap());
    assert_eq!(bench.list.len(), 2);
}

#[tokio::test]
async fn a_log_of_several_pages_is_read_to_its_end() {
    for at_first in [FIRST_PAGE, 2 * FIRST_PAGE + 1] {
        let bench = Bench::new();
        bench.append(at_first);
        let mut feed = bench.feed().await;
        let mut last = at_first;
        for more in [0, 1, PAGE, 2 * PAGE, PAGE + 1] {
            bench.append(more);
            feed.poll_once().await.unwrap();
            last += more;
            assert_eq!(bench.list.len(), last as usize);
            assert_eq!(bench.metrics.revocation_sequence.value(), u64::from(last));
        }
    }
}

#[tokio::test]
async fn what_was_read_before_a_failure_counts() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    bench.append(PAGE);
    let sql = "INSERT INTO revocations (kind, user_id, until) VALUES (4, 'no user, ever', 9000000000000)";
    bench.sql().execute(sql, []).unwrap();
    bench.append(1);
    for _ in 0..2 {
        assert!(feed.poll_once().await.is_err());
        assert_eq!(bench.list.len(), PAGE as usize);
    }
    bench.sql().execute("DELETE FROM revocations WHERE kind = 4", []).unwrap();
    feed.poll_once().await.unwrap();
    assert_eq!(bench.list.len(), PAGE as usize + 1);
}

#[tokio::test]
async fn what_another_process_revokes_is_refused_here() {
    let bench = Bench::new();
    let elsewhere = open(&bench.folder);
    let mut feed = bench.feed().await;
    let dead = token(&ada());
    assert_eq!(bench.refuses(&dead), None);
    elsewhere.revoke_token(dead.token, T0).await.unwrap();
    feed.poll_once().await.unwrap();
    assert_eq!(bench.refuses(&dead), Some(Cause::Token));

    elsewhere.block_user(&ada(), T0, T0).await.unwrap();
    feed.poll_once().await.unwrap();
    assert_eq!(bench.refuses(&token(&ada())), Some(Cause::UserBlocked));
    elsewhere.unblock_user(&ada(), T0).await.unwrap();
    feed.poll_once().await.unwrap();
    let mut fresh = token(&ada());
    fresh.issued_at = Some(T0.seconds() + 11);
    assert_eq!(bench.refuses(&fresh), None);
}

#[tokio::test]
async fn a_commit_between_marker_and_reading_is_not_missed() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    for _ in 0..50 {
        let dead = token(&ada());
        let (revoked, polled) = tokio::join!(bench.store.revoke_token(dead.token, T0), feed.poll_once());
        revoked.unwrap();
        polled.unwrap();
        feed.poll_once().await.unwrap();
        assert_eq!(bench.refuses(&dead), Some(Cause::Token));
    }
}

#[tokio::test]
async fn it_runs_by_itself_until_it_is_told_to_stop() {
    let bench = Bench::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(bench.feed().await.run(async {
        let _ = stopped.await;
    }));
    let dead = token(&ada());
    open(&bench.folder).revoke_token(dead.token, T0).await.unwrap();
    bench.eventually(|| bench.refuses(&dead).is_some()).await;
    drop(stop);
    running.await.unwrap();
}

/// By a clock that was wrong at the boot, say: what is forgotten would be good again when the clock is right.
#[tokio::test]
async fn a_gateway_that_has_just_started_forgets_nothing() {
    let bench = Bench::new();
    let dead = token(&ada());
    bench.store.revoke_token(dead.token, T0).await.unwrap();
    bench.clock.advance(Duration::from_hours(24 * 365));
    let feed = bench.feed().await;
    let running = tokio::spawn(feed.run(pending()));
    bench.eventually(|| bench.list.next_expiry().is_some()).await;
    assert_eq!(bench.list.refuses(&dead, T0), Some(Cause::Token));
    assert_eq!(bench.store.log_after(0, 1).await.unwrap().entries.len(), 1);
    running.abort();
}

#[tokio::test]
async fn a_store_that_is_away_is_counted_and_what_is_known_stays() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    let dead = token(&ada());
    let revoked = bench.store.revoke_token(dead.token, T0).await.unwrap();
    revoked.iter().for_each(|revocation| bench.list.apply(revocation));
    let store = bench.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    for _ in 0..2 {
        let outcome = feed.poll_once().await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))));
        feed.report(outcome);
        assert!(feed.away);
    }
    assert_eq!(bench.metrics.store_failures.value(), 2);
    assert_eq!(bench.refuses(&dead), Some(Cause::Token));
    feed.report(Ok(()));
    assert!(!feed.away);
}

#[tokio::test]
async fn another_cause_is_told_of_and_one_that_comes_and_goes_every_ten_seconds() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    let fails = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
    let later = |millis| Stopwatch::start().later(Duration::from_millis(millis));
    feed.report(fails("refused"));
    let told = |feed: &Feed| feed.told.as_ref().map(|(_, why)| why.clone());
    assert_eq!(told(&feed).as_deref(), Some("the store is not available: refused"));
    let is_news =
        |feed: &Feed, millis, why| feed.is_news(later(millis), &format!("the store is not available: {why}"));
    assert!(!is_news(&feed, 20_000, "refused"), "as it was");
    assert!(!is_news(&feed, 9000, "wrong password"), "too soon");
    assert!(is_news(&feed, 10_000, "wrong password"));
    feed.report(fails("wrong password"));
    assert_eq!(told(&feed).as_deref(), Some("the store is not available: refused"));
    // It is back, and away again.
    feed.report(Ok(()));
    assert!(!feed.away && !is_news(&feed, 9000, "refused"));
    feed.report(fails("refused"));
    assert!(!feed.away, "who was not told that it is away need not hear that it is back");
    assert!(is_news(&feed, 10_000, "refused"));
}

#[tokio::test]
async fn a_login_after_logout_everywhere_lives_within_the_same_millisecond() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    let name = Name { exact: "ada".to_owned(), canonical: "ada".to_owned() };
    let new = NewUser {
        username: name,
        email: None,
        password_hash: "hash".to_owned(),
        roles: Vec::new(),
        attributes: BTreeMap::new(),
        restore: false,
        former_until: None,
    };
    let user = bench.store.create_user(new, None, T0).await.unwrap().user.id;
    let login = || async {
        let session = crate::store::NewSession {
            refresh: TokenId::random(),
            refresh_expires_at: T0.plus(Duration::from_hours(1)),
            access_expires_at: T0.plus(Duration::from_hours(1)),
            ends_at: T0.plus(Duration::from_hours(1)),
            address: None,
            agent: String::new(),
            per_user: 10,
        };
        let session = bench.store.open_session(&user, "hash", session, T0).await.unwrap().session;
        Verified { session: Some(session), ..token(&user) }
    };
    let before = login().await;
    bench.store.end_sessions_of(&user, T0, T0).await.unwrap();
    let after = login().await;
    feed.poll_once().await.unwrap();
    assert_eq!(bench.refuses(&before), Some(Cause::UserInstant));
    assert_eq!(bench.refuses(&after), None);
}

#[tokio::test]
async fn knowledge_is_fresh_while_the_log_can_be_read_and_for_so_long_after_it() {
    let limit = Duration::from_millis(1500);
    let mut bench = Bench::new();
    let settings = crate::revocation::Settings { max_staleness: Some(limit) };
    bench.list = RevocationList::with(settings, bench.metrics.clone());
    let mut feed = bench.feed().await;
    assert_eq!(bench.list.freshness(Stopwatch::start()), Freshness::Fresh);
    // Later, as far as anybody asks: a look that has just succeeded counts from where it began.
    let later = || Stopwatch::start().later(limit + Duration::from_millis(1));
    assert_eq!(bench.list.freshness(later()), Freshness::Stale);
    let before = bench.list.lag(later());
    feed.poll_once().await.unwrap();
    assert!(bench.list.lag(Stopwatch::start()) < before);

    let store = bench.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    let looked = bench.list.lag(Stopwatch::start());
    assert!(feed.poll_once().await.is_err());
    assert!(bench.list.lag(Stopwatch::start()) >= looked, "a look that failed tells nothing");
}

/// After a failover the log may lack what the old server had acknowledged, and give its numbers to others.
#[tokio::test]
async fn a_log_that_has_lost_entries_is_read_again_and_nothing_is_forgotten() {
    let database = store::tests::server::Server::shared().database();
    let settings = Settings::Postgres(store::tests::of(&database));
    let (store, elsewhere) = (Store::open(&settings).unwrap(), Store::open(&settings).unwrap());
    let (metrics, clock) = (Metrics::new(Vec::new()), Clock::manual(T0));
    let list = RevocationList::new(metrics.clone());
    let mut feed = Feed::catch_up(store, list.clone(), metrics, clock.clone()).await.unwrap();
    let eve: UserId = "eve".parse().unwrap();
    let refuses = |token: &Verified| list.refuses(token, clock.now());
    let (kept, lost, new) = (token(&ada()), token(&ada()), token(&ada()));
    let last_kept = elsewhere.revoke_token(kept.token, T0).await.unwrap()[0].sequence;
    // The clock of the old server is ahead of the new one's.
    elsewhere.raise_log(last_kept + 3_600_000).await.unwrap();
    elsewhere.block_user(&eve, T0, T0).await.unwrap();
    elsewhere.unblock_user(&eve, T0).await.unwrap();
    let lost_entry = elsewhere.revoke_token(lost.token, T0).await.unwrap().remove(0);
    feed.poll_once().await.unwrap();
    let later = Verified { issued_at: Some(T0.seconds() + 60), ..token(&eve) };
    assert_eq!(refuses(&later), None);

    fail_over(&database, last_kept);
    elsewhere.revoke_token(new.token, T0).await.unwrap();
    elsewhere.block_user(&eve, T0, T0).await.unwrap();
    while feed.poll_once().await.is_err() {}
    for token in [&kept, &lost, &new] {
        assert_eq!(refuses(token), Some(Cause::Token));
    }
    assert_eq!(refuses(&later), Some(Cause::UserBlocked));
    let next = elsewhere.unblock_user(&eve, T0).await.unwrap();
    assert!(next[0].sequence > lost_entry.sequence, "{next:?} {lost_entry:?}");
    feed.poll_once().await.unwrap();
    assert_eq!(refuses(&later), None);
}

/// The connection breaks when the store has said that there is something to read.
#[tokio::test]
async fn a_log_that_has_lost_entries_is_told_by_whatever_is_read() {
    let database = store::tests::server::Server::shared().database();
    let settings = Settings::Postgres(store::tests::of(&database));
    let (store, elsewhere) = (Store::open(&settings).unwrap(), Store::open(&settings).unwrap());
    let (metrics, clock) = (Metrics::new(Vec::new()), Clock::manual(T0));
    let list = RevocationList::new(metrics.clone());
    let mut feed = Feed::catch_up(store, list.clone(), metrics, clock.clone()).await.unwrap();
    let (first, second, third) = (token(&ada()), token(&ada()), token(&ada()));
    let kept = elsewhere.revoke_token(first.token, T0).await.unwrap()[0].sequence;
    elsewhere.raise_log(kept + 3_600_000).await.unwrap();
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    feed.poll_once().await.unwrap();
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    let marker = feed.store.change_marker().await.unwrap();
    assert_eq!(marker.way, feed.way);

    fail_over(&database, kept);
    elsewhere.revoke_token(second.token, T0).await.unwrap();
    // Behind the last entry that was read, as the new server counts.
    elsewhere.raise_log(kept + 7_200_000).await.unwrap();
    elsewhere.revoke_token(third.token, T0).await.unwrap();
    while feed.read_up_to(marker).await.is_err() {}
    for token in [&first, &second, &third] {
        assert_eq!(list.refuses(token, clock.now()), Some(Cause::Token));
    }
}

/// The feed had not come by yet.
#[tokio::test]
async fn a_log_that_has_lost_what_this_gateway_wrote_goes_on_above_it() {
    let database = store::tests::server::Server::shared().database();
    let store = Store::open(&Settings::Postgres(store::tests::of(&database))).unwrap();
    let (metrics, clock) = (Metrics::new(Vec::new()), Clock::manual(T0));
    let list = RevocationList::new(metrics.clone());
    let mut feed = Feed::catch_up(store.clone(), list.clone(), metrics, clock).await.unwrap();
    let kept = store.revoke_token(TokenId::random(), T0).await.unwrap()[0].sequence;
    feed.poll_once().await.unwrap();
    let own = store.end_sessions_of(&ada(), T0, T0).await.unwrap().remove(0);
    list.apply(&own);
    fail_over(&database, kept);
    while feed.poll_once().await.is_err() || feed.below {}
    assert!(store.log_head().await.unwrap() >= own.sequence);
}

/// As if another server had taken over, which has heard of nothing behind entry `kept`.
fn fail_over(database: &store::tests::server::Database<'_>, kept: u64) {
    database.sql(&format!(
        "DELETE FROM portcullis.revocations WHERE sequence > {kept};
         SELECT setval('portcullis.revocation_numbers', {kept});
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'portcullis'"
    ));
}

#[tokio::test]
async fn it_measures_how_long_the_revocations_of_others_took() {
    let bench = Bench::new();
    let elsewhere = open(&bench.folder);
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    let mut feed = bench.feed().await;
    let measured = || bench.metrics.revocation_delay.counts().sum::<u64>();
    assert_eq!(measured(), 0, "what was there before it began took as long as it was away");
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    feed.poll_once().await.unwrap();
    assert_eq!(measured(), 1);
    for revoked in [
        bench.store.revoke_token(TokenId::random(), T0).await.unwrap(),
        bench.store.block_user(&ada(), T0, T0).await.unwrap(),
    ] {
        revoked.iter().for_each(|revocation| bench.list.apply(revocation));
    }
    feed.poll_once().await.unwrap();
    assert_eq!(measured(), 1, "its own are in force at once");
    assert!(bench.metrics.revocation_delay.sum() < 60.0);
}
