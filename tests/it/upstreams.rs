//! Upstreams of several servers: who is asked, who is asked instead, and how long anybody waits.

mod tls;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Answer, TestGateway, Upstream, ok, request};

/// A gateway with a public route to these servers. It has one worker, so that it is known who is next.
fn gateway(servers: &[String], rest: &str) -> TestGateway {
    TestGateway::with(&format!(
        "[upstream.a]\nservers = {servers:?}\n{rest}\n\
         [[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"a\"\n"
    ))
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// An address where nobody listens.
fn nobody() -> String {
    url(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

/// Asks until `done`.
fn until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "it comes in time");
        thread::sleep(Duration::from_millis(5));
    }
}

fn metric(gateway: &TestGateway, name: &str, server: &str) -> String {
    let text = gateway.operator("/metrics").expect(200).text().to_owned();
    let series = format!("portcullis_{name}{{upstream=\"a\",server=\"{server}\"}} ");
    let line = text.lines().find(|line| line.starts_with(&series));
    line.unwrap_or_else(|| panic!("no {series} in {text}"))[series.len()..].to_owned()
}

#[test]
fn servers_take_turns() {
    let [a, b, c] = [(); 3].map(|()| Upstream::start(|_, stream| ok(stream, "seen")));
    let gateway = gateway(&[url(a.address), url(b.address), url(c.address)], "idle_timeout = \"20s\"");
    for _ in 0..9 {
        gateway.get("/x", &[]).expect(200);
    }
    for upstream in [a, b, c] {
        assert_eq!((upstream.requests().len(), upstream.connections()), (3, 1));
    }
}

#[test]
fn a_dead_server_among_two_costs_nobody_an_answer() {
    let alive = Upstream::start(|request, stream| ok(stream, &request.body.len().to_string()));
    let dead = nobody();
    let gateway = gateway(&[dead.clone(), url(alive.address)], "");
    // Nothing was sent of it, so that a body is no reason not to ask the other one.
    assert_eq!(gateway.request("POST", "/x", &[], b"body").expect(200).text(), "4");
    for _ in 0..9 {
        gateway.get("/x", &[]).expect(200);
    }
    assert_eq!(alive.requests().len(), 10);
    assert_eq!(metric(&gateway, "upstream_server_healthy", &dead), "0");
    assert_eq!(metric(&gateway, "upstream_server_healthy", &url(alive.address)), "1");
    assert_eq!(metric(&gateway, "upstream_connect_failures_total", &dead), "1");
    assert_eq!(metric(&gateway, "upstream_retries_total", &dead), "1");
    assert_eq!(metric(&gateway, "upstream_connections", &dead), "0");
    // The access log names the upstream, whichever server it was.
    assert!(gateway.stop().iter().all(|line| line["upstream"] == "a"));
}

#[test]
fn all_dead_is_502_within_a_second() {
    let gateway = gateway(&[nobody(), nobody(), "unix:/nowhere/at/all".to_owned()], "");
    for _ in 0..4 {
        let started = Instant::now();
        let answer = gateway.get("/x", &[]).expect(502);
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(!answer.text().contains("127.0.0.1") && !answer.text().contains("nowhere"));
    }
}

#[test]
fn a_unix_socket_is_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|read| read > 0) {
                if head.ends_with("\r\n\r\n") {
                    recorded.lock().unwrap().push(std::mem::take(&mut head));
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen";
                    stream.get_mut().write_all(answer).unwrap();
                }
            }
        }
    });
    let server = format!("unix:{}", path.display());
    for (rest, host) in [("", "app.example"), ("host = \"upstream\"", "localhost")] {
        let gateway = gateway(std::slice::from_ref(&server), rest);
        let asked = b"GET /x?y HTTP/1.1\r\nHost: app.example\r\n\r\n";
        assert_eq!(gateway.raw(asked).expect(200).text(), "seen");
        assert_eq!(gateway.raw(asked).expect(200).text(), "seen");
        for head in heads.lock().unwrap().drain(..) {
            assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
            assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
        }
    }
}

#[test]
fn health_checks_take_a_server_out_and_in_again() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&well);
    let upstream = Upstream::start(move |request, stream| match request.request_line() {
        "GET /healthz?deep HTTP/1.1" if !asked.load(Ordering::SeqCst) => {
            stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_ok()
        }
        _ => ok(stream, "seen"),
    });
    let server = url(upstream.address);
    let health = "health = { path = \"/healthz?deep\", interval = \"1500ms\", unhealthy_after = 1 }";
    let gateway = gateway(std::slice::from_ref(&server), health);
    // Before any check it is taken to be healthy.
    gateway.get("/x", &[]).expect(200);
    until(|| upstream.requests().len() >= 2);
    let check = upstream.requests().into_iter().find(|request| !request.head().contains("/x ")).unwrap();
    let expected = [
        "GET /healthz?deep HTTP/1.1",
        "connection: close",
        &format!("host: {}", upstream.address),
        "user-agent: portcullis",
    ];
    assert_eq!(check.lines(), expected);

    well.store(false, Ordering::SeqCst);
    until(|| metric(&gateway, "upstream_server_healthy", &server) == "0");
    let before = upstream.requests().iter().filter(|request| request.head().contains("/x ")).count();
    let started = Instant::now();
    let answer = gateway.get("/x", &[]).expect(503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(started.elapsed() < Duration::from_secs(1));
    let after = upstream.requests().iter().filter(|request| request.head().contains("/x ")).count();
    assert_eq!(after, before, "an unhealthy server gets no request");

    well.store(true, Ordering::SeqCst);
    until(|| metric(&gateway, "upstream_server_healthy", &server) == "1");
    gateway.get("/x", &[]).expect(200);
}

#[test]
fn requests_go_to_the_healthy_servers() {
    // One does not listen, one is silent, one answers what is no success, one is well.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let checks = |answer: &'static [u8]| {
        Upstream::start(move |request, stream| match request.request_line() {
            "GET /healthz HTTP/1.1" => stream.write_all(answer).is_ok(),
            _ => ok(stream, "seen"),
        })
    };
    let ill = checks(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let well = checks(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    let servers = [nobody(), url(silent.local_addr().unwrap()), url(ill.address), url(well.address)];
    let gateway =
        gateway(&servers, "health = { path = \"/healthz\", interval = \"100ms\", unhealthy_after = 2 }");
    let healthy = |server: &String| metric(&gateway, "upstream_server_healthy", server);
    until(|| servers.iter().map(healthy).collect::<Vec<_>>() == ["0", "0", "0", "1"]);
    for _ in 0..8 {
        gateway.get("/x", &[]).expect(200);
    }
    assert!(ill.requests().iter().all(|request| request.head().contains("/healthz")));
}

/// What an upstream does with the request in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Says this, and closes.
    Breaks(&'static str),
    /// Says nothing, and keeps the connection.
    Silent,
}

#[test]
fn what_is_sent_twice_is_what_may_be() {
    use Deed::{Breaks, Silent};
    const REUSED: bool = true;
    let mut cases = Vec::new();
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let is_safe = ["GET", "HEAD", "OPTIONS"].contains(&method);
        for body in ["", "body"] {
            let may_be = is_safe && body.is_empty();
            cases.push((method, body, REUSED, Breaks(""), if may_be { (2, 200) } else { (1, 502) }));
            cases.push((method, body, !REUSED, Breaks(""), (1, 502)));
        }
    }
    for heard in ["H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"] {
        cases.push(("GET", "", REUSED, Breaks(heard), (1, 502)));
        cases.push(("GET", "", !REUSED, Breaks(heard), (1, 502)));
    }
    for reused in [REUSED, !REUSED] {
        cases.push(("GET", "", reused, Silent, (1, 504)));
        cases.push(("POST", "body", reused, Silent, (1, 504)));
    }
    let deeds: Arc<Mutex<BTreeMap<String, Deed>>> = Arc::default();
    let known = Arc::clone(&deeds);
    // Each request is misread once: what comes again is answered.
    let upstream = Upstream::start(move |request, stream| {
        let target = request.request_line().split(' ').nth(1).unwrap().to_owned();
        let deed = known.lock().unwrap().remove(&target);
        match deed {
            Some(Breaks(said)) => {
                stream.write_all(said.as_bytes()).unwrap();
                false
            }
            Some(Silent) => true,
            None => ok(stream, if request.request_line().starts_with("HEAD") { "" } else { "seen" }),
        }
    });
    let rest = "idle_timeout = \"20s\"\nresponse_timeout = \"250ms\"";
    let servers = [url(upstream.address)];
    let mut warm = gateway(&servers, rest);
    for (index, (method, body, reused, deed, expected)) in cases.into_iter().enumerate() {
        let target = format!("/case/{index}");
        let cold;
        let gateway = if reused {
            warm.get("/warm", &[]).expect(200);
            &warm
        } else {
            cold = gateway(&servers, rest);
            &cold
        };
        deeds.lock().unwrap().insert(target.clone(), deed);
        let answer = gateway.request(method, &target, &[], body.as_bytes());
        let line = format!("{method} {target} HTTP/1.1");
        let sent = upstream.requests().iter().filter(|seen| seen.request_line() == line).count();
        let case = format!("{method} {body:?} reused: {reused} {deed:?}");
        assert_eq!((sent, answer.status), expected, "{case}");
    }
    warm = gateway(&servers, &format!("retries = 0\n{rest}"));
    warm.get("/warm", &[]).expect(200);
    deeds.lock().unwrap().insert("/never".to_owned(), Breaks(""));
    warm.get("/never", &[]).expect(502);
}

#[test]
fn a_late_server_is_504_and_no_other_one_is_asked() {
    let seen = Arc::new(Mutex::new(0));
    let start = || {
        let seen = Arc::clone(&seen);
        Upstream::start(move |_, _| {
            *seen.lock().unwrap() += 1;
            true
        })
    };
    let (a, b) = (start(), start());
    let gateway = gateway(&[url(a.address), url(b.address)], "response_timeout = \"200ms\"");
    let started = Instant::now();
    gateway.get("/x", &[]).expect(504);
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(*seen.lock().unwrap(), 1);
}

#[test]
fn the_cap_on_connections_is_each_servers() {
    // An answer that never ends holds its connection.
    let held = || {
        Upstream::start(|request, stream| {
            if request.head().contains("/held") {
                return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").is_ok();
            }
            ok(stream, "seen")
        })
    };
    let (a, b) = (held(), held());
    let gateway = gateway(&[url(a.address), url(b.address)], "connections = 3\nconnect_timeout = \"200ms\"");
    let holders: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = gateway.connect();
            stream.get_mut().write_all(&request("GET", "/held", &[], b"")).unwrap();
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            assert!(line.starts_with("HTTP/1.1 200"), "{line}");
            stream
        })
        .collect();
    assert_eq!((a.connections(), b.connections()), (3, 3));
    let answer = gateway.get("/x", &[]).expect(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(metric(&gateway, "upstream_requests_in_flight", &url(a.address)), "3");
    assert_eq!((a.connections(), b.connections()), (3, 3));

    drop(holders);
    until(|| gateway.get("/x", &[]).status == 200);
    until(|| metric(&gateway, "upstream_requests_in_flight", &url(a.address)) == "0");
}

#[test]
fn a_client_that_is_slow_does_not_starve_the_others() {
    let upstream = Upstream::start(|request, stream| ok(stream, &request.body.len().to_string()));
    let server = url(upstream.address);
    let gateway = gateway(std::slice::from_ref(&server), "connections = 32\nconnect_timeout = \"300ms\"");
    let in_flight = || metric(&gateway, "upstream_requests_in_flight", &server);
    let upload = |source: [u8; 4]| {
        let mut stream = gateway.connect_from(Ipv4Addr::from(source));
        let head = request("POST", "/upload", &["Content-Length: 10"], b"");
        stream.get_mut().write_all(&[&head[..], b"1"].concat()).unwrap();
        stream
    };
    // One may take half of them, and then no more.
    let mut slow: Vec<_> = (0..16).map(|_| upload([127, 0, 0, 2])).collect();
    until(|| in_flight() == "16");
    let refused = Answer::read(&mut upload([127, 0, 0, 2]), false).unwrap().expect(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(upstream.requests().len(), 0);
    // Another one has a quarter, and a third one is answered at once.
    slow.extend((0..8).map(|_| upload([127, 0, 0, 3])));
    until(|| in_flight() == "24");
    Answer::read(&mut upload([127, 0, 0, 3]), false).unwrap().expect(503);
    let started = Instant::now();
    gateway.get("/x", &[]).expect(200);
    assert!(started.elapsed() < Duration::from_millis(250));

    // Whoever waits gets what its own requests give back.
    let mut waiting = upload([127, 0, 0, 2]);
    for mut stream in slow.drain(..16) {
        stream.get_mut().write_all(b"234567890").unwrap();
        assert_eq!(Answer::read(&mut stream, false).unwrap().expect(200).text(), "10");
    }
    waiting.get_mut().write_all(b"234567890").unwrap();
    assert_eq!(Answer::read(&mut waiting, false).unwrap().expect(200).text(), "10");
}
