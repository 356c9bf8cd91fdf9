//! What pages of other sites may do. A browser believes the answers; these are theirs, word for word.

use std::net::TcpListener;

use serde_json::json;

use crate::harness::{Answer, TestGateway, Upstream, bearer};

const APP: &str = "Origin: https://app.example";
const EVIL: &str = "Origin: https://evil.example";

fn start() -> (Upstream, TestGateway) {
    let upstream = Upstream::start(|_, stream| {
        use std::io::Write;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nVary: Accept-Encoding\r\n\
                      Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
                      Access-Control-Expose-Headers: X-Secret\r\nAccess-Control-Allow-Private-Network: true\r\n\r\nseen";
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = r#"
        [auth]
        registration = true
        cors = { origins = ["https://app.example"] }
        [auth.throttle]
        per_address = { attempts = 1, window = "5m" }
        [[route]]
        path = "/*"
        access = "public"
        UPSTREAM
        [[route]]
        path = "/own/*"
        CORS
        UPSTREAM
        [[route]]
        path = "/methods/*"
        methods = ["GET", "PUT"]
        CORS
        UPSTREAM
        [[route]]
        path = "/methods/*"
        methods = ["DELETE"]
        UPSTREAM
        [[route]]
        path = "/any/*"
        access = "public"
        cors = { origins = ["*"] }
        UPSTREAM
        [[route]]
        path = "/dead/*"
        access = "public"
        CORS
        DEAD
        [[route]]
        path = "/none/*"
        UPSTREAM
        [[route]]
        path = "/open/*"
        methods = ["GET"]
        access = "public"
        UPSTREAM
        "#;
    let cors = r#"cors = { origins = ["https://app.example", "http://localhost:5173"], credentials = true, expose = ["X-Total"], max_age = "5m" }"#;
    let config = config
        .replace("CORS", cors)
        .replace("UPSTREAM", &format!("upstream = \"http://{}\"", upstream.address))
        .replace("DEAD", &format!("upstream = \"http://{dead}\""));
    let gateway = TestGateway::with(&config);
    (upstream, gateway)
}

fn preflight(gateway: &TestGateway, target: &str, origin: &str, method: &str) -> Answer {
    let asked = format!("Access-Control-Request-Method: {method}");
    let headers = "Access-Control-Request-Headers: authorization,content-type";
    gateway.request("OPTIONS", target, &[origin, &asked, headers], b"")
}

/// The headers that concern browsers, in the order of the alphabet.
fn told(answer: &Answer) -> Vec<String> {
    let ours = |name: &str| name.starts_with("access-control-") || name == "vary";
    let mut told: Vec<String> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| ours(name))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    told.sort();
    told
}

const GRANTED: [&str; 4] = [
    "access-control-allow-credentials: true",
    "access-control-allow-origin: https://app.example",
    "access-control-expose-headers: x-total",
    "vary: Origin",
];

#[test]
fn a_preflight_is_answered_here_without_a_token() {
    let (upstream, gateway) = start();
    let varies = "vary: Access-Control-Request-Method, Access-Control-Request-Headers, Origin";
    for (target, method, methods) in
        [("/own/x", "PATCH", "PATCH"), ("/methods/x", "PUT", "GET, PUT"), ("/methods/x", "GET", "GET, PUT")]
    {
        let answer = preflight(&gateway, target, APP, method).expect(204);
        let expected = [
            "access-control-allow-credentials: true".to_owned(),
            "access-control-allow-headers: authorization,content-type".to_owned(),
            format!("access-control-allow-methods: {methods}"),
            "access-control-allow-origin: https://app.example".to_owned(),
            "access-control-expose-headers: x-total".to_owned(),
            "access-control-max-age: 300".to_owned(),
            varies.to_owned(),
        ];
        assert_eq!(told(&answer), expected, "{target} {method}");
        assert_eq!((answer.header("content-length"), answer.text()), (None, ""));
    }
    // Who is not named is told nothing, not even by a good guess.
    for origin in [
        EVIL,
        "Origin: null",
        "Origin: https://app.example.evil.example",
        "Origin: http://app.example",
        "Origin: https://app.example:8443",
        "Origin: https://APP.example",
        "Origin: https://app.example/",
        "Origin: *",
        "Origin: ",
        "Origin: https://app.example\r\nOrigin: https://app.example",
    ] {
        let answer = preflight(&gateway, "/own/x", origin, "GET").expect(204);
        assert_eq!(told(&answer), [varies], "{origin}");
    }
    let any = preflight(&gateway, "/any/x", EVIL, "DELETE").expect(204);
    assert_eq!(
        told(&any),
        [
            "access-control-allow-headers: authorization,content-type",
            "access-control-allow-methods: DELETE",
            "access-control-allow-origin: *",
            "access-control-max-age: 600",
            "vary: Access-Control-Request-Method, Access-Control-Request-Headers",
        ]
    );
    assert_eq!(upstream.requests(), []);
    let log = gateway.stop();
    assert!(log.iter().all(|line| line["verdict"] == "preflight"), "{log:?}");
    assert_eq!(log[0]["route"], "/own/*");
}

#[test]
fn what_is_no_preflight_is_a_request() {
    let (upstream, gateway) = start();
    let asks = "Access-Control-Request-Method: GET";
    for lines in [
        &[APP][..],
        &[asks],
        &[APP, "Access-Control-Request-Method: "],
        &[APP, "Access-Control-Request-Method: a b"],
        &[APP, "Access-Control-Request-Method: TRACE"],
        &[APP, "Access-Control-Request-Method: CONNECT"],
        &[APP, asks, asks],
    ] {
        gateway.request("OPTIONS", "/own/x", lines, b"").expect(401);
    }
    gateway.get("/own/x", &[APP, asks]).expect(401);
    assert_eq!(upstream.requests(), []);
    let token = gateway.register("ada").member("access");
    gateway.request("OPTIONS", "/own/x", &[APP, &bearer(&token)], b"").expect(200);
    assert_eq!(upstream.only().request_line(), "OPTIONS /own/x HTTP/1.1");
}

#[test]
fn without_cors_a_preflight_is_the_upstreams_or_refused() {
    let (upstream, gateway) = start();
    // Public: the upstream's, headers and all, whatever methods the route lists.
    for (target, method) in [("/x", "PUT"), ("/open/x", "GET")] {
        let answer = preflight(&gateway, target, EVIL, method).expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.request_line(), format!("OPTIONS {target} HTTP/1.1"));
        assert_eq!(seen.header("access-control-request-method").as_deref(), Some(method));
    }
    // Protected: as any request. A token does not open a method that no route lists.
    assert_eq!(told(&preflight(&gateway, "/none/x", APP, "GET").expect(401)), [""; 0]);
    let token = gateway.register("ada").member("access");
    let lines = [APP, "Access-Control-Request-Method: DELETE", &bearer(&token)];
    gateway.request("OPTIONS", "/methods/x", &lines, b"").expect(405);
    // A method that is not listed is not allowed for a preflight either.
    preflight(&gateway, "/open/x", APP, "PUT").expect(405);
    gateway.request("OPTIONS", "/open/x", &[APP], b"").expect(405);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn an_answer_carries_the_gateways_word_alone() {
    let (upstream, gateway) = start();
    let token = bearer(&gateway.register("ada").member("access"));
    let vary = "vary: Accept-Encoding, Origin";
    let granted = [&GRANTED[..3], &[vary]].concat();
    assert_eq!(told(&gateway.get("/own/x", &[APP, &token]).expect(200)), granted);
    assert_eq!(
        told(&gateway.get("/own/x", &["Origin: http://localhost:5173", &token]).expect(200))[1],
        "access-control-allow-origin: http://localhost:5173"
    );
    for origin in [EVIL, "Origin: null", "X-None: 1"] {
        assert_eq!(told(&gateway.get("/own/x", &[origin, &token]).expect(200)), [vary], "{origin}");
    }
    let any = ["access-control-allow-origin: *", "vary: Accept-Encoding"];
    assert_eq!(told(&gateway.get("/any/x", &[EVIL]).expect(200)), any);
    assert_eq!(told(&gateway.get("/any/x", &[]).expect(200)), any);
    // The upstream hears who asked.
    assert_eq!(upstream.requests()[0].header("origin").as_deref(), Some("https://app.example"));
    // Where nothing is set the upstream's word stands.
    assert_eq!(told(&gateway.get("/x", &[EVIL]).expect(200)).len(), 5);
}

#[test]
fn refusals_can_be_read_by_the_pages_that_may() {
    let (upstream, gateway) = start();
    for (method, target, status) in [
        ("GET", "/own/x", 401),
        ("GET", "/own/../x", 400),
        ("GET", "/own/%00", 400),
        ("GET", "/own/%zz", 400),
        ("POST", "/methods/x", 405),
        ("GET", "/dead/x", 502),
    ] {
        let answer = gateway.request(method, target, &[APP], b"").expect(status);
        assert_eq!(told(&answer), GRANTED, "{target}");
        let answer = gateway.request(method, target, &[EVIL], b"").expect(status);
        assert_eq!(told(&answer), ["vary: Origin"], "{target}");
    }
    let answer = gateway.get("/own/x", &[APP, &bearer("x.y.z")]).expect(401);
    assert_eq!(told(&answer), GRANTED);
    let many: Vec<String> = (0..101).map(|index| format!("X-{index}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([APP]).collect();
    let refused = gateway.get("/own/x", &many);
    assert!(refused.status == 431, "{}", refused.status);
    assert_eq!(told(&gateway.get("/none/x", &[APP]).expect(401)), [""; 0]);
    assert_eq!(upstream.requests(), []);
}

#[test]
fn the_auth_endpoints_have_an_origin_list_of_their_own() {
    let (upstream, gateway) = start();
    let granted = ["access-control-allow-origin: https://app.example", "vary: Origin"];
    let answer = preflight(&gateway, "/api/auth/login/", APP, "POST").expect(204);
    assert_eq!(
        told(&answer),
        [
            "access-control-allow-headers: authorization,content-type",
            "access-control-allow-methods: POST",
            "access-control-allow-origin: https://app.example",
            "access-control-max-age: 600",
            "vary: Access-Control-Request-Method, Access-Control-Request-Headers, Origin",
        ]
    );
    assert_eq!(told(&preflight(&gateway, "/api/auth/login/", EVIL, "POST").expect(204)).len(), 1);
    // A method that the endpoint does not answer.
    assert_eq!(told(&preflight(&gateway, "/api/auth/login/", APP, "PUT").expect(405)), granted);
    let registered = gateway.post_with("/api/auth/register/", &[APP], &crate::harness::registration("ada"));
    assert_eq!(told(&registered.expect(201)), granted);
    let guess = |origin| {
        let body = json!({"username": "ada", "password": "wrong horse"});
        gateway.post_with("/api/auth/login/", &[origin], &body)
    };
    assert_eq!(told(&guess(APP).expect(401)), granted);
    assert_eq!(told(&guess(APP).expect(429)), granted);
    assert_eq!(told(&guess(EVIL).expect(429)), ["vary: Origin"]);
    let large = vec![b'x'; 70_000];
    let json = "Content-Type: application/json";
    for (method, target, lines, body, status) in [
        ("GET", "/api/auth/me/", &[APP][..], &b""[..], 401),
        ("GET", "/api/auth/login/", &[APP], b"", 405),
        ("POST", "/api/auth/login/", &[APP, json], b"{", 400),
        ("POST", "/api/auth/login/", &[APP, "Content-Type: text/plain"], b"x", 415),
        ("POST", "/api/auth/login/", &[APP, json], &large, 413),
        // It belongs to the endpoints as it stands.
        ("POST", "/api/auth/login/?x", &[APP, "Content-Type: text/plain"], b"x", 415),
    ] {
        let answer = gateway.request(method, target, lines, body).expect(status);
        assert_eq!(told(&answer), granted, "{target} {status}");
    }
    // What lies beside them is a path like any other.
    assert_eq!(
        gateway.get("/api/auth/other", &[APP]).expect(200).header("access-control-allow-origin"),
        Some("*")
    );
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn without_origins_the_auth_endpoints_say_nothing() {
    let gateway = TestGateway::start();
    assert_eq!(told(&preflight(&gateway, "/api/auth/login/", APP, "POST").expect(405)), [""; 0]);
    assert_eq!(told(&gateway.get("/api/auth/me/", &[APP]).expect(401)), [""; 0]);
}

#[test]
fn header_names_are_granted_only_where_they_are_names() {
    let (_upstream, gateway) = start();
    for (asked, granted) in [
        ("X-Custom", Some("X-Custom")),
        ("authorization, x-user-id", Some("authorization, x-user-id")),
        ("a b", None),
        ("x\"y", None),
        ("é", None),
        ("", None),
    ] {
        let asked = format!("Access-Control-Request-Headers: {asked}");
        let lines = [APP, "Access-Control-Request-Method: GET", &asked];
        let answer = gateway.request("OPTIONS", "/own/x", &lines, b"").expect(204);
        assert_eq!(answer.header("access-control-allow-headers"), granted, "{asked}");
    }
}
