//! Which other sites' pages may read answers (the Fetch standard, "CORS protocol"): the configured half.
//!
//! Never here: headers and answers (`gateway`).

use std::{fmt, time::Duration};

use http::HeaderValue;

use super::HostPattern;

/// Whose pages may read the answers of a route or of the auth endpoints, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose.
    pub origins: Origins,
    /// Whether they may send cookies, and read what is answered to these. Never with [`Origins::Any`].
    pub credentials: bool,
    /// Names of the answers' headers that they may read, beside those that everybody may: a list as it is sent.
    pub expose: Option<HeaderValue>,
    /// How long a browser may remember what a preflight was answered.
    pub max_age: Duration,
}

/// The origins that may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// `*`.
    Any,
    /// These; never empty.
    These(Vec<Origin>),
}

impl Origins {
    /// Whether a page of `origin`, as the browser sends it, may read. Byte for byte: a browser knows one spelling.
    pub fn allow(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|one| one.0.as_bytes() == origin),
        }
    }
}

/// An origin as browsers write it (RFC 6454, section 6.2): lower case, no port where it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads scheme, host and perhaps a port.
    ///
    /// # Errors
    /// Whatever a browser would never send, so that no page could be meant.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
            || !scheme.bytes().all(is_scheme_byte)
        {
            return Err(OriginError::Scheme);
        }
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(OriginError::Path);
        }
        if rest.contains('*') {
            return Err(OriginError::Star);
        }
        // The colons of an IPv6 address lie within its brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        if host.ends_with('.') {
            // A page of `https://a./` is of another origin than one of `https://a/`, and seldom what is meant.
            return Err(OriginError::Host);
        }
        let HostPattern::Exact(host) = HostPattern::parse(host).map_err(|_| OriginError::Host)? else {
            return Err(OriginError::Star);
        };
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse::<u16>().map_err(|_| OriginError::Port)?)
            }
            Some(_) => return Err(OriginError::Port),
        };
        Ok(Self(match port {
            Some(port) if !is_own_port(&scheme, port) => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        }))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No host that a browser would write.
    #[error(r#"no host: expected an origin such as "https://app.example.com""#)]
    Host,
    /// `null`, which any page can be that asks for it.
    #[error("every page can make itself the origin `null` (a sandboxed frame): expected a real one")]
    Null,
    /// A slash at the end, a path or a query.
    #[error(r#"an origin ends with its host or port: expected no slash after it, no path and no query"#)]
    Path,
    /// What is no port.
    #[error("a port is a number of at most 65535")]
    Port,
    /// No scheme.
    #[error(r#"no scheme: expected an origin such as "https://app.example.com""#)]
    Scheme,
    /// `*` as a part.
    #[error(r#"`*` stands alone or not at all: expected each origin by its name, or only "*""#)]
    Star,
}

/// Ports that a browser leaves out (the URL standard, "default port").
fn is_own_port(scheme: &str, port: u16) -> bool {
    matches!((scheme, port), ("http", 80) | ("https", 443))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (text, kept) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://192.0.2.1:8000", "http://192.0.2.1:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://[0:0::1]", "http://[::1]"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_the_reason() {
        use OriginError::*;
        for (text, error) in [
            ("", Scheme),
            ("null", Null),
            ("NULL", Null),
            ("app.example.com", Scheme),
            ("://a", Scheme),
            ("ht tp://a", Scheme),
            ("https://", Host),
            ("https://a/", Path),
            ("https://a/b", Path),
            ("https://a?b", Path),
            ("https://a\\", Path),
            ("https://*.example.com", Star),
            ("https://*", Star),
            ("https://a:*", Star),
            ("https://u@a", Host),
            ("https://a b", Host),
            ("https://bücher.example", Host),
            ("https://a.", Host),
            ("https://[::1", Host),
            ("https://a:", Port),
            ("https://a:65536", Port),
            ("https://a:+1", Port),
            ("https://a:b", Port),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn origins_are_compared_byte_for_byte() {
        let these = Origins::These(vec![Origin::parse("https://a.example").unwrap()]);
        assert!(these.allow(b"https://a.example"));
        for other in [
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil.example",
            "https://evil-a.example",
            "https://A.example",
            "https://a.example/",
            "https://a.example.",
            "null",
            "*",
            "",
        ] {
            assert!(!these.allow(other.as_bytes()), "{other}");
        }
        assert!(Origins::Any.allow(b"null"));
    }
}
