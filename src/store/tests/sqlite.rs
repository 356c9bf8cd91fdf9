use tempfile::TempDir;

use super::*;

#[path = "every.rs"]
mod every;

struct File;

impl Kind for File {
    type Place = TempDir;

    fn place() -> TempDir {
        TempDir::new().unwrap()
    }

    fn settings(folder: &TempDir) -> Settings {
        Settings::Sqlite { path: folder.path().join("data/portcullis.db") }
    }

    fn backup(folder: &TempDir) -> TempDir {
        let copy = Self::place();
        std::fs::create_dir(copy.path().join("data")).unwrap();
        std::fs::copy(folder.path().join("data/portcullis.db"), copy.path().join("data/portcullis.db"))
            .unwrap();
        copy
    }
}

type TheKind = File;
type Bench = AnyBench<File>;

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let durability = Bench::new().store.durability().await.unwrap();
    let expected = Durability::Sqlite { foreign_keys: true, journal_mode: "wal".to_owned(), synchronous: 2 };
    assert_eq!(durability, expected);
}

#[tokio::test]
async fn a_closed_store_leaves_one_file() {
    let bench = Bench::new();
    bench.user("ada").await;
    let store = bench.store;
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    let files = std::fs::read_dir(bench.place.path().join("data")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["portcullis.db"]);
}
