//! Opening the file: made where it is missing, refused where it is not ours, damaged, altered or too new.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::store::OpenError;

/// The connection that writes, on a file that has been checked and brought up to date.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    create_missing(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let mut db = connect(path).map_err(|error| sqlite_error(path, &error))?;
    check_writable(path, &db)?;
    check_pages(path, &db)?;
    let found = check_owner(path, &db)?;
    set_durability(path, &db)?;
    migrate(&mut db, found).map_err(|error| sqlite_error(path, &error))?;
    check_schema(path, &db)?;
    Ok(db)
}

/// A connection that only reads. After [`writer`] has checked the file.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let db = connect(path)?;
        // Not opened read-only: that connection could not recover the write-ahead log when it is the first.
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    };
    open().map_err(|error| sqlite_error(path, &error))
}

/// What [`writer`] would say to the file, which stays as it is, as do those beside it. A missing one is fine.
///
/// Not in a process that has the file open: see [`create_missing`].
pub(super) fn probe(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
        Ok(metadata) if metadata.is_dir() => {
            return Err(OpenError::Io { path: path.to_owned(), source: io::ErrorKind::IsADirectory.into() });
        }
        Ok(_) => {}
    }
    if !beside(path, "-wal").exists() {
        match probe_whole(path, ALONE) {
            // A gateway that has just started may have been writing under our eyes.
            Err(_) if beside(path, "-wal").exists() => {}
            verdict => return verdict,
        }
    }
    match beside(path, "-shm").exists() {
        true => probe_whole(path, SHARED),
        // The log cannot be read without making its index; what it holds may be missing from the pages.
        false => probe_owner(path, ALONE).map(drop),
    }
}

fn probe_whole(path: &Path, how: &str) -> Result<(), OpenError> {
    let (db, found) = probe_owner(path, how)?;
    check_pages(path, &db)?;
    // An older schema would be brought up to date first.
    if found == KNOWN_VERSION { check_schema(path, &db) } else { Ok(()) }
}

fn probe_owner(path: &Path, how: &str) -> Result<(Connection, i64), OpenError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(uri(path, how), flags)
        .and_then(configured)
        .map_err(|error| sqlite_error(path, &error))?;
    let found = check_owner(path, &db)?;
    Ok((db, found))
}

/// <https://www.sqlite.org/uri.html>
fn uri(path: &Path, how: &str) -> PathBuf {
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(how);
    uri.into()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    configured(Connection::open_with_flags(path, flags)?)
}

fn configured(db: Connection) -> rusqlite::Result<Connection> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(db)
}

/// Never opens a file that is there already: to close it again would drop the locks that another connection of
/// this process holds on it (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
fn create_missing(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    // Password hashes lie in it: nobody else may read it, not even between creation and a later chmod.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if fs::metadata(path)?.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    }
}

/// SQLite opens for reading what it may not write, and says so only at the first write.
fn check_writable(path: &Path, db: &Connection) -> Result<(), OpenError> {
    match db.is_readonly(MAIN_DB).map_err(|error| sqlite_error(path, &error))? {
        true => Err(OpenError::Io { path: path.to_owned(), source: io::ErrorKind::PermissionDenied.into() }),
        false => Ok(()),
    }
}

/// Looks for damage, as far as that takes no time: a large file's damage is found when it is come upon, and its log is
/// read to the end before anybody is served.
fn check_pages(path: &Path, db: &Connection) -> Result<(), OpenError> {
    let size = path.metadata().map_or(0, |file| file.len());
    if size > CHECKED_SIZE {
        return Ok(());
    }
    let verdict: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| sqlite_error(path, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    // Several lines at times; the error is one sentence.
    let detail = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(OpenError::Damaged { path: path.to_owned(), detail })
}

/// The version of the schema; 0 where there is none yet.
fn check_owner(path: &Path, db: &Connection) -> Result<i64, OpenError> {
    let read = || {
        let owner: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let objects: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((owner, version, objects))
    };
    match read().map_err(|error| sqlite_error(path, &error))? {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, found, _) if found > KNOWN_VERSION => {
            Err(OpenError::TooNew { path: path.to_owned(), found, known: KNOWN_VERSION })
        }
        (APPLICATION_ID, found, _) if found > 0 => Ok(found),
        _ => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

fn set_durability(path: &Path, db: &Connection) -> Result<(), OpenError> {
    let set = || {
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        db.pragma_update(None, "synchronous", "full")?;
        Ok(mode)
    };
    match set().map_err(|error| sqlite_error(path, &error))?.as_str() {
        "wal" => Ok(()),
        _ => Err(OpenError::Unusable {
            path: path.to_owned(),
            detail: "its file system does not allow a write-ahead log".to_owned(),
        }),
    }
}

/// Applies what the file lacks, one transaction a migration.
fn migrate(db: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (version, sql) in (1..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let present: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Another process may have been faster.
        if present < version {
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn check_schema(path: &Path, db: &Connection) -> Result<(), OpenError> {
    let expected = || {
        let mut fresh = Connection::open_in_memory()?;
        migrate(&mut fresh, 0)?;
        schema(&fresh)
    };
    let (expected, present) = expected()
        .and_then(|expected| Ok((expected, schema(db)?)))
        .map_err(|error| sqlite_error(path, &error))?;
    let difference = expected
        .iter()
        .find(|object| !present.contains(object))
        .map(|object| format!("{} is missing or was changed", object.name))
        .or_else(|| {
            let unknown = present.iter().find(|object| !expected.contains(object))?;
            Some(format!("{} is not known", unknown.name))
        });
    match difference {
        None => Ok(()),
        Some(detail) => Err(OpenError::Altered { path: path.to_owned(), detail }),
    }
}

#[derive(PartialEq)]
struct Object {
    name: String,
    sql: String,
}

/// What the migrations made, or somebody else; SQLite's own tables and automatic indexes left out.
fn schema(db: &Connection) -> rusqlite::Result<Vec<Object>> {
    db.prepare(
        "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' ORDER BY 1",
    )?
    .query_map([], |row| Ok(Object { name: row.get(0)?, sql: row.get(1)? }))?
    .collect()
}

fn sqlite_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, detail },
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        _ => OpenError::Unusable { path, detail },
    }
}

/// "Prtc": marks the file as ours (<https://www.sqlite.org/fileformat.html#application_id>).
const APPLICATION_ID: i64 = 0x5072_7463;

const MIGRATIONS: [&str; 2] = [
    include_str!("migrations/0001_users_sessions_revocations.sql"),
    include_str!("migrations/0002_revoked_at.sql"),
];

const KNOWN_VERSION: i64 = MIGRATIONS.len() as i64;

/// Another process, such as the command line, may be writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Nobody has the file open: without locks, and without the files beside it that a write-ahead log needs.
const ALONE: &str = "?mode=ro&immutable=1";

/// Somebody has it open, or was killed: their write-ahead log is read, and its index left as it is.
const SHARED: &str = "?mode=ro&readonly_shm=1";

/// Bytes that are checked in some tenths of a second, from a disk that is slow.
const CHECKED_SIZE: u64 = 64 * 1024 * 1024;

/// Prepared statements kept by each connection.
const STATEMENTS: usize = 64;

#[cfg(test)]
mod tests;
