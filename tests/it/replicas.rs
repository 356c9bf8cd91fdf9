//! Several gateways on one store: what one of them ends is dead on all, whatever happens to any of them.

mod frozen;
mod rolling;

use std::{
    io::{self, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Answer, Process, Upstream, bearer, credentials, eventually, ok,
    postgres::{Database, PASSWORD, Server},
    registration, request,
};

/// Gateways on one store, each a process with a folder of its own, and what they have in common.
struct Replicas {
    gateways: Vec<Replica>,
    _folder: TempDir,
    upstream: Upstream,
}

/// One gateway.
struct Replica {
    process: Option<Process>,
    /// Without TLS: what is tried without pause shall not be mostly handshakes.
    address: SocketAddr,
    folder: TempDir,
    config: String,
}

/// What a login gave.
#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
}

impl Replicas {
    /// A gateway for each `[store]`: the same one, perhaps reached in another way. They may lie in that folder.
    fn start(stores: impl FnOnce(&Path) -> Vec<String>) -> Self {
        Self::before(Upstream::start(|_, stream| ok(stream, "seen")), stores)
    }

    /// As [`Self::start`], before a backend of one's own.
    fn before(upstream: Upstream, stores: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("secret"), "a secret that these gateways share, long enough")
            .unwrap();
        let gateways = stores(folder.path())
            .into_iter()
            .map(|store| {
                let config = format!(
                    "[listen]\nhttps = \"127.0.0.1:0\"\nplain = \"127.0.0.1:0\"\nworkers = 1\n[store]\n{store}\n\
                     [[tokens.key]]\nid = \"shared\"\nalgorithm = \"HS256\"\nsecret = {{ file = \"{}\" }}\n{}",
                    folder.path().join("secret").display(),
                    upstream.config()
                );
                Replica::start(config)
            })
            .collect();
        Self { gateways, _folder: folder, upstream }
    }

    /// Three on one SQLite file.
    fn on_sqlite() -> Self {
        Self::start(|folder| vec![format!("url = \"sqlite:{}\"", folder.join("shared.db").display()); 3])
    }

    /// Three on one PostgreSQL database.
    fn on(database: &Database<'_>) -> Self {
        Self::start(|_| vec![format!("url = \"{}\"", database.url()); 3])
    }

    fn register(&self, name: &str) -> Pair {
        pair(
            &self.gateways[0].post("/api/auth/register/", None, &registration(name)).expect("an answer"),
            201,
        )
    }

    fn login(&self, at: usize, name: &str) -> Pair {
        pair(&self.gateways[at].post("/api/auth/login/", None, &credentials(name)).expect("an answer"), 200)
    }

    /// Waits until every gateway refuses the token: within a second, as is promised; five are waited for on a busy
    /// machine.
    #[track_caller]
    fn dead_everywhere(&self, token: &str, why: &str) {
        for (at, gateway) in self.gateways.iter().enumerate() {
            eventually(&format!("gateway {at}: {why}"), || gateway.status(token) == Some(401));
        }
    }

    #[track_caller]
    fn alive_everywhere(&self, token: &str) {
        for gateway in &self.gateways {
            assert_eq!(gateway.status(token), Some(200));
        }
    }
}

impl Replica {
    fn start(config: String) -> Self {
        let folder = TempDir::new().unwrap();
        let mut replica =
            Self { process: None, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder, config };
        replica.start_again();
        replica
    }

    fn start_again(&mut self) {
        let process = Process::start(self.folder.path(), &self.config);
        self.address = plain(&process.said()).expect("it listens without TLS");
        self.process = Some(process);
    }

    /// What the protected route says to the token; `None` where nobody answers.
    fn status(&self, token: &str) -> Option<u16> {
        status(self.address, token)
    }

    fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Option<Answer> {
        let line = token.map(bearer).unwrap_or_default();
        let mut lines = vec!["Content-Type: application/json", "Connection: close"];
        lines.extend(token.map(|_| line.as_str()));
        send(self.address, &request("POST", path, &lines, body.to_string().as_bytes()))
    }

    fn logout(&self, token: &str) -> Option<u16> {
        self.post("/api/auth/logout/", Some(token), &json!({})).map(|answer| answer.status)
    }

    fn refresh(&self, token: &str) -> Option<Answer> {
        self.post("/api/auth/token/refresh/", None, &json!({"refresh": token}))
    }
}

/// What ends tokens, each tried at one gateway and looked for at all.
#[test]
fn whatever_ends_tokens_ends_them_everywhere() {
    let database = Server::shared().database();
    for replicas in [Replicas::on_sqlite(), Replicas::on(&database)] {
        let at = |name: &str, end: &dyn Fn(&Replica, &Pair)| {
            let pair = replicas.register(name);
            let other = replicas.login(2, name);
            replicas.alive_everywhere(&pair.access);
            replicas.alive_everywhere(&other.access);
            end(&replicas.gateways[1], &pair);
            assert_eq!(
                replicas.gateways[1].status(&pair.access),
                Some(401),
                "{name}: where it was asked for"
            );
            replicas.dead_everywhere(&pair.access, name);
            for gateway in &replicas.gateways {
                assert_eq!(gateway.refresh(&pair.refresh).unwrap().status, 401, "{name}");
            }
            other
        };

        let other = at("logout", &|gateway, pair| assert_eq!(gateway.logout(&pair.access), Some(200)));
        replicas.alive_everywhere(&other.access);
        let other = at("logout-by-refresh", &|gateway, pair| {
            let body = json!({"refresh": pair.refresh});
            assert_eq!(gateway.post("/api/auth/logout/", None, &body).unwrap().status, 200);
        });
        replicas.alive_everywhere(&other.access);
        let other = at("logout-all", &|gateway, pair| {
            let answer = gateway.post("/api/auth/logout/all/", Some(&pair.access), &json!({}));
            assert_eq!(answer.unwrap().status, 200);
        });
        replicas.dead_everywhere(&other.access, "every session of the user");
        // Within the same second, most likely.
        replicas.alive_everywhere(&replicas.login(0, "logout-all").access);

        let fresh = Mutex::new(None);
        let other = at("password", &|gateway, pair_| {
            let body = json!({"current": "correct horse", "new": "battery staple"});
            let answer = gateway.post("/api/auth/password/", Some(&pair_.access), &body).unwrap();
            *fresh.lock().unwrap() = Some(pair(&answer, 200));
        });
        replicas.dead_everywhere(&other.access, "a password change ends every session");
        replicas.alive_everywhere(&fresh.lock().unwrap().as_ref().unwrap().access);

        // By the command line, which is one more process on the store: none of the gateways was asked.
        let pair = replicas.register("disabled");
        replicas.alive_everywhere(&pair.access);
        let folder = replicas.gateways[1].folder.path();
        for (command, alive) in [("disable", false), ("enable", true), ("delete", false)] {
            let arguments = ["user", command, "disabled", "--config", "gateway.toml"];
            let (code, _, said) = Process::command(folder, &arguments, "yes\n");
            assert_eq!(code, 0, "{command}: {said}");
            replicas.dead_everywhere(&pair.access, command);
            let tried = || replicas.gateways[2].post("/api/auth/login/", None, &credentials("disabled"));
            assert_eq!(tried().unwrap().status == 200, alive, "{command}");
        }
    }
}

/// A gateway whose way to the store is cut goes on with what it knows, says so, and catches up by itself.
#[test]
fn a_gateway_cut_off_catches_up() {
    let database = Server::shared().database();
    let relay = Relay::start(database.server.port());
    let direct = format!("url = \"{}\"", database.url());
    let relayed = format!(
        "url = \"{}?sslmode=disable\"\npassword = {{ inline = '{PASSWORD}' }}",
        database
            .tcp_url("127.0.0.1")
            .replace(&format!(":{}/", database.server.port()), &format!(":{}/", relay.port))
    );
    let replicas = Replicas::start(|_| vec![direct.clone(), direct, relayed]);
    let [near, _, far] = &replicas.gateways[..] else { unreachable!() };
    let (ended, kept, own) = (replicas.register("ada"), replicas.login(0, "ada"), replicas.login(2, "ada"));
    replicas.alive_everywhere(&ended.access);

    relay.cut();
    assert_eq!(near.logout(&ended.access), Some(200));
    // It cannot know, and says on its protected routes what it knows.
    assert_eq!(far.status(&ended.access), Some(200));
    assert_eq!(far.status(&kept.access), Some(200));
    let answer = far.post("/api/auth/login/", None, &credentials("ada")).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(far.refresh(&own.refresh).unwrap().status, 503);
    // Its own logout counts here at once, and is answered as what it is.
    assert_eq!(far.logout(&own.access), Some(503));
    assert_eq!(far.status(&own.access), Some(401));

    relay.heal();
    eventually("it catches up", || far.status(&ended.access) == Some(401));
    eventually("it works again", || {
        far.post("/api/auth/login/", None, &credentials("ada")).is_some_and(|answer| answer.status == 200)
    });
    // What it could not write it has written since.
    replicas.dead_everywhere(&own.access, "a logout during the outage");
    replicas.alive_everywhere(&kept.access);
    assert_eq!(near.refresh(&own.refresh).unwrap().status, 401);
}

/// The database dies, with everything that was acknowledged on its disk, and comes back.
#[test]
fn the_database_dies_and_comes_back() {
    let mut server = Server::start(true);
    let (replicas, name) = {
        let database = server.database();
        let replicas = Replicas::on(&database);
        let name = database.name.clone();
        // Dropped with the server.
        std::mem::forget(database);
        (replicas, name)
    };
    let (before, meanwhile, kept) =
        (replicas.register("ada"), replicas.login(1, "ada"), replicas.login(2, "ada"));
    assert_eq!(replicas.gateways[0].logout(&before.access), Some(200));

    server.kill();
    assert_eq!(replicas.gateways[0].status(&before.access), Some(401));
    replicas.alive_everywhere(&kept.access);
    assert_eq!(replicas.gateways[1].logout(&meanwhile.access), Some(503));
    assert_eq!(replicas.gateways[1].status(&meanwhile.access), Some(401));

    server.start_again();
    assert_ne!(server.sql(&name, "SELECT count(*) FROM portcullis.revocations"), "0");
    replicas.dead_everywhere(&before.access, "what was acknowledged before");
    replicas.dead_everywhere(&meanwhile.access, "what was refused meanwhile");
    eventually("logins work again", || {
        let answer = replicas.gateways[1].post("/api/auth/login/", None, &credentials("ada"));
        answer.is_some_and(|answer| answer.status == 200)
    });
    let after = replicas.login(1, "ada");
    assert_eq!(replicas.gateways[1].logout(&after.access), Some(200));
    replicas.dead_everywhere(&after.access, "the feed follows again");
    replicas.alive_everywhere(&kept.access);
}

/// Killed while it revokes: what it acknowledged is dead everywhere and for good, and about the rest all agree.
#[test]
fn a_gateway_killed_while_it_revokes_loses_nothing() {
    let database = Server::shared().database();
    for mut replicas in [Replicas::on_sqlite(), Replicas::on(&database)] {
        replicas.register("ada");
        for after in [1, 4, 9] {
            let pairs: Vec<Pair> = (0..16).map(|_| replicas.login(1, "ada")).collect();
            let acknowledged = AtomicUsize::new(0);
            let victim = replicas.gateways[0].process.take().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    for pair in &pairs {
                        let path = "/api/auth/logout/";
                        let lines = [bearer(&pair.access), "Connection: close".into()];
                        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                        let bytes = request("POST", path, &lines, b"");
                        match send(replicas.gateways[0].address, &bytes) {
                            Some(answer) if answer.status == 200 => {
                                acknowledged.fetch_add(1, Ordering::SeqCst);
                            }
                            _ => return,
                        }
                    }
                });
                let started = Instant::now();
                while acknowledged.load(Ordering::SeqCst) < after {
                    assert!(started.elapsed() < Duration::from_secs(20), "no logout is answered");
                    thread::yield_now();
                }
                victim.kill();
            });
            let acknowledged = acknowledged.into_inner();
            replicas.gateways[0].start_again();
            // Complete before it opens: no waiting for this one.
            for pair in &pairs[..acknowledged] {
                assert_eq!(
                    replicas.gateways[0].status(&pair.access),
                    Some(401),
                    "{acknowledged} acknowledged"
                );
            }
            for pair in &pairs[..acknowledged] {
                replicas.dead_everywhere(&pair.access, "acknowledged before the kill");
            }
            for pair in &pairs[acknowledged..] {
                let said = replicas.gateways[0].status(&pair.access);
                for gateway in &replicas.gateways {
                    eventually("all agree", || gateway.status(&pair.access) == said);
                }
            }
        }
    }
}

/// All of them are replaced, one after the other, while revoked tokens are tried without pause: never accepted, not in
/// the first moment of a new process either.
#[test]
fn a_rolling_restart_lets_no_revoked_token_in() {
    let database = Server::shared().database();
    for mut replicas in [Replicas::on_sqlite(), Replicas::on(&database)] {
        replicas.register("ada");
        let (revoked, living) = (replicas.login(0, "ada"), replicas.login(1, "ada"));
        assert_eq!(replicas.gateways[0].logout(&revoked.access), Some(200));
        replicas.dead_everywhere(&revoked.access, "before the restart");

        let addresses: Vec<_> =
            replicas.gateways.iter().map(|gateway| Mutex::new(Some(gateway.address))).collect();
        // Dead at each gateway: tried there without pause.
        let dead: Vec<_> = addresses.iter().map(|_| Mutex::new(vec![revoked.access.clone()])).collect();
        let done = AtomicBool::new(false);
        let (refused, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for (address, dead) in addresses.iter().zip(&dead) {
                let (done, refused, served, living) = (&done, &refused, &served, &living);
                scope.spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        let tokens = dead.lock().unwrap().clone();
                        let Some(at) = *address.lock().unwrap() else {
                            thread::yield_now();
                            continue;
                        };
                        // A port that was given up may be another program's by now.
                        let its = |said: Option<u16>| said.filter(|_| *address.lock().unwrap() == Some(at));
                        for token in &tokens {
                            match its(status_of(at, "/revoked", token)) {
                                Some(401) => drop(refused.fetch_add(1, Ordering::SeqCst)),
                                // It is being replaced.
                                None => {}
                                Some(other) => panic!("a revoked token was answered {other}"),
                            }
                        }
                        match its(status(at, &living.access)) {
                            Some(200) => drop(served.fetch_add(1, Ordering::SeqCst)),
                            None => {}
                            Some(other) => panic!("a good token was answered {other}"),
                        }
                    }
                });
            }
            let last = Stop(&done);
            for at in 0..3 {
                let next = (at + 1) % 3;
                let during = replicas.login(next, "ada");
                let old = replicas.gateways[at].process.take().unwrap();
                old.signal("-TERM");
                assert_eq!(old.wait().0, 0);
                *addresses[at].lock().unwrap() = None;
                // While it is down: it must know from its first moment.
                assert_eq!(replicas.gateways[next].logout(&during.access), Some(200));
                dead[at].lock().unwrap().push(during.access.clone());
                dead[next].lock().unwrap().push(during.access.clone());
                let replica = &mut replicas.gateways[at];
                replica.start_again();
                *addresses[at].lock().unwrap() = Some(replica.address);
                let seen = refused.load(Ordering::SeqCst);
                eventually("it is tried", || refused.load(Ordering::SeqCst) > seen + 20);
            }
            drop(last);
        });
        let (refused, served) = (refused.into_inner(), served.into_inner());
        assert!(refused > 60 && served > 10, "{refused} refused, {served} served");
        // Nothing of a revoked token ever reached the backend.
        let reached = replicas.upstream.requests();
        assert!(reached.iter().any(|seen| seen.request_line().starts_with("GET /x ")));
        assert!(reached.iter().all(|seen| !seen.request_line().starts_with("GET /revoked ")));
    }
}

/// Says that it is over, also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A way to a port of this machine that can be cut.
struct Relay {
    port: u16,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let relay = Self { port, is_cut: Arc::clone(&is_cut), open: Arc::clone(&open) };
        thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let mut open = open.lock().unwrap();
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                open.extend([near, far]);
            }
        });
        relay
    }

    /// Ends what is open, and whatever comes.
    fn cut(&self) {
        let mut open = self.open.lock().unwrap();
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn heal(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn pair(answer: &Answer, status: u16) -> Pair {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    let member = |name: &str| body[name].as_str().expect("a token").to_owned();
    Pair { access: member("access"), refresh: member("refresh") }
}

fn status(at: SocketAddr, token: &str) -> Option<u16> {
    status_of(at, "/x", token)
}

fn status_of(at: SocketAddr, path: &str, token: &str) -> Option<u16> {
    let line = bearer(token);
    let answer = send(at, &request("GET", path, &[&line, "Connection: close"], b""))?;
    Some(answer.status)
}

/// One request on a connection of its own; `None` where nobody answers.
fn send(at: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(bytes).ok()?;
    Answer::read(&mut BufReader::new(stream), false)
}

/// Where it listens without TLS.
fn plain(said: &str) -> Option<SocketAddr> {
    let rest = said.split("http://").nth(1)?;
    rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next()?.parse().ok()
}

#[track_caller]
fn within(patience: Duration, what: &str, happens: impl Fn() -> bool) {
    let started = Instant::now();
    while !happens() {
        assert!(started.elapsed() < patience, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
