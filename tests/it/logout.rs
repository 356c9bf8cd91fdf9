//! Logout means logout.

use serde_json::json;

use crate::harness::{Answer, Process, TestGateway, bearer, eventually, sign};

const LOGOUT: &str = "/api/auth/logout/";

/// Neither token of the session buys or opens anything.
#[track_caller]
fn assert_dead(gateway: &TestGateway, session: &Answer) {
    let refused = gateway.get_as("/x", &session.member("access")).expect(401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains(r#"error="invalid_token""#),
        "{challenge}"
    );
    assert_eq!(refused.json()["code"], "token_not_valid");
    gateway.get_as("/api/auth/me/", &session.member("access")).expect(401);
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": session.member("refresh")})).expect(401);
    for token in ["access", "refresh"] {
        let verified = gateway.post("/api/auth/token/verify/", &json!({"token": session.member(token)}));
        assert_eq!(
            verified.expect(401).json(),
            json!({"valid": false, "detail": "Token is invalid or expired"})
        );
    }
}

#[track_caller]
fn assert_alive(gateway: &TestGateway, session: &Answer) {
    gateway.get_as("/x", &session.member("access")).expect(200);
    for token in ["access", "refresh"] {
        gateway.post("/api/auth/token/verify/", &json!({"token": session.member(token)})).expect(200);
    }
}

#[test]
fn any_token_of_a_session_ends_it_and_no_other() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    let with_access = |session: &Answer| gateway.post_as(LOGOUT, &session.member("access"), &json!({}));
    let with_refresh =
        |session: &Answer| gateway.post(LOGOUT, &json!({"refresh": session.member("refresh")}));
    let with_both = |session: &Answer| {
        gateway.post_as(LOGOUT, &session.member("access"), &json!({"refresh": session.member("refresh")}))
    };
    let without_body =
        |session: &Answer| gateway.request("POST", LOGOUT, &[&bearer(&session.member("access"))], b"");
    let bystander = gateway.login("ada");
    let ways: [&dyn Fn(&Answer) -> Answer; 4] = [&with_access, &with_refresh, &with_both, &without_body];
    for way in ways {
        let session = gateway.login("ada");
        assert_alive(&gateway, &session);
        assert_eq!(way(&session).expect(200).json(), json!({"message": "Logged out"}));
        assert_dead(&gateway, &session);
        way(&session).expect(401);
    }
    assert_alive(&gateway, &bystander);
}

#[test]
fn a_superseded_refresh_token_still_logs_out() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let second =
        gateway.post("/api/auth/token/refresh/", &json!({"refresh": first.member("refresh")})).expect(200);
    let third =
        gateway.post("/api/auth/token/refresh/", &json!({"refresh": second.member("refresh")})).expect(200);
    gateway.post(LOGOUT, &json!({"refresh": first.member("refresh")})).expect(200);
    for session in [&first, &second, &third] {
        assert_dead(&gateway, session);
    }
}

#[test]
fn an_expired_bearer_beside_a_good_refresh_is_ignored() {
    let gateway = TestGateway::start();
    let session = gateway.register("ada");
    gateway.pass(31 * 60);
    let body = json!({"refresh": session.member("refresh")});
    gateway.post_as(LOGOUT, &session.member("access"), &json!({})).expect(401);
    gateway.post_as(LOGOUT, &session.member("access"), &body).expect(200);
    gateway.post("/api/auth/token/refresh/", &body).expect(401);
}

#[test]
fn two_sessions_are_not_logged_out_by_one_request() {
    let gateway = TestGateway::start();
    let (ada, bob) = (gateway.register("ada"), gateway.register("bob"));
    let other = gateway.login("ada");
    for stranger in [&bob, &other] {
        let body = json!({"refresh": stranger.member("refresh")});
        gateway.post_as(LOGOUT, &ada.member("access"), &body).expect(401);
    }
    for session in [&ada, &bob, &other] {
        assert_alive(&gateway, session);
    }
    gateway.post(LOGOUT, &json!({})).expect(400);
    gateway.post(LOGOUT, &json!({"refresh": ""})).expect(400);
    gateway.post(LOGOUT, &json!({"refresh": "garbage"})).expect(401);
    gateway.post(LOGOUT, &json!({"refresh": ada.member("access")})).expect(401);
}

#[test]
fn logout_all_ends_what_is_and_not_what_comes() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let (second, bob) = (gateway.login("ada"), gateway.register("bob"));
    gateway.request("POST", "/api/auth/logout/all/", &[&bearer(&first.member("access"))], b"").expect(200);
    // In the same second: what was issued before is dead, what is issued after it lives.
    let third = gateway.login("ada");
    assert_dead(&gateway, &first);
    assert_dead(&gateway, &second);
    assert_alive(&gateway, &third);
    assert_alive(&gateway, &bob);
}

/// Lifetimes were longer when the token was made, and its session is in no store of ours: a backup, say.
#[test]
fn a_logged_out_token_stays_dead_as_long_as_it_lives() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        access_lifetime = "5s"
        refresh_lifetime = "5s"
        session_lifetime = "5s"
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let payload = json!({
        "token_type": "access", "user_id": "1", "jti": "0".repeat(32), "sid": "0".repeat(32),
        "iat": 1_800_000_000, "exp": 1_800_000_600,
    });
    let token = sign(gateway.folder(), &payload);
    gateway.get_as("/x", &token).expect(200);
    gateway.post_as(LOGOUT, &token, &json!({})).expect(200);
    gateway.pass(300);
    gateway.get_as("/x", &token).expect(401);
}

#[test]
fn a_logout_outlives_the_process() {
    let gateway = TestGateway::start();
    let (gone, kept) = (gateway.register("ada"), gateway.register("bob"));
    gateway.post_as(LOGOUT, &gone.member("access"), &json!({})).expect(200);
    let config = "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";
    let second = TestGateway::beside(&gateway, config);
    assert_dead(&second, &gone);
    assert_alive(&second, &kept);
}

#[test]
fn a_gateway_on_the_same_store_obeys_another_one() {
    let gateway = TestGateway::start();
    let second = TestGateway::beside(&gateway, "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    let session = gateway.register("ada");
    assert_alive(&second, &session);
    gateway.post_as(LOGOUT, &session.member("access"), &json!({})).expect(200);
    eventually("another process's word counts", || {
        second.get_as("/x", &session.member("access")).status == 401
    });
    assert_dead(&second, &session);
}

#[test]
fn an_operator_disables_enables_and_deletes_a_user_under_a_running_gateway() {
    let gateway = TestGateway::start();
    let session = gateway.register("ada");
    let user = |command: &str| {
        let (code, _, error) = Process::command(gateway.folder(), &["user", command, "ada"], "");
        assert_eq!(code, 0, "{error}");
    };
    let login = || gateway.post("/api/auth/login/", &crate::harness::credentials("ada")).status;
    user("disable");
    eventually("another process's word counts", || {
        gateway.get_as("/x", &session.member("access")).status == 401
    });
    assert_dead(&gateway, &session);
    assert_eq!(login(), 401);

    user("enable");
    eventually("another process's word counts", || login() == 200);
    // What was issued before it does not come back.
    assert_dead(&gateway, &session);
    let again = gateway.login("ada");
    // A login asks the store, which has heard of it first.
    eventually("another process's word counts", || {
        gateway.get_as("/x", &again.member("access")).status == 200
    });
    assert_alive(&gateway, &again);

    user("delete");
    eventually("another process's word counts", || {
        gateway.get_as("/x", &again.member("access")).status == 401
    });
    assert_dead(&gateway, &again);
    assert_eq!(login(), 401);
    let answer = gateway.post("/api/auth/register/", &crate::harness::registration("ADA")).expect(400);
    assert!(answer.json()["username"].is_array(), "a deleted user's name stays taken");
}
