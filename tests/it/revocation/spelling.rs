//! A token without `jti` is known by its bytes: no other spelling of it may pass for another token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::harness::{TestGateway, sign_text};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Spellings of one part that a lenient decoder takes for the same bytes.
fn spellings(part: &str) -> Vec<String> {
    let padding = match part.len() % 4 {
        2 => "==",
        3 => "=",
        _ => "",
    };
    let mut others = vec![format!("{part}{padding}"), format!("{part}="), format!("{part}%3D")];
    // The last character's bits that stand for nothing.
    let spare = match part.len() % 4 {
        2 => 16,
        3 => 4,
        _ => 1,
    };
    let (rest, last) = part.split_at(part.len() - 1);
    let value = ALPHABET.iter().position(|byte| last.as_bytes()[0] == *byte).unwrap();
    others.extend((1..spare).map(|bits| format!("{rest}{}", char::from(ALPHABET[value | bits]))));
    others.push(part.replace('-', "+").replace('_', "/"));
    others.retain(|other| other != part);
    others
}

#[test]
fn another_spelling_of_a_token_is_no_token() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    let now = gateway.clock.now().seconds();
    // Lengths with every number of spare bits.
    for pad in ["", "x", "xx"] {
        let payload =
            format!(r#"{{"token_type":"access","user_id":"1","iat":{now},"exp":{},"p":"{pad}"}}"#, now + 600);
        let token = sign_text(gateway.folder(), &payload);
        let parts: Vec<&str> = token.split('.').collect();
        let mut others = Vec::new();
        for at in 0..3 {
            for spelling in spellings(parts[at]) {
                let mut parts = parts.clone();
                parts[at] = &spelling;
                others.push(parts.join("."));
            }
        }
        assert!(others.len() > 9, "{others:?}");
        let refuse_all = || {
            for other in &others {
                gateway.get_as("/x", other).expect(401);
                gateway.post("/api/auth/token/verify/", &json!({"token": other})).expect(401);
                gateway.post_as("/api/auth/logout/", other, &json!({})).expect(401);
            }
        };
        refuse_all();
        gateway.get_as("/x", &token).expect(200);
        gateway.post_as("/api/auth/logout/", &token, &json!({})).expect(200);
        gateway.get_as("/x", &token).expect(401);
        refuse_all();
    }
}

#[test]
fn other_white_space_in_the_json_needs_a_signature_of_its_own() {
    let gateway = TestGateway::start();
    gateway.register("ada");
    let exp = gateway.clock.now().seconds() + 600;
    let (plain, spaced) = (
        format!(r#"{{"token_type":"access","user_id":"1","exp":{exp}}}"#),
        format!(r#"{{"token_type": "access", "user_id": "1", "exp": {exp}}}"#),
    );
    let token = sign_text(gateway.folder(), &plain);
    let parts: Vec<&str> = token.split('.').collect();
    let unsigned = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(&spaced), parts[2]);
    gateway.get_as("/x", &unsigned).expect(401);
    gateway.post_as("/api/auth/logout/", &token, &json!({})).expect(200);
    gateway.get_as("/x", &unsigned).expect(401);
    // Only who has the secret can make it, and then it is another token.
    let another = sign_text(gateway.folder(), &spaced);
    gateway.get_as("/x", &token).expect(401);
    gateway.get_as("/x", &another).expect(200);

    // With a `jti` it is the same one, however it is written.
    let with_jti = |claims: &str| sign_text(gateway.folder(), &claims.replace('}', r#","jti":"7"}"#));
    gateway.post_as("/api/auth/logout/", &with_jti(&plain), &json!({})).expect(200);
    gateway.get_as("/x", &with_jti(&spaced)).expect(401);
}
