use std::rc::Rc;

use bytes::Bytes;
use http::{Response, Uri, request::Parts, uri::PathAndQuery};
use hyper::body::Incoming;

use super::{
    answer,
    body::{ResponseBody, own},
    handle::Worker,
    host::host,
    trail::Trail,
};
use crate::{
    auth::Principal,
    clock::Stopwatch,
    proxy::{ForwardContext, RequestBody, UpstreamBody},
    route::{Destination, Prefix},
};

impl Worker {
    /// A route: strip, set, send, stream back.
    pub(super) async fn forward(
        self: Rc<Self>,
        index: usize,
        principal: Option<Principal>,
        mut head: Parts,
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
        if let Some(prefix) = &route.strip_prefix {
            match without(prefix, &head.uri) {
                Some(uri) => head.uri = uri,
                None => return own(answer::failed(), trail),
            }
        }
        let request_id = trail.request_id.clone();
        let provenance = trail.provenance;
        let forwarded_host = provenance.forwarded_host(&head.headers);
        let context = ForwardContext {
            principal: principal.as_ref(),
            peer: provenance.downstream.peer,
            believed: provenance.believed,
            scheme: provenance.scheme(&head.headers),
            host: &host,
            forwarded_host: forwarded_host.as_ref(),
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
                let (mut parts, body) = answer.into_parts();
                if let Some(cors) = &trail.cors {
                    cors.replace(&mut parts.headers);
                }
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
    Upstream(Response<UpstreamBody>),
}
