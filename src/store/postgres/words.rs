//! What an operator is told of a failure: the server's own words, or those of what lies on the way to it, and where they
//! are of the configuration's making, the key to change.
//!
//! Never here: what a failure means to an operation (`failure`), a password.

use std::{error::Error as _, io};

use rustls::CertificateError;
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

/// One line.
pub(super) fn described(error: &Error) -> String {
    let text = match error.as_db_error() {
        Some(said) => of_server(said),
        None => of_way(error).unwrap_or_else(|| with_causes(error)),
    };
    // Others have written parts of it.
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn of_server(error: &DbError) -> String {
    let said = error.message();
    let hint = match *error.code() {
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "see the user and `sslmode` in `store.url`, and the server's pg_hba.conf"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => of_privilege(said),
        SqlState::INVALID_CATALOG_NAME => "make it, or name another one in `store.url`",
        SqlState::INVALID_PASSWORD => "see `store.password`, and the user in `store.url`",
        SqlState::LOCK_NOT_AVAILABLE => {
            "somebody else holds a lock in the store: try again; pg_locks and pg_stat_activity say who"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "a gateway takes up to nine: raise `max_connections` of the server, or what limits its role or database"
        }
        _ => return said.to_owned(),
    };
    format!("{said}: {hint}")
}

/// What to grant. The server says what of in words alone, which may be of another language.
fn of_privilege(said: &str) -> &'static str {
    if said.contains("for database") {
        "GRANT CONNECT, CREATE ON DATABASE … TO the user in `store.url`, or CREATE SCHEMA portcullis AUTHORIZATION that user"
    } else if said.contains("for schema") {
        "GRANT USAGE, CREATE ON SCHEMA portcullis TO the user in `store.url`"
    } else if said.contains("for table") || said.contains("for sequence") {
        "GRANT ALL ON ALL TABLES IN SCHEMA portcullis, and ALL SEQUENCES, TO the user in `store.url`"
    } else {
        "what is in the schema portcullis should belong to the user in `store.url`"
    }
}

/// What went wrong before the server could say anything, where an operator can do something about it.
fn of_way(error: &Error) -> Option<String> {
    let cause = error.source()?;
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        let inner = error.get_ref();
        return match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Some(of_tls(error)),
            None => of_system(error),
        };
    }
    // Words are all that they have.
    match cause.to_string().as_str() {
        NO_PASSWORD => {
            Some("its server asks for a password, and there is none: set `store.password`".to_owned())
        }
        NO_TLS => Some(
            "its server speaks no TLS: turn that on there, or ask for less by `sslmode` in `store.url`"
                .to_owned(),
        ),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> String {
    use CertificateError as Fault;
    let fault = match error {
        rustls::Error::InvalidCertificate(fault) => fault,
        other => return format!("TLS with its server fails: {other}: see `sslmode` in `store.url`"),
    };
    match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => {
            format!("its server's certificate is out of date: {fault}: renew it there")
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            format!("its server's certificate has another name: {fault}: see the host in `store.url`")
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            format!("its server's certificate is of the future: {fault}: see the clock of either machine")
        }
        // Most often one made by `openssl req -x509`.
        Fault::Other(other) if other.to_string().contains(ISSUER_SHOWN) => {
            "its server shows the certificate of an issuer (CA:TRUE), which none can be for a server: give it one that \
             an issuer has signed, and name that issuer's by `sslrootcert` in `store.url`"
                .to_owned()
        }
        Fault::UnknownIssuer => {
            "its server's certificate comes from an issuer that nobody here believes: name that issuer's certificate \
             by `sslrootcert` in `store.url`"
                .to_owned()
        }
        other => format!("its server's certificate is refused: {other}: see `sslrootcert` in `store.url`"),
    }
}

fn of_system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there; see host and port in `store.url`",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            "no way leads there; see host and port in `store.url`, and firewalls"
        }
        io::ErrorKind::NotFound => "there is no such socket; see host and port in `store.url`",
        _ if error.to_string() == READ_ONLY => {
            "it is a standby, or set to read only (default_transaction_read_only); name the primary, or all servers, in \
             `store.url`"
        }
        _ if error.to_string().starts_with(NO_NAME) => "a host has no address; see its name in `store.url`",
        _ => return None,
    };
    Some(format!("{error}: {hint}"))
}

/// Every cause of what happened on the way to the server.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// The words of tokio-postgres, of the standard library and of webpki for what has no type of its own; the store's tests
/// try each against a server.
const NO_PASSWORD: &str = "password missing";
const NO_TLS: &str = "server does not support TLS";
const READ_ONLY: &str = "database does not allow writes";
const NO_NAME: &str = "failed to lookup address";
const ISSUER_SHOWN: &str = "CaUsedAsEndEntity";
