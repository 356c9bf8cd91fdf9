//! The one judge: from a request's head to what becomes of it.
//!
//! Never here: anything that waits, the answer's words (`answer`), bodies.

use http::{
    HeaderValue, Method, Version,
    header::{EXPECT, TRANSFER_ENCODING},
    request::Parts,
};

use super::{host::host, snapshot::Snapshot};
use crate::{
    auth::{Principal, TokenRefusal},
    clock::Timestamp,
    dialect::Endpoint,
    metrics,
    route::{self, Access, Found, Route},
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
    /// It is refused.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// The route that refused it, where it came that far.
        route: Option<usize>,
    },
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It expects what nobody here can promise (RFC 9110, section 10.1.1).
    ExpectationUnknown,
    /// The request names no host, or several.
    HostMissing,
    /// The method is not one for here.
    MethodNotAllowed(HeaderValue),
    /// No route takes the path.
    NotFound,
    /// The path can be read in more than one way.
    PathAmbiguous,
    /// The path, or the host, is malformed.
    TargetMalformed,
    /// The credentials do not open the route.
    Token(TokenRefusal),
    /// More header fields than allowed.
    TooManyHeaders,
    /// A transfer coding beside `chunked`: nobody behind us would know of it.
    TransferCodingUnknown,
}

/// Judges a request by its head alone. Pure: the same head at the same instant gets the same verdict, and there is
/// no second judge.
pub fn judge<'s>(snapshot: &'s Snapshot, head: &Parts, now: Timestamp) -> Verdict<'s> {
    let refuse = |refusal, route| Verdict::Refuse { refusal, route };
    if head.headers.len() > snapshot.header_count {
        return refuse(Refusal::TooManyHeaders, None);
    }
    // The one asks for a tunnel past every rule, the other would show a client what only the upstream may see.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return refuse(Refusal::MethodNotAllowed(HeaderValue::from_static(FORWARDED_METHODS)), None);
    }
    if has_unknown_coding(head) {
        return refuse(Refusal::TransferCodingUnknown, None);
    }
    if expects_the_unknown(head) {
        return refuse(Refusal::ExpectationUnknown, None);
    }
    let Some(host) = host(head) else { return refuse(Refusal::HostMissing, None) };

    let (index, route) = match snapshot.routes.find(host, head.uri.path(), &head.method) {
        Ok(Found::Endpoint(endpoint)) => return Verdict::Endpoint(endpoint),
        Ok(Found::Route { index, route }) => (index, route),
        Err(refusal) => return refuse(refusal.into(), None),
    };
    let principal = match route.access {
        Access::Public => None,
        Access::Protected => match snapshot.authenticator.authenticate(&head.headers, now) {
            Ok(principal) => Some(principal),
            Err(refusal) => return refuse(Refusal::Token(refusal), Some(index)),
        },
    };
    Verdict::Forward { index, route, principal }
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

impl Verdict<'_> {
    /// What metrics and the access log call it.
    pub const fn label(&self) -> metrics::Verdict {
        match self {
            Self::Endpoint(_) => metrics::Verdict::Endpoint,
            Self::Forward { principal: Some(_), .. } => metrics::Verdict::Allowed,
            Self::Forward { principal: None, .. } => metrics::Verdict::Public,
            Self::Refuse { refusal, .. } => match refusal {
                Refusal::ExpectationUnknown
                | Refusal::HostMissing
                | Refusal::PathAmbiguous
                | Refusal::TargetMalformed
                | Refusal::TooManyHeaders
                | Refusal::TransferCodingUnknown => metrics::Verdict::Malformed,
                Refusal::MethodNotAllowed(_) => metrics::Verdict::MethodNotAllowed,
                Refusal::NotFound => metrics::Verdict::NotFound,
                Refusal::Token(refusal) => refused(*refusal),
            },
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
