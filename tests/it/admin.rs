//! What operators see, and where.

use crate::harness::TestGateway;

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
