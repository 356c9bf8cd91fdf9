//! Actions by tokens: after each action every token of two users is tried in every place that takes it.

use serde_json::json;

use portcullis::clock::Clock;

use crate::harness::{Answer, Process, TestGateway, bearer, claims, credentials, eventually, sign};

/// A gateway that commands work beside, and nothing that could end a token but what is tried.
const CONFIG: &str = r#"
[tokens]
refresh_grace = "1h"
[auth]
registration = true
[auth.throttle]
per_address = { attempts = 10000, window = "1m" }
registrations = { attempts = 10000, window = "1m" }
[[route]]
path = "/*"
upstream = "echo"
"#;

const LOGOUT: &str = "/api/auth/logout/";
const LOGOUT_ALL: &str = "/api/auth/logout/all/";
const SESSIONS: &str = "/api/auth/sessions/";

/// Two users' tokens. Ada's: `A1`, `A2`, `A3` of one session, each pair bought with the one before; `B` of another
/// session; `P` of none, without `jti`, made by a backend. Bob's: `C` of a session, `Q` of none.
struct World<'g> {
    gateway: &'g TestGateway,
    ada: String,
    tokens: Vec<(&'static str, String)>,
}

impl<'g> World<'g> {
    fn new(gateway: &'g TestGateway, number: usize) -> Self {
        let (ada, bob) = (format!("ada{number}"), format!("bob{number}"));
        let mut tokens = Vec::new();
        let mut pair = |access: &'static str, refresh: &'static str, answer: &Answer| {
            tokens.push((access, answer.member("access")));
            tokens.push((refresh, answer.member("refresh")));
        };
        let next = |pair: &Answer| {
            gateway.post("/api/auth/token/refresh/", &json!({"refresh": pair.member("refresh")})).expect(200)
        };
        let first = gateway.register(&ada);
        let (second, of_bob) = (next(&first), gateway.register(&bob));
        pair("A1.access", "A1.refresh", &first);
        pair("A2.access", "A2.refresh", &second);
        pair("A3.access", "A3.refresh", &next(&second));
        pair("B.access", "B.refresh", &gateway.login(&ada));
        pair("C.access", "C.refresh", &of_bob);
        let mut world = Self { gateway, ada, tokens };
        for (name, kind, of) in [
            ("P.access", "access", "A1.access"),
            ("P.refresh", "refresh", "A1.access"),
            ("Q.access", "access", "C.access"),
            ("Q.refresh", "refresh", "C.access"),
        ] {
            let of = claims(world.token(of));
            let payload = json!({
                "token_type": kind, "user_id": of["user_id"], "iat": of["iat"], "exp": of["exp"],
            });
            world.tokens.push((name, sign(gateway.folder(), &payload)));
        }
        world
    }

    fn token(&self, name: &str) -> &str {
        let found = self.tokens.iter().find(|(known, _)| *known == name);
        &found.unwrap_or_else(|| panic!("no token {name}")).1
    }

    /// The session of a token.
    fn sid(&self, name: &str) -> String {
        claims(self.token(name))["sid"].as_str().unwrap().to_owned()
    }

    /// An access token of ada's session that expired a second ago.
    fn expired(&self) -> String {
        let mut payload = claims(self.token("A3.access"));
        let now = self.gateway.clock.now().seconds();
        payload["iat"] = json!(now - 60);
        payload["exp"] = json!(now - 1);
        sign(self.gateway.folder(), &payload)
    }

    fn logout(&self, bearer: &str, refresh: &str) -> u16 {
        self.gateway.post_as(LOGOUT, bearer, &json!({"refresh": refresh})).status
    }

    fn logout_by(&self, bearer: Option<&str>, refresh: Option<&str>) -> u16 {
        match (bearer, refresh) {
            (Some(bearer), Some(refresh)) => self.logout(self.token(bearer), self.token(refresh)),
            (Some(bearer), None) => self.gateway.post_as(LOGOUT, self.token(bearer), &json!({})).status,
            (None, Some(refresh)) => {
                self.gateway.post(LOGOUT, &json!({"refresh": self.token(refresh)})).status
            }
            (None, None) => self.gateway.post(LOGOUT, &json!({})).status,
        }
    }

    fn ask(&self, method: &str, target: &str, token: &str) -> u16 {
        self.gateway.request(method, target, &[&bearer(token)], b"").status
    }

    fn end(&self, session_of: &str, by: &str) -> u16 {
        self.ask("DELETE", &format!("{SESSIONS}{}/", self.sid(session_of)), self.token(by))
    }

    /// A new password; what comes with it is alive.
    fn password(&self, by: &str, current: &str) -> u16 {
        let body = json!({"current": current, "new": "battery staple"});
        let answer = self.gateway.post_as("/api/auth/password/", self.token(by), &body);
        if answer.status == 200 {
            self.gateway.get_as("/x", &answer.member("access")).expect(200);
            self.refresh(&answer.member("refresh"), 200, "the fresh pair");
        }
        answer.status
    }

    /// Runs a command to its end; 200 stands for its exit code 0.
    fn command(&self, arguments: &[&str], stdin: &str) -> u16 {
        let (code, out, error) = Process::command(self.gateway.folder(), arguments, stdin);
        assert_eq!(code, 0, "{arguments:?}: {out}{error}");
        assert!(!out.contains("eyJ") && !error.contains("eyJ"), "a token is printed: {out}{error}");
        200
    }

    fn verify(&self, token: &str) -> u16 {
        self.gateway.post("/api/auth/token/verify/", &json!({"token": token})).status
    }

    #[track_caller]
    fn refresh(&self, token: &str, expected: u16, name: &str) {
        let answer = self.gateway.post("/api/auth/token/refresh/", &json!({"refresh": token}));
        assert_eq!(answer.status, expected, "refresh with {name}");
    }

    #[track_caller]
    fn assert_dead(&self, name: &str) {
        let token = self.token(name);
        assert_eq!(self.verify(token), 401, "verify {name}");
        if name.ends_with("access") {
            assert_eq!(self.ask("GET", "/x", token), 401, "a route by {name}");
            assert_eq!(self.ask("GET", "/api/auth/me/", token), 401, "me by {name}");
            assert_eq!(self.ask("GET", SESSIONS, token), 401, "sessions by {name}");
            assert_eq!(self.ask("POST", LOGOUT_ALL, token), 401, "logout all by {name}");
            assert_eq!(self.logout_by(Some(name), None), 401, "logout by {name}");
        } else {
            self.refresh(token, 401, name);
            assert_eq!(self.logout_by(None, Some(name)), 401, "logout by {name}");
        }
    }

    /// As far as it can be asked without doing anything.
    #[track_caller]
    fn assert_alive(&self, name: &str) {
        let token = self.token(name);
        assert_eq!(self.verify(token), 200, "verify {name}");
        if name.ends_with("access") {
            assert_eq!(self.ask("GET", "/x", token), 200, "a route by {name}");
            assert_eq!(self.ask("GET", "/api/auth/me/", token), 200, "me by {name}");
        }
    }

    /// What is dead is dead in every place, and what is alive does all that it could.
    fn judge(&self, is_dead: impl Fn(&str) -> bool) {
        let names = || self.tokens.iter().map(|(name, _)| *name);
        names().for_each(|name| if is_dead(name) { self.assert_dead(name) } else { self.assert_alive(name) });
        for name in names().filter(|name| name.ends_with("refresh") && !is_dead(name)) {
            self.refresh(self.token(name), 200, name);
        }
        for group in ["A", "B", "C", "P.access", "P.refresh", "Q.access", "Q.refresh"] {
            let Some(alive) = names().find(|name| name.starts_with(group) && !is_dead(name)) else {
                continue;
            };
            let status = match alive.ends_with("access") {
                true => self.logout_by(Some(alive), None),
                false => self.logout_by(None, Some(alive)),
            };
            assert_eq!(status, 200, "logout by {alive}");
            names().filter(|name| name.starts_with(group)).for_each(|name| self.assert_dead(name));
        }
    }
}

/// What is done, what it answers, and the beginnings of the names of what is dead then.
type Row = (&'static str, fn(&World<'_>) -> u16, u16, &'static [&'static str]);

/// Plays every row in a world of its own. Commands are obeyed soon, requests at once.
fn play(rows: &[Row], at_once: bool) {
    let gateway = TestGateway::by_clock(Clock::system(), CONFIG);
    for (number, (name, action, expected, dead)) in rows.iter().enumerate() {
        println!("{name}");
        let world = World::new(&gateway, number);
        assert_eq!(action(&world), *expected, "{name}");
        let is_dead = |token: &str| dead.iter().any(|start| token.starts_with(start));
        if !at_once {
            eventually(name, || {
                world.tokens.iter().all(|(name, token)| !is_dead(name) || world.verify(token) == 401)
            });
        }
        world.judge(is_dead);
    }
}

const NOTHING: &[&str] = &[];
const ALL_OF_ADA: &[&str] = &["A", "B", "P"];

#[test]
fn a_logout_ends_the_session_of_its_tokens_and_no_more() {
    let rows: &[Row] = &[
        ("nothing", |_| 200, 200, NOTHING),
        ("access", |it| it.logout_by(Some("A3.access"), None), 200, &["A"]),
        ("refresh", |it| it.logout_by(None, Some("A3.refresh")), 200, &["A"]),
        ("an older access", |it| it.logout_by(Some("A1.access"), None), 200, &["A"]),
        ("a superseded refresh", |it| it.logout_by(None, Some("A1.refresh")), 200, &["A"]),
        ("both", |it| it.logout_by(Some("A3.access"), Some("A3.refresh")), 200, &["A"]),
        ("two of one session", |it| it.logout_by(Some("A1.access"), Some("A3.refresh")), 200, &["A"]),
        ("expired and good", |it| it.logout(&it.expired(), it.token("A3.refresh")), 200, &["A"]),
        ("garbage and good", |it| it.logout("garbage", it.token("A3.refresh")), 200, &["A"]),
        ("two words and good", |it| it.logout("two words", it.token("A3.refresh")), 200, &["A"]),
        ("good and garbage", |it| it.logout(it.token("A3.access"), "garbage"), 200, &["A"]),
        (
            "a refresh as Bearer beside itself",
            |it| it.logout_by(Some("A3.refresh"), Some("A3.refresh")),
            200,
            &["A"],
        ),
        ("expired alone", |it| it.ask("POST", LOGOUT, &it.expired()), 401, NOTHING),
        ("a refresh as Bearer", |it| it.logout_by(Some("A3.refresh"), None), 401, NOTHING),
        ("an access as refresh", |it| it.logout_by(None, Some("A3.access")), 401, NOTHING),
        ("none", |it| it.logout_by(None, None), 400, NOTHING),
        ("two users", |it| it.logout_by(Some("A3.access"), Some("C.refresh")), 401, NOTHING),
        ("two sessions", |it| it.logout_by(Some("A3.access"), Some("B.refresh")), 401, NOTHING),
        (
            "a session and none",
            |it| it.logout_by(Some("A3.access"), Some("P.refresh")),
            200,
            &["A", "P.refresh"],
        ),
        (
            "none and a session",
            |it| it.logout_by(Some("P.access"), Some("A3.refresh")),
            200,
            &["A", "P.access"],
        ),
        ("two users of none", |it| it.logout_by(Some("P.access"), Some("Q.refresh")), 401, NOTHING),
        ("access of none", |it| it.logout_by(Some("P.access"), None), 200, &["P.access"]),
        ("refresh of none", |it| it.logout_by(None, Some("P.refresh")), 200, &["P.refresh"]),
        ("both of none", |it| it.logout_by(Some("P.access"), Some("P.refresh")), 200, &["P"]),
    ];
    play(rows, true);
}

#[test]
fn what_ends_more_than_one_session_ends_tokens_of_none_too() {
    let rows: &[Row] = &[
        ("logout all", |it| it.ask("POST", LOGOUT_ALL, it.token("A3.access")), 200, ALL_OF_ADA),
        ("by an older access", |it| it.ask("POST", LOGOUT_ALL, it.token("A1.access")), 200, ALL_OF_ADA),
        ("by a token of none", |it| it.ask("POST", LOGOUT_ALL, it.token("P.access")), 200, ALL_OF_ADA),
        ("by a refresh", |it| it.ask("POST", LOGOUT_ALL, it.token("A3.refresh")), 401, NOTHING),
        ("by an expired", |it| it.ask("POST", LOGOUT_ALL, &it.expired()), 401, NOTHING),
        ("password", |it| it.password("A3.access", "correct horse"), 200, ALL_OF_ADA),
        ("password by a token of none", |it| it.password("P.access", "correct horse"), 200, ALL_OF_ADA),
        ("a wrong password", |it| it.password("A3.access", "wrong horse"), 400, NOTHING),
        ("password by a refresh", |it| it.password("A3.refresh", "correct horse"), 401, NOTHING),
    ];
    play(rows, true);
}

#[test]
fn one_session_is_ended_by_its_id() {
    let rows: &[Row] = &[
        ("another", |it| it.end("B.access", "A3.access"), 200, &["B"]),
        ("one's own", |it| it.end("A1.access", "A3.access"), 200, &["A"]),
        ("by a token of none", |it| it.end("A1.access", "P.access"), 200, &["A"]),
        ("another user's", |it| it.end("C.access", "A3.access"), 404, NOTHING),
        ("another user's by a token of none", |it| it.end("C.access", "P.access"), 404, NOTHING),
        ("by a refresh", |it| it.end("B.access", "A3.refresh"), 401, NOTHING),
        (
            "by an expired",
            |it| it.ask("DELETE", &format!("{SESSIONS}{}", it.sid("B.access")), &it.expired()),
            401,
            NOTHING,
        ),
    ];
    play(rows, true);
}

#[test]
fn operators_commands_are_obeyed() {
    let rows: &[Row] = &[
        ("session revoke", |it| it.command(&["session", "revoke", &it.sid("A1.access")], ""), 200, &["A"]),
        (
            "session revoke two",
            |it| it.command(&["session", "revoke", &it.sid("A1.access"), &it.sid("B.access")], ""),
            200,
            &["A", "B"],
        ),
        (
            "session revoke --user",
            |it| it.command(&["session", "revoke", "--user", &it.ada], ""),
            200,
            ALL_OF_ADA,
        ),
        (
            "session revoke --user-id",
            |it| {
                let id = claims(it.token("A1.access"))["user_id"].as_str().unwrap().to_owned();
                it.command(&["session", "revoke", "--user-id", &id], "")
            },
            200,
            ALL_OF_ADA,
        ),
        (
            "token revoke access",
            |it| it.command(&["token", "revoke"], it.token("A3.access")),
            200,
            &["A3.access"],
        ),
        (
            "token revoke refresh",
            |it| it.command(&["token", "revoke", "-"], it.token("A3.refresh")),
            200,
            &["A3.refresh"],
        ),
        (
            "token revoke of none",
            |it| it.command(&["token", "revoke"], it.token("P.access")),
            200,
            &["P.access"],
        ),
        (
            "token revoke --jti",
            |it| {
                let jti = claims(it.token("A3.access"))["jti"].as_str().unwrap().to_owned();
                it.command(&["token", "revoke", "--jti", &jti], "")
            },
            200,
            &["A3.access"],
        ),
        ("user passwd", |it| it.command(&["user", "passwd", &it.ada], "battery staple"), 200, ALL_OF_ADA),
        ("user disable", |it| it.command(&["user", "disable", &it.ada], ""), 200, ALL_OF_ADA),
        (
            "user disable and enable",
            |it| {
                it.command(&["user", "disable", &it.ada], "");
                it.command(&["user", "enable", &it.ada], "");
                eventually("login", || {
                    it.gateway.post("/api/auth/login/", &credentials(&it.ada)).status == 200
                });
                200
            },
            200,
            ALL_OF_ADA,
        ),
        ("user delete", |it| it.command(&["user", "delete", &it.ada], ""), 200, ALL_OF_ADA),
    ];
    play(rows, false);
}
