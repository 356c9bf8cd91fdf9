//! What operators see, and where.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use serde_json::json;

use crate::harness::{TestGateway, bearer, credentials, registration};

#[test]
fn operators_see_life_readiness_and_numbers() {
    let gateway = TestGateway::start();
    gateway.operator("/livez").expect(200);
    gateway.operator("/readyz").expect(200);
    let verbose = gateway.operator("/readyz?verbose").expect(200);
    assert!(verbose.text().contains("store"), "{}", verbose.text());
    gateway.operator("/nothing").expect(404);

    let session = gateway.register("ada");
    gateway.get_as("/x", &session.member("access")).expect(200);
    gateway.get("/x", &[]).expect(401);
    gateway.post_as("/api/auth/logout/", &session.member("access"), &serde_json::json!({})).expect(200);
    let metrics = gateway.operator("/metrics").expect(200);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(metrics.header("content-type"), Some(content_type));
    let text = metrics.text();
    for line in [
        r#"portcullis_requests_total{route="/*",status="2xx"} 1"#,
        r#"portcullis_requests_total{route="/*",status="4xx"} 1"#,
        r#"portcullis_verdicts_total{verdict="token_missing"} 1"#,
        "portcullis_registrations_total 1",
        r#"portcullis_revocation_entries{kind="session"} 1"#,
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_public_side_does_not_show_them() {
    let gateway =
        TestGateway::with("[[route]]\npath = \"/app/*\"\naccess = \"public\"\nupstream = \"echo\"\n");
    for target in ["/metrics", "/livez", "/readyz"] {
        gateway.get(target, &[]).expect(404);
    }
}

#[test]
fn the_access_log_tells_each_request() {
    let gateway = TestGateway::start();
    let session = gateway.register("ada");
    gateway
        .get("/x?secret=1", &[&crate::harness::bearer(&session.member("access")), "X-Request-Id: r-1"])
        .expect(200);
    gateway.get("/x", &[]).expect(401);
    let log = gateway.stop();
    let line = log.iter().find(|line| line["request_id"] == "r-1").unwrap();
    for (name, value) in [
        ("time", "2027-01-15T08:00:00.000Z"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "localhost"),
        ("path", "/x"),
        ("route", "/*"),
        ("user_id", "1"),
        ("verdict", "allowed"),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert_eq!((&line["status"], &line["aborted"]), (&200.into(), &false.into()));
    assert_eq!(line["token_id"].as_str().unwrap().len(), 32);
    assert_eq!(log.last().unwrap()["verdict"], "token_missing");
    let register = &log[0];
    assert_eq!((&register["verdict"], &register["user_id"]), (&"endpoint".into(), &"1".into()));
}

#[test]
fn what_is_refused_before_it_is_a_request_is_counted() {
    let gateway = TestGateway::start();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000));
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n", 400),
        ("GET /?q=\"x\" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (&*long, 414),
        // Refused as a request, and logged and counted as one.
        ("GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
    ] {
        assert_eq!(gateway.raw(bytes).status, status);
    }
    let numbers = gateway.operator("/metrics");
    assert!(numbers.text().contains("\nportcullis_unread_requests_total 3\n"), "{}", numbers.text());
}

/// The value of a sample; 0 where it is not there.
fn number(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{sample} ")));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// What operators build their alerts on.
#[test]
fn every_number_has_its_name_its_type_and_its_help() {
    let gateway = TestGateway::start();
    let metrics = gateway.operator("/metrics").expect(200);
    let text = metrics.text();
    for (name, kind) in [
        ("build", "info"),
        ("requests", "counter"),
        ("verdicts", "counter"),
        ("request_duration_seconds", "histogram"),
        ("upstream_duration_seconds", "histogram"),
        ("auth_duration_seconds", "histogram"),
        ("password_hash_duration_seconds", "histogram"),
        ("password_hash_queue", "gauge"),
        ("password_hashes_refused", "counter"),
        ("connections", "gauge"),
        ("connections_accepted", "counter"),
        ("connections_refused", "counter"),
        ("tls_handshakes", "counter"),
        ("tls_handshake_failures", "counter"),
        ("tls_certificate_not_after_seconds", "gauge"),
        ("tunnels", "gauge"),
        ("unread_requests", "counter"),
        ("accept_failures", "counter"),
        ("proxies_untrusted", "counter"),
        ("proxy_header_failures", "counter"),
        ("registrations", "counter"),
        ("logins", "counter"),
        ("login_failures", "counter"),
        ("logouts", "counter"),
        ("password_changes", "counter"),
        ("refreshes", "counter"),
        ("refresh_thefts", "counter"),
        ("refresh_replacements", "counter"),
        ("throttled", "counter"),
        ("revocation_entries", "gauge"),
        ("revocation_memory_bytes", "gauge"),
        ("revocation_feed_lag_seconds", "gauge"),
        ("revocation_sequence", "gauge"),
        ("revocations_unwritten", "gauge"),
        ("revocations_forgotten", "counter"),
        ("store_failures", "counter"),
        ("access_log_lines_dropped", "counter"),
        ("event_lines_dropped", "counter"),
    ] {
        assert!(text.contains(&format!("\n# TYPE portcullis_{name} {kind}\n")), "{name} in {text}");
        let help = text.split(&format!("# HELP portcullis_{name} ")).nth(1).unwrap_or_default();
        assert!(help.lines().next().is_some_and(|help| help.len() > 10), "{name}");
        for (unit, suffix) in [("seconds", "_seconds"), ("bytes", "_bytes")] {
            if name.ends_with(suffix) {
                assert!(text.contains(&format!("\n# UNIT portcullis_{name} {unit}\n")), "{name}");
            }
        }
    }
}

#[test]
fn what_happens_to_accounts_is_counted() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        per_account = { attempts = 2, window = "1h" }
        per_address = { attempts = 5, window = "1h" }
        registrations = { attempts = 3, window = "1h" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let moved = |sample: &str, by: f64, happens: &dyn Fn()| {
        let before = number(gateway.operator("/metrics").text(), sample);
        happens();
        let after = number(gateway.operator("/metrics").text(), sample);
        assert_eq!(after - before, by, "{sample}");
    };
    let refresh = |token: &str| gateway.post("/api/auth/token/refresh/", &json!({ "refresh": token }));
    let guess = |name: &str| {
        gateway.post("/api/auth/login/", &json!({"username": name, "password": "wrong horse"})).status
    };
    moved("portcullis_registrations_total", 1.0, &|| drop(gateway.register("ada")));
    moved("portcullis_password_hash_duration_seconds_count", 1.0, &|| drop(gateway.register("bob")));
    moved("portcullis_logins_total", 1.0, &|| drop(gateway.login("ada")));
    moved("portcullis_password_hash_duration_seconds_count", 1.0, &|| drop(gateway.login("ada")));

    let ada = gateway.login("ada");
    moved("portcullis_auth_duration_seconds_count", 2.0, &|| {
        gateway.get_as("/x", &ada.member("access")).expect(200);
        gateway.get_as("/x", "a.b.c").expect(401);
        gateway.get("/x", &[]).expect(401);
    });
    moved("portcullis_refreshes_total", 1.0, &|| drop(refresh(&ada.member("refresh")).expect(200)));
    // Used once, so that a base presented late replaces an unused successor.
    let second = refresh(&ada.member("refresh")).expect(200);
    refresh(&second.member("refresh")).expect(200);
    gateway.pass(11);
    moved("portcullis_refresh_replacements_total", 1.0, &|| {
        refresh(&second.member("refresh")).expect(200);
    });
    moved("portcullis_refresh_thefts_total", 1.0, &|| {
        refresh(&ada.member("refresh")).expect(401);
    });

    let (one, other, third) = (gateway.login("ada"), gateway.login("ada"), gateway.login("ada"));
    moved("portcullis_logouts_total", 2.0, &|| {
        gateway.post_as("/api/auth/logout/", &one.member("access"), &json!({})).expect(200);
        gateway.post("/api/auth/logout/", &json!({})).expect(400);
        gateway
            .request("POST", "/api/auth/logout/all/", &[&bearer(&other.member("access"))], b"")
            .expect(200);
        gateway.post_as("/api/auth/logout/", &third.member("access"), &json!({})).expect(401);
    });
    let bob = gateway.login("bob");
    moved("portcullis_password_changes_total", 1.0, &|| {
        let body = json!({"current": "correct horse", "new": "battery staple"});
        gateway.post_as("/api/auth/password/", &bob.member("access"), &body).expect(200);
    });
    let text = gateway.operator("/metrics");
    let entries =
        |kind: &str| number(text.text(), &format!("portcullis_revocation_entries{{kind=\"{kind}\"}}"));
    // The stolen session and the one logged out; the access token replaced; both users' instants.
    assert_eq!((entries("session"), entries("token"), entries("user")), (2.0, 1.0, 2.0));
    assert!(number(text.text(), "portcullis_revocation_memory_bytes") > 0.0);
    let lag = number(text.text(), "portcullis_revocation_feed_lag_seconds");
    assert!((0.0..20.0).contains(&lag), "{lag}");

    moved("portcullis_login_failures_total", 2.0, &|| {
        assert_eq!((guess("nobody"), guess("nobody")), (401, 401));
    });
    moved("portcullis_throttled_total{limit=\"account\"}", 1.0, &|| assert_eq!(guess("nobody"), 429));
    moved("portcullis_throttled_total{limit=\"registrations\"}", 1.0, &|| {
        gateway
            .post("/api/auth/register/", &json!({"username": "c", "email": "c", "password": "c"}))
            .expect(400);
        gateway.post("/api/auth/register/", &registration("dora")).expect(429);
    });
    moved("portcullis_throttled_total{limit=\"address\"}", 1.0, &|| {
        for name in ["a", "b", "c"] {
            assert_eq!(guess(name), 401);
        }
        gateway.post("/api/auth/login/", &credentials("ada")).expect(429);
    });
}

#[test]
fn failed_handshakes_are_counted_by_reason() {
    let gateway = TestGateway::with(
        r#"
        [limits]
        handshake_timeout = "500ms"
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let failed = |reason: &str, way: &dyn Fn(TcpStream)| {
        let sample = format!("portcullis_tls_handshake_failures_total{{reason=\"{reason}\"}}");
        way(gateway.socket());
        // The client hears of it a moment before it is counted.
        let started = Instant::now();
        while number(gateway.operator("/metrics").text(), &sample) < 1.0 {
            assert!(started.elapsed() < Duration::from_secs(20), "{reason} is not counted");
        }
    };
    failed("protocol", &|mut socket| socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap());
    failed("closed", &|socket| socket.shutdown(Shutdown::Write).unwrap());
    failed("timeout", &|mut socket| {
        socket.write_all(b"\x16\x03\x01").unwrap();
        // Until it is cut off.
        let _ = std::io::Read::read(&mut socket, &mut [0]);
    });
    let greeting = |alpn: &[u8], socket: TcpStream| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(tls), name).unwrap();
        assert!(StreamOwned::new(client, socket).flush().is_err());
    };
    // A client that trusts nobody, and one that wants another protocol.
    failed("alert", &|socket| greeting(b"http/1.1", socket));
    failed("incompatible", &|socket| greeting(b"spdy/3", socket));
}
