//! What an upstream says before its answer (RFC 9110, section 15.2), passed on to the client.
//!
//! Never here: when it may be written (`interim`, `server`).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
};

use http::{HeaderMap, Request, StatusCode, header::CONTENT_LENGTH};

use super::remove_hop_by_hop_of_response;
use crate::interim::{Exchange, Sink};

/// Has hyper tell `exchange` of interim responses to `request`.
pub(super) fn listen<B>(request: &mut Request<B>, exchange: &Exchange) {
    let sink = exchange.sink();
    hyper::ext::on_informational(request, move |response| {
        pass_on(&sink, response.status(), response.headers())
    });
}

/// Awaits `answer`, and has the client's connection written to when an interim response comes before it.
pub(super) async fn heed<F: Future>(answer: F, exchange: Option<&Exchange>) -> F::Output {
    let mut answer: Pin<&mut F> = pin!(answer);
    poll_fn(|cx| {
        if let Some(exchange) = exchange {
            exchange.wake(cx.waker());
        }
        answer.as_mut().poll(cx)
    })
    .await
}

/// `100 Continue` is not passed on: the upstream was not told that the client waits for one. `101` is no interim
/// response (it ends the exchange).
fn pass_on(sink: &Sink, status: StatusCode, headers: &HeaderMap) {
    if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
        return;
    }
    let mut headers = headers.clone();
    remove_hop_by_hop_of_response(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    sink.put(&bytes);
}
