//! Refresh tokens that a backend with the same secret made: each opens a session at its first use, once.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Process, TestGateway, claims};

const REFRESH: &str = "/api/auth/token/refresh/";
const LOGOUT: &str = "/api/auth/logout/";
const VERIFY: &str = "/api/auth/token/verify/";

fn refresh(gateway: &TestGateway, token: &str) -> Answer {
    gateway.post(REFRESH, &json!({"refresh": token}))
}

/// The refresh token buys nothing, is good for nothing, and logs nobody out.
#[track_caller]
fn assert_dead(gateway: &TestGateway, token: &str) {
    refresh(gateway, token).expect(401);
    gateway.post(VERIFY, &json!({"token": token})).expect(401);
    gateway.post(LOGOUT, &json!({"refresh": token})).expect(401);
}

#[track_caller]
fn assert_pair_dead(gateway: &TestGateway, pair: &Answer) {
    gateway.get_as("/x", &pair.member("access")).expect(401);
    assert_dead(gateway, &pair.member("refresh"));
}

/// What SimpleJWT and PyJWT write, and what others might.
fn shapes(user: &Answer) -> Vec<Value> {
    let number: u64 = user.json()["user"]["id"].as_str().unwrap().parse().unwrap();
    vec![
        json!({}),
        json!({"user_id": number, "jti": "f".repeat(32)}),
        json!({"jti": "0AF1C3D2E5B64798A0B1C2D3E4F50617"}),
        json!({"jti": "0af1c3d2-e5b6-4798-a0b1-c2d3e4f50617"}),
        json!({"jti": "7"}),
        json!({"jti": ""}),
        json!({"jti": null}),
        json!({"jti": null, "iat": null}),
        json!({"jti": "eight", "iat": null}),
    ]
}

#[test]
fn a_backends_refresh_token_of_any_shape_opens_one_session_and_is_its_base() {
    let gateway = TestGateway::start();
    let backend = Backend::of(&gateway);
    let ada = gateway.register("ada");
    for shape in shapes(&ada) {
        let token = backend.refresh_token(&ada, &shape);
        gateway.post(VERIFY, &json!({"token": token})).expect(200);
        gateway.get_as("/x", &token).expect(401);
        let first = refresh(&gateway, &token).expect(200);
        let session = claims(&first.member("access"))["sid"].clone();
        assert!(session.is_string(), "{shape}");
        gateway.get_as("/x", &first.member("access")).expect(200);
        // A lost answer, and a client that never stores the successor.
        assert_eq!(refresh(&gateway, &token).expect(200).body, first.body, "{shape}");
        gateway.pass(11);
        let second = refresh(&gateway, &token).expect(200);
        assert_eq!(claims(&second.member("refresh"))["sid"], session, "{shape}");
        gateway.post(VERIFY, &json!({"token": token})).expect(200);
        // A client that stores it; and then somebody with the old token.
        let third = refresh(&gateway, &second.member("refresh")).expect(200);
        let thefts = gateway.app().metrics().refresh_thefts.value();
        gateway.pass(11);
        refresh(&gateway, &token).expect(401);
        assert_eq!(gateway.app().metrics().refresh_thefts.value(), thefts + 1, "{shape}");
        assert_pair_dead(&gateway, &third);
        assert_dead(&gateway, &token);
        assert_eq!(gateway.app().metrics().refresh_thefts.value(), thefts + 1, "{shape}");
    }
    gateway.get_as("/x", &ada.member("access")).expect(200);
}

#[test]
fn first_uses_at_once_open_one_session() {
    let gateway = TestGateway::start();
    let token = Backend::of(&gateway).refresh_token(&gateway.register("ada"), &json!({}));
    let attempts: Vec<_> = (0..30)
        .map(|_| {
            let (client, body) = (gateway.client(), json!({"refresh": token}));
            thread::spawn(move || client.post(REFRESH, &body).expect(200).body)
        })
        .collect();
    let answers: Vec<_> = attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[test]
fn a_logout_ends_the_session_whichever_token_is_shown() {
    let gateway = TestGateway::start();
    let backend = Backend::of(&gateway);
    let ada = gateway.register("ada");
    let number = std::cell::Cell::new(0);
    let token = || {
        number.set(number.get() + 1);
        backend.refresh_token(&ada, &json!({"jti": format!("{:032x}", number.get())}))
    };
    // Before its first use.
    let unused = token();
    gateway.post(LOGOUT, &json!({"refresh": unused})).expect(200);
    assert_dead(&gateway, &unused);

    let by_itself = |token: &str, _: &Answer| gateway.post(LOGOUT, &json!({"refresh": token}));
    let by_access = |_: &str, pair: &Answer| gateway.post_as(LOGOUT, &pair.member("access"), &json!({}));
    let by_successor =
        |_: &str, pair: &Answer| gateway.post(LOGOUT, &json!({"refresh": pair.member("refresh")}));
    let by_both = |token: &str, pair: &Answer| {
        gateway.post_as(LOGOUT, &pair.member("access"), &json!({"refresh": token}))
    };
    type Way<'w> = &'w dyn Fn(&str, &Answer) -> Answer;
    let ways: [Way<'_>; 4] = [&by_itself, &by_access, &by_successor, &by_both];
    for way in ways {
        let token = token();
        let pair = refresh(&gateway, &token).expect(200);
        way(&token, &pair).expect(200);
        assert_pair_dead(&gateway, &pair);
        assert_dead(&gateway, &token);
    }
    gateway.get_as("/x", &ada.member("access")).expect(200);
}

/// The backend's own access token names no session; it ends by being shown.
#[test]
fn a_backends_access_token_ends_beside_the_session() {
    let gateway = TestGateway::start();
    let backend = Backend::of(&gateway);
    let ada = gateway.register("ada");
    let access =
        backend.refresh_token(&ada, &json!({"token_type": "access", "exp": 1_800_000_600_u64, "jti": "a"}));
    let token = backend.refresh_token(&ada, &json!({}));
    let pair = refresh(&gateway, &token).expect(200);
    gateway.post_as(LOGOUT, &access, &json!({"refresh": token})).expect(200);
    gateway.get_as("/x", &access).expect(401);
    assert_pair_dead(&gateway, &pair);
    assert_dead(&gateway, &token);
}

#[test]
fn whatever_is_over_before_the_first_use_opens_nothing() {
    let gateway = TestGateway::start();
    let backend = Backend::of(&gateway);
    let ada = gateway.register("ada");
    let with = |more: Value| backend.refresh_token(&ada, &more);
    let before = [with(json!({"jti": "old"})), with(json!({"jti": "timeless", "iat": null}))];
    gateway.post_as("/api/auth/logout/all/", &ada.member("access"), &json!({})).expect(200);
    for token in &before {
        assert_dead(&gateway, token);
    }
    // Issued after it, as far as clocks that differ can tell.
    gateway.pass(60);
    refresh(&gateway, &with(json!({"jti": "new", "iat": 1_800_000_011_u64}))).expect(200);
    assert_dead(&gateway, &with(json!({"jti": "close", "iat": 1_800_000_010_u64})));
    assert_dead(&gateway, &with(json!({"jti": "late", "iat": null})));

    let bob = gateway.register("bob");
    let token = backend.refresh_token(&bob, &json!({"jti": "bobs", "iat": null}));
    let (code, _, error) = Process::command(gateway.folder(), &["user", "disable", "bob"], "");
    assert_eq!(code, 0, "{error}");
    // The store knows at once, whatever this gateway has heard.
    refresh(&gateway, &token).expect(401);
    let (code, _, error) = Process::command(gateway.folder(), &["user", "enable", "bob"], "");
    assert_eq!(code, 0, "{error}");
    refresh(&gateway, &token).expect(401);
}

#[test]
fn what_is_not_quite_right_opens_nothing() {
    let gateway = TestGateway::start();
    let backend = Backend::of(&gateway);
    let ada = gateway.register("ada");
    let week = 1_800_000_000_u64 + 7 * 86_400;
    for (more, status) in [
        (json!({}), 200),
        (json!({"user_id": "12345"}), 401),
        (json!({"sid": "0".repeat(32)}), 401),
        (json!({"sid": "theirs"}), 401),
        (json!({"sid": null, "jti": 7}), 401),
        (json!({"token_type": "access"}), 401),
        (json!({"token_type": "sliding"}), 401),
        (json!({"exp": null}), 401),
        (json!({"exp": 1_800_000_000_u64}), 401),
        (json!({"jti": "1", "exp": week}), 200),
        (json!({"jti": "2", "exp": week + 1}), 401),
        (json!({"jti": "3", "exp": week + 1, "iat": 1_800_000_001_u64}), 200),
        (json!({"jti": "4", "exp": week + 11, "iat": 1_800_000_011_u64}), 401),
        (json!({"jti": "5", "exp": week, "iat": null}), 200),
    ] {
        let answer = refresh(&gateway, &backend.refresh_token(&ada, &more));
        assert_eq!(answer.status, status, "{more}: {}", answer.text());
    }
    // Two users' tokens of one name.
    let bob = gateway.register("bob");
    refresh(&gateway, &backend.refresh_token(&bob, &json!({}))).expect(401);
}

#[test]
fn every_gateway_on_the_store_knows_the_session() {
    let gateway = TestGateway::start();
    let ada = gateway.register("ada");
    let token = Backend::of(&gateway).refresh_token(&ada, &json!({}));
    let first = refresh(&gateway, &token).expect(200);
    let second = TestGateway::beside(&gateway, "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    assert_eq!(refresh(&second, &token).expect(200).body, first.body);
    second.post(LOGOUT, &json!({"refresh": token})).expect(200);
    assert_pair_dead(&second, &first);
    // Refused by the store, heard of or not.
    refresh(&gateway, &token).expect(401);
    let third = TestGateway::beside(&gateway, "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n");
    assert_dead(&third, &token);
}

/// Its maker's clock is ahead, and ours grants a minute: the revocation must reach as far.
#[test]
fn a_logout_everywhere_is_remembered_for_as_long_as_any_token_lives() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        access_lifetime = "30m"
        refresh_lifetime = "30m"
        session_lifetime = "30m"
        leeway = "60s"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let ada = gateway.register("ada");
    let made = json!({"token_type": "access", "iat": 1_800_000_004_u64, "exp": 1_800_001_804_u64});
    let access = Backend::of(&gateway).refresh_token(&ada, &made);
    gateway.get_as("/x", &access).expect(200);
    gateway.post_as("/api/auth/logout/all/", &access, &json!({})).expect(200);
    for seconds in [1, 1800, 60, 7] {
        gateway.pass(seconds);
        gateway.app().block_on(gateway.app().store().sweep(gateway.clock.now(), 1000)).unwrap();
        gateway.get_as("/x", &access).expect(401);
    }
    let config = "[tokens]\nleeway = \"60s\"\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";
    TestGateway::beside(&gateway, config).get_as("/x", &access).expect(401);
}
