//! What SQLite's failures mean to a caller.

use rusqlite::{ErrorCode, ffi};

use crate::store::{
    ChangePasswordError, CreateUserError, OpenSessionError, RefreshError, StoreError, UpdateUserError,
};

/// An operation's error, which may be the store's own.
pub(super) trait Failure: From<StoreError> + Send + 'static {
    /// The store's error behind this one; `None` where the operation was refused on its merits.
    fn store(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

macro_rules! failures {
    ($($error:ident),*) => {$(
        impl Failure for $error {
            fn store(&self) -> Option<&StoreError> {
                match self {
                    Self::Store(error) => Some(error),
                    _ => None,
                }
            }
        }

        impl From<rusqlite::Error> for $error {
            fn from(error: rusqlite::Error) -> Self {
                Self::Store(error.into())
            }
        }
    )*};
}

failures!(ChangePasswordError, CreateUserError, OpenSessionError, RefreshError, UpdateUserError);

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(code, _) | E::SqlInputError { error: code, .. } => match code.code {
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::SystemIoFailure if OUT_OF_ROOM.contains(&code.extended_code) => Self::Full,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            },
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::QueryReturnedNoRows
            | E::Utf8Error(..) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// SQLite calls only ENOSPC "full"; a quota or a limit on file sizes shows as a failed write, or as a failure to
/// make the shared-memory file larger.
const OUT_OF_ROOM: [i32; 2] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE];

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(extended_code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None).into()
    }

    #[test]
    fn want_of_room_is_not_damage() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(meaning(code), StoreError::Full, "{code}");
        }
        assert!(matches!(meaning(ffi::SQLITE_IOERR_READ), StoreError::Unavailable(_)));
        assert!(matches!(meaning(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
        assert!(matches!(meaning(ffi::SQLITE_CORRUPT), StoreError::Corrupt(_)));
    }
}
