//! One living chain a session, whoever refreshes and however often.

use std::{thread, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Answer, Process, TestGateway, claims, registration};

fn refresh(gateway: &TestGateway, pair: &Answer) -> Answer {
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")}))
}

#[track_caller]
fn assert_ended(gateway: &TestGateway, pair: &Answer) {
    let answer = refresh(gateway, pair).expect(401);
    let expected =
        json!({"detail": "Invalid or expired refresh token", "error": "Token is invalid or expired"});
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_refresh_hands_out_a_successor() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    gateway.pass(60);
    let second = refresh(&gateway, &first).expect(200);
    assert_eq!(second.json()["message"], "Token refreshed successfully");
    assert_ne!(second.member("refresh"), first.member("refresh"));
    gateway.get_as("/x", &second.member("access")).expect(200);
    refresh(&gateway, &second).expect(200);
}

#[test]
fn a_lost_answer_costs_nothing() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let lost = refresh(&gateway, &first).expect(200);
    gateway.pass(9);
    let same = refresh(&gateway, &first).expect(200);
    assert_eq!(same.body, lost.body, "within the grace the answer is the same to the letter");
}

/// The first seed's client: it keeps its first refresh token for a week.
#[test]
fn a_client_that_never_stores_the_successor_goes_on() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    for _ in 0..5 {
        gateway.pass(31 * 60);
        let fresh = refresh(&gateway, &first).expect(200);
        gateway.get_as("/x", &fresh.member("access")).expect(200);
    }
}

#[test]
fn a_token_left_behind_is_theft_and_ends_the_session() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let bystander = gateway.login("ada");
    let second = refresh(&gateway, &first).expect(200);
    let third = refresh(&gateway, &second).expect(200);
    gateway.pass(11);
    assert_ended(&gateway, &first);
    for dead in [&second, &third] {
        assert_ended(&gateway, dead);
        gateway.get_as("/x", &dead.member("access")).expect(401);
    }
    refresh(&gateway, &bystander).expect(200);
    assert_eq!(gateway.app().metrics().refresh_thefts.value(), 1);
}

#[test]
fn a_lagging_tab_is_no_thief() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let second = refresh(&gateway, &first).expect(200);
    let third = refresh(&gateway, &second).expect(200);
    gateway.pass(9);
    assert_eq!(refresh(&gateway, &first).expect(200).member("refresh"), third.member("refresh"));
    refresh(&gateway, &third).expect(200);
}

#[test]
fn a_successor_replaced_unused_loses_its_access_token() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let second = refresh(&gateway, &first).expect(200);
    let third = refresh(&gateway, &second).expect(200);
    gateway.pass(11);
    let fourth = refresh(&gateway, &second).expect(200);
    assert_eq!(gateway.app().metrics().refresh_replacements.value(), 1);
    gateway.get_as("/x", &third.member("access")).expect(401);
    gateway.get_as("/x", &fourth.member("access")).expect(200);
    gateway.get_as("/x", &second.member("access")).expect(200);
}

#[test]
fn nothing_outlives_the_absolute_end_of_a_session() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        access_lifetime = "30m"
        refresh_lifetime = "2h"
        session_lifetime = "3h"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let first = gateway.register("ada");
    gateway.pass(119 * 60);
    let second = refresh(&gateway, &first).expect(200);
    assert_eq!(claims(&second.member("refresh"))["exp"], 1_800_000_000 + 3 * 3600);
    gateway.pass(60 * 60 + 30);
    let last = refresh(&gateway, &second).expect(200);
    assert_eq!(claims(&last.member("access"))["exp"], 1_800_000_000 + 3 * 3600);
    gateway.pass(30);
    gateway.get_as("/x", &last.member("access")).expect(401);
    assert_ended(&gateway, &last);
    assert_ended(&gateway, &second);
    gateway.get_as("/x", &second.member("access")).expect(401);
}

#[test]
fn each_kind_of_token_does_its_own_work_alone() {
    let gateway = TestGateway::start();
    let pair = gateway.register("ada");
    let answer = gateway.get_as("/x", &pair.member("refresh")).expect(401);
    assert_eq!(answer.json()["messages"][0]["message"], "Token has wrong type");
    let access = json!({"refresh": pair.member("access")});
    gateway.post("/api/auth/token/refresh/", &access).expect(401);
    gateway.post("/api/auth/token/refresh/", &json!({})).expect(400);
    gateway.post("/api/auth/token/refresh/", &json!({"refresh": 7})).expect(400);
}

#[test]
fn a_hundred_refreshes_at_once_leave_one_chain() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let body = json!({"refresh": first.member("refresh")});
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (client, body) = (gateway.client(), body.clone());
            thread::spawn(move || {
                // One address has room for 64 operations at once: who is told so comes back, as clients do.
                let mut answers = (0..100).map(|_| client.post("/api/auth/token/refresh/", &body));
                answers.find(|answer| answer.status != 503).expect("its turn comes").expect(200).body
            })
        })
        .collect();
    let answers: Vec<_> = attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let second = refresh(&gateway, &first).expect(200);
    assert_eq!(second.body, answers[0]);
    refresh(&gateway, &second).expect(200);
    assert_eq!(gateway.app().metrics().refresh_thefts.value(), 0);
}

#[test]
fn without_grace_every_refresh_counts() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        refresh_grace = "0s"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let first = gateway.register("ada");
    let lost = refresh(&gateway, &first).expect(200);
    let second = refresh(&gateway, &first).expect(200);
    assert_ne!(lost.member("refresh"), second.member("refresh"));
    let third = refresh(&gateway, &second).expect(200);
    assert_ended(&gateway, &first);
    assert_ended(&gateway, &third);
}

#[test]
fn the_sessions_least_recently_refreshed_make_room() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        sessions_per_user = 3
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let oldest = gateway.register("ada");
    gateway.pass(1);
    let second = gateway.login("ada");
    gateway.pass(1);
    let third = gateway.login("ada");
    let bystander = gateway.register("bob");
    gateway.pass(1);
    let oldest = refresh(&gateway, &oldest).expect(200);
    let fourth = gateway.login("ada");
    gateway.get_as("/x", &second.member("access")).expect(401);
    assert_ended(&gateway, &second);
    for alive in [&oldest, &third, &fourth, &bystander] {
        gateway.get_as("/x", &alive.member("access")).expect(200);
        refresh(&gateway, alive).expect(200);
    }
}

fn lifetimes(access: &str, refresh: &str, session: &str) -> String {
    format!(
        "[tokens]\naccess_lifetime = \"{access}\"\nrefresh_lifetime = \"{refresh}\"\n\
         session_lifetime = \"{session}\"\n\
         [auth]\nregistration = true\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n"
    )
}

/// Tokens keep the lifetimes they were made with, and what revokes them lasts as long.
#[test]
fn other_lifetimes_shorten_no_revocation() {
    let long = lifetimes("2h", "4h", "8h");
    let short = lifetimes("1m", "2m", "3m");
    let before = TestGateway::with(&long);
    let (gone, kept) = (before.register("ada"), before.register("bob"));
    let everywhere = before.register("eve");

    let lowered = TestGateway::beside(&before, &short);
    before.stop();
    let logout = |path: &str, pair: &Answer| {
        lowered.post_as(path, &pair.member("access"), &json!({})).expect(200);
    };
    logout("/api/auth/logout/", &gone);
    logout("/api/auth/logout/all/", &everywhere);
    lowered.pass(30 * 60);
    let sweeps = lowered.app().store().sweep(lowered.clock.now(), 1000);
    lowered.app().block_on(sweeps).unwrap();

    let raised = TestGateway::beside(&lowered, &long);
    lowered.stop();
    for dead in [&gone, &everywhere] {
        raised.get_as("/x", &dead.member("access")).expect(401);
        assert_ended(&raised, dead);
    }
    raised.get_as("/x", &kept.member("access")).expect(200);
    let fresh = refresh(&raised, &kept).expect(200);
    assert_eq!(claims(&fresh.member("refresh"))["exp"], 1_800_000_000 + 30 * 60 + 4 * 3600);
}

#[test]
fn a_session_opened_before_keeps_its_end_and_takes_the_new_lifetimes() {
    let before = TestGateway::with(&lifetimes("1m", "2h", "3h"));
    let first = before.register("ada");
    let raised = TestGateway::beside(&before, &lifetimes("2h", "40h", "80h"));
    before.stop();
    let second = refresh(&raised, &first).expect(200);
    assert_eq!(claims(&second.member("access"))["exp"], 1_800_000_000 + 2 * 3600);
    assert_eq!(claims(&second.member("refresh"))["exp"], 1_800_000_000 + 3 * 3600);
}

#[test]
fn a_clock_that_steps_back_neither_locks_out_nor_lets_in() {
    let gateway = TestGateway::start();
    let first = gateway.register("ada");
    let gone = gateway.login("ada");
    gateway.post_as("/api/auth/logout/", &gone.member("access"), &json!({})).expect(200);
    let second = refresh(&gateway, &first).expect(200);
    gateway.clock.step_back(Duration::from_secs(3600));
    gateway.get_as("/x", &second.member("access")).expect(200);
    gateway.get_as("/x", &gone.member("access")).expect(401);
    assert_ended(&gateway, &gone);
    let third = refresh(&gateway, &second).expect(200);
    gateway.get_as("/x", &third.member("access")).expect(200);
    // Long superseded, though its time has not come yet.
    gateway.pass(11);
    assert_ended(&gateway, &first);
    assert_ended(&gateway, &third);
}

#[test]
fn a_disabled_user_refreshes_nothing_and_enabled_again_nothing_old() {
    let gateway = TestGateway::start();
    let pair = gateway.register("ada");
    let user = |command: &str| {
        let (code, _, error) = Process::command(gateway.folder(), &["user", command, "ada"], "");
        assert_eq!(code, 0, "{error}");
    };
    user("disable");
    assert_ended(&gateway, &pair);
    user("enable");
    assert_ended(&gateway, &pair);
}

#[test]
fn the_answer_says_what_the_users_record_says_now() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        claims = { roles = "roles", mail = "email", team = "team" }
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let first = gateway.register("ada");
    let command =
        ["user", "set", "ada", "--role", "admin", "--email", "new@example.com", "--attribute", "team=blue"];
    let (code, _, error) = Process::command(gateway.folder(), &command, "");
    assert_eq!(code, 0, "{error}");
    let second = refresh(&gateway, &first).expect(200);
    for token in ["access", "refresh"] {
        let old = claims(&first.member(token));
        assert_eq!((&old["roles"], &old["mail"]), (&json!([]), &json!("ada@example.com")));
        let new = claims(&second.member(token));
        assert_eq!((&new["roles"], &new["mail"]), (&json!(["admin"]), &json!("new@example.com")));
        assert_eq!(new["team"], "blue");
    }
}

/// An operator can follow up a theft: whose session, which one, and by which token.
#[test]
fn a_theft_and_a_replacement_are_told_by_name() {
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(
        folder.path(),
        r#"
        [tokens]
        refresh_grace = "0s"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let refresh =
        |pair: &Answer| gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")}));
    let first = gateway.post("/api/auth/register/", &registration("ada")).expect(201);
    let second = refresh(&first).expect(200);
    let third = refresh(&second).expect(200);
    refresh(&second).expect(200);
    refresh(&first).expect(401);
    let about = |token: &Answer, message: &str| {
        let claims = claims(&token.member("refresh"));
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        let (user, session, token) = (text("user_id"), text("sid"), text("jti"));
        for _ in 0..500 {
            let said = gateway.said();
            if let Some(line) = said.lines().find(|line| line.contains(message)) {
                assert!(line.contains(&session) && line.contains(&token) && line.contains(&user), "{line}");
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing was said: {}", gateway.said());
    };
    about(&third, "Replaced a refresh token");
    about(&first, "Ended a session");
}
