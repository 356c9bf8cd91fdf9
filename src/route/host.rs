//! Hosts, as configured and as sent: which are well-formed, and what of one decides.
//!
//! Never here: what a host leads to (`hosts`).

use std::{borrow::Cow, fmt, net::Ipv4Addr, net::Ipv6Addr};

use super::HostPattern;

impl HostPattern {
    /// Reads a host as the configuration has it: a name, `*.` and a name, an IPv4 address, or an IPv6 address in
    /// brackets. Names are ASCII (punycode for others); case and one trailing dot do not count.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() {
            return Err(HostPatternError::Empty);
        }
        if let Some(literal) = text.strip_prefix('[') {
            let address = literal.strip_suffix(']').ok_or(match literal.contains("]:") {
                true => HostPatternError::Port,
                false => HostPatternError::Address,
            })?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostPatternError::Address)?;
            return Ok(Self::Exact(bracketed(address)));
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = plain_name(name)?;
        if looks_numeric(&name) && (below || name.parse::<Ipv4Addr>().is_err()) {
            return Err(HostPatternError::Address);
        }
        Ok(if below { Self::Below(name) } else { Self::Exact(name) })
    }

    /// Whether some host is taken by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_below =
            |name: &str, above: &str| name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'));
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Exact(name), Self::Below(above)) | (Self::Below(above), Self::Exact(name)) => {
                is_below(name, above)
            }
            (Self::Below(one), Self::Below(other)) => {
                one == other || is_below(one, other) || is_below(other, one)
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

/// Why a text cannot be the host of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Numbers that are no address, or an address where a name belongs.
    #[error("not an address: IPv4 as `192.0.2.1`, IPv6 as `[2001:db8::1]`, neither after `*.`")]
    Address,
    /// A character that no host name has.
    #[error("{0:?} cannot stand in a host name")]
    Character(char),
    /// Nothing at all.
    #[error("a host is not empty")]
    Empty,
    /// An empty label, or one of more than 63 characters (RFC 1035, section 2.3.4).
    #[error("a host name's labels have 1 to 63 characters")]
    Label,
    /// Letters beyond ASCII.
    #[error("a host name beyond ASCII is written in punycode, as in `xn--bcher-kva.example`")]
    NotAscii,
    /// A port, which decides nothing.
    #[error("a host is named without its port")]
    Port,
    /// `*` anywhere but in front, or with nothing below it.
    #[error("`*` stands only in front, as in `*.example.com`")]
    Star,
    /// More than 253 characters.
    #[error("a host name has at most {MAX_NAME} characters")]
    TooLong,
}

/// Whether `text` is a host as a request names one, with or without port, and not empty.
pub fn is_host(text: &str) -> bool {
    !text.is_empty() && bare(text).is_some()
}

/// What of a request's host decides: without port and trailing dot, in the case that was sent.
///
/// `None`: it is no host (RFC 9112, section 3.2 wants that answered 400). A request without any, as HTTP/1.0 has
/// them, is the empty text.
pub(super) fn bare(host: &str) -> Option<Cow<'_, str>> {
    if host.is_empty() {
        return Some(Cow::Borrowed(host));
    }
    if let Some(literal) = host.strip_prefix('[') {
        let (address, port) = literal.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let plain = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return plain.then(|| Cow::Owned(bracketed(address)));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let name = name.strip_suffix('.').unwrap_or(name);
    (is_port(port) && is_name(name)).then_some(Cow::Borrowed(name))
}

/// Stricter than RFC 3986, section 3.2.2: what the grammar allows beyond host names (`@` in front, escapes,
/// punctuation) is what a virtual host of the backend's might read as another name than we do.
fn is_name(name: &str) -> bool {
    let mut previous = b'.';
    let plain = name.bytes().all(|byte| {
        let fits = is_name_byte(byte) && !(byte == b'.' && previous == b'.');
        previous = byte;
        fits
    });
    plain && previous != b'.' && name.len() <= MAX_NAME
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_port(port: &str) -> bool {
    let is_number = || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    port.is_empty() || (port.len() <= MAX_PORT && is_number())
}

fn plain_name(name: &str) -> Result<String, HostPatternError> {
    if !name.is_ascii() {
        return Err(HostPatternError::NotAscii);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.chars().find(|character| !u8::try_from(*character).is_ok_and(is_name_byte)) {
        Some('*') => return Err(HostPatternError::Star),
        Some(':') => return Err(HostPatternError::Port),
        Some(character) => return Err(HostPatternError::Character(character)),
        None => {}
    }
    if name.len() > MAX_NAME {
        return Err(HostPatternError::TooLong);
    }
    if name.split('.').any(|label| label.is_empty() || label.len() > MAX_LABEL) {
        return Err(HostPatternError::Label);
    }
    Ok(name.to_ascii_lowercase())
}

/// A last label of digits alone belongs to an address (WHATWG URL, "ends in a number").
fn looks_numeric(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
}

/// One spelling for the many that an IPv6 address has.
fn bracketed(address: Ipv6Addr) -> String {
    format!("[{address}]")
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
const MAX_PORT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_is_kept_in_lower_case_without_a_trailing_dot() {
        for (text, shown) in [
            ("App.Example.COM", "app.example.com"),
            ("app.example.com.", "app.example.com"),
            ("*.Example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("my_service", "my_service"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), shown, "{text}");
        }
        assert_eq!(HostPattern::parse("*.a.b"), Ok(HostPattern::Below("a.b".to_owned())));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_reason() {
        use HostPatternError::*;
        for (text, error) in [
            ("", Empty),
            ("*", Star),
            ("*.*.example.com", Star),
            ("app.*.com", Star),
            ("a*.example.com", Star),
            ("*.", Label),
            (".", Label),
            ("a..b", Label),
            (".a", Label),
            ("app.example.com:443", Port),
            ("[::1]:443", Port),
            ("[::1", Address),
            ("[::g]", Address),
            ("[fe80::1%eth0]", Address),
            ("127.1", Address),
            ("*.0.0.1", Address),
            ("bücher.example", NotAscii),
            ("a@b", Character('@')),
            ("a b", Character(' ')),
            ("a/b", Character('/')),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(HostPattern::parse(&"a".repeat(64)), Err(Label));
        assert_eq!(HostPattern::parse(&"a.".repeat(200)), Err(TooLong));
    }

    #[test]
    fn hosts_overlap_by_whole_labels() {
        let overlap = |one, other| {
            let [one, other] = [one, other].map(|text| HostPattern::parse(text).unwrap());
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };
        for (one, other) in [("a.b", "a.b"), ("a.b", "*.b"), ("*.b", "*.b"), ("*.a.b", "*.b")] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [("a.b", "c.b"), ("b", "*.b"), ("ab", "*.b"), ("*.ab", "*.b"), ("a.b", "*.a.b")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }

    #[test]
    fn port_and_trailing_dot_do_not_count() {
        for (host, name) in [
            ("", ""),
            ("App.Example.com", "App.Example.com"),
            ("app.example.com:8443", "app.example.com"),
            ("app.example.com.:8443", "app.example.com"),
            ("app.example.com:", "app.example.com"),
            ("app.example.com:65535", "app.example.com"),
            ("app.example.com:00080", "app.example.com"),
            ("my_service:80", "my_service"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[::1]:8443", "[::1]"),
            ("[0:0::0001]", "[::1]"),
        ] {
            assert_eq!(bare(host).as_deref(), Some(name), "{host}");
        }
    }

    #[test]
    fn what_another_might_read_as_a_host_is_none() {
        let long = "a".repeat(MAX_NAME + 1);
        for host in [
            ".",
            "..",
            ":80",
            "a..b",
            "a..",
            ".a",
            "a:b",
            "a:80:80",
            "user@a",
            "a b",
            "a,b",
            "a%2eb",
            "a/b",
            "é",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[::1%25eth0]",
            "::1",
            "a:123456",
            "a:65536",
            "a:99999",
            "a:+80",
            "a:-1",
            "a: 80",
            "a\tb",
            " a",
            "a ",
            "a\\b",
            "a#b",
            "a?b",
            "a*b",
            "a%00",
            "%61",
            "[::1]80",
            "[]",
            "[192.0.2.1]",
            "[v1.x]",
            "http://a",
            "a;b",
            "a\"b",
            "a'b",
            "a|b",
            &long,
        ] {
            assert_eq!(bare(host), None, "{host}");
        }
    }
}
