//! Backends as they are found in the wild, written a second time and on their own terms: each deed turns a path
//! into what that backend goes on with.

use proptest::prelude::*;

/// What a backend, or one stage of it, does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    Backslash,
    /// Whole path cut at the first.
    Cut(char),
    Decode,
    DecodeButSlash,
    DecodeButSlashes,
    DecodeUnreserved,
    /// The target read as a reference, as `new URL(target, base)` does.
    Host,
    IgnoreSlash,
    Merge,
    Overlong,
    /// `;x` of each segment.
    Parameters,
    /// Tabs and newlines, as URL parsers drop them.
    RemoveTabs,
    Resolve,
    /// Each segment, as Windows opens files.
    Trim,
    TrimBlanks,
    /// The path's end alone.
    TrimEnd,
}

pub fn deed() -> impl Strategy<Value = Deed> {
    use Deed::*;
    prop::sample::select(vec![
        Backslash,
        Cut(';'),
        Cut('?'),
        Cut('#'),
        Decode,
        Decode,
        DecodeButSlash,
        DecodeButSlashes,
        DecodeUnreserved,
        Host,
        IgnoreSlash,
        Merge,
        Overlong,
        Parameters,
        RemoveTabs,
        Resolve,
        Resolve,
        Trim,
        TrimBlanks,
        TrimEnd,
    ])
}

pub struct Read {
    pub path: Vec<u8>,
    pub climbed: bool,
    pub ignores_slash: bool,
}

/// What is left after all deeds; no more than three of them decode.
pub fn read(path: &[u8], deeds: &[Deed]) -> Read {
    let mut read = Read { path: path.to_vec(), climbed: false, ignores_slash: false };
    let mut decodes = 0;
    for deed in deeds {
        use Deed::*;
        decodes += usize::from(matches!(deed, Decode | DecodeButSlash | DecodeButSlashes | DecodeUnreserved));
        if decodes > 3 {
            break;
        }
        read.path = match deed {
            Backslash => replace(&read.path, b"\\", b"/"),
            Cut(mark) => read.path.split(|byte| char::from(*byte) == *mark).next().unwrap().to_vec(),
            Decode => decode(&read.path, |_| true),
            DecodeButSlash => decode(&read.path, |byte| byte != b'/'),
            DecodeButSlashes => decode(&read.path, |byte| byte != b'/' && byte != b'\\'),
            DecodeUnreserved => {
                decode(&read.path, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            }
            Host => without_host(&read.path),
            IgnoreSlash => {
                read.ignores_slash = true;
                continue;
            }
            Merge => {
                let mut path = read.path;
                while path.windows(2).any(|pair| pair == b"//") {
                    path = replace(&path, b"//", b"/");
                }
                path
            }
            Overlong => {
                let mut path = read.path;
                for (long, ascii) in OVERLONG {
                    path = replace(&path, long, ascii);
                }
                path
            }
            Parameters => each(&read.path, |segment| {
                let end = segment.iter().position(|byte| *byte == b';').unwrap_or(segment.len());
                segment[..end].to_vec()
            }),
            RemoveTabs => read.path.into_iter().filter(|byte| !b"\t\r\n".contains(byte)).collect(),
            Resolve => match resolve(&read.path) {
                Some(path) => path,
                None => {
                    read.climbed = true;
                    break;
                }
            },
            Trim => each(&read.path, |segment| match segment {
                b"." | b".." => segment.to_vec(),
                _ => trim(segment, b". \t\r\n\x01"),
            }),
            TrimBlanks => each(&read.path, |segment| trim(segment, b" \t\r\n\x01")),
            TrimEnd => {
                // Who drops a slash here knows of none in his own patterns either.
                read.ignores_slash |= read.path.ends_with(b"/");
                let path = trim(&read.path, b"./ \t\r\n\x01");
                if path.is_empty() { b"/".to_vec() } else { path }
            }
        };
    }
    read
}

/// What `path` finds for the reader of the gateway's own configuration, on host `a.b`.
pub fn find(layout: &[(&str, &str)], path: &[u8], ignores_case: bool, ignores_slash: bool) -> &'static str {
    let plain = |text: &[u8]| {
        let text = if ignores_case { text.to_ascii_lowercase() } else { text.to_vec() };
        if ignores_slash { trim(&text, b"/") } else { text }
    };
    for name in [
        "login",
        "logout",
        "logout/all",
        "me",
        "password",
        "sessions",
        "token/refresh",
        "register",
        "token/verify",
    ] {
        let endpoint = format!("/api/auth/{name}");
        if [endpoint.clone(), endpoint + "/"].iter().any(|known| plain(known.as_bytes()) == plain(path)) {
            return match name {
                "login" => "Login",
                "me" => "Me",
                "sessions" => "Sessions",
                _ => "another endpoint",
            };
        }
    }
    if let Some(id) = plain(path).strip_prefix(b"/api/auth/sessions/") {
        let id = id.strip_suffix(b"/").unwrap_or(id);
        if !id.is_empty() && !id.contains(&b'/') {
            return format!("Session {}", String::from_utf8_lossy(id)).leak();
        }
    }
    for wanted in ["a.b", "*.b", ""] {
        let fits = |pattern: &str| match pattern.strip_suffix("/*") {
            Some(above) => {
                let (above, path) = (plain(above.as_bytes()), plain(path));
                path == above || path.starts_with(&[&above[..], b"/"].concat())
            }
            None => plain(pattern.as_bytes()) == plain(path),
        };
        let fitting = layout.iter().filter(|(host, pattern)| *host == wanted && fits(pattern));
        let best = fitting.max_by_key(|(_, pattern)| (!pattern.ends_with("/*"), pattern.len()));
        if let Some((host, pattern)) = best {
            return format!("{host}{pattern}").leak();
        }
    }
    "none"
}

const OVERLONG: [(&[u8], &[u8]); 4] =
    [(b"\xc0\xaf", b"/"), (b"\xc0\xae", b"."), (b"\xe0\x80\xaf", b"/"), (b"\xc1\x9c", b"\\")];

fn decode(path: &[u8], decodes: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.filter(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
        match value.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if path[at] == b'%' && decodes(value) => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

fn without_host(path: &[u8]) -> Vec<u8> {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    if slashes < 2 {
        return path.to_vec();
    }
    let rest = &path[slashes..];
    rest.iter().position(|byte| *byte == b'/').map_or(b"/".to_vec(), |at| rest[at..].to_vec())
}

fn resolve(path: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in path[1..].split(|byte| *byte == b'/') {
        ends_open = segment == b"." || segment == b"..";
        match segment {
            b"." => {}
            b".." => {
                kept.pop()?;
            }
            _ => kept.push(segment),
        }
    }
    let mut out: Vec<u8> = kept.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if ends_open {
        out.push(b'/');
    }
    Some(out)
}

fn each(path: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let segments: Vec<_> = path.split(|byte| *byte == b'/').map(change).collect();
    segments.join(&b'/')
}

fn trim(text: &[u8], dropped: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    while text.last().is_some_and(|byte| dropped.contains(byte)) {
        text.pop();
    }
    text
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}
