//! Past `max_staleness` what is open ends too: nobody could say that its token was not revoked.

use std::{thread, time::Instant};

use tempfile::TempDir;

use super::*;
use crate::{
    harness::postgres::{Database, Server},
    staleness::Unreadable,
};

/// `/neighbour` needs no token, whoever asks for it.
fn config(backend: &Backend, store: &str) -> String {
    let address = backend.upstream.address;
    let neighbour = format!(
        "[[route]]\npath = \"/neighbour\"\naccess = \"public\"\nupstream = \"http://{address}\"\n\
         [[route]]\npath = \"/neighbour\"\nhosts = [\"optional\"]\naccess = \"optional\"\nupstream = \"http://{address}\"\n"
    );
    format!("[store]\n{store}{}{neighbour}", backend.config())
}

/// More than a busy machine keeps the feed from its turn.
const LIMITED: &str = "max_staleness = \"3s\"\n";

/// How a store gets lost, and comes back: what it gives then is what it had.
trait Loss {
    fn lose(&mut self, gateway: &TestGateway);
    fn find(&mut self);
}

#[derive(Default)]
struct OfSqlite(Option<Unreadable>);

impl Loss for OfSqlite {
    fn lose(&mut self, gateway: &TestGateway) {
        self.0 = Some(Unreadable::put_into(gateway.folder()));
    }

    fn find(&mut self) {
        self.0.take().unwrap().take_out();
    }
}

struct OfPostgres<'s>(Database<'s>);

impl Loss for OfPostgres<'_> {
    fn lose(&mut self, _: &TestGateway) {
        self.0.sql("ALTER TABLE portcullis.revocations RENAME TO elsewhere");
    }

    fn find(&mut self) {
        self.0.sql("ALTER TABLE portcullis.elsewhere RENAME TO revocations");
    }
}

#[test]
fn what_was_opened_by_a_token_ends_with_the_knowledge_of_its_revocation() {
    check("", OfSqlite::default());
    let database = Server::shared().database();
    check(&format!("url = \"{}\"\n", database.url()), OfPostgres(database));
}

fn check(store: &str, mut loss: impl Loss) {
    let backend = Backend::start();
    let gateway = TestGateway::with(&config(&backend, &format!("{store}{LIMITED}")));
    let unlimited = TestGateway::beside(&gateway, &config(&backend, store));
    let access = gateway.register("ada").member("access");
    let cut =
        |gateway, reason| metric(gateway, &format!("portcullis_answers_cut_total{{reason=\"{reason}\"}}"));
    let opened = Opened::open(&backend, &gateway, &access, &access);
    let mut elsewhere = open(&backend, &unlimited, "/border", &access);
    // Not synchronisation: for longer than the limit, nothing is cut while the store is there.
    thread::sleep(Duration::from_millis(3500));
    assert_eq!((cut(&gateway, "stale"), metric(&gateway, "portcullis_tunnels")), (0, 2));

    let lost = Instant::now();
    loss.lose(&gateway);
    opened.assert_cut("stale", STALE);
    // The last look was at most a fifth of a second before, give or take what the busy machine adds.
    let after = lost.elapsed();
    assert!(after > Duration::from_millis(1500) && after < Duration::from_secs(10), "{after:?}");
    eventually("no tunnel is left", || metric(&gateway, "portcullis_tunnels") == 0);
    assert_eq!((cut(&gateway, "stale"), cut(&gateway, "revoked"), cut(&gateway, "expired")), (10, 0, 0));
    // Without a limit, what is known counts.
    assert_eq!((cut(&unlimited, "stale"), metric(&unlimited, "portcullis_tunnels")), (0, 1));

    loss.find();
    eventually("the log is read again", || gateway.operator("/readyz").status == 200);
    let mut again = open(&backend, &gateway, "/border", &access);
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    for stream in [&mut again, &mut elsewhere] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, REVOKED);
    }

    let log = gateway.stop();
    let of = |path: &str| log.iter().filter(move |line| line["path"] == path).collect::<Vec<_>>();
    for path in ["/events", "/length", "/close", "/both", "/middle"] {
        for line in of(path) {
            assert_eq!((&line["cut"], &line["verdict"]), (&json!("stale"), &json!("allowed")), "{line}");
            assert_eq!((&line["aborted"], &line["user_id"].is_string()), (&json!(true), &true), "{line}");
        }
    }
    for line in [of("/poll"), of("/upload")].concat() {
        assert_eq!((&line["cut"], &line["verdict"]), (&json!("stale"), &json!("stale")), "{line}");
        assert_eq!((&line["status"], &line["aborted"]), (&json!(503), &json!(false)), "{line}");
    }
    for line in of("/neighbour") {
        assert_eq!((line.get("cut"), &line["aborted"]), (None, &json!(false)), "{line}");
    }
}

/// As its judge has it: on such a route who has no token needs nobody to vouch for one.
#[test]
fn on_an_optional_route_nobody_is_cut_who_is_nobody() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&config(&backend, LIMITED));
    let access = gateway.register("ada").member("access");
    let at = |lines: &[&str]| {
        let mut stream = gateway.connect();
        let head = String::from_utf8(request("GET", "/neighbour", lines, b"")).unwrap();
        stream.get_mut().write_all(head.replace("Host: localhost", "Host: optional").as_bytes()).unwrap();
        backend.asked("/neighbour");
        stream
    };
    let (mut nobody, mut ada) = (at(&[]), at(&[&bearer(&access)]));
    let unreadable = Unreadable::put_into(gateway.folder());
    ada.read_to_end(&mut Vec::new()).unwrap_err();
    // The cut, and not our own patience, has ended it.
    eventually("it is cut", || metric(&gateway, "portcullis_answers_cut_total{reason=\"stale\"}") == 1);
    // One of them waits for the upstream that its client no longer does.
    (0..2).for_each(|_| backend.go.send(()).unwrap());
    assert!(read_until(&mut nobody, END).ends_with(b"5\r\nworld\r\n0\r\n\r\n"));
    unreadable.take_out();
}

/// After a pause of the machine the feed has a turn first: nobody shall be thrown out who could stay.
#[test]
fn a_process_that_was_stopped_cuts_nothing_that_it_can_vouch_for() {
    let backend = Backend::start();
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &config(&backend, LIMITED));
    let user = crate::harness::registration("ada");
    gateway.post("/api/auth/register/", &user).expect(201);
    let lasts = || {
        let login = gateway.post("/api/auth/login/", &crate::harness::credentials("ada")).expect(200);
        let access = login.member("access");
        let mut stream = open(&backend, &gateway, "/border", &access);
        gateway.signal("-STOP");
        // Not synchronisation: the time itself is what is tried.
        thread::sleep(Duration::from_millis(3300));
        gateway.signal("-CONT");
        thread::sleep(Duration::from_millis(700));
        gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest == REVOKED
    };
    // A busy machine may keep the feed from its turn once, or twice.
    assert!((0..5).any(|_| lasts()), "it is cut whenever the process was stopped");
}
