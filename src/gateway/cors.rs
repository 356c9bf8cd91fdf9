//! What other sites' pages are told (the Fetch standard, "CORS protocol").
//!
//! Where `cors` is set the gateway alone speaks: two voices would be two `Access-Control-Allow-Origin`, which
//! browsers refuse, or an upstream that lets in what the configuration does not.
//! Never here: whose pages may (`route`), whether a request passes (`judge`).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
    request::Parts,
};

use crate::route::{Cors, Origins};

/// The method that a preflight asks for; `None` where the request is none, or could never be granted.
pub(super) fn asked(head: &Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = Method::from_bytes(only(&head.headers, &ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()?;
    (asked != Method::CONNECT && asked != Method::TRACE).then_some(asked)
}

/// What an answer tells the page that asked.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// `None`: this origin may not read, and is not told why.
    origin: Option<HeaderValue>,
    credentials: bool,
    /// Whether another origin would be told something else.
    varies: bool,
    expose: Option<HeaderValue>,
}

impl Grant {
    /// For a request with these headers.
    pub(super) fn new(cors: &Cors, headers: &HeaderMap) -> Self {
        let origin = match &cors.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            origins @ Origins::These(_) => {
                only(headers, &ORIGIN).filter(|origin| origins.allow(origin.as_bytes())).cloned()
            }
        };
        let varies = matches!(cors.origins, Origins::These(_));
        Self { origin, credentials: cors.credentials, varies, expose: cors.expose.clone() }
    }

    /// Adds itself to an answer of our own.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if self.varies {
            vary(headers, "Origin");
        }
        let Some(origin) = &self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// Takes the place of whatever an upstream says.
    pub(super) fn replace(&self, headers: &mut HeaderMap) {
        let of_upstream: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in of_upstream {
            headers.remove(name);
        }
        self.write(headers);
    }
}

/// Answers a preflight; the [`Grant`] of the request is still to be added. `methods` are those that the route lists.
///
/// Headers are granted as they are asked for: which ones an upstream knows is its own business, and what no client
/// may send it is taken away whatever a page may do.
pub(super) fn preflight(cors: &Cors, methods: Option<&[Method]>, head: &Parts) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(
        VARY,
        HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    if Grant::new(cors, &head.headers).origin.is_none() {
        return answer;
    }
    let methods = match methods {
        Some(listed) => {
            let names: Vec<&str> = listed.iter().map(Method::as_str).collect();
            HeaderValue::try_from(names.join(", ")).ok()
        }
        None => only(&head.headers, &ACCESS_CONTROL_REQUEST_METHOD).cloned(),
    };
    if let Some(methods) = methods {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(asked) =
        only(&head.headers, &ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| names_headers(asked))
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.as_secs()));
    answer
}

/// Browsers send each of these fields once; whoever sends two gets no say from either.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn names_headers(list: &HeaderValue) -> bool {
    list.as_bytes()
        .split(|byte| *byte == b',')
        .all(|member| HeaderName::from_bytes(member.trim_ascii()).is_ok())
}

/// Adds a name to `Vary` where it is not there yet (RFC 9110, section 12.5.5).
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let mut members =
        headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let covers = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(name.as_bytes());
    if members.any(|member| covers(member.trim_ascii())) {
        return;
    }
    let mut list = Vec::new();
    for line in headers.get_all(VARY).iter().filter(|line| !line.is_empty()) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(name.as_bytes());
    // Legal line by line, so legal together.
    if let Ok(list) = HeaderValue::from_maybe_shared(Bytes::from(list)) {
        headers.insert(VARY, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_is_added_to_and_never_twice() {
        for (lines, expected) in [
            (&[][..], "Origin"),
            (&[""], "Origin"),
            (&["Accept-Encoding"], "Accept-Encoding, Origin"),
            (&["Accept", "Cookie"], "Accept, Cookie, Origin"),
            (&["Accept, origin"], "Accept, origin"),
            (&["*"], "*"),
            (&["X-Origin"], "X-Origin, Origin"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(VARY, HeaderValue::from_static(line));
            }
            vary(&mut headers, "Origin");
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), [expected], "{lines:?}");
        }
    }
}
