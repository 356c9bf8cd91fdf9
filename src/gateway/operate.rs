//! A request to an auth endpoint: read within its bounds, run on the control plane, answered.
//!
//! Never here: what the operation does (`auth`), its words (`dialect`).

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{EXPECT, USER_AGENT},
    request::Parts,
};
use hyper::body::Incoming;

use super::{
    answer,
    handle::{Worker, discarding},
    judge::{Refusal, refused},
    room,
    trail::Trail,
};
use crate::{
    auth::{Caller, Rejection},
    body::{self, BodyError},
    dialect::{self, Endpoint},
    metrics::Verdict,
    net::counted_as,
};

impl Worker {
    /// An auth endpoint: its body is read here, its operation runs on the control plane.
    pub(super) async fn operate(
        &self,
        endpoint: Endpoint,
        head: Parts,
        incoming: Incoming,
        trail: &mut Trail,
    ) -> Response<Bytes> {
        let body = match self.read(&head, incoming, trail).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let operation = match dialect::decode(endpoint, head.uri.path(), &head.headers, &body) {
            Ok(operation) => operation,
            Err(error) => return dialect::undecodable(&error),
        };
        let agent = head.headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        let caller =
            Caller { address: trail.provenance.client, agent: String::from_utf8_lossy(agent).into_owned() };
        let places = if operation.only_ends() { &self.endings } else { &self.operations };
        let outcome = match places.begin(counted_as(trail.provenance.client)) {
            Some(place) => {
                let auth = self.auth.clone();
                // A client that goes away drops this wait, and never the operation.
                let done = self.control.spawn(async move {
                    // Held to the end of the operation: the client may be gone long before.
                    let _place = place;
                    auth.run(operation, caller).await
                });
                done.await
            }
            None => Ok(Err(self.auth.turn_away(&operation))),
        };
        match outcome {
            Ok(Ok(outcome)) => {
                trail.user = Some(outcome.user().clone());
                dialect::encode(&outcome)
            }
            Ok(Err(rejection)) => {
                match rejection {
                    Rejection::TokenRejected(refusal) => trail.verdict = refused(refusal),
                    Rejection::RevocationsStale => trail.verdict = Verdict::Stale,
                    _ => {}
                }
                dialect::reject(&rejection)
            }
            Err(error) => {
                tracing::error!(%error, "An operation did not come to its end");
                answer::failed()
            }
        }
    }

    /// The body of a request, within its bounds, or what is answered instead.
    async fn read(
        &self,
        head: &Parts,
        mut incoming: Incoming,
        trail: &mut Trail,
    ) -> Result<Bytes, Response<Bytes>> {
        let bodies = &self.snapshot.bodies;
        let most = room::body_size(&head.headers, bodies.auth_size);
        if !trail.held.as_mut().is_none_or(|held| held.more(most)) {
            trail.verdict = Refusal::TooMuchAtOnce.label();
            let answer = answer::refuse(&Refusal::TooMuchAtOnce);
            return Err(discarding(incoming, head.version, answer).await);
        }
        let error = match body::read(&mut incoming, bodies.auth_size, bodies.auth_deadline).await {
            Ok(body) => {
                trail.received = body.len() as u64;
                return Ok(body);
            }
            Err(error) => error,
        };
        let answer = answer::unreadable(&error);
        Err(match error {
            // To read on would be to ask for it.
            BodyError::TooLarge if !head.headers.contains_key(EXPECT) => {
                discarding(incoming, head.version, answer).await
            }
            BodyError::Aborted(_) | BodyError::TooLarge | BodyError::TooSlow => answer::last(answer),
        })
    }
}
