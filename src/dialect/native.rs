//! The first seed's endpoints: words, statuses and members.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value, json};

use super::{
    endpoint::{self, Endpoint},
    fields::{Fields, WireError},
};
use crate::{
    auth::{BearerToken, Credentials, Operation, Outcome, Registration, Rejection, TokenPair, TokenRefusal},
    id::SessionId,
    secret::{ExposeSecret, SecretText},
    store::{Session, User},
    token::{Profile, Settings},
};

/// How native tokens look: SimpleJWT's claims, and a session beside them.
pub fn profile(settings: &Settings) -> Profile {
    Profile {
        scheme: "Bearer",
        kind_claim: "token_type",
        access_kind: "access",
        refresh_kind: "refresh",
        user_claim: settings.user_claim.clone(),
        extra_claims: settings.claims.iter().map(|claim| claim.claim.clone()).collect(),
        issuer: settings.issuer.clone(),
        audience: settings.audience.clone(),
        leeway: settings.leeway,
        access_lifetime: settings.access_lifetime,
        refresh_lifetime: settings.refresh_lifetime,
    }
}

/// Why a request is no operation.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Its body is none.
    Body(WireError),
    /// It lacks the credentials that every use of the endpoint needs.
    Token(TokenRefusal),
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        Self::Body(error)
    }
}

impl From<TokenRefusal> for DecodeError {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Token(refusal)
    }
}

/// Reads a request into an operation. `path` has been found to lead to the endpoint.
///
/// `Authorization` is looked at only where an endpoint asks for a Bearer: a stale token in a client's default
/// headers must not keep its user from logging in.
///
/// # Errors
/// Why the request is no operation: [`undecodable`] words it.
pub fn decode(
    endpoint: Endpoint,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Operation, DecodeError> {
    let bearer =
        || BearerToken::from_headers(headers, "Bearer").map(|token| SecretText::from(token.as_str()));
    let fields = || {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
        Fields::read(content_type, body)
    };
    let operation = match endpoint {
        Endpoint::Login => read(fields()?, |fields, faults| {
            Operation::Login(Credentials {
                name: fields.text("username", faults).expose_secret().to_owned(),
                password: fields.text("password", faults),
            })
        })?,
        Endpoint::Logout => {
            let refresh = read(fields()?, |fields, faults| fields.optional_text("refresh", faults))?;
            let bearer = match bearer() {
                Ok(bearer) => Some(bearer),
                // Without a Bearer the refresh token stands alone, as it does beside a broken one.
                Err(TokenRefusal::Missing) => None,
                Err(_) if refresh.is_some() => None,
                Err(refusal) => return Err(refusal.into()),
            };
            Operation::Logout { bearer, refresh }
        }
        Endpoint::LogoutAll => Operation::LogoutAll { bearer: bearer()? },
        Endpoint::Me => Operation::Identify { bearer: bearer()? },
        Endpoint::Password => {
            let bearer = bearer()?;
            read(fields()?, |fields, faults| Operation::ChangePassword {
                bearer,
                current: fields.text("current", faults),
                new: fields.text("new", faults),
            })?
        }
        Endpoint::Refresh => {
            read(fields()?, |fields, faults| Operation::Refresh { token: fields.text("refresh", faults) })?
        }
        Endpoint::Register => read(fields()?, |fields, faults| {
            Operation::Register(Registration {
                username: fields.text("username", faults).expose_secret().to_owned(),
                email: fields.text("email", faults).expose_secret().to_owned(),
                password: fields.text("password", faults),
            })
        })?,
        Endpoint::Session => Operation::EndSession {
            bearer: bearer()?,
            session: SessionId::from_claim(endpoint::parameter(path)),
        },
        Endpoint::Sessions => Operation::ListSessions { bearer: bearer()? },
        Endpoint::Verify => {
            read(fields()?, |fields, faults| Operation::Verify { token: fields.text("token", faults) })?
        }
    };
    Ok(operation)
}

fn read<T>(
    mut fields: Fields,
    take: impl FnOnce(&mut Fields, &mut Vec<(&'static str, &'static str)>) -> T,
) -> Result<T, WireError> {
    let mut faults = Vec::new();
    let taken = take(&mut fields, &mut faults);
    if faults.is_empty() { Ok(taken) } else { Err(WireError::Fields(faults)) }
}

/// Words what came of an operation.
pub fn encode(outcome: &Outcome) -> Response<Bytes> {
    match outcome {
        Outcome::LoggedIn(user, pair) => answer(StatusCode::OK, &with_user(user, pair)),
        Outcome::LoggedOut(_) => answer(StatusCode::OK, &json!({"message": "Logged out"})),
        Outcome::PasswordChanged(_, pair) => answer(
            StatusCode::OK,
            &json!({"access": pair.access, "refresh": pair.refresh, "message": "Password changed successfully"}),
        ),
        Outcome::Refreshed(_, pair) => answer(
            StatusCode::OK,
            &json!({"access": pair.access, "refresh": pair.refresh, "message": "Token refreshed successfully"}),
        ),
        Outcome::Registered(user, pair) => answer(StatusCode::CREATED, &with_user(user, pair)),
        Outcome::Sessions { sessions, current, .. } => {
            let sessions: Vec<Value> =
                sessions.iter().map(|one| session(one, Some(one.id) == *current)).collect();
            answer(StatusCode::OK, &json!({"sessions": sessions}))
        }
        Outcome::User(user) => answer(StatusCode::OK, &json!({"user": record(user)})),
        Outcome::Valid(_) => answer(StatusCode::OK, &json!({"valid": true, "message": "Token is valid"})),
    }
}

/// Words why an operation was refused.
pub fn reject(rejection: &Rejection) -> Response<Bytes> {
    let detail = |status, text: &str| answer(status, &json!({"detail": text}));
    match rejection {
        Rejection::CredentialsRejected => detail(StatusCode::UNAUTHORIZED, "Invalid credentials"),
        Rejection::CurrentPasswordWrong => {
            answer(StatusCode::BAD_REQUEST, &json!({"current": ["The password is wrong."]}))
        }
        Rejection::FieldsRejected(faults) => fields(faults.iter().map(|(name, why)| (*name, why.as_str()))),
        Rejection::NothingToLogOut => {
            detail(StatusCode::BAD_REQUEST, "Send an access token, a refresh token, or both.")
        }
        Rejection::Overloaded => {
            retry(detail(StatusCode::SERVICE_UNAVAILABLE, "Too busy, try again."), Duration::from_secs(1))
        }
        Rejection::RefreshRejected => answer(
            StatusCode::UNAUTHORIZED,
            &json!({"detail": "Invalid or expired refresh token", "error": "Token is invalid or expired"}),
        ),
        Rejection::RegistrationClosed => detail(StatusCode::FORBIDDEN, "Registration is closed."),
        Rejection::SessionUnknown => detail(StatusCode::NOT_FOUND, "Not found."),
        Rejection::SigningFailed => detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal error."),
        Rejection::StoreFull => detail(StatusCode::INSUFFICIENT_STORAGE, "The server is out of storage."),
        Rejection::RevocationsStale | Rejection::StoreUnavailable => refuse_for_now(),
        Rejection::Throttled { retry_after } => {
            retry(detail(StatusCode::TOO_MANY_REQUESTS, "Too many attempts."), *retry_after)
        }
        Rejection::TokenRejected(refusal) => refuse_token(*refusal),
        Rejection::VerificationFailed => answer(
            StatusCode::UNAUTHORIZED,
            &json!({"valid": false, "detail": "Token is invalid or expired"}),
        ),
    }
}

/// Words why a token does not open a door: SimpleJWT's bodies, RFC 6750's challenge.
pub fn refuse_token(refusal: TokenRefusal) -> Response<Bytes> {
    let (body, challenge) = match refusal {
        TokenRefusal::Missing => {
            (json!({"detail": "Authentication credentials were not provided."}), r#"Bearer realm="api""#)
        }
        TokenRefusal::Malformed => (
            json!({
                "detail": "Authorization header must contain two space-delimited values",
                "code": "bad_authorization_header",
            }),
            r#"Bearer realm="api", error="invalid_request""#,
        ),
        TokenRefusal::Expired => not_valid("Token is expired"),
        TokenRefusal::Invalid => not_valid("Token is invalid"),
        TokenRefusal::Revoked => not_valid("Token is blacklisted"),
        TokenRefusal::WrongKind => not_valid("Token has wrong type"),
    };
    let mut answer = answer(StatusCode::UNAUTHORIZED, &body);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

/// Words that a good token is not enough: its user meets no rule of the route (RFC 6750, section 3.1).
pub fn refuse_user() -> Response<Bytes> {
    let body = json!({"detail": "You do not have permission to perform this action."});
    let mut answer = answer(StatusCode::FORBIDDEN, &body);
    let challenge = HeaderValue::from_static(r#"Bearer realm="api", error="insufficient_scope""#);
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

/// Words that nobody can say now whether a token is good. It may well be: not 401, which would end its session in
/// most clients.
pub fn refuse_for_now() -> Response<Bytes> {
    let body = json!({"detail": "Temporarily unavailable, try again."});
    retry(answer(StatusCode::SERVICE_UNAVAILABLE, &body), Duration::from_secs(1))
}

fn not_valid(message: &str) -> (Value, &'static str) {
    let body = json!({
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [{"token_class": "AccessToken", "token_type": "access", "message": message}],
    });
    (body, r#"Bearer realm="api", error="invalid_token""#)
}

/// Words why a request is no operation.
pub fn undecodable(error: &DecodeError) -> Response<Bytes> {
    match error {
        DecodeError::Body(error) => wire_error(error),
        DecodeError::Token(refusal) => refuse_token(*refusal),
    }
}

fn wire_error(error: &WireError) -> Response<Bytes> {
    match error {
        WireError::Broken(why) => answer(StatusCode::BAD_REQUEST, &json!({"detail": why})),
        WireError::Fields(faults) => fields(faults.iter().copied()),
        WireError::MediaType(given) => answer(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!({"detail": format!("Unsupported media type \"{given}\" in request.")}),
        ),
        WireError::NotAnObject(kind) => answer(
            StatusCode::BAD_REQUEST,
            &json!({"detail": format!("Invalid data. Expected a dictionary, but got {kind}.")}),
        ),
    }
}

fn fields<'f>(faults: impl Iterator<Item = (&'f str, &'f str)>) -> Response<Bytes> {
    let body: Map<String, Value> = faults.map(|(name, why)| (name.to_owned(), json!([why]))).collect();
    answer(StatusCode::BAD_REQUEST, &Value::Object(body))
}

fn with_user(user: &User, pair: &TokenPair) -> Value {
    json!({"user": record(user), "access": pair.access, "refresh": pair.refresh})
}

fn record(user: &User) -> Value {
    json!({
        "id": user.id.as_str(),
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at.to_string(),
    })
}

fn session(session: &Session, current: bool) -> Value {
    json!({
        "id": session.id.to_string(),
        "created_at": session.opened_at.to_string(),
        "refreshed_at": session.refreshed_at.to_string(),
        "expires_at": session.ends_at.to_string(),
        "address": session.address.map(|address| address.to_string()),
        "agent": session.agent,
        "current": current,
    })
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Says when to come back, in whole seconds, rounded up: sooner would be refused again.
fn retry(mut answer: Response<Bytes>, after: Duration) -> Response<Bytes> {
    let seconds = after.as_millis().div_ceil(1000).max(1);
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        answer.headers_mut().insert(RETRY_AFTER, value);
    }
    answer
}
