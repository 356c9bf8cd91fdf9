use std::{path::Path, sync::mpsc};

use tempfile::TempDir;

use super::*;
use crate::store::CreateUserError;

fn start(folder: &TempDir) -> (Writer, JoinHandle<()>) {
    let db = connect(folder.path());
    db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY REFERENCES t (n), text TEXT) STRICT").unwrap();
    Writer::start(db, Vec::new()).unwrap()
}

fn connect(folder: &Path) -> Connection {
    let db = Connection::open(folder.join("t.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode = wal; PRAGMA foreign_keys = on").unwrap();
    db
}

fn rows(folder: &TempDir) -> Vec<i64> {
    let db = connect(folder.path());
    let mut statement = db.prepare("SELECT n FROM t ORDER BY n").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn insert(n: i64) -> impl FnOnce(&Connection) -> Result<i64, StoreError> + Send + 'static {
    move |db| {
        db.execute("INSERT INTO t (n) VALUES (?1)", [n])?;
        Ok(n)
    }
}

/// Keeps the writer busy, outside a group with what follows, until the sender is dropped.
async fn hold(writer: &Writer) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), StoreError>>) {
    let (release, released) = mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    let held = writer.clone();
    let task = tokio::spawn(async move {
        held.run(move |_| {
            started.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        })
        .await
    });
    running.await.unwrap();
    (release, task)
}

/// Runs all of `jobs` in one group and returns their answers.
async fn in_one_group<F>(writer: &Writer, jobs: Vec<F>) -> Vec<Result<i64, StoreError>>
where
    F: FnOnce(&Connection) -> Result<i64, StoreError> + Send + 'static,
{
    let (release, task) = hold(writer).await;
    let waiting: Vec<_> = jobs.into_iter().map(|job| Box::pin(writer.run(job))).collect();
    let mut answers = Vec::new();
    let mut waiting = waiting;
    // A first poll puts each job into the queue.
    std::future::poll_fn(|context| {
        for job in &mut waiting {
            assert!(job.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    })
    .await;
    drop(release);
    for job in waiting {
        answers.push(job.await);
    }
    task.await.unwrap().unwrap();
    answers
}

type Boxed = Box<dyn FnOnce(&Connection) -> Result<i64, StoreError> + Send>;

#[tokio::test]
async fn a_job_that_fails_takes_nothing_else_of_its_group_with_it() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    let fails: Boxed = Box::new(|db| {
        insert(2)(db)?;
        Err(StoreError::Overloaded)
    });
    let answers = in_one_group(&writer, vec![Box::new(insert(1)), fails, Box::new(insert(3))]).await;
    assert_eq!(answers, [Ok(1), Err(StoreError::Overloaded), Ok(3)]);
    assert_eq!(rows(&folder), [1, 3]);
}

#[tokio::test]
async fn when_the_commit_fails_nobody_is_told_otherwise() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    // Points nowhere, and is found out only at COMMIT.
    let spoils: Boxed = Box::new(|db| {
        db.execute_batch(
            "PRAGMA defer_foreign_keys = on; CREATE TABLE u (n REFERENCES t (n)); INSERT INTO u VALUES (9)",
        )?;
        Ok(2)
    });
    let refused: Boxed = Box::new(|_| Err(StoreError::Overloaded));
    let answers = in_one_group(&writer, vec![Box::new(insert(1)), spoils, refused]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{answers:?}");
    assert!(rows(&folder).is_empty());
    assert_eq!(writer.run(insert(4)).await, Ok(4));
    assert_eq!(rows(&folder), [4]);
}

#[tokio::test]
async fn when_the_transaction_breaks_its_whole_group_fails() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    // As SQLite itself does when the disk is full in the midst of a statement.
    let breaks: Boxed = Box::new(|db| {
        db.execute_batch("ROLLBACK")?;
        Err(StoreError::Full)
    });
    let answers = in_one_group(&writer, vec![Box::new(insert(1)), breaks, Box::new(insert(3))]).await;
    assert_eq!(answers, [Err(StoreError::Full), Err(StoreError::Full), Err(StoreError::Full)]);
    assert!(rows(&folder).is_empty());
    assert_eq!(writer.run(insert(4)).await, Ok(4));
}

#[tokio::test]
async fn a_panic_is_an_error_for_its_caller_alone() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    let panics: Boxed = Box::new(|db| {
        insert(2)(db)?;
        panic!("a bug")
    });
    let answers = in_one_group(&writer, vec![Box::new(insert(1)), panics, Box::new(insert(3))]).await;
    assert_eq!(answers, [Ok(1), Err(panicked()), Ok(3)]);
    assert_eq!(rows(&folder), [1, 3]);
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_the_writer_goes_on_when_it_no_longer_is() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    let limit = |pages: u32| {
        writer.run(move |db| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok::<i64, StoreError>(db.query_row(&sql, [], |row| row.get(0))?)
        })
    };
    let large = |n: i64| {
        writer.run(move |db| {
            db.execute("INSERT INTO t (n, text) VALUES (?1, ?2)", (n, "x".repeat(100_000)))?;
            Ok::<i64, CreateUserError>(n)
        })
    };
    limit(5).await.unwrap();
    assert_eq!(large(1).await, Err(CreateUserError::Store(StoreError::Full)));
    assert_eq!(large(2).await, Err(CreateUserError::Store(StoreError::Full)));
    limit(1_000_000).await.unwrap();
    assert_eq!(large(3).await, Ok(3));
    assert_eq!(rows(&folder), [3]);
}

#[tokio::test]
async fn a_full_queue_turns_callers_away() {
    let folder = TempDir::new().unwrap();
    let (writer, _thread) = start(&folder);
    let (release, task) = hold(&writer).await;
    let mut waiting: Vec<_> = (0..QUEUE as i64).map(|n| Box::pin(writer.run(insert(n)))).collect();
    std::future::poll_fn(|context| {
        for job in &mut waiting {
            assert!(job.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(writer.run(insert(-1)).await, Err(StoreError::Overloaded));
    drop(release);
    task.await.unwrap().unwrap();
    for (n, job) in (0..).zip(waiting) {
        assert_eq!(job.await, Ok(n));
    }
    assert_eq!(rows(&folder).len(), QUEUE);
}

#[tokio::test]
async fn a_closed_writer_has_done_what_waited_and_does_no_more() {
    let folder = TempDir::new().unwrap();
    let (writer, thread) = start(&folder);
    let mut job = Box::pin(writer.run(insert(1)));
    std::future::poll_fn(|context| {
        let _ = job.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    writer.stop();
    thread.join().unwrap();
    assert_eq!(rows(&folder), [1]);
    assert_eq!(writer.run(insert(2)).await, Err(closed()));
}
