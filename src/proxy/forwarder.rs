//! The road of one request to its upstream and back.
//!
//! Everything belongs to one worker thread: no lock, no task and no wake-up of another thread for a request on a
//! warm connection.
//! Never here: which upstream, whether at all (`gateway`), what a failure is answered with.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header::HOST, request::Parts};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::sleep;

use super::{
    Awaited, ForwardContext, HealthChecks, IdentitySettings, Preparation, ProxyError, RequestBody,
    UpstreamBody, UpstreamSettings,
    connection::Connection,
    echo, informational,
    pool::{Attempts, Pool},
    request_body::Upload,
    resolve::{LookUp, Names},
    response::{self, Persistence},
    server::Upstream,
    tunnel::Tunnel,
    upstream_body::Lease,
    websocket::Handshake,
};
use crate::{interim::Interim, metrics::Metrics};

/// What all workers share of the upstreams: the caps on connections, what is known of the servers. Made once; clones
/// share it.
#[derive(Clone)]
pub struct SharedUpstreams(Arc<[Arc<Upstream>]>);

impl SharedUpstreams {
    /// The upstreams in the order of the configuration, counted in `metrics`.
    pub fn new(upstreams: &[UpstreamSettings], metrics: &Metrics) -> Self {
        Self::with_look_up(upstreams, metrics, &Names::system())
    }

    /// As [`Self::new`], with another way to look names up.
    pub(super) fn with_look_up(upstreams: &[UpstreamSettings], metrics: &Metrics, look_up: &LookUp) -> Self {
        let upstream = |settings| Arc::new(Upstream::new(settings, look_up, metrics));
        Self(upstreams.iter().map(upstream).collect())
    }

    /// The checks of the servers that are to be watched. To be run once.
    pub fn health_checks(&self) -> HealthChecks {
        let servers = self
            .0
            .iter()
            .flat_map(|upstream| upstream.servers.iter().map(|server| (&upstream.settings, server)));
        HealthChecks::new(servers)
    }
}

/// What an upstream answered.
pub enum Forwarded {
    /// An answer, its body still to be read.
    Answer(Response<UpstreamBody>),
    /// It has become a tunnel, as soon as the client has this answer.
    Tunnel(Response<()>, Tunnel),
}

/// Forwards the requests of one worker.
pub struct Forwarder {
    pools: Box<[Rc<Pool>]>,
    preparation: Rc<Preparation>,
}

impl Forwarder {
    /// A forwarder without connections. Must be made, and used, within the worker's local runtime: it spawns local
    /// tasks. Dropping it closes the idle connections; answers under way go on.
    pub fn new(upstreams: &SharedUpstreams, identity: &IdentitySettings) -> Self {
        Self {
            pools: upstreams.0.iter().map(|upstream| Pool::new(Arc::clone(upstream))).collect(),
            preparation: Rc::new(Preparation::new(identity)),
        }
    }

    /// Sends a request to the upstream of that index and returns its answer, the body still to be read.
    ///
    /// It is sent again, at most `retries` times, when nothing of it had been sent, or when it is a GET, HEAD or
    /// OPTIONS without a body and a connection that had served before turned out dead before a byte of an answer;
    /// then to another server, if there is one. Never after a timeout.
    /// Dropped before it is ready, it closes its connection.
    ///
    /// # Errors
    /// Whatever [`ProxyError`] lists; an index that does not exist has no capacity.
    pub async fn forward(
        &self,
        upstream: usize,
        mut head: Parts,
        body: RequestBody,
        context: ForwardContext<'_>,
    ) -> Result<Forwarded, ProxyError> {
        let Some(pool) = self.pools.get(upstream) else {
            return Err(ProxyError::NoCapacity { upstream: upstream.to_string().into() });
        };
        let Upstream { settings, .. } = &*pool.upstream;
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(ProxyError::MethodRefused);
        }
        let body = body.settled().await?;
        // HTTP/1.0 knows no interim responses (RFC 9110, section 15.2).
        let exchange = context.interim.filter(|_| head.version == Version::HTTP_11).map(Interim::open);
        let mut handshake = Handshake::of(&mut head, !body.is_end_stream());
        let withheld = self.preparation.apply(&mut head, &context, body.framing());
        if let Some(handshake) = &mut handshake {
            handshake.apply(&mut head.headers, withheld);
        }
        let body = body.with_trailer_rules(&self.preparation, context.method_override);
        let upload = body.upload();
        let repeatable =
            body.is_end_stream() && matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);

        let mut request = Request::from_parts(head, body);
        let mut attempts = Attempts::new(settings.retries);
        loop {
            let mut connection = pool.checkout(context.client, &mut attempts).await?;
            if let Some(host) = pool.host(&connection) {
                request.headers_mut().insert(HOST, host.clone());
            }
            let spare = (repeatable && attempts.remain() && connection.has_served()).then(|| copy(&request));
            if let Some(exchange) = &exchange {
                informational::listen(&mut request, exchange);
            }
            let sent = pin!(informational::heed(connection.send(request), exchange.as_ref()));
            let answer = answer_in_time(sent, upload.as_deref(), settings.response_timeout).await;
            if let Some(error) = upload.as_ref().and_then(|upload| upload.take_failure()) {
                return Err(error.into());
            }
            let mut error = match answer {
                Some(Ok(response)) => return accept(pool, connection, response, handshake),
                Some(Err(error)) => error,
                None => {
                    pool.count(connection.server, |numbers| &numbers.timeouts);
                    let upstream = pool.name_of(connection.server);
                    return Err(ProxyError::Timeout { upstream, awaited: Awaited::Answer });
                }
            };
            let again = error.take_message().or(spare.filter(|_| !connection.has_heard()));
            request = match again {
                Some(request) if pool.again(&connection, &mut attempts) => request,
                _ => return Err(no_answer(pool, connection.server, error.into_error())),
            };
        }
    }

    /// Answers as the built-in backend: 200 and JSON that shows what an upstream would have received.
    ///
    /// # Errors
    /// [`ProxyError::MethodRefused`], [`ProxyError::RequestBody`].
    pub async fn echo(
        &self,
        mut head: Parts,
        body: RequestBody,
        context: ForwardContext<'_>,
    ) -> Result<Response<Bytes>, ProxyError> {
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(ProxyError::MethodRefused);
        }
        let body = body.settled().await?;
        self.preparation.apply(&mut head, &context, body.framing());
        echo::answer(&head, body.with_trailer_rules(&self.preparation, context.method_override)).await
    }

    #[cfg(test)]
    pub(super) fn idle(&self, upstream: usize) -> usize {
        self.pools[upstream].idle()
    }
}

/// Waits for an answer, but no longer than `limit` for the upstream: the time runs from the end of the request. As
/// long as the request is under way it is the upstream's only while it takes nothing of what has come; `None` when
/// it has run out.
async fn answer_in_time<F: Future>(
    mut sent: Pin<&mut F>,
    upload: Option<&Upload>,
    limit: Duration,
) -> Option<F::Output> {
    let Some(upload) = upload else { return tokio::time::timeout(limit, sent).await.ok() };
    let mut timer = pin!(sleep(limit));
    let mut finished = false;
    let mut moves = upload.moves();
    poll_fn(|cx| {
        if let Poll::Ready(answer) = sent.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        upload.wake_at_end(cx.waker());
        if upload.is_finished() && !finished {
            finished = true;
            timer.set(sleep(limit));
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let moved = upload.moves() != moves;
            if finished || !(moved || upload.waits_for_client()) {
                return Poll::Ready(None);
            }
            moves = upload.moves();
            timer.set(sleep(limit));
        }
    })
    .await
}

fn accept(
    pool: &Rc<Pool>,
    connection: Connection,
    mut response: Response<Incoming>,
    handshake: Option<Handshake>,
) -> Result<Forwarded, ProxyError> {
    let Upstream { settings, .. } = &*pool.upstream;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(handshake) = handshake
    {
        let upstream = hyper::upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        let client =
            handshake.accept(&mut head).map_err(|fault| no_answer(pool, connection.server, fault))?;
        let hold = connection.release();
        let tunnel = Tunnel { client, upstream, idle: settings.stream_idle_timeout, _hold: hold };
        return Ok(Forwarded::Tunnel(Response::from_parts(head, ()), tunnel));
    }
    let (mut head, body) = response.into_parts();
    let persistence =
        response::clean(&mut head, &body).map_err(|fault| no_answer(pool, connection.server, fault))?;
    // Whoever refuses to change the protocol may have taken what followed for the other one.
    let may_serve_again = persistence == Persistence::Keep && handshake.is_none();
    let idle = if response::is_event_stream(&head.headers) {
        settings.stream_idle_timeout
    } else {
        settings.response_idle_timeout
    };
    let lease = Lease { connection, pool: Rc::downgrade(pool), may_serve_again };
    Ok(Forwarded::Answer(Response::from_parts(head, UpstreamBody::new(body, idle, lease))))
}

/// A copy of a request without a body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn no_answer(
    pool: &Pool,
    server: usize,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ProxyError {
    pool.count(server, |numbers| &numbers.broken_answers);
    ProxyError::Response { upstream: pool.name_of(server), cause: cause.into() }
}
