//! Gateways over a PostgreSQL database: what they share, and what becomes of them while it is away.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Answer, Process, TestGateway, credentials, eventually,
    postgres::{Database, PASSWORD, ROLE, Server},
};

const LOGIN: &str = "/api/auth/login/";
const LOGOUT: &str = "/api/auth/logout/";
const REFRESH: &str = "/api/auth/token/refresh/";

fn config(database: &Database<'_>) -> String {
    format!(
        "[store]\nurl = \"{}\"\n[auth]\nregistration = true\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n",
        database.url()
    )
}

fn opens(gateway: &TestGateway, session: &Answer) -> bool {
    gateway.get_as("/x", &session.member("access")).status == 200
}

#[test]
fn everything_that_accounts_do_is_done_over_postgres() {
    let database = Server::shared().database();
    let gateway = TestGateway::with(&config(&database));
    let first = gateway.register("ada");
    assert_eq!(first.json()["user"]["id"], "1");
    let taken = json!({"username": "ADA", "email": "eve@example.com", "password": "correct horse"});
    gateway.post("/api/auth/register/", &taken).expect(400);
    gateway.post(LOGIN, &json!({"username": "ada", "password": "wrong"})).expect(401);
    let session = gateway.login("ada");
    gateway.get_as("/api/auth/me/", &session.member("access")).expect(200);
    gateway.get_as("/x", &session.member("access")).expect(200);

    gateway.pass(60);
    let refreshed = gateway.post(REFRESH, &json!({"refresh": session.member("refresh")})).expect(200);
    gateway.pass(60);
    let next = gateway.post(REFRESH, &json!({"refresh": refreshed.member("refresh")})).expect(200);
    gateway.pass(60);
    // Only a thief can have kept it.
    gateway.post(REFRESH, &json!({"refresh": session.member("refresh")})).expect(401);
    gateway.get_as("/x", &next.member("access")).expect(401);

    let session = gateway.login("ada");
    gateway.post_as(LOGOUT, &session.member("access"), &json!({})).expect(200);
    gateway.get_as("/x", &session.member("access")).expect(401);
    let (one, other) = (gateway.login("ada"), gateway.login("ada"));
    gateway.post_as("/api/auth/logout/all/", &one.member("access"), &json!({})).expect(200);
    gateway.get_as("/x", &other.member("access")).expect(401);
    // Within the same second, and alive.
    let after = gateway.login("ada");
    gateway.get_as("/x", &after.member("access")).expect(200);

    let change = json!({"current": "correct horse", "new": "battery staple"});
    let changed = gateway.post_as("/api/auth/password/", &after.member("access"), &change).expect(200);
    gateway.get_as("/x", &after.member("access")).expect(401);
    gateway.get_as("/x", &changed.member("access")).expect(200);
    gateway.post(LOGIN, &credentials("ada")).expect(401);
}

#[test]
fn what_one_gateway_logs_out_every_other_refuses_within_a_second() {
    let database = Server::shared().database();
    let here = TestGateway::with(&config(&database));
    let there = TestGateway::beside(&here, &config(&database));
    here.register("ada");
    for everywhere in [false, true] {
        let session = here.login("ada");
        assert!(opens(&there, &session));
        let path = if everywhere { "/api/auth/logout/all/" } else { LOGOUT };
        here.post_as(path, &session.member("access"), &json!({})).expect(200);
        let begun = Instant::now();
        assert!(!opens(&here, &session));
        while opens(&there, &session) {
            assert!(begun.elapsed() < Duration::from_secs(1), "still accepted after a second");
        }
        there.post(REFRESH, &json!({"refresh": session.member("refresh")})).expect(401);
    }
    let metrics = there.operator("/metrics").expect(200);
    let counted =
        metrics.text().lines().find(|line| line.starts_with("portcullis_revocation_delay_seconds_count"));
    assert_eq!(counted, Some("portcullis_revocation_delay_seconds_count 2"));
}

#[test]
fn the_command_line_works_on_the_same_database_and_gateways_obey() {
    let database = Server::shared().database();
    let gateway = TestGateway::with(&config(&database));
    let session = gateway.register("ada");
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("gateway.toml"), config(&database)).unwrap();
    let run = |arguments: &[&str], stdin: &str| {
        let (code, out, error) = Process::command(folder.path(), arguments, stdin);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out
    };
    run(&["user", "add", "bob", "--email", "bob@example.com", "--password", "-"], "correct horse battery\n");
    run(&["user", "set", "bob", "--role", "staff"], "");
    let listed: Value = serde_json::from_str(&run(&["user", "list", "--json"], "")).unwrap();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "bob"]);
    run(&["user", "disable", "ada"], "");
    eventually("the gateway has heard of it", || !opens(&gateway, &session));
    gateway.post(LOGIN, &credentials("ada")).expect(401);
    run(&["user", "enable", "ada"], "");
    gateway.login("ada");
    run(&["user", "passwd", "ada", "--password", "-"], "battery staple\n");
    gateway.post(LOGIN, &credentials("ada")).expect(401);
    run(&["user", "delete", "bob"], "");
    assert_eq!(run(&["check"], ""), "gateway.toml: fine\n");
}

#[test]
fn check_looks_and_makes_nothing() {
    let database = Server::shared().database();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("gateway.toml"), config(&database)).unwrap();
    let (code, out, error) = Process::command(folder.path(), &["check"], "");
    assert_eq!((code, out.as_str()), (0, "gateway.toml: fine\n"), "{error}");
    assert_eq!(database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'portcullis'"), "0");

    database.sql("CREATE SCHEMA portcullis; CREATE TABLE portcullis.users (id text)");
    let (code, _, error) = Process::command(folder.path(), &["check"], "");
    assert_eq!(code, 1);
    assert!(error.contains("belongs to another program"), "{error}");
    let (code, out, _) = Process::command(folder.path(), &["check", "--json"], "");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"], &json["faults"][0]["key"]), (1, &json!(false), &json!("store.url")));
}

#[test]
fn check_says_that_the_role_may_not_make_what_is_missing() {
    let database = Server::shared().database();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("gateway.toml"), config(&database)).unwrap();
    let check = |arguments: &[&str]| Process::command(folder.path(), arguments, "");
    database.sql(&format!("ALTER DATABASE {} OWNER TO postgres", database.name));
    // One more that is there already, made by an operator who has forgotten to grant anything.
    for made in ["SELECT 1", &format!("CREATE SCHEMA portcullis; GRANT USAGE ON SCHEMA portcullis TO {ROLE}")]
    {
        database.sql(made);
        let (code, out, error) = check(&["check"]);
        assert_eq!((code, out.as_str()), (1, ""), "{made}: {error}");
        assert!(error.contains("may not make the schema `portcullis`"), "{made}: {error}");
        let (code, out, _) = check(&["check", "--json"]);
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &json["ok"], &json["faults"][0]["key"]), (1, &json!(false), &json!("store.url")));
        // As `run` would find.
        let (code, out, error) = check(&["run"]);
        assert_eq!((code, out.as_str()), (1, ""), "{made}: {error}");
        assert!(error.contains("permission denied"), "{made}: {error}");
    }
    database.sql(&format!("GRANT CREATE ON SCHEMA portcullis TO {ROLE}"));
    assert_eq!(check(&["check"]).0, 0);
}

#[test]
fn a_database_that_refuses_is_a_sentence_without_a_secret() {
    let database = Server::shared().database();
    let start = |url: &str, password: &str| {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("password"), format!("{password}\n")).unwrap();
        let config = format!(
            "[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"{url}\"\n\
             password = {{ file = \"password\" }}\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n"
        );
        fs::write(folder.path().join("gateway.toml"), config).unwrap();
        let begun = Instant::now();
        let (code, out, error) = Process::command(folder.path(), &["run"], "");
        assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        let said: Vec<&str> = error.lines().filter(|line| line.starts_with("portcullis: ")).collect();
        assert!(said.len() == 1 && error.ends_with(&format!("{}\n", said[0])), "{error}");
        assert!(
            !error.contains("xyzzy") && !error.contains(PASSWORD) && !error.contains("panicked"),
            "{error}"
        );
        said[0].to_owned()
    };
    assert!(start(&database.tcp_url("127.0.0.1"), "xyzzy").contains("password authentication failed"));
    let elsewhere = database.tcp_url("127.0.0.1").replace(&database.name, "nowhere");
    assert!(start(&elsewhere, PASSWORD).contains("\"nowhere\" does not exist"));
    assert!(start("postgres://me@127.0.0.1:1/x", "xyzzy").contains("Connection refused"));
    assert!(start("postgres://me@/x?host=/nonexistent", "xyzzy").contains("No such file"));
}

#[test]
fn a_server_that_is_killed_takes_nothing_with_it_and_is_waited_for() {
    let mut server = Server::start(true);
    let name = {
        let database = server.database();
        let name = database.name.clone();
        // The server goes away below it.
        std::mem::forget(database);
        name
    };
    let config = {
        let database = Database { server: &server, name: name.clone() };
        let config = config(&database);
        std::mem::forget(database);
        config
    };
    let gateway = TestGateway::with(&config);
    let alive = gateway.register("ada");
    let dead = gateway.login("ada");
    let doomed = gateway.login("ada");
    gateway.post_as(LOGOUT, &dead.member("access"), &json!({})).expect(200);

    server.kill();
    for (path, body) in [
        (LOGIN, credentials("ada")),
        (REFRESH, json!({"refresh": alive.member("refresh")})),
        ("/api/auth/register/", json!({"username": "b", "email": "b@b.b", "password": "correct horse"})),
    ] {
        gateway.post(path, &body).expect(503);
    }
    gateway.get_as("/api/auth/me/", &alive.member("access")).expect(503);
    assert!(opens(&gateway, &alive) && opens(&gateway, &doomed), "protected routes go on");
    assert!(!opens(&gateway, &dead), "what is known stays");
    gateway.post_as(LOGOUT, &doomed.member("access"), &json!({})).expect(503);
    assert!(!opens(&gateway, &doomed), "refused here all the same");

    server.start_again();
    eventually("logins work again", || gateway.post(LOGIN, &credentials("ada")).status == 200);
    gateway.post(REFRESH, &json!({"refresh": alive.member("refresh")})).expect(200);
    gateway.get_as("/api/auth/me/", &alive.member("access")).expect(200);
    assert!(!opens(&gateway, &dead) && !opens(&gateway, &doomed));
    // The log is intact: one that starts now learns of what was acknowledged before.
    let beside = TestGateway::beside(&gateway, &config);
    assert!(!opens(&beside, &dead), "an acknowledged logout was lost");
    assert!(opens(&beside, &alive));
    // And the feed goes on by itself.
    beside.post_as(LOGOUT, &alive.member("access"), &json!({})).expect(200);
    eventually("the feed has caught up", || !opens(&gateway, &alive));
}

#[test]
fn a_server_that_hangs_is_answered_for_in_time() {
    let server = Server::start(false);
    let database = server.database();
    let gateway = TestGateway::with(&config(&database));
    let session = gateway.register("ada");
    let doomed = gateway.login("ada");
    server.freeze();
    let timed = |what: &str, ask: &dyn Fn() -> Answer| {
        let begun = Instant::now();
        ask().expect(503);
        assert!(begun.elapsed() < Duration::from_secs(8), "{what} took {:?}", begun.elapsed());
    };
    timed("a look", &|| gateway.get_as("/api/auth/me/", &session.member("access")));
    timed("a logout", &|| gateway.post_as(LOGOUT, &doomed.member("access"), &json!({})));
    let begun = Instant::now();
    assert!(opens(&gateway, &session), "protected routes go on");
    assert!(!opens(&gateway, &doomed));
    assert!(begun.elapsed() < Duration::from_secs(2), "they took {:?}", begun.elapsed());
    server.thaw();
    eventually("all is well again", || gateway.post(LOGIN, &credentials("ada")).status == 200);
    assert!(!opens(&gateway, &doomed));
}
