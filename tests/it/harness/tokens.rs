use std::{fs, path::Path};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// A token as a backend makes it that shares the development secret of the gateway in `folder`.
pub fn sign(folder: &Path, claims: &Value) -> String {
    sign_text(folder, &claims.to_string())
}

/// As [`sign`], of these very bytes.
pub fn sign_text(folder: &Path, payload: &str) -> String {
    let secret = fs::read(folder.join("data/jwt.secret")).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.trim_ascii_end()), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// What a token says.
pub fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
