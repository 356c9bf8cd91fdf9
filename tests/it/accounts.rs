//! Registering, logging in, and what is said of bodies that are neither.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{TestGateway, request};

const CONFIG: &str = r#"
[auth]
registration = true
[auth.throttle]
per_account = { attempts = 1000, window = "1m" }
per_address = { attempts = 1000, window = "1m" }
registrations = { attempts = 1000, window = "1m" }
[[route]]
path = "/*"
upstream = "echo"
"#;

#[test]
fn a_registered_user_has_a_session_at_once() {
    let gateway = TestGateway::start();
    let answer = gateway.register("ada");

    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = json!({
        "id": "1", "username": "ada", "email": "ada@example.com", "created_at": "2027-01-15T08:00:00.000Z",
    });
    assert_eq!(answer.json()["user"], user);
    let me = gateway.get_as("/api/auth/me/", &answer.member("access")).expect(200);
    assert_eq!(me.json(), json!({"user": user}));
}

#[test]
fn a_user_logs_in_by_name_or_address_however_it_is_spelled() {
    let gateway = TestGateway::with(CONFIG);
    gateway.register("ada");
    for name in ["ada", "ADA", "Ａｄａ", "ada@example.com", "Ada@Example.COM"] {
        let credentials = json!({"username": name, "password": "correct horse"});
        let answer = gateway.post("/api/auth/login/", &credentials).expect(200);
        assert_eq!(answer.json()["user"]["username"], "ada", "{name}");
    }
}

#[test]
fn endpoints_answer_with_and_without_the_slash_and_take_forms() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    gateway.post("/api/auth/login", &json!({"username": "ada", "password": "correct horse"})).expect(200);
    let form = b"username=ada&password=correct+horse";
    let form_type = ["Content-Type: application/x-www-form-urlencoded"];
    gateway.request("POST", "/api/auth/login/", &form_type, form).expect(200);
}

/// A client library sends its stale token with every request: it must still be able to log in.
#[test]
fn a_stale_bearer_does_not_keep_anybody_from_logging_in() {
    let gateway = TestGateway::start();
    let stale = gateway.register("ada").member("access");
    gateway.pass(3600);
    let credentials = json!({"username": "ada", "password": "correct horse"});
    gateway.post_as("/api/auth/login/", &stale, &credentials).expect(200);
    gateway.post_as("/api/auth/login/", "garbage", &credentials).expect(200);
}

#[test]
fn failed_logins_are_alike() {
    let gateway = TestGateway::with(CONFIG);
    gateway.register("ada");
    gateway.register("eve");
    gateway.app().block_on(async {
        let store = gateway.app().store();
        store.block_user(&"2".parse().unwrap(), gateway.clock.now(), gateway.clock.now()).await.unwrap();
    });
    let too_long = "x".repeat(5000);
    let answers: Vec<_> = [
        ("ada", "wrong horse"),
        ("ada", "correct horse "),
        ("nobody", "correct horse"),
        ("eve", "correct horse"),
        ("ada", &too_long),
    ]
    .map(|(name, password)| {
        let answer = gateway.post("/api/auth/login/", &json!({"username": name, "password": password}));
        let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
        (answer.status, answer.text().to_owned(), headers)
    })
    .to_vec();
    assert_eq!(answers[0].0, 401);
    assert_eq!(answers[0].1, r#"{"detail":"Invalid credentials"}"#);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

/// However the work differs, the answer leaves on a boundary of a tenth of a second from its beginning.
#[test]
fn a_failed_login_is_held_back_to_a_boundary() {
    let gateway = TestGateway::with(CONFIG);
    gateway.register("ada");
    gateway.post("/api/auth/login/", &json!({"username": "ada", "password": "wrong horse"})).expect(401);
    gateway.post("/api/auth/login/", &json!({"username": "nobody", "password": "x"})).expect(401);
    let log = gateway.stop();
    for line in log.iter().filter(|line| line["status"] == 401) {
        let took = line["duration_ms"].as_f64().unwrap();
        assert!(took >= 100.0, "released after {took} ms, before the first boundary");
    }
}

#[test]
fn a_closed_door_says_so() {
    let gateway = TestGateway::with("[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    gateway.post("/api/auth/register/", &crate::harness::registration("ada")).expect(403);
}

#[test]
fn one_of_thirty_registrations_of_a_name_wins() {
    let gateway = TestGateway::with(CONFIG);
    let attempts: Vec<_> = (0..30)
        .map(|index| {
            let client = gateway.client();
            thread::spawn(move || {
                let spelling = if index % 2 == 0 { "ada" } else { "ADA" };
                let body = json!({
                    "username": spelling, "email": format!("ada{index}@example.com"), "password": "correct horse",
                });
                client.post("/api/auth/register/", &body)
            })
        })
        .collect();
    let answers: Vec<_> = attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect();
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    let lost = answers.iter().filter(|answer| {
        answer.status == 400
            && answer.text() == r#"{"username":["A user with that username already exists."]}"#
    });
    assert_eq!((won, lost.count()), (1, 29), "{answers:?}");
}

#[test]
fn a_name_is_nobody_elses_address_and_an_address_nobody_elses_name() {
    let gateway = TestGateway::with(CONFIG);
    gateway.register("ada");
    for (name, email, field) in [
        ("ada@example.com", "other@example.com", "username"),
        ("other", "ADA@example.com", "email"),
        ("Ada", "other@example.com", "username"),
    ] {
        let body = json!({"username": name, "email": email, "password": "correct horse"});
        let answer = gateway.post("/api/auth/register/", &body).expect(400);
        assert!(answer.json()[field].is_array(), "{name} {email}: {}", answer.text());
    }
}

#[test]
fn each_fault_of_a_registration_is_named() {
    let gateway = TestGateway::with(CONFIG);
    let check = |body: Value, fields: &[&str]| {
        let answer = gateway.post("/api/auth/register/", &body).expect(400);
        let json = answer.json();
        let mut found: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, fields, "{body}: {json}");
    };
    check(json!({}), &["email", "password", "username"]);
    check(json!({"username": 1, "email": true, "password": null}), &["email", "password", "username"]);
    check(json!({"username": "a b", "email": "no", "password": "short"}), &["email", "password", "username"]);
    check(json!({"username": "admin", "email": "a@b.c", "password": "correct horse"}), &["username"]);
    check(json!({"username": "ada", "email": "a@b.c", "password": "password1"}), &["password"]);
    check(json!({"username": "a\u{200b}", "email": "a@b.c", "password": "correct horse"}), &["username"]);
}

#[test]
fn bodies_that_are_no_operation_get_a_clear_answer() {
    let gateway = TestGateway::with(CONFIG);
    let login = |content_type: &str, body: &[u8]| {
        let line = format!("Content-Type: {content_type}");
        gateway.request("POST", "/api/auth/login/", &[&line], body)
    };
    for (content_type, body, status) in [
        ("application/json", &br#"{"username":"#[..], 400),
        ("application/json", b"[]", 400),
        ("application/json", b"\"x\"", 400),
        ("application/json", br#"{"username":"a","username":"b","password":"x"}"#, 400),
        ("application/json", b"\xff\xfe", 400),
        ("text/plain", b"x", 415),
        ("application/vnd.api+json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
    ] {
        let answer = login(content_type, body).expect(status);
        assert!(answer.json()["detail"].is_string(), "{}", answer.text());
    }
    let answer = gateway.request("GET", "/api/auth/login/", &[], b"").expect(405);
    assert_eq!(answer.header("allow"), Some("POST"));
    gateway.request("POST", "/api/auth/me/", &[], b"").expect(405);
}

#[test]
fn a_body_too_large_or_too_slow_is_not_waited_for() {
    let config = format!("[limits]\nauth_body = \"1KiB\"\nauth_body_timeout = \"300ms\"\n{CONFIG}");
    let gateway = TestGateway::with(&config);
    let large = format!(r#"{{"username":"{}"}}"#, "x".repeat(2000));
    let json_type = ["Content-Type: application/json"];
    gateway.request("POST", "/api/auth/login/", &json_type, large.as_bytes()).expect(413);
    // Announced, and never sent.
    let mut slow = request("POST", "/api/auth/login/", &json_type, b"{}");
    slow.pop();
    gateway.raw(slow).expect(408);
    // Without a length, until it is too long.
    let chunked = format!(
        "POST /api/auth/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    gateway.raw(chunked).expect(413);
}

#[test]
fn a_new_password_ends_everything_older() {
    let gateway = TestGateway::with(CONFIG);
    let old = gateway.register("ada");
    let other = gateway.login("ada");
    let path = "/api/auth/password/";
    let wrong = json!({"current": "wrong horse", "new": "battery staple"});
    let answer = gateway.post_as(path, &old.member("access"), &wrong).expect(400);
    assert_eq!(answer.json(), json!({"current": ["The password is wrong."]}));
    let weak = json!({"current": "correct horse", "new": "password1"});
    gateway.post_as(path, &old.member("access"), &weak).expect(400);
    gateway.get_as("/x", &old.member("access")).expect(200);

    let good = json!({"current": "correct horse", "new": "battery staple"});
    let fresh = gateway.post_as(path, &old.member("access"), &good).expect(200);

    for dead in [&old, &other] {
        gateway.get_as("/x", &dead.member("access")).expect(401);
        gateway.post("/api/auth/token/refresh/", &json!({"refresh": dead.member("refresh")})).expect(401);
    }
    // In the very second in which everything older died.
    gateway.get_as("/x", &fresh.member("access")).expect(200);
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": fresh.member("refresh")})).expect(200);
    gateway.post("/api/auth/login/", &json!({"username": "ada", "password": "correct horse"})).expect(401);
    gateway.post("/api/auth/login/", &json!({"username": "ada", "password": "battery staple"})).expect(200);
}
