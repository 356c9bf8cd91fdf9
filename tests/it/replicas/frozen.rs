//! Gateways and databases that are there and do nothing: a paused container, a machine that swaps, a debugger.

use super::*;

/// Between the log's lock and the commit, where it keeps everybody else from revoking.
#[test]
fn a_gateway_that_stops_in_a_transaction_keeps_nobody_from_revoking() {
    let database = Server::shared().database();
    let replicas = Replicas::on(&database);
    let [stopped, other, _] = &replicas.gateways[..] else { unreachable!() };
    replicas.register("ada");
    let (doomed, ended) = (replicas.login(0, "ada"), replicas.login(1, "ada"));
    // What every revocation takes before it writes, with nothing to be decided any more.
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(1349678179, 3); SELECT pg_sleep(60)";
    thread::scope(|scope| {
        scope.spawn(|| std::panic::catch_unwind(|| database.sql(hold)));
        let holder = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        eventually("the lock is held", || database.sql(&format!("SELECT count(*) {holder}")) == "1");
        let asked = scope.spawn(|| stopped.logout(&doomed.access));
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'portcullis'
                       AND datname = current_database() AND wait_event_type = 'Lock'";
        eventually("the gateway waits for the lock", || database.sql(waiting) == "1");
        let process = stopped.process.as_ref().unwrap();
        process.signal("-STOP");
        // Now the lock is the stopped gateway's.
        database.sql(&format!("SELECT pg_terminate_backend(pid) {holder}; {UNTIL_IDLE_IN_TRANSACTION}"));

        let began = Instant::now();
        assert_eq!(other.logout(&ended.access), Some(200), "after {:?}", began.elapsed());
        assert_eq!(other.status(&ended.access), Some(401));

        process.signal("-CONT");
        // Whatever it says, the token is dead.
        assert!(matches!(asked.join().unwrap(), Some(200 | 503)));
    });
    assert_eq!(stopped.status(&doomed.access), Some(401));
    replicas.dead_everywhere(&ended.access, "while another gateway was stopped");
    replicas.dead_everywhere(&doomed.access, "by the gateway that was stopped");
}

/// Operators hear of a database that says nothing, once, and of its return.
#[test]
fn a_database_that_hangs_is_told_of_once() {
    let server = Server::start(false);
    let database = server.database();
    let store = format!("url = \"{}\"\nmax_staleness = \"3s\"", database.url());
    let replicas = Replicas::start(|_| vec![store]);
    let gateway = &replicas.gateways[0];
    let process = gateway.process.as_ref().unwrap();
    let session = replicas.register("ada");
    let before = process.said().len();
    let told = |level: &str| {
        let said = process.said();
        let lines = said[before..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["level"] == level);
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let errors = |word: &str| told("ERROR").into_iter().filter(|line| line.contains(word)).count();
    server.freeze();
    within(PATIENCE, "operators hear of it", || errors("cannot read the store") >= 1);
    within(PATIENCE, "and that nobody is let in", || errors("`max_staleness`") >= 1);
    assert_eq!(gateway.status(&session.access), Some(503));
    let failures = || process.metric("portcullis_store_failures_total");
    within(PATIENCE, "it looks again, in vain", || failures() >= 2);
    server.thaw();
    within(PATIENCE, "it works again", || gateway.status(&session.access) == Some(200));
    within(PATIENCE, "operators hear that it is back", || {
        told("INFO").iter().any(|line| line.contains("has caught up with the store"))
    });
    // What is wrong may be told in other words as it goes on, and nothing else is wrong.
    let told = told("ERROR");
    let different = told.iter().collect::<std::collections::BTreeSet<_>>().len();
    let feed = errors("cannot read the store");
    assert!(different == told.len() && feed + 1 == told.len() && errors("`max_staleness`") == 1, "{told:#?}");
}

/// Until the store is given up on, which takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends when the gateway has got what it waited for, and says nothing any more.
const UNTIL_IDLE_IN_TRANSACTION: &str = "
    DO $$ BEGIN
        FOR step IN 1..150 LOOP
            PERFORM pg_stat_clear_snapshot();
            IF EXISTS (SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'
                       AND application_name = 'portcullis' AND datname = current_database()) THEN
                RETURN;
            END IF;
            PERFORM pg_sleep(0.01);
        END LOOP;
        RAISE 'the gateway was not stopped in a transaction';
    END $$";
