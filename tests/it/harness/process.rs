use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::{Client, admin, gateway::complete};

/// The gateway as its own process, as an operator runs it.
pub struct Process {
    child: Child,
    client: Client,
    stderr: Arc<Mutex<String>>,
}

impl Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Process {
    /// Starts `portcullis run` in that folder and waits until it listens.
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, Command::new(Self::program()))
    }

    /// As [`Self::start`], by a command that ends in the program: a shell that sets limits first, say.
    pub fn start_with(folder: &Path, config: &str, command: Command) -> Self {
        let (process, mut lines) = Self::start_unheard(folder, config, command);
        let rest = Arc::clone(&process.stderr);
        thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                rest.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        process
    }

    /// As [`Self::start_with`], but nobody reads on what it says once it listens.
    pub fn start_unheard(
        folder: &Path,
        config: &str,
        mut command: Command,
    ) -> (Self, BufReader<ChildStderr>) {
        let path = folder.join("gateway.toml");
        fs::write(&path, complete(config)).unwrap();
        let mut child = command
            .args(["run", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let stderr = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                lines.read_line(&mut line).unwrap(),
                0,
                "it did not start: {}",
                stderr.lock().unwrap()
            );
            stderr.lock().unwrap().push_str(&line);
            if let Some(address) = address(&line) {
                break address;
            }
        };
        let client = Client::new(address, &folder.join("certs/dev.crt"));
        (Self { child, client, stderr }, lines)
    }

    /// Runs a command of the program to its end: exit code, standard output, standard error.
    pub fn command(folder: &Path, arguments: &[&str], stdin: &str) -> (i32, String, String) {
        use std::io::Write;
        let mut child = Command::new(Self::program())
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed early by commands that read nothing.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        // A command that should have failed and runs instead must fail its test, not hang it.
        let (ended, end) = mpsc::channel::<()>();
        let pid = child.id().to_string();
        let guard = thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-9", &pid]).status();
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        guard.join().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub fn program() -> PathBuf {
        env!("CARGO_BIN_EXE_portcullis").into()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory in KiB, as the system counts it (proc(5)).
    pub fn resident(&self) -> u64 {
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        4 * pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// `kill -9`: nothing is finished, flushed or closed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A number as `/metrics` has it.
    pub fn metric(&self, name: &str) -> u64 {
        let said = self.said();
        let address = said.split("listen.admin").nth(1).unwrap();
        let address = address.trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = address.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap();
        let metrics = admin(address[..end].parse().unwrap(), "/metrics");
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end and gives its exit code and all that it has said.
    pub fn wait(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, self.said())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command that should end by itself gets to do so.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the line says that clients are heard.
fn address(line: &str) -> Option<SocketAddr> {
    let rest = line.split("Listening on https://").nth(1)?;
    rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next()?.parse().ok()
}
