use std::net::Ipv6Addr;

use http::Uri;
use toml::{Spanned, de::DeValue};

use super::{FromToml, Wrong, text_of};

/// The URL of an upstream's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Server {
    /// Host name or address, IPv6 without brackets.
    pub(in crate::config) host: String,
    /// The port, 80 where the URL has none.
    pub(in crate::config) port: u16,
    /// `host:port` as the URL has it.
    pub(in crate::config) authority: String,
}

impl Server {
    /// Reads a URL, or tells what is wrong with it.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a URL such as \"http://127.0.0.1:3000\"";
        for later in ["https", "unix"] {
            if text.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(later)) {
                return Err(format!("{later} upstreams are not there yet; {EXPECTED}"));
            }
        }
        let uri: Uri = text.parse().map_err(|_| EXPECTED.to_owned())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err(format!("a user or password in the URL has no meaning here; {EXPECTED}"));
        }
        if uri.query().is_some() || !["", "/"].contains(&uri.path()) {
            return Err(format!("a path in the URL has no meaning here; {EXPECTED}"));
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(0),
            None => 0,
        };
        if port == 0 {
            return Err("expected a port from 1 to 65535".to_owned());
        }
        let host = named(host).ok_or(EXPECTED)?;
        Ok(Self { host: host.to_owned(), port, authority: authority.to_string() })
    }
}

impl FromToml for Server {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let text = text_of(value, r#"a URL such as "http://127.0.0.1:3000""#, wrongs)?;
        Self::parse(text).map_err(|hint| wrongs.push(Wrong::of_value(value, hint))).ok()
    }
}

/// A host that can be resolved: an address or a DNS name.
fn named(host: &str) -> Option<&str> {
    if let Some(v6) = host.strip_prefix('[') {
        return v6.strip_suffix(']').filter(|v6| v6.parse::<Ipv6Addr>().is_ok());
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_name && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        let server = |host: &str, port, authority: &str| {
            Ok(Server { host: host.to_owned(), port, authority: authority.to_owned() })
        };
        assert_eq!(Server::parse("http://127.0.0.1:3000"), server("127.0.0.1", 3000, "127.0.0.1:3000"));
        assert_eq!(Server::parse("http://backend/"), server("backend", 80, "backend"));
        assert_eq!(Server::parse("HTTP://[::1]:80"), server("::1", 80, "[::1]:80"));
        for text in [
            "",
            "orders",
            "http://",
            "http:///x",
            "http://a:0",
            "http://a:",
            "http://a:99999",
            "http://a/base",
            "http://a?x",
            "http://me:secret@a",
            "http://[::1",
            "http://[x]",
            "http://a b",
            "https://a",
            "unix:/run/a",
            "ftp://a",
        ] {
            let hint = Server::parse(text).unwrap_err();
            assert!(!hint.contains("secret"), "{hint}");
        }
    }
}
