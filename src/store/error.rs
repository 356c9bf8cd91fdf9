//! Why the store did not do what it was asked: an enum for each kind of request, in its caller's words.

use std::{io, path::PathBuf};

use super::Revocation;
use crate::id::UserId;

/// Why a store operation came to nothing. Nothing of it was kept, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What was read cannot have been written by this program.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// There is no room left on the disk; the store goes on by itself once there is.
    #[error("the disk of the store is full")]
    Full,
    /// Too many operations wait already.
    #[error("too many operations wait for the store")]
    Overloaded,
    /// The store cannot be reached, or has been closed. Whether the operation was kept is not known.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

/// Why the store cannot be opened: one sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Tables or indexes are not those that this program makes.
    #[error("the database {} has an altered schema: {detail}", path.display())]
    Altered {
        /// The database file.
        path: PathBuf,
        /// What differs.
        detail: String,
    },
    /// SQLite cannot make sense of the file.
    #[error("the database {} is damaged: {detail}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// SQLite's own words.
        detail: String,
    },
    /// A SQLite database that another program made.
    #[error("the database {} belongs to another program", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the database {} cannot be opened: {source}", path.display())]
    Io {
        /// The database file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else than a SQLite database, or one whose first bytes are damaged.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL database cannot be reached, or not be used.
    #[error("the database {database} {fault}")]
    Postgres {
        /// Its name, and where it was looked for.
        database: String,
        /// What is wrong with it.
        fault: PostgresFault,
    },
    /// A later version of this program has written the file.
    #[error(
        "the database {} has schema version {found}, and this program knows versions up to {known}",
        path.display()
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// SQLite refused for a reason that lies outside the file: locks, memory, the file system.
    #[error("the database {} cannot be used: {detail}", path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// SQLite's own words.
        detail: String,
    },
}

/// What is wrong with a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresFault {
    /// Tables or indexes are not those that this program makes.
    #[error("has an altered schema: {0}")]
    Altered(String),
    /// The schema that would be ours has something else in it.
    #[error("has a schema `portcullis` that belongs to another program")]
    Foreign,
    /// A later version of this program has made the schema.
    #[error("has schema version {found}, and this program knows versions up to {known}")]
    TooNew {
        /// The version of the schema.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// It cannot be reached, or refuses.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// Why a user was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateUserError {
    /// The e-mail address is canonically another user's name or address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The user name is canonically another user's name or address.
    #[error("the user name is taken")]
    NameTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a user was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateUserError {
    /// The e-mail address is canonically another user's name or address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such user, or no longer.
    #[error("there is no such user")]
    UnknownUser,
}

/// Why no session was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenSessionError {
    /// What the caller has verified is no longer so: the user is gone or disabled, the password or its hash is
    /// another, the token has been revoked. Read the account again and verify anew.
    #[error("the account has changed meanwhile")]
    AccountChanged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangePasswordError {
    /// What the caller has verified is no longer so: the user is gone or disabled, or the hash is another.
    #[error("the account has changed meanwhile")]
    AccountChanged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a refresh was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The user is disabled or deleted.
    #[error("the account is blocked")]
    AccountBlocked,
    /// The session is past its absolute end.
    #[error("the session has ended")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only a thief, or a victim behind one, can have presented this token. The session has ended, durably.
    #[error("a token was presented that the session had left behind")]
    Theft {
        /// Whose session it was.
        user: UserId,
        /// What to apply to memory.
        revoked: Vec<Revocation>,
    },
    /// The store knows no such session of that user.
    #[error("there is no such session")]
    UnknownSession,
}
