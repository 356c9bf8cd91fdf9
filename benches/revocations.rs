//! What ten million live revocations cost: `cargo bench --bench revocations [-- COUNT]`.
//!
//! Fills a log in SQLite, starts from it as the gateway does, and prints bytes, times and pauses. A reader that does
//! nothing but ask measures the pauses, once with and once without a sweep or inserts beside it, since a busy machine
//! pauses by itself. Nothing here passes or fails.

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
    id::TokenId,
    metrics::Metrics,
    revocation::{Feed, RevocationList},
    store::{Revocation, Revoked, Settings, Store},
    token::{TokenKind, Verified},
};
use rusqlite::{Connection, params};

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(10_000_000_u64);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revocations.db");
    let settings = Settings::Sqlite { path: path.clone() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    Store::open(&settings).unwrap().close();

    let began = Instant::now();
    fill(&path, count);
    let size = fs::metadata(&path).unwrap().len();
    println!("{count} revocations on disk: {} MiB, written in {:.1?}", size >> 20, began.elapsed());

    let clock = Clock::manual(NOW);
    let list = RevocationList::new(Metrics::default());
    let before = resident();
    let began = Instant::now();
    let store = Store::open(&settings).unwrap();
    let opened = began.elapsed();
    let feed =
        runtime.block_on(Feed::catch_up(store.clone(), list.clone(), Metrics::default(), clock)).unwrap();
    println!("start: {:.2?}, of which {opened:.2?} to open the store", began.elapsed());
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

/// As the gateway would have written them, but without waiting for the disk each time.
fn fill(path: &Path, count: u64) {
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

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HALF_LIFE: Duration = Duration::from_secs(1800);
