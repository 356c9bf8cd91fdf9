//! Reads from the head of an upstream's answer what two readers could understand differently, and refuses it or
//! settles it, so that the client and we see the same end.
//!
//! Never here: bodies, connections.

use http::{
    HeaderMap, HeaderValue, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    response::Parts,
};
use http_body::Body;

use super::remove_hop_by_hop_of_response;

/// Whether the connection may carry another request after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    Close,
    Keep,
}

/// Makes `head` fit for the client.
///
/// # Errors
/// Why the answer cannot be passed on.
pub(super) fn clean(head: &mut Parts, body: &impl Body) -> Result<Persistence, &'static str> {
    if head.status.is_informational() {
        return Err("it changed the protocol, which nobody had asked for");
    }
    let headers = &mut head.headers;
    let chunked = is_chunked(headers)?;
    let has_body = !body.is_end_stream();
    if has_body && chunked == Some(false) {
        return Err("its transfer encoding is not `chunked`");
    }
    let delimited = if has_body && chunked.is_some() {
        // The chunks tell the length; a `Content-Length` beside them is a lie or an attack (RFC 9112, section 6.3).
        headers.remove(CONTENT_LENGTH);
        true
    } else {
        settle_content_length(headers)? || !has_body
    };
    // One that spoke HTTP/1.0 could not be sent a chunked body, and hyper would leave such a body out.
    let persistent = head.version == Version::HTTP_11 && delimited && !asks_to_close(headers);
    remove_hop_by_hop_of_response(headers);
    head.version = Version::HTTP_11;
    Ok(if persistent { Persistence::Keep } else { Persistence::Close })
}

/// Whether the answer is a stream of server-sent events, which may be silent for long (HTML, section 9.2).
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}

/// Whether the transfer encoding is `chunked` and nothing else; `None` if there is none.
fn is_chunked(headers: &HeaderMap) -> Result<Option<bool>, &'static str> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err("it names its transfer encoding twice");
    }
    Ok(Some(line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")))
}

/// Leaves one `Content-Length` that is a number, or none; tells whether there is one.
fn settle_content_length(headers: &mut HeaderMap) -> Result<bool, &'static str> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return Ok(false) };
    if lines.next().is_none() && parse_length(first.as_bytes()).is_some() {
        return Ok(true);
    }
    let mut members = headers.get_all(CONTENT_LENGTH).iter().flat_map(|line| line.as_bytes().split(is_comma));
    let length = members.next().and_then(parse_length).ok_or("its `Content-Length` is not a number")?;
    if members.any(|member| parse_length(member) != Some(length)) {
        return Err("it has two different `Content-Length`s");
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(true)
}

fn parse_length(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    let numeric = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| numeric)?.parse().ok()
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(is_comma));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

const fn is_comma(byte: &u8) -> bool {
    *byte == b','
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use http_body_util::{Empty, Full};

    use super::*;

    #[test]
    fn an_answer_has_one_end_or_is_refused() {
        use Persistence::{Close, Keep};
        for (head, expected) in [
            ("content-length: 2", Ok((Keep, "content-length: 2"))),
            ("content-length: 2, 2", Ok((Keep, "content-length: 2"))),
            ("content-length: 2\ncontent-length: 02", Ok((Keep, "content-length: 2"))),
            ("content-length: 2\ncontent-length: 3", Err("it has two different `Content-Length`s")),
            ("content-length: +2", Err("its `Content-Length` is not a number")),
            ("content-length: ", Err("its `Content-Length` is not a number")),
            ("transfer-encoding: Chunked", Ok((Keep, ""))),
            ("transfer-encoding: chunked\ncontent-length: 9", Ok((Keep, ""))),
            ("transfer-encoding: gzip, chunked", Err("its transfer encoding is not `chunked`")),
            (
                "transfer-encoding: chunked\ntransfer-encoding: chunked",
                Err("it names its transfer encoding twice"),
            ),
            ("connection: foo, Close\ncontent-length: 2\nfoo: 1", Ok((Close, "content-length: 2"))),
            ("server: x", Ok((Close, "server: x"))),
        ] {
            assert_eq!(
                cleaned(head, Version::HTTP_11, &Full::new(Bytes::from_static(b"ab"))),
                expected.map(|(persistence, head)| (persistence, head.to_owned())),
                "{head}"
            );
        }
    }

    #[test]
    fn an_answer_without_a_body_keeps_its_length() {
        let cleaned = |head| cleaned(head, Version::HTTP_11, &Empty::<Bytes>::new());
        assert_eq!(cleaned("content-length: 7"), Ok((Persistence::Keep, "content-length: 7".to_owned())));
        assert_eq!(cleaned("server: x"), Ok((Persistence::Keep, "server: x".to_owned())));
    }

    #[test]
    fn a_server_of_http_1_0_serves_once() {
        let body = Full::new(Bytes::from_static(b"ab"));
        let cleaned = cleaned("connection: keep-alive\ncontent-length: 2", Version::HTTP_10, &body);
        assert_eq!(cleaned, Ok((Persistence::Close, "content-length: 2".to_owned())));
    }

    fn cleaned(
        lines: &str,
        version: Version,
        body: &impl Body,
    ) -> Result<(Persistence, String), &'static str> {
        let mut response = Response::builder().version(version);
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            response = response.header(name, value);
        }
        let (mut head, ()) = response.body(()).unwrap().into_parts();
        let persistence = clean(&mut head, body)?;
        assert_eq!(head.version, Version::HTTP_11);
        let lines: Vec<_> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        Ok((persistence, lines.join("\n")))
    }
}
