//! Guessing is slow, and nobody is locked out by a stranger's guesses where they have been before.

use serde_json::json;

use crate::harness::TestGateway;

fn guess(gateway: &TestGateway, name: &str) -> u16 {
    gateway.post("/api/auth/login/", &json!({"username": name, "password": "wrong horse"})).status
}

#[test]
fn failed_passwords_are_counted_by_name_in_every_spelling() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        per_account = { attempts = 3, window = "3m" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    gateway.register("ada");
    for name in ["ada", "ADA", "Ａｄａ"] {
        assert_eq!(guess(&gateway, name), 401);
    }
    let answer = gateway.post("/api/auth/login/", &crate::harness::credentials("ada")).expect(429);
    assert_eq!(answer.header("retry-after"), Some("60"));
    // Unknown names are counted alike, or they would be told apart.
    for _ in 0..3 {
        assert_eq!(guess(&gateway, "nobody"), 401);
    }
    assert_eq!(guess(&gateway, "nobody"), 429);
    gateway.pass(60);
    gateway.login("ada");
}

#[test]
fn failed_passwords_are_counted_by_address() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        per_address = { attempts = 3, window = "3m" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    let session = gateway.register("ada");
    for name in ["a", "b", "c"] {
        assert_eq!(guess(&gateway, name), 401);
    }
    assert_eq!(guess(&gateway, "d"), 429);
    // The password of the bearer is guessed under the same limits.
    let body = json!({"current": "wrong horse", "new": "battery staple"});
    gateway.post_as("/api/auth/password/", &session.member("access"), &body).expect(429);
    assert_eq!(gateway.app().metrics().throttled.value(), 2);
}

#[test]
fn good_logins_are_not_counted() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        per_account = { attempts = 2, window = "1h" }
        per_address = { attempts = 2, window = "1h" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    gateway.register("ada");
    for _ in 0..5 {
        gateway.login("ada");
    }
}

#[test]
fn registrations_are_counted_good_and_bad() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        registrations = { attempts = 2, window = "1m" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    gateway.register("ada");
    gateway.post("/api/auth/register/", &json!({"username": "b", "email": "b", "password": "b"})).expect(400);
    let answer = gateway.post("/api/auth/register/", &crate::harness::registration("bob")).expect(429);
    assert_eq!(answer.header("retry-after"), Some("30"));
}

/// Were name and address counted together, one more request would tell that they are one user's.
#[test]
fn the_count_does_not_tell_whose_address_it_is() {
    let gateway = TestGateway::with(
        r#"
        [auth]
        registration = true
        [auth.throttle]
        per_account = { attempts = 3, window = "3m" }
        [[route]]
        path = "/*"
        upstream = "echo"
        "#,
    );
    gateway.register("ada");
    for (name, address) in [("ada", "ada@example.com"), ("nobody", "nobody@example.com")] {
        for _ in 0..3 {
            assert_eq!(guess(&gateway, name), 401);
        }
        assert_eq!(guess(&gateway, name), 429);
        assert_eq!(guess(&gateway, address), 401, "{address}");
    }
}

/// Each session beyond the hundredth leaves an entry in the revocation log: a loop must not fill it.
#[test]
fn good_logins_of_one_account_have_their_own_bound() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    let login = || gateway.post("/api/auth/login/", &crate::harness::credentials("ada")).status;
    let answers: Vec<u16> = (0..101).map(|_| login()).collect();
    assert_eq!((answers.iter().filter(|status| **status == 200).count(), answers[100]), (100, 429));
    gateway.pass(3);
    assert_eq!(login(), 200);
}

/// NFKC makes eleven characters of this one: a body of them would keep a core busy.
#[test]
fn a_name_longer_than_any_is_nobodys_and_costs_nothing() {
    let gateway = TestGateway::start();
    let long = "\u{fdfa}".repeat(20_000);
    let body = json!({"username": long, "password": "correct horse"});
    gateway.post("/api/auth/login/", &body).expect(401);
}
