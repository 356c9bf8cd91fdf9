use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::token::{ClaimValue, KeySettings, NewToken};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn keys() -> KeyRing {
    let key = |id: &str, secret: &[u8]| KeySettings { id: id.to_owned(), secret: secret.to_vec().into() };
    KeyRing::new(&[key("now", SECRET), key("old", b"another secret of thirty-two byt")])
}

fn profile() -> Profile {
    Profile {
        scheme: "Bearer",
        kind_claim: "token_type",
        access_kind: "access",
        refresh_kind: "refresh",
        user_claim: "user_id".to_owned(),
        extra_claims: vec!["roles".to_owned()],
        issuer: None,
        audience: Vec::new(),
        leeway: Duration::ZERO,
        access_lifetime: Duration::from_secs(1800),
        refresh_lifetime: Duration::from_secs(7 * 86400),
    }
}

/// Signs whatever it is told with the first key's secret.
fn forge(header: &str, payload: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const GOOD: &str = r#"{"token_type":"access","user_id":"7","jti":"a","exp":1700000060}"#;

fn check(header: &str, payload: &str) -> Result<Verified, TokenError> {
    verify(&forge(header, payload), &keys(), &profile(), NOW)
}

fn minted(kind: TokenKind) -> String {
    let token = NewToken {
        kind,
        user: &"42".parse().unwrap(),
        token: TokenId::from_bytes([1; 16]),
        session: SessionId::from_bytes([2; 16]),
        issued_at: NOW.seconds(),
        expires_at: NOW.seconds() + 60,
        extra_claims: &[Some(ClaimValue::List(vec!["admin".to_owned()]))],
    };
    keys().mint(&profile(), &token).unwrap()
}

#[test]
fn what_we_mint_we_understand() {
    let verified = verify(&minted(TokenKind::Access), &keys(), &profile(), NOW).unwrap();
    assert_eq!(
        verified,
        Verified {
            kind: TokenKind::Access,
            user: "42".parse().unwrap(),
            token: TokenId::from_bytes([1; 16]),
            session: Some(SessionId::from_bytes([2; 16])),
            issued_at: Some(NOW.seconds()),
            expires_at: NOW.seconds() + 60,
            extra_claims: vec![Some(ClaimValue::List(vec!["admin".to_owned()]))],
        }
    );
    let header = minted(TokenKind::Access);
    let header = URL_SAFE_NO_PAD.decode(header.split('.').next().unwrap()).unwrap();
    assert_eq!(String::from_utf8(header).unwrap(), r#"{"typ":"JWT","alg":"HS256","kid":"now"}"#);
}

#[test]
fn a_token_dies_at_the_second_of_its_expiry() {
    let token = minted(TokenKind::Access);
    let at = |now| verify(&token, &keys(), &profile(), now);
    assert!(at(NOW.plus(Duration::from_millis(59_999))).is_ok());
    assert_eq!(at(NOW.plus(Duration::from_secs(60))), Err(TokenError::Expired));
    let lenient = Profile { leeway: Duration::from_secs(10), ..profile() };
    assert!(verify(&token, &keys(), &lenient, NOW.plus(Duration::from_secs(69))).is_ok());
    assert_eq!(
        verify(&token, &keys(), &lenient, NOW.plus(Duration::from_secs(70))),
        Err(TokenError::Expired)
    );
}

#[test]
fn a_backend_that_shares_the_secret_is_understood() {
    assert_eq!(URL_SAFE_NO_PAD.encode(HEADER), PLAIN_HEADER);
    let verified = check(HEADER, GOOD).unwrap();
    assert_eq!((verified.user.as_str(), verified.session), ("7", None));
    // SimpleJWT up to 5.5.0 writes a number.
    let payload = r#"{"token_type":"access","user_id":7,"exp":1700000060,"iat":1700000000}"#;
    assert_eq!(check(HEADER, payload).unwrap().user.as_str(), "7");
    assert!(check(r#"{"alg":"HS256","kid":"theirs"}"#, GOOD).is_ok());
}

#[test]
fn clocks_may_differ_by_seconds_and_a_session_needs_none() {
    let with = |rest: &str| format!(r#"{{"token_type":"access","user_id":"7","exp":1700000060{rest}}}"#);
    assert!(check(HEADER, &with(r#","iat":1700000005"#)).is_ok());
    // Whoever ends what was issued until now reckons with ten seconds, of which their clock may be five behind; the leeway
    // changes nothing of that.
    let lenient = Profile { leeway: Duration::from_secs(60), ..profile() };
    for profile in [profile(), lenient] {
        let ahead = forge(HEADER, &with(r#","iat":1700000006"#));
        assert!(verify(&ahead, &keys(), &profile, NOW).is_err());
    }
    // Of the longest life, made by a clock that is ahead.
    for payload in [
        r#"{"token_type":"access","user_id":"7","exp":1700001805}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700001805,"iat":1700000005}"#,
    ] {
        assert!(check(HEADER, payload).is_ok(), "{payload}");
    }
    let session = r#","sid":"00000000000000000000000000000002""#;
    assert!(check(HEADER, &with(&format!(r#","iat":1700003600{session}"#))).is_ok());
    assert!(check(HEADER, &with(&format!(r#","nbf":1700000001{session}"#))).is_err());
}

#[test]
fn a_backends_own_sessions_lift_no_bound() {
    let with = |rest: &str| {
        let sid = "f47ac10b58cc4372a5670e02b2c3d479";
        check(HEADER, &format!(r#"{{"token_type":"access","user_id":"7","sid":"{sid}"{rest}}}"#))
    };
    let good = with(r#","exp":1700000060,"iat":1700000000"#).unwrap();
    assert!(good.session.is_some());
    assert!(with(r#","exp":1700000060,"iat":1700000006"#).is_err());
    assert!(with(r#","exp":1700001811,"iat":1700000000"#).is_err());
    assert!(with(r#","exp":1700001811"#).is_err());
}

#[test]
fn a_token_is_known_by_its_jti_or_by_what_was_signed() {
    let id = |rest: &str| {
        let payload = format!(r#"{{"token_type":"refresh","user_id":"7","exp":1700000060{rest}}}"#);
        check(HEADER, &payload).unwrap().token
    };
    let digits = "0123456789abcdef0123456789abcdef";
    assert_eq!(id(&format!(r#","jti":"{digits}""#)).to_string(), digits);
    let uuid = r#","jti":"01234567-89ab-cdef-0123-456789abcdef""#;
    let spellings = [
        format!(r#","jti":"{digits}""#),
        format!(r#","jti":"{}""#, digits.to_uppercase()),
        uuid.to_owned(),
        String::new(),
        r#","jti":"""#.to_owned(),
        r#","jti":"","iat":1700000000"#.to_owned(),
    ];
    for (index, one) in spellings.iter().enumerate() {
        for other in &spellings[..index] {
            assert_ne!(id(one), id(other), "{one} and {other}");
        }
    }
    // The same name, however the rest of the token looks.
    assert_eq!(id(uuid), id(&format!(r#"{uuid},"x":1"#)));
}

#[test]
fn a_header_that_says_otherwise_is_refused() {
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","kid":"old"}"#,
        r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
        r#"["HS256"]"#,
        r#"{"alg":"HS256"} "#.trim_end_matches(' ').strip_suffix('}').unwrap(),
        "",
    ] {
        assert_eq!(check(header, GOOD), Err(TokenError::Invalid), "{header}");
    }
}

#[test]
fn claims_that_are_not_exactly_right_are_refused() {
    for payload in [
        // Kind.
        r#"{"user_id":"7","exp":1700000060}"#,
        r#"{"token_type":"sliding","user_id":"7","exp":1700000060}"#,
        r#"{"token_type":["access"],"user_id":"7","exp":1700000060}"#,
        // User.
        r#"{"token_type":"access","exp":1700000060}"#,
        r#"{"token_type":"access","user_id":"","exp":1700000060}"#,
        r#"{"token_type":"access","user_id":"a,b","exp":1700000060}"#,
        r#"{"token_type":"access","user_id":"a\nb","exp":1700000060}"#,
        r#"{"token_type":"access","user_id":null,"exp":1700000060}"#,
        r#"{"token_type":"access","user_id":true,"exp":1700000060}"#,
        r#"{"token_type":"access","user_id":7.5,"exp":1700000060}"#,
        // Times.
        r#"{"token_type":"access","user_id":"7"}"#,
        r#"{"token_type":"access","user_id":"7","exp":"1700000060"}"#,
        r#"{"token_type":"access","user_id":"7","exp":null}"#,
        r#"{"token_type":"access","user_id":"7","exp":-1}"#,
        r#"{"token_type":"access","user_id":"7","exp":1e300}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700001811}"#,
        r#"{"token_type":"access","user_id":"7","iat":1699999000,"exp":1700000801}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"nbf":1700000001}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"iat":1700000011}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"iat":"x"}"#,
        // Others.
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"jti":7}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"sid":"short"}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"sid":null}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"aud":"others"}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"aud":[]}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"roles":{"a":1}}"#,
        // Members twice, at any depth.
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"exp":1700000060}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"user_id":"8"}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"x":1,"x":1}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060,"x":[{"a":1,"\u0061":1}]}"#,
        r#"{"token_type":"access","user_id":"7","exp":1700000060}{}"#,
        "[]",
        "",
    ] {
        assert_eq!(check(HEADER, payload), Err(TokenError::Invalid), "{payload}");
    }
}

#[test]
fn issuer_and_audience_are_asked_where_they_are_set() {
    let strict = Profile { issuer: Some("us".to_owned()), audience: vec!["orders".to_owned()], ..profile() };
    let ask = |payload: &str| verify(&forge(HEADER, payload), &keys(), &strict, NOW);
    let with = |rest: &str| format!(r#"{{"token_type":"access","user_id":"7","exp":1700000060{rest}}}"#);
    assert!(ask(&with(r#","iss":"us","aud":"orders""#)).is_ok());
    assert!(ask(&with(r#","iss":"us","aud":["x","orders"]"#)).is_ok());
    for wrong in [
        "",
        r#","iss":"us""#,
        r#","aud":"orders""#,
        r#","iss":"them","aud":"orders""#,
        r#","iss":"us","aud":"x""#,
        r#","iss":["us"],"aud":"orders""#,
        r#","iss":"us","aud":[1,"orders"]"#,
    ] {
        assert_eq!(ask(&with(wrong)), Err(TokenError::Invalid), "{wrong}");
    }
}

#[test]
fn no_bit_of_a_token_may_change() {
    let token = minted(TokenKind::Access);
    for index in 0..token.len() {
        for replacement in ['A', 'B', '.', '='] {
            let mut other = token.clone().into_bytes();
            if other[index] == replacement as u8 {
                continue;
            }
            other[index] = replacement as u8;
            let other = String::from_utf8(other).unwrap();
            assert!(verify(&other, &keys(), &profile(), NOW).is_err(), "at {index}: {other}");
        }
    }
    for other in [format!("{token}="), format!("{token}."), format!(".{token}"), format!("{token}A")] {
        assert!(verify(&other, &keys(), &profile(), NOW).is_err(), "{other}");
    }
}

#[test]
fn a_token_too_long_is_not_even_parsed() {
    let long =
        format!(r#"{{"token_type":"access","user_id":"7","exp":1700000060,"x":"{}"}}"#, "x".repeat(8000));
    assert_eq!(check(HEADER, &long), Err(TokenError::Invalid));
    let fits =
        format!(r#"{{"token_type":"access","user_id":"7","exp":1700000060,"x":"{}"}}"#, "x".repeat(4000));
    assert!(check(HEADER, &fits).is_ok());
}

#[test]
fn a_header_of_no_key_of_ours_changes_nothing_of_the_signature() {
    let strangers = hmac::Key::new(hmac::HMAC_SHA256, b"a stranger's secret of 32 bytes!!");
    for header in
        [HEADER, r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"theirs"}"#, r#"{"alg":"HS256","kid":"now"}"#]
    {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(GOOD));
        let tag = hmac::sign(&strangers, input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(verify(&token, &keys(), &profile(), NOW), Err(TokenError::Invalid), "{header}");
    }
}
