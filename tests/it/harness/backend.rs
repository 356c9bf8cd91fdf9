use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Answer, TestGateway, gateway::NOW, sign};

/// A legacy backend that has the gateway's secret and makes tokens of its own.
pub struct Backend(PathBuf);

impl Backend {
    pub fn of(gateway: &TestGateway) -> Self {
        Self(gateway.folder().to_owned())
    }

    /// Signs these claims as SimpleJWT and PyJWT do.
    pub fn sign(&self, claims: &Value) -> String {
        sign(&self.0, claims)
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
