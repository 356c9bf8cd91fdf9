//! Users, as they are made, found and changed. Of their passwords there are hashes, in [`NewUser`] and [`Account`]
//! alone, and neither prints one.

use std::{collections::BTreeMap, fmt};

use super::Revocation;
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
};

/// A user as the store knows them, without the password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Never given to anybody else, not even after deletion.
    pub id: UserId,
    /// As it was registered or imported.
    pub username: String,
    /// As it was registered or imported.
    pub email: Option<String>,
    /// What rules may ask for.
    pub roles: Vec<String>,
    /// Whatever else claims may carry.
    pub attributes: BTreeMap<String, String>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether every token of the user is refused for as long as this lasts.
    pub disabled: bool,
}

/// A user and what is needed to check their password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose account it is.
    pub user: User,
    /// In whatever format it was stored.
    pub password_hash: String,
}

impl fmt::Debug for Account {
    /// Without the hash: it must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A user name or an e-mail address, and the form that it is compared in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As it was given.
    pub exact: String,
    /// As it is compared: two names of one canonical form are one name.
    pub canonical: String,
}

/// A user to be created.
#[derive(Clone)]
pub struct NewUser {
    /// Unique among user names and e-mail addresses.
    pub username: Name,
    /// Unique among user names and e-mail addresses, but may equal its own user's name.
    pub email: Option<Name>,
    /// Of the password, in a format that the password room reads.
    pub password_hash: String,
    /// What rules may ask for.
    pub roles: Vec<String>,
    /// Whatever else claims may carry.
    pub attributes: BTreeMap<String, String>,
    /// Whether a deleted user's names may be used again.
    pub restore: bool,
    /// Ids are counted, and a store that was restored from a backup counts some of them again: until when tokens may live
    /// of whoever had the new user's id before. They are revoked; `None` where nobody can have had it.
    pub former_until: Option<Timestamp>,
}

/// A user just created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Who it is.
    pub user: User,
    /// The first session, where one was asked for.
    pub session: Option<SessionId>,
    /// What to apply to memory.
    pub revoked: Vec<Revocation>,
}

impl fmt::Debug for NewUser {
    /// Without the hash: it must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("username", &self.username)
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// What to change of a user; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    /// `Some(None)` takes the address away.
    pub email: Option<Option<Name>>,
    /// Replaces all roles.
    pub roles: Option<Vec<String>>,
    /// By name; `None` takes the attribute away.
    pub attributes: BTreeMap<String, Option<String>>,
}
