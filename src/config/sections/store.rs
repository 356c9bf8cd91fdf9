//! `[store]`: a file, or a database and the way to it.
//!
//! Never here: the parts of a database's URL (`url`), whether a store is there and can be read (`store`).

mod url;

use std::sync::Arc;

use rustls::RootCertStore;

use self::url::{Encryption, Url};
use super::upstream::SystemRoots;
use crate::{
    config::{files, reader::Section, secret, value::Written},
    proxy,
    secret::Secret,
    store::{DatabaseServer, DatabaseTls, Judge, PostgresSettings, Settings},
};

pub(super) fn read(store: &mut Section<'_, '_, '_>) -> Settings {
    let url = store.take_if("url", Written::nowhere(DEFAULT), |url| location(&url.text).map(drop));
    let password = password(store);
    match location(&url.text) {
        Ok(Location::Postgres(url)) => {
            let tls = tls(store, &url);
            Settings::Postgres(PostgresSettings {
                servers: url.servers,
                user: url.user,
                password,
                database: url.database,
                tls,
                judge: Judge::Database,
            })
        }
        Ok(Location::Sqlite(path)) => {
            // Beside a wrong URL, which was reported and is the default from here on, nobody knows.
            let is_meant = !url.span.is_empty() || !store.has("url");
            if is_meant && store.has("password") {
                let place = store.place("password");
                let hint = "a SQLite file has no password: expected a `url` that begins with postgres://";
                store.context.fault(&place, "`store.password` has no use", hint);
            }
            Settings::Sqlite { path: store.context.folder.join(path) }
        }
        // A wrong one was reported.
        Err(_) => Settings::Sqlite { path: store.context.folder.to_owned() },
    }
}

enum Location<'u> {
    Postgres(Url),
    Sqlite(&'u str),
}

/// What `url` names, or what is wrong with it: never a part of it, which may be a password.
fn location(url: &str) -> Result<Location<'_>, String> {
    match url.split_once(':') {
        Some(("sqlite", path)) => sqlite(path).map(Location::Sqlite),
        Some(("postgres" | "postgresql", rest)) => url::parse(rest).map(Location::Postgres),
        _ => Err(format!("{EXPECTED} or {}", url::FORM)),
    }
}

fn sqlite(path: &str) -> Result<&str, String> {
    match path {
        "" => Err(format!("the path is missing; {EXPECTED}")),
        ":memory:" => Err(format!("{EXPECTED}: in memory a logout would not outlive the process")),
        _ if path.starts_with("//") => Err(format!("{EXPECTED}, without slashes behind the colon")),
        _ if path.ends_with('/') => Err(EXPECTED.to_owned()),
        _ => Ok(path),
    }
}

fn password(store: &mut Section<'_, '_, '_>) -> Option<Secret> {
    if store.has("password") {
        return secret::read(store, "password", 1);
    }
    store.optional::<String>("password").map(|never: String| never.into_bytes().into())
}

/// What the URL asks for, and where it says nothing: whatever keeps passwords and hashes from whoever listens.
fn tls(store: &mut Section<'_, '_, '_>, url: &Url) -> DatabaseTls {
    let is_local = url.servers.iter().all(DatabaseServer::is_local);
    let is_socket = url.servers.iter().any(|server| matches!(server, DatabaseServer::Socket(..)));
    let usual = match is_local && url.root.is_none() {
        true => Encryption::Prefer,
        false => Encryption::VerifyFull,
    };
    let (tls, risk) = match url.encryption.unwrap_or(usual) {
        // PostgreSQL speaks no TLS over sockets, and libpq ignores what is said of it.
        _ if is_socket => (DatabaseTls::Disable, ""),
        Encryption::Disable => (DatabaseTls::Disable, "sslmode=disable sends password hashes in clear"),
        Encryption::Prefer => {
            (DatabaseTls::Prefer, "sslmode=prefer sends password hashes in clear when asked to")
        }
        Encryption::Require => {
            (DatabaseTls::Require, "sslmode=require sends password hashes to whoever answers")
        }
        Encryption::VerifyFull => (DatabaseTls::VerifyFull(roots(store, url)), ""),
    };
    if !is_local && !risk.is_empty() {
        let place = store.place("url");
        store.context.warn(&place, risk, "better sslmode=verify-full, with sslrootcert=FILE if need be");
    }
    tls
}

fn roots(store: &mut Section<'_, '_, '_>, url: &Url) -> Arc<RootCertStore> {
    let place = store.place("url");
    let read = match &url.root {
        Some(file) => {
            let path = store.context.folder.join(file);
            let pem = files::read(&path, files::LARGEST_PEM)
                .map_err(|error| format!("`{}`: {error}; {}", path.display(), files::WHENCE));
            pem.and_then(|pem| proxy::roots(&pem).map(Arc::new).map_err(|error| error.to_string()))
        }
        None => SystemRoots::default().read("expected sslrootcert=FILE in the URL"),
    };
    read.unwrap_or_else(|hint| {
        store.context.fault(&place, "nobody is believed to be the database", hint);
        Arc::new(RootCertStore::empty())
    })
}

const DEFAULT: &str = "sqlite:data/portcullis.db";
const EXPECTED: &str = r#"expected "sqlite:PATH""#;
