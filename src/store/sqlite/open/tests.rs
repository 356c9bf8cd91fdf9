use std::{
    collections::BTreeMap,
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::PermissionsExt as _,
};

use tempfile::TempDir;

use super::*;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("deeper/portcullis.db")
}

/// A closed database with enough rows to fill several pages.
fn made(folder: &TempDir) -> PathBuf {
    let path = path(folder);
    let db = writer(&path).unwrap();
    for n in 0..500 {
        db.execute(
            "INSERT INTO users (id, password_hash, roles, attributes, created_at, disabled)
             VALUES (?1, 'hash', '[]', '{}', 0, 0)",
            [format!("user-{n}")],
        )
        .unwrap();
    }
    path
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

/// The refusal is one line that names the file; nothing else is wrong with it.
fn refusal(path: &Path) -> OpenError {
    let before = contents(path.parent().unwrap());
    let probed = probe(path).unwrap_err().to_string();
    assert_eq!(contents(path.parent().unwrap()), before, "a probe changes nothing");
    let error = writer(path).unwrap_err();
    let text = error.to_string();
    assert_eq!(probed, text);
    assert!(text.contains(path.to_str().unwrap()) && !text.contains('\n'), "{text}");
    error
}

/// Every file below, and what it holds.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// A copy of the database of a gateway that was killed while it had it open, all in its write-ahead log.
fn killed(folder: &TempDir) -> PathBuf {
    let live = path(folder);
    let _db = writer(&live).unwrap();
    let copy = folder.path().join("killed");
    fs::create_dir(&copy).unwrap();
    for (file, content) in contents(live.parent().unwrap()) {
        fs::write(copy.join(file.file_name().unwrap()), content).unwrap();
    }
    copy.join("portcullis.db")
}

#[test]
fn a_probe_leaves_the_folder_as_it_was() {
    let folder = TempDir::new().unwrap();
    assert!(probe(&path(&folder)).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let closed = made(&folder);
    let odd = folder.path().join("a?b#c%41 é.db");
    fs::copy(&closed, &odd).unwrap();
    let others = TempDir::new().unwrap();
    let killed = killed(&others);
    assert_eq!(contents(killed.parent().unwrap()).len(), 3);
    for path in [&closed, &odd, &killed] {
        let before = contents(path.parent().unwrap());
        probe(path).unwrap();
        assert_eq!(contents(path.parent().unwrap()), before, "{}", path.display());
    }
    fs::remove_file(beside(&killed, "-shm")).unwrap();
    probe(&killed).unwrap();
    assert!(!beside(&killed, "-shm").exists());
}

#[test]
fn a_probe_reads_what_lies_in_the_log_of_a_gateway_that_was_killed() {
    let folder = TempDir::new().unwrap();
    let killed = killed(&folder);
    // The log goes on with a change that is not ours.
    let db = Connection::open(&killed).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    db.execute_batch("CREATE TABLE extra (n)").unwrap();
    drop(db);
    let error = probe(&killed).unwrap_err();
    assert!(matches!(&error, OpenError::Altered { detail, .. } if detail.contains("extra")), "{error}");
}

#[test]
fn a_missing_file_is_made_for_our_eyes_only() {
    let folder = TempDir::new().unwrap();
    let db = writer(&path(&folder)).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, KNOWN_VERSION);
    let reader = reader(&path(&folder)).unwrap();
    assert!(reader.execute("DELETE FROM users", []).is_err());
    for file in fs::read_dir(folder.path().join("deeper")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_empty_file_and_one_stopped_before_its_first_table_are_new() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    writer(&empty).unwrap();
    let bare = folder.path().join("bare.db");
    Connection::open(&bare).unwrap().execute_batch("PRAGMA journal_mode = wal").unwrap();
    writer(&bare).unwrap();
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let folder = TempDir::new().unwrap();
    let db = writer(&made(&folder)).unwrap();
    let users: i64 = db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 500);
}

#[test]
fn another_file_is_no_database() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "dear diary").unwrap();
    assert!(matches!(refusal(&text), OpenError::NotADatabase { .. }));
    assert_eq!(fs::read(&text).unwrap(), b"dear diary");
    // A folder of its own above it: what stands beside it must not change, and others use the system's.
    let beside = folder.path().join("folder");
    fs::create_dir(&beside).unwrap();
    assert!(matches!(refusal(&beside), OpenError::Io { .. }));
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("django.sqlite3");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE auth_user (id)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::Foreign { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_header_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = made(&folder);
    overwrite(&path, 0, b"X");
    assert!(matches!(refusal(&path), OpenError::NotADatabase { .. }));
    overwrite(&path, 0, b"S");
    writer(&path).unwrap();
    // The page size.
    overwrite(&path, 16, &[0x12, 0x34]);
    assert!(matches!(refusal(&path), OpenError::NotADatabase { .. }));
}

#[test]
fn damaged_pages_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = made(&folder);
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    assert!(pages > 10, "{pages}");
    for page in 1..pages {
        let original = fs::read(&path).unwrap();
        overwrite(&path, page * 4096, &[0xa5; 64]);
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Damaged { .. }), "page {page}: {error}");
        fs::write(&path, original).unwrap();
    }
    writer(&path).unwrap();
}

#[test]
fn a_file_cut_short_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = made(&folder);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 4096).unwrap();
    assert!(matches!(refusal(&path), OpenError::Damaged { .. }));
}

#[test]
fn an_altered_schema_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = made(&folder);
    for (alteration, named, repair) in [
        (
            "DROP INDEX names_by_canonical",
            "names_by_canonical",
            "CREATE INDEX names_by_canonical ON names (canonical)",
        ),
        ("CREATE TABLE extra (n)", "extra", "DROP TABLE extra"),
        (
            "CREATE TRIGGER quiet AFTER INSERT ON revocations BEGIN DELETE FROM revocations; END",
            "quiet",
            "DROP TRIGGER quiet",
        ),
        ("ALTER TABLE users ADD COLUMN admin INTEGER", "users", "ALTER TABLE users DROP COLUMN admin"),
    ] {
        let db = Connection::open(&path).unwrap();
        db.execute_batch(alteration).unwrap();
        drop(db);
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Altered { .. }) && error.to_string().contains(named), "{error}");
        Connection::open(&path).unwrap().execute_batch(repair).unwrap();
        writer(&path).unwrap();
    }
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = made(&folder);
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", KNOWN_VERSION + 1).unwrap();
    drop(db);
    assert!(matches!(refusal(&path), OpenError::TooNew { found, known, .. } if found == known + 1));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_of_the_system() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let path = file.join("portcullis.db");
    assert!(matches!(probe(&path), Err(OpenError::Io { .. })));
    assert!(matches!(writer(&path), Err(OpenError::Io { .. })));
}

#[test]
fn an_older_schema_is_brought_up_to_date_and_keeps_what_it_holds() {
    let folder = TempDir::new().unwrap();
    let path = path(&folder);
    create_missing(&path).unwrap();
    let db = connect(&path).unwrap();
    db.execute_batch(MIGRATIONS[0]).unwrap();
    db.execute_batch("INSERT INTO revocations (kind, user_id, until) VALUES (4, 'eve', 7)").unwrap();
    db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);
    probe(&path).unwrap();
    let db = writer(&path).unwrap();
    let entry = db.query_row("SELECT user_id, revoked_at FROM revocations", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    assert_eq!(entry.unwrap(), ("eve".to_owned(), None));
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, KNOWN_VERSION);
}
