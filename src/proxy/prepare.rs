//! Leaves in a request only what the upstream may believe, and tells it what it must know.
//!
//! The order is security: hop-by-hop fields go first, or a client's `Connection: x-user-id` would take away what
//! is set below; identity comes last, so that nothing after it can change it.
//! Never here: whether the request may pass (`route`, `auth`), sockets.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};

use super::{Framing, HeaderRules, IdentityHeaders, IdentitySettings, remove_hop_by_hop_of_request};
use crate::{
    auth::{self, Place, Principal},
    interim::Interim,
};

/// What is known of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct ForwardContext<'a> {
    /// Whom it is forwarded as.
    pub principal: Option<&'a Principal>,
    /// The client: whose share of the upstream's connections the request counts in.
    pub client: IpAddr,
    /// The other end of the connection that it came on.
    pub peer: IpAddr,
    /// Whether that is a trusted proxy, whose word on the client's way is passed on.
    pub believed: bool,
    /// `X-Forwarded-Proto`: `http` or `https`, or what a trusted proxy said.
    pub scheme: &'static str,
    /// The host as the client sent it: `Host`, or `:authority`.
    pub host: &'a str,
    /// `X-Forwarded-Host`, where a trusted proxy said it.
    pub forwarded_host: Option<&'a HeaderValue>,
    /// `X-Request-Id`.
    pub request_id: &'a HeaderValue,
    /// Whether the route asks for tokens, or takes them: then none that is a subprotocol passes.
    pub takes_tokens: bool,
    /// Whether `Authorization` stays here.
    pub strip_credentials: bool,
    /// Where interim responses go, where there can be any.
    pub interim: Option<&'a Interim>,
    /// Whether a route of this host lists methods, so that no header may name another one.
    pub method_override: bool,
}

/// The one way from the head that came to the head that is sent.
pub struct Preparation {
    rules: HeaderRules,
    identity: IdentityHeaders,
}

impl Preparation {
    /// Prepares by these settings.
    pub fn new(settings: &IdentitySettings) -> Self {
        Self { rules: HeaderRules::new(settings), identity: IdentityHeaders::new(settings) }
    }

    /// Makes `head` what the upstream receives; `framing` is the only thing that the framing fields are made from.
    /// Gives back the subprotocol that was the client's token, where it stays here.
    pub fn apply(
        &self,
        head: &mut Parts,
        context: &ForwardContext<'_>,
        framing: Framing,
    ) -> Option<HeaderValue> {
        let headers = &mut head.headers;
        remove_hop_by_hop_of_request(headers);
        self.rules.remove_untrusted(headers, context.method_override, context.believed);
        if context.strip_credentials {
            headers.remove(AUTHORIZATION);
        }
        let withheld = if context.takes_tokens { auth::withhold(headers) } else { None };
        if let Some(withheld) = withheld.as_ref().filter(|_| !context.strip_credentials) {
            forward_token(headers, withheld, context.principal);
        }
        // Our own server answers it as soon as the body is read, and two answers would be one too many.
        headers.remove(EXPECT);
        if head.version == Version::HTTP_2 {
            join_cookies(headers);
        }
        frame(headers, &head.method, framing);
        forward_origin(headers, context);
        self.identity.set(headers, context.principal);

        head.uri = origin_form(&head.uri);
        head.version = Version::HTTP_11;
        // They belong to the client's connection; hyper would read some of them as wishes for the upstream's.
        head.extensions.clear();
        withheld
    }

    /// Trailers may say no more than headers: a lenient backend merges the two.
    pub fn clean_trailers(&self, trailers: &mut HeaderMap, method_override: bool) {
        remove_hop_by_hop_of_request(trailers);
        // No proxy has reason to tell of the way in trailers.
        self.rules.remove_untrusted(trailers, method_override, false);
        for name in [AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST] {
            trailers.remove(name);
        }
    }
}

/// An upstream that wants tokens finds one that came as a subprotocol where all others are. None but the one that
/// passed every check: a subprotocol beside a token in `Authorization` is nobody's.
fn forward_token(headers: &mut HeaderMap, withheld: &HeaderValue, principal: Option<&Principal>) {
    if principal.is_some_and(|principal| principal.place() == Place::Subprotocol)
        && let Some((_, token)) = withheld.to_str().ok().and_then(|text| text.split_once('.'))
        && let Ok(credentials) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        headers.insert(AUTHORIZATION, credentials);
    }
}

/// HTTP/2 may send a cookie in pieces; in HTTP/1.1 it is one line (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    let Some(second) = crumbs.next() else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    // Values that were legal one by one are legal together; were they not, none is better than half of them.
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)) {
        Ok(cookie) => drop(headers.insert(COOKIE, cookie)),
        Err(_) => drop(headers.remove(COOKIE)),
    }
}

/// Exactly one framing field, and made from the body itself: whatever the client wrote, two readers of the request
/// cannot disagree about its end (RFC 9112, section 6.3).
fn frame(headers: &mut HeaderMap, method: &Method, framing: Framing) {
    headers.remove(TRANSFER_ENCODING);
    match framing {
        Framing::Absent => match headers.entry(CONTENT_LENGTH) {
            Entry::Occupied(mut entry) => drop(entry.insert(HeaderValue::from_static("0"))),
            // Where a body is expected its absence is said (RFC 9110, section 8.6); some servers answer 411.
            Entry::Vacant(entry) if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
                entry.insert(HeaderValue::from_static("0"));
            }
            Entry::Vacant(_) => {}
        },
        Framing::Chunked => {
            headers.remove(CONTENT_LENGTH);
            // Said by us, as hyper leaves out the body of a GET whose length it does not know.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Framing::Exact(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}

fn forward_origin(headers: &mut HeaderMap, context: &ForwardContext<'_>) {
    // Whom no proxy vouches for has no line of his own left by now.
    if let Some(way) = with_peer(headers, context.peer) {
        headers.insert(&FORWARDED_FOR, way);
    }
    headers.insert(&FORWARDED_PROTO, HeaderValue::from_static(context.scheme));
    // A request of HTTP/1.0 may name no host; then the field is there and empty (RFC 9112, section 3.2).
    let asked = HeaderValue::from_str(context.host).unwrap_or_else(|_| HeaderValue::from_static(""));
    headers.insert(HOST, asked.clone());
    headers.insert(&FORWARDED_HOST, context.forwarded_host.cloned().unwrap_or(asked));
    headers.insert(&REQUEST_ID, context.request_id.clone());
}

/// The way so far, and who brought it here.
fn with_peer(headers: &HeaderMap, peer: IpAddr) -> Option<HeaderValue> {
    let peer = peer.to_canonical().to_string();
    let mut lines = headers.get_all(&FORWARDED_FOR).iter().filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_none() {
        // The text of an address is a legal value.
        return HeaderValue::try_from(peer).ok();
    }
    let mut way = Vec::new();
    for line in lines {
        way.extend_from_slice(line.as_bytes());
        way.extend_from_slice(b", ");
    }
    way.extend_from_slice(peer.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(way)).ok()
}

/// Path and query as they came; scheme and authority of an absolute form say nothing that `Host` does not.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::proxy::{Encoding, IdentityHeader, IdentityValue};

    #[test]
    fn nothing_a_client_says_of_itself_or_of_the_way_passes() {
        let request = Request::get("https://other.example/a%2Fb//c?x=%zz&y")
            .version(Version::HTTP_2)
            .header("connection", "x-user-id")
            .header("x-user-id", "root")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-forwarded-for", "7.7.7.7")
            .header("x-request-id", "forged")
            .header("host", "one.example")
            .header("host", "two.example")
            .header("authorization", "Bearer t")
            .header("expect", "100-continue")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("accept", "*/*");
        assert_eq!(
            prepared(request, Framing::Absent),
            [
                "GET /a%2Fb//c?x=%zz&y HTTP/1.1",
                "accept: */*",
                "cookie: a=1; b=2",
                "host: app.example:8443",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: app.example:8443",
                "x-forwarded-proto: https",
                "x-request-id: r-1",
            ]
        );
    }

    #[test]
    fn the_way_grows_by_the_peer() {
        for (lines, expected) in [
            (&[][..], "2001:db8::1"),
            (&["192.0.2.1"], "192.0.2.1, 2001:db8::1"),
            (&["192.0.2.1, x", "10.0.0.1"], "192.0.2.1, x, 10.0.0.1, 2001:db8::1"),
            (&["", "10.0.0.1"], "10.0.0.1, 2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(&FORWARDED_FOR, HeaderValue::from_static(line));
            }
            assert_eq!(with_peer(&headers, "2001:db8::1".parse().unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn one_framing_field_and_only_the_bodys() {
        let both = || {
            Request::post("/")
                .header("content-length", "5")
                .header("content-length", "6")
                .header("transfer-encoding", "gzip")
                .header("transfer-encoding", "chunked")
        };
        for (framing, expected) in [
            (Framing::Absent, "content-length: 0"),
            (Framing::Exact(7), "content-length: 7"),
            (Framing::Chunked, "transfer-encoding: chunked"),
        ] {
            assert_eq!(framing_fields(&prepared(both(), framing)), [expected]);
        }
        assert_eq!(framing_fields(&prepared(Request::post("/"), Framing::Absent)), ["content-length: 0"]);
        assert!(framing_fields(&prepared(Request::get("/"), Framing::Absent)).is_empty());
        assert_eq!(
            framing_fields(&prepared(Request::get("/"), Framing::Chunked)),
            ["transfer-encoding: chunked"]
        );
    }

    #[test]
    fn targets_keep_their_bytes() {
        for (target, sent) in [
            ("/", "/"),
            ("/?", "/?"),
            ("/%61/..;/b\\c?d=%0g", "/%61/..;/b\\c?d=%0g"),
            ("http://h", "/"),
            ("http://h?q", "/?q"),
            ("http://u@h:1/x", "/x"),
            ("*", "*"),
        ] {
            assert_eq!(origin_form(&target.parse().unwrap()).to_string(), sent);
        }
    }

    #[test]
    fn trailers_say_no_more_than_headers() {
        let preparation = Preparation::new(&settings());
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "x-user-id", "authorization", "host", "x-forwarded-for", "connection"] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        preparation.clean_trailers(&mut trailers, true);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }

    fn prepared(request: http::request::Builder, framing: Framing) -> Vec<String> {
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let context = ForwardContext {
            principal: None,
            client: "192.0.2.7".parse().unwrap(),
            peer: "::ffff:192.0.2.7".parse().unwrap(),
            believed: false,
            scheme: "https",
            host: "app.example:8443",
            forwarded_host: None,
            request_id: &HeaderValue::from_static("r-1"),
            takes_tokens: true,
            strip_credentials: true,
            interim: None,
            method_override: true,
        };
        Preparation::new(&settings()).apply(&mut head, &context, framing);
        let mut lines: Vec<String> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.insert(0, format!("{} {} {:?}", head.method, head.uri, head.version));
        lines
    }

    fn framing_fields(lines: &[String]) -> Vec<&str> {
        let framing =
            |line: &&str| line.starts_with("content-length") || line.starts_with("transfer-encoding");
        lines.iter().map(String::as_str).filter(framing).collect()
    }

    fn settings() -> IdentitySettings {
        IdentitySettings {
            headers: vec![IdentityHeader {
                name: HeaderName::from_static("x-user-id"),
                value: IdentityValue::User,
            }],
            encoding: Encoding::Percent,
            strip: Vec::new(),
        }
    }
}
