//! A request on its way through a route, and its answer on the way back.
//!
//! The head that is sent is made by `proxy`, and so is the tunnel; here stands what both are about: which route, whose
//! token, which trail. What was opened by a token ends with it, whether it waits, answers or is a tunnel by then.
//! Never here: whether the request may pass (`judge`), what an upstream is sent (`proxy`).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderValue, Response, Uri, request::Parts, response, uri::PathAndQuery};
use hyper::body::Incoming;

use super::{
    answer,
    body::{ResponseBody, own},
    handle::Worker,
    host::host,
    judge::Refusal,
    open_answers::OpenAnswer,
    trail::Trail,
};
use crate::{
    auth::{Principal, TokenRefusal},
    clock::Stopwatch,
    interim::Interim,
    metrics::{Cut, Metrics},
    proxy::{
        CloseCode, Farewell, ForwardContext, Forwarded, Framing, ProxyError, RequestBody, Tunnel,
        UpstreamBody,
    },
    route::{Access, Destination, Prefix, Route},
};

impl Worker {
    /// A route: strip, set, send, stream back.
    pub(super) async fn forward(
        self: Rc<Self>,
        index: usize,
        principal: Option<Principal>,
        interim: Option<Interim>,
        mut head: Parts,
        incoming: Incoming,
        mut trail: Box<Trail>,
    ) -> Response<ResponseBody> {
        let Some(route) = self.snapshot.routes.routes().get(index) else {
            // The judge has just found it there.
            return own(answer::failed(), trail);
        };
        let body = RequestBody::new(incoming, head.version, self.snapshot.bodies.request_idle);
        let is_upload = body.framing() != Framing::Absent;
        trail.upload = Some(body.bytes());
        trail.open = principal.map(|principal| {
            let end = self.snapshot.authenticator.end(&principal);
            self.open.open(principal, end)
        });
        let said = Said::of(&head, &trail);
        if let Some(prefix) = &route.strip_prefix {
            match without(prefix, &head.uri) {
                Some(uri) => head.uri = uri,
                None => return own(answer::failed(), trail),
            }
        }
        if let Destination::Upstream(index) = route.destination {
            trail.upstream = Some(index);
        }
        let open = trail.open.as_ref();
        let context = self.context(index, route, &said, &trail, interim.as_ref());
        let asked = Stopwatch::start();
        let forwarded = match route.destination {
            Destination::Echo => {
                let mut answer = Box::pin(self.forwarder.echo(head, body, context));
                unless_cut(open, answer.as_mut()).await.map(|answer| answer.map(Answer::Own))
            }
            Destination::Upstream(index) => {
                let answer = pin!(self.forwarder.forward(index, head, body, context));
                unless_cut(open, answer).await.map(|answer| answer.map(Answer::from))
            }
        };
        trail.upstream_duration = trail.upstream.map(|_| asked.elapsed());
        // The head is the upstream's by now, but for what the log tells of it.
        let target = trail.uri.path().len() + trail.uri.query().map_or(0, str::len);
        if let Some(held) = &mut trail.held {
            held.at_most(target);
        }
        match forwarded {
            Ok(Ok(answer)) => pass_on(answer, trail),
            Ok(Err(error)) => not_forwarded(&error, &route.name, trail),
            Err(cut) => cut_off(cut, is_upload, trail),
        }
    }

    /// What the upstream is told, and kept from, beside what the head says.
    fn context<'a>(
        &self,
        index: usize,
        route: &Route,
        said: &'a Said,
        trail: &'a Trail,
        interim: Option<&'a Interim>,
    ) -> ForwardContext<'a> {
        let principal = trail.open.as_ref().and_then(OpenAnswer::principal);
        ForwardContext {
            principal,
            client: trail.provenance.client,
            peer: trail.provenance.downstream.peer,
            believed: trail.provenance.believed,
            scheme: said.scheme,
            host: &said.host,
            forwarded_host: said.forwarded_host.as_ref(),
            request_id: &trail.request_id,
            takes_tokens: route.access != Access::Public,
            strip_credentials: principal.is_some() && !route.forward_token,
            interim,
            method_override: self.snapshot.routes.methods_decide(index),
        }
    }
}

/// What a head says of its request's way, kept when the head moves on.
struct Said {
    host: String,
    forwarded_host: Option<HeaderValue>,
    scheme: &'static str,
}

impl Said {
    fn of(head: &Parts, trail: &Trail) -> Self {
        Self {
            host: host(head).unwrap_or_default().to_owned(),
            forwarded_host: trail.provenance.forwarded_host(&head.headers),
            scheme: trail.provenance.scheme(&head.headers),
        }
    }
}

/// Streams an answer back.
fn pass_on(answer: Answer, mut trail: Box<Trail>) -> Response<ResponseBody> {
    match answer {
        Answer::Own(answer) => own(answer, trail),
        Answer::Upstream(answer) => {
            let (head, body) = answer.into_parts();
            let head = begin(head, &mut trail);
            Response::from_parts(head, ResponseBody::upstream(body, trail))
        }
        Answer::Tunnel(answer, tunnel) => {
            let (head, ()) = answer.into_parts();
            let head = begin(head, &mut trail);
            tokio::task::spawn_local(carry(tunnel, trail));
            Response::from_parts(head, ResponseBody::empty())
        }
    }
}

/// The head of an upstream's answer as the client gets it.
fn begin(mut head: response::Parts, trail: &mut Trail) -> response::Parts {
    if let Some(cors) = &trail.cors {
        cors.replace(&mut head.headers);
    }
    trail.status = head.status.as_u16();
    head
}

/// There is no answer: the client is told so, and, unless it is the client's doing, the operator.
fn not_forwarded(error: &ProxyError, route: &str, trail: Box<Trail>) -> Response<ResponseBody> {
    let request = trail.request_id.to_str().unwrap_or_default();
    if let ProxyError::RequestBody(_) | ProxyError::MethodRefused = error {
        // The client's to repeat: the access log tells of it.
        tracing::debug!(request.id = request, route.id = route, %error, "A request broke off");
    } else {
        tracing::warn!(request.id = request, route.id = route, %error, "A request could not be forwarded");
    }
    own(answer::not_forwarded(error), trail)
}

/// Waits for `answer` for as long as the token is good that it was opened by.
async fn unless_cut<F: Future>(open: Option<&OpenAnswer>, mut answer: Pin<&mut F>) -> Result<F::Output, Cut> {
    poll_fn(|cx| match open.map_or(Poll::Pending, |open| open.poll_cut(cx)) {
        Poll::Ready(cut) => Poll::Ready(Err(cut)),
        Poll::Pending => answer.as_mut().poll(cx).map(Ok),
    })
    .await
}

/// Nothing has been answered yet, so the client is told what it would be if it asked now.
fn cut_off(cut: Cut, is_upload: bool, mut trail: Box<Trail>) -> Response<ResponseBody> {
    let refusal = match cut {
        Cut::Expired => Refusal::Token(TokenRefusal::Expired),
        Cut::Revoked => Refusal::Token(TokenRefusal::Revoked),
        Cut::Stale => Refusal::RevocationsStale,
    };
    trail.cut = Some(cut);
    trail.verdict = refusal.label();
    let answer = answer::refuse(&refusal);
    // The rest of an upload is read by nobody.
    own(if is_upload { answer::last(answer) } else { answer }, trail)
}

/// Carries a tunnel's bytes. The drain counts the tunnel by its socket, as any connection, and cuts it at its end.
async fn carry(tunnel: Tunnel, mut trail: Box<Trail>) {
    let worker = Rc::clone(&trail.worker);
    trail.upload = None;
    worker.metrics.tunnels.increment();
    let _open = Open(&worker.metrics);
    let open = trail.open.as_ref();
    let carried = tunnel.run(
        |carried| {
            trail.received = carried.up;
            trail.sent = carried.down;
        },
        |cx| open.map_or(Poll::Pending, |open| open.poll_cut(cx)).map(farewell),
    );
    match carried.await {
        Ok(()) => trail.ended = true,
        Err(error) => tracing::debug!(%error, "A tunnel broke off"),
    }
}

/// What a Close frame says. To try again is what 503 tells a request, too: the token may well be good, and its client
/// must not take it for dead. Nor does anything restart here, which 1012 would say.
const fn farewell(cut: Cut) -> Farewell {
    match cut {
        Cut::Expired => Farewell { code: CloseCode::PolicyViolation, reason: "token expired" },
        Cut::Revoked => Farewell { code: CloseCode::PolicyViolation, reason: "token revoked" },
        Cut::Stale => Farewell { code: CloseCode::TryAgainLater, reason: "revocations unknown" },
    }
}

/// Counts a tunnel until it ends, however it ends.
struct Open<'m>(&'m Metrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnels.decrement();
    }
}

/// The target without what the upstream does not see; `None` would be a path that the judge had not let pass.
fn without(prefix: &Prefix, uri: &Uri) -> Option<Uri> {
    let path = prefix.strip(uri.path())?;
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).ok().map(Uri::from)
}

enum Answer {
    Own(Response<Bytes>),
    Tunnel(Response<()>, Tunnel),
    Upstream(Response<UpstreamBody>),
}

impl From<Forwarded> for Answer {
    fn from(forwarded: Forwarded) -> Self {
        match forwarded {
            Forwarded::Answer(answer) => Self::Upstream(answer),
            Forwarded::Tunnel(answer, tunnel) => Self::Tunnel(answer, tunnel),
        }
    }
}
