//! What a lenient backend may do to a path before it looks at it: each deed alone, over the whole path.
//!
//! Every rewrite takes a path that begins with a slash and makes one that does, so they can follow one another in
//! any order; each is linear in the path's length.
//! Never here: in which order they follow, and what the result finds.

use super::marks::{Marks, is_blank, is_loose};

/// One deed: from the path into the buffer, which is empty.
pub(super) type Rewrite = fn(&[u8], &mut Vec<u8>) -> Result<(), Unreadable>;

/// Every rewrite but decoding, with the mark that a path must have for it to do anything.
pub(super) const REWRITES: [(Marks, Rewrite); 14] = [
    (Marks::BACKSLASH, backslashes_as_slashes),
    (Marks::PARAMETERS, cut_parameters_of_segments),
    (Marks::PARAMETERS, |path, out| cut_at(path, b';', out)),
    (Marks::CUT, |path, out| cut_at(path, b'?', out)),
    (Marks::CUT, |path, out| cut_at(path, b'#', out)),
    (Marks::DOUBLE_SLASH, merge_slashes),
    (Marks::DOUBLE_SLASH, drop_authority),
    (Marks::LOOSE_END, resolve_dots),
    (Marks::LOOSE_END, drop_blanks_of_segments),
    (Marks::LOOSE_END, drop_loose_ends_but_dot_segments),
    (Marks::LOOSE_END, drop_loose_ends),
    (Marks::LOOSE_END, drop_loose_end_of_path),
    (Marks::BEYOND_ASCII, decode_overlong),
    (Marks::CONTROL, drop_tabs_and_newlines),
];

/// Percent-decoding (RFC 3986, section 2.1) as it is done: of everything, of all but the slashes (so that
/// `a%2Fb` stays one segment), of what needs no encoding alone (section 6.2.2.2). Leaving `%5C` too would bring
/// nothing: it is what reading `\` as a slash before decoding brings.
pub(super) const DECODERS: [Rewrite; 3] = [
    |path, out| decode(path, |_| true, out),
    |path, out| decode(path, |byte| byte != b'/', out),
    |path, out| {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        decode(path, unreserved, out)
    },
];

/// Why a reading ends in no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It climbs above the root.
    Climbs,
    /// It holds a NUL, where C strings end.
    Nul,
}

/// The value of the escape that `bytes` begin with, if it is a whole one.
pub(super) fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// A broken escape stays as it is: `%zz` may be what somebody encoded as `%25zz`.
fn decode(path: &[u8], decodes: impl Fn(u8) -> bool, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        match escape(rest) {
            Some(0) => return Err(Unreadable::Nul),
            Some(decoded) if decodes(decoded) => {
                out.push(decoded);
                rest = rest.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Ok(())
}

/// ASCII written in more bytes of UTF-8 than it needs (RFC 3629, section 3 forbids it), up to the six bytes of
/// old; with two, also where the second is no continuation, as in `%c0%2f`.
fn decode_overlong(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        match overlong(rest) {
            Some((0, _)) => return Err(Unreadable::Nul),
            Some((ascii, len)) => {
                out.push(ascii);
                rest = rest.get(len..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Ok(())
}

/// The ASCII character that `bytes` begin with in an overlong form, and the length of that.
fn overlong(bytes: &[u8]) -> Option<(u8, usize)> {
    let is_continuation = |byte: &u8| matches!(byte, 0x80..=0xbf);
    if let [lead @ (0xc0 | 0xc1), second, ..] = bytes {
        let fits = is_continuation(second) || *second < 0x40;
        return fits.then_some(((lead & 1) << 6 | second & 0x3f, 2));
    }
    let len = match bytes.first()? {
        0xe0 => 3,
        0xf0 => 4,
        0xf8 => 5,
        0xfc => 6,
        _ => return None,
    };
    let (zeros, last_two) = bytes.get(1..len)?.split_at_checked(len - 3)?;
    let [high @ (0x80 | 0x81), low] = last_two else { return None };
    (zeros.iter().all(|byte| *byte == 0x80) && is_continuation(low))
        .then_some(((high & 1) << 6 | low & 0x3f, len))
}

/// As browsers' URL parsers do anywhere (the URL standard, "basic URL parser"), and Python's after them. Only decoding
/// twice brings such bytes here.
fn drop_tabs_and_newlines(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.extend(path.iter().filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r')));
    Ok(())
}

fn backslashes_as_slashes(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.extend(path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }));
    Ok(())
}

fn merge_slashes(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    Ok(())
}

/// `//host/path` as `/path`: a URL parser that is given the request's target takes it for a reference with an
/// authority (RFC 3986, section 4.2), and that of browsers takes any number of slashes so.
fn drop_authority(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    if !path.starts_with(b"//") {
        out.extend_from_slice(path);
        return Ok(());
    }
    let mut after_slashes =
        path.iter().skip_while(|byte| **byte == b'/').skip_while(|byte| **byte != b'/').peekable();
    if after_slashes.peek().is_none() {
        out.push(b'/');
    }
    out.extend(after_slashes);
    Ok(())
}

/// RFC 3986, section 5.2.4, except that nothing lies above the root. An empty segment counts as one.
fn resolve_dots(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => {
                let parent = out.iter().rposition(|byte| *byte == b'/').ok_or(Unreadable::Climbs)?;
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    Ok(())
}

fn cut_at(path: &[u8], mark: u8, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.extend(path.iter().take_while(|byte| **byte != mark));
    Ok(())
}

fn cut_parameters_of_segments(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    shorten_segments(path, |segment| segment.split(|byte| *byte == b';').next().unwrap_or_default(), out)
}

fn drop_blanks_of_segments(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    shorten_segments(path, |segment| without_end(segment, is_blank), out)
}

/// As Windows opens files: `.. ` and `.. .` are `..` there.
fn drop_loose_ends_but_dot_segments(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let shorten = |segment| match (without_end(segment, is_loose), segment) {
        ([], [b'.', b'.', ..]) => &b".."[..],
        ([], [b'.', ..]) => b".",
        (kept, _) => kept,
    };
    shorten_segments(path, shorten, out)
}

fn drop_loose_ends(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    shorten_segments(path, |segment| without_end(segment, is_loose), out)
}

fn drop_loose_end_of_path(path: &[u8], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.extend_from_slice(without_end(path, |byte| is_loose(byte) || byte == b'/'));
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(())
}

fn shorten_segments<'p>(
    path: &'p [u8],
    shorten: impl Fn(&'p [u8]) -> &'p [u8],
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        out.push(b'/');
        out.extend_from_slice(shorten(segment));
    }
    Ok(())
}

fn without_end(bytes: &[u8], drops: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !drops(*byte)).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rewrite: Rewrite, cases: &[(&[u8], &[u8])]) {
        for (path, expected) in cases {
            let mut out = Vec::new();
            rewrite(path, &mut out).unwrap();
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    #[track_caller]
    fn check_unreadable(rewrite: Rewrite, cases: &[&[u8]], expected: Unreadable) {
        for path in cases {
            assert_eq!(rewrite(path, &mut Vec::new()), Err(expected), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn decoding_takes_one_layer_and_leaves_broken_escapes() {
        let [all, but_slash, unreserved] = DECODERS;
        check(all, &[(b"/%61%2f%5c%252e%zz%2", b"/a/\\%2e%zz%2"), (b"/%C3%A9", b"/\xc3\xa9")]);
        check(but_slash, &[(b"/%61%2f%5C%3b", b"/a%2f\\;")]);
        check(unreserved, &[(b"/%61%2e%7E%2f%3b%20", b"/a.~%2f%3b%20")]);
        for decoder in DECODERS {
            check_unreadable(decoder, &[b"/%00", b"/a%00b"], Unreadable::Nul);
        }
    }

    #[test]
    fn overlong_ascii_is_decoded_and_nothing_else_of_utf_8() {
        check(
            decode_overlong,
            &[
                (b"/a\xc0\xafb", b"/a/b"),
                (b"/\xc0\xae\xc0\xae", b"/.."),
                (b"/\xc1\x9c", b"/\\"),
                (b"/\xc0\x2fx", b"//x"),
                (b"/\xc1\x1c", b"/\\"),
                (b"/\xe0\x80\xaf", b"//"),
                (b"/\xe0\x81\x9c", b"/\\"),
                (b"/\xf0\x80\x80\xaf", b"//"),
                (b"/\xf8\x80\x80\x80\xaf", b"//"),
                (b"/\xfc\x80\x80\x80\x80\xae", b"/."),
                (b"/\xc3\xa9\xe0\xa4\x85\xf0\x9f\x98\x80", b"/\xc3\xa9\xe0\xa4\x85\xf0\x9f\x98\x80"),
                (b"/\xc0", b"/\xc0"),
                (b"/\xc0x", b"/\xc0x"),
                (b"/\xe0\x80", b"/\xe0\x80"),
            ],
        );
        check_unreadable(decode_overlong, &[b"/\xc0\x80", b"/\xe0\x80\x80"], Unreadable::Nul);
    }

    #[test]
    fn dot_segments_are_resolved_and_never_above_the_root() {
        check(
            resolve_dots,
            &[
                (b"/a/./b/../c", b"/a/c"),
                (b"/a/..", b"/"),
                (b"/a/.", b"/a/"),
                (b"/.", b"/"),
                (b"/a//../b", b"/a/b"),
                (b"/a/...", b"/a/..."),
                (b"//..", b"/"),
                (b"/a/", b"/a/"),
            ],
        );
        check_unreadable(resolve_dots, &[b"/..", b"/../a", b"/a/../..", b"/./../a"], Unreadable::Climbs);
    }

    #[test]
    fn slashes() {
        check(drop_tabs_and_newlines, &[(b"/a/.\t.\n/\r\x01\x0b", b"/a/../\x01\x0b")]);
        check(backslashes_as_slashes, &[(b"/a\\..\\b", b"/a/../b")]);
        check(merge_slashes, &[(b"//a///b//", b"/a/b/")]);
        check(
            drop_authority,
            &[
                (b"//h/a", b"/a"),
                (b"///h/a//b", b"/a//b"),
                (b"//h", b"/"),
                (b"//", b"/"),
                (b"/a//b", b"/a//b"),
            ],
        );
    }

    #[test]
    fn cuts() {
        check(cut_parameters_of_segments, &[(b"/a;x/..;y/b;", b"/a/../b"), (b"/;x", b"/")]);
        check(|path, out| cut_at(path, b';', out), &[(b"/a;x/b", b"/a"), (b"/;", b"/")]);
        check(|path, out| cut_at(path, b'?', out), &[(b"/a#b?c", b"/a#b")]);
    }

    #[test]
    fn loose_ends() {
        check(drop_blanks_of_segments, &[(b"/a \t/.. /b\n", b"/a/../b")]);
        check(drop_loose_ends_but_dot_segments, &[(b"/a. ./.. ./... /. /b.", b"/a/../.././b")]);
        check(drop_loose_ends, &[(b"/a. ./.../b", b"/a//b")]);
        check(drop_loose_end_of_path, &[(b"/a./b. / .", b"/a./b"), (b"/..", b"/")]);
    }
}
