//! Who is believed on where a request comes from: trusted proxies, word for word, and nobody else.

use serde_json::json;

use crate::harness::{TestGateway, Upstream, ok, request};

const LISTEN: &str = "[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 1\n";

/// Where the tests' client, 127.0.0.1, is a trusted proxy.
fn behind_proxies(upstream: &Upstream) -> TestGateway {
    let trusted = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
    TestGateway::with(&format!("{LISTEN}{trusted}{}", upstream.config()))
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to_the_way() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = behind_proxies(&upstream);
    let said = [
        "X-Forwarded-For: 9.9.9.9, 192.0.2.1",
        "X-Forwarded-For: 10.1.2.3",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: shop.example:8443",
        "X-Forwarded-Port: 80",
        "X-Forwarded-Prefix: /shop",
        "X-Forwarded-Client-Cert: Hash=1",
        "X-Real-IP: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
    ];
    gateway.get("/public/x", &said).expect(200);
    let expected = [
        "GET /public/x HTTP/1.1",
        "forwarded: for=192.0.2.1",
        "host: localhost",
        "x-forwarded-client-cert: Hash=1",
        "x-forwarded-for: 9.9.9.9, 192.0.2.1, 10.1.2.3, 127.0.0.1",
        "x-forwarded-host: shop.example:8443",
        "x-forwarded-port: 80",
        "x-forwarded-prefix: /shop",
        "x-forwarded-proto: http",
        "x-real-ip: 192.0.2.1",
        "x-request-id: r-1",
    ];
    gateway.get("/public/x", &[&said[..], &["X-Request-Id: r-1"]].concat()).expect(200);
    assert_eq!(upstream.requests()[1].lines(), expected);
    let log = gateway.stop();
    assert_eq!(log[0]["client"], "192.0.2.1", "{log:?}");
}

#[test]
fn what_even_a_trusted_proxy_cannot_say() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = behind_proxies(&upstream);
    for name in [
        "X_Forwarded_For",
        "X-Forwarded_For",
        "XForwardedFor",
        "X-Forwarded-For-",
        "X_Real_IP",
        "For-warded",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-User-Id",
        "X_User_Id",
        "Remote-User",
    ] {
        gateway.get("/public/x", &[&format!("{name}: 6.6.6.6")]).expect(200);
    }
    // The list is one list; the others are one word each, or the gateway's own.
    for line in [
        "X-Forwarded-Host: a, 6.6.6.6",
        "X-Forwarded-Host: u@6.6.6.6",
        "X-Forwarded-Host: 6.6.6.6/x",
        "X-Forwarded-Proto: https, 6.6.6.6",
        "X-Forwarded-Proto: 6.6.6.6",
        "X-Forwarded-Host: 6.6.6.6\r\nX-Forwarded-Host: 6.6.6.6",
    ] {
        gateway.get("/public/x", &[line]).expect(200);
    }
    for seen in upstream.requests() {
        assert!(!seen.head().contains("6.6.6.6"), "{}", seen.head());
        assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("localhost"));
    }
    let log = gateway.stop();
    assert!(log.iter().all(|line| line["client"] == "127.0.0.1"), "{log:?}");
}

#[test]
fn routes_are_chosen_by_the_host_and_never_by_what_is_forwarded() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        "{LISTEN}trusted_proxies = [\"127.0.0.1\"]\n[[route]]\npath = \"/*\"\nupstream = \"http://{0}\"\n\
         [[route]]\npath = \"/*\"\nhosts = [\"open.example\"]\naccess = \"public\"\nupstream = \"http://{0}\"\n",
        upstream.address
    ));
    let forged = ["X-Forwarded-Host: open.example", "X-Forwarded-Prefix: /x", "X-Original-URL: /x"];
    gateway.get("/x", &forged).expect(401);
    assert_eq!(upstream.requests(), []);
}

#[test]
fn trailers_tell_nothing_of_the_way() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = behind_proxies(&upstream);
    gateway
        .raw(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
             Trailer: X-Forwarded-For, X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Real-IP: 6.6.6.6\r\nX-Sum: 7\r\n\r\n",
        )
        .expect(200);
    let body = String::from_utf8(upstream.only().body).unwrap();
    assert!(!body.contains("6.6.6.6"), "{body}");
}

/// Each client has its own allowance, and cannot take another's by a header.
#[test]
fn throttles_count_the_client_behind_the_proxy() {
    let config = |listen: &str| {
        format!(
            "{listen}[auth]\nregistration = true\n[auth.throttle]\nper_address = {{ attempts = 2, window = \"5m\" }}\n\
             [[route]]\npath = \"/*\"\nupstream = \"echo\"\n"
        )
    };
    let guess = |gateway: &TestGateway, lines: &[&str], name: &str| {
        gateway
            .post_with("/api/auth/login/", lines, &json!({"username": name, "password": "wrong horse"}))
            .status
    };
    let gateway = TestGateway::with(&config(&format!("{LISTEN}trusted_proxies = [\"127.0.0.1\"]\n")));
    let from = |address: &str| format!("X-Forwarded-For: {address}");
    for (address, name, status) in [
        ("192.0.2.1", "a", 401),
        ("8.8.8.8, 192.0.2.1", "b", 401),
        ("9.9.9.9, 192.0.2.1:4711", "c", 429),
        ("192.0.2.1, 192.0.2.2", "d", 401),
        ("192.0.2.2", "e", 401),
        ("[::ffff:192.0.2.2]:1", "f", 429),
        ("192.0.2.3", "g", 401),
        // Nobody that could be told from the proxy: its own allowance.
        ("garbage", "h", 401),
        ("1.1.1.1, garbage", "i", 401),
        ("2.2.2.2, unknown", "j", 429),
    ] {
        assert_eq!(guess(&gateway, &[&from(address)], name), status, "{address}");
    }
    // Without trusted proxies no header brings a new allowance.
    let gateway = TestGateway::with(&config(LISTEN));
    for (address, status) in [("192.0.2.1", 401), ("192.0.2.2", 401), ("192.0.2.3", 429)] {
        assert_eq!(
            guess(&gateway, &[&from(address), "Forwarded: for=1.2.3.4"], address),
            status,
            "{address}"
        );
    }
}

/// Hosts that two readers could take for different ones.
#[test]
fn malformed_hosts_are_refused() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    for host in [
        "",
        " ",
        "a b",
        "a,b",
        "u@localhost",
        "u:p@localhost",
        "localhost/",
        "localhost/x",
        "local\\host",
        "localhost:",
        "localhost:x",
        "localhost:-1",
        "localhost:+1",
        "localhost:65536",
        "localhost:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:x",
        "[::1]:65536",
        "[fe80::1%25eth0]",
        "[127.0.0.1]",
        "bücher.example",
        "b%C3%BCcher.example",
        "local%68ost",
        "localhost?",
        "localhost#",
        "localhost;x",
        ".localhost",
        "localhost..",
        "a..b",
        ".",
        "*",
    ] {
        let answer = gateway.raw(format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let fine = host == "localhost:";
        assert_eq!(answer.status, if fine { 200 } else { 400 }, "{host:?}");
    }
    for head in [
        "GET /public/x HTTP/1.1\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: localhost\r\nhost: other\r\n\r\n",
        "GET http://other/public/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://localhost:80/public/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://u@localhost/public/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET //localhost/public/x HTTP/1.1\r\nHost: other\r\n\r\n",
    ] {
        assert_eq!(gateway.raw(head).status, 400, "{head:?}");
    }
    let before = upstream.requests().len();
    for host in [
        "localhost",
        "LOCALHOST:8443",
        "localhost.",
        "my_service",
        "[::1]:8443",
        "192.0.2.1:1",
        "xn--bcher-kva.example",
    ] {
        gateway.raw(format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect(200);
        assert_eq!(upstream.requests().pop().unwrap().header("host").as_deref(), Some(host));
    }
    // Of old, a request need not name one.
    gateway.raw("GET /public/x HTTP/1.0\r\n\r\n").expect(200);
    gateway.raw(request("GET", "/public/x", &[], b"")).expect(200);
    assert_eq!(upstream.requests().len(), before + 9);
}
