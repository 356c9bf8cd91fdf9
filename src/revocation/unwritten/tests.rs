use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::{
    id::{SessionId, TokenId},
    store::{Adoption, Name, NewSession, NewUser, Settings},
};

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Bench {
    folder: TempDir,
    store: Store,
    list: RevocationList,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        Self { folder, store, list: RevocationList::new(Metrics::new(Vec::new())) }
    }

    async fn user(&self) -> UserId {
        let new = NewUser {
            username: Name { exact: "ada".to_owned(), canonical: "ada".to_owned() },
            email: None,
            password_hash: "hash".to_owned(),
            roles: Vec::new(),
            attributes: BTreeMap::new(),
            restore: false,
            former_until: None,
        };
        self.store.create_user(new, None, T0).await.unwrap().user.id
    }

    async fn login(&self, user: &UserId, now: Timestamp) -> SessionId {
        self.store.open_session(user, "hash", self.new_session(), now).await.unwrap().session
    }

    fn new_session(&self) -> NewSession {
        let expiry = T0.plus(Duration::from_hours(1));
        NewSession {
            refresh: TokenId::random(),
            refresh_expires_at: expiry,
            access_expires_at: expiry,
            ends_at: expiry,
            address: None,
            agent: String::new(),
            per_user: 10,
        }
    }

    /// Writes until nothing waits.
    async fn write(&self, store: &Store, now: Timestamp) {
        let writing = write_missed(store.clone(), self.list.clone(), Metrics::default(), Clock::manual(now));
        let written = async {
            while self.list.unwritten_len() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = writing => {}
            () = written => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing is written"),
        }
    }

    async fn log(&self) -> Vec<Revoked> {
        let log = self.store.log_after(0, 100).await.unwrap().entries;
        log.into_iter().map(|entry| entry.revocation.what).collect()
    }
}

fn open(folder: &TempDir) -> Store {
    Store::open(&Settings::Sqlite { path: folder.path().join("portcullis.db") }).unwrap()
}

fn after(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

#[tokio::test]
async fn what_the_store_has_missed_is_written_once_it_is_back() {
    let bench = Bench::new();
    let user = bench.user().await;
    let session = bench.login(&user, T0).await;
    let token = TokenId::random();
    let until = after(3600);
    let instant = Revoked::UserInstant { user: user.clone(), at: after(1) };
    bench.list.apply_unwritten(&Revoked::Session(session), until, &user);
    bench.list.apply_unwritten(&Revoked::Token(token), until, &user);
    bench.list.apply_unwritten(&instant, until, &user);
    bench.list.apply_unwritten(&Revoked::UserUnblocked(user.clone()), until, &user);
    assert_eq!(bench.list.unwritten_len(), 3);

    let away = open(&bench.folder);
    let closed = away.clone();
    tokio::task::spawn_blocking(move || closed.close()).await.unwrap();
    let metrics = Metrics::default();
    let trying = write_missed(away, bench.list.clone(), metrics.clone(), Clock::manual(T0));
    assert!(tokio::time::timeout(Duration::from_millis(50), trying).await.is_err());
    assert_eq!(bench.list.unwritten_len(), 3, "nothing is lost by trying");
    assert_eq!(metrics.store_failures.value(), 1, "one attempt a round");

    bench.write(&bench.store, T0).await;
    let log = bench.log().await;
    assert_eq!(log.len(), 3);
    for what in [Revoked::Session(session), Revoked::Token(token), instant] {
        assert!(log.contains(&what), "{what:?}: {log:?}");
    }
}

/// The commit whose answer was lost.
#[tokio::test]
async fn what_was_kept_after_all_is_not_written_again() {
    let bench = Bench::new();
    let user = bench.user().await;
    let session = bench.login(&user, T0).await;
    let until = after(3600);
    bench.store.end_session(session, Some(until)).await.unwrap();
    bench.list.apply_unwritten(&Revoked::Session(session), until, &user);
    bench.write(&bench.store, T0).await;
    assert_eq!(bench.log().await, [Revoked::Session(session)]);
}

#[tokio::test]
async fn an_instant_that_comes_late_ends_nothing_that_began_after_it() {
    let bench = Bench::new();
    let user = bench.user().await;
    let old = bench.login(&user, T0).await;
    bench.list.apply_unwritten(
        &Revoked::UserInstant { user: user.clone(), at: after(10) },
        after(3600),
        &user,
    );
    // At another gateway, which could reach the store.
    let new = bench.login(&user, after(60)).await;
    bench.write(&bench.store, after(120)).await;
    assert_eq!(bench.log().await, [Revoked::Session(old)]);
    let sessions = bench.store.sessions_of(&user, after(120), 10).await.unwrap();
    assert_eq!(sessions.into_iter().map(|session| session.id).collect::<Vec<_>>(), [new]);
}

/// A backend's refresh token from before the instant, first used at another gateway after it.
#[tokio::test]
async fn an_instant_that_comes_late_ends_what_descends_from_an_older_login() {
    let bench = Bench::new();
    let user = bench.user().await;
    bench.list.apply_unwritten(
        &Revoked::UserInstant { user: user.clone(), at: after(10) },
        after(3600),
        &user,
    );
    let new = bench.login(&user, after(60)).await;
    let session = bench.new_session();
    let adoption = Adoption { user: user.clone(), issued_at: Some(T0), login_at: T0, session };
    let adopted = bench.store.adopt_session(adoption, after(61)).await.unwrap().session;
    bench.write(&bench.store, after(120)).await;
    assert_eq!(bench.log().await, [Revoked::Session(adopted)]);
    let sessions = bench.store.sessions_of(&user, after(120), 10).await.unwrap();
    assert_eq!(sessions.into_iter().map(|session| session.id).collect::<Vec<_>>(), [new]);
}

#[test]
fn what_waits_is_bounded() {
    let metrics = Metrics::new(Vec::new());
    let list = RevocationList::new(metrics.clone());
    for n in 0..=CAPACITY {
        let user = (n / OF_ONE_USER).to_string().parse().unwrap();
        list.apply_unwritten(&Revoked::Token(TokenId::random()), T0, &user);
    }
    assert_eq!((list.unwritten_len(), metrics.revocations_forgotten.value()), (CAPACITY, 1));
    assert_eq!(list.len(), CAPACITY + 1, "it is refused all the same");
}

/// A backend makes as many tokens for one account as it is asked for.
#[test]
fn one_user_has_a_share_of_what_waits() {
    let metrics = Metrics::new(Vec::new());
    let list = RevocationList::new(metrics.clone());
    let [eve, ada]: [UserId; 2] = ["eve", "ada"].map(|name| name.parse().unwrap());
    for _ in 0..OF_ONE_USER + 3 {
        list.apply_unwritten(&Revoked::Token(TokenId::random()), T0, &eve);
    }
    assert_eq!((list.unwritten_len(), metrics.revocations_forgotten.value()), (OF_ONE_USER, 3));
    assert_eq!(list.len(), OF_ONE_USER + 3, "they are refused all the same");
    list.apply_unwritten(&Revoked::Token(TokenId::random()), T0, &ada);
    assert_eq!(list.unwritten_len(), OF_ONE_USER + 1);
    // What has been written makes room.
    list.unwritten().written(&list.unwritten().first().unwrap());
    list.apply_unwritten(&Revoked::Token(TokenId::random()), T0, &eve);
    list.apply_unwritten(&Revoked::Token(TokenId::random()), T0, &eve);
    assert_eq!((list.unwritten_len(), metrics.revocations_forgotten.value()), (OF_ONE_USER + 1, 4));
    while let Some(first) = list.unwritten().first() {
        list.unwritten().written(&first);
    }
    assert!(list.unwritten().queue().of_user.is_empty(), "a user of whom nothing waits is forgotten");
}

#[test]
fn what_is_asked_for_again_takes_no_more_room() {
    let list = RevocationList::new(Metrics::default());
    let user: UserId = "7".parse().unwrap();
    let (token, session) = (TokenId::random(), SessionId::opened_at(1));
    for n in 0..100 {
        let later = T0.plus(Duration::from_secs(n));
        list.apply_unwritten(&Revoked::Token(token), later, &user);
        list.apply_unwritten(&Revoked::Session(session), later, &user);
        list.apply_unwritten(&Revoked::UserInstant { user: user.clone(), at: later }, later, &user);
    }
    assert_eq!(list.unwritten_len(), 3);
    // What has grown since it was read is written once more.
    let first = list.unwritten().first().unwrap();
    assert_eq!(first.until, T0.plus(Duration::from_secs(99)));
    list.apply_unwritten(&Revoked::Token(token), T0.plus(Duration::from_secs(100)), &user);
    list.unwritten().written(&first);
    assert_eq!(list.unwritten_len(), 3);
    list.unwritten().written(&list.unwritten().first().unwrap());
    assert_eq!(list.unwritten_len(), 2);
}
