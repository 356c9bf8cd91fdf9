//! A user's own sessions: listed, and ended one by one.

use serde_json::{Value, json};

use crate::harness::{Answer, TestGateway, bearer};

const SESSIONS: &str = "/api/auth/sessions/";

const CORS: &str = r#"
[auth]
registration = true
sessions_per_user = 3
cors = { origins = ["https://app.example"] }
[[route]]
path = "/*"
upstream = "echo"
"#;

fn list(gateway: &TestGateway, pair: &Answer) -> Vec<Value> {
    let answer = gateway.get_as(SESSIONS, &pair.member("access")).expect(200);
    answer.json()["sessions"].as_array().unwrap().clone()
}

/// The id of the session that a pair belongs to.
fn id(gateway: &TestGateway, pair: &Answer) -> String {
    let sessions = list(gateway, pair);
    let mut current = sessions.iter().filter(|session| session["current"] == true);
    let id = current.next().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(current.next().is_none(), "{sessions:?}");
    id
}

fn end(gateway: &TestGateway, id: &str, pair: &Answer) -> Answer {
    gateway.request("DELETE", &format!("{SESSIONS}{id}/"), &[&bearer(&pair.member("access"))], b"")
}

fn refresh(gateway: &TestGateway, pair: &Answer) -> Answer {
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")}))
}

#[track_caller]
fn assert_dead(gateway: &TestGateway, pair: &Answer) {
    gateway.get_as("/x", &pair.member("access")).expect(401);
    refresh(gateway, pair).expect(401);
}

#[track_caller]
fn assert_alive(gateway: &TestGateway, pair: &Answer) {
    gateway.get_as("/x", &pair.member("access")).expect(200);
    refresh(gateway, pair).expect(200);
}

#[test]
fn a_user_sees_every_session_of_their_own_and_no_other() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    gateway.register("bob");
    gateway.pass(60);
    let credentials = crate::harness::credentials("ada");
    let agent = ["User-Agent: Firefox\u{fffd} <script>"];
    let second = gateway.post_with("/api/auth/login/", &agent, &credentials).expect(200);
    gateway.pass(60);
    refresh(&gateway, &first).expect(200);

    let answer = gateway.get_as(SESSIONS, &second.member("access")).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let (first, second) = (id(&gateway, &first), id(&gateway, &second));
    let expected = json!({"sessions": [
        {
            "id": first, "created_at": "2027-01-15T08:00:00.000Z", "refreshed_at": "2027-01-15T08:02:00.000Z",
            "expires_at": "2027-02-14T08:00:00.000Z", "address": "127.0.0.1", "agent": "", "current": false,
        },
        {
            "id": second, "created_at": "2027-01-15T08:01:00.000Z", "refreshed_at": "2027-01-15T08:01:00.000Z",
            "expires_at": "2027-02-14T08:01:00.000Z", "address": "127.0.0.1",
            "agent": "Firefox\u{fffd} <script>", "current": true,
        },
    ]});
    assert_eq!(answer.json(), expected);
}

#[test]
fn an_id_is_the_sid_of_its_tokens() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let gateway = TestGateway::start();
    let pair = gateway.register("ada");
    let token = pair.member("access");
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["sid"], id(&gateway, &pair));
}

#[test]
fn a_session_is_ended_at_once_and_alone() {
    let gateway = TestGateway::start();
    let (first, second) = (gateway.register("ada"), gateway.login("ada"));
    let third = gateway.login("ada");
    let gone = id(&gateway, &second);

    let answer = end(&gateway, &gone, &first).expect(200);
    assert_eq!(answer.json(), json!({"message": "Logged out"}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_dead(&gateway, &second);
    assert_alive(&gateway, &first);
    assert_alive(&gateway, &third);
    assert_eq!(list(&gateway, &first).len(), 2);

    // Gone is gone, and one's own is a logout; without the slash as with it.
    assert_eq!(end(&gateway, &gone, &first).expect(404).json(), json!({"detail": "Not found."}));
    let own = format!("{SESSIONS}{}", id(&gateway, &first));
    gateway.request("DELETE", &own, &[&bearer(&first.member("access"))], b"").expect(200);
    assert_dead(&gateway, &first);
    end(&gateway, &gone, &first).expect(401);
    assert_alive(&gateway, &third);
}

#[test]
fn nobody_ends_or_finds_another_users_session() {
    let gateway = TestGateway::start();
    let (ada, bob) = (gateway.register("ada"), gateway.register("bob"));
    let of_ada = id(&gateway, &ada);
    let nobodys = "0".repeat(32);
    let words: Vec<_> = [of_ada.as_str(), &nobodys, "nonsense", "1", "'or'1'='1", "null", &"a".repeat(1000)]
        .map(|id| {
            let answer = end(&gateway, id, &bob);
            let headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
            (answer.status, String::from_utf8(answer.body).unwrap(), headers)
        })
        .to_vec();
    assert_eq!((words[0].0, words[0].1.as_str()), (404, r#"{"detail":"Not found."}"#));
    assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
    assert_alive(&gateway, &ada);
}

#[test]
fn only_a_good_access_token_sees_or_ends_a_session() {
    let gateway = TestGateway::start();
    let (ada, gone) = (gateway.register("ada"), gateway.login("ada"));
    let own = id(&gateway, &ada);
    gateway.post_as("/api/auth/logout/", &gone.member("access"), &json!({})).expect(200);
    let refused = [
        bearer(&ada.member("refresh")),
        bearer(&gone.member("access")),
        bearer("x.y.z"),
        "Authorization: Basic YTpi".to_owned(),
        "X: y".to_owned(),
    ];
    for line in &refused {
        for (method, target) in [("GET", SESSIONS.to_owned()), ("DELETE", format!("{SESSIONS}{own}/"))] {
            let answer = gateway.request(method, &target, &[line], b"").expect(401);
            assert!(answer.header("www-authenticate").is_some(), "{line}");
        }
        // Whether a session exists is nobody's business.
        gateway.request("DELETE", &format!("{SESSIONS}nonsense/"), &[line], b"").expect(401);
    }
    // A body is nobody's token.
    let body = json!({"token": ada.member("access"), "access": ada.member("access")}).to_string();
    let lines = ["Content-Type: application/json"];
    gateway.request("DELETE", &format!("{SESSIONS}{own}/"), &lines, body.as_bytes()).expect(401);
    assert_alive(&gateway, &ada);
    gateway.pass(31 * 60);
    gateway.get_as(SESSIONS, &ada.member("access")).expect(401);
}

#[test]
fn methods_and_paths_are_exactly_these() {
    let gateway = TestGateway::start();
    let ada = gateway.register("ada");
    let own = id(&gateway, &ada);
    let line = bearer(&ada.member("access"));
    let ask = |method: &str, path: &str| gateway.request(method, path, &[&line], b"");
    for (method, path, allow) in [
        ("POST", SESSIONS.to_owned(), "GET, HEAD"),
        ("DELETE", SESSIONS.to_owned(), "GET, HEAD"),
        ("GET", format!("{SESSIONS}{own}/"), "DELETE"),
        ("HEAD", format!("{SESSIONS}{own}"), "DELETE"),
        ("POST", format!("{SESSIONS}{own}"), "DELETE"),
    ] {
        assert_eq!(ask(method, &path).expect(405).header("allow"), Some(allow), "{method} {path}");
    }
    ask("GET", "/api/auth/sessions").expect(200);
    assert_eq!(ask("HEAD", SESSIONS).expect(200).body, b"");
    // What some backend would read as another session, or as none.
    for odd in [
        own.to_uppercase(),
        format!("%{:x}{}", own.as_bytes()[0], &own[1..]),
        format!("{own};x"),
        format!("{own}/."),
        format!("x/../{own}"),
        format!("{own}//"),
        format!("/{own}"),
        format!("{own}%2f"),
        format!("{own}%20"),
        format!("{own}%3fx"),
        format!("{own}%5c"),
    ] {
        let answer = ask("DELETE", &format!("{SESSIONS}{odd}")).expect(400);
        assert!(answer.text().contains("more than one way"), "{odd}: {}", answer.text());
    }
    ask("DELETE", &format!("{SESSIONS}%00")).expect(400);
    // Below an endpoint is a path like any other: the echo's.
    let answer = ask("DELETE", &format!("{SESSIONS}{own}/x")).expect(200);
    assert_eq!(answer.json()["path"], json!(format!("{SESSIONS}{own}/x")), "{}", answer.text());
    assert_alive(&gateway, &ada);
}

#[test]
fn other_sites_pages_may_where_they_may_log_in() {
    let gateway = TestGateway::with(CORS);
    let ada = gateway.register("ada");
    let path = format!("{SESSIONS}{}/", id(&gateway, &ada));
    let origin = "Origin: https://app.example";
    for (path, method) in [(SESSIONS, "GET"), (&path, "DELETE")] {
        let asked = format!("Access-Control-Request-Method: {method}");
        let answer = gateway.request("OPTIONS", path, &[origin, &asked], b"").expect(204);
        assert_eq!(answer.header("access-control-allow-methods"), Some(method));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        let answer =
            gateway.request(method, path, &[origin, &bearer(&ada.member("access"))], b"").expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    }
    let answer = gateway.request("DELETE", &path, &[origin], b"").expect(401);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
}

#[test]
fn a_session_too_many_ends_the_one_refreshed_longest_ago() {
    let gateway = TestGateway::with(CORS);
    let first = gateway.register("ada");
    let mut others = Vec::new();
    for _ in 0..2 {
        gateway.pass(20);
        others.push(gateway.login("ada"));
    }
    gateway.pass(20);
    refresh(&gateway, &first).expect(200);
    gateway.pass(20);
    let last = gateway.login("ada");
    assert_eq!(list(&gateway, &last).len(), 3);
    assert_dead(&gateway, &others[0]);
    for alive in [&first, &others[1], &last] {
        assert_alive(&gateway, alive);
    }
}

#[test]
fn what_has_ended_by_itself_is_not_listed() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    gateway.pass(7 * 86_400);
    let later = gateway.login("ada");
    assert_eq!(list(&gateway, &later).len(), 1);
}
