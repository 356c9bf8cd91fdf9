//! Which route a request takes, and which it must not.

use crate::harness::{TestGateway, Upstream, bearer, ok};

fn layout(upstream: &Upstream) -> String {
    let address = upstream.address;
    format!(
        r#"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "http://{address}"
        access = "public"
        [[route]]
        path = "/admin/*"
        upstream = "http://{address}"
        [[route]]
        path = "/admin/open/*"
        upstream = "http://{address}"
        access = "public"
        [[route]]
        path = "/api/*"
        methods = ["GET", "PUT"]
        upstream = "http://{address}"
        [[route]]
        path = "/*"
        hosts = ["intern.example.com"]
        upstream = "http://{address}"
        "#
    )
}

#[test]
fn a_route_that_says_nothing_is_protected() {
    let gateway = TestGateway::with("[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    gateway.get("/", &[]).expect(401);
}

#[test]
fn no_route_no_forwarding() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let config = format!(
        "[[route]]\npath = \"/a/*\"\nupstream = \"http://{}\"\naccess = \"public\"\n",
        upstream.address
    );
    let gateway = TestGateway::with(&config);
    let answer = gateway.get("/b", &[]).expect(404);
    assert_eq!(answer.text(), r#"{"detail":"Not found."}"#);
    gateway.get("/", &[]).expect(404);
    assert_eq!(upstream.requests(), []);
    gateway.get("/a", &[]).expect(200);
}

#[test]
fn host_and_path_decide_and_the_method_never_falls_through() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&layout(&upstream));
    gateway.get("/anything", &[]).expect(200);
    gateway.get("/admin", &[]).expect(401);
    gateway.get("/admin/", &[]).expect(401);
    gateway.get("/admin/users", &[]).expect(401);
    gateway.get("/administrator", &[]).expect(200);
    gateway.get("/admin/open/x", &[]).expect(200);
    let refused = gateway.request("POST", "/api/x", &[], b"").expect(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD, PUT"));
    gateway.request("HEAD", "/api/x", &[], b"").expect(401);
    for host in ["intern.example.com", "INTERN.example.com:8443", "intern.example.com."] {
        let request = format!("GET /anything HTTP/1.1\r\nHost: {host}\r\n\r\n");
        gateway.raw(request).expect(401);
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), 3, "{seen:?}");
}

/// Whatever way a lenient backend might read these, none of them reaches it without a token.
#[test]
fn a_path_with_two_meanings_is_refused() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&layout(&upstream));
    for target in [
        "/admin%2fusers",
        "/%61dmin",
        "/%2561dmin",
        "/%252561dmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/..;/admin",
        "/x/..%3b/admin",
        "/x%2f..%2fadmin",
        "//admin",
        "/./admin",
        "/x\\..\\admin",
        "/x%5c..%5cadmin",
        "/ADMIN",
        "/Admin/users",
        "/admin;x=1",
        "/admin%3fx",
        "/admin%23x",
        "/admin.",
        "/admin%20",
        "/admin%c0%afusers",
        "/%c0%afadmin",
        "/%e0%80%afadmin",
        "/admin/open/../users",
        "/admin/open/..%2fusers",
        "/admin/open/%2e%2e/users",
        "/admin/open/..;/users",
        "/admin/open/..\\users",
        "/admin/./open/x",
        "/admin//open/x",
        "/../admin",
        "/..",
        "/%2e%2e/x",
        "/api/auth/./login/",
        "/api/auth/%6cogin/",
    ] {
        let answer = gateway.get(target, &[]);
        assert!(matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
    for target in ["/a%00b", "/a%2500b", "/a%", "/a%zz", "/a\x01b"] {
        // Refused by us, or by the server beneath that reads no such request line.
        let answer = gateway.get(target, &[]);
        assert_eq!(answer.status, 400, "{target:?}");
    }
    assert_eq!(upstream.requests(), []);
}

/// And ordinary paths pass as they came, letter for letter.
#[test]
fn ordinary_paths_pass_unchanged() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&layout(&upstream));
    let token = gateway.register("ada").member("access");
    let targets = [
        "/",
        "/a/b?q=%zz&r=../admin#",
        "/caf%C3%A9",
        "/a%20b",
        "/a+b",
        "/a//b",
        "/a%2Fb",
        "/x;v=1",
        "/x/a;b=c/d",
        "/.well-known/x",
        "/A/B.C",
        "/~ada/@me/x:y,z!$&'()*=",
        "/?",
    ];
    for target in targets {
        gateway.get(target, &[]).expect(200);
    }
    for target in ["/api/a%2Fb", "/api//b", "/admin/x;v=1"] {
        gateway.get(target, &[&bearer(&token)]).expect(200);
    }
    let seen: Vec<_> = upstream.requests().iter().map(|request| request.request_line().to_owned()).collect();
    let sent: Vec<_> = targets
        .iter()
        .chain(&["/api/a%2Fb", "/api//b", "/admin/x;v=1"])
        .map(|target| format!("GET {} HTTP/1.1", target.trim_end_matches('#')))
        .collect();
    assert_eq!(seen, sent);
}

#[test]
fn hosts_that_are_none_or_two_are_refused() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&layout(&upstream));
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: intern.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x@intern.example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a..example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example, intern.example.com\r\n\r\n",
        "GET http://intern.example.com/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET intern.example.com/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ] {
        assert_eq!(gateway.raw(head).status, 400, "{head:?}");
    }
    assert_eq!(upstream.requests(), []);
    // An absolute target names its host itself.
    gateway.raw("GET http://intern.example.com/ HTTP/1.1\r\nHost: intern.example.com\r\n\r\n").expect(401);
}

#[test]
fn tunnels_and_traces_are_refused() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&layout(&upstream));
    gateway.raw("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(405);
    gateway.raw("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n").expect(405);
    assert_eq!(upstream.requests(), []);
}
