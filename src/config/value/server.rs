//! A server's URL: `http://`, `https://` or `unix:`, and nothing behind the port.

use std::{net::Ipv6Addr, os::unix::net::SocketAddr, path::PathBuf};

use http::Uri;
use toml::{Spanned, de::DeValue};

use super::{FromToml, Wrong, text_of};

/// The URL of an upstream's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Server {
    /// The URL as it was written.
    pub(in crate::config) url: String,
    /// Where it is.
    pub(in crate::config) place: ServerPlace,
    /// `host:port` as the URL has it; `localhost` for a socket, which has no name.
    pub(in crate::config) authority: String,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum ServerPlace {
    /// A host and a port.
    Tcp {
        /// Host name or address in small letters, IPv6 without brackets.
        host: String,
        /// The port; the scheme's own where the URL has none.
        port: u16,
        /// Whether TLS is spoken there.
        is_https: bool,
    },
    /// A unix socket, perhaps relative to the configuration file.
    Unix(PathBuf),
}

impl Server {
    /// Reads a URL, or tells what is wrong with it.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, String> {
        if let Some(("unix", path)) = text.split_once(':') {
            return Self::parse_unix(text, path);
        }
        let uri: Uri = text.parse().map_err(|_| EXPECTED.to_owned())?;
        let (is_https, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(EXPECTED.to_owned()),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') {
            return Err(format!("a user or password in the URL has no meaning here; {EXPECTED}"));
        }
        if uri.query().is_some() || !["", "/"].contains(&uri.path()) {
            return Err(format!("a path in the URL has no meaning here; {EXPECTED}"));
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => usual_port,
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(0),
            None => 0,
        };
        if port == 0 {
            return Err("expected a port from 1 to 65535".to_owned());
        }
        let host = named(host).ok_or(EXPECTED)?.to_ascii_lowercase();
        Ok(Self {
            url: text.to_owned(),
            place: ServerPlace::Tcp { host, port, is_https },
            authority: authority.to_string(),
        })
    }

    fn parse_unix(text: &str, path: &str) -> Result<Self, String> {
        if path.is_empty() || path.starts_with("//") {
            return Err("expected the path of a socket such as \"unix:/run/app.sock\"".to_owned());
        }
        if SocketAddr::from_pathname(path).is_err() {
            return Err("the system knows no socket with such a path: expected a shorter one".to_owned());
        }
        Ok(Self {
            url: text.to_owned(),
            place: ServerPlace::Unix(path.into()),
            // As nginx says it.
            authority: "localhost".to_owned(),
        })
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

const EXPECTED: &str =
    r#"expected a URL such as "http://127.0.0.1:3000", "https://backend" or "unix:/run/app.sock""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port_or_a_socket() {
        for (url, host, port, is_https, authority) in [
            ("http://127.0.0.1:3000", "127.0.0.1", 3000, false, "127.0.0.1:3000"),
            ("http://backend/", "backend", 80, false, "backend"),
            ("HTTP://[::1]:80", "::1", 80, false, "[::1]:80"),
            ("https://Backend.example", "backend.example", 443, true, "Backend.example"),
            ("https://10.0.0.1:8443", "10.0.0.1", 8443, true, "10.0.0.1:8443"),
        ] {
            let place = ServerPlace::Tcp { host: host.to_owned(), port, is_https };
            let server = Server { url: url.to_owned(), place, authority: authority.to_owned() };
            assert_eq!(Server::parse(url), Ok(server));
        }
        let server = Server::parse("unix:/run/app.sock").unwrap();
        assert_eq!(server.place, ServerPlace::Unix("/run/app.sock".into()));
        assert_eq!(server.authority, "localhost");
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
            "https://a:0",
            "https://",
            "https://a/base",
            "unix:",
            "unix:///run/app.sock",
            &format!("unix:/{}", "x".repeat(108)),
            "ftp://a",
        ] {
            let hint = Server::parse(text).unwrap_err();
            assert!(!hint.contains("secret"), "{hint}");
        }
    }
}
