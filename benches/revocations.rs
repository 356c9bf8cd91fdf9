//! What ten million live revocations cost: `cargo bench --bench revocations [-- COUNT [URL]]`.
//!
//! Fills a log in SQLite, or in the PostgreSQL database that `URL` names as `[store] url` does; the password is taken
//! from `PGPASSWORD`, as by `psql`. That database must not have been a gateway's, is reached without TLS to be filled,
//! and loses the schema `portcullis` afterwards.
//!
//! Starts from the log as the gateway does, and prints bytes, times and pauses. A reader that does nothing but ask
//! measures the pauses, once with and once without a sweep or inserts beside it, since a busy machine pauses by itself.
//! For the same reason the start is told in processor time too. Nothing here passes or fails.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement reports by failing")]
#![allow(clippy::disallowed_methods, reason = "it measures by the wall clock, and takes an argument")]

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    clock::{Clock, Timestamp},
    config,
    id::TokenId,
    metrics::Metrics,
    revocation::{Feed, RevocationList},
    store::{Revocation, Revoked, Settings, Store},
    token::{TokenKind, Verified},
};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(10_000_000_u64);
    let url = std::env::args().skip(1).find(|word| word.contains("://"));
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let (settings, database) = match &url {
        None => (Settings::Sqlite { path: folder.path().join("revocations.db") }, None),
        Some(url) => (settings_of(url, folder.path()), Some(runtime.block_on(connect(url)))),
    };
    let store = Store::open(&settings).unwrap();
    assert_eq!(runtime.block_on(store.log_head()).unwrap(), 0, "the database is somebody's");
    store.close();

    let began = Instant::now();
    let size = match (&settings, &database) {
        (Settings::Sqlite { path }, _) => fill(path, count),
        (Settings::Postgres(_), database) => {
            runtime.block_on(fill_database(database.as_ref().unwrap(), count))
        }
    };
    println!("{count} revocations on disk: {} MiB, written in {:.1?}", size >> 20, began.elapsed());
    measure(&settings, count, &runtime);
    if let Some(database) = database {
        runtime.block_on(database.batch_execute("DROP SCHEMA portcullis CASCADE")).unwrap();
    }
}

fn measure(settings: &Settings, count: u64, runtime: &Runtime) {
    let clock = Clock::manual(NOW);
    let list = RevocationList::new(Metrics::default());
    let before = resident();
    let (began, worked) = (Instant::now(), processor_time());
    let store = Store::open(settings).unwrap();
    let opened = began.elapsed();
    let feed =
        runtime.block_on(Feed::catch_up(store.clone(), list.clone(), Metrics::default(), clock)).unwrap();
    println!(
        "start: {:.2?}, of which {opened:.2?} to open the store; {:.2?} of processor time",
        began.elapsed(),
        processor_time() - worked
    );
    assert_eq!(list.len() as u64, count);
    let bytes = resident() - before;
    println!("memory: {} MiB, {:.1} bytes an entry", bytes >> 20, bytes as f64 / count as f64);

    let asked = 2_000_000;
    println!("look-up of what is revoked: {:.0?}", ask(&list, asked, |index| name(index * 7919 % count)));
    println!("look-up of what is not: {:.0?}", ask(&list, asked, |index| name(count + index)));
    println!("the same in an empty list: {:.0?}", {
        ask(&RevocationList::new(Metrics::default()), asked, |index| name(count + index))
    });

    pauses("nothing beside", &list, count, || thread::sleep(Duration::from_secs(3)));
    pauses("1,000,000 inserts beside", &list, count, || {
        let began = Instant::now();
        let mut longest = Duration::ZERO;
        for index in count..count + 1_000_000 {
            let one = Instant::now();
            list.apply(&revocation(index));
            longest = longest.max(one.elapsed());
        }
        println!("insert: {:.0?}, the longest {longest:.0?}", began.elapsed() / 1_000_000);
    });
    // Half of it has passed by then.
    pauses("a sweep beside", &list, count, || {
        let began = Instant::now();
        list.sweep(NOW.plus(HALF_LIFE));
        println!("sweep: {:.2?}, {} left", began.elapsed(), list.len());
    });
    drop(feed);
    store.close();
}

/// As the gateway would have written them, but without waiting for the disk each time. Gives the file's size in bytes.
fn fill(path: &Path, count: u64) -> u64 {
    let mut db = Connection::open(path).unwrap();
    let indexes = indexes(&db);
    for (name, _) in &indexes {
        db.execute(&format!("DROP INDEX {name}"), []).unwrap();
    }
    let transaction = db.transaction().unwrap();
    let mut insert =
        transaction.prepare("INSERT INTO revocations (kind, id, until) VALUES (1, ?1, ?2)").unwrap();
    for index in 0..count {
        let Revocation { what: Revoked::Token(token), until, .. } = revocation(index) else { unreachable!() };
        insert.execute(params![token.as_bytes(), until.millis() as i64]).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
    for (_, sql) in &indexes {
        db.execute(sql, []).unwrap();
    }
    fs::metadata(path).unwrap().len()
}

/// As a gateway reads it.
fn settings_of(url: &str, folder: &Path) -> Settings {
    let password = match std::env::var_os("PGPASSWORD") {
        Some(_) => "password = { env = \"PGPASSWORD\" }\n",
        None => "",
    };
    let path = folder.join("gateway.toml");
    let text = format!("[store]\nurl = \"{url}\"\n{password}[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    fs::write(&path, text).unwrap();
    match config::read(&path) {
        Ok(checked) => checked.store().clone(),
        Err(_) => panic!("`{url}` is none that `[store] url` can have"),
    }
}

async fn connect(url: &str) -> Client {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    if let Ok(password) = std::env::var("PGPASSWORD") {
        config.password(password);
    }
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// As [`fill`].
async fn fill_database(database: &Client, count: u64) -> u64 {
    let indexes = "SELECT indexname, indexdef FROM pg_indexes
                   WHERE schemaname = 'portcullis' AND tablename = 'revocations' AND indexname <> 'revocations_pkey'";
    let indexes = database.query(indexes, &[]).await.unwrap();
    for index in &indexes {
        let drop = format!("DROP INDEX portcullis.{}", index.get::<_, String>(0));
        database.batch_execute(&drop).await.unwrap();
    }
    let insert = "INSERT INTO portcullis.revocations (sequence, kind, id, until, revoked_at)
                  SELECT sequence, 1, id, until, 0
                  FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS row (sequence, id, until)";
    let insert = database.prepare(insert).await.unwrap();
    for first in (0..count).step_by(BATCH) {
        let (mut sequences, mut ids, mut untils) = (Vec::new(), Vec::new(), Vec::new());
        for index in first..count.min(first + BATCH as u64) {
            let Revocation { sequence, what: Revoked::Token(token), until } = revocation(index) else {
                unreachable!()
            };
            sequences.push(sequence as i64);
            ids.push(token.as_bytes().to_vec());
            untils.push(until.millis() as i64);
        }
        database.execute(&insert, &[&sequences, &ids, &untils]).await.unwrap();
    }
    for index in &indexes {
        database.batch_execute(&index.get::<_, String>(1)).await.unwrap();
    }
    let set = "SELECT setval('portcullis.revocation_numbers', $1)";
    database.query(set, &[&(count as i64)]).await.unwrap();
    let size = "SELECT pg_total_relation_size('portcullis.revocations')";
    database.query_one(size, &[]).await.unwrap().get::<_, i64>(0) as u64
}

/// Those that a statement made, by name.
fn indexes(db: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_schema
               WHERE type = 'index' AND tbl_name = 'revocations' AND sql IS NOT NULL";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Half of them end within the half-life.
fn revocation(index: u64) -> Revocation {
    let life = if index.is_multiple_of(2) { HALF_LIFE / 2 } else { HALF_LIFE * 2 };
    Revocation { sequence: index + 1, what: Revoked::Token(name(index)), until: NOW.plus(life) }
}

/// Random to look at, and the same each time.
fn name(index: u64) -> TokenId {
    let mut state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def0);
    let mut bytes = [0; 16];
    for half in bytes.as_chunks_mut::<8>().0 {
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
        *half = state.to_le_bytes();
    }
    TokenId::from_bytes(bytes)
}

fn token(token: TokenId) -> Verified {
    Verified {
        kind: TokenKind::Access,
        user: "1".parse().unwrap(),
        token,
        session: None,
        issued_at: Some(NOW.seconds()),
        expires_at: NOW.seconds() + 60,
        extra_claims: Vec::new(),
    }
}

fn ask(list: &RevocationList, times: u64, which: impl Fn(u64) -> TokenId) -> Duration {
    let mut verified = token(name(0));
    let names: Vec<TokenId> = (0..times).map(which).collect();
    let began = Instant::now();
    for name in names {
        verified.token = name;
        black_box(list.refuses(black_box(&verified), NOW));
    }
    began.elapsed() / u32::try_from(times).unwrap()
}

/// How long a reader waits while `work` is done: every look-up timed.
fn pauses(what: &str, list: &RevocationList, count: u64, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut verified = token(name(0));
            let (mut longest, mut over, mut asked) = (Duration::ZERO, 0_u64, 0_u64);
            while !done.load(Ordering::Relaxed) {
                verified.token = name(asked * 7919 % count);
                let began = Instant::now();
                black_box(list.refuses(&verified, NOW));
                let waited = began.elapsed();
                longest = longest.max(waited);
                over += u64::from(waited > Duration::from_millis(1));
                asked += 1;
            }
            (longest, over, asked)
        });
        work();
        done.store(true, Ordering::Relaxed);
        let (longest, over, asked) = reader.join().unwrap();
        println!("{what}: the longest of {asked} look-ups took {longest:.0?}, {over} of them over 1 ms");
    });
}

/// Bytes in memory now.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// That this process has used until now, on all of its threads, in steps of a hundredth (proc(5)).
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Rows that one statement inserts.
const BATCH: usize = 50_000;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HALF_LIFE: Duration = Duration::from_secs(1800);
