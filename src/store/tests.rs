//! What every store must do. Written against [`Store`] alone: `every.rs` is put to each kind of store.

use std::{collections::BTreeMap, marker::PhantomData, time::Duration};

use super::*;

#[allow(clippy::duplicate_mod, reason = "every store is put to the same tests")]
mod postgres;
#[allow(clippy::unwrap_used, reason = "a test may fail")]
#[allow(clippy::disallowed_methods, reason = "shared with the tests of the whole gateway")]
#[path = "../../tests/it/harness/postgres.rs"]
pub(crate) mod server;
mod sqlite;

/// A PostgreSQL database as tests want it, whose time is the caller's.
pub(crate) fn of(database: &server::Database<'_>) -> PostgresSettings {
    PostgresSettings {
        servers: vec![DatabaseServer::Socket(database.server.socket().to_owned(), database.server.port())],
        user: server::ROLE.to_owned(),
        password: None,
        database: database.name.clone(),
        tls: DatabaseTls::Disable,
        judge: Judge::Caller,
    }
}

/// A kind of store.
trait Kind {
    /// What holds the data of one test.
    type Place;

    /// A new, empty one.
    fn place() -> Self::Place;

    fn settings(place: &Self::Place) -> Settings;

    /// What a backup of it would hold, nobody being connected.
    fn backup(place: &Self::Place) -> Self::Place;
}

/// A store of its own.
struct AnyBench<K: Kind> {
    place: K::Place,
    store: Store,
    kind: PhantomData<K>,
}

impl<K: Kind> AnyBench<K> {
    fn new() -> Self {
        let place = K::place();
        let store = Store::open(&K::settings(&place)).unwrap();
        Self { place, store, kind: PhantomData }
    }

    /// The same store as another process sees it.
    fn elsewhere(&self) -> Store {
        Store::open(&K::settings(&self.place)).unwrap()
    }

    async fn reopened(self) -> Self {
        self.restarted(|place| place).await
    }

    /// Closed, and opened again where `moved` says.
    async fn restarted(self, moved: impl FnOnce(K::Place) -> K::Place) -> Self {
        let Self { place, store, kind } = self;
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        let place = moved(place);
        let store = Store::open(&K::settings(&place)).unwrap();
        Self { place, store, kind }
    }

    async fn user(&self, username: &str) -> UserId {
        self.store.create_user(new_user(username), None, T0).await.unwrap().user.id
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
        self.log_after(0, 1000).await
    }

    async fn log_after(&self, sequence: u64, limit: u32) -> Vec<Revocation> {
        let page = self.store.log_after(sequence, limit).await.unwrap();
        page.entries.into_iter().map(|entry| entry.revocation).collect()
    }
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
        former_until: None,
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

/// Entries without their numbers, which the clock gives.
fn what_until(revoked: &[Revocation]) -> Vec<(Revoked, Timestamp)> {
    revoked.iter().map(|revocation| (revocation.what.clone(), revocation.until)).collect()
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
