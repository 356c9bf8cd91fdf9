//! `portcullis session …` and `portcullis token …`, beside a gateway that runs.

use std::{
    fs,
    time::{Duration, Instant},
};

use portcullis::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Process, TestGateway, bearer, claims, credentials, registration, sign};

const ECHO: &str = r#"
[auth]
registration = true
[[route]]
path = "/*"
upstream = "echo"
"#;

fn start() -> TestGateway {
    TestGateway::by_clock(Clock::system(), ECHO)
}

/// Standard output of a command that ends well.
#[track_caller]
fn run(gateway: &TestGateway, arguments: &[&str], stdin: &str) -> String {
    let (code, out, error) = Process::command(gateway.folder(), arguments, stdin);
    assert_eq!(code, 0, "{arguments:?}: {out}{error}");
    out
}

#[track_caller]
fn run_json(gateway: &TestGateway, arguments: &[&str], stdin: &str) -> Value {
    serde_json::from_str(&run(gateway, arguments, stdin)).unwrap()
}

/// A process of its own, as it stands in production: the promise is a second.
#[test]
fn a_running_process_obeys_within_a_second() {
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), ECHO);
    gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    let login = || gateway.post("/api/auth/login/", &credentials("ada")).expect(200).member("access");
    for way in 0..3 {
        let token = login();
        let session = claims(&token)["sid"].as_str().unwrap().to_owned();
        let ways: [&[&str]; 3] =
            [&["session", "revoke", &session], &["session", "revoke", "--user", "ada"], &["token", "revoke"]];
        let arguments = ways[way];
        gateway.get("/x", &[&bearer(&token)]).expect(200);
        let (code, _, error) = Process::command(folder.path(), arguments, &token);
        let ended = Instant::now();
        assert_eq!(code, 0, "{error}");
        while gateway.get("/x", &[&bearer(&token)]).status != 401 {
            assert!(ended.elapsed() < Duration::from_secs(5), "{arguments:?} is not obeyed");
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("{arguments:?} obeyed after {:?}", ended.elapsed());
    }
}

#[test]
fn sessions_are_listed_by_user_or_page_by_page() {
    let gateway = start();
    gateway.register("ada");
    let bob = gateway.register("bob");
    let escape = ["User-Agent: \u{1b}[31mred"];
    gateway.post_with("/api/auth/login/", &["User-Agent: curl/8"], &credentials("ada")).expect(200);
    assert_eq!(gateway.post_with("/api/auth/login/", &escape, &credentials("ada")).status, 400);

    let of_bob = run_json(&gateway, &["session", "list", "--user", "bob@example.com", "--json"], "");
    let only = &of_bob[0];
    assert_eq!((of_bob.as_array().unwrap().len(), &only["user_id"]), (1, &json!("2")));
    assert_eq!(only["id"], claims(&bob.member("access"))["sid"]);
    assert_eq!((&only["address"], &only["agent"]), (&json!("127.0.0.1"), &json!("")));
    assert_eq!(only["created_at"], only["refreshed_at"]);
    assert!(only["expires_at"].as_str().unwrap() > only["created_at"].as_str().unwrap());

    let all = run_json(&gateway, &["session", "list", "--json"], "");
    assert_eq!(all.as_array().unwrap().len(), 3);
    let (code, first, more) =
        Process::command(gateway.folder(), &["session", "list", "--json", "--limit", "2"], "");
    let first: Value = serde_json::from_str(&first).unwrap();
    let last = first[1]["id"].as_str().unwrap();
    assert_eq!((code, more), (0, format!("There may be more: portcullis session list --after {last}\n")));
    let rest = run_json(&gateway, &["session", "list", "--json", "--after", last], "");
    let paged: Vec<_> = first.as_array().unwrap().iter().chain(rest.as_array().unwrap()).collect();
    assert_eq!(paged, all.as_array().unwrap().iter().collect::<Vec<_>>());
    let table = run(&gateway, &["session", "list", "--user", "id:1"], "");
    assert!(table.starts_with("ID ") && table.contains("curl/8") && table.lines().count() == 3, "{table}");
}

#[test]
fn an_issued_token_works_is_listed_and_can_be_revoked() {
    let gateway = start();
    gateway.register("ada");
    let issue = ["token", "issue", "--user", "ada", "--access-only", "--lifetime", "1h"];
    let (code, out, error) = Process::command(gateway.folder(), &issue, "");
    assert_eq!(code, 0, "{error}");
    let token = out.trim();
    assert!(error.contains("credential") && !error.contains(token), "{error}");
    gateway.get_as("/x", token).expect(200);
    let says = claims(token);
    assert_eq!(says["exp"].as_u64().unwrap() - says["iat"].as_u64().unwrap(), 3600);
    let listed = run_json(&gateway, &["session", "list", "--user", "ada", "--json"], "");
    let issued =
        listed.as_array().unwrap().iter().find(|it| it["agent"] == "portcullis token issue").unwrap();
    assert_eq!((&issued["id"], &issued["address"]), (&says["sid"], &Value::Null));

    let pair = run_json(&gateway, &["token", "issue", "--user", "id:1", "--json"], "");
    let refresh = json!({"refresh": pair["refresh"]});
    let refreshed = gateway.post("/api/auth/token/refresh/", &refresh).expect(200);
    let session = pair["session"].as_str().unwrap();
    assert_eq!(run(&gateway, &["session", "revoke", session], ""), format!("session {session}: ended\n"));
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": refreshed.member("refresh")})).expect(401);
    // The lines alone are what a script reads.
    let two = run(&gateway, &["token", "issue", "--user", "ada"], "");
    let kinds: Vec<Value> = two.lines().map(|token| claims(token)["token_type"].clone()).collect();
    assert_eq!(kinds, ["access", "refresh"]);
}

#[test]
fn an_access_only_session_is_gone_with_its_token() {
    let gateway = TestGateway::with(ECHO);
    gateway.register("ada");
    let issue = ["token", "issue", "--user", "ada", "--access-only", "--lifetime", "1s", "--json"];
    let issued = run_json(&gateway, &issue, "");
    assert_eq!(issued["refresh"], Value::Null);
    // The clock of these commands is the system's.
    let until = issued["access_expires_at"].as_str().unwrap().to_owned();
    let listed = || run_json(&gateway, &["session", "list", "--json"], "");
    for _ in 0..500 {
        let sessions = listed();
        let still = sessions.as_array().unwrap().iter().find(|it| it["id"] == issued["session"]).cloned();
        match still {
            Some(session) => assert_eq!(session["expires_at"], until),
            None => return,
        }
    }
    panic!("it is listed for ever");
}

#[test]
fn a_token_is_inspected_check_by_check() {
    let gateway = start();
    let pair = gateway.register("ada");
    let (access, refresh) = (pair.member("access"), pair.member("refresh"));
    let says = claims(&access);
    let changed = |name: &str, value: Value| {
        let mut payload = says.clone();
        payload[name] = value;
        sign(gateway.folder(), &payload)
    };
    let now = gateway.clock.now().seconds();
    let inspect = |token: &str| {
        let (code, out, error) = Process::command(gateway.folder(), &["token", "inspect", "--json"], token);
        assert!(error.is_empty() && !out.contains(token.rsplit('.').next().unwrap()), "{out}{error}");
        let out: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(code, i32::from(out["good"] == false), "{out}");
        let checks = out["checks"].as_array().unwrap();
        let word = |check: &Value| match check["passed"].as_bool() {
            Some(true) => "ok",
            Some(false) => "no",
            None => "-",
        };
        let words: Vec<&str> = checks.iter().map(word).collect();
        let why =
            checks.iter().find(|check| check["passed"] == false).map(|check| check["why"].as_str().unwrap());
        (words.join(" "), why.unwrap_or_default().to_owned())
    };
    #[track_caller]
    fn check(found: (String, String), words: &str, why: &str) {
        assert!(found.0 == words && found.1.contains(why), "{found:?}, not {words} {why}");
    }
    check(inspect(&access), "ok ok ok ok ok ok", "");
    check(inspect(&format!("  {refresh}\r\n")), "ok ok ok ok ok ok", "");
    check(inspect("garbage"), "no - - - -", "three parts");
    check(inspect(&format!("{access}x")), "ok no - - -", "no key of ours");
    check(inspect(&changed("user_id", json!("a b"))), "ok ok no - -", "no user");
    check(inspect(&changed("aud", json!("x"))), "ok ok no - -", "meant for others");
    check(inspect(&changed("exp", json!(now - 1))), "ok ok ok no -", "expired");
    check(inspect(&changed("nbf", json!(now + 600))), "ok ok ok no -", "still to come");
    check(inspect(&changed("user_id", json!("7"))), "ok ok ok ok ok ok", "");

    let other = gateway.login("ada");
    run(&gateway, &["token", "revoke"], &other.member("access"));
    check(inspect(&other.member("access")), "ok ok ok ok no ok", "revoked itself");
    check(inspect(&other.member("refresh")), "ok ok ok ok ok ok", "");
    run(&gateway, &["session", "revoke", claims(&other.member("access"))["sid"].as_str().unwrap()], "");
    check(inspect(&other.member("refresh")), "ok ok ok ok no no", "session has been ended");
    run(&gateway, &["session", "revoke", "--user", "ada"], "");
    check(inspect(&access), "ok ok ok ok no ok", "all older tokens");
    run(&gateway, &["user", "disable", "ada"], "");
    check(inspect(&access), "ok ok ok ok no ok", "disabled or deleted");

    // A backend's refresh token, which names no session: known by the one that it has opened.
    gateway.register("bob");
    let adopted = {
        let (token_type, exp) = ("refresh", now + 3600);
        let says = json!({"token_type": token_type, "user_id": "2", "iat": now, "exp": exp, "jti": "7"});
        sign(gateway.folder(), &says)
    };
    check(inspect(&adopted), "ok ok ok ok ok", "");
    let refreshed = || gateway.post("/api/auth/token/refresh/", &json!({"refresh": adopted}));
    let opened = refreshed().expect(200).member("access");
    check(inspect(&adopted), "ok ok ok ok ok ok", "");
    gateway.post_as("/api/auth/logout/", &opened, &json!({})).expect(200);
    refreshed().expect(401);
    check(inspect(&adopted), "ok ok ok ok no no", "session has been ended");

    // In words, and nothing that moves the operator's cursor.
    let odd = changed("note", json!("\u{1b}[2J\u{9b}x"));
    let (code, out, _) = Process::command(gateway.folder(), &["token", "inspect", "-"], &odd);
    assert_eq!(code, 1);
    for expected in [
        "header {",
        "\"user_id\": \"1\"",
        "signature   ok: made with a key of ours",
        "revocation  REFUSED: its user is disabled",
        "The token is refused.\n",
    ] {
        assert!(out.contains(expected), "no `{expected}` in {out}");
    }
    assert!(!out.contains(['\u{1b}', '\u{9b}']), "{out:?}");
    let (_, out, _) = Process::command(gateway.folder(), &["token", "inspect"], &format!("{access}x"));
    assert!(out.contains("claims (anybody may have written this) {"), "{out}");
}

#[test]
fn what_an_operator_gets_wrong_is_one_sentence() {
    let gateway = start();
    let pair = gateway.register("ada");
    let token = pair.member("access");
    run(&gateway, &["user", "add", "eve", "--password", "-"], "correct horse");
    run(&gateway, &["user", "disable", "eve"], "");
    let expired = {
        let mut payload = claims(&token);
        payload["exp"] = payload["iat"].clone();
        sign(gateway.folder(), &payload)
    };
    assert_eq!(run(&gateway, &["token", "revoke"], &expired), "The token has expired already.\n");
    let nobodys = "0".repeat(32);
    for (arguments, stdin, code, words) in [
        (&["session", "revoke"][..], "", 2, "required"),
        (&["session", "revoke", "nonsense"], "", 2, "32 digits"),
        (&["session", "revoke", &nobodys], "", 1, "there is no session 00000000000000000000000000000000"),
        (&["session", "revoke", &nobodys, "--user", "ada"], "", 2, "cannot be used with"),
        (&["session", "revoke", "--user", "nobody"], "", 1, "there is no user `nobody`"),
        (&["session", "revoke", "--user-id", "a b"], "", 2, "visible ASCII"),
        (&["session", "list", "--limit", "0"], "", 2, "--limit"),
        (&["session", "list", "--user", "nobody"], "", 1, "there is no user `nobody`"),
        (&["token", "revoke", &token], "", 2, "a token is never an argument"),
        (&["token", "inspect", &token], "", 2, "a token is never an argument"),
        (&["token", "revoke", "@missing"], "", 1, "cannot read the token: `missing`"),
        (&["token", "revoke"], "", 1, "cannot read the token: it is empty"),
        (&["token", "revoke"], "a.b.c", 1, "none of ours: no key of ours"),
        (&["token", "issue", "--user", "nobody"], "", 1, "there is no user `nobody`"),
        (&["token", "issue", "--user", "eve"], "", 1, "the account is disabled"),
        (&["token", "issue", "--user", "ada", "--lifetime", "31d"], "", 2, "at most that of a session, 30d"),
        (&["token", "issue", "--user", "ada", "--lifetime", "500ms"], "", 2, "whole seconds"),
        (&["token", "issue"], "", 2, "--user"),
    ] {
        let (ended, out, error) = Process::command(gateway.folder(), arguments, stdin);
        assert_eq!(ended, code, "{arguments:?}: {out}{error}");
        assert!(
            out.is_empty() && error.contains(words) && !error.contains(&token),
            "{arguments:?}: {out}{error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
    // One bad id does not keep the others alive.
    let session = claims(&token)["sid"].as_str().unwrap().to_owned();
    let (code, out, error) =
        Process::command(gateway.folder(), &["session", "revoke", &nobodys, &session], "");
    assert_eq!((code, out), (1, format!("session {session}: ended\n")), "{error}");
    for command in ["session", "token"] {
        for word in ["list", "revoke", "inspect", "issue"] {
            let (code, out, _) = Process::command(gateway.folder(), &[command, word, "--help"], "");
            assert!(code == 2 || out.contains("Example"), "{command} {word}: {out}");
        }
    }
}

#[test]
fn what_is_asked_about_in_the_wrong_place_is_not_made_there() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("gateway.toml"), "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n").unwrap();
    for command in [
        &["session", "list"][..],
        &["session", "revoke", "--user-id", "7"],
        &["token", "inspect"],
        &["user", "list"],
        &["user", "show", "ada"],
        &["user", "set", "ada", "--role", "staff"],
        &["user", "passwd", "ada", "--password", "-"],
        &["user", "disable", "ada"],
        &["user", "enable", "ada"],
        &["user", "delete", "ada"],
    ] {
        let (code, out, error) = Process::command(folder.path(), command, "a.b.c");
        assert!(code == 1 && error.contains("there is no database"), "{out}{error}");
        assert!(!folder.path().join("data").exists());
    }
    // The first user may be there before the first start; a store alone is no secret.
    let add = ["user", "add", "ada", "--password", "-"];
    let (code, _, error) = Process::command(folder.path(), &add, "correct horse");
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = Process::command(folder.path(), &["token", "inspect"], "a.b.c");
    assert!(code == 1 && error.contains("data/jwt.secret"), "{error}");
    assert!(!folder.path().join("data/jwt.secret").exists());
}

#[test]
fn a_jti_that_is_none_is_not_revoked_in_silence() {
    let gateway = start();
    let revoke = |jti: &str| Process::command(gateway.folder(), &["token", "revoke", "--jti", jti], "");
    assert_eq!(revoke("").0, 2);
    let (code, _, error) = revoke("0c1d");
    assert!(code == 0 && error.contains("32 hexadecimal digits"), "{error}");
    assert_eq!(revoke(&"0c".repeat(16)).2, "");
}

/// A user whose tokens another issuer makes has no account here.
#[test]
fn a_foreign_user_is_revoked_by_id() {
    let gateway = start();
    let now = gateway.clock.now().seconds();
    let token = sign(
        gateway.folder(),
        &json!({"token_type": "access", "user_id": "idp:7", "iat": now, "exp": now + 600}),
    );
    gateway.get_as("/x", &token).expect(200);
    let out = run(&gateway, &["session", "revoke", "--user-id", "idp:7"], "");
    assert_eq!(out, "user idp:7: all sessions ended\n");
    for _ in 0..500 {
        if gateway.get_as("/x", &token).status == 401 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it is not obeyed");
}
