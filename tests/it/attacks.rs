//! What one would send to get in, or to be somebody else. The upstream's record is the judge.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::harness::{TestGateway, Upstream, bearer, ok, request};

/// Every spelling under which some backend would read one of our headers.
const ALIASES: [&str; 18] = [
    "X-User-Id",
    "x-user-id",
    "X_User_Id",
    "X.User.Id",
    "x-user_id",
    "X-USER-ID",
    "XUserId",
    "X--User--Id",
    "X-User-Id-",
    "X!User*Id",
    "HTTP-X-User-Id",
    "HTTP_X_USER_ID",
    "Remote-User",
    "remote_user",
    "HTTP-Remote-User",
    "HTTP_REMOTE_USER",
    "Http.Remote.User",
    "remoteuser",
];

#[test]
fn no_spelling_of_an_identity_header_reaches_the_upstream() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    for name in ALIASES {
        let forged = format!("{name}: 999");
        gateway.get("/x", &[&bearer(&token), &forged]).expect(200);
        gateway.get("/public/x", &[&forged]).expect(200);
        gateway.get("/x", &[&bearer(&token), &forged, "Connection: X-User-Id", &forged]).expect(200);
    }
    for request in upstream.requests() {
        assert!(!request.head().contains("999"), "{}", request.head());
        let expected = request.request_line().starts_with("GET /x ").then(|| "1".to_owned());
        assert_eq!(request.header("x-user-id"), expected, "{}", request.head());
    }
}

#[test]
fn a_trailer_is_no_way_around() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    let mut forged = String::new();
    for name in ALIASES {
        forged.push_str(&format!("{name}: 999\r\n"));
    }
    let bytes = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\n{}\r\nTE: trailers\r\nTrailer: X-User-Id, X-Sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n{forged}\r\n",
        bearer(&token)
    );
    gateway.raw(bytes).expect(200);
    let request = upstream.only();
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(!body.contains("999"), "{body}");
    assert!(body.starts_with("2\r\nhi\r\n0\r\n"), "{body}");
}

#[test]
fn a_client_cannot_say_where_it_comes_from() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let forged = [
        "X-Forwarded-For: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "X-Forwarded-Host: 6.6.6.6",
        "X-Forwarded-Proto: 6.6.6.6",
        "X-Forwarded-User: 6.6.6.6",
        "X-Forwarded-Client-Cert: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Original-URL: /6.6.6.6",
        "X-Rewrite-URL: /6.6.6.6",
    ];
    gateway.get("/public/x", &forged).expect(200);
    let request = upstream.only();
    assert!(!request.head().contains("6.6.6.6"), "{}", request.head());
    assert_eq!(request.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(request.header("x-forwarded-host").as_deref(), Some("localhost"));
}

#[test]
fn a_token_that_is_not_exactly_ours_opens_nothing() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let pair = gateway.register("ada");
    let token = pair.member("access");
    let parts: Vec<&str> = token.split('.').collect();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let admin = encode(&payload.replace(r#""user_id":"1""#, r#""user_id":"2""#));
    let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
    let bad = [
        String::new(),
        "x".to_owned(),
        "..".to_owned(),
        pair.member("refresh"),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{admin}.{}", parts[0], parts[2]),
        format!("{token}="),
        format!("{token}x"),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{token},{token}"),
        "x".repeat(20_000),
    ];
    for token in &bad {
        let answer = gateway.get("/x", &[&bearer(token)]);
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "));
    }
    let good = bearer(&token);
    for lines in [
        vec![good.as_str(), good.as_str()],
        vec![good.as_str(), "Authorization: Basic YTpi"],
        vec!["Authorization: Basic YTpi", good.as_str()],
        vec!["Authorization: Basic YTpi"],
        vec!["Authorization: Token x"],
    ] {
        gateway.get("/x", &lines).expect(401);
    }
    assert_eq!(upstream.requests(), []);
    gateway.get("/x", &[&good.replace("Bearer", "bEaReR")]).expect(200);
}

#[test]
fn a_token_dies_at_its_second() {
    let gateway = TestGateway::start();
    let token = gateway.register("ada").member("access");
    gateway.pass(30 * 60 - 1);
    gateway.get_as("/x", &token).expect(200);
    gateway.pass(1);
    let answer = gateway.get_as("/x", &token).expect(401);
    assert_eq!(answer.json()["messages"][0]["message"], "Token is expired");
}

/// Two readings of where a request ends make two requests of one.
#[test]
fn no_request_hides_in_another() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let hidden = "GET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            hidden.len() + 5
        ),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("Content-Length: 0, {}\r\n\r\n{hidden}", hidden.len()),
        format!("Content-Length: +{}\r\n\r\n{hidden}", hidden.len()),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{hidden}"),
        format!("X: a\r\n Transfer-Encoding: chunked\r\n\r\n{hidden}"),
    ] {
        let bytes = format!("POST /public/outer HTTP/1.1\r\nHost: localhost\r\n{head}");
        let _ = gateway.try_raw(bytes);
    }
    for request in upstream.requests() {
        assert!(request.request_line().starts_with("POST /public/outer "), "{}", request.head());
        let framing = request
            .headers()
            .iter()
            .filter(|(name, _)| {
                name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
            })
            .count();
        assert!(framing <= 1, "two framing fields: {}", request.head());
    }
}

#[test]
fn credentials_stay_here() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&upstream.config());
    let token = gateway.register("ada").member("access");
    gateway.get_as("/x", &token).expect(200);
    assert!(!upstream.only().head().contains(&token));
    // A public route's backend may have its own use for them.
    gateway.get("/public/x", &["Authorization: Basic YTpi"]).expect(200);
    assert_eq!(upstream.requests()[1].header("authorization").as_deref(), Some("Basic YTpi"));
}

#[test]
fn a_method_is_not_overridden_where_methods_decide() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!(
        "[[route]]\npath = \"/*\"\nmethods = [\"GET\"]\naccess = \"public\"\nupstream = \"http://{}\"\n",
        upstream.address
    ));
    let forged = ["X-HTTP-Method-Override: DELETE", "X_HTTP_Method: DELETE", "X-Method-Override: DELETE"];
    gateway.get("/x", &forged).expect(200);
    assert!(!upstream.only().head().contains("DELETE"));
}

/// What strangers send stays inside its line of the log.
#[test]
fn a_log_line_cannot_be_forged() {
    let gateway = TestGateway::start();
    let token = gateway.register("ada").member("access");
    gateway.raw(request("GET", "/public/\"}%0a{\"verdict\":\"allowed", &["X-Request-Id: \"}{"], b""));
    gateway.get("/public/x?token=secret-in-a-query", &[&bearer(&token)]).expect(200);
    let log = gateway.stop();
    assert_eq!(log.len(), 3, "{log:?}");
    let text = format!("{log:?}");
    assert!(!text.contains("secret-in-a-query") && !text.contains(&token) && !text.contains("correct horse"));
}
