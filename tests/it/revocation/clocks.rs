//! Before and after, by the log's order where a session tells it, by time where none does.

use std::time::Duration;

use portcullis::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Answer, NOW, TestGateway, bearer, credentials, eventually, sign};

const ECHO: &str = "[tokens]\nleeway = \"10s\"\n[auth]\nregistration = true\n[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";

fn logout_all(gateway: &TestGateway, pair: &Answer) {
    gateway.request("POST", "/api/auth/logout/all/", &[&bearer(&pair.member("access"))], b"").expect(200);
}

/// As a backend makes it that shares the secret: no `jti`, no `sid`.
fn minted(gateway: &TestGateway, kind: &str, issued_at: Option<u64>) -> String {
    let now = gateway.clock.now().seconds();
    let mut payload = json!({"token_type": kind, "user_id": "1", "exp": now + 1200});
    if let Some(issued_at) = issued_at {
        payload["iat"] = Value::from(issued_at);
    }
    sign(gateway.folder(), &payload)
}

#[test]
fn tokens_without_session_are_dead_up_to_ten_seconds_after_the_instant() {
    let gateway = TestGateway::start();
    let ada = gateway.register("ada");
    let instant = gateway.clock.now().seconds();
    let opens = |issued_at: Option<u64>| {
        let access = gateway.get_as("/x", &minted(&gateway, "access", issued_at)).status;
        let refresh = json!({"token": minted(&gateway, "refresh", issued_at)});
        assert_eq!(access, gateway.post("/api/auth/token/verify/", &refresh).status, "{issued_at:?}");
        access == 200
    };
    assert!(opens(Some(instant)) && opens(None));
    logout_all(&gateway, &ada);
    gateway.pass(30);
    for (issued_at, lives) in [
        (None, false),
        (Some(instant - 60), false),
        (Some(instant), false),
        (Some(instant + 1), false),
        (Some(instant + 10), false),
        (Some(instant + 11), true),
        (Some(instant + 30), true),
    ] {
        assert_eq!(opens(issued_at), lives, "{issued_at:?}, the instant being {instant}");
    }
}

/// A backend's token lives as long as it may, and an instant that concerns it is remembered for longer.
#[test]
fn an_instant_is_remembered_for_as_long_as_what_it_killed_could_live() {
    let gateway = TestGateway::with(
        r#"
        [tokens]
        access_lifetime = "100s"
        refresh_lifetime = "100s"
        session_lifetime = "100s"
        leeway = "60s"
        [auth]
        registration = true
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let ada = gateway.register("ada");
    logout_all(&gateway, &ada);
    gateway.pass(10);
    let now = gateway.clock.now().seconds();
    // As far away as such a token may be: the lifetime and the leeway.
    let token = sign(
        gateway.folder(),
        &json!({"token_type": "access", "user_id": "1", "iat": now, "exp": now + 160}),
    );
    for _ in 0..22 {
        gateway.get_as("/x", &token).expect(401);
        gateway.pass(10);
    }
}

/// Each gateway revokes what the other has issued, with one clock ahead of the other.
#[test]
fn clocks_five_seconds_apart_change_nothing() {
    let early = TestGateway::by_clock(Clock::manual(NOW), ECHO);
    let late = TestGateway::beside_by_clock(&early, Clock::manual(NOW.plus(Duration::from_secs(5))), ECHO);
    early.register("ada");
    let login = |gateway: &TestGateway| gateway.post("/api/auth/login/", &credentials("ada")).expect(200);
    let on_both = |pair: &Answer, status: u16| {
        [&early, &late].iter().all(|gateway| gateway.get_as("/x", &pair.member("access")).status == status)
    };
    for (issuer, revoker) in [(&early, &early), (&early, &late), (&late, &early), (&late, &late)] {
        let (one, other) = (login(issuer), login(issuer));
        assert!(on_both(&one, 200) && on_both(&other, 200));
        logout_all(revoker, &one);
        // In the same second by either clock, and from either gateway.
        let fresh = [login(issuer), login(revoker)];
        eventually("logout all", || on_both(&one, 401) && on_both(&other, 401));
        assert!(fresh.iter().all(|pair| on_both(pair, 200)));
        let refresh = json!({"refresh": fresh[0].member("refresh")});
        revoker.post("/api/auth/token/refresh/", &refresh).expect(200);

        revoker.post("/api/auth/logout/", &json!({"refresh": fresh[1].member("refresh")})).expect(200);
        eventually("logout", || on_both(&fresh[1], 401));
        assert!(on_both(&fresh[0], 200));

        // A backend by the issuer's clock, right before.
        let token = minted(issuer, "access", Some(issuer.clock.now().seconds()));
        logout_all(revoker, &fresh[0]);
        eventually("logout all", || {
            [&early, &late].iter().all(|gateway| gateway.get_as("/x", &token).status == 401)
        });
        // Beyond the ten seconds, so that the next round's backend is not taken for this one's.
        early.pass(20);
        late.pass(20);
    }
}

/// A gateway that says 200 refuses from then on, also where another gateway was faster and its feed is behind.
#[test]
fn a_second_logout_elsewhere_is_as_good_as_the_first() {
    let first = TestGateway::with(ECHO);
    let second = TestGateway::beside(&first, ECHO);
    first.register("ada");
    for _ in 0..10 {
        let pair = first.login("ada");
        let logout = |gateway: &TestGateway| {
            gateway.post("/api/auth/logout/", &json!({"refresh": pair.member("refresh")}))
        };
        logout(&first).expect(200);
        // 401 where the feed was there already.
        logout(&second);
        second.get_as("/x", &pair.member("access")).expect(401);
    }
}
