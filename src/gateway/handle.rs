//! One worker's gateway: each request from its head to the end of its answer.
//!
//! Never here: the verdict (`judge`), sockets.

use std::{
    convert::Infallible,
    future::{self, Future},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, Request, Response, Version,
    header::{EXPECT, HOST},
    request::Parts,
};
use http_body::Body;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    answer,
    body::{ResponseBody, own},
    cors::{self, Grant},
    downstream::Downstream,
    handling::Handling,
    judge::{Refusal, Verdict, judge},
    open_answers::OpenAnswers,
    operations::Operations,
    provenance::Provenance,
    request_id::RequestIds,
    room::Room,
    snapshot::Snapshot,
    trail::Trail,
};
use crate::{
    access_log::WorkerLog,
    auth::AuthService,
    body,
    clock::{Clock, Stopwatch, Timestamp},
    interim::Interim,
    metrics::{self, Metrics, RequestCells},
    proxy::{Forwarder, SharedUpstreams},
};

/// What all workers share; cheap to clone.
#[derive(Clone)]
pub struct Shared {
    /// What requests are judged by.
    pub snapshot: Arc<Snapshot>,
    /// The operations behind the auth endpoints.
    pub auth: AuthService,
    /// The caps on connections to upstreams.
    pub upstreams: SharedUpstreams,
    /// The clock.
    pub clock: Clock,
    /// The counters.
    pub metrics: Metrics,
    /// How many operations may be under way.
    pub operations: Operations,
    /// How many of those that only take away: strangers who log in all day shall not keep anybody from logging out.
    pub endings: Operations,
    /// Where operations run: what touches the disk or hashes passwords must not hold up a worker.
    pub control: tokio::runtime::Handle,
}

/// One worker's part of the gateway. A cheap handle, for one thread.
#[derive(Clone)]
pub struct Gateway(Rc<Worker>);

/// What the requests of one worker share.
pub(super) struct Worker {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) log: Option<WorkerLog>,
    pub(super) cells: Arc<RequestCells>,
    pub(super) auth: AuthService,
    pub(super) operations: Operations,
    pub(super) endings: Operations,
    pub(super) control: tokio::runtime::Handle,
    pub(super) forwarder: Forwarder,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) open: Rc<OpenAnswers>,
    _watch: AbortOnDropHandle<()>,
    request_ids: RequestIds,
}

impl Gateway {
    /// A worker's gateway. Must be made within the worker's local runtime: it spawns local tasks, one that hands over
    /// the worker's log lines, and one that cuts answers whose token has died.
    pub fn new(shared: &Shared, log: Option<WorkerLog>) -> Self {
        let open = OpenAnswers::new();
        let watch = Rc::clone(&open).watch(shared.snapshot.authenticator.clone(), shared.clock.clone());
        let worker = Rc::new(Worker {
            snapshot: Arc::clone(&shared.snapshot),
            log,
            cells: shared.metrics.worker(),
            auth: shared.auth.clone(),
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            operations: shared.operations.clone(),
            endings: shared.endings.clone(),
            control: shared.control.clone(),
            forwarder: Forwarder::new(&shared.upstreams, &shared.snapshot.identity),
            open,
            _watch: AbortOnDropHandle::new(tokio::task::spawn_local(watch)),
            request_ids: RequestIds::new(),
        });
        if worker.log.is_some() {
            let weak = Rc::downgrade(&worker);
            tokio::task::spawn_local(async move {
                let mut ticks = tokio::time::interval(LOG_INTERVAL);
                loop {
                    ticks.tick().await;
                    match weak.upgrade() {
                        Some(worker) => worker.log.as_ref().map_or((), WorkerLog::tick),
                        None => break,
                    }
                }
            });
        }
        Self(worker)
    }

    /// The service of one connection, which may speak before its answers through `interim`.
    pub fn connection(
        &self,
        downstream: Downstream,
        interim: Option<Interim>,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible> + use<> {
        let worker = Rc::clone(&self.0);
        let room = Room::default();
        service_fn(move |request| Rc::clone(&worker).handle(request, downstream, &room, interim.clone()))
    }

    /// The service of a connection without TLS whose client is told to come back with it.
    pub fn redirecting(
        &self,
        downstream: Downstream,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible> + use<> {
        let worker = Rc::clone(&self.0);
        service_fn(move |request: Request<Incoming>| {
            future::ready(Ok(worker.redirect(&request.into_parts().0, downstream)))
        })
    }
}

/// A refusal, after a little of the body that nobody wants: a client that is still sending when the connection closes,
/// or the stream is reset, often reports that instead.
///
/// In HTTP/2 the rest is left lying for as long again, without a window to send it in: reset together with its answer, a
/// stream loses the answer in clients such as curl.
pub(super) async fn discarding(
    mut incoming: Incoming,
    version: Version,
    answer: Response<Bytes>,
) -> Response<Bytes> {
    if body::discard(&mut incoming, DISCARDED, DISCARDING_TIME).await {
        return answer;
    }
    if version == Version::HTTP_2 {
        tokio::task::spawn_local(async move {
            tokio::time::sleep(DISCARDING_TIME).await;
            drop(incoming);
        });
    }
    answer::last(answer)
}

/// How long a log line waits at most for company.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

const DISCARDED: usize = 256 * 1024;
const DISCARDING_TIME: Duration = Duration::from_secs(1);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Worker {
    /// The road of one request.
    ///
    /// Not `async`: the judge waits for nothing, and what it needs shall take no room in what waits for an upstream.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        downstream: Downstream,
        room: &Room,
        interim: Option<Interim>,
    ) -> Handling<impl Future<Output = Response<ResponseBody>> + use<>> {
        let started = Stopwatch::start();
        let now = self.clock.now();
        let (head, incoming) = request.into_parts();
        let held = room.hold(&head);
        let revocations = self.snapshot.authenticator.freshness(started);
        let verdict = match held {
            Some(_) => judge(&self.snapshot, &head, now, revocations),
            None => Verdict::Refuse { refusal: Refusal::TooMuchAtOnce, route: None, principal: None },
        };
        if verdict.label().is_of_a_token() {
            self.cells.auth_duration.observe(started.elapsed());
        }
        let mut trail = self.trail(&head, downstream, now, started, verdict.label());
        trail.held = held;
        trail.cors = verdict.cors(&self.snapshot, &head).map(|cors| Grant::new(cors, &head.headers));
        match verdict {
            Verdict::Endpoint(endpoint) => {
                trail.label = self.metrics.auth_endpoints();
                let operation = async move {
                    let answer = self.operate(endpoint, head, incoming, &mut trail).await;
                    own(answer, trail)
                };
                Handling::Boxed { answer: Box::pin(operation) }
            }
            Verdict::Forward { index, principal, .. } => {
                trail.label = index;
                trail.route = Some(index);
                Handling::Forward { forward: self.forward(index, principal, interim, head, incoming, trail) }
            }
            Verdict::Preflight { cors, route, method } => {
                let methods = match (route, &method) {
                    (Some((_, route)), _) => route.methods.as_deref(),
                    (None, method) => method.as_ref().map(std::slice::from_ref),
                };
                trail.label = route.map_or(self.metrics.auth_endpoints(), |(index, _)| index);
                trail.route = route.map(|(index, _)| index);
                at_once(cors::preflight(cors, methods, &head), trail, &head, incoming)
            }
            Verdict::Refuse { refusal, route, principal } => {
                trail.label = route.unwrap_or(trail.label);
                trail.route = route;
                if let Some(principal) = principal {
                    trail.token = Some(principal.token());
                    trail.user = Some(principal.into_user());
                }
                at_once(answer::refuse(&refusal), trail, &head, incoming)
            }
        }
    }

    /// What is to be counted and logged of a request, as far as its head tells.
    pub(super) fn trail(
        self: &Rc<Self>,
        head: &Parts,
        downstream: Downstream,
        now: Timestamp,
        started: Stopwatch,
        verdict: metrics::Verdict,
    ) -> Box<Trail> {
        Box::new(Trail {
            worker: Rc::clone(self),
            time: now,
            started,
            provenance: Provenance::of(&head.headers, downstream, &self.snapshot.trusted_proxies),
            cors: None,
            request_id: self.request_ids.name(head.headers.get(X_REQUEST_ID)),
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(HOST).cloned(),
            label: self.metrics.no_route(),
            route: None,
            upstream: None,
            user: None,
            token: None,
            open: None,
            cut: None,
            verdict,
            upstream_duration: None,
            upload: None,
            held: None,
            received: 0,
            // A client that goes away before its answer begins, as nginx counts it.
            status: 499,
            sent: 0,
            ended: false,
        })
    }
}

/// An answer of our own to a request that goes nowhere.
fn at_once<F>(answer: Response<Bytes>, trail: Box<Trail>, head: &Parts, incoming: Incoming) -> Handling<F> {
    if incoming.is_end_stream() {
        return Handling::AtOnce { answer: Some(own(answer, trail)) };
    }
    if head.headers.contains_key(EXPECT) {
        // To read the body would be to ask for it.
        return Handling::AtOnce { answer: Some(own(answer::last(answer), trail)) };
    }
    let version = head.version;
    let discarded = async move { own(discarding(incoming, version, answer).await, trail) };
    Handling::Boxed { answer: Box::pin(discarded) }
}
