//! The URL of a PostgreSQL database, as libpq writes them
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>, section 34.1.1.2).
//!
//! Never here: a word of the URL in an error, but for the names of options that are known: any other may be a part
//! of a password.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;

use crate::{config::nearest::nearest, store::DatabaseServer};

/// What the URL says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// At least one; all sockets or none.
    pub(super) servers: Vec<DatabaseServer>,
    pub(super) user: String,
    pub(super) database: String,
    /// `sslmode`, where it is said.
    pub(super) encryption: Option<Encryption>,
    /// The file of `sslrootcert`, where it is said.
    pub(super) root: Option<String>,
}

/// The values of `sslmode` that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// Reads what stands behind `postgres:`.
pub(super) fn parse(rest: &str) -> Result<Url, String> {
    let rest = rest.strip_prefix("//").ok_or_else(expected)?;
    if rest.contains('#') {
        return Err("a `#` is written %23".to_owned());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (user, hosts),
        // What looks like a host may be a user, and what looks like a port and a path the password.
        None if authority.contains(':') && database.contains('@') => return Err(HIDDEN_PASSWORD.to_owned()),
        None => ("", authority),
    };
    if user.contains(':') {
        return Err(PASSWORD.to_owned());
    }
    let mut options = Options::read(query)?;
    let user = options.one(USER, decoded(user)?)?.ok_or_else(|| missing("the user is missing"))?;
    let database =
        options.one(DATABASE, decoded(database)?)?.ok_or_else(|| missing("the database is missing"))?;
    let root = options.take(ROOT).filter(|root| root != SYSTEM);
    let has_root = root.is_some();
    let encryption = options.take(MODE).map(|mode| encryption(&mode)).transpose()?;
    if has_root && encryption.is_some_and(|encryption| encryption != Encryption::VerifyFull) {
        return Err("`sslrootcert` has no use without sslmode=verify-full".to_owned());
    }
    if options.take(WRITABLE).is_some_and(|value| !["any", "primary", "read-write"].contains(&value.as_str()))
    {
        return Err("expected target_session_attrs=read-write: the gateway writes".to_owned());
    }
    let servers = servers(hosts, &mut options)?;
    let verified = encryption.map_or(has_root, |encryption| encryption == Encryption::VerifyFull);
    check_names(&servers, verified)?;
    Ok(Url { servers, user, database, encryption, root })
}

/// The options behind the `?`, each decoded.
struct Options(Vec<(&'static str, String)>);

impl Options {
    fn read(query: &str) -> Result<Self, String> {
        let mut options = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("expected NAME=VALUE behind the `?`")?;
            if SECRETS.contains(&name) {
                return Err(PASSWORD.to_owned());
            }
            if let Some((_, why)) = REFUSED.iter().find(|(names, _)| names.contains(&name)) {
                return Err(format!("`{name}` is not taken in the URL: {why}"));
            }
            let name = TAKEN.into_iter().find(|taken| *taken == name).ok_or_else(|| {
                // Its name may be a part of a password; one that is nearly known is not.
                match nearest(name, TAKEN) {
                    Some(meant) => format!("an option is not known; did you mean `{meant}`?"),
                    None => format!("an option is not known; expected {} behind the `?`", TAKEN.join(", ")),
                }
            })?;
            if options.iter().any(|(known, _)| *known == name) {
                return Err(format!("`{name}` is said twice"));
            }
            options.push((name, decoded(value)?));
        }
        Ok(Self(options))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// What may stand in front of the `?` or behind it, but not in both; `None` where it is in neither.
    fn one(&mut self, name: &str, before: String) -> Result<Option<String>, String> {
        match (self.take(name).filter(|value| !value.is_empty()), before) {
            (Some(_), before) if !before.is_empty() => Err(format!("`{name}` is said twice")),
            (Some(behind), _) => Ok(Some(behind)),
            (None, before) => Ok(Some(before).filter(|before| !before.is_empty())),
        }
    }
}

/// The servers named in front of the `?`, or by `host` and `port` behind it.
fn servers(hosts: &str, options: &mut Options) -> Result<Vec<DatabaseServer>, String> {
    let port = options.take(PORT).map(|port| number(&port)).transpose()?;
    let behind = options.take(HOST);
    let servers: Vec<DatabaseServer> = match (hosts, behind) {
        ("", None) => return Err(missing("the host is missing")),
        ("", Some(hosts)) => hosts
            .split(',')
            .map(|host| server(host, port.unwrap_or(PORT_BY_DEFAULT)))
            .collect::<Result<_, _>>()?,
        (_, Some(_)) => return Err("`host` is said twice".to_owned()),
        (hosts, None) => hosts.split(',').map(|host| authority(host, port)).collect::<Result<_, _>>()?,
    };
    let sockets = servers.iter().filter(|server| matches!(server, DatabaseServer::Socket(..))).count();
    if sockets != 0 && sockets != servers.len() {
        return Err("expected sockets or hosts, not both".to_owned());
    }
    Ok(servers)
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
fn authority(text: &str, port: Option<u16>) -> Result<DatabaseServer, String> {
    let (host, own) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(expected)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match (own, port) {
        (Some(_), Some(_)) => return Err("`port` is said twice".to_owned()),
        (Some(own), None) => number(own)?,
        (None, port) => port.unwrap_or(PORT_BY_DEFAULT),
    };
    server(&decoded(host)?, port)
}

fn server(host: &str, port: u16) -> Result<DatabaseServer, String> {
    match host {
        "" => Err(missing("a host is missing")),
        _ if host.starts_with('/') => Ok(DatabaseServer::Socket(PathBuf::from(host), port)),
        _ if host.contains(|letter: char| {
            letter.is_whitespace() || letter.is_control() || "@/".contains(letter)
        }) =>
        {
            Err(expected())
        }
        _ => Ok(DatabaseServer::Tcp(host.to_owned(), port)),
    }
}

/// Whether a certificate can be for every name, where one will be asked for.
fn check_names(servers: &[DatabaseServer], verified: bool) -> Result<(), String> {
    let impossible = |server: &&DatabaseServer| match server {
        DatabaseServer::Socket(..) => false,
        DatabaseServer::Tcp(host, _) => {
            (verified || !server.is_local()) && ServerName::try_from(host.as_str()).is_err()
        }
    };
    match servers.iter().find(impossible) {
        Some(_) => Err("expected a host's name or address, as a certificate has it".to_owned()),
        None => Ok(()),
    }
}

fn encryption(mode: &str) -> Result<Encryption, String> {
    match mode {
        "disable" => Ok(Encryption::Disable),
        "prefer" => Ok(Encryption::Prefer),
        "require" => Ok(Encryption::Require),
        "verify-full" => Ok(Encryption::VerifyFull),
        _ => Err("expected sslmode=disable, prefer, require or verify-full".to_owned()),
    }
}

fn number(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err("expected a port from 1 to 65535".to_owned()),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let escapes = text.split('%').skip(1);
    let broken =
        |escape: &str| !escape.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|text| !text.contains('\0'));
    match decoded {
        Some(decoded) if !escapes.into_iter().any(broken) => Ok(decoded.into_owned()),
        _ => Err("an escape is broken: expected %XX, and a `%` as %25".to_owned()),
    }
}

fn missing(what: &str) -> String {
    format!("{what}; expected {FORM}, or ?host=/run/postgresql for a socket")
}

fn expected() -> String {
    format!("expected {FORM}")
}

pub(super) const FORM: &str = r#""postgres://USER@HOST[:PORT]/DATABASE""#;

const PASSWORD: &str = "a password never stands in the URL: expected `password = { file = … }` beside it";

/// It may be a database's name as well.
const HIDDEN_PASSWORD: &str = "an `@` behind the first `/` is written %40; but a password never stands in the URL, with \
                               whatever escapes: expected `password = { file = … }` beside it";

const PORT_BY_DEFAULT: u16 = 5432;

const DATABASE: &str = "dbname";
const HOST: &str = "host";
const MODE: &str = "sslmode";
const PORT: &str = "port";
const ROOT: &str = "sslrootcert";
const USER: &str = "user";
const WRITABLE: &str = "target_session_attrs";

const TAKEN: [&str; 7] = [HOST, PORT, USER, DATABASE, MODE, ROOT, WRITABLE];

/// What libpq calls the certificates that the system believes, which is the default here.
const SYSTEM: &str = "system";

const SECRETS: [&str; 2] = ["password", "sslpassword"];

/// libpq's other options, and what to do instead.
const REFUSED: [(&[&str], &str); 6] = [
    (&["options"], "set it for the role, ALTER ROLE … SET …"),
    (
        &[
            "sslcert",
            "sslkey",
            "sslcertmode",
            "sslcrl",
            "sslcrldir",
            "sslcompression",
            "sslsni",
            "requiressl",
        ],
        "expected sslmode and sslrootcert alone",
    ),
    (
        &[
            "connect_timeout",
            "keepalives",
            "keepalives_count",
            "keepalives_idle",
            "keepalives_interval",
            "tcp_user_timeout",
        ],
        "the gateway has its own bounds",
    ),
    (&["application_name", "fallback_application_name"], "it is `portcullis`"),
    (&["passfile", "service", "servicefile"], "no file but this one is asked"),
    (
        &[
            "channel_binding",
            "client_encoding",
            "gssdelegation",
            "gssencmode",
            "gsslib",
            "hostaddr",
            "krbsrvname",
            "load_balance_hosts",
            "replication",
            "require_auth",
            "requirepeer",
            "ssl_max_protocol_version",
            "ssl_min_protocol_version",
            "sslnegotiation",
        ],
        "it has no use here",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> DatabaseServer {
        DatabaseServer::Tcp(host.to_owned(), port)
    }

    fn socket(folder: &str, port: u16) -> DatabaseServer {
        DatabaseServer::Socket(folder.into(), port)
    }

    #[test]
    fn servers_are_named_as_libpq_names_them() {
        for (url, servers) in [
            ("//me@db/x", vec![tcp("db", 5432)]),
            ("//me@db:6432/x", vec![tcp("db", 6432)]),
            ("//me@db/x?port=6432", vec![tcp("db", 6432)]),
            ("//me@10.0.0.1,[2001:db8::1]:7/x", vec![tcp("10.0.0.1", 5432), tcp("2001:db8::1", 7)]),
            ("//me@/x?host=/run/postgresql", vec![socket("/run/postgresql", 5432)]),
            ("///x?host=/a,/b&port=7&user=me", vec![socket("/a", 7), socket("/b", 7)]),
            ("//me@%2Frun%2Fpostgresql:7/x", vec![socket("/run/postgresql", 7)]),
            ("//?host=a,b&user=me&dbname=x", vec![tcp("a", 5432), tcp("b", 5432)]),
            ("//me@db?dbname=x&target_session_attrs=read-write", vec![tcp("db", 5432)]),
        ] {
            let parsed = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(parsed.servers, servers, "{url}");
            assert_eq!((parsed.user.as_str(), parsed.database.as_str()), ("me", "x"), "{url}");
            assert_eq!((parsed.encryption, parsed.root), (None, None), "{url}");
        }
    }

    #[test]
    fn names_and_options_are_decoded() {
        let url = parse("//m%40e@db/my%20db?sslmode=verify-full&sslrootcert=a%2Fb+c.pem").unwrap();
        assert_eq!((url.user.as_str(), url.database.as_str()), ("m@e", "my db"));
        assert_eq!(url.encryption, Some(Encryption::VerifyFull));
        assert_eq!(url.root.as_deref(), Some("a/b+c.pem"));
        assert_eq!(parse("//me@db/x?sslrootcert=system").unwrap().root, None);
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_the_url() {
        for (url, hint) in [
            ("me@db/xyzzy", "expected \"postgres://USER@HOST"),
            ("//db/xyzzy", "the user is missing"),
            ("//xyzzy@db", "the database is missing"),
            ("//xyzzy@/x", "the host is missing"),
            ("//xyzzy@a,/x", "a host is missing"),
            ("//me:xyzzy@db/x", "a password never stands in the URL"),
            ("//me:@db/xyzzy", "a password never stands in the URL"),
            ("//me:xy@zzy@db/x", "a password never stands in the URL"),
            ("//me:xy/zzy@db/x", "a password never stands in the URL"),
            ("//me:xy/z@zzy@db/x", "a password never stands in the URL"),
            ("//me:12/xyzzy@db/x", "an `@` behind the first `/` is written %40"),
            ("//me@db/x?password=xyzzy", "a password never stands in the URL"),
            ("//me@db/x?a=b&xyzzy=1", "an option is not known"),
            ("//me@db/x?sslmod=xyzzy", "an option is not known; did you mean `sslmode`?"),
            ("//me@db/x?dbnam=xyzzy", "did you mean `dbname`?"),
            ("//me@db/x?xyzzy", "expected NAME=VALUE"),
            ("//me@db/x?sslmode=xyzzy", "expected sslmode=disable, prefer, require or verify-full"),
            ("//me@db/xyzzy?sslmode=verify-ca", "expected sslmode=disable, prefer, require or verify-full"),
            ("//me@db/xyzzy?sslmode=require&sslrootcert=a", "`sslrootcert` has no use"),
            ("//me@db/xyzzy?options=-cfsync=off", "`options` is not taken in the URL: set it for the role"),
            ("//me@db/xyzzy?connect_timeout=5", "the gateway has its own bounds"),
            ("//me@db/xyzzy?sslcert=a", "expected sslmode and sslrootcert alone"),
            ("//me@db/xyzzy?target_session_attrs=standby", "the gateway writes"),
            ("//me@db/x?user=xyzzy", "`user` is said twice"),
            ("//me@db/x?dbname=xyzzy", "`dbname` is said twice"),
            ("//me@db/x?host=xyzzy", "`host` is said twice"),
            ("//me@db:5/xyzzy?port=5", "`port` is said twice"),
            ("//me@db/x?sslmode=prefer&sslmode=xyzzy", "`sslmode` is said twice"),
            ("//me@db:0/xyzzy", "expected a port"),
            ("//me@db:xyzzy/x", "expected a port"),
            ("//me@[::1]xyzzy/x", "expected \"postgres://USER@HOST"),
            ("//me@%2Frun,xyzzy/x", "expected sockets or hosts"),
            ("//me@xy%20zzy/x", "expected \"postgres://USER@HOST"),
            ("//me@-xyzzy/x", "as a certificate has it"),
            ("//me@db/xyzzy%2", "an escape is broken"),
            ("//me@db/xyzzy%00", "an escape is broken"),
            ("//me@db/xyzzy%ff", "an escape is broken"),
            ("//me@db/x#xyzzy", "a `#` is written %23"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(hint), "{url}: {error}");
            assert!(!error.contains("xyzzy"), "{url}: {error}");
        }
    }
}
