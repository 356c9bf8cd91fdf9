//! What any upstream may rely on, whatever came in: two readers of these bytes read the same request, and it says
//! of the client only what the gateway knows.

use crate::harness::Recorded;

/// What is wrong with a request that reached the upstream.
pub fn fault(request: &Recorded) -> Option<String> {
    let head = request.head.strip_suffix(b"\r\n\r\n")?;
    let mut lines = Vec::new();
    for line in split(head) {
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Some(format!("a control byte in `{}`", line.escape_ascii()));
        }
        lines.push(line);
    }
    let (first, fields) = lines.split_first()?;
    if let Some(fault) = fault_of_line(first) {
        return Some(fault);
    }
    fault_of_fields(first, fields).or_else(|| fault_of_trailers(&request.body))
}

fn split(head: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

fn fault_of_line(line: &[u8]) -> Option<String> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let good = matches!(parts[..], [method, target, b"HTTP/1.1"]
        if is_token(method) && (target.starts_with(b"/") || (method == b"OPTIONS" && target == b"*")));
    (!good).then(|| format!("the request line `{}`", line.escape_ascii()))
}

fn fault_of_fields(first: &[u8], fields: &[&[u8]]) -> Option<String> {
    let mut names = Vec::new();
    for field in fields {
        let shown = field.escape_ascii();
        let Some(colon) = field.windows(2).position(|pair| pair == b": ") else {
            return Some(format!("no colon and blank in `{shown}`"));
        };
        let (name, value) = (&field[..colon], &field[colon + 2..]);
        if !is_token(name) {
            return Some(format!("the field `{shown}`"));
        }
        let name = String::from_utf8(name.to_ascii_lowercase()).unwrap();
        if value.windows(6).any(|part| part == b"forged") {
            return Some(format!("`{shown}`"));
        }
        if HOP_BY_HOP.contains(&name.as_str())
            // A tunnel that the gateway has agreed to, and no other protocol.
            || (name == "connection" && !value.eq_ignore_ascii_case(b"upgrade"))
            || (name == "upgrade" && !value.eq_ignore_ascii_case(b"websocket"))
            || (name == "te" && value != b"trailers")
            || (name == "transfer-encoding" && value != b"chunked")
            || (name == "content-length" && !value.iter().all(u8::is_ascii_digit))
            || (name == "x-forwarded-for" && value != b"127.0.0.1")
            || (name == "x-user-id" && value != b"1")
        {
            return Some(format!("`{shown}`"));
        }
        names.push(name);
    }
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    let path = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let owned = usize::from(!path.starts_with(b"/public"));
    for (name, times) in [("host", 1), ("x-forwarded-for", 1), ("x-request-id", 1), ("x-user-id", owned)] {
        if count(name) != times {
            return Some(format!("`{name}` {} times", count(name)));
        }
    }
    let framing = count("content-length") + count("transfer-encoding");
    (framing > 1).then(|| "two framing fields".to_owned())
}

fn fault_of_trailers(body: &[u8]) -> Option<String> {
    let at = body.windows(5).rposition(|part| part == b"\r\n0\r\n").map(|at| at + 5);
    let trailers = at.and_then(|at| body.get(at..)).unwrap_or_default();
    trailers
        .windows(6)
        .any(|part| part == b"forged")
        .then(|| format!("trailers `{}`", trailers.escape_ascii()))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// None of them is the upstream's business.
const HOP_BY_HOP: [&str; 5] =
    ["http2-settings", "keep-alive", "proxy-authorization", "proxy-connection", "expect"];
