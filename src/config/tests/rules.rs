use std::{num::NonZeroU32, path::Path, time::Duration};

use http::Method;

use super::*;
use crate::{
    proxy::{IdentityHeader, IdentityValue},
    route::{Access, Claim, Cors, Destination, HostPattern, Origin, Origins, PathPattern, Requirement},
    secret::ExposeSecret,
    server::TlsVersion,
    store::{self, DatabaseServer, DatabaseTls, Judge},
    telemetry::{Format, Level},
};

/// `text` beside the smallest file, and the keys and messages of what is wrong with it.
fn wrong(text: &str) -> Vec<String> {
    let faults = Site::new(&format!("{text}\n{SMALLEST}")).read().map(|checked| checked.print()).unwrap_err();
    faults.iter().map(|fault| format!("{}: {}", fault.key, fault.hint)).collect()
}

#[track_caller]
fn refuses(text: &str, hint: &str) {
    let wrong = wrong(text);
    assert!(wrong.len() == 1 && wrong[0].contains(hint), "{text}\n{wrong:#?}");
}

#[track_caller]
fn accepts(text: &str) -> Settings {
    Site::new(&format!("{text}\n{SMALLEST}")).settings()
}

#[test]
fn the_smallest_file_has_the_defaults_of_the_reference() {
    let site = Site::new(SMALLEST);
    let settings = site.settings();

    let https = settings.server.https.unwrap();
    assert_eq!(https.address, "0.0.0.0:8443".parse().unwrap());
    assert_eq!((https.min_version, https.client_ca.is_none()), (TlsVersion::Tls12, true));
    assert_eq!((settings.server.plain, settings.server.http), (None, None));
    assert!(settings.server.proxies.is_none() && settings.trusted_proxies.is_empty());
    let limits = settings.server.limits;
    assert_eq!(limits.handshake_timeout, Duration::from_secs(10));
    assert_eq!(limits.header_timeout, Duration::from_secs(10));
    assert_eq!(limits.idle_timeout, Duration::from_secs(60));
    assert_eq!((limits.header_size, limits.header_count, limits.streams), (32_768, 100, 200));
    assert_eq!((limits.connections, limits.connections_per_address), (10_000, 1000));
    assert_eq!((settings.shutdown.delay, settings.shutdown.grace), (Duration::ZERO, Duration::from_secs(30)));
    let store::Settings::Sqlite { path } = settings.store else { panic!("{:?}", settings.store) };
    assert_eq!(path, site.path("data/portcullis.db"));
    assert_eq!(settings.revocation.max_staleness, None);
    let tokens = settings.tokens;
    assert_eq!((tokens.issuer, tokens.audience.len(), tokens.claims.len()), (None, 0, 0));
    assert_eq!(tokens.access_lifetime, Duration::from_secs(30 * 60));
    assert_eq!(tokens.refresh_lifetime, Duration::from_secs(7 * 86_400));
    assert_eq!(tokens.session_lifetime, Duration::from_secs(30 * 86_400));
    assert_eq!((tokens.refresh_grace, tokens.leeway), (Duration::from_secs(10), Duration::ZERO));
    assert_eq!(tokens.user_claim, "user_id");
    let auth = settings.auth;
    assert_eq!((auth.registration, auth.login_by_username, auth.login_by_email), (false, true, true));
    assert_eq!(auth.reserved_names, ["admin", "administrator", "root", "system"]);
    assert_eq!(auth.sessions_per_user, 100);
    let quota = |attempts, secs| (NonZeroU32::new(attempts).unwrap(), Duration::from_secs(secs));
    assert_eq!((auth.per_account.attempts, auth.per_account.window), quota(10, 300));
    assert_eq!((auth.per_address.attempts, auth.per_address.window), quota(100, 300));
    assert_eq!((auth.registrations.attempts, auth.registrations.window), quota(20, 60));
    assert_eq!((settings.password.min, settings.password.max, settings.password.queue), (8, 1024, 128));
    let header = IdentityHeader { name: "x-user-id".parse().unwrap(), value: IdentityValue::User };
    assert_eq!(settings.identity.headers, [header]);
    assert_eq!(settings.auth_prefix.as_deref(), Some("/api/auth"));
    let body = BodyLimits {
        request_idle: Duration::from_secs(20),
        auth_size: 65_536,
        auth_deadline: Duration::from_secs(10),
    };
    assert_eq!(settings.body, body);
    let upstream = &settings.upstreams[0];
    assert_eq!(
        (upstream.connect_timeout, upstream.response_timeout),
        (Duration::from_secs(3), Duration::from_secs(30))
    );
    assert_eq!((upstream.idle_timeout, upstream.retries), (Duration::from_millis(1500), 1));
    assert_eq!(upstream.response_idle_timeout, Duration::from_secs(60));
    assert_eq!(upstream.stream_idle_timeout, Duration::from_secs(3600));
    assert_eq!((upstream.connections, upstream.health.is_none()), (1024, true));
    assert_eq!(format!("{:?}", upstream.servers[0].endpoint), "127.0.0.1:3000");
    let route = &settings.routes[0];
    assert_eq!(
        (route.access, route.destination, route.forward_token),
        (Access::Protected, Destination::Upstream(0), false)
    );
    assert_eq!(settings.admin, "127.0.0.1:9901".parse().unwrap());
    assert_eq!(
        (settings.log.format, settings.log.level, settings.log.access),
        (Format::Auto, Level::Info, true)
    );
}

#[test]
fn listeners() {
    refuses("[listen]\nhttps = \"8443\"", "expected an address and port");
    refuses("[listen]\nhttps = \"8443\"", "or \"off\"");
    refuses("[listen]\nworkers = 0", "expected 1 to 1024");
    refuses("[listen]\nworkers = 1025", "expected 1 to 1024");
    refuses("[listen]\nplane = \"127.0.0.1:80\"", "expected one of `https`, `http`, `plain`");
    refuses("[listen]\nhttps = \"off\"", "expected an address for `https` or for `plain`");
    refuses(
        "[listen]\nhttps = \"off\"\nhttp = \"[::]:80\"",
        "expected an address for `https` or for `plain`",
    );
    refuses(
        "[listen]\nhttps = \"off\"\nplain = \"[::1]:1\"\nhttp = \"[::1]:2\"",
        "listen.http: expected an address for `https`, or \"off\" here",
    );
    accepts("[listen]\nhttps = \"127.0.0.1:0\"\nplain = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"");
    let settings = accepts("[listen]\nhttps = \"off\"\nplain = \"127.0.0.1:8000\"").server;
    assert!(settings.https.is_none());
    assert_eq!(settings.plain, Some("127.0.0.1:8000".parse().unwrap()));
}

#[test]
fn no_two_listeners_share_a_port() {
    refuses(
        "[listen]\nplain = \"127.0.0.1:8443\"",
        "listen.plain: expected another port than that of `https`",
    );
    refuses("[listen]\nhttp = \"[::]:8443\"", "listen.http: expected another port than that of `https`");
    refuses(
        "[listen]\nhttp = \"0.0.0.0:1\"\nplain = \"127.0.0.1:1\"",
        "listen.plain: expected another port than that of `http`, 0.0.0.0:1",
    );
    refuses("[admin]\nlisten = \"127.0.0.1:8443\"", "that of `https` in [listen], 0.0.0.0:8443");
    refuses("[listen]\nplain = \"0.0.0.0:9901\"", "admin.listen: expected another port than that of `plain`");
    refuses("[listen]\nhttp = \"127.0.0.1:9901\"", "admin.listen: expected another port than that of `http`");
    refuses("[listen]\nhttps = \"127.0.0.1:1\"\n[admin]\nlisten = \"[::]:1\"", "expected another port");
    refuses("[admin]\nlisten = \"off\"", "expected an address and port");
    accepts("[listen]\nhttps = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"");
    accepts("[listen]\nhttps = \"10.0.0.1:1\"\nplain = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.2:1\"");
}

#[test]
fn proxy_headers_need_proxies() {
    refuses("[listen]\nproxy_protocol = true", "expected the proxies' networks in `trusted_proxies`");
    refuses("[listen]\nproxy_protocol = 2", "expected `true` or `false`");
    let server = accepts("[listen]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]").server;
    assert!(server.proxies.unwrap().contains("10.1.2.3".parse().unwrap()));
    assert!(accepts("[listen]\ntrusted_proxies = [\"10.0.0.0/8\"]").server.proxies.is_none());
}

#[test]
fn certificates() {
    refuses("[tls]", "expected `certificates`");
    refuses("tls = 5", "expected a table, found a number");
    refuses("[tls]\ncertificates = []", "expected one such as");
    refuses("[tls]\ncertificates = [{ cert = \"gateway.toml\" }]", "expected `key`");
    let pair = "{ cert = \"a.crt\", key = \"a.key\" }";
    let site = |text: &str| Site::new(&format!("{text}\n{SMALLEST}")).certificate("a.crt", "a.key");
    let faults = site("[tls]\ncertificates = [{ cert = \"a.key\", key = \"a.key\" }]").faults();
    assert!(faults.contains("no certificate"), "{faults}");
    let faults = site("[tls]\ncertificates = [{ cert = \"b.crt\", key = \"a.key\" }]").faults();
    assert!(faults.contains("^^^^^^^ `b.crt`: No such file or directory"), "{faults}");
    assert!(faults.contains("; relative paths count from the folder of the configuration file"), "{faults}");
    let faults = site(&format!("[tls]\ncertificates = [{pair}]")).certificate("b.crt", "a.key").faults();
    assert!(faults.contains("error: this certificate cannot be used"), "{faults}");
    // Every certificate is looked at.
    let faults = site(&format!("[tls]\ncertificates = [{pair}, {{ cert = \"x\", key = \"y\" }}]")).faults();
    assert!(faults.contains("`x`: No such") && faults.contains("`y`: No such"), "{faults}");
    // Without HTTPS there is no certificate, and none is made.
    let plain = "[listen]\nhttps = \"off\"\nplain = \"127.0.0.1:8000\"\n";
    let site = Site::new(&format!("{plain}{SMALLEST}"));
    assert!(site.settings().server.https.is_none());
    assert!(!site.path("certs").exists());
    let warnings = Site::new(&format!("{plain}[tls]\ncertificates = [{pair}]\n{SMALLEST}"))
        .certificate("a.crt", "a.key")
        .warnings();
    assert!(warnings.starts_with("warning: [tls] is not used\n"), "{warnings}");
}

#[test]
fn trusting_everybody_is_warned_about() {
    let warnings = |networks: &str| {
        Site::new(&format!("[listen]\ntrusted_proxies = [{networks}]\n{SMALLEST}")).warnings()
    };
    for networks in ["\"0.0.0.0/0\"", "\"10.0.0.0/8\", \"::/0\""] {
        assert!(warnings(networks).contains("everybody is a trusted proxy"), "{networks}");
    }
    assert!(!warnings("\"10.0.0.0/8\"").contains("trusted"));
}

#[test]
fn certificates_that_no_client_would_see_or_take_are_warned_about() {
    let made = |names: &[&str], years: (i32, i32), kind| {
        let key = rcgen::KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let warnings = |others: &[(String, String)]| {
        let list: Vec<_> = (0..others.len())
            .map(|index| format!("{{ cert = \"{index}.crt\", key = \"{index}.key\" }}"))
            .collect();
        let mut site = Site::new(&format!("[tls]\ncertificates = [{}]\n{SMALLEST}", list.join(", ")));
        for (index, (cert, key)) in others.iter().enumerate() {
            site = site.write(&format!("{index}.crt"), cert).write(&format!("{index}.key"), key);
        }
        let settings = site.settings();
        assert_eq!(settings.server.https.unwrap().certificates.len(), others.len());
        site.warnings()
    };
    let (ecdsa, rsa) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256);
    let first = made(&["a.example", "*.b.example"], (2020, 2030), ecdsa);
    let same = made(&["c.example", "*.b.example"], (2020, 2030), ecdsa);
    let said = warnings(&[first.clone(), same]);
    assert!(
        said.starts_with("warning: certificates[0] is for `*.b.example` as well, and is shown\n"),
        "{said}"
    );
    // Another name under the wildcard, and the same names under another kind of key.
    let other = made(&["x.b.example"], (2020, 2030), ecdsa);
    let twin = made(&["a.example", "*.b.example"], (2020, 2030), rsa);
    assert_eq!(warnings(&[first.clone(), other, twin]), "");
    // It is 2027.
    let said = warnings(&[made(&["a.example"], (2020, 2026), ecdsa)]);
    assert!(said.starts_with("warning: this certificate ended on 2026-01-01T00:00:00.000Z\n"), "{said}");
    let said = warnings(&[first, made(&["c.example"], (2028, 2030), ecdsa)]);
    assert!(said.starts_with("warning: this certificate begins on 2028-01-01T00:00:00.000Z\n"), "{said}");
}

#[test]
fn client_certificates() {
    let site = |text: &str| {
        let tls = "[tls]\ncertificates = [{ cert = \"a.crt\", key = \"a.key\" }]\nclient_ca = \"ca.crt\"\n";
        Site::new(&format!("{text}\n{tls}{SMALLEST}")).certificate("a.crt", "a.key")
    };
    let settings = site("").certificate("ca.crt", "ca.key").settings();
    assert_eq!(settings.server.https.unwrap().client_ca.unwrap().len(), 1);
    assert!(site("").faults().contains("`ca.crt`: No such file or directory"));
    let faults = site("").write("ca.crt", "x").faults();
    assert!(faults.contains("error: these certificates cannot be used"), "{faults}");
    let faults = site("[listen]\nplain = \"127.0.0.1:8000\"").certificate("ca.crt", "ca.key").faults();
    assert!(faults.contains("error: client certificates could be avoided"), "{faults}");
    assert!(faults.contains("expected \"off\" for `plain` in [listen]"), "{faults}");
}

#[test]
fn staleness_is_longer_than_a_few_looks() {
    for text in ["0s", "200ms", "999ms"] {
        refuses(&format!("[store]\nmax_staleness = {text:?}"), "expected at least \"1s\"");
    }
    refuses("[store]\nmax_staleness = \"never\"", "expected a duration such as \"30s\", or \"off\"");
    refuses("[store]\nmax_staleness = 30", "expected a duration such as \"30s\", or \"off\"");
    let settings = accepts("[store]\nmax_staleness = \"1s\"");
    assert_eq!(settings.revocation.max_staleness, Some(Duration::from_secs(1)));
    assert_eq!(accepts("[store]\nmax_staleness = \"off\"").revocation.max_staleness, None);
    for (life, warned) in [("30m", true), ("31m", false)] {
        let text =
            format!("[store]\nmax_staleness = \"30m\"\n[tokens]\naccess_lifetime = {life:?}\n{SMALLEST}");
        assert_eq!(Site::new(&text).warnings().contains("never refuses anybody"), warned, "{life}");
    }
}

#[test]
fn the_store_is_a_file() {
    refuses("[store]\nurl = \"sqlite:\"", "the path is missing; expected \"sqlite:PATH\"");
    for url in ["", "x.db", "sqlite:", "sqlite://x", "sqlite::memory:", "sqlite:data/"] {
        assert_eq!(wrong(&format!("[store]\nurl = \"{url}\"")).len(), 1, "{url}");
    }
    let store = accepts("[store]\nurl = \"sqlite:/var/x.db\"").store;
    assert!(matches!(&store, store::Settings::Sqlite { path } if path == Path::new("/var/x.db")));
    let site = |store: &str| Site::new(&format!("[store]\n{store}\n{SMALLEST}")).set("P", "xyzzy");
    let faults = site("password = { env = \"P\" }").faults();
    assert!(faults.contains("error: `store.password` has no use"), "{faults}");
}

#[test]
fn the_store_is_a_database() {
    let site = |store: &str| Site::new(&format!("[store]\n{store}\n{SMALLEST}")).set("P", "xyzzy");
    let postgres = |site: &Site| match site.settings().store {
        store::Settings::Postgres(settings) => settings,
        sqlite @ store::Settings::Sqlite { .. } => panic!("{sqlite:?}"),
    };
    let read = |url: &str| postgres(&site(&format!("url = \"{url}\"\npassword = {{ env = \"P\" }}")));
    let settings = read("postgresql://me@db:6432/x");
    assert_eq!((settings.user.as_str(), settings.database.as_str()), ("me", "x"));
    assert_eq!(settings.servers, [DatabaseServer::Tcp("db".to_owned(), 6432)]);
    assert_eq!(settings.password.unwrap().expose_secret(), b"xyzzy");
    assert_eq!(settings.judge, Judge::Database);
    assert!(matches!(settings.tls, DatabaseTls::VerifyFull(roots) if !roots.is_empty()));
    assert!(postgres(&site("url = \"postgres://me@db/x\"")).password.is_none());

    // What leaves this machine is encrypted for the right one, unless somebody says otherwise.
    for (url, tls) in [
        ("postgres://me@localhost/x", "Prefer"),
        ("postgres://me@127.0.0.1,[::1]/x", "Prefer"),
        ("postgres://me@127.0.0.1,db/x", "VerifyFull"),
        ("postgres://me@localhost/x?sslmode=verify-full", "VerifyFull"),
        ("postgres://me@db/x?sslmode=require", "Require"),
        ("postgres://me@db/x?sslmode=prefer", "Prefer"),
        ("postgres://me@db/x?sslmode=disable", "Disable"),
        ("postgres://me@/x?host=/run/postgresql&sslmode=require", "Disable"),
    ] {
        let site = site(&format!("url = \"{url}\""));
        assert!(format!("{:?}", postgres(&site).tls).starts_with(tls), "{url}");
        let is_risky = url.contains("@db") && url.contains("sslmode");
        assert_eq!(site.warnings().contains("sends password hashes"), is_risky, "{url}");
    }
    let given =
        site("url = \"postgres://me@localhost/x?sslrootcert=ca.pem\"").certificate("ca.pem", "ca.key");
    assert!(matches!(postgres(&given).tls, DatabaseTls::VerifyFull(roots) if roots.len() == 1));
    let faults = site("url = \"postgres://me@db/x?sslrootcert=ca.pem\"").faults();
    assert!(faults.contains("`ca.pem`: No such file or directory"), "{faults}");

    let faults = site("url = \"postgres://db\"\npassword = { env = \"P\" }").faults();
    assert_eq!(
        faults.matches("error:").count(),
        1,
        "a password beside a wrong URL may have its use: {faults}"
    );
    refuses("[store]\nurl = \"postgres:db\"", "expected \"postgres://USER@HOST[:PORT]/DATABASE\"");
    refuses("[store]\nurl = \"mysql://db\"", "expected \"sqlite:PATH\" or \"postgres:");
    let faults = site("url = \"postgres://me:xyzzy@db/x\"").faults();
    assert!(faults.contains("a password never stands in the URL"), "{faults}");
    assert!(!faults.contains("xyzzy"), "{faults}");
    let faults = site("url = \"postgres://me@db/x\"\npassword = \"xyzzy\"").faults();
    assert!(faults.contains("wrong type for `store.password`") && !faults.contains("xyzzy"), "{faults}");
}

#[test]
fn lifetimes() {
    refuses("[tokens]\naccess_lifetime = \"8d\"", "expected no more than `refresh_lifetime`");
    refuses("[tokens]\naccess_lifetime = \"0s\"", "expected whole seconds");
    refuses("[tokens]\naccess_lifetime = \"1500ms\"", "expected whole seconds");
    refuses("[tokens]\nleeway = \"61s\"", "expected at most \"60s\"");
    let warnings = Site::new(&format!("[tokens]\nsession_lifetime = \"1d\"\n{SMALLEST}")).warnings();
    assert!(warnings.starts_with("warning: refresh tokens would outlive their session"), "{warnings}");
}

#[test]
fn claims() {
    for name in ["token_type", "jti", "sid", "iat", "exp", "nbf", "iss", "aud"] {
        refuses(&format!("[tokens]\nclaims = {{ {name} = \"username\" }}"), "a meaning of its own");
        refuses(&format!("[tokens]\nuser_claim = \"{name}\""), "a meaning of its own");
    }
    refuses("[tokens]\nclaims = { user_id = \"username\" }", "names the user");
    refuses("[tokens]\nclaims = { sub = \"username\" }", "names the user");
    refuses("[tokens]\nclaims = { name = \"\" }", "expected \"username\"");
    refuses("[tokens]\nclaims = { name = 1 }", "expected a text, found a number");
    let identity = accepts("[tokens]\nuser_claim = \"sub\"").identity;
    assert_eq!(identity.headers[0].value, IdentityValue::User);
}

#[test]
fn keys() {
    let key = |rest: &str| format!("[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\n{rest}");
    refuses(&key(""), "expected `secret`");
    refuses(&key("secret = { env = \"UNSET\" }"), "the environment variable is not set");
    refuses(&key("secret = { file = \"absent\" }"), "No such file or directory");
    refuses(&key("secret = {}"), "expected { file = \"…\" } or { env = \"…\" }");
    refuses(&key("secret = { inline = \"short\" }"), "expected at least 32 bytes");
    refuses(&key("secret = { inline = \"\" }\nallow_short = true"), "expected a secret");
    refuses("[tokens]\nkey = []", "expected at least one");
    refuses("[tokens.key]\nid = \"a\"", "expected sections headed `[[tokens.key]]`, found a table");
    let two = key("allow_short = true\nsecret = { inline = \"x\" }\n").repeat(2);
    refuses(&two, "another key has this id");
}

#[test]
fn a_secret_from_a_file_loses_one_newline() {
    let text = format!(
        "{SMALLEST}[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\nallow_short = true\nsecret = {{ file = \"s\" }}\n"
    );
    for (content, secret) in [("a\n", "a"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a ")] {
        let keys = Site::new(&text).write("s", content).settings().tokens.keys;
        assert_eq!(keys[0].secret.expose_secret(), secret.as_bytes());
    }
    assert!(Site::new(&text).write("s", "\n").faults().contains("is empty"));
}

#[test]
fn identity_headers() {
    refuses(
        "[identity]\nheaders = { X-Name = \"nam\" }\n[tokens]\nclaims = { name = \"roles\" }",
        "did you mean `name`?",
    );
    refuses("[identity]\nheaders = { Host = \"user_id\" }", "a meaning of its own");
    refuses("[identity]\nheaders = { X-Forwarded-For = \"user_id\" }", "tells an upstream");
    refuses(
        "[identity]\nheaders = { X-User = \"user_id\", X_USER = \"user_id\" }",
        "letters and digits are the same",
    );
    refuses("[identity]\nstrip = [\"Content-Length\"]", "cannot do without");
    refuses("[identity]\nstrip = [\"a b\"]", "expected a header name");
    accepts("[identity]\nstrip = [\"Cookie\"]\nheaders = {}");
}

#[test]
fn open_registration_beside_names_that_users_choose() {
    let text = |field: &str, ours: bool| {
        format!(
            "[auth]\nregistration = true\n[tokens]\nclaims = {{ name = \"{field}\" }}\n[identity]\n\
             headers = {{ Remote-User = \"name\" }}\nnames_are_ours = {ours}"
        )
    };
    for field in ["username", "email"] {
        let wrong = wrong(&text(field, false));
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with(&format!("auth.registration: header `Remote-User` carries the {field}"))
        );
        accepts(&text(field, true));
    }
    accepts(&text("roles", false));
}

#[test]
fn accounts() {
    refuses("[auth]\nprefix = \"/\"", "expected a path such as");
    refuses("[auth]\nlogin_by = []", "expected at least one");
    refuses("[auth]\nlogin_by = [\"name\"]", "expected \"username\" or \"email\"");
    refuses("[auth]\nsessions_per_user = 0", "expected 1 to");
    refuses("[auth.password]\nmin = 20\nmax = 10", "expected `min` to be at most `max`, which is 10");
    refuses("[auth.throttle]\nper_account = { attempts = 0 }", "expected at least 1");
    refuses("[auth.throttle]\nper_account = { atempts = 1 }", "did you mean `attempts`?");
    refuses("[auth.throttle.per_account]\nwindow = \"0s\"", "more than zero");
    assert_eq!(accepts("[auth]\nprefix = \"off\"").auth_prefix, None);
}

#[test]
fn upstreams() {
    let servers = "servers = [\"http://a:1\"]";
    refuses("[upstream.a]", "expected `servers`");
    refuses("[upstream.a]\nservers = []", "expected at least one");
    for twice in [
        r#""http://a", "http://A:80""#,
        r#""http://a:1", "https://a:1""#,
        r#""unix:/a", "http://b", "unix:/a""#,
    ] {
        refuses(&format!("[upstream.a]\nservers = [{twice}]"), "expected each of them once");
    }
    refuses("[upstream.a]\nservers = [\"unix:\"]", "expected the path of a socket");
    refuses("[upstream.a]\nservers = [\"https://-a\"]", "expected a DNS name or an address");
    let route = |url: &str| Site::new(&format!("[[route]]\npath = \"/*\"\nupstream = \"{url}\"\n")).faults();
    let faults = route("https://127.0.0.1:3000/base");
    assert!(faults.starts_with("error: impossible URL for an upstream\n"), "{faults}");
    assert!(route("ftp://a").contains("^ expected a URL such as"));
    refuses(&format!("[upstream.a]\n{servers}\nretries = 2"), "expected 0 to 1");
    refuses(&format!("[upstream.echo]\n{servers}"), "the built-in backend");
    refuses(&format!("[upstream.'a:b']\n{servers}"), "letters, digits");
    refuses("[upstream]\na = 1", "expected a table");
    let warnings = Site::new(&format!("[upstream.a]\n{servers}\n{SMALLEST}")).warnings();
    assert!(
        warnings.starts_with("warning: no route leads to upstream `a`\n --> gateway.toml:1:11"),
        "{warnings}"
    );

    let upstream = "[upstream.a]\nservers = [\"http://b\", \"unix:run/a\", \"http://[::1]:2\"]";
    let site = Site::new(&format!("{upstream}\n{SMALLEST}"));
    let servers = site.settings().upstreams.remove(0).servers;
    let endpoints = servers.iter().map(|server| format!("{:?}", server.endpoint));
    let socket = format!("{:?}", site.path("run/a"));
    assert_eq!(endpoints.collect::<Vec<_>>(), ["b:80", socket.as_str(), "::1:2"]);
}

#[test]
fn health_of_upstreams() {
    let with = |health: &str| format!("[upstream.a]\nservers = [\"http://a\"]\nhealth = {health}");
    refuses(&with("{}"), "expected `path`");
    refuses(&with("5"), "expected a table");
    refuses(&with("{ path = \"healthz\" }"), "expected a path such as");
    refuses(&with("{ path = \"/a b\" }"), "expected a path such as");
    refuses(&with("{ path = \"/\", interval = \"99ms\" }"), "expected at least \"100ms\"");
    refuses(&with("{ path = \"/\", unhealthy_after = 0 }"), "expected 1 to 100");
    refuses(&with("{ path = \"/\", healthy_after = 0 }"), "expected 1 to 100");
    refuses(&with("{ path = \"/\", intervall = \"5s\" }"), "did you mean `interval`?");
    let health = accepts(&with("{ path = \"/h?x\" }")).upstreams[0].health.clone().unwrap();
    assert_eq!((health.path.as_str(), health.interval), ("/h?x", Duration::from_secs(5)));
    assert_eq!((health.unhealthy_after, health.healthy_after), (2, 1));
}

#[test]
fn tls_of_upstreams() {
    let section =
        |scheme: &str, tls: &str| format!("[upstream.a]\nservers = [\"{scheme}://b\"]\ntls = {tls}");
    let site = |tls: &str| {
        Site::new(&format!("{}\n{SMALLEST}", section("https", tls)))
            .certificate("ca.crt", "ca.key")
            .certificate("b.crt", "b.key")
    };
    let faults = |tls: &str| site(tls).faults();
    refuses(&section("http", "{ server_name = \"a\" }"), "expected one, or no `tls`");
    refuses(&section("unix", "{}").replace("//b", "/b"), "expected one, or no `tls`");
    refuses(&section("https", "{ server_name = \"a b\" }"), "expected a DNS name or an address");
    refuses(&section("https", "{ ca = \"absent\" }"), "No such file or directory");
    refuses(&section("https", "{ ca = 5 }"), "expected a text");
    assert!(faults("{ ca = \"ca.key\" }").contains("there is no certificate in the file"));
    for (given, missing) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        let faults = faults(&format!("{{ ca = \"ca.crt\", {given} = \"ca.crt\" }}"));
        assert!(faults.contains(&format!("`upstream.a.tls.{given}` without `{missing}`")), "{faults}");
        assert_eq!(faults.matches("error:").count(), 1, "{faults}");
    }
    let other = faults("{ ca = \"ca.crt\", client_cert = \"ca.crt\", client_key = \"b.key\" }");
    assert!(other.contains("the private key does not belong to the certificate"), "{other}");

    let site =
        site("{ ca = \"ca.crt\", server_name = \"c\", client_cert = \"b.crt\", client_key = \"b.key\" }");
    assert_eq!(format!("{:?}", site.settings().upstreams[0].servers[0].endpoint), "b:443 as c");
    let by_url = accepts("[[route]]\npath = \"/a\"\nupstream = \"https://10.0.0.1\"");
    assert_eq!(format!("{:?}", by_url.upstreams[0].servers[0].endpoint), "10.0.0.1:443 as 10.0.0.1");
}

#[test]
fn routes_with_the_same_url_share_an_upstream() {
    let settings = accepts("[[route]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:3000\"");
    assert_eq!(settings.upstreams.len(), 1);
    assert!(settings.routes.iter().all(|route| route.destination == Destination::Upstream(0)));
}

#[test]
fn routes() {
    let route = |rest: &str| format!("[[route]]\npath = \"/a\"\nupstream = \"echo\"\n{rest}");
    refuses(&route("access = \"open\""), "expected one of \"protected\", \"optional\", \"public\"");
    refuses(&route("hosts = []"), "no such key for any");
    refuses(&route("hosts = [\"a:80\"]"), "port");
    refuses(&route("methods = [\"get\"]"), "a method in capitals");
    refuses("[[route]]\npath = \"a\"\nupstream = \"echo\"", "begins with `/`");
    refuses(
        "[[route]]\npath = \"/*\"\nupstream = \"echo\"",
        "expected another path, other hosts or other methods",
    );
    let wrong = Site::new("[route]\npath = \"/*\"\nupstream = \"echo\"\n").faults();
    assert_eq!(wrong.matches("error:").count(), 1, "{wrong}");

    let settings = accepts(&route("hosts = [\"A.example\", \"*.b.example\"]\nmethods = [\"GET\", \"PUT\"]"));
    let found = &settings.routes[0];
    assert_eq!(found.name, "GET,PUT A.example,*.b.example/a");
    assert_eq!(found.path, PathPattern::Exact("/a".to_owned()));
    let hosts = [HostPattern::Exact("a.example".to_owned()), HostPattern::Below("b.example".to_owned())];
    assert_eq!(found.hosts, hosts);
    assert_eq!(found.methods.as_deref(), Some([Method::GET, Method::PUT].as_slice()));
}

#[test]
fn rules_of_routes() {
    let route = |rest: &str| {
        format!(
            "[tokens]\nclaims = {{ roles = \"roles\", level = \"level\" }}\n\
             [[route]]\npath = \"/a\"\nupstream = \"echo\"\n{rest}"
        )
    };
    refuses(&route("require = { rols = [\"admin\"] }"), "did you mean `roles`?");
    refuses(
        &route("require = { email = [\"a\"] }"),
        "expected one of `user_id`, `roles`, `level`; claims are named by",
    );
    refuses(&route("require = { roles = \"admin\" }"), "expected a list of values");
    refuses(&route("require = { roles = [] }"), "expected at least one value");
    refuses(&route("require = {}"), "expected at least one claim");
    refuses(&route("require = []"), "expected a table such as { roles = [\"admin\"] }");
    refuses(
        &route("access = \"public\"\nrequire = { roles = [\"admin\"] }"),
        "nobody is known on a public route",
    );
    let optional = route("access = \"optional\"\nrequire = { roles = [\"admin\"] }");
    let warnings = Site::new(&format!("{optional}\n{SMALLEST}")).warnings();
    assert!(warnings.starts_with("warning: a rule for users on a route that asks for none\n"), "{warnings}");

    let settings = accepts(&route("require = { level = [3, 4], user_id = [\"1\"] }"));
    let requirement = |claim, values: &[&str]| Requirement {
        claim,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    assert_eq!(
        settings.routes[0].require,
        [requirement(Claim::Extra(1), &["3", "4"]), requirement(Claim::User, &["1"])]
    );
    assert_eq!(accepts(&route("access = \"optional\"")).routes[0].access, Access::Optional);
}

#[test]
fn stripped_prefixes() {
    let route = |path: &str, prefix: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"echo\"\nstrip_prefix = \"{prefix}\"")
    };
    for (path, prefix, hint) in [
        ("/a/*", "/b", "that the route's own `path` begins with"),
        ("/api/*", "/ap", "that the route's own `path` begins with"),
        ("/api/*", "/api/v1", "that the route's own `path` begins with"),
        ("/api/*", "/API", "that the route's own `path` begins with"),
        ("/api/*", "/", "nothing would be taken off"),
        ("/api/*", "/api/", "a prefix ends without slash"),
        ("/api/*", "/api/*", "a prefix ends without slash"),
        ("/api/*", "api", "a path begins with `/`"),
        ("/api/*", "/%61pi", "`%` cannot stand in a path"),
    ] {
        refuses(&route(path, prefix), hint);
    }
    let settings = accepts(&route("/api/v1/*", "/api"));
    assert_eq!(settings.routes[0].strip_prefix.as_ref().unwrap().to_string(), "/api");
}

#[test]
fn origins() {
    let route = |cors: &str| format!("[[route]]\npath = \"/a\"\nupstream = \"echo\"\ncors = {cors}");
    for (cors, hint) in [
        ("{}", "expected at least one of `origins`"),
        ("{ origins = [] }", "expected at least one of `origins`"),
        ("{ origins = [], credentials = true }", "expected at least one origin"),
        ("{ origins = [\"*\"], credentials = true }", "any site could act as its visitors"),
        ("{ origins = [\"*\", \"https://a\"] }", "expected only \"*\""),
        ("{ origins = [\"https://a/\"] }", "an origin ends with its host or port"),
        ("{ origins = [\"https://*.a\"] }", "`*` stands alone or not at all"),
        ("{ origins = [\"null\"] }", "every page can make itself the origin `null`"),
        ("{ origins = [\"a.example\"] }", "no scheme"),
        ("{ origins = \"https://a\" }", "expected a list"),
        ("{ origins = [\"https://a\"], max_age = \"25h\" }", "expected at most \"24h\""),
        ("{ origins = [\"https://a\"], expose = [\"a b\"] }", "expected a header name"),
        ("{ origin = [\"https://a\"], origins = [\"https://a\"] }", "did you mean `origins`?"),
        ("true", "expected a table, found a boolean"),
    ] {
        refuses(&route(cors), hint);
    }
    refuses("[auth]\ncors = { origins = [\"https://a/\"] }", "an origin ends with its host or port");
    refuses("[auth]\nprefix = \"off\"\ncors = { origins = [\"*\"] }", "expected `prefix`, or no `cors`");
    assert_eq!(accepts("[auth]\ncors = { origins = [] }").auth_cors, None);
    assert_eq!(accepts("[auth]\ncors = { origins = [\"*\"] }").auth_cors.unwrap().origins, Origins::Any);

    let settings = accepts(&route(
        "{ origins = [\"HTTPS://App.example:443\"], credentials = true, expose = [\"ETag\", \"X-Total\"] }",
    ));
    let cors = Cors {
        origins: Origins::These(vec![Origin::parse("https://app.example").unwrap()]),
        credentials: true,
        expose: Some("etag, x-total".parse().unwrap()),
        max_age: Duration::from_secs(600),
    };
    assert_eq!(settings.routes[0].cors, Some(cors));
}

#[test]
fn a_route_behind_an_auth_endpoint_is_warned_about() {
    let site = |prefix: &str, path: &str| {
        let route = format!("[[route]]\npath = \"{path}\"\nupstream = \"echo\"\n");
        Site::new(&format!("[auth]\nprefix = \"{prefix}\"\n{route}{SMALLEST}"))
    };
    for path in [
        "/api/auth/login/",
        "/api/auth/login",
        "/api/auth/token/refresh/",
        "/api/auth/Me",
        "/api/auth/sessions/x",
    ] {
        let warnings = site("/api/auth", path).warnings();
        assert!(warnings.starts_with("warning: no request can take this route\n"), "{path}: {warnings}");
        assert!(warnings.contains("gateway.toml:4:8"), "{warnings}");
    }
    for (prefix, path) in [
        ("/api/auth", "/api/auth/*"),
        ("/api/auth", "/api/auth/login/x"),
        ("/api/auth", "/api/auth/captcha"),
        ("/api/auth", "/api/auth/sessions/x/y"),
        ("/auth", "/api/auth/login"),
        ("off", "/api/auth/login"),
    ] {
        let warnings = site(prefix, path).warnings();
        assert!(!warnings.contains("no request can take"), "{path}: {warnings}");
    }
}

#[test]
fn routes_take_the_forwarding_of_tokens_from_identity() {
    let settings = accepts(
        "[identity]\nforward_token = true\n[[route]]\npath = \"/a\"\nupstream = \"echo\"\nforward_token = false",
    );
    let forwarding: Vec<bool> = settings.routes.iter().map(|route| route.forward_token).collect();
    assert_eq!(forwarding, [false, true]);
}
