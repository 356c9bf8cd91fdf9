//! Users, sessions and the revocation log, on disk: in a file of this machine, or in a database that gateways share.
//!
//! Whatever an operation answers has been committed, and forced to the disk, before it is answered. Operations
//! that revoke return the log's new entries; the caller applies them to memory before it answers anybody.
//! Never here: passwords (`password`), the bytes of tokens (`token`), the canonical form of a name (`auth`), the
//! wall clock.

mod error;
mod former;
mod log;
mod outage;
mod postgres;
#[cfg(test)]
mod refresh_model;
mod refresh_rule;
mod refresh_step;
mod session;
mod settings;
mod sqlite;
mod user;

pub use error::{
    ChangePasswordError, CreateUserError, OpenError, OpenSessionError, PostgresFault, RefreshError,
    StoreError, UpdateUserError,
};
pub use log::{Logged, Marker, Page, Revocation, Revoked};
pub use outage::Outage;
pub use postgres::Postgres;
pub use session::{Adoption, IssuedToken, NewSession, Opened, RefreshRequest, Refreshed, Replaced, Session};
pub use settings::{DatabaseServer, DatabaseTls, Judge, PostgresSettings, Settings};
pub use sqlite::Sqlite;
pub use user::{Account, Created, Name, NewUser, User, UserChanges};

use std::fmt;

use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// Where everything durable lies. A cheap handle; clones share it, and it is closed behind the last of them.
///
/// An operation whose future is dropped is done all the same.
#[derive(Clone, Debug)]
pub enum Store {
    /// A database that several gateways share.
    Postgres(Postgres),
    /// One file on this machine.
    Sqlite(Sqlite),
}

/// The same on whichever store it is.
macro_rules! on {
    ($store:expr, $db:ident => $does:expr) => {
        match $store {
            Store::Postgres($db) => $does,
            Store::Sqlite($db) => $does,
        }
    };
}

impl Store {
    /// Opens the store, making it where it is missing, and checks it. Blocks: not for async threads.
    ///
    /// # Errors
    /// See [`OpenError`]. What is not ours, damaged or too new is left as it is.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        match settings {
            Settings::Postgres(settings) => Postgres::open(settings).map(Self::Postgres),
            Settings::Sqlite { path } => Sqlite::open(path).map(Self::Sqlite),
        }
    }

    /// Checks the store as [`Self::open`] would, where there is one already, and neither makes nor changes anything.
    /// Blocks: not for async threads; nor for a process that has the store open, whose locks would be lost.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn probe(settings: &Settings) -> Result<(), OpenError> {
        match settings {
            Settings::Postgres(settings) => Postgres::probe(settings),
            Settings::Sqlite { path } => Sqlite::probe(path),
        }
    }

    /// Does what waits already, and closes. Calls on other handles fail from then on. Blocks: not for async
    /// threads. A store whose handles are merely dropped closes too, but nobody learns when.
    pub fn close(self) {
        on!(self, db => db.close())
    }

    /// How durable a commit is: for a test to assert.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        on!(self, db => db.durability().await)
    }

    /// Creates a user and, where one is given, their first session.
    ///
    /// # Errors
    /// [`CreateUserError::NameTaken`] and [`CreateUserError::EmailTaken`] where a name or an address of another
    /// user, deleted ones included, has the same canonical form.
    pub async fn create_user(
        &self,
        new: NewUser,
        session: Option<NewSession>,
        now: Timestamp,
    ) -> Result<Created, CreateUserError> {
        on!(self, db => db.create_user(new, session, now).await)
    }

    /// The account of a user who has not been deleted.
    pub async fn account(&self, id: &UserId) -> Result<Option<Account>, StoreError> {
        on!(self, db => db.account(id).await)
    }

    /// The account that `name` means, among user names and e-mail addresses as allowed: first exactly, a user name
    /// before an address, then canonically. A name that means two users means none.
    pub async fn account_by_name(
        &self,
        name: &Name,
        usernames: bool,
        emails: bool,
    ) -> Result<Option<Account>, StoreError> {
        on!(self, db => db.account_by_name(name, usernames, emails).await)
    }

    /// A user who has not been deleted.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(self.account(id).await?.map(|account| account.user))
    }

    /// At most `limit` users behind `after`, in the order in which they were created.
    pub async fn users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        on!(self, db => db.users(after, limit).await)
    }

    /// Changes a user's address, roles and attributes.
    ///
    /// # Errors
    /// [`UpdateUserError::EmailTaken`] as in [`Self::create_user`]; [`UpdateUserError::UnknownUser`] also for
    /// deleted ones.
    pub async fn update_user(&self, id: &UserId, changes: UserChanges) -> Result<User, UpdateUserError> {
        on!(self, db => db.update_user(id, changes).await)
    }

    /// Replaces the hash of a password by another of the same password. `false` where it was no longer `old_hash`.
    ///
    /// A login that verified the old hash at the same time finds [`OpenSessionError::AccountChanged`] and must
    /// read and verify again.
    pub async fn rehash(&self, id: &UserId, old_hash: &str, new_hash: &str) -> Result<bool, StoreError> {
        on!(self, db => db.rehash(id, old_hash, new_hash).await)
    }

    /// Opens a session for a user whose password has been verified against `expected_hash`.
    ///
    /// # Errors
    /// [`OpenSessionError::AccountChanged`] where the user is gone or disabled by now, or the hash is another.
    pub async fn open_session(
        &self,
        user: &UserId,
        expected_hash: &str,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        on!(self, db => db.open_session(user, expected_hash, new, now).await)
    }

    /// The session that a refresh token without `sid` has opened; opens it at the first call. A refresh with that
    /// session must follow, which finds out whether it has ended since.
    ///
    /// # Errors
    /// [`OpenSessionError::AccountChanged`] where the user is unknown, gone or disabled, the token has been
    /// revoked, or another user's token of that name has opened a session.
    pub async fn adopt_session(
        &self,
        adoption: Adoption,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        on!(self, db => db.adopt_session(adoption, now).await)
    }

    /// The session that a refresh token of `user` without `sid` has opened, dead or alive; `None` before its first
    /// use.
    pub async fn adopted_session(
        &self,
        token: TokenId,
        user: &UserId,
    ) -> Result<Option<SessionId>, StoreError> {
        on!(self, db => db.adopted_session(token, user).await)
    }

    /// At most `limit` living sessions of a user, the last refreshed first.
    pub async fn sessions_of(
        &self,
        user: &UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        on!(self, db => db.sessions_of(user, now, limit).await)
    }

    /// At most `limit` living sessions of all users behind `after`, in the order of their ids, which is nearly that in
    /// which they were opened; each with whose it is.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, Session)>, StoreError> {
        on!(self, db => db.sessions(after, now, limit).await)
    }

    /// Takes a refresh token's successor out of its session, in one atomic step. The caller has checked the token
    /// itself, its expiry included.
    ///
    /// # Errors
    /// See [`RefreshError`]. A theft has ended the session, durably, when it is answered.
    pub async fn refresh(&self, request: RefreshRequest, now: Timestamp) -> Result<Refreshed, RefreshError> {
        on!(self, db => db.refresh(request, now).await)
    }

    /// Ends a session: every token of it is dead. One that has ended already is left as it is, and its entry returned
    /// where `until_floor` is given: the caller need not have heard of it yet.
    ///
    /// A session that the store does not know is revoked until `until_floor`, where that is given: an authentic
    /// token of it has been shown, and must be dead. Without it nothing happens and nothing is returned.
    pub async fn end_session(
        &self,
        session: SessionId,
        until_floor: Option<Timestamp>,
    ) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.end_session(session, until_floor).await)
    }

    /// Ends every session of a user and kills whatever else was issued to them before `now`. The user need not be
    /// one of ours. `until_floor` is the latest expiry that a token without session can have, leeway included.
    pub async fn end_sessions_of(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.end_sessions_of(user, until_floor, now).await)
    }

    /// Kills one token, which expires at `expires_at`; where it has opened a session, that ends too.
    pub async fn revoke_token(
        &self,
        token: TokenId,
        expires_at: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.revoke_token(token, expires_at).await)
    }

    /// Sets a password's hash, ends every session of the user as [`Self::end_sessions_of`] does, and then opens
    /// `session`. Without `expected_old_hash` it is an operator's doing, and a disabled user may have it too.
    ///
    /// # Errors
    /// [`ChangePasswordError::AccountChanged`] where the user is gone, or disabled and not an operator's case, or
    /// the hash is no longer `expected_old_hash`.
    pub async fn change_password(
        &self,
        user: &UserId,
        expected_old_hash: Option<&str>,
        new_hash: &str,
        session: Option<NewSession>,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<(Option<SessionId>, Vec<Revocation>), ChangePasswordError> {
        on!(self, db => db.change_password(user, expected_old_hash, new_hash, session, until_floor, now).await)
    }

    /// Disables a user: every token is refused until [`Self::unblock_user`], and those of today for good. The user
    /// need not be one of ours.
    pub async fn block_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.block_user(user, until_floor, now).await)
    }

    /// Enables a user again. Deleted ones stay blocked, and nothing is returned.
    pub async fn unblock_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.unblock_user(user, now).await)
    }

    /// Deletes a user and blocks them for ever. Their names stay taken. Nothing is returned where there is no such
    /// user.
    pub async fn delete_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        on!(self, db => db.delete_user(user, until_floor, now).await)
    }

    /// At most `limit` entries of the revocation log behind `sequence`.
    pub async fn log_after(&self, sequence: u64, limit: u32) -> Result<Page, StoreError> {
        on!(self, db => db.log_after(sequence, limit).await)
    }

    /// At most `limit` entries of the revocation log that say anything of a token: of itself, its session, its user. In
    /// no order, and by indexes: what it costs does not grow with the log.
    pub async fn log_about(
        &self,
        token: TokenId,
        session: Option<SessionId>,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        on!(self, db => db.log_about(token, session, user, limit).await)
    }

    /// The number of the log's last entry, swept or not; 0 before the first.
    pub async fn log_head(&self) -> Result<u64, StoreError> {
        on!(self, db => db.log_head().await)
    }

    /// What is another whenever anything was appended to the log, by this process or not, since it was last asked for;
    /// at times without need.
    pub async fn change_marker(&self) -> Result<Marker, StoreError> {
        on!(self, db => db.change_marker().await)
    }

    /// Returns when something was probably appended, where the store tells by itself; never, where it does not. Only a
    /// hint: several may be one, and none may come.
    pub async fn hint(&self) {
        match self {
            Self::Postgres(db) => db.hint().await,
            Self::Sqlite(_) => std::future::pending().await,
        }
    }

    /// Sees to it that the next entry has a number above `sequence`, in a log that has lost entries up to there: who
    /// has seen those must hear of it, and new sessions must be younger than what they know.
    pub async fn raise_log(&self, sequence: u64) -> Result<(), StoreError> {
        match self {
            Self::Postgres(db) => db.raise_log(sequence).await,
            // Nothing takes the file away while it is open.
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Removes at most `limit` entries and sessions that no living token is concerned by, and returns how many.
    /// Fewer than `limit` means that nothing is left to remove.
    pub async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        on!(self, db => db.sweep(now, limit).await)
    }
}

/// As logs name it, without a secret.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        on!(self, db => db.fmt(f))
    }
}

/// What a connection that writes was told about durability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Of a PostgreSQL session.
    Postgres {
        /// `on`: every commit waits until it is on the disk.
        synchronous_commit: String,
        /// The server's own: whether it believes its disk to keep anything.
        fsync: bool,
    },
    /// Of a SQLite connection.
    Sqlite {
        /// Whether rows that point nowhere are refused.
        foreign_keys: bool,
        /// `wal`.
        journal_mode: String,
        /// 2: every commit waits until it is on the disk.
        synchronous: u32,
    },
}

#[cfg(test)]
pub(crate) mod tests;
