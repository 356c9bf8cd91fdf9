use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    ops::Deref,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    access_log::Sink,
    app::{App, Io},
    clock::{Clock, Timestamp},
    config, store, telemetry,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Client, H2};

/// The instant at which every gateway begins.
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A gateway of its own: own folder, own store, own clock, own ports.
pub struct TestGateway {
    pub clock: Clock,
    folder: Arc<TempDir>,
    app: Option<App>,
    client: Client,
    log: Lines,
}

/// Its client's methods are the gateway's.
impl Deref for TestGateway {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestGateway {
    /// The echo backend behind a protected `/*`, and a public `/public/*`; registration is open.
    pub fn start() -> Self {
        Self::with(
            r#"
            [auth]
            registration = true
            [[route]]
            path = "/*"
            upstream = "echo"
            [[route]]
            path = "/public/*"
            upstream = "echo"
            access = "public"
            "#,
        )
    }

    /// A gateway with this configuration; where it listens is added.
    pub fn with(config: &str) -> Self {
        Self::in_folder(Arc::new(TempDir::new().unwrap()), Clock::manual(NOW), config)
    }

    /// As [`Self::with`], by that clock: the system's, where commands work on the same store.
    pub fn by_clock(clock: Clock, config: &str) -> Self {
        Self::in_folder(Arc::new(TempDir::new().unwrap()), clock, config)
    }

    /// As [`Self::with`], over the store and the keys of another.
    pub fn beside(other: &Self, config: &str) -> Self {
        Self::beside_by_clock(other, other.clock.clone(), config)
    }

    /// As [`Self::beside`], by a clock of its own.
    pub fn beside_by_clock(other: &Self, clock: Clock, config: &str) -> Self {
        Self::in_folder(Arc::clone(&other.folder), clock, config)
    }

    fn in_folder(folder: Arc<TempDir>, clock: Clock, config: &str) -> Self {
        let path = folder.path().join("gateway.toml");
        fs::write(&path, complete(config)).unwrap();
        let checked = config::read(&path).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let log = Lines::default();
        let io = Io {
            clock: clock.clone(),
            access_log: Sink::Writer(Box::new(log.clone())),
            terminal: false,
            dropped: telemetry::Dropped::default(),
        };
        let mut settings = checked.prepare().unwrap();
        if let store::Settings::Postgres(postgres) = &mut settings.store {
            // The clock that the test moves.
            postgres.judge = store::Judge::Caller;
        }
        let app = App::start(settings, io).unwrap_or_else(|error| panic!("{error}"));
        let addresses = *app.addresses();
        let address = addresses.https.or(addresses.plain).unwrap();
        let client = Client::new(address, &folder.path().join("certs/dev.crt"));
        Self { clock, folder, app: Some(app), client, log }
    }

    /// A client for another thread.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn h2(&self) -> H2 {
        H2::connect(&self.client)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    /// Moves this gateway's clock.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Registers a user with the password `correct horse`.
    #[track_caller]
    pub fn register(&self, name: &str) -> Answer {
        self.post("/api/auth/register/", &registration(name)).expect(201)
    }

    /// Logs in with the password `correct horse`.
    #[track_caller]
    pub fn login(&self, name: &str) -> Answer {
        self.post("/api/auth/login/", &credentials(name)).expect(200)
    }

    /// What an operator's listener answers.
    pub fn operator(&self, target: &str) -> Answer {
        admin(self.app().admin_addr(), target)
    }

    /// Stops in order, and gives what the access log holds by then.
    pub fn stop(mut self) -> Vec<Value> {
        self.app.take().unwrap().stop().unwrap();
        let log = self.log.0.lock().unwrap();
        std::str::from_utf8(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            // At once: a failed test leaves connections open.
            let _ = app.run(std::future::ready(()), std::future::ready(()));
        }
    }
}

/// Adds where to listen, and one worker: what has to cross workers says so itself.
pub fn complete(config: &str) -> String {
    let listen =
        if config.contains("[listen]") { "" } else { "[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 1\n" };
    format!("{listen}[admin]\nlisten = \"127.0.0.1:0\"\n{config}")
}

pub fn registration(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.com"), "password": "correct horse"})
}

pub fn credentials(name: &str) -> Value {
    json!({"username": name, "password": "correct horse"})
}

/// One request to an operators' listener.
pub fn admin(address: SocketAddr, target: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    Answer::read(&mut io::BufReader::new(stream), false).expect("an answer")
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
