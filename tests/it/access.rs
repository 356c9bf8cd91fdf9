//! Who passes a route, as whom, and what of the path the upstream sees.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{TestGateway, Upstream, bearer, ok, request};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

/// Routes to `upstream`, tokens with two claims, and a key that the test has too.
fn gateway(upstream: &Upstream, routes: &str) -> TestGateway {
    let routes = routes.replace("UPSTREAM", &format!("upstream = \"http://{}\"", upstream.address));
    TestGateway::with(&format!(
        r#"
        [auth]
        registration = true
        [tokens]
        claims = {{ roles = "roles", level = "level" }}
        [identity]
        headers = {{ X-User-Id = "user_id", X-Roles = "roles" }}
        [[tokens.key]]
        id = "shared"
        algorithm = "HS256"
        secret = {{ inline = "{SECRET}" }}
        {routes}
        "#
    ))
}

/// An access token such as a backend with the same secret makes.
fn token(claims: &Value) -> String {
    let mut all =
        json!({"token_type": "access", "user_id": "7", "jti": "0".repeat(32), "iat": NOW, "exp": NOW + 600});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    encode(&Header::new(Algorithm::HS256), &all, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

const OPTIONAL: &str = r#"
    [[route]]
    path = "/*"
    access = "optional"
    UPSTREAM
    [[route]]
    path = "/passed/*"
    access = "optional"
    forward_token = true
    UPSTREAM
"#;

#[test]
fn an_optional_route_knows_its_users_and_lets_nobody_be_one() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, OPTIONAL);
    let token = gateway.register("ada").member("access");
    let credentials = bearer(&token).split_once(": ").unwrap().1.to_owned();
    for (target, lines, user, passed) in [
        ("/x", vec!["X-User-Id: 999".to_owned(), "X_Roles: admin".to_owned()], None, None),
        ("/x", vec!["Authorization: ".to_owned()], None, Some("")),
        ("/x", vec![bearer(&token), "X-User-Id: 999".to_owned()], Some("1"), None),
        ("/passed/x", vec![bearer(&token)], Some("1"), Some(credentials.as_str())),
        // Another scheme is the backend's own affair, and nobody's here.
        (
            "/x",
            vec!["Authorization: Basic YTpi".to_owned(), "X-User-Id: 999".to_owned()],
            None,
            Some("Basic YTpi"),
        ),
        ("/x", vec!["Authorization: Token abc".to_owned()], None, Some("Token abc")),
        ("/passed/x", vec!["Authorization: Basic YTpi".to_owned()], None, Some("Basic YTpi")),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        gateway.get(target, &lines).expect(200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("x-user-id").as_deref(), user, "{lines:?}");
        assert_eq!(seen.header("x-roles"), None, "{lines:?}");
        assert_eq!(seen.header("authorization").as_deref().map(str::trim), passed, "{lines:?}");
    }
    let verdicts: Vec<_> = gateway.stop().into_iter().skip(1).map(|line| line["verdict"].clone()).collect();
    assert_eq!(
        verdicts,
        ["anonymous", "anonymous", "allowed", "allowed", "anonymous", "anonymous", "anonymous"]
    );
}

#[test]
fn a_bad_token_is_not_nobodys() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, OPTIONAL);
    let pair = gateway.register("ada");
    let dead = gateway.login("ada").member("access");
    gateway.post_as("/api/auth/logout/", &dead, &json!({})).expect(200);
    let good = pair.member("access");
    let line = |credentials: &str| format!("Authorization: {credentials}");
    for (lines, challenge) in [
        (vec![bearer(&dead)], "invalid_token"),
        (vec![bearer(&pair.member("refresh"))], "invalid_token"),
        (vec![bearer(&token(&json!({"exp": NOW - 1, "iat": NOW - 60})))], "invalid_token"),
        (vec![bearer("x.y.z")], "invalid_token"),
        (vec![line("Bearer")], "invalid_request"),
        (vec![line(&format!("Bearer  {good}"))], "invalid_request"),
        (vec![line(&format!("Bearer {good} x"))], "invalid_request"),
        (vec![bearer(&good), bearer(&good)], "invalid_request"),
        (vec![line("Basic YTpi"), bearer(&good)], "invalid_request"),
        // What one backend or another would find a token in.
        (vec![line(&format!("Bearer\t{dead}"))], "invalid_request"),
        (vec![line(&format!("Basic YTpi, Bearer {dead}"))], "invalid_request"),
        (vec![line(&format!("Token Bearer {dead}"))], "invalid_request"),
        (vec![line(&format!("xbearer {dead}"))], "invalid_request"),
    ] {
        for target in ["/x", "/passed/x"] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let answer = gateway.get(target, &lines).expect(401);
            assert!(answer.header("www-authenticate").unwrap().contains(challenge), "{lines:?}: {answer:?}");
        }
    }
    assert_eq!(upstream.requests(), []);
}

const RULES: &str = r#"
    [[route]]
    path = "/*"
    UPSTREAM
    [[route]]
    path = "/admin/*"
    require = { roles = ["admin", "root"] }
    UPSTREAM
    [[route]]
    path = "/both/*"
    access = "optional"
    require = { roles = ["admin"], level = [3], user_id = ["7"] }
    UPSTREAM
    [[route]]
    path = "/by-method"
    methods = ["GET"]
    UPSTREAM
    [[route]]
    path = "/by-method"
    methods = ["DELETE"]
    require = { roles = ["admin"] }
    UPSTREAM
"#;

#[test]
fn a_rule_lets_those_pass_who_meet_all_of_it() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, RULES);
    for (claims, target, status) in [
        (json!({"roles": "admin"}), "/admin/x", 200),
        (json!({"roles": ["staff", "root"]}), "/admin/x", 200),
        (json!({"roles": ["staff"]}), "/admin/x", 403),
        (json!({"roles": "admin,root"}), "/admin/x", 403),
        (json!({"roles": "Admin"}), "/admin/x", 403),
        (json!({"roles": []}), "/admin/x", 403),
        (json!({}), "/admin/x", 403),
        (json!({"roles": ["staff"]}), "/x", 200),
        (json!({"roles": ["admin"], "level": 3}), "/both/x", 200),
        (json!({"roles": ["admin"], "level": "3"}), "/both/x", 200),
        (json!({"roles": ["admin"], "level": 4}), "/both/x", 403),
        (json!({"roles": ["admin"], "level": 3, "user_id": "8"}), "/both/x", 403),
        (json!({"level": 3}), "/both/x", 403),
    ] {
        let before = upstream.requests().len();
        let answer = gateway.get_as(target, &token(&claims));
        assert_eq!(answer.status, status, "{claims} {target}");
        assert_eq!(upstream.requests().len() - before, usize::from(status == 200), "{claims} {target}");
        if status == 403 {
            assert_eq!(answer.text(), r#"{"detail":"You do not have permission to perform this action."}"#);
            let challenge = r#"Bearer realm="api", error="insufficient_scope""#;
            assert_eq!(answer.header("www-authenticate"), Some(challenge));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
    let log = gateway.stop();
    let refused = log.iter().find(|line| line["status"] == 403).unwrap();
    assert_eq!((&refused["verdict"], &refused["user_id"]), (&json!("forbidden"), &json!("7")), "{refused}");
}

#[test]
fn a_rule_is_asked_after_the_token_and_of_somebody() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, RULES);
    let admin = token(&json!({"roles": ["admin"], "level": 3}));
    for lines in [
        vec![],
        vec!["Authorization: Basic YTpi".to_owned()],
        vec!["X-Roles: admin".to_owned()],
        vec![bearer(&format!("{admin}x"))],
        vec![bearer(&token(&json!({"roles": ["admin"], "level": 3, "token_type": "refresh"})))],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        gateway.get("/admin/x", &lines).expect(401);
        gateway.get("/both/x", &lines).expect(401);
    }
    // Revoked, it meets no rule either, and is not told so.
    gateway.get_as("/both/x", &admin).expect(200);
    gateway.post_as("/api/auth/logout/", &admin, &json!({})).expect(200);
    gateway.get_as("/both/x", &admin).expect(401);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn no_path_and_no_method_leads_around_a_rule() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, RULES);
    let staff = bearer(&token(&json!({"roles": ["staff"]})));
    for target in
        ["/%61dmin/x", "/x/../admin/x", "//admin/x", "/ADMIN/x", "/admin;x/y", "/x/..%2fadmin", "/admin%2fx"]
    {
        gateway.get(target, &[&staff]).expect(400);
    }
    gateway.request("DELETE", "/by-method", &[&staff], b"").expect(403);
    gateway.request("POST", "/by-method", &[&staff], b"").expect(405);
    assert_eq!(upstream.requests(), []);
    gateway.get("/by-method", &[&staff, "X-HTTP-Method-Override: DELETE"]).expect(200);
    assert!(!upstream.only().head().contains("DELETE"));
}

const STRIPPED: &str = r#"
    [[route]]
    path = "/*"
    access = "public"
    UPSTREAM
    [[route]]
    path = "/api/*"
    access = "public"
    strip_prefix = "/api"
    UPSTREAM
    [[route]]
    path = "/api/admin/*"
    strip_prefix = "/api"
    UPSTREAM
    [[route]]
    path = "/v1/*"
    hosts = ["app.example.com"]
    strip_prefix = "/v1"
    UPSTREAM
"#;

#[test]
fn a_prefix_is_taken_off_and_nothing_else() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, STRIPPED);
    let cases = [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?q=/api/x&r=%zz", "/?q=/api/x&r=%zz"),
        ("/api/?", "/?"),
        ("/api/x", "/x"),
        ("/api/x/", "/x/"),
        ("/api/api/x", "/api/x"),
        ("/api/x%2Fy;v=1//z", "/x%2Fy;v=1//z"),
        ("/api/caf%C3%A9/%7Eada", "/caf%C3%A9/%7Eada"),
        ("/apis", "/apis"),
        ("/v1/x", "/v1/x"),
    ];
    for (target, sent) in cases {
        gateway.get(target, &["X-Forwarded-Prefix: /evil"]).expect(200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.request_line(), format!("GET {sent} HTTP/1.1"), "{target}");
        assert_eq!(seen.header("x-forwarded-prefix"), None);
    }
    gateway.raw("GET http://localhost/api/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(200);
    assert_eq!(upstream.requests().pop().unwrap().request_line(), "GET /x?y HTTP/1.1");
    let token = token(&json!({}));
    gateway.raw(request_to("app.example.com", "/v1/x", &bearer(&token))).expect(200);
    assert_eq!(upstream.requests().pop().unwrap().request_line(), "GET /x HTTP/1.1");
    // The log has the path that was asked for.
    let log = gateway.stop();
    assert_eq!(log.last().unwrap()["path"], "/v1/x");
}

#[test]
fn no_path_becomes_another_by_losing_its_prefix() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, STRIPPED);
    for target in [
        "/api//evil.example/x",
        "/api///evil.example/x",
        "/api/\\evil.example/x",
        "/api/%2fevil.example/x",
        "/api/%5cevil.example/x",
        "/api/%252fevil.example/x",
        "/api/.//evil.example/x",
        "/api/;//evil.example/x",
        "/api/../x",
        "/api/..",
        "/api/x/../../y",
        "/api/..;/x",
        "/%61pi/x",
        "/API/x",
        "//api/x",
        "/api;x/y",
        "/./api/x",
        "/api%2fx",
        "/api%2fadmin",
        "/api//admin",
        "/api/x/../admin",
        "/api/%61dmin",
        "/api/Admin",
        "/api/ad%0amin",
        "/api/ad%250amin",
    ] {
        gateway.get(target, &[]).expect(400);
    }
    gateway.get("/api/admin", &[]).expect(401);
    gateway.raw("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").expect(400);
    assert_eq!(upstream.requests(), []);
}

/// The server beneath drops a fragment, which no request should have, before anybody here sees it. What is judged is
/// what is sent all the same.
#[test]
fn a_fragment_goes_nowhere() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, STRIPPED);
    for (target, sent) in [("/x#/../api/admin", "/x"), ("/api/x?q#y", "/x?q"), ("/api#//evil.example", "/")] {
        gateway.get(target, &[]).expect(200);
        assert_eq!(upstream.requests().pop().unwrap().request_line(), format!("GET {sent} HTTP/1.1"));
    }
    gateway.get("/api/admin#x", &[]).expect(401);
}

#[test]
fn control_bytes_in_a_path_are_refused_escaped_or_not() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = gateway(&upstream, STRIPPED);
    for byte in (0..=0x1f).chain([0x7f]) {
        gateway.get(&format!("/x/a%{byte:02x}b"), &[]).expect(400);
        gateway.raw(request("GET", &format!("/x?q=%{byte:02X}"), &[], b"")).expect(200);
    }
    assert_eq!(upstream.requests().len(), 33);
}

fn request_to(host: &str, target: &str, line: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{line}\r\n\r\n")
}
