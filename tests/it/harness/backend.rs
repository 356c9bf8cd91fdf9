use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Answer, TestGateway, gateway::NOW};

/// A legacy backend that has the gateway's secret and makes tokens of its own.
pub struct Backend(hmac::Key);

impl Backend {
    pub fn of(gateway: &TestGateway) -> Self {
        let secret = std::fs::read(gateway.folder().join("data/jwt.secret")).unwrap();
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.trim_ascii_end()))
    }

    /// Signs these claims as SimpleJWT and PyJWT do.
    pub fn sign(&self, claims: &Value) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let input = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, input.as_bytes())))
    }

    /// A refresh token for the user of that answer, made now for an hour, with SimpleJWT's claims; `more` are added
    /// or, where they are null, taken away.
    pub fn refresh_token(&self, user: &Answer, more: &Value) -> String {
        let mut claims = json!({
            "token_type": "refresh", "exp": NOW.seconds() + 3600, "iat": NOW.seconds(),
            "jti": "0af1c3d2e5b64798a0b1c2d3e4f50617", "user_id": user.json()["user"]["id"],
        });
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.sign(&claims)
    }
}

/// What a token says.
pub fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
