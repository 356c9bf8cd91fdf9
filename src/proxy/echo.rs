//! The built-in backend: shows what an upstream would have received.
//!
//! Never here: how a head is prepared (`prepare`); what it shows is what every upstream gets.

use std::{borrow::Cow, pin::pin};

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::BodyExt;
use serde::Serialize;

use super::{ProxyError, RequestBody};
use crate::body::BodyError;

/// Reads `body` to its end and describes the request in JSON.
///
/// # Errors
/// [`ProxyError::RequestBody`].
pub(super) async fn answer(head: &Parts, body: RequestBody) -> Result<Response<Bytes>, ProxyError> {
    let upload = body.upload();
    let mut body = pin!(body);
    let mut size = 0_u64;
    let mut start = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|failed| {
            let told = upload.as_ref().and_then(|upload| upload.take_failure());
            told.unwrap_or_else(|| BodyError::Aborted(failed.into()))
        })?;
        if let Some(data) = frame.data_ref() {
            size = size.saturating_add(data.len() as u64);
            let room = SHOWN.saturating_sub(start.len());
            start.extend_from_slice(data.get(..room).unwrap_or(data));
        }
    }
    let whole = size == start.len() as u64;
    let text = std::str::from_utf8(&start).ok().filter(|_| whole);
    let received = Received {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
            .collect(),
        body: ReceivedBody { size, text },
    };
    // Numbers, texts and lists always have a form in JSON.
    let mut response = Response::new(serde_json::to_vec(&received).unwrap_or_default().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[derive(Serialize)]
struct Received<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: Vec<(&'a str, Cow<'a, str>)>,
    body: ReceivedBody<'a>,
}

#[derive(Serialize)]
struct ReceivedBody<'a> {
    size: u64,
    /// `null` for a body that is longer than what is shown, or no UTF-8.
    text: Option<&'a str>,
}

/// Bytes of a body that are shown.
const SHOWN: usize = 64 * 1024;
