use tempfile::TempDir;

use crate::store::{self, Settings};

/// What the gateways share.
pub(super) enum Place {
    Database(store::tests::server::Database<'static>),
    File(TempDir),
}

impl Place {
    /// A PostgreSQL database of its own.
    pub(super) fn database() -> Self {
        Self::Database(store::tests::server::Server::shared().database())
    }

    /// A SQLite file.
    pub(super) fn file() -> Self {
        Self::File(TempDir::new().unwrap())
    }

    pub(super) fn settings(&self) -> Settings {
        match self {
            Self::Database(database) => Settings::Postgres(store::tests::of(database)),
            Self::File(folder) => Settings::Sqlite { path: folder.path().join("portcullis.db") },
        }
    }
}
