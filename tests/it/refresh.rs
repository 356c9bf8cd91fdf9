//! One living chain a session, whoever refreshes and however often.

use serde_json::json;

use crate::harness::{Answer, TestGateway};

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
    gateway.pass(60 * 60 + 30);
    refresh(&gateway, &second).expect(200);
    gateway.pass(30);
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
