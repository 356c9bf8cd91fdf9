//! Guessing is slow, and nobody is locked out by a stranger's guesses where they have been before.

use std::{
    io::Write,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Answer, Client, TestGateway, bearer, credentials, registration, request};

/// Behind a proxy that says who the clients are.
fn proxied(throttles: &str) -> String {
    format!(
        r#"
        [listen]
        https = "127.0.0.1:0"
        workers = 1
        trusted_proxies = ["127.0.0.1/32"]
        [auth]
        registration = true
        [auth.throttle]
        {throttles}
        [[route]]
        path = "/*"
        upstream = "echo"
        "#
    )
}

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}")
}

fn register_from(gateway: &Client, name: &str, address: &str) -> Answer {
    gateway.post_with("/api/auth/register/", &[&from(address)], &registration(name))
}

fn login_from(gateway: &Client, name: &str, address: &str) -> u16 {
    gateway.post_with("/api/auth/login/", &[&from(address)], &credentials(name)).status
}

fn guess_from(gateway: &Client, name: &str, address: &str) -> u16 {
    let body = json!({"username": name, "password": "wrong horse"});
    gateway.post_with("/api/auth/login/", &[&from(address)], &body).status
}

fn guess(gateway: &Client, name: &str) -> u16 {
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

/// Ten thousand strangers, each of whom guesses once.
#[test]
fn a_crowd_guesses_no_more_than_one_and_locks_nobody_out_at_home() {
    let gateway = TestGateway::with(&proxied(""));
    register_from(&gateway, "ada", "192.0.2.1").expect(201);
    assert_eq!(login_from(&gateway, "ada", "192.0.2.1"), 200);

    let body = json!({"username": "ada", "password": "wrong horse"}).to_string();
    let client = gateway.client();
    let guesses = |crowd: u32| {
        let mut stream = client.connect();
        let answers = (0..100).map(|number| {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + crowd * 100 + number).to_string();
            let lines = ["Content-Type: application/json", &from(&address)];
            let bytes = request("POST", "/api/auth/login/", &lines, body.as_bytes());
            stream.get_mut().write_all(&bytes).unwrap();
            Answer::read(&mut stream, false).unwrap().status
        });
        answers.collect::<Vec<_>>()
    };
    let answers: Vec<u16> = thread::scope(|scope| {
        let guesses = &guesses;
        let crowds: Vec<_> = (0..100).map(|crowd| scope.spawn(move || guesses(crowd))).collect();
        crowds.into_iter().flat_map(|crowd| crowd.join().unwrap()).collect()
    });
    assert_eq!(answers.len(), 10_000);
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 10);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 9_990);

    assert_eq!(login_from(&gateway, "ada", "192.0.2.1"), 200);
    assert_eq!(login_from(&gateway, "ada", "203.0.113.9"), 429);
}

#[test]
fn a_place_is_one_at_every_gateway_and_after_a_restart() {
    let config = proxied(r#"per_account = { attempts = 3, window = "3m" }"#);
    let gateway = TestGateway::with(&config);
    let session = register_from(&gateway, "ada", "192.0.2.1").expect(201);
    register_from(&gateway, "bob", "2001:db8:1:2::1").expect(201);
    let locked = |name: &str| {
        let other = TestGateway::beside(&gateway, &config);
        for stranger in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
            assert_eq!(guess_from(&other, name, stranger), 401);
        }
        assert_eq!(login_from(&other, name, "203.0.113.9"), 429);
        other
    };
    let other = locked("ada");
    assert_eq!(login_from(&other, "ada", "192.0.2.1"), 200);
    // Guessing at home is bounded there.
    for _ in 0..3 {
        assert_eq!(guess_from(&other, "ada", "192.0.2.1"), 401);
    }
    assert_eq!(login_from(&other, "ada", "192.0.2.1"), 429);
    assert_eq!(other.app().metrics().throttled.value(), 2);
    drop(other);

    // By another name of hers, written in another way, and from another address of one house.
    let other = locked("ADA@example.com");
    assert_eq!(login_from(&other, "ada@example.com", "::ffff:192.0.2.1"), 200);
    drop(other);
    let other = locked("bob");
    assert_eq!(login_from(&other, "bob", "2001:db8:1:2:3::4"), 200);
    assert_eq!(login_from(&other, "bob", "2001:db8:1:3::1"), 429);
    drop(other);

    // What has ended tells nothing.
    gateway.request("POST", "/api/auth/logout/all/", &[&bearer(&session.member("access"))], b"").expect(200);
    let other = locked("ada");
    assert_eq!(login_from(&other, "ada", "192.0.2.1"), 429);
}

/// A thief of a token who does not know the password.
#[test]
fn passwords_guessed_with_a_token_are_counted_and_lock_nobody_out_at_home() {
    let gateway = TestGateway::with(&proxied(r#"per_account = { attempts = 3, window = "3m" }"#));
    let session = register_from(&gateway, "ada", "192.0.2.1").expect(201);
    let change = |address: &str, current: &str| {
        let lines = [from(address), bearer(&session.member("access"))];
        let body = json!({"current": current, "new": "battery staple"});
        gateway.post_with("/api/auth/password/", &[&lines[0], &lines[1]], &body)
    };
    for thief in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        change(thief, "wrong horse").expect(400);
    }
    let refused = change("198.51.100.4", "correct horse").expect(429);
    assert_eq!(refused.header("retry-after"), Some("60"));
    change("192.0.2.1", "correct horse").expect(200);
}

/// Were it told by time, ten guesses would find out whether anybody has that name.
#[test]
fn looking_for_a_place_takes_as_long_for_names_that_nobody_has() {
    let gateway = TestGateway::with(&proxied(r#"per_account = { attempts = 1, window = "3m" }"#));
    register_from(&gateway, "ada", "192.0.2.1").expect(201);
    for name in ["ada", "nobody"] {
        assert_eq!(guess_from(&gateway, name, "198.51.100.1"), 401);
        let body = json!({"username": name, "password": "wrong horse"}).to_string();
        let lines = ["Content-Type: application/json", &from("203.0.113.9")];
        let bytes = request("POST", "/api/auth/login/", &lines, body.as_bytes());
        let mut stream = gateway.connect();
        let asked = Instant::now();
        stream.get_mut().write_all(&bytes).unwrap();
        let answer = Answer::read(&mut stream, false).unwrap();
        let took = asked.elapsed();
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("180")), "{name}");
        assert!(took >= Duration::from_millis(95), "{name}: {took:?}");
    }
}

#[test]
fn a_hundred_guesses_at_once_are_a_hundred() {
    let gateway = TestGateway::with(&proxied(""));
    let client = gateway.client();
    let guess = |number| guess_from(&client, "ada", &format!("192.0.2.{number}"));
    let answers: Vec<u16> = thread::scope(|scope| {
        let guess = &guess;
        let guesses: Vec<_> = (0..100).map(|number| scope.spawn(move || guess(number))).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 10);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 90);
}

#[test]
fn an_address_is_its_network_and_has_one_spelling() {
    let config = proxied(
        r#"
        per_address = { attempts = 2, window = "2m" }
        registrations = { attempts = 2, window = "2m" }
        "#,
    );
    let gateway = TestGateway::with(&config);
    for (same, other) in [
        (["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:3::3"], "2001:db8:0:1::1"),
        (["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"], "192.0.2.2"),
    ] {
        for (number, address) in same.iter().enumerate() {
            let expected = if number < 2 { (401, 400) } else { (429, 429) };
            let guessed = guess_from(&gateway, &format!("name{number}"), address);
            let bad = json!({"username": "a", "email": "a", "password": "a"});
            let registered = gateway.post_with("/api/auth/register/", &[&from(address)], &bad).status;
            assert_eq!((guessed, registered), expected, "{address}");
        }
        assert_eq!(guess_from(&gateway, "ada", other), 401, "{other}");
    }
}

#[test]
fn whoever_comes_back_when_told_may_try_and_no_sooner() {
    let gateway = TestGateway::with(&proxied(r#"per_account = { attempts = 7, window = "5m" }"#));
    for _ in 0..7 {
        assert_eq!(guess(&gateway, "ada"), 401);
    }
    for _ in 0..3 {
        let answer = gateway.post("/api/auth/login/", &credentials("ada")).expect(429);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(wait, 43, "300 s by 7, rounded up");
        gateway.pass(wait - 1);
        assert_eq!(guess(&gateway, "ada"), 429);
        gateway.pass(1);
        assert_eq!(guess(&gateway, "ada"), 401);
    }
}
