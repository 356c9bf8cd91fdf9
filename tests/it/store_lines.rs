//! What operators read of their store: which one it is, that it fails, that it is back; once each, and no secret.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::harness::{
    Process, claims, credentials, eventually,
    postgres::{PASSWORD, Server},
    registration,
};

const ROUTES: &str = "[auth]\nregistration = true\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";

/// Lines of the log with that in their message.
fn lines(gateway: &Process, message: &str) -> Vec<serde_json::Value> {
    let said = gateway.said();
    let lines = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["message"].as_str().unwrap().contains(message)).collect()
}

/// The one line of it, as soon as it is there.
#[track_caller]
fn line(gateway: &Process, message: &str) -> serde_json::Value {
    let begun = Instant::now();
    loop {
        match &*lines(gateway, message) {
            [] => assert!(begun.elapsed() < Duration::from_secs(30), "{message}: {}", gateway.said()),
            [line] => return line.clone(),
            more => panic!("{more:#?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// SQLite lets nobody else write meanwhile, and each who tries waits for five seconds.
#[test]
fn operations_that_a_store_refuses_are_told_of_once_and_so_is_their_end() {
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), ROUTES);
    let store = format!("SQLite {}", folder.path().join("data/portcullis.db").display());
    assert_eq!(line(&gateway, &format!("; the store is {store}"))["store"], *store);
    gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    let lock = Connection::open(folder.path().join("data/portcullis.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| gateway.post("/api/auth/login/", &credentials("ada")).expect(503));
        }
    });
    let refused = line(&gateway, &format!("An operation was refused, {store}: the store is not available: "));
    assert_eq!((&refused["level"], &refused["untold"]), (&"ERROR".into(), &0.into()));
    // What only reads says nothing of whether anything can be kept.
    gateway
        .post("/api/auth/login/", &serde_json::json!({"username": "ada", "password": "wrong"}))
        .expect(401);
    lock.execute_batch("ROLLBACK").unwrap();
    gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
    gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
    let again = format!("The store takes operations again, {store}; 4 more were refused");
    assert_eq!(line(&gateway, &again)["untold"], 4);
    assert_eq!(lines(&gateway, "was refused").len(), 1);
}

/// As where PostgreSQL's database has become read only: the feed has nothing to complain of.
#[test]
fn revocations_that_wait_for_a_store_that_is_read_all_the_while_are_told_of() {
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), ROUTES);
    let store = format!("SQLite {}", folder.path().join("data/portcullis.db").display());
    let login = |name| gateway.post("/api/auth/register/", &registration(name)).expect(201).member("access");
    let (ada, bob) = (login("ada"), login("bob"));
    let logout = |access: &str| gateway.post_as("/api/auth/logout/", access, &serde_json::json!({}));
    let db = Connection::open(folder.path().join("data/portcullis.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON revocations BEGIN SELECT RAISE(FAIL, 'no more'); END";
    db.execute_batch(full).unwrap();
    logout(&ada).expect(503);
    let why = format!("to be written into the store, {store}: the store is not available: no more");
    let waits = line(&gateway, &format!("1 revocation holds here alone and waits {why}"));
    assert_eq!((&waits["level"], &waits["revocations"]), (&"ERROR".into(), &1.into()));
    // It goes on to be tried; the next line is due in ten seconds.
    let failures = || gateway.metric("portcullis_store_failures_total");
    let before = failures();
    eventually("it is tried again, and again", || failures() >= before + 2);
    assert_eq!(lines(&gateway, "to be written into").len(), 1);
    assert_eq!(lines(&gateway, "cannot read the store"), Vec::<serde_json::Value>::new());
    db.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(line(&gateway, "Wrote revocations that the store had missed")["revocations"], 1);

    db.execute_batch(full).unwrap();
    logout(&bob).expect(503);
    gateway.signal("-TERM");
    let lost = line(&gateway, "1 logout is lost with this process, the store has not heard of it: ");
    let session = format!("session {}", claims(&bob)["sid"].as_str().unwrap());
    assert_eq!((&lost["level"], &lost["lost"]), (&"ERROR".into(), &(*session).into()));
    let message = lost["message"].as_str().unwrap();
    assert!(
        message.ends_with(&format!(": log out again, by `portcullis session revoke`, {session}")),
        "{message}"
    );
}

#[test]
fn a_database_that_goes_and_comes_back_is_named_and_not_its_password() {
    let mut server = Server::start(false);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let (url, name) = {
        let database = server.database();
        let kept = (database.tcp_url("127.0.0.1"), database.name.clone());
        std::mem::forget(database);
        kept
    };
    let store = format!("PostgreSQL 127.0.0.1:{}/{name}", server.port());
    let config = format!("[store]\nurl = \"{url}\"\npassword = {{ file = \"password\" }}\n{ROUTES}");
    let gateway = Process::start(folder.path(), &config);
    line(&gateway, &format!("; the store is {store}"));
    server.kill();
    let away = line(&gateway, &format!("The revocation feed cannot read the store, {store}: "));
    assert_eq!((&away["level"], &away["store"]), (&"ERROR".into(), &(*store).into()));
    server.start_again();
    line(&gateway, &format!("The revocation feed has caught up with the store, {store}"));
    // Somebody changes the role's password, and ends what was opened with the one before.
    server.sql("postgres", "ALTER ROLE gateway PASSWORD 'another'");
    server
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'");
    let begun = Instant::now();
    while lines(&gateway, "cannot read the store").len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", gateway.said());
        thread::sleep(Duration::from_millis(20));
    }
    let post = gateway.post("/api/auth/login/", &credentials("ada"));
    assert_eq!(post.status, 503);
    let hint = "password authentication failed for user \"gateway\": see `store.password`, and the user in `store.url`";
    line(&gateway, &format!("An operation was refused, {store}: the store is not available: {hint}"));
    assert!(
        !gateway.said().contains(PASSWORD) && !gateway.said().contains("correct horse"),
        "{}",
        gateway.said()
    );
}
