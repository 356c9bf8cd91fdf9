//! A PostgreSQL server of the tests' own: made when first asked for, a database for each test, gone with the process.
//!
//! Also read by the tests of the store (`src/store/tests.rs`), so it names nothing of this crate.
#![allow(dead_code, reason = "each of the two programs uses a part of it")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// A PostgreSQL server, reached by a Unix socket without a password, and by loopback TCP with [`PASSWORD`], with or
/// without TLS.
pub struct Server {
    programs: PathBuf,
    /// Holds the cluster, the socket and the certificates; owned by whoever runs the server.
    folder: PathBuf,
    port: u16,
    durable: bool,
    pid: u32,
    /// Ends the server once its standard input is closed, also when this process was killed.
    guard: Child,
}

/// A database for one test. Dropped, it is.
pub struct Database<'s> {
    pub server: &'s Server,
    pub name: String,
}

/// The role that the gateway is; it owns the databases and nothing else.
pub const ROLE: &str = "gateway";

/// The role's.
pub const PASSWORD: &str = "correct horse: 100% \"battery\"";

impl Server {
    /// The server that tests share: it forgets everything when the machine fails, and is fast for it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(false))
    }

    /// A server of one's own. `durable` says whether a commit waits for the disk.
    pub fn start(durable: bool) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        certify(&folder);
        if let Some(owner) = owner() {
            for file in [PathBuf::new(), CERTIFICATE.into(), KEY.into()] {
                std::os::unix::fs::chown(folder.join(file), Some(owner.0), Some(owner.1)).unwrap();
            }
        }
        let made = as_owner(&programs.join("initdb"))
            .args(["--no-sync", "--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(folder.join("data"))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb failed: {}", text(&made));
        // Somebody else may take the port between here and there.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some((guard, pid)) = run(&programs, &folder, port, durable) {
                let server = Self { programs, folder, port, durable, pid, guard };
                let password = PASSWORD.replace('\'', "''");
                server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'"));
                return server;
            }
        }
        panic!("PostgreSQL does not start: {}", fs::read_to_string(folder.join(LOG)).unwrap_or_default());
    }

    /// A new, empty database.
    pub fn database(&self) -> Database<'_> {
        self.copy_of("template0")
    }

    /// A database that holds what another one does, to which nobody may be connected.
    pub fn copy_of(&self, template: &str) -> Database<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}"));
        Database { server: self, name }
    }

    /// Runs statements as the server's owner, and gives the first column of what they answer.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                database,
                "-c",
                sql,
            ])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        &self.folder
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that it shows, which is its own issuer: for `localhost`.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// `kill -9`: nothing is finished, flushed or closed.
    pub fn kill(&mut self) {
        // It must leave the folder as it is.
        writeln!(self.guard.stdin.take().unwrap(), "keep").unwrap();
        signal("-KILL", &[self.pid]);
        self.guard.wait().unwrap();
    }

    /// Starts it where it was, after [`Self::kill`].
    pub fn start_again(&mut self) {
        // Its children need a moment to notice, and hold what it needs until then.
        for _ in 0..100 {
            if let Some((guard, pid)) = run(&self.programs, &self.folder, self.port, self.durable) {
                (self.guard, self.pid) = (guard, pid);
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not start again: {}", fs::read_to_string(self.folder.join(LOG)).unwrap_or_default());
    }

    /// Stops every process of it as a debugger would: connections stay, and nobody answers.
    pub fn freeze(&self) {
        signal("-STOP", &[self.pid]);
        signal("-STOP", &children(self.pid));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal("-CONT", &children(self.pid));
        signal("-CONT", &[self.pid]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Database<'_> {
    /// As `[store] url` names it, by its socket.
    pub fn url(&self) -> String {
        let (folder, port) = (self.server.folder.display(), self.server.port);
        format!("postgres://{ROLE}@/{}?host={folder}&port={port}", self.name)
    }

    /// As `[store] url` names it, by TCP; needs [`PASSWORD`].
    pub fn tcp_url(&self, host: &str) -> String {
        format!("postgres://{ROLE}@{host}:{}/{}", self.server.port, self.name)
    }

    /// Runs statements as the server's owner.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.server.sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// Where `initdb` lies, and with it the others.
fn programs() -> PathBuf {
    let named = Command::new("sh").args(["-c", "command -v initdb"]).output().unwrap();
    let named = PathBuf::from(String::from_utf8_lossy(&named.stdout).trim_end());
    // A link leads to where all of them are.
    let in_path = named.canonicalize().ok().and_then(|initdb| initdb.parent().map(Path::to_owned));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .map(|version| {
            (version.file_name().to_string_lossy().parse().unwrap_or(0), version.path().join("bin"))
        })
        .collect();
    found.sort();
    in_path
        .into_iter()
        .chain(found.into_iter().rev().map(|(_, bin)| bin))
        .find(|bin| ["initdb", "postgres", "psql", "pg_isready"].iter().all(|name| bin.join(name).exists()))
        .expect("these tests need PostgreSQL's own programs (Debian: postgresql): run scripts/test, which installs it")
}

/// Starts the server and waits until it answers; `None` where it ended instead.
fn run(programs: &Path, folder: &Path, port: u16, durable: bool) -> Option<(Child, u32)> {
    let log = fs::File::create(folder.join(LOG)).unwrap();
    let server = as_owner(&programs.join("postgres"));
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(folder)
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "max_connections=200"])
        .args(["-c", "shared_buffers=32MB", "-c", "ssl=on"])
        .arg("-c")
        .arg(format!("ssl_cert_file={}", folder.join(CERTIFICATE).display()))
        .arg("-c")
        .arg(format!("ssl_key_file={}", folder.join(KEY).display()))
        .args(if durable { [].as_slice() } else { &["-c", "fsync=off", "-c", "full_page_writes=off"] })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .current_dir(folder)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid: u32 = line.trim_end().parse().unwrap();
    let ask = || {
        let asked = Command::new(programs.join("pg_isready"))
            .args(["-q", "-p", &port.to_string(), "-h"])
            .arg(folder)
            .status();
        asked.unwrap().success()
    };
    while !ask() {
        if has_ended(pid) {
            writeln!(guard.stdin.take().unwrap(), "keep").unwrap();
            guard.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some((guard, pid))
}

/// A command that PostgreSQL will run: it refuses root.
fn as_owner(program: &Path) -> Command {
    let Some((user, group)) = owner() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]).arg("--clear-groups").arg(program);
    command
}

/// Who runs the server instead of root.
fn owner() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let number = |kind| {
        let output = Command::new("id").args([kind, "postgres"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .parse()
            .expect("as root the tests need a user `postgres`")
    };
    Some((number("-u"), number("-g")))
}

fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join(CERTIFICATE), made.cert.pem()).unwrap();
    fs::write(folder.join(KEY), made.signing_key.serialize_pem()).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.join(KEY), private).unwrap();
}

fn has_ended(pid: u32) -> bool {
    // The guard has not asked for its end yet, so the number is still its own.
    stat(&pid.to_string()).is_none_or(|(_, state)| state == 'Z')
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let numbers = processes.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| stat(&pid.to_string()).is_some_and(|(of, _)| of == parent)).collect()
}

/// A process's parent and state (proc(5)).
fn stat(pid: &str) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in front may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn signal(signal: &str, pids: &[u32]) {
    let status = Command::new("kill").arg(signal).args(pids.iter().map(u32::to_string)).status().unwrap();
    assert!(status.success());
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The folder, then the server's command. It outlives what ends a group of processes at once, such as Ctrl-C, and
/// waits for the end of whoever holds its standard input; the server is its child, so its number stays its own.
const GUARD: &str = r#"
trap '' HUP INT QUIT TERM
folder=$1
shift
"$@" </dev/null >/dev/null &
server=$!
echo "$server"
word=
read -r word
kill -CONT "$server" 2>/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf "$folder"
"#;

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
const LOG: &str = "log";
