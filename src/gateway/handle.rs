//! One worker's gateway: each request from its head to the end of its answer.
//!
//! Never here: the verdict (`judge`), sockets.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response,
    header::{CONTENT_LENGTH, EXPECT, HOST, USER_AGENT},
    request::Parts,
};
use http_body::Body;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use pin_project_lite::pin_project;

use super::{
    answer,
    body::ResponseBody,
    host::host,
    judge::{Verdict, judge, refused},
    operations::Operations,
    request_id::RequestIds,
    snapshot::Snapshot,
    trail::Trail,
};
use crate::{
    access_log::WorkerLog,
    auth::{AuthService, Caller, Principal, Rejection},
    body,
    clock::{Clock, Stopwatch},
    dialect::{self, Endpoint},
    metrics::{Metrics, RequestCells},
    net::counted_as,
    proxy::{ForwardContext, Forwarder, RequestBody, SharedUpstreams, UpstreamBody},
    route::Destination,
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
    auth: AuthService,
    clock: Clock,
    metrics: Metrics,
    operations: Operations,
    control: tokio::runtime::Handle,
    forwarder: Forwarder,
    request_ids: RequestIds,
}

impl Gateway {
    /// A worker's gateway. Must be made within the worker's local runtime: it spawns a local task that hands over
    /// the worker's log lines.
    pub fn new(shared: &Shared, log: Option<WorkerLog>) -> Self {
        let worker = Rc::new(Worker {
            snapshot: Arc::clone(&shared.snapshot),
            log,
            cells: shared.metrics.worker(),
            auth: shared.auth.clone(),
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            operations: shared.operations.clone(),
            control: shared.control.clone(),
            forwarder: Forwarder::new(&shared.upstreams, &shared.snapshot.identity),
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

    /// The service of one connection from `client`.
    pub fn connection(
        &self,
        client: IpAddr,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible> + use<> {
        let worker = Rc::clone(&self.0);
        service_fn(move |request| Rc::clone(&worker).handle(request, client))
    }
}

/// How long a log line waits at most for company.
const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// What is read of a refused request's body, so that its client reads the refusal: a client that is still sending
/// when the connection closes, or the stream is reset, often reports that instead.
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
        client: IpAddr,
    ) -> Handling<impl Future<Output = Response<ResponseBody>> + use<>> {
        let started = Stopwatch::start();
        let now = self.clock.now();
        let (head, incoming) = request.into_parts();
        let verdict = judge(&self.snapshot, &head, now);
        let mut trail = Box::new(Trail {
            worker: Rc::clone(&self),
            time: now,
            started,
            client,
            request_id: self.request_ids.name(head.headers.get(X_REQUEST_ID)),
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(HOST).cloned(),
            label: self.metrics.no_route(),
            route: None,
            upstream: None,
            user: None,
            token: None,
            verdict: verdict.label(),
            upstream_duration: None,
            upload: None,
            received: 0,
            // A client that goes away before its answer begins, as nginx counts it.
            status: 499,
            sent: 0,
            ended: false,
        });
        match verdict {
            Verdict::Endpoint(endpoint) => {
                trail.label = self.metrics.auth_endpoints();
                let operation = async move {
                    let answer = self.operate(endpoint, head, incoming, client, &mut trail).await;
                    own(answer, trail)
                };
                Handling::Boxed { answer: Box::pin(operation) }
            }
            Verdict::Forward { index, principal, .. } => {
                trail.label = index;
                trail.route = Some(index);
                Handling::Forward { forward: self.forward(index, principal, head, incoming, trail) }
            }
            Verdict::Refuse { refusal, route } => {
                trail.label = route.unwrap_or(trail.label);
                trail.route = route;
                let expects = head.headers.contains_key(EXPECT);
                let answer = own(answer::refuse(&refusal), trail);
                if incoming.is_end_stream() || expects {
                    return Handling::Refused { answer: Some(answer) };
                }
                let discarded = async move {
                    body::discard(incoming, DISCARDED, DISCARDING_TIME).await;
                    answer
                };
                Handling::Boxed { answer: Box::pin(discarded) }
            }
        }
    }

    /// An auth endpoint: its body is read here, its operation runs on the control plane.
    async fn operate(
        &self,
        endpoint: Endpoint,
        head: Parts,
        incoming: Incoming,
        client: IpAddr,
        trail: &mut Trail,
    ) -> Response<Bytes> {
        let bodies = &self.snapshot.bodies;
        let body = match body::read(incoming, bodies.auth_size, bodies.auth_deadline).await {
            Ok(body) => body,
            Err(error) => return answer::unreadable(&error),
        };
        trail.received = body.len() as u64;
        let operation = match dialect::decode(endpoint, &head.headers, &body) {
            Ok(operation) => operation,
            Err(error) => return dialect::undecodable(&error),
        };
        let agent = head.headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        let caller = Caller { address: client, agent: String::from_utf8_lossy(agent).into_owned() };
        let Some(place) = self.operations.begin(counted_as(client)) else {
            return dialect::reject(&Rejection::Overloaded);
        };
        let auth = self.auth.clone();
        // A client that goes away drops this wait, and never the operation.
        let outcome = self.control.spawn(async move {
            // Held to the end of the operation: the client may be gone long before.
            let _place = place;
            auth.run(operation, caller).await
        });
        let outcome = outcome.await;
        match outcome {
            Ok(Ok(outcome)) => {
                trail.user = Some(outcome.user().clone());
                dialect::encode(&outcome)
            }
            Ok(Err(rejection)) => {
                if let Rejection::TokenRejected(refusal) = rejection {
                    trail.verdict = refused(refusal);
                }
                dialect::reject(&rejection)
            }
            Err(error) => {
                tracing::error!(%error, "An operation did not come to its end");
                answer::failed()
            }
        }
    }

    /// A route: strip, set, send, stream back.
    async fn forward(
        self: Rc<Self>,
        index: usize,
        principal: Option<Principal>,
        head: Parts,
        incoming: Incoming,
        mut trail: Box<Trail>,
    ) -> Response<ResponseBody> {
        let Some(route) = self.snapshot.routes.routes().get(index) else {
            // The judge has just found it there.
            return own(answer::failed(), trail);
        };
        let body = RequestBody::new(incoming, self.snapshot.bodies.request_idle);
        trail.upload = Some(body.bytes());
        // The head moves on, and the host with it.
        let host = host(&head).unwrap_or_default().to_owned();
        let request_id = trail.request_id.clone();
        let context = ForwardContext {
            principal: principal.as_ref(),
            client: trail.client,
            host: &host,
            request_id: &request_id,
            strip_credentials: principal.is_some() && !route.forward_token,
            method_override: self.snapshot.routes.methods_decide(index),
        };
        let asked = Stopwatch::start();
        let forwarded = match route.destination {
            Destination::Echo => Box::pin(self.forwarder.echo(head, body, context)).await.map(Answer::Own),
            Destination::Upstream(index) => {
                trail.upstream = Some(index);
                let answer = self.forwarder.forward(index, head, body, context).await.map(Answer::Upstream);
                trail.upstream_duration = Some(asked.elapsed());
                answer
            }
        };
        if let Some(principal) = principal {
            trail.token = Some(principal.token());
            trail.user = Some(principal.into_user());
        }
        match forwarded {
            Ok(Answer::Own(answer)) => own(answer, trail),
            Ok(Answer::Upstream(answer)) => {
                let (parts, body) = answer.into_parts();
                trail.status = parts.status.as_u16();
                Response::from_parts(parts, ResponseBody::upstream(body, trail))
            }
            Err(error) => {
                tracing::warn!(
                    request.id = trail.request_id.to_str().unwrap_or_default(),
                    route.id = route.name,
                    %error,
                    "A request could not be forwarded"
                );
                own(answer::not_forwarded(&error), trail)
            }
        }
    }
}

pin_project! {
    /// A request on its road.
    #[project = Step]
    enum Handling<F> {
        // What few requests need: each would carry the room for it.
        Boxed {
            answer: Pin<Box<dyn Future<Output = Response<ResponseBody>>>>,
        },
        Forward {
            #[pin]
            forward: F,
        },
        Refused {
            answer: Option<Response<ResponseBody>>,
        },
    }
}

impl<F: Future<Output = Response<ResponseBody>>> Future for Handling<F> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Boxed { answer } => answer.as_mut().poll(cx).map(Ok),
            Step::Forward { forward } => forward.poll(cx).map(Ok),
            // Taken once: nobody polls what is ready.
            Step::Refused { answer } => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}

enum Answer {
    Own(Response<Bytes>),
    Upstream(Response<UpstreamBody>),
}

fn own(answer: Response<Bytes>, mut trail: Box<Trail>) -> Response<ResponseBody> {
    let (mut parts, mut body) = answer.into_parts();
    trail.status = parts.status.as_u16();
    if trail.method == Method::HEAD {
        // The answer says how long it would be, and hyper leaves it to us to send nothing of it over HTTP/2.
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        body = Bytes::new();
    }
    Response::from_parts(parts, ResponseBody::own(body, trail))
}
