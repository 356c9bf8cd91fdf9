//! Starting and stopping: one sentence, within a second, and nothing accepted is dropped.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::harness::{Answer, Process, Upstream, admin, eventually, ok, registration, request};

const ECHO: &str = "[auth]\nregistration = true\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";

/// Runs the program until it ends by itself.
fn fails(folder: &TempDir, config: &str) -> String {
    fs::write(folder.path().join("gateway.toml"), config).unwrap();
    let started = Instant::now();
    let (code, _, error) = Process::command(folder.path(), &["run"], "");
    assert_eq!(code, 1, "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    assert!(!error.contains("panicked") && !error.contains("backtrace"), "{error}");
    error
}

fn listening_at(address: SocketAddr) -> String {
    format!("[listen]\nhttps = \"{address}\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{ECHO}")
}

#[test]
fn a_port_in_use_is_said() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(fails(&folder, &listening_at(address)).contains(&address.to_string()));

    // Somebody who shares the port with whoever asks would silently take a part of our clients.
    let shared = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    shared.set_reuse_port(true).unwrap();
    shared.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    shared.listen(1).unwrap();
    let address = shared.local_addr().unwrap().as_socket().unwrap();
    assert!(fails(&folder, &listening_at(address)).contains(&address.to_string()));

    let admin = format!(
        "[listen]\nhttps = \"127.0.0.1:0\"\n[admin]\nlisten = \"{}\"\n{ECHO}",
        listener.local_addr().unwrap()
    );
    assert!(fails(&folder, &admin).contains("operators"));
}

#[test]
fn a_damaged_database_is_refused_by_name() {
    let any = listening_at("127.0.0.1:0".parse().unwrap());
    for damage in [
        &(|bytes: &mut Vec<u8>| bytes[..16].fill(b'x')) as &dyn Fn(&mut Vec<u8>),
        &|bytes| {
            for page in bytes.chunks_mut(4096).skip(1) {
                page[..64].fill(0xff);
            }
        },
        &|bytes| bytes.truncate(bytes.len() / 2),
        // `user_version`, big-endian at offset 60: a newer program's.
        &|bytes| bytes[60..64].copy_from_slice(&999_u32.to_be_bytes()),
        &|bytes| *bytes = b"not a database at all, but long enough to be read as the header of one".repeat(3),
    ] {
        let folder = TempDir::new().unwrap();
        drop(Process::start(folder.path(), ECHO));
        let (code, _, error) = Process::command(folder.path(), &["user", "list"], "");
        assert_eq!(code, 0, "{error}");
        let path = folder.path().join("data/portcullis.db");
        let _ = fs::remove_file(folder.path().join("data/portcullis.db-wal"));
        let _ = fs::remove_file(folder.path().join("data/portcullis.db-shm"));
        let mut bytes = fs::read(&path).unwrap();
        assert!(bytes.len() > 4096);
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = fails(&folder, &any);
        assert!(error.contains("portcullis.db"), "{error}");
    }
}

#[test]
fn an_unreadable_key_is_said_and_not_shown() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("short"), "only-this-much").unwrap();
    let config = |secret: &str| {
        format!("[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = {secret}\n{ECHO}")
    };
    assert!(fails(&folder, &config("{ file = \"missing\" }")).contains("gateway.toml:4"));
    let error = fails(&folder, &config("{ file = \"short\" }"));
    assert!(error.contains("32 bytes") && !error.contains("only-this-much"), "{error}");
    if fs::metadata("/proc/self").is_ok() {
        fs::write(folder.path().join("bad.crt"), "x").unwrap();
        fs::write(folder.path().join("bad.key"), "-----BEGIN PRIVATE KEY-----\nsecret-key-text\n").unwrap();
        fs::set_permissions(folder.path().join("bad.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let error = fails(
            &folder,
            &format!("[tls]\ncertificates = [{{ cert = \"bad.crt\", key = \"bad.key\" }}]\n{ECHO}"),
        );
        assert!(error.contains("certificate") && !error.contains("secret-key-text"), "{error}");
    }
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let (asked, upstream_asked) = mpsc::channel::<()>();
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let asked = std::sync::Mutex::new(asked);
    let upstream = Upstream::start(move |_, stream| {
        asked.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        ok(stream, "late, but whole")
    });
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    let idle = gateway.connect();
    let mut busy = gateway.connect();
    busy.get_mut().write_all(&request("GET", "/public/x", &[], b"")).unwrap();
    upstream_asked.recv().unwrap();
    gateway.signal("-TERM");
    // It no longer accepts: now it drains.
    while gateway.said().matches("Draining").count() == 0 {
        std::thread::yield_now();
    }
    go.send(()).unwrap();
    let answer = Answer::read(&mut busy, false).unwrap().expect(200);
    assert_eq!(answer.text(), "late, but whole");
    let (code, said) = gateway.wait();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("every request was answered"), "{said}");
    drop(idle);
}

#[test]
fn a_hangup_ends_nothing() {
    let upstream = Upstream::start(|_, stream| ok(stream, "here"));
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    for times in 1..=2 {
        gateway.signal("-HUP");
        eventually("a line", || gateway.said().matches("SIGHUP changes nothing").count() == times);
        gateway.get("/public/x", &[]).expect(200);
    }
    gateway.signal("-TERM");
    assert_eq!(gateway.wait().0, 0);
}

/// It waits for a database that has accepted, and says nothing yet.
#[test]
fn a_hangup_ends_no_start() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let config = format!(
        "[store]\nurl = \"postgres://gateway@{}/auth\"\n{}",
        database.local_addr().unwrap(),
        listening_at("127.0.0.1:0".parse().unwrap())
    );
    fs::write(folder.path().join("gateway.toml"), config).unwrap();
    let gateway = Command::new(Process::program())
        .arg("run")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (connection, _) = database.accept().unwrap();
    let pid = gateway.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    // Nobody else will answer: now it gives up, by itself.
    drop((connection, database));
    let ended = gateway.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{:?}: {said}", ended.status);
    assert!(said.contains("the database `auth`"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let (asked, upstream_asked) = mpsc::channel::<()>();
    let asked = std::sync::Mutex::new(asked);
    let upstream = Upstream::start(move |_, _| {
        asked.lock().unwrap().send(()).unwrap();
        std::thread::park();
        false
    });
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &upstream.config());
    let mut busy = gateway.connect();
    busy.get_mut().write_all(&request("GET", "/public/x", &[], b"")).unwrap();
    upstream_asked.recv().unwrap();
    gateway.signal("-TERM");
    while gateway.said().matches("Draining").count() == 0 {
        std::thread::yield_now();
    }
    gateway.signal("-TERM");
    let started = Instant::now();
    let (_, said) = gateway.wait();
    assert!(started.elapsed() < Duration::from_secs(8), "not at once: {said}");
}

/// Every worker serves: as many as there are, on one address.
#[test]
fn several_workers_share_an_address() {
    let folder = TempDir::new().unwrap();
    let config = format!("[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 3\n{ECHO}");
    let gateway = Process::start(folder.path(), &config);
    gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    for _ in 0..20 {
        gateway.get("/x", &[]).expect(401);
    }
}

#[test]
fn the_shipped_configuration_runs() {
    let folder = TempDir::new().unwrap();
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml")).unwrap();
    fs::write(folder.path().join("gateway.toml"), shipped).unwrap();
    let output = Command::new(Process::program())
        .arg("check")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn nobody_has_to_read_what_it_says() {
    let folder = TempDir::new().unwrap();
    // Port 1 of this machine is nobody's: each request is a line of warning.
    let config = "[[route]]\npath = \"/dead\"\nupstream = \"http://127.0.0.1:1\"\naccess = \"public\"\n\
                  [[route]]\npath = \"/*\"\nupstream = \"echo\"\naccess = \"public\"";
    let (process, _unread) = Process::start_unheard(folder.path(), config, Command::new(Process::program()));
    // More than a pipe and the queue hold.
    let mut stream = process.connect();
    for _ in 0..5000 {
        stream.get_mut().write_all(&request("GET", "/dead", &[], b"")).unwrap();
        assert_eq!(Answer::read(&mut stream, false).unwrap().status, 502);
    }
    process.get("/x", &[]).expect(200);
    let said = process.said();
    let address = said.split(r#""listen.admin":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let metrics = admin(address.parse().unwrap(), "/metrics");
    let sample =
        metrics.text().lines().find(|line| line.starts_with("portcullis_event_lines_dropped_total "));
    assert!(!sample.unwrap().ends_with(" 0"), "{sample:?}");
    process.signal("-TERM");
    assert_eq!(process.wait().0, 0);
}
