//! A store out of reach: what is known counts, for as long as the operator allows.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{
    Answer, Backend, Client, NOW, Process, TestGateway, bearer, claims, credentials, registration, request,
};

const LOGOUT: &str = "/api/auth/logout/";

const ROUTES: &str = r#"
    [auth]
    registration = true
    [[route]]
    path = "/*"
    upstream = "echo"
    [[route]]
    path = "/public/*"
    upstream = "echo"
    access = "public"
    [[route]]
    path = "/optional/*"
    upstream = "echo"
    access = "optional"
    "#;

fn limited() -> String {
    // More than a busy machine keeps the feed from its turn.
    format!("[store]\nmax_staleness = \"3s\"\n{ROUTES}")
}

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join("data/portcullis.db")).unwrap()
}

/// An entry in the log that no gateway can make sense of: nothing behind it can be read until it is gone.
pub struct Unreadable(Connection);

impl Unreadable {
    pub fn put_into(folder: &Path) -> Self {
        let db = open(folder);
        let sql = "INSERT INTO revocations (kind, user_id, until) VALUES (4, 'no user, ever', 9000000000000)";
        db.execute(sql, []).unwrap();
        Self(db)
    }

    pub fn take_out(self) {
        self.0.execute("DELETE FROM revocations WHERE user_id = 'no user, ever'", []).unwrap();
    }
}

#[track_caller]
fn eventually(happens: impl Fn() -> bool) {
    let started = Instant::now();
    while !happens() {
        assert!(started.elapsed() < Duration::from_secs(20), "it does not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

fn number(gateway: &TestGateway, name: &str) -> f64 {
    let metrics = gateway.operator("/metrics");
    let line = metrics.text().lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn past_its_limit_a_gateway_lets_nobody_in_until_the_log_can_be_read_again() {
    let gateway = TestGateway::with(&limited());
    let unlimited = TestGateway::beside(&gateway, ROUTES);
    let (ada, bob) = (gateway.register("ada"), gateway.register("bob"));
    let access = ada.member("access");
    gateway.get_as("/x", &access).expect(200);
    let ready = gateway.operator("/readyz?verbose").expect(200);
    assert!(ready.text().contains("[+] revocations within max_staleness\n"), "{}", ready.text());

    let unreadable = Unreadable::put_into(gateway.folder());
    eventually(|| gateway.get_as("/x", &access).status != 200);
    let refused = gateway.get_as("/x", &access).expect(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json(), json!({"detail": "Temporarily unavailable, try again."}));
    gateway.get_as("/optional/x", &access).expect(503);
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    gateway.get("/x", &[&[bearer(&access).as_str()], &upgrade[..]].concat()).expect(503);
    gateway.get_as("/api/auth/me/", &access).expect(503);
    gateway.post("/api/auth/token/verify/", &json!({"token": access})).expect(503);
    let passwords = json!({"current": "correct horse", "new": "battery staple"});
    gateway.post_as("/api/auth/password/", &access, &passwords).expect(503);
    // What is known to be bad is bad, and what needs no token goes on.
    gateway.get_as("/x", "a.b.c").expect(401);
    gateway.get("/x", &[]).expect(401);
    gateway.post("/api/auth/token/verify/", &json!({"token": "a.b.c"})).expect(401);
    gateway.get("/public/x", &[]).expect(200);
    gateway.get_as("/public/x", &access).expect(200);
    gateway.get("/optional/x", &[]).expect(200);
    // The store itself says what these may.
    gateway.login("ada");
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": ada.member("refresh")})).expect(200);
    // Nobody has to wait who wants to leave.
    gateway.post_as("/api/auth/logout/", &bob.member("access"), &json!({})).expect(200);
    gateway.get_as("/x", &bob.member("access")).expect(401);

    let ready = gateway.operator("/readyz?verbose").expect(503);
    assert!(ready.text().contains("[-] revocations within max_staleness\n"), "{}", ready.text());
    gateway.operator("/livez").expect(200);
    assert!(number(&gateway, "portcullis_revocation_feed_lag_seconds") > 3.0);
    assert!(number(&gateway, "portcullis_verdicts_total{verdict=\"stale\"}") >= 4.0);
    // Without a limit, what is known counts.
    assert!(number(&unlimited, "portcullis_revocation_feed_lag_seconds") > 3.0);
    unlimited.get_as("/x", &access).expect(200);
    unlimited.get_as("/x", &bob.member("access")).expect(200);
    let ready = unlimited.operator("/readyz?verbose").expect(200);
    assert!(!ready.text().contains("max_staleness"), "{}", ready.text());
    let lag = ready.text().lines().find_map(|line| {
        line.strip_prefix("[i] revocations read ")?.strip_suffix(" s ago")?.parse::<f64>().ok()
    });
    assert!(lag > Some(3.0), "{}", ready.text());

    unreadable.take_out();
    eventually(|| gateway.get_as("/x", &access).status == 200);
    gateway.operator("/readyz").expect(200);
    eventually(|| number(&gateway, "portcullis_revocation_feed_lag_seconds") < 1.0);
    eventually(|| unlimited.get_as("/x", &bob.member("access")).status == 401);
}

#[test]
fn a_process_that_was_stopped_believes_nothing_until_it_has_looked() {
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &limited());
    let access = gateway.post("/api/auth/register/", &registration("ada")).expect(201).member("access");
    gateway.get_as("/x", &access).expect(200);
    // The handshake is over before; the request then lies in the socket when the process goes on.
    let mut early = gateway.connect();
    early.get_mut().write_all(&request("GET", "/x", &[&bearer(&access)], b"")).unwrap();
    assert_eq!(Answer::read(&mut early, false).unwrap().status, 200);
    let unreadable = Unreadable::put_into(folder.path());
    gateway.signal("-STOP");
    // Not synchronisation: the time itself is what is tried.
    thread::sleep(Duration::from_millis(3100));
    early.get_mut().write_all(&request("GET", "/x", &[&bearer(&access)], b"")).unwrap();
    gateway.signal("-CONT");
    assert_eq!(Answer::read(&mut early, false).unwrap().status, 503);
    unreadable.take_out();
    eventually(|| gateway.get_as("/x", &access).status == 200);
}

/// SQLite lets nobody else write meanwhile, and each who tries waits for five seconds.
#[test]
fn a_logout_that_the_store_cannot_keep_is_in_force_here_and_written_once_it_can() {
    let gateway = TestGateway::with(ROUTES);
    let (ada, bob, eve) = (gateway.register("ada"), gateway.register("bob"), gateway.register("eve"));
    let lock = open(gateway.folder());
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let everything = format!("Authorization: Bearer {}", bob.member("access"));
    let client = gateway.client();
    let requests: [&(dyn Fn() -> Answer + Sync); 5] = [
        &|| client.post_as("/api/auth/logout/", &ada.member("access"), &json!({})),
        &|| client.request("POST", "/api/auth/logout/all/", &[&everything], b""),
        &|| client.post("/api/auth/login/", &credentials("eve")),
        &|| client.post("/api/auth/register/", &registration("dora")),
        &|| client.post("/api/auth/token/refresh/", &json!({"refresh": eve.member("refresh")})),
    ];
    thread::scope(|scope| {
        for (number, request) in requests.into_iter().enumerate() {
            scope.spawn(move || {
                let answer = request();
                assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{number}");
            });
        }
    });
    for session in [&ada, &bob] {
        gateway.get_as("/x", &session.member("access")).expect(401);
        gateway.post("/api/auth/token/verify/", &json!({"token": session.member("refresh")})).expect(401);
    }
    gateway.get_as("/x", &eve.member("access")).expect(200);
    gateway.get_as("/api/auth/me/", &eve.member("access")).expect(200);
    assert_eq!(number(&gateway, "portcullis_revocations_unwritten"), 2.0);
    assert!(number(&gateway, "portcullis_store_failures_total") >= 5.0);
    let elsewhere = TestGateway::beside(&gateway, ROUTES);
    elsewhere.get_as("/x", &ada.member("access")).expect(200);

    lock.execute_batch("ROLLBACK").unwrap();
    eventually(|| number(&gateway, "portcullis_revocations_unwritten") == 0.0);
    for session in [&ada, &bob] {
        eventually(|| elsewhere.get_as("/x", &session.member("access")).status == 401);
        elsewhere
            .post("/api/auth/token/refresh/", &json!({"refresh": session.member("refresh")}))
            .expect(401);
    }
    // What comes after it lives, here and there.
    gateway.pass(11);
    let again = gateway.login("bob");
    gateway.get_as("/x", &again.member("access")).expect(200);
    elsewhere.get_as("/x", &again.member("access")).expect(200);
}

/// While the store hangs, whoever asks for something holds a place until its time is up.
#[test]
fn strangers_who_wait_for_the_store_keep_nobody_from_logging_out() {
    let gateway = TestGateway::with(ROUTES);
    let (ada, eve) = (gateway.register("ada"), gateway.register("eve"));
    let access = ada.member("access");
    let lock = open(gateway.folder());
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (sender, answered) = mpsc::channel();
    let waiting: Vec<_> = (0..80)
        .map(|_| {
            let (client, sender) = (gateway.client(), sender.clone());
            let body = json!({"refresh": eve.member("refresh")});
            thread::spawn(move || sender.send(client.post("/api/auth/token/refresh/", &body).status))
        })
        .collect();
    // The first that is answered is one that found no place: all are taken.
    assert_eq!(answered.recv_timeout(Duration::from_secs(20)), Ok(503));
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(503);
    gateway.get_as("/x", &access).expect(401);
    drop(lock);
    for waiting in waiting {
        let _ = waiting.join().unwrap();
    }
    eventually(|| number(&gateway, "portcullis_revocations_unwritten") == 0.0);
    gateway.get_as("/x", &access).expect(401);
}

/// While the store hangs, one account can take every place of those who log out. Who finds none logs out all the same.
#[test]
fn a_logout_that_finds_no_place_is_in_force_here_and_written_once_it_can_be() {
    let gateway = TestGateway::with(ROUTES);
    let elsewhere = TestGateway::beside(&gateway, ROUTES);
    let backend = Backend::of(&gateway);
    let [ada, bob, cleo, dora, eve, finn] =
        ["ada", "bob", "cleo", "dora", "eve", "finn"].map(|name| gateway.register(name));
    let (again_cleo, again_dora, again_eve) =
        (gateway.login("cleo"), gateway.login("dora"), gateway.login("eve"));
    let backends = |user: &Answer, kind: &str, jti: &str, exp: u64| {
        let more = json!({"token_type": kind, "jti": jti, "exp": NOW.seconds() + exp});
        backend.refresh_token(user, &more)
    };
    let of_none = [("access", "1"), ("refresh", "2")].map(|(kind, jti)| backends(&finn, kind, jti, 600));
    let spared_of_none = backends(&finn, "access", "3", 600);
    let expired = backend.sign(&json!({
        "token_type": "access", "exp": NOW.seconds() - 1, "iat": NOW.seconds() - 60,
        "user_id": finn.json()["user"]["id"], "sid": claims(&finn.member("access"))["sid"],
    }));
    let lock = open(gateway.folder());
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (sender, answered) = mpsc::channel();
    let session = |pair: &Answer| {
        let sid = claims(&pair.member("access"))["sid"].as_str().unwrap().to_owned();
        format!("/api/auth/sessions/{sid}/")
    };
    let end = |client: &Client, path: &str, pair: &Answer| {
        client.request("DELETE", path, &[&bearer(&pair.member("access"))], b"").status
    };
    thread::scope(|scope| {
        for _ in 0..80 {
            let (client, sender) = (gateway.client(), sender.clone());
            let path = session(&again_eve);
            let (end, eve) = (&end, &eve);
            scope.spawn(move || sender.send(end(&client, &path, eve)));
        }
        // The first that is answered is one that found no place: all are taken.
        assert_eq!(answered.recv_timeout(Duration::from_secs(20)), Ok(503));

        let (access, refresh) = (ada.member("access"), bob.member("refresh"));
        let everything = bearer(&cleo.member("access"));
        let body = |refresh: &str| json!({"refresh": refresh});
        for answer in [
            gateway.post_as(LOGOUT, &access, &json!({})),
            gateway.post_as(LOGOUT, &expired, &body(&refresh)),
            gateway.request("POST", "/api/auth/logout/all/", &[&everything], b""),
            gateway.post_as(LOGOUT, &of_none[0], &body(&of_none[1])),
        ] {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        }
        assert_eq!(end(&gateway, &session(&dora), &dora), 503);
        // Nobody can say whose another session is, nor may anybody end somebody else's.
        assert!(matches!(end(&gateway, &session(&finn), &again_dora), 404 | 503));
        gateway.post_as(LOGOUT, &finn.member("access"), &body(&again_dora.member("refresh"))).expect(401);
        gateway.post_as(LOGOUT, &expired, &json!({})).expect(401);
        gateway.post_as(LOGOUT, &finn.member("refresh"), &json!({})).expect(401);
        gateway.post(LOGOUT, &body(&format!("{}x", finn.member("refresh")))).expect(401);
        gateway.post(LOGOUT, &json!({})).expect(400);
        // Who asks again has been heard.
        gateway.post_as(LOGOUT, &access, &json!({})).expect(401);
        assert_eq!(number(&gateway, "portcullis_revocations_unwritten"), 6.0);

        let dead = |gateway: &TestGateway, token: &str| {
            gateway.post("/api/auth/token/verify/", &json!({"token": token})).status == 401
        };
        let ended: Vec<String> = [&ada, &bob, &cleo, &again_cleo, &dora]
            .into_iter()
            .flat_map(|pair| [pair.member("access"), pair.member("refresh")])
            .chain(of_none)
            .collect();
        let spared: Vec<String> = [&again_dora, &eve, &finn]
            .into_iter()
            .flat_map(|pair| [pair.member("access"), pair.member("refresh")])
            .chain([spared_of_none])
            .collect();
        for (number, token) in ended.iter().enumerate() {
            assert!(dead(&gateway, token), "{number}");
            assert!(!dead(&elsewhere, token), "{number}");
        }
        drop(lock);
        eventually(|| number(&gateway, "portcullis_revocations_unwritten") == 0.0);
        for token in &ended {
            eventually(|| dead(&elsewhere, token));
        }
        for (number, token) in spared.iter().enumerate() {
            assert!(!dead(&gateway, token) && !dead(&elsewhere, token), "{number}");
        }
    });
    gateway.get_as("/x", &ada.member("access")).expect(401);
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": bob.member("refresh")})).expect(401);
    elsewhere.post("/api/auth/token/refresh/", &json!({"refresh": bob.member("refresh")})).expect(401);
}

#[test]
fn a_long_log_is_known_from_the_first_request_on() {
    let gateway = TestGateway::with(ROUTES);
    let (gone, kept) = (gateway.register("ada"), gateway.register("bob"));
    let sid = claim(&gone.member("access"), "sid");
    // Before whatever else there is.
    let soon = NOW.seconds() + 600;
    let mut db = open(gateway.folder());
    let transaction = db.transaction().unwrap();
    {
        let sql = format!("INSERT INTO revocations (kind, id, until) VALUES (1, randomblob(16), {soon}000)");
        let mut statement = transaction.prepare(&sql).unwrap();
        for _ in 0..50_000 {
            statement.execute([]).unwrap();
        }
        let sql = format!("INSERT INTO revocations (kind, id, until) VALUES (2, X'{sid}', {soon}000)");
        transaction.execute_batch(&sql).unwrap();
    }
    transaction.commit().unwrap();
    let second = TestGateway::beside(&gateway, ROUTES);
    second.get_as("/x", &gone.member("access")).expect(401);
    second.get_as("/x", &kept.member("access")).expect(200);
    assert_eq!(number(&second, "portcullis_revocation_entries{kind=\"token\"}"), 50_000.0);
    assert!(number(&second, "portcullis_revocation_memory_bytes") > 1_000_000.0);
    // The first sweep follows at once, and knows what goes next.
    eventually(|| {
        second
            .operator("/metrics")
            .text()
            .contains(&format!("\nportcullis_revocation_next_expiry_seconds {soon}\n"))
    });
}

#[test]
fn nobody_is_heard_before_the_log_is_read() {
    let folder = TempDir::new().unwrap();
    let first = Process::start(folder.path(), ROUTES);
    let access = first.post("/api/auth/register/", &registration("ada")).expect(201).member("access");
    first.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    first.signal("-TERM");
    assert_eq!(first.wait().0, 0);

    let lock = open(folder.path());
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let [public, admin] = free_ports();
    let config =
        format!("[listen]\nhttps = \"{public}\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n{ROUTES}");
    fs::write(folder.path().join("gateway.toml"), config).unwrap();
    let mut started = Started(
        Command::new(Process::program())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    // The operators' socket is there before the store is touched; nobody answers on it yet.
    eventually(|| TcpStream::connect(admin).is_ok());
    for _ in 0..100 {
        assert!(TcpStream::connect(public).is_err(), "it listens, and the log is not read");
    }
    drop(lock);
    let mut lines = BufReader::new(started.0.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Listening on")));
    Client::new(public, &folder.path().join("certs/dev.crt")).get_as("/x", &access).expect(401);
}

/// Ended with its test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_ports() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn claim(token: &str, name: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    claims[name].as_str().unwrap().to_owned()
}
