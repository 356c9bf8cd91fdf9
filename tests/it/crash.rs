//! What was acknowledged is kept: through `kill -9`, and with no room on the disk.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use portcullis::store::Durability;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Process, TestGateway, credentials, eventually, registration};

const ECHO: &str = r#"
[auth]
registration = true
[auth.throttle]
registrations = { attempts = 100000, window = "1m" }
[[route]]
path = "/*"
upstream = "echo"
"#;

#[test]
fn an_acknowledged_registration_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        let gateway = Process::start(folder.path(), ECHO);
        let name = format!("user{round}");
        let session = gateway.post("/api/auth/register/", &registration(&name)).expect(201);
        gateway.kill();
        let gateway = Process::start(folder.path(), ECHO);
        gateway.post("/api/auth/login/", &credentials(&name)).expect(200);
        gateway.get_as("/x", &session.member("access")).expect(200);
    }
}

#[test]
fn an_acknowledged_logout_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut gateway = Process::start(folder.path(), ECHO);
    gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    for _ in 0..3 {
        let session = gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
        gateway.post_as("/api/auth/logout/", &session.member("access"), &json!({})).expect(200);
        gateway.kill();
        gateway = Process::start(folder.path(), ECHO);
        gateway.get_as("/x", &session.member("access")).expect(401);
        gateway.post("/api/auth/token/refresh/", &json!({"refresh": session.member("refresh")})).expect(401);
    }
}

#[test]
fn an_acknowledged_refresh_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut gateway = Process::start(folder.path(), ECHO);
    let mut pair = gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    for _ in 0..3 {
        pair =
            gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")})).expect(200);
        gateway.kill();
        gateway = Process::start(folder.path(), ECHO);
    }
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")})).expect(200);
}

/// An old copy of the database takes the place of the one in use, while the gateway is stopped.
#[test]
fn a_restored_backup_lets_nothing_live_that_is_logged_out_after_it() {
    let folder = TempDir::new().unwrap();
    let (store, backup) = (folder.path().join("data/portcullis.db"), folder.path().join("backup.db"));
    let stop = |gateway: Process| {
        gateway.signal("-TERM");
        assert_eq!(gateway.wait().0, 0);
    };
    let gateway = Process::start(folder.path(), ECHO);
    for name in ["ada", "bob"] {
        gateway.post("/api/auth/register/", &registration(name)).expect(201);
    }
    stop(gateway);
    fs::copy(&store, &backup).unwrap();

    let gateway = Process::start(folder.path(), ECHO);
    // So that what is lost has higher numbers than the backup.
    for _ in 0..5 {
        let session = gateway.post("/api/auth/login/", &credentials("bob")).expect(200);
        gateway.post_as("/api/auth/logout/", &session.member("access"), &json!({})).expect(200);
    }
    let lost = ["ada", "bob"].map(|name| {
        let session = gateway.post("/api/auth/login/", &credentials(name)).expect(200);
        session.member("access")
    });
    let forgotten = gateway.post("/api/auth/register/", &registration("eve")).expect(201);
    stop(gateway);
    fs::copy(&backup, &store).unwrap();

    let gateway = Process::start(folder.path(), ECHO);
    for token in &lost {
        gateway.get_as("/x", token).expect(200);
    }
    // Whose id is given again, to somebody else.
    let carol = gateway.post("/api/auth/register/", &registration("carol")).expect(201);
    assert_eq!(carol.json()["user"]["id"], forgotten.json()["user"]["id"]);
    gateway.get_as("/x", &forgotten.member("access")).expect(401);
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": forgotten.member("refresh")})).expect(401);
    gateway.get_as("/x", &carol.member("access")).expect(200);
    let session = gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
    gateway.post_as("/api/auth/logout/all/", &session.member("access"), &json!({})).expect(200);
    for verb in ["disable", "enable"] {
        let config = folder.path().join("gateway.toml");
        let (code, _, error) =
            Process::command(folder.path(), &["user", verb, "bob", "--config", config.to_str().unwrap()], "");
        assert_eq!(code, 0, "{error}");
    }
    // The command's word may take a second.
    gateway.get_as("/x", &lost[0]).expect(401);
    eventually("the command counts", || gateway.get_as("/x", &lost[1]).status == 401);
    for name in ["ada", "bob"] {
        eventually("a login", || gateway.post("/api/auth/login/", &credentials(name)).status == 200);
        let session = gateway.post("/api/auth/login/", &credentials(name)).expect(200);
        gateway.get_as("/x", &session.member("access")).expect(200);
    }
    for token in &lost {
        gateway.get_as("/x", token).expect(401);
    }
}

/// A 200 leaves after the commit has reached the disk.
#[test]
fn commits_reach_the_disk() {
    let gateway = TestGateway::start();
    let durability = gateway.app().block_on(gateway.app().store().durability()).unwrap();
    // 2 is FULL: an fsync of the log at each commit.
    let Durability::Sqlite { synchronous, journal_mode, .. } = durability else { panic!("{durability:?}") };
    assert_eq!((synchronous, journal_mode.as_str()), (2, "wal"));
}

/// Fills the disk under a running gateway, in the ways that are at hand here.
#[test]
fn a_full_disk_fails_clearly_and_loses_nothing() {
    let disk = Disk::new();
    let folder = disk.folder();
    let gateway = Process::start_with(folder, ECHO, disk.program());
    gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    let session = gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
    let kept = gateway.post("/api/auth/login/", &credentials("ada")).expect(200);

    disk.fill();
    // Until there is not even room for one more entry.
    let started = Instant::now();
    let mut strangers = 0;
    let mut lost = loop {
        strangers += 1;
        let answer = gateway.post("/api/auth/register/", &registration(&format!("stranger{strangers}")));
        match answer.status {
            201 => assert!(started.elapsed() < Duration::from_secs(60), "the disk never fills"),
            status => {
                assert!(matches!(status, 503 | 507), "{answer:?}");
                break answer.status;
            }
        }
    };
    let answer = gateway.post_as("/api/auth/logout/", &session.member("access"), &json!({}));
    if answer.status != 200 {
        lost = answer.status;
        assert!(matches!(lost, 503 | 507), "{answer:?}");
    }
    // Refused here all the same, whatever the disk says; and proxying goes on.
    gateway.get_as("/x", &session.member("access")).expect(401);
    gateway.get_as("/x", &kept.member("access")).expect(200);
    assert!(matches!(lost, 503 | 507));

    disk.make_room();
    let started = Instant::now();
    while gateway.post_as("/api/auth/logout/", &kept.member("access"), &json!({})).status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not recover: {}", gateway.said());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!gateway.said().contains("panicked"), "{}", gateway.said());
    gateway.kill();
    let gateway = Process::start_with(folder, ECHO, disk.program());
    gateway.get_as("/x", &kept.member("access")).expect(401);
    gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
}

/// A disk with an end: a small tmpfs where mounting is allowed, else a limit on the size of files.
enum Disk {
    Limit(TempDir),
    Tmpfs(TempDir),
}

impl Disk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        if mounted { Self::Tmpfs(folder) } else { Self::Limit(folder) }
    }

    fn folder(&self) -> &std::path::Path {
        match self {
            Self::Limit(folder) | Self::Tmpfs(folder) => folder.path(),
        }
    }

    fn program(&self) -> Command {
        match self {
            Self::Tmpfs(_) => Command::new(Process::program()),
            Self::Limit(_) => {
                let mut shell = Command::new("sh");
                // Blocks of 512 bytes: 256 KiB.
                shell.args(["-c", "ulimit -f 512; exec \"$0\" \"$@\""]).arg(Process::program());
                shell
            }
        }
    }

    fn fill(&self) {
        if let Self::Tmpfs(folder) = self {
            let mut size = 1 << 20;
            let mut part = 0;
            while size >= 512 {
                let path = folder.path().join(format!("ballast{part}"));
                if fs::write(&path, vec![0; size]).is_err() {
                    let _ = fs::remove_file(&path);
                    size /= 2;
                }
                part += 1;
            }
        }
    }

    fn make_room(&self) {
        if let Self::Tmpfs(folder) = self {
            for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
                if entry.file_name().to_string_lossy().starts_with("ballast") {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Tmpfs(folder) = self {
            let _ = Command::new("umount").arg("-l").arg(folder.path()).status();
        }
    }
}
