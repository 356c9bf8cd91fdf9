//! A real legacy backend: Django believes a header, and the gateway is why it may.
//!
//! `tests/django` is the project. It runs under gunicorn with `--header-map dangerous` and under ASGI: each obeys
//! spellings that the other drops.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, TestGateway, Upstream, bearer, ok};

/// Each line is sent as it stands, beside a good token of ada's and without one.
const FORGERIES: [&[&str]; 12] = [
    &["X-Remote-User: eve"],
    &["x_remote_user: eve"],
    &["X.Remote.User: eve"],
    &["X-REMOTE_USER: eve"],
    &["Remote-User: eve"],
    &["remote_user: eve"],
    &["HTTP-X-Remote-User: eve"],
    &["HTTP_X_REMOTE_USER: eve"],
    &["HTTP-Remote-User: eve"],
    &["Connection: X-Remote-User", "X-Remote-User: eve"],
    &["Connection: close, X-Remote-User, x_remote_user"],
    &["X-Remote-User: eve", "x_remote_user: eve", "Remote-User: eve", "HTTP-X-Remote-User: eve"],
];

#[test]
fn gunicorn_sees_the_user_who_logged_in_and_nobody_else() {
    judge(&Django::start("wsgi", None), &[]);
}

#[test]
fn gunicorn_on_a_unix_socket_sees_the_user_who_logged_in_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let django = Django::start_on("wsgi", None, Some(&folder.path().join("django.sock")));
    assert!(django.url.starts_with("unix:/"), "{}", django.url);
    judge(&django, &[]);
}

#[test]
fn asgi_sees_the_user_who_logged_in_and_nobody_else() {
    judge(&Django::start("asgi", None), &[]);
}

/// The stock middleware under ASGI obeys a client's own `Remote-User`: through the gateway it sees nobody at all.
#[test]
fn asgi_with_the_stock_middleware_obeys_no_client() {
    let django = Django::start("asgi", Some("REMOTE_USER"));
    let gateway = gateway(&django.url);
    let token = log_in(&gateway);
    for forgery in FORGERIES {
        assert_eq!(whoami(&gateway, Some(&token), forgery)["user"], Value::Null, "{forgery:?}");
    }
}

/// The same table against an upstream that records every byte, which is the judge.
#[test]
fn no_forged_byte_reaches_the_upstream() {
    let upstream = Upstream::start(|_, stream| ok(stream, "{}"));
    let gateway = gateway(&format!("http://{}", upstream.address));
    let token = log_in(&gateway);
    for forgery in FORGERIES {
        whoami(&gateway, Some(&token), forgery);
        whoami(&gateway, None, forgery);
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2 * FORGERIES.len());
    for request in requests {
        assert!(!request.head().contains("eve"), "{}", request.head());
        let public = request.request_line().contains("/public/");
        assert_eq!(
            request.header("x-remote-user").as_deref(),
            (!public).then_some("ada"),
            "{}",
            request.head()
        );
    }
}

fn judge(django: &Django, also: &[&str]) {
    let gateway = gateway(&django.url);
    let token = log_in(&gateway);
    assert_eq!(whoami(&gateway, Some(&token), also)["user"], "ada");
    assert_eq!(whoami(&gateway, None, also)["user"], Value::Null);
    for forgery in FORGERIES {
        assert_eq!(whoami(&gateway, Some(&token), forgery)["user"], "ada", "{forgery:?}");
        assert_eq!(whoami(&gateway, None, forgery)["user"], Value::Null, "{forgery:?} without a token");
    }
}

fn gateway(backend: &str) -> TestGateway {
    TestGateway::with(&format!(
        r#"
        [tokens]
        claims = {{ username = "username" }}
        [identity]
        headers = {{ X-Remote-User = "username" }}
        names_are_ours = true
        [auth]
        registration = true
        [[route]]
        path = "/whoami/*"
        upstream = "{backend}"
        [[route]]
        path = "/public/whoami/*"
        upstream = "{backend}"
        access = "public"
        "#
    ))
}

fn log_in(gateway: &TestGateway) -> String {
    gateway.register("ada");
    gateway.login("ada").member("access")
}

/// What Django says: on the protected page with a token, on the public one without.
#[track_caller]
fn whoami(client: &Client, token: Option<&str>, headers: &[&str]) -> Value {
    let authorization = token.map(bearer);
    let mut lines: Vec<&str> = headers.to_vec();
    lines.extend(authorization.as_deref());
    let target = if token.is_some() { "/whoami/" } else { "/public/whoami/" };
    client.get(target, &lines).expect(200).json()
}

/// The project in tests/django, served by a process of its own.
struct Django {
    child: Child,
    /// As a route names it.
    url: String,
    _data: TempDir,
}

impl Django {
    fn start(interface: &str, header: Option<&str>) -> Self {
        Self::start_on(interface, header, None)
    }

    fn start_on(interface: &str, header: Option<&str>, socket: Option<&Path>) -> Self {
        let python = std::env::var("PORTCULLIS_TEST_PYTHON")
            .expect("the Python environment of tests/django: run the tests with scripts/test");
        let data = TempDir::new().unwrap();
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/django/serve.py"));
        command.arg(interface).arg("--data").arg(data.path());
        if let Some(header) = header {
            command.args(["--header", header]);
        }
        if let Some(socket) = socket {
            command.arg("--socket").arg(socket);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let django = Self { child, url: line.trim().to_owned(), _data: data };
        django.wait_until_it_answers();
        django
    }

    /// It listens before it answers: the first answer is what is waited for.
    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = match self.url.strip_prefix("unix:") {
                Some(path) => UnixStream::connect(path).and_then(ask),
                None => TcpStream::connect(self.url.strip_prefix("http://").unwrap()).and_then(ask),
            };
            let answer = answer.unwrap_or_default();
            if answer.contains("200 OK") {
                return;
            }
            assert!(Instant::now() < deadline, "Django does not answer: {answer}");
        }
    }
}

fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    let mut answer = String::new();
    write!(stream, "GET /whoami/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Django {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
