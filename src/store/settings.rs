//! Where things are kept, and how that is reached, as configured.

use std::{fmt, path::PathBuf, sync::Arc};

use rustls::RootCertStore;

use crate::secret::Secret;

/// Where users, sessions and the revocation log are kept.
#[derive(Clone, Debug)]
pub enum Settings {
    /// A database that several gateways share.
    Postgres(PostgresSettings),
    /// One file on this machine.
    Sqlite {
        /// The database file; it and its folder are made where they are missing.
        path: PathBuf,
    },
}

/// A PostgreSQL database, and how it is reached.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// Tried in this order; the first that takes writes is used.
    pub servers: Vec<DatabaseServer>,
    /// The role.
    pub user: String,
    /// Where the role has to prove itself.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// Whether the way there is encrypted.
    pub tls: DatabaseTls,
    /// By whose clock it is decided what is recent.
    pub judge: Judge,
}

/// One server of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseServer {
    /// A Unix socket: the folder that holds it, and the port that names it.
    Socket(PathBuf, u16),
    /// A host's name or address, and its port.
    Tcp(String, u16),
}

/// Whether the way to a database is encrypted, and whom it must lead to. The names are libpq's `sslmode`.
#[derive(Clone, Debug)]
pub enum DatabaseTls {
    /// `disable`: everything in clear.
    Disable,
    /// `prefer`: encrypted where the server offers it.
    Prefer,
    /// `require`: encrypted, whoever answers.
    Require,
    /// `verify-full`: encrypted, with a certificate for the host's name that one of these has issued.
    VerifyFull(Arc<RootCertStore>),
}

/// By whose clock it is decided what is recent: several gateways, and a database, are seconds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The caller's: for tests that move time.
    Caller,
    /// The database's.
    Database,
}

impl DatabaseServer {
    /// Whether what is sent there never leaves this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(..) => true,
            Self::Tcp(host, _) => {
                host == "localhost"
                    || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for DatabaseServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(folder, port) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}
