//! What every store must do. Written against [`Store`] alone, so that each kind of store can be put to it.

use std::{collections::BTreeMap, time::Duration};

use tempfile::TempDir;

use super::*;

mod adoption;
mod feed;
mod refresh;
mod refresh_model;
mod revocation;
mod sessions;
mod users;

/// A store in a folder of its own.
struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&settings(&folder)).unwrap();
        Self { folder, store }
    }

    /// The same store as another process sees it.
    fn elsewhere(&self) -> Store {
        Store::open(&settings(&self.folder)).unwrap()
    }

    async fn reopened(self) -> Self {
        let Self { folder, store } = self;
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        let store = Store::open(&settings(&folder)).unwrap();
        Self { folder, store }
    }

    async fn user(&self, username: &str) -> UserId {
        self.store.create_user(new_user(username), None, T0).await.unwrap().0.id
    }

    /// A session of `user`, whose password hash is [`HASH`], and its first refresh token.
    async fn session(&self, user: &UserId, now: Timestamp) -> (SessionId, TokenId) {
        let new = new_session(now);
        let refresh = new.refresh;
        (self.store.open_session(user, HASH, new, now).await.unwrap().session, refresh)
    }

    async fn refresh(
        &self,
        user: &UserId,
        session: SessionId,
        presented: TokenId,
        now: Timestamp,
    ) -> Result<Refreshed, RefreshError> {
        self.store.refresh(request(user, session, presented), now).await
    }

    async fn log(&self) -> Vec<Revocation> {
        self.store.log_after(0, 1000).await.unwrap()
    }
}

fn settings(folder: &TempDir) -> Settings {
    Settings { path: folder.path().join("data/portcullis.db") }
}

fn name(exact: &str) -> Name {
    Name { exact: exact.to_owned(), canonical: exact.to_lowercase() }
}

fn new_user(username: &str) -> NewUser {
    NewUser {
        username: name(username),
        email: None,
        password_hash: HASH.to_owned(),
        roles: Vec::new(),
        attributes: BTreeMap::new(),
        restore: false,
    }
}

fn new_session(now: Timestamp) -> NewSession {
    NewSession {
        refresh: TokenId::random(),
        refresh_expires_at: now.plus(REFRESH),
        access_expires_at: now.plus(ACCESS),
        ends_at: now.plus(SESSION),
        address: None,
        agent: String::new(),
        per_user: 100,
    }
}

fn request(user: &UserId, session: SessionId, presented: TokenId) -> RefreshRequest {
    RefreshRequest {
        session,
        user: user.clone(),
        presented,
        access_lifetime: ACCESS,
        refresh_lifetime: REFRESH,
        grace: GRACE,
    }
}

fn seconds(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HASH: &str = "$argon2id$1";
const ACCESS: Duration = Duration::from_mins(30);
const REFRESH: Duration = Duration::from_hours(7 * 24);
const SESSION: Duration = Duration::from_hours(30 * 24);
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let durability = Bench::new().store.durability().await.unwrap();
    let expected = Durability { foreign_keys: true, journal_mode: "wal".to_owned(), synchronous: 2 };
    assert_eq!(durability, expected);
}

#[tokio::test]
async fn everything_outlives_the_process() {
    let bench = Bench::new();
    let (session, first) = {
        let user = bench.user("ada").await;
        bench.session(&user, T0).await
    };
    let user = bench.store.users(None, 10).await.unwrap().remove(0);
    let handed = bench.refresh(&user.id, session, first, seconds(60)).await.unwrap();
    bench.store.revoke_token(first, T0).await.unwrap();

    let bench = bench.reopened().await;
    assert_eq!(bench.store.users(None, 10).await.unwrap(), std::slice::from_ref(&user));
    assert_eq!(bench.log().await.len(), 1);
    let again = bench.refresh(&user.id, session, first, seconds(69)).await.unwrap();
    assert_eq!(again, handed);
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_and_answers_nobody() {
    let bench = Bench::new();
    bench.user("ada").await;
    let handle = bench.store.clone();
    let store = bench.store;
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    let files = std::fs::read_dir(bench.folder.path().join("data")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["portcullis.db"]);
    assert!(matches!(handle.users(None, 1).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(handle.log_head().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        handle.create_user(new_user("eve"), None, T0).await,
        Err(CreateUserError::Store(StoreError::Unavailable(_)))
    ));
}
