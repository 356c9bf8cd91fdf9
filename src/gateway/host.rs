//! The one host of a request. Routes, upstreams and the log must not each find their own.

use http::{HeaderValue, Version, header::HOST, request::Parts};

/// The host that a request names, as it was sent: the one on which routes are chosen and which upstreams are told.
///
/// `None` where it names none or several, or names one twice and differently: whoever believes the other one
/// would serve another site (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
pub(super) fn host(head: &Parts) -> Option<&str> {
    let mut lines = head.headers.get_all(HOST).iter();
    let line = lines.next().map(HeaderValue::to_str);
    if lines.next().is_some() {
        return None;
    }
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    match (authority, line) {
        // User information has no place in a request, and readers disagree on where it ends.
        (Some(authority), _) if authority.contains('@') => None,
        (Some(authority), Some(line)) => {
            line.ok().filter(|line| line.eq_ignore_ascii_case(authority)).map(|_| authority)
        }
        (Some(authority), None) => Some(authority),
        // Said to be empty, it is that of no route of ours (RFC 9110, section 4.2.2).
        (None, Some(line)) => line.ok().filter(|line| !line.is_empty()),
        // HTTP/1.0 need not name one; the routes that take any host do.
        (None, None) => (head.version == Version::HTTP_10).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(uri: &str, version: Version, lines: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(uri).version(version);
        for line in lines {
            request = request.header(HOST, *line);
        }
        host(&request.body(()).unwrap().into_parts().0).map(str::to_owned)
    }

    #[test]
    fn a_request_names_one_host() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (uri, version, lines, expected) in [
            ("/", one, &["a.example:80"] as &[_], Some("a.example:80")),
            ("https://a.example/", two, &[], Some("a.example")),
            ("https://a.example/", two, &["A.example"], Some("a.example")),
            ("http://a.example/", one, &["a.example"], Some("a.example")),
            ("/", Version::HTTP_10, &[], Some("")),
            ("/", Version::HTTP_10, &[""], None),
            ("/", one, &[""], None),
            ("/", two, &["a.example"], Some("a.example")),
            ("/", two, &[], None),
            ("https://a.example:443/", two, &["a.example"], None),
            ("/", one, &[], None),
            ("/", one, &["a.example", "a.example"], None),
            ("/", one, &["a.example", "b.example"], None),
            ("https://a.example/", two, &["b.example"], None),
            ("http://a.example/", one, &["b.example"], None),
            ("https://u@a.example/", two, &[], None),
        ] {
            assert_eq!(of(uri, version, lines).as_deref(), expected, "{uri} {lines:?}");
        }
    }
}
