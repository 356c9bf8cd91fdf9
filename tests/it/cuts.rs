//! An answer lasts no longer than the token that opened it.

mod slow;
mod stale;
mod uploads;
mod websocket;

use std::{
    io::{BufRead, Read, Write},
    sync::{Mutex, mpsc},
    time::Duration,
};

use serde_json::json;

use crate::harness::{
    Answer, Client, Ending, Process, Scripted, Stream, TestGateway, bearer, eventually,
    frames::{self, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM},
    request,
};

const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A text frame.
const HELLO: &[u8] = b"\x81\x06hello\n";

/// The head of a binary frame of 100 MB.
const LARGE: &[u8] = b"\x82\x7f\0\0\0\0\x05\xf5\xe1\0";

/// The last chunk.
const END: &[u8] = b"0\r\n\r\n";

const REVOKED: &[u8] = b"\x88\x0f\x03\xf0token revoked";
const EXPIRED: &[u8] = b"\x88\x0f\x03\xf0token expired";
const STALE: &[u8] = b"\x88\x15\x03\xf5revocations unknown";

/// What reached the upstream on one connection behind the head, and how the gateway ended it.
#[derive(Debug)]
struct Seen {
    path: String,
    bytes: Vec<u8>,
    ending: Ending,
}

/// An upstream that begins answers and ends none, but those of `/neighbour`, when told to.
struct Backend {
    upstream: Scripted,
    /// Paths that have been asked for, when they have been answered as far as they are.
    asked: mpsc::Receiver<String>,
    ended: mpsc::Receiver<Seen>,
    go: mpsc::Sender<()>,
}

impl Backend {
    fn start() -> Self {
        let (go, told) = mpsc::channel::<()>();
        let (ask, asked) = mpsc::channel();
        let told = Mutex::new(told);
        let (upstream, ended) = Scripted::telling(move |mut wire, _| {
            let head = wire.head().unwrap_or_default();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
            let events = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked";
            let mut bytes = Vec::new();
            match &*path {
                "/events" => drop(wire.say(head(events) + "6\r\nhello\n\r\n")),
                "/length" => drop(wire.say(head("Content-Length: 1000000") + "hello\n")),
                "/close" => drop(wire.say(head("Server: old") + "hello\n")),
                "/upload" => bytes = wire.take(5),
                "/both" => {
                    bytes = wire.take(5);
                    wire.say(head("Transfer-Encoding: chunked") + "6\r\nhello\n\r\n");
                }
                "/border" => drop(wire.say([ACCEPTED.as_bytes(), HELLO].concat())),
                "/middle" => drop(wire.say([ACCEPTED.as_bytes(), LARGE, b"hello\n"].concat())),
                "/large" => {
                    wire.say([ACCEPTED.as_bytes(), LARGE].concat());
                    wire.say(vec![b'.'; 50_000_000]);
                    wire.say("hello\n");
                }
                "/neighbour" => {
                    wire.say(head("Connection: close\r\nTransfer-Encoding: chunked") + "6\r\nhello\n\r\n");
                    ask.send(path.clone()).unwrap();
                    told.lock().unwrap().recv().unwrap();
                    wire.say("5\r\nworld\r\n0\r\n\r\n");
                }
                _ => {}
            }
            if path != "/neighbour" {
                // The test may have ended.
                let _ = ask.send(path.clone());
            }
            let (rest, ending) = wire.rest();
            bytes.extend(rest);
            Seen { path, bytes, ending }
        });
        Self { upstream, asked, ended, go }
    }

    fn config(&self) -> String {
        format!("[auth]\nregistration = true\n{}", self.upstream.config().replace("public", "protected"))
    }

    #[track_caller]
    fn asked(&self, path: &str) {
        assert_eq!(self.asked.recv_timeout(PATIENCE).as_deref(), Ok(path));
    }

    #[track_caller]
    fn ended(&self) -> Seen {
        self.ended.recv_timeout(PATIENCE).expect("the upstream's connection ends")
    }
}

/// What anything here may take on a busy machine. A second is promised.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a request and waits until the backend has it, and we what it said at once.
fn open(backend: &Backend, client: &Client, path: &str, token: &str) -> Stream {
    open_with(backend, client, path, &[&bearer(token)])
}

fn open_with(backend: &Backend, client: &Client, path: &str, lines: &[&str]) -> Stream {
    let mut stream = client.connect();
    let upload = matches!(path, "/upload" | "/both");
    let mut lines = lines.to_vec();
    if matches!(path, "/border" | "/middle" | "/large") {
        lines.extend(HANDSHAKE);
    }
    if upload {
        lines.push("Content-Length: 100");
    }
    let method = if upload { "POST" } else { "GET" };
    stream.get_mut().write_all(&request(method, path, &lines, b"")).unwrap();
    if upload {
        stream.get_mut().write_all(b"begun").unwrap();
    }
    if !matches!(path, "/poll" | "/upload") {
        let end: &[u8] = if matches!(path, "/events" | "/close" | "/both" | "/neighbour") {
            b"hello\n\r\n"
        } else {
            b"hello\n"
        };
        read_until(&mut stream, end);
    }
    backend.asked(path);
    stream
}

/// Reads lines until one ends so.
#[track_caller]
fn read_until(stream: &mut Stream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        assert_ne!(stream.read_until(b'\n', &mut bytes).unwrap(), 0, "{}", bytes.escape_ascii());
    }
    bytes
}

/// Answers of every kind, all opened by one token.
struct Opened<'b> {
    backend: &'b Backend,
    streams: Vec<(&'static str, Stream)>,
    h2: Frames,
    neighbour: Stream,
}

const KINDS: [&str; 8] = ["/events", "/length", "/close", "/poll", "/upload", "/both", "/border", "/middle"];

impl<'b> Opened<'b> {
    fn open(backend: &'b Backend, client: &Client, token: &str, neighbour: &str) -> Self {
        let streams = KINDS.map(|path| (path, open(backend, client, path, token))).into();
        let mut h2 = Frames::connect(client, &[]);
        for (stream, path, token) in
            [(1, "/events", token), (3, "/neighbour", neighbour), (5, "/poll", token)]
        {
            h2.send(&get(stream, path, token)).unwrap();
            backend.asked(path);
            if path != "/poll" {
                while h2.until(DATA).unwrap().stream != stream {}
            }
        }
        let neighbour = open(backend, client, "/neighbour", neighbour);
        Self { backend, streams, h2, neighbour }
    }

    /// All of them end, and nobody else's.
    fn assert_cut(self, how: &str, close: &[u8]) {
        let Self { backend, streams, mut h2, mut neighbour } = self;
        for (path, mut stream) in streams {
            let mut rest = Vec::new();
            let end = match path {
                "/poll" | "/upload" => {
                    let answer = Answer::read(&mut stream, false).unwrap_or_else(|| panic!("{how} {path}"));
                    match close {
                        STALE => assert_refused_for_now(&answer, how),
                        _ => assert_refused(answer.status, &answer, how),
                    }
                    continue;
                }
                _ => stream.read_to_end(&mut rest),
            };
            if path == "/border" {
                assert_eq!(rest, close, "{how}");
                end.unwrap_or_else(|error| panic!("{how}: not closed in order: {error}"));
            } else {
                assert!(end.is_err(), "{how} {path} looks whole");
                assert_eq!(rest, b"", "{how} {path}");
            }
        }
        let (mut reset, mut status) = (false, None);
        while !reset || status.is_none() {
            let frame = h2.next().unwrap_or_else(|| panic!("{how}: the connection ended"));
            assert!(frame.stream != 1 || frame.flags & END_STREAM == 0 || frame.kind == RST_STREAM, "{how}");
            match (frame.stream, frame.kind) {
                (1, RST_STREAM) => reset = true,
                (5, HEADERS) => status = Some(frame.status()),
                (3, _) => panic!("{how}: the neighbour got {frame:?}"),
                _ => {}
            }
        }
        assert_eq!(status, Some(if close == STALE { 503 } else { 401 }), "{how}");
        for _ in 0..KINDS.len() + 2 {
            let Seen { path, bytes, ending } = backend.ended();
            assert_ne!(ending, Ending::Open, "{how} {path}");
            match &*path {
                // The client's side stood at a border, where it had sent nothing.
                "/border" | "/middle" => assert_eq!(unmasked(&bytes), close, "{how} {path}"),
                "/upload" | "/both" => assert_eq!(bytes, b"begun", "{how} {path}"),
                _ => assert_eq!(bytes, b"", "{how} {path}"),
            }
        }
        backend.go.send(()).unwrap();
        backend.go.send(()).unwrap();
        assert_eq!(read_until(&mut neighbour, END), b"5\r\nworld\r\n0\r\n\r\n", "{how}");
        let mut world = Vec::<u8>::new();
        while let Some(frame) = h2.next() {
            if frame.stream == 3 {
                world.extend(&frame.payload);
                if frame.flags & END_STREAM != 0 {
                    break;
                }
            }
        }
        assert_eq!(world, b"world", "{how}");
        for _ in 0..2 {
            assert_eq!(backend.ended().path, "/neighbour", "{how}");
        }
    }
}

#[track_caller]
fn assert_refused(status: u16, answer: &Answer, how: &str) {
    assert_eq!(status, 401, "{how}");
    assert!(answer.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#), "{how}");
    assert_eq!(answer.json()["code"], "token_not_valid", "{how}");
}

/// Nobody says that the token is bad: its client shall keep it.
#[track_caller]
fn assert_refused_for_now(answer: &Answer, how: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{how}");
    assert_eq!(answer.header("www-authenticate"), None, "{how}");
    assert_eq!(answer.json(), json!({"detail": "Temporarily unavailable, try again."}), "{how}");
}

/// A masked frame as an unmasked one.
#[track_caller]
fn unmasked(frame: &[u8]) -> Vec<u8> {
    assert_eq!(frame[1] & 0x80, 0x80, "what a client sends is masked: {frame:?}");
    let (head, payload) = frame.split_at(6);
    let mask = head[2..].iter().cycle();
    let mut bytes = vec![head[0], head[1] & 0x7f];
    bytes.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn get(stream: u32, path: &str, token: &str) -> Vec<u8> {
    let mut block = frames::asking("GET", path);
    block.extend(frames::fields(&[("authorization", &format!("Bearer {token}"))]));
    frames::frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// A counter with this label, as an operator sees it.
fn metric(gateway: &TestGateway, name: &str) -> u64 {
    let metrics = gateway.operator("/metrics");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn whatever_kills_a_token_cuts_what_it_had_opened_and_nothing_else() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&backend.config());
    let refresh = |token: &str| gateway.post("/api/auth/token/refresh/", &json!({"refresh": token}));
    let user = |command: &str, name: &str| {
        let (code, _, error) = Process::command(gateway.folder(), &["user", command, name], "");
        assert_eq!(code, 0, "{error}");
    };
    type Way<'w> = &'w dyn Fn(&str, &Answer);
    let ways: [(&str, Way<'_>); 7] = [
        ("logout", &|_, session| {
            gateway.post_as("/api/auth/logout/", &session.member("access"), &json!({})).expect(200);
        }),
        ("logout all", &|name, _| {
            let other = gateway.login(name).member("access");
            gateway.post_as("/api/auth/logout/all/", &other, &json!({})).expect(200);
        }),
        ("a stolen session", &|_, session| {
            let second = refresh(&session.member("refresh")).expect(200).member("refresh");
            refresh(&second).expect(200);
            gateway.pass(11);
            refresh(&session.member("refresh")).expect(401);
        }),
        ("password change", &|name, _| {
            let other = gateway.login(name).member("access");
            let body = json!({"current": "correct horse", "new": "battery staple"});
            gateway.post_as("/api/auth/password/", &other, &body).expect(200);
        }),
        ("disabled by another process", &|name, _| user("disable", name)),
        ("deleted by another process", &|name, _| user("delete", name)),
        ("expiry", &|_, _| gateway.pass(801)),
    ];
    gateway.register("bob");
    for (number, (how, kill)) in ways.into_iter().enumerate() {
        let name = format!("ada{number}");
        let session = gateway.register(&name);
        gateway.pass(1000);
        let neighbour = gateway.login("bob").member("access");
        let opened = Opened::open(&backend, &gateway, &session.member("access"), &neighbour);
        assert_eq!(metric(&gateway, "portcullis_tunnels"), 2);
        kill(&name, &session);
        opened.assert_cut(how, if how == "expiry" { EXPIRED } else { REVOKED });
        // Nothing is left of them.
        eventually("no tunnel is left", || metric(&gateway, "portcullis_tunnels") == 0);
    }
    let (revoked, expired) = ("{reason=\"revoked\"}", "{reason=\"expired\"}");
    let cut = |reason| metric(&gateway, &format!("portcullis_answers_cut_total{reason}"));
    assert_eq!((cut(revoked), cut(expired)), (60, 10));

    let log = gateway.stop();
    for line in log.iter().filter(|line| !line["path"].as_str().unwrap().starts_with("/api/auth/")) {
        let known = |name: &str| line[name].as_str().map(str::to_owned);
        let cut = known("cut");
        match line["path"].as_str().unwrap() {
            "/neighbour" => assert_eq!((cut, &line["aborted"]), (None, &json!(false)), "{line}"),
            "/poll" | "/upload" => {
                assert_eq!((&line["status"], &line["aborted"]), (&json!(401), &json!(false)), "{line}");
                assert_eq!(known("verdict"), cut.map(|cut| format!("token_{cut}")), "{line}");
            }
            _ => {
                assert!(matches!(cut.as_deref(), Some("revoked" | "expired")), "{line}");
                assert_eq!((&line["verdict"], &line["aborted"]), (&json!("allowed"), &json!(true)), "{line}");
            }
        }
        assert!(known("user_id").is_some() && known("token_id").is_some(), "{line}");
    }
}

/// A token that was refreshed lives to its end; so does what is nobody's, or somebody else's.
#[test]
fn what_concerns_no_token_of_theirs_cuts_nobody() {
    let backend = Backend::start();
    let address = backend.upstream.address;
    let routes = ["public", "optional"].map(|access| {
        format!("[[route]]\npath = \"/neighbour\"\nhosts = [\"{access}\"]\naccess = \"{access}\"\nupstream = \"http://{address}\"\n")
    });
    let gateway = TestGateway::with(&format!("{}{}", backend.config(), routes.concat()));
    let (ada, bob) = (gateway.register("ada"), gateway.register("bob"));
    let access = ada.member("access");
    let body = json!({"refresh": ada.member("refresh")});
    let at = |host: &str, lines: &[&str]| {
        let mut stream = gateway.connect();
        let mut bytes = String::from_utf8(request("GET", "/neighbour", lines, b"")).unwrap();
        bytes = bytes.replace("Host: localhost", &format!("Host: {host}"));
        stream.get_mut().write_all(bytes.as_bytes()).unwrap();
        backend.asked("/neighbour");
        stream
    };
    let mut going_on = vec![
        open(&backend, &gateway, "/neighbour", &access),
        at("optional", &[]),
        // A public route looks at no token, whatever comes with the request.
        at("public", &[&bearer(&bob.member("access"))]),
    ];
    let cut = [
        open(&backend, &gateway, "/events", &bob.member("access")),
        at("optional", &[&bearer(&bob.member("access"))]),
    ];
    gateway.post("/api/auth/token/refresh/", &body).expect(200);
    gateway.post_as("/api/auth/logout/", &bob.member("access"), &json!({})).expect(200);
    for mut stream in cut {
        // Whoever had to go has gone, so whoever is still there was found good.
        stream.read_to_end(&mut Vec::new()).unwrap_err();
    }
    // One of them waits for the upstream that its client no longer does.
    (0..4).for_each(|_| backend.go.send(()).unwrap());
    for stream in &mut going_on {
        assert!(read_until(stream, END).ends_with(b"5\r\nworld\r\n0\r\n\r\n"));
    }
}

#[test]
fn another_gateway_on_the_same_store_cuts_on_each_of_its_workers() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&backend.config());
    let workers = "[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 3\n";
    let second = TestGateway::beside(&gateway, &format!("{workers}{}", backend.config()));
    let access = gateway.register("ada").member("access");
    let streams: Vec<_> = (0..12).map(|_| open(&backend, &second, "/border", &access)).collect();
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    let began = std::time::Instant::now();
    for mut stream in streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, REVOKED);
    }
    // A second is promised; five are waited for on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
