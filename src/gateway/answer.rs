//! The gateway's own words: what it answers when no dialect and no upstream does.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
};

use super::{judge::Refusal, redirect::RedirectRefusal};
use crate::{body::BodyError, dialect, proxy::ProxyError};

/// Words a refusal; those of credentials are the dialect's.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    match refusal {
        Refusal::ExpectationUnknown => {
            text(StatusCode::EXPECTATION_FAILED, "No expectation but 100-continue is known here.")
        }
        Refusal::HeaderMalformed => text(StatusCode::BAD_REQUEST, "A header field is malformed."),
        Refusal::HostMissing => text(StatusCode::BAD_REQUEST, "The request must name one host."),
        Refusal::MethodNotAllowed(allow) => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.");
            answer.headers_mut().insert(ALLOW, allow.clone());
            answer
        }
        Refusal::NotFound => text(StatusCode::NOT_FOUND, "Not found."),
        Refusal::PathAmbiguous => text(StatusCode::BAD_REQUEST, "The path can be read in more than one way."),
        Refusal::RequirementUnmet => dialect::refuse_user(),
        Refusal::RevocationsStale => dialect::refuse_for_now(),
        Refusal::TargetMalformed => text(StatusCode::BAD_REQUEST, "The request target is malformed."),
        Refusal::Token(refusal) => dialect::refuse_token(*refusal),
        Refusal::TransferCodingUnknown => {
            // Where its body ends is a matter of opinion, so nothing behind it is a request.
            last(text(StatusCode::NOT_IMPLEMENTED, "No transfer coding but chunked is known here."))
        }
        Refusal::TooManyHeaders => {
            text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields.")
        }
        Refusal::TooMuchAtOnce => {
            later("Too many large requests at once on this connection, try again.", Duration::from_secs(1))
        }
    }
}

/// The same target over HTTPS; a client keeps its method and sends its body again (RFC 9110, section 15.4.9).
pub(super) fn moved(location: HeaderValue) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// Words why a client without TLS is not told where to go.
pub(super) fn not_moved(refusal: RedirectRefusal) -> Response<Bytes> {
    match refusal {
        RedirectRefusal::HostMalformed => text(StatusCode::BAD_REQUEST, "The request must name one host."),
        RedirectRefusal::HostUnknown => {
            text(StatusCode::MISDIRECTED_REQUEST, "This host is not served here.")
        }
        RedirectRefusal::TargetMalformed => text(StatusCode::BAD_REQUEST, "The request target is malformed."),
    }
}

/// Words why a request could not be forwarded, without internals.
pub(super) fn not_forwarded(error: &ProxyError) -> Response<Bytes> {
    match error {
        ProxyError::Connect { .. } | ProxyError::Response { .. } => {
            text(StatusCode::BAD_GATEWAY, "The backend cannot be reached or gave no valid answer.")
        }
        ProxyError::MethodRefused => text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed."),
        ProxyError::NoCapacity { .. } | ProxyError::ShareUsed { .. } => {
            later("The backend is too busy, try again.", Duration::from_secs(1))
        }
        ProxyError::NoHealthyServer { retry_after, .. } => {
            later("The backend is not available.", *retry_after)
        }
        ProxyError::RequestBody(error) => last(unreadable(error)),
        ProxyError::Timeout { .. } => {
            text(StatusCode::GATEWAY_TIMEOUT, "The backend did not answer in time.")
        }
    }
}

/// Words why a request's body could not be read.
pub(super) fn unreadable(error: &BodyError) -> Response<Bytes> {
    match error {
        BodyError::Aborted(_) => text(StatusCode::BAD_REQUEST, "The request's body broke off."),
        BodyError::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, "The request's body is too large."),
        BodyError::TooSlow => text(StatusCode::REQUEST_TIMEOUT, "The request's body came too slowly."),
    }
}

/// Words that something went wrong here.
pub(super) fn failed() -> Response<Bytes> {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.")
}

/// 503. `Retry-After` knows whole seconds alone (RFC 9110, section 10.2.3).
fn later(detail: &'static str, retry_after: Duration) -> Response<Bytes> {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, detail);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    answer
}

/// Makes an answer the connection's last in HTTP/1: what comes behind it is the rest of a body, or not (RFC 9110,
/// section 10.1.1).
pub(super) fn last(mut answer: Response<Bytes>) -> Response<Bytes> {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn text(status: StatusCode, detail: &'static str) -> Response<Bytes> {
    // The texts above hold nothing that JSON would have to escape.
    let mut answer = Response::new(Bytes::from(format!(r#"{{"detail":"{detail}"}}"#)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
