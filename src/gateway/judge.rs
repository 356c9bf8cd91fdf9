//! The one judge: from a request's head to what becomes of it.
//!
//! Never here: anything that waits, the answer's words (`answer`), bodies.

use http::{
    HeaderValue, Method, Version,
    header::{EXPECT, TRANSFER_ENCODING},
    request::Parts,
    uri::Scheme,
};

use super::{cors, host::host, requirement::are_met, snapshot::Snapshot};
use crate::{
    auth::{Principal, TokenRefusal},
    clock::Timestamp,
    dialect::Endpoint,
    metrics,
    revocation::Freshness,
    route::{self, Access, Cors, Found, Owner, Route},
};

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict<'s> {
    /// An auth endpoint answers it.
    Endpoint(Endpoint),
    /// It is forwarded.
    Forward {
        /// The route's index.
        index: usize,
        /// The route.
        route: &'s Route,
        /// Whom it is forwarded as: always somebody on a protected route, never anybody on a public one.
        principal: Option<Principal>,
    },
    /// A browser asks whether another site's page may send a request; it is told here.
    Preflight {
        /// Who may.
        cors: &'s Cors,
        /// The route of the request that would follow, with its index; `None`: an auth endpoint.
        route: Option<(usize, &'s Route)>,
        /// What the endpoint answers to.
        method: Option<Method>,
    },
    /// It is refused.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// The route that refused it, where it came that far.
        route: Option<usize>,
        /// Whom it refused, where that is known.
        principal: Option<Principal>,
    },
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It expects what nobody here can promise (RFC 9110, section 10.1.1).
    ExpectationUnknown,
    /// A header field has a name that is none.
    HeaderMalformed,
    /// The request names no host, or several.
    HostMissing,
    /// The method is not one for here.
    MethodNotAllowed(HeaderValue),
    /// No route takes the path.
    NotFound,
    /// The path can be read in more than one way.
    PathAmbiguous,
    /// The user does not meet the route's rule.
    RequirementUnmet,
    /// The token may have been revoked, and nobody here would know.
    RevocationsStale,
    /// The path, or the host, is malformed.
    TargetMalformed,
    /// The credentials do not open the route.
    Token(TokenRefusal),
    /// More header fields than allowed.
    TooManyHeaders,
    /// The connection's other requests take all the room that it has. Never the judge's: a matter of the moment.
    TooMuchAtOnce,
    /// A transfer coding beside `chunked`: nobody behind us would know of it.
    TransferCodingUnknown,
}

/// Judges a request by its head alone. Pure: the same head at the same instant gets the same verdict, and there is
/// no second judge. Where what is known of revocations is not fresh, nobody is let in as anybody.
pub fn judge<'s>(
    snapshot: &'s Snapshot,
    head: &Parts,
    now: Timestamp,
    revocations: Freshness,
) -> Verdict<'s> {
    let refuse = |refusal, route| Verdict::Refuse { refusal, route, principal: None };
    if let Some(refusal) = flaw(snapshot, head) {
        return refuse(refusal, None);
    }
    let Some(host) = host(head) else { return refuse(Refusal::HostMissing, None) };

    let mut found = snapshot.routes.find(host, head.uri.path(), &head.method);
    if let Some(asked) = cors::asked(head) {
        match snapshot.routes.find(host, head.uri.path(), &asked) {
            Ok(Found::Endpoint(_)) if let Some(cors) = &snapshot.auth_cors => {
                return Verdict::Preflight { cors, route: None, method: Some(asked) };
            }
            Ok(Found::Route { index, route }) => match &route.cors {
                Some(cors) => return Verdict::Preflight { cors, route: Some((index, route)), method: None },
                // The upstream answers those itself, whatever methods its route lists.
                None if route.access == Access::Public
                    && matches!(found, Err(route::Refusal::MethodNotAllowed { .. })) =>
                {
                    found = Ok(Found::Route { index, route });
                }
                None => {}
            },
            Ok(Found::Endpoint(_)) | Err(_) => {}
        }
    }
    let (index, route) = match found {
        Ok(Found::Endpoint(endpoint)) => return Verdict::Endpoint(endpoint),
        Ok(Found::Route { index, route }) => (index, route),
        Err(refusal) => return refuse(refusal.into(), None),
    };
    if route.access == Access::Public {
        return Verdict::Forward { index, route, principal: None };
    }
    let principal = match snapshot.authenticator.authenticate(&head.headers, now) {
        Ok(principal) => principal,
        // Whoever is nobody meets no rule.
        Err(TokenRefusal::Missing) if route.access == Access::Optional && route.require.is_empty() => {
            return Verdict::Forward { index, route, principal: None };
        }
        Err(refusal) => return refuse(Refusal::Token(refusal), Some(index)),
    };
    // After the token: one that is bad anyway is refused as that, and who has none need not wait for anything.
    if revocations == Freshness::Stale {
        let refusal = Refusal::RevocationsStale;
        return Verdict::Refuse { refusal, route: Some(index), principal: Some(principal) };
    }
    if are_met(&route.require, principal.verified()) {
        Verdict::Forward { index, route, principal: Some(principal) }
    } else {
        Verdict::Refuse { refusal: Refusal::RequirementUnmet, route: Some(index), principal: Some(principal) }
    }
}

/// What no request may have, wherever it goes.
fn flaw(snapshot: &Snapshot, head: &Parts) -> Option<Refusal> {
    if head.headers.len() > snapshot.header_count {
        return Some(Refusal::TooManyHeaders);
    }
    // The one asks for a tunnel past every rule, the other would show a client what only the upstream may see.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Some(Refusal::MethodNotAllowed(HeaderValue::from_static(FORWARDED_METHODS)));
    }
    // The one character that `http` takes in a name and HTTP does not (RFC 9110, section 5.6.2); the parser of
    // HTTP/1.1 knows better.
    if head.version == Version::HTTP_2 && head.headers.keys().any(|name| name.as_str().contains('"')) {
        return Some(Refusal::HeaderMalformed);
    }
    if has_unknown_coding(head) {
        return Some(Refusal::TransferCodingUnknown);
    }
    // A target in another scheme is no resource of ours (RFC 9110, section 4.2), and `://` is not even one.
    if head.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Some(Refusal::TargetMalformed);
    }
    if expects_the_unknown(head) {
        return Some(Refusal::ExpectationUnknown);
    }
    None
}

/// Anything but `chunked`, once.
fn has_unknown_coding(head: &Parts) -> bool {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let known = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    !known || codings.next().is_some()
}

/// The field never reaches an upstream, so what it promises is ours to keep. HTTP/1.0 has no expectations.
fn expects_the_unknown(head: &Parts) -> bool {
    head.version != Version::HTTP_10
        && head.headers.get_all(EXPECT).iter().any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What any route may list.
const FORWARDED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl<'s> Verdict<'s> {
    /// Whose pages may read the answer. A refusal speaks for whoever the path belongs to as it stands, or a page
    /// could not tell a refusal from a network that is down.
    pub(super) fn cors(&self, snapshot: &'s Snapshot, head: &Parts) -> Option<&'s Cors> {
        if !snapshot.has_cors() {
            return None;
        }
        match self {
            Self::Endpoint(_) => snapshot.auth_cors.as_ref(),
            Self::Forward { route, .. } => route.cors.as_ref(),
            Self::Preflight { cors, .. } => Some(cors),
            Self::Refuse { route: Some(index), .. } => snapshot.routes.routes().get(*index)?.cors.as_ref(),
            Self::Refuse { route: None, .. } => match snapshot.routes.owner(host(head)?, head.uri.path())? {
                Owner::Endpoints => snapshot.auth_cors.as_ref(),
                Owner::Routes(cors) => cors,
            },
        }
    }

    /// What metrics and the access log call it.
    pub const fn label(&self) -> metrics::Verdict {
        match self {
            Self::Endpoint(_) => metrics::Verdict::Endpoint,
            Self::Forward { principal: Some(_), .. } => metrics::Verdict::Allowed,
            Self::Forward { principal: None, route, .. } => match route.access {
                Access::Optional => metrics::Verdict::Anonymous,
                Access::Protected | Access::Public => metrics::Verdict::Public,
            },
            Self::Preflight { .. } => metrics::Verdict::Preflight,
            Self::Refuse { refusal, .. } => refusal.label(),
        }
    }
}

impl Refusal {
    /// What metrics and the access log call it.
    pub(super) const fn label(&self) -> metrics::Verdict {
        match self {
            Self::ExpectationUnknown
            | Self::HeaderMalformed
            | Self::HostMissing
            | Self::PathAmbiguous
            | Self::TargetMalformed
            | Self::TooManyHeaders
            | Self::TransferCodingUnknown => metrics::Verdict::Malformed,
            Self::MethodNotAllowed(_) => metrics::Verdict::MethodNotAllowed,
            Self::NotFound => metrics::Verdict::NotFound,
            Self::RequirementUnmet => metrics::Verdict::Forbidden,
            Self::RevocationsStale => metrics::Verdict::Stale,
            Self::Token(refusal) => refused(*refusal),
            Self::TooMuchAtOnce => metrics::Verdict::Overloaded,
        }
    }
}

/// What metrics and the access log call a refused token.
pub(super) const fn refused(refusal: TokenRefusal) -> metrics::Verdict {
    match refusal {
        TokenRefusal::Expired => metrics::Verdict::TokenExpired,
        TokenRefusal::Missing => metrics::Verdict::TokenMissing,
        TokenRefusal::Revoked => metrics::Verdict::TokenRevoked,
        TokenRefusal::Invalid | TokenRefusal::Malformed | TokenRefusal::WrongKind => {
            metrics::Verdict::TokenInvalid
        }
    }
}

impl From<route::Refusal> for Refusal {
    fn from(refusal: route::Refusal) -> Self {
        match refusal {
            route::Refusal::HostMalformed | route::Refusal::PathMalformed => Self::TargetMalformed,
            route::Refusal::MethodNotAllowed { allow } => Self::MethodNotAllowed(allow),
            route::Refusal::NotFound => Self::NotFound,
            route::Refusal::PathAmbiguous => Self::PathAmbiguous,
        }
    }
}
