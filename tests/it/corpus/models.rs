//! How backends read a path, each from its own documentation or source and none from ours: small, independent, and
//! as lenient as it is found in the wild. `None` where that backend answers 400 or 404 by itself.

/// What a backend goes on with.
pub type Model = fn(&[u8]) -> Option<Vec<u8>>;

/// Every model by name.
pub const MODELS: &[(&str, Model)] = &[
    ("the bytes themselves", |path| Some(path.to_vec())),
    ("WSGI and ASGI (Django, Flask, FastAPI)", |path| Some(decoded(path))),
    ("Django's `$`, which passes over a last newline", |path| {
        let path = decoded(path);
        Some(path.strip_suffix(b"\n").unwrap_or(&path).to_vec())
    }),
    ("Werkzeug, merge_slashes", |path| Some(merged(&decoded(path)))),
    ("Apache, AllowEncodedSlashes off", |path| {
        let encoded = path.to_ascii_lowercase().windows(3).any(|part| part == b"%2f");
        if encoded { None } else { resolved(&merged(&decoded(path))) }
    }),
    ("Apache, AllowEncodedSlashes on, and nginx", |path| resolved(&merged(&decoded(path)))),
    ("nginx, merge_slashes off", |path| resolved(&decoded(path))),
    ("nginx before PHP that decodes again", |path| resolved(&decoded(&resolved(&merged(&decoded(path)))?))),
    ("three layers that decode", |path| resolved(&merged(&decoded(&decoded(&decoded(path)))))),
    ("Tomcat", |path| resolved(&merged(&decoded(&without_parameters(path))))),
    ("Tomcat, ALLOW_BACKSLASH", |path| resolved(&merged(&slashed(&decoded(&without_parameters(path)))))),
    ("Spring, which decodes before it cuts parameters", |path| {
        resolved(&merged(&without_parameters(&decoded(path))))
    }),
    ("Jetty, dots before parameters and escapes", |path| Some(decoded(&without_parameters(&clamped(path))))),
    ("CGI scripts that cut at the first semicolon", |path| Some(cut(&decoded(path), b";"))),
    ("IIS", |path| iis(&decoded(&wide(path)))),
    ("IIS, double escaping allowed", |path| iis(&decoded(&decoded(&wide(path))))),
    ("ASP.NET Core, which leaves %2F", |path| Some(lower(&clamped(&decoded_but_slash(path))))),
    ("Windows' files", |path| Some(lower(&resolved(&trimmed(&slashed(&decoded(path))))?))),
    ("WHATWG URL (Node, Deno, Workers)", |path| Some(whatwg(path))),
    ("WHATWG URL, then decodeURIComponent", |path| Some(decoded(&whatwg(path)))),
    ("WHATWG URL of a decoded path", |path| Some(whatwg(&decoded(path)))),
    ("Express: no case, no last slash", |path| Some(without_last_slash(&lower(path)))),
    ("Express after a proxy that decodes", |path| Some(without_last_slash(&lower(&clamped(&decoded(path)))))),
    ("Go's ServeMux", |path| Some(clamped(&merged(&decoded(path))))),
    ("Rack and Rails: squeezed, then decoded", |path| Some(decoded(&merged(path)))),
    ("decoders that take overlong UTF-8", |path| resolved(&shortest(&decoded(path)))),
    ("decoders that take overlong UTF-8, twice", |path| resolved(&shortest(&decoded(&decoded(path))))),
    ("a path put into a URL again: ? and # cut", |path| Some(clamped(&cut(&decoded(path), b"?#")))),
    ("strings that end at NUL", |path| Some(cut(&decoded(path), b"\0"))),
    ("names that are trimmed", |path| {
        let path = decoded(path);
        Some(path.trim_ascii_end().to_vec())
    }),
    ("names that are trimmed, then dots", |path| resolved(&blanks_dropped(&decoded(path)))),
];

/// Whether a path is this one or lies below it.
pub fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn decoded(path: &[u8]) -> Vec<u8> {
    decoded_if(path, |_| true)
}

fn decoded_but_slash(path: &[u8]) -> Vec<u8> {
    decoded_if(path, |byte| byte != b'/')
}

fn decoded_if(path: &[u8], decodes: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let value = (path[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten().and_then(hex);
        match value.and_then(|value| u8::try_from(value).ok()).filter(|byte| decodes(*byte)) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

/// `%u002e`, as IIS has it; what is beyond ASCII stays.
fn wide(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let escape = path[at..].strip_prefix(b"%u").or_else(|| path[at..].strip_prefix(b"%U"));
        match escape.and_then(|rest| rest.get(..4)).and_then(hex).and_then(|value| u8::try_from(value).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(byte);
                at += 6;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

fn merged(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for byte in path {
        if !(*byte == b'/' && out.last() == Some(&b'/')) {
            out.push(*byte);
        }
    }
    out
}

fn slashed(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn lower(path: &[u8]) -> Vec<u8> {
    path.to_ascii_lowercase()
}

fn cut(path: &[u8], marks: &[u8]) -> Vec<u8> {
    path.split(|byte| marks.contains(byte)).next().unwrap_or_default().to_vec()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    segments(path, |segment| cut(segment, b";"))
}

/// As Windows opens files: dots and blanks at the end of a name do not count, but for `.` and `..`.
fn trimmed(path: &[u8]) -> Vec<u8> {
    segments(path, |segment| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'.';
        let kept = segment.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        match kept {
            0 if segment.starts_with(b"..") => b"..".to_vec(),
            0 if segment.starts_with(b".") => b".".to_vec(),
            kept => segment[..kept].to_vec(),
        }
    })
}

fn blanks_dropped(path: &[u8]) -> Vec<u8> {
    segments(path, |segment| segment.trim_ascii_end().to_vec())
}

fn segments(path: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    path.split(|byte| *byte == b'/').map(change).collect::<Vec<_>>().join(&b'/')
}

fn without_last_slash(path: &[u8]) -> Vec<u8> {
    path.strip_suffix(b"/").unwrap_or(path).to_vec()
}

/// Dot segments resolved; `None` above the root.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    walk(path, false)
}

/// Dot segments resolved; the root is above itself.
fn clamped(path: &[u8]) -> Vec<u8> {
    walk(path, true).unwrap_or_default()
}

fn walk(path: &[u8], clamp: bool) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut open = false;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/') {
        open = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                if kept.pop().is_none() && !clamp {
                    return None;
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut out = Vec::new();
    for segment in kept {
        out.push(b'/');
        out.extend(segment);
    }
    if open || out.is_empty() {
        out.push(b'/');
    }
    Some(out)
}

fn iis(decoded: &[u8]) -> Option<Vec<u8>> {
    Some(lower(&resolved(&trimmed(&merged(&slashed(decoded))))?))
}

/// The URL standard's parser, given the request's target and a base: tabs and line ends are dropped, `\` is `/`,
/// two slashes begin a host, and `%2e` is a dot where it makes a dot segment.
fn whatwg(path: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = path.iter().filter(|byte| !b"\t\n\r".contains(byte)).copied().collect();
    let text = slashed(&cut(&text, b"?#"));
    let slashes = text.iter().take_while(|byte| **byte == b'/').count();
    let text = match slashes {
        0 | 1 => text,
        _ => match text[slashes..].iter().position(|byte| *byte == b'/') {
            Some(end) => text[slashes + end..].to_vec(),
            None => b"/".to_vec(),
        },
    };
    clamped(&segments(&text, |segment| match &lower(segment)[..] {
        b"%2e" => b".".to_vec(),
        b".%2e" | b"%2e." | b"%2e%2e" => b"..".to_vec(),
        _ => segment.to_vec(),
    }))
}

/// UTF-8 in more bytes than it needs, as decoders took it that only count the leading ones.
fn shortest(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let (length, bits) = match path[at] {
            byte @ 0xc0..=0xdf => (2, u32::from(byte & 0x1f)),
            byte @ 0xe0..=0xef => (3, u32::from(byte & 0x0f)),
            byte @ 0xf0..=0xf7 => (4, u32::from(byte & 0x07)),
            _ => (1, 0x80),
        };
        let rest = path.get(at + 1..at + length).unwrap_or_default();
        let value = rest.iter().fold(bits, |value, byte| value << 6 | u32::from(byte & 0x3f));
        let continues = rest.len() + 1 == length && rest.iter().all(|byte| byte & 0xc0 == 0x80);
        match u8::try_from(value).ok().filter(|byte| continues && byte.is_ascii()) {
            Some(byte) if length > 1 => {
                out.push(byte);
                at += length;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}
