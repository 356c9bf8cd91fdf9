//! The operators' surface: liveness, readiness, metrics. Served on a listener of its own.
//!
//! What it shows reaches it as data.
//! Never here: sockets (`server`), anything of a user or a token.

mod exposition;
mod handshakes;
mod revocations;
mod upstreams;

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{self, Ready},
    sync::Arc,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::service::Service;
use prometheus_client::registry::Registry;

use self::exposition::Exposition;
use crate::{
    clock::Stopwatch,
    metrics::Metrics,
    readiness::Readiness,
    revocation::{Freshness, RevocationList},
};

/// Answers operators and their machines. A cheap handle.
#[derive(Clone, Debug)]
pub struct Admin {
    registry: Arc<Registry>,
    readiness: Readiness,
    revocations: RevocationList,
}

/// Which program this is.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// Its version.
    pub version: &'static str,
}

impl Admin {
    /// Shows these numbers and this readiness, and of the revocations how many there are and how fresh.
    pub fn new(
        metrics: Metrics,
        readiness: Readiness,
        revocations: RevocationList,
        build: BuildInfo,
    ) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(Exposition {
            metrics,
            revocations: revocations.clone(),
            build,
        }));
        Self { registry: Arc::new(registry), readiness, revocations }
    }

    /// The answer to one request; its body is never read.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/livez" | "/readyz" | "/metrics") {
            return text(StatusCode::NOT_FOUND, "not found\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/livez" => text(StatusCode::OK, "ok"),
            "/readyz" => self.readiness(request.uri().query()),
            _ => self.metrics(),
        }
    }

    fn readiness(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let (store_read, draining) = (self.readiness.store_read(), self.readiness.draining());
        let fresh = self.revocations.freshness(Stopwatch::start()) == Freshness::Fresh;
        let ready = store_read && fresh && !draining;
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut body = String::new();
        if query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose"))) {
            // Without a limit nothing is promised.
            let limit = self.revocations.max_staleness();
            let parts = [
                ("store read", Some(store_read)),
                ("revocations within max_staleness", limit.map(|_| fresh)),
                ("not draining", Some(!draining)),
            ];
            for (part, good) in parts.into_iter().filter_map(|(part, good)| Some((part, good?))) {
                let _ = writeln!(body, "[{}] {part}", if good { '+' } else { '-' });
            }
            // Told in any case, and never failing by itself.
            let lag = self.revocations.lag(Stopwatch::start()).as_secs_f64();
            let _ = writeln!(body, "[i] revocations read {lag:.1} s ago");
        }
        body.push_str(if ready { "ready\n" } else { "not ready\n" });
        text(status, body)
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let mut body = String::new();
        if prometheus_client::encoding::text::encode(&mut body, &self.registry).is_err() {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n");
        }
        let mut answer = text(StatusCode::OK, body);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
        answer
    }
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        future::ready(Ok(self.answer(&request)))
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Readiness of a moment ago is not readiness.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Prometheus 3 refuses a scrape without exactly such a type.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
