//! The gateway's own words: what it answers when no dialect and no upstream does.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};

use super::judge::Refusal;
use crate::{body::BodyError, dialect, proxy::ProxyError};

/// Words a refusal; those of credentials are the dialect's.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    match refusal {
        Refusal::ExpectationUnknown => {
            text(StatusCode::EXPECTATION_FAILED, "No expectation but 100-continue is known here.")
        }
        Refusal::HostMissing => text(StatusCode::BAD_REQUEST, "The request must name one host."),
        Refusal::MethodNotAllowed(allow) => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.");
            answer.headers_mut().insert(ALLOW, allow.clone());
            answer
        }
        Refusal::NotFound => text(StatusCode::NOT_FOUND, "Not found."),
        Refusal::PathAmbiguous => text(StatusCode::BAD_REQUEST, "The path can be read in more than one way."),
        Refusal::TargetMalformed => text(StatusCode::BAD_REQUEST, "The request target is malformed."),
        Refusal::Token(refusal) => dialect::refuse_token(*refusal),
        Refusal::TransferCodingUnknown => {
            // Where its body ends is a matter of opinion, so nothing behind it is a request.
            last(text(StatusCode::NOT_IMPLEMENTED, "No transfer coding but chunked is known here."))
        }
        Refusal::TooManyHeaders => {
            text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many header fields.")
        }
    }
}

/// Words why a request could not be forwarded, without internals.
pub(super) fn not_forwarded(error: &ProxyError) -> Response<Bytes> {
    match error {
        ProxyError::Connect { .. } | ProxyError::Response { .. } => {
            text(StatusCode::BAD_GATEWAY, "The backend cannot be reached or gave no valid answer.")
        }
        ProxyError::MethodRefused => text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed."),
        ProxyError::NoCapacity { .. } => {
            let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, "The backend is too busy, try again.");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            answer
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
