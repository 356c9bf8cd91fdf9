//! What only a PostgreSQL database can do, beside what every store must.

use std::collections::BTreeSet;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::{
    server::{Database, PASSWORD, ROLE, Server},
    *,
};
use crate::clock::{Clock, Stopwatch};

#[path = "every.rs"]
mod every;

struct Shared;

impl Kind for Shared {
    type Place = Database<'static>;

    fn place() -> Self::Place {
        Server::shared().database()
    }

    fn settings(database: &Self::Place) -> Settings {
        Settings::Postgres(of(database))
    }

    fn backup(database: &Self::Place) -> Self::Place {
        database.server.copy_of(&database.name)
    }
}

type TheKind = Shared;
type Bench = AnyBench<Shared>;

/// One sentence, which is all that an operator sees, and not the password; within the time that anybody waits.
#[track_caller]
fn refusal(settings: PostgresSettings) -> String {
    let begun = Stopwatch::start();
    let settings = Settings::Postgres(settings);
    let probed = Store::probe(&settings).unwrap_err().to_string();
    let opened = Store::open(&settings).unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}: {opened}", begun.elapsed());
    assert_eq!(probed, opened);
    assert!(!opened.contains('\n') && !opened.contains(PASSWORD), "{opened}");
    opened
}

fn by_tcp(database: &Database<'_>, host: &str, password: &str, tls: DatabaseTls) -> PostgresSettings {
    PostgresSettings {
        servers: vec![DatabaseServer::Tcp(host.to_owned(), database.server.port())],
        password: Some(password.as_bytes().to_vec().into()),
        tls,
        ..of(database)
    }
}

fn tables(database: &Database<'_>) -> String {
    database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'portcullis'")
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_whatever_the_databases_default_is() {
    let database = Shared::place();
    for (default, used) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = {default}", database.name));
        let store = Store::open(&Shared::settings(&database)).unwrap();
        match store.durability().await.unwrap() {
            Durability::Postgres { synchronous_commit, .. } => assert_eq!(synchronous_commit, used),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_probe_makes_nothing_and_an_opening_what_is_missing() {
    let database = Shared::place();
    let settings = Shared::settings(&database);
    Store::probe(&settings).unwrap();
    assert_eq!(tables(&database), "0");
    // All that a careful operator leaves the gateway's role: a schema of its own.
    database.sql(&format!("REVOKE CREATE ON DATABASE {} FROM {ROLE}, public", database.name));
    database.sql(&format!("ALTER DATABASE {} OWNER TO postgres", database.name));
    let refused = Store::open(&settings).unwrap_err().to_string();
    assert!(
        refused.contains("permission denied for database") && refused.contains("AUTHORIZATION"),
        "{refused}"
    );
    database.sql(&format!("CREATE SCHEMA portcullis AUTHORIZATION {ROLE}"));
    Store::probe(&settings).unwrap();
    Store::open(&settings).unwrap().close();
    Store::open(&settings).unwrap().close();
    Store::probe(&settings).unwrap();
}

#[test]
fn gateways_that_start_at_once_make_the_schema_once() {
    let database = Shared::place();
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| Store::open(&Shared::settings(&database)).map(Store::close)))
            .collect();
        for store in opened {
            store.join().unwrap().unwrap();
        }
    });
    assert_eq!(database.sql("SELECT count(*) FROM portcullis.migrations"), "1");
}

#[test]
fn tables_of_others_are_left_alone_and_ours_are_ours() {
    let foreign = Shared::place();
    // A backend's own tables of the same names, where a careless statement would find them first.
    foreign.sql("CREATE TABLE users (id text); CREATE TABLE sessions (id text); CREATE TABLE migrations (version int)");
    Store::open(&Shared::settings(&foreign)).unwrap().close();
    assert_eq!(foreign.sql("SELECT count(*) FROM public.users"), "0");

    for taken in [
        "CREATE TABLE portcullis.users (id text)",
        "CREATE TABLE portcullis.migrations (name text)",
        "CREATE TABLE portcullis.migrations (version integer)",
    ] {
        let database = Shared::place();
        database.sql(&format!("CREATE SCHEMA portcullis AUTHORIZATION {ROLE}; SET ROLE {ROLE}; {taken}"));
        let error = refusal(of(&database));
        assert!(error.contains("belongs to another program"), "{taken}: {error}");
    }
}

#[test]
fn an_altered_schema_is_refused_and_one_from_the_future_too() {
    let database = Shared::place();
    Store::open(&Shared::settings(&database)).unwrap().close();
    for (alteration, named, repair) in [
        (
            "DROP INDEX portcullis.names_by_canonical",
            "names_by_canonical is missing",
            "CREATE INDEX names_by_canonical ON portcullis.names (canonical)",
        ),
        ("CREATE TABLE portcullis.extra (n int)", "extra", "DROP TABLE portcullis.extra"),
        ("CREATE VIEW portcullis.v AS SELECT 1", "v", "DROP VIEW portcullis.v"),
        (
            "ALTER TABLE portcullis.users ADD COLUMN admin boolean",
            "users.admin boolean is not known",
            "ALTER TABLE portcullis.users DROP COLUMN admin",
        ),
        (
            "ALTER TABLE portcullis.users ALTER COLUMN disabled DROP NOT NULL",
            "users.disabled boolean not null is missing or was changed",
            "ALTER TABLE portcullis.users ALTER COLUMN disabled SET NOT NULL",
        ),
        (
            "CREATE RULE quiet AS ON INSERT TO portcullis.revocations DO INSTEAD NOTHING",
            "rule quiet",
            "DROP RULE quiet ON portcullis.revocations",
        ),
        (
            "CREATE TRIGGER quiet BEFORE INSERT ON portcullis.revocations
             FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
            "trigger quiet",
            "DROP TRIGGER quiet ON portcullis.revocations",
        ),
        (
            "ALTER TABLE portcullis.revocations ENABLE ROW LEVEL SECURITY",
            "table revocations",
            "ALTER TABLE portcullis.revocations DISABLE ROW LEVEL SECURITY",
        ),
        (
            "CREATE FUNCTION portcullis.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "function f",
            "DROP FUNCTION portcullis.f",
        ),
    ] {
        database.sql(alteration);
        let error = refusal(of(&database));
        assert!(error.contains("has an altered schema") && error.contains(named), "{alteration}: {error}");
        database.sql(repair);
        Store::probe(&Shared::settings(&database)).unwrap();
    }
    database.sql("INSERT INTO portcullis.migrations VALUES (7)");
    let error = refusal(of(&database));
    assert!(error.contains("schema version 7, and this program knows versions up to 1"), "{error}");
}

#[test]
fn whoever_cannot_be_reached_or_refuses_is_said_in_a_sentence() {
    let database = Shared::place();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = port.local_addr().unwrap().port();
    let local = |password| by_tcp(&database, "127.0.0.1", password, DatabaseTls::Prefer);
    let at = |server| PostgresSettings { servers: vec![server], ..local(PASSWORD) };
    let crowded = Shared::place();
    crowded.sql(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", crowded.name));
    let standby = Shared::place();
    standby.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", standby.name));
    for (settings, expected) in [
        (
            local("wrong"),
            "password authentication failed for user \"gateway\": see `store.password`, and the user in `store.url`",
        ),
        (
            PostgresSettings { password: None, ..local("") },
            "its server asks for a password, and there is none: set `store.password`",
        ),
        (
            PostgresSettings { database: "nowhere".to_owned(), ..local(PASSWORD) },
            "\"nowhere\" does not exist: make it, or name another one in `store.url`",
        ),
        (
            PostgresSettings { user: "nobody".to_owned(), ..local(PASSWORD) },
            "see `store.password`, and the user",
        ),
        (
            PostgresSettings { user: "nobody".to_owned(), ..of(&database) },
            "role \"nobody\" does not exist: see the user and `sslmode` in `store.url`",
        ),
        (
            PostgresSettings { database: crowded.name.clone(), ..local(PASSWORD) },
            "a gateway takes up to nine: raise `max_connections` of the server",
        ),
        (
            PostgresSettings { database: standby.name.clone(), ..local(PASSWORD) },
            "it is a standby, or set to read only (default_transaction_read_only); name the primary, or all",
        ),
        (
            at(DatabaseServer::Tcp("127.0.0.1".to_owned(), 1)),
            "Connection refused (os error 111): nobody listens there; see host and port in `store.url`",
        ),
        (
            at(DatabaseServer::Tcp("host.invalid".to_owned(), 5432)),
            "a host has no address; see its name in `store.url`",
        ),
        (
            at(DatabaseServer::Socket("/nonexistent".into(), 5432)),
            "there is no such socket; see host and port in `store.url`",
        ),
        // It accepts, and never says a word.
        (at(DatabaseServer::Tcp("127.0.0.1".to_owned(), silent)), "no answer within 5 s"),
    ] {
        let error = refusal(settings);
        assert!(error.starts_with("the database `") && error.contains(expected), "{error}");
    }
}

/// Servers whose certificates no real one would start with, and one without.
#[test]
fn whoever_does_not_prove_itself_is_said_with_the_key_to_change() {
    let database = Shared::place();
    let showing = |to: fn(&mut rcgen::CertificateParams)| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        to(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let server =
            rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
                )
                .unwrap();
        (Some(std::sync::Arc::new(server)), DatabaseTls::VerifyFull(std::sync::Arc::new(roots)))
    };
    let issuer = |params: &mut rcgen::CertificateParams| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    let past = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let future = |params: &mut rcgen::CertificateParams| params.not_before = rcgen::date_time_ymd(4001, 1, 1);
    for ((server, tls), expected) in [
        (
            showing(issuer),
            "it one that an issuer has signed, and name that issuer's by `sslrootcert` in `store.url`",
        ),
        (showing(past), "its server's certificate is out of date"),
        (showing(future), "its server's certificate is of the future"),
        (
            (None, showing(past).1),
            "its server speaks no TLS: turn that on there, or ask for less by `sslmode`",
        ),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            // Probed and opened, at each address that the name has.
            while let Ok((stream, _)) = listener.accept() {
                answer_tls_request(stream, server.clone());
            }
        });
        let servers = vec![DatabaseServer::Tcp("localhost".to_owned(), port)];
        let error = refusal(PostgresSettings { servers, ..by_tcp(&database, "localhost", PASSWORD, tls) });
        assert!(error.contains(expected), "{error}");
    }
}

/// As a server answers `SSLRequest` (PostgreSQL's protocol, section 54.2.11).
fn answer_tls_request(mut stream: std::net::TcpStream, server: Option<std::sync::Arc<rustls::ServerConfig>>) {
    use std::io::{Read as _, Write as _};
    let mut request = [0; 8];
    stream.read_exact(&mut request).unwrap();
    let Some(server) = server else { return stream.write_all(b"N").unwrap() };
    stream.write_all(b"S").unwrap();
    let mut tls = rustls::ServerConnection::new(server).unwrap();
    while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
}

#[tokio::test]
async fn the_next_server_is_asked_where_the_first_one_is_gone() {
    let database = Shared::place();
    let mut settings = by_tcp(&database, "127.0.0.1", PASSWORD, DatabaseTls::Prefer);
    settings.servers.insert(0, DatabaseServer::Tcp("127.0.0.1".to_owned(), 1));
    let store = Store::open(&Settings::Postgres(settings)).unwrap();
    assert_eq!(store.log_head().await.unwrap(), 0);
}

#[tokio::test]
async fn the_server_proves_itself_where_that_is_asked() {
    let database = Shared::place();
    let is_encrypted = |tls, host| {
        let store = Store::open(&Settings::Postgres(by_tcp(&database, host, PASSWORD, tls)));
        store.map(|store| {
            let count = "SELECT string_agg(DISTINCT ssl::text, ' ') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                         WHERE usename = 'gateway' AND datname = current_database() AND application_name = 'portcullis'";
            // The pool is empty until somebody asks.
            (store, count)
        })
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(database.server.certificate()).unwrap()).unwrap();
    let verified = DatabaseTls::VerifyFull(std::sync::Arc::new(roots));
    for (tls, expected) in [
        (DatabaseTls::Disable, "false"),
        (DatabaseTls::Prefer, "true"),
        (DatabaseTls::Require, "true"),
        (verified.clone(), "true"),
    ] {
        let (store, sql) = is_encrypted(tls.clone(), "localhost").unwrap();
        store.log_head().await.unwrap();
        store.users(None, 1).await.unwrap();
        assert_eq!(database.sql(sql), expected, "{tls:?}");
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        // Ended on the server too, before the next one is looked at.
        while database.sql(sql) == expected {}
    }
    let error = refusal(by_tcp(&database, "127.0.0.1", PASSWORD, verified));
    assert!(error.contains("has another name") && error.contains("see the host in `store.url`"), "{error}");
    let nobody = DatabaseTls::VerifyFull(std::sync::Arc::new(rustls::RootCertStore::empty()));
    let error = refusal(by_tcp(&database, "localhost", PASSWORD, nobody));
    assert!(error.contains("an issuer that nobody here believes: name that issuer's certificate"), "{error}");
}

/// Five seconds ahead of the database, and five behind.
#[tokio::test]
async fn gateways_whose_clocks_are_apart_take_no_lagging_tab_for_a_thief() {
    let database = Shared::place();
    let judged = || Settings::Postgres(PostgresSettings { judge: Judge::Database, ..of(&database) });
    let (ahead, behind) = (Store::open(&judged()).unwrap(), Store::open(&judged()).unwrap());
    let clock = Clock::system();
    let early = || clock.now().plus(Duration::from_secs(5));
    let late = || clock.now().minus(Duration::from_secs(5));
    let user = ahead.create_user(new_user("ada"), None, early()).await.unwrap().user;
    let apart = user.created_at.since(clock.now()).max(clock.now().since(user.created_at));
    assert!(apart < Duration::from_secs(4), "an account is made when the database says so");
    let new = new_session(early());
    let first = new.refresh;
    let session = ahead.open_session(&user.id, HASH, new, early()).await.unwrap().session;

    let issued_at = late();
    let second = behind.refresh(request(&user.id, session, first), issued_at).await.unwrap();
    // By the clock of whoever mints it, or it would refuse its own token.
    assert_eq!((second.refresh.issued_at, second.access.issued_at), (issued_at, issued_at));
    let repeated = ahead.refresh(request(&user.id, session, first), early()).await.unwrap();
    assert_eq!(repeated, second);
    let third = behind.refresh(request(&user.id, session, second.refresh.id), late()).await.unwrap();
    let lagging = ahead.refresh(request(&user.id, session, first), early()).await.unwrap();
    assert_eq!(lagging, third);
    let instant = behind.end_sessions_of(&user.id, T0, late()).await.unwrap().remove(0);
    let Revoked::UserInstant { at, .. } = instant.what else { panic!("{instant:?}") };
    assert!(at.since(clock.now()).max(clock.now().since(at)) < Duration::from_secs(4));
}

#[tokio::test]
async fn a_reader_of_the_log_skips_nothing_that_is_still_to_be_committed() {
    let bench = Bench::new();
    let others: Vec<Store> = (0..4).map(|_| bench.elsewhere()).collect();
    let writers: Vec<_> = (0..120)
        .map(|n| {
            let store = others[n % others.len()].clone();
            tokio::spawn(async move {
                store.revoke_token(TokenId::random(), T0).await.unwrap().remove(0).sequence
            })
        })
        .collect();
    let mut read = BTreeSet::new();
    let mut last = 0;
    let mut are_done = false;
    // Once more behind the last commit.
    while !are_done {
        are_done = writers.iter().all(|writer| writer.is_finished());
        for entry in bench.log_after(last, 1000).await {
            last = entry.sequence;
            read.insert(last);
        }
    }
    for writer in writers {
        assert!(read.contains(&writer.await.unwrap()));
    }
}

#[tokio::test]
async fn logins_before_a_logout_everywhere_die_by_its_number_and_those_after_it_live() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let elsewhere = bench.elsewhere();
    let mut logins = Vec::new();
    let mut instants = Vec::new();
    for n in 0..60 {
        let store = if n % 2 == 0 { bench.store.clone() } else { elsewhere.clone() };
        let ada = ada.clone();
        if n % 10 == 5 {
            instants.push(tokio::spawn(async move {
                store.end_sessions_of(&ada, T0, T0).await.unwrap().remove(0).sequence
            }));
        } else {
            logins.push(tokio::spawn(async move {
                store.open_session(&ada, HASH, new_session(T0), T0).await.unwrap().session
            }));
        }
    }
    let mut last = 0;
    for instant in instants {
        last = last.max(instant.await.unwrap());
    }
    let mut living = BTreeSet::new();
    for login in logins {
        let session = login.await.unwrap();
        if session.sequence().unwrap() >= last {
            living.insert(session);
        }
    }
    // What the numbers say is what the rows say.
    let left = bench.store.sessions_of(&ada, T0, 100).await.unwrap();
    assert_eq!(left.into_iter().map(|session| session.id).collect::<BTreeSet<_>>(), living);
}

/// Everything that takes locks, on one user, at once: nobody waits for ever, and nobody is told of it.
#[tokio::test]
async fn operations_at_once_get_out_of_each_others_way() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let elsewhere = bench.elsewhere();
    let few = |now| NewSession { per_user: 3, ..new_session(now) };
    let work: Vec<_> = (0..80_u64)
        .map(|n| {
            let store = if n % 2 == 0 { bench.store.clone() } else { elsewhere.clone() };
            let ada = ada.clone();
            tokio::spawn(async move {
                let opened = store.open_session(&ada, HASH, few(seconds(n)), seconds(n)).await;
                let session = match opened {
                    Ok(opened) => opened.session,
                    Err(error) => {
                        assert_eq!(error, OpenSessionError::AccountChanged);
                        SessionId::opened_at(0)
                    }
                };
                match n % 6 {
                    0 => drop(store.end_sessions_of(&ada, T0, T0).await.unwrap()),
                    1 => drop(store.end_session(session, None).await.unwrap()),
                    2 => drop(store.block_user(&ada, T0, T0).await.unwrap()),
                    3 => drop(store.unblock_user(&ada, T0).await.unwrap()),
                    4 => drop(store.sweep(T0, 10).await.unwrap()),
                    _ => {
                        let refreshed = store.refresh(request(&ada, session, TokenId::random()), T0).await;
                        assert!(!matches!(refreshed, Err(RefreshError::Store(_))), "{refreshed:?}");
                    }
                }
            })
        })
        .collect();
    for done in work {
        done.await.unwrap();
    }
}

#[tokio::test]
async fn a_hint_comes_with_what_others_append() {
    let bench = Bench::new();
    let elsewhere = bench.elsewhere();
    bench.store.change_marker().await.unwrap();
    let hinted = tokio::spawn({
        let store = bench.store.clone();
        async move { store.hint().await }
    });
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), hinted).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_way_that_was_opened_anew_shows_in_the_marker() {
    let bench = Bench::new();
    let first = bench.store.change_marker().await.unwrap();
    bench.place.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = 'portcullis'",
    );
    // The first question may still find the old one dying.
    let second = match bench.store.change_marker().await {
        Ok(marker) => marker,
        Err(_) => bench.store.change_marker().await.unwrap(),
    };
    assert_ne!(second.way, first.way);
    assert_eq!(second.change, first.change);
}

#[tokio::test]
async fn a_log_that_has_lost_entries_goes_on_above_them() {
    let bench = Bench::new();
    // By a clock that is ahead of this one.
    let lost = 3_999_999_999_999;
    bench.store.raise_log(lost).await.unwrap();
    assert_eq!(bench.store.log_head().await.unwrap(), lost);
    bench.store.raise_log(7).await.unwrap();
    assert_eq!(bench.store.revoke_token(TokenId::random(), T0).await.unwrap()[0].sequence, lost + 1);
    assert_eq!(bench.store.revoke_token(TokenId::random(), T0).await.unwrap()[0].sequence, lost + 2);
}

#[tokio::test]
async fn operations_outlive_connections_that_the_server_ends() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    for _ in 0..3 {
        bench.place.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                         AND application_name = 'portcullis'",
        );
        bench.session(&ada, T0).await;
        assert!(bench.store.user(&ada).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_is_not_waited_for() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, _) = bench.session(&ada, T0).await;
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(1349678179, 3); SELECT pg_sleep(30)";
    let held = std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| std::panic::catch_unwind(|| bench.place.server.sql(&bench.place.name, hold)));
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        while bench.place.sql(sleeping) == "0" {}
        let begun = Stopwatch::start();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = bench.store.clone();
        let ended =
            std::thread::spawn(move || runtime.block_on(store.end_session(session, None))).join().unwrap();
        let took = begun.elapsed();
        bench.place.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                         AND datname = current_database()",
        );
        let _ = holder.join();
        (ended, took)
    });
    let told = "canceling statement due to lock timeout: somebody else holds a lock in the store: try again; pg_locks and \
                pg_stat_activity say who";
    assert_eq!(held.0, Err(StoreError::Unavailable(told.to_owned())));
    assert!(held.1 < Duration::from_secs(6), "{:?}", held.1);
    assert_eq!(bench.store.end_session(session, None).await.unwrap().len(), 1, "it was not ended before");
}

/// An administrator has taken something back, or made something as somebody else.
#[tokio::test]
async fn what_the_role_may_not_do_is_said_with_what_to_grant() {
    let bench = Bench::new();
    for (taken, lacks, hint) in [
        ("ALL ON portcullis.users FROM", "for table users", "GRANT ALL ON ALL TABLES IN SCHEMA portcullis"),
        (
            "USAGE ON SCHEMA portcullis FROM",
            "for schema portcullis",
            "GRANT USAGE, CREATE ON SCHEMA portcullis",
        ),
    ] {
        bench.place.sql(&format!(
            "ALTER SCHEMA portcullis OWNER TO postgres; ALTER TABLE portcullis.users OWNER TO postgres;
             GRANT ALL ON SCHEMA portcullis TO {ROLE}; GRANT ALL ON portcullis.users TO {ROLE}; REVOKE {taken} {ROLE}"
        ));
        let told = bench.store.users(None, 1).await.unwrap_err().to_string();
        assert!(told.contains(&format!("permission denied {lacks}: {hint}")), "{told}");
    }
}

#[tokio::test]
async fn a_name_that_no_text_can_hold_is_nobodys() {
    let bench = Bench::new();
    bench.user("ada").await;
    assert_eq!(bench.store.account_by_name(&name("ada\0"), true, true).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_opens_a_session_leaves_none() {
    let bench = Bench::new();
    let elsewhere = bench.elsewhere();
    let ada = bench.user("ada").await;
    for _ in 0..30 {
        let token = TokenId::random();
        let session = NewSession { refresh: token, ..new_session(T0) };
        let adoption = Adoption { user: ada.clone(), issued_at: Some(T0), login_at: T0, session };
        let twice = elsewhere.adopt_session(adoption.clone(), T0);
        let (first, second, revoked) = tokio::join!(
            bench.store.adopt_session(adoption, T0),
            twice,
            elsewhere.revoke_token(token, T0.plus(REFRESH))
        );
        revoked.unwrap();
        if let (Ok(first), Ok(second)) = (&first, &second) {
            assert_eq!(first.session, second.session);
        }
        for refused in [first, second].into_iter().filter_map(Result::err) {
            assert_eq!(refused, OpenSessionError::AccountChanged);
        }
        assert_eq!(bench.store.sessions_of(&ada, T0, 10).await.unwrap(), []);
    }
}

/// No bound of the server's own ends that wait, nor the end of the connection.
#[tokio::test]
async fn commits_that_wait_for_a_standby_that_is_gone_take_no_more_connections_than_the_pool_has() {
    let server = Server::start(false);
    let database = server.database();
    let by_tls = by_tcp(&database, "127.0.0.1", PASSWORD, DatabaseTls::Require);
    let store = Store::open(&Settings::Postgres(by_tls)).unwrap();
    let wait_for = |standby| {
        server.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    let count = |which| {
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'portcullis'";
        server.sql("postgres", &format!("{ours}{which}")).parse::<u32>().unwrap()
    };
    let waiting = || count(" AND wait_event = 'SyncRep'");
    // Each of its own, so that none waits for another's lock.
    let mut users = Vec::new();
    for number in 0..24 {
        users.push(store.create_user(new_user(&format!("user{number}")), None, T0).await.unwrap().user.id);
    }
    let write = |user: UserId| {
        let store = store.clone();
        tokio::spawn(async move {
            let done = store.rehash(&user, HASH, HASH).await;
            (user, done)
        })
    };
    wait_for("gone");
    let mut unknown = 0;
    while unknown < 16 {
        let round: Vec<_> = users.drain(..8).map(write).collect();
        for written in round {
            match written.await.unwrap() {
                // The server needs a moment to take note.
                (user, Ok(true)) => users.push(user),
                (_, Err(StoreError::Unavailable(_))) => unknown += 1,
                other => panic!("{other:?}"),
            }
        }
        let (all, waiting) = (count(""), waiting());
        assert!(all <= 9 + 3, "{all} connections, of which {waiting} wait for the standby");
    }
    let begun = Stopwatch::start();
    while waiting() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} wait on", waiting());
    }

    wait_for("");
    let begun = Stopwatch::start();
    while !matches!(write(users[0].clone()).await.unwrap(), (_, Ok(true))) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not recover");
    }
    assert!(count("") <= 9);
}

/// Or that user would be shut out for as long, but for sessions.
#[tokio::test]
async fn an_instant_is_hardly_beyond_the_databases_clock_however_far_ahead_a_gateways_is() {
    let database = Shared::place();
    let settings = PostgresSettings { judge: Judge::Database, ..of(&database) };
    let store = Store::open(&Settings::Postgres(settings)).unwrap();
    let clock = Clock::system();
    let user = store.create_user(new_user("ada"), None, clock.now()).await.unwrap().user.id;
    let instant = |revoked: Vec<Revocation>| {
        let mut instants = revoked.into_iter().filter_map(|revocation| match revocation.what {
            Revoked::UserInstant { at, .. } => Some(at),
            _ => None,
        });
        instants.next_back().unwrap()
    };
    for (ahead, allowed) in [(5, 5), (20 * 60, 10), (86_400, 10)] {
        let (ahead, allowed) = (Duration::from_secs(ahead), Duration::from_secs(allowed));
        for way in ["end", "password", "block", "delete"] {
            let before = clock.now();
            let now = before.plus(ahead);
            let revoked = match way {
                "end" => store.end_sessions_of(&user, T0, now).await.unwrap(),
                "password" => store.change_password(&user, None, HASH, None, T0, now).await.unwrap().1,
                "block" => store.block_user(&user, T0, now).await.unwrap(),
                _ => {
                    let name = format!("user{}", ahead.as_secs());
                    let deleted = store.create_user(new_user(&name), None, before).await.unwrap().user.id;
                    store.delete_user(&deleted, T0, now).await.unwrap()
                }
            };
            let at = instant(revoked);
            assert!(at >= before.plus(allowed), "{way}: {at} at {before}");
            assert!(at <= clock.now().plus(allowed), "{way}: {at}, though it is {}", clock.now());
        }
    }
}
