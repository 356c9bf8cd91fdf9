//! What is counted and logged of a request. It is dropped when the answer has ended, however that was: so it tells
//! of every one.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Method, StatusCode, Uri};

use super::{cors::Grant, handle::Worker, open_answers::OpenAnswer, provenance::Provenance, room::Held};
use crate::{
    access_log::Record,
    auth::Principal,
    clock::{Stopwatch, Timestamp},
    id::{TokenId, UserId},
    metrics::{self, Cut},
    proxy::ByteCount,
};

/// What is known of a request when its answer has ended: counted and logged then, however it ended.
pub(super) struct Trail {
    pub(super) worker: Rc<Worker>,
    pub(super) time: Timestamp,
    pub(super) started: Stopwatch,
    pub(super) provenance: Provenance,
    /// What the answer tells other sites' pages.
    pub(super) cors: Option<Grant>,
    pub(super) request_id: HeaderValue,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) host: Option<HeaderValue>,
    /// The index of the route's label in the metrics.
    pub(super) label: usize,
    pub(super) route: Option<usize>,
    pub(super) upstream: Option<usize>,
    pub(super) user: Option<UserId>,
    pub(super) token: Option<TokenId>,
    /// The place of a forwarded answer among those that end with their token.
    pub(super) open: Option<OpenAnswer>,
    /// Why the request was cut before its answer had begun.
    pub(super) cut: Option<Cut>,
    pub(super) verdict: metrics::Verdict,
    pub(super) upstream_duration: Option<Duration>,
    /// What it takes of its connection's room.
    pub(super) held: Option<Held>,
    /// The bytes of a body that is forwarded.
    pub(super) upload: Option<ByteCount>,
    /// The bytes of a body that was read here.
    pub(super) received: u64,
    pub(super) status: u16,
    pub(super) sent: u64,
    /// Whether the whole answer was taken.
    pub(super) ended: bool,
}

impl Trail {
    /// The upstream that the request went to.
    pub(super) fn upstream_name(&self) -> Option<&str> {
        self.worker.snapshot.upstreams.get(self.upstream?).map(String::as_str)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let worker = &*self.worker;
        let duration = self.started.elapsed();
        worker.cells.judged(self.verdict);
        worker.cells.answered(self.label, self.status);
        // A tunnel lasts for hours, and says nothing of how fast requests are answered.
        if self.status != StatusCode::SWITCHING_PROTOCOLS.as_u16() {
            worker.cells.duration.observe(duration);
        }
        if let Some(upstream) = self.upstream_duration {
            worker.cells.upstream_duration.observe(upstream);
        }
        let open = self.open.as_ref();
        // What was cut while its last bytes went out is whole.
        let cut = self.cut.or_else(|| open.and_then(OpenAnswer::cut).filter(|_| !self.ended));
        if let Some(cut) = cut {
            worker.metrics.answers_cut.of(cut).increment();
        }
        let Some(log) = &worker.log else { return };
        let principal = open.and_then(OpenAnswer::principal);
        let snapshot = &*worker.snapshot;
        let host = self.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| self.host.as_ref().and_then(|host| host.to_str().ok()));
        log.write(&Record {
            time: self.time,
            request_id: self.request_id.to_str().unwrap_or_default(),
            client: self.provenance.client,
            method: self.method.as_str(),
            host: host.unwrap_or_default(),
            path: self.uri.path(),
            status: self.status,
            bytes_in: self.upload.as_ref().map_or(self.received, ByteCount::value),
            bytes_out: self.sent,
            duration,
            upstream_duration: self.upstream_duration,
            route: self
                .route
                .and_then(|index| snapshot.routes.routes().get(index))
                .map(|route| route.name.as_str()),
            upstream: self.upstream_name(),
            user: principal.map(Principal::user).or(self.user.as_ref()),
            token: principal.map(Principal::token).or(self.token),
            verdict: self.verdict,
            aborted: !self.ended,
            cut,
        });
    }
}
