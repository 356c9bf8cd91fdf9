//! Paths that a backend may read as another route's (docs: "Which path"). Judged by models of backends, not by the
//! gateway's own readings: what reaches the upstream without a token, no model finds under a protected prefix.

use std::{collections::BTreeSet, io::Write};

use super::{
    arena::{Arena, get, tell},
    models::{self, MODELS},
    path_pieces::paths,
};
use crate::harness::{Answer, Client, Stream, Upstream};

/// `/*` is protected, `/public/*` is not: whatever is not surely public needs a token.
#[test]
fn public_within_protected() {
    judge("protected", "public", "/public/*", |read| !models::is_below(read, b"/public"));
}

/// `/*` is public, `/admin/*` is not.
#[test]
fn protected_within_public() {
    judge("public", "protected", "/admin/*", |read| models::is_below(read, b"/admin"));
}

#[track_caller]
fn judge(wide: &str, narrow: &str, path: &str, protects: fn(&[u8]) -> bool) {
    let upstream = Upstream::start(tell);
    let address = upstream.address;
    let route = |path: &str, access: &str| {
        format!("[[route]]\npath = \"{path}\"\naccess = \"{access}\"\nupstream = \"http://{address}\"\n")
    };
    let config = format!("[auth]\nregistration = true\n{}{}", route("/*", wide), route(path, narrow));
    let arena = Arena::with(upstream, &config);
    let mut faults = Vec::new();
    let (mut asked, mut passed) = (0, 0);
    let mut kept = Kept::new(&arena.gateway);
    for path in paths() {
        asked += 1;
        match kept.ask(&get(&path)) {
            Some(200) => passed += 1,
            Some(400 | 401 | 404) => {}
            status => faults.push(format!("{status:?}: {path}")),
        }
    }
    let requests = arena.upstream.requests();
    assert_eq!(requests.len(), passed);
    for request in requests {
        let target = request.head.split(|byte| *byte == b' ').nth(1).unwrap();
        let read = target.split(|byte| *byte == b'?').next().unwrap();
        for (name, model) in MODELS {
            if let Some(path) = model(read).filter(|path| protects(path)) {
                faults.push(format!("{} is {} to {name}", target.escape_ascii(), path.escape_ascii()));
            }
        }
    }
    assert!(asked > 8000 && passed > 100, "{passed} of {asked}");
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

/// What browsers, clients and frameworks really send: nothing of it is in anybody's way, and every byte arrives.
#[test]
fn ordinary_urls_pass_unchanged() {
    let mut arena = Arena::start();
    let long = format!("/public/search?q={}", "x%20y+".repeat(1000));
    let urls = [
        "/public",
        "/public/",
        "/public/a/b/c",
        "/public/index.html",
        "/public/archive.tar.gz",
        "/public/.well-known/security.txt",
        "/public/.hidden",
        "/public/a.b.c/d.e",
        "/public/UPPER/MiXed",
        "/public/with%20blank",
        "/public/a%20b/c%20d.txt",
        "/public/caf%C3%A9",
        "/public/%E6%97%A5%E6%9C%AC%E8%AA%9E",
        "/public/%F0%9F%98%80",
        "/public/caf\u{e9}",
        "/public/%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82?%D0%BA=1",
        "/public/a%2Fb",
        "/public/a%2fb%2Fc",
        "/public/a//b",
        "/public//",
        "/public/x;v=1",
        "/public/x;v=1;w=2/y;z=3",
        "/public/;jsessionid=0123456789ABCDEF",
        "/public/map;lat=50;long=20?x=1",
        "/public/100%25",
        "/public/50%25%20off",
        "/public/a%26b%3Dc",
        "/public/a&b=c",
        "/public/a+b",
        "/public/a%2Bb",
        "/public/~user/",
        "/public/(a)/[b]/{c}",
        "/public/a,b;c:d@e!f$g'h*i",
        "/public/@scope/package",
        "/public/@scope%2Fpackage",
        "/public/2026-11-22T02:18:36Z",
        "/public/users/me@example.com",
        "/public/C%23",
        "/public/what%3F",
        "/public/a%5Cb",
        "/public/a/...",
        "/public/v1.0./x",
        "/public/x.",
        "/public/x?",
        "/public/x?a",
        "/public/x?a=b&c=d",
        "/public/x?a=%",
        "/public/x?a=%zz&b=%2",
        "/public/x?a=%00",
        "/public/x?a=%0d%0aX-User-Id:%201",
        "/public/x?a=b+c%20d",
        "/public/x??a=b",
        "/public/x?a=b?c=d",
        "/public/x?/../../admin",
        "/public/x?a=../../admin&b=..;/",
        "/public/x?url=https://x/../y",
        "/public/x?url=https%3A%2F%2Fx%2F..%2Fy%23z",
        "/public/x?q={%22a%22:[1,2]}",
        "/public/x?q=a|b^c`d",
        "/public/x?\\..\\",
        "/public/x?a=\u{e9}",
        "/public/x?;",
        "/public/https://example.com/a",
        "/public/proxy/https%3A%2F%2Fexample.com%2Fa",
        "/public/data:text,x",
        long.as_str(),
    ];
    let mut stream = arena.gateway.connect();
    for url in urls {
        stream.get_mut().write_all(&get(url)).unwrap();
        let answer = Answer::read(&mut stream, false).unwrap_or_else(|| panic!("no answer: {url}"));
        assert_eq!(answer.status, 200, "{url}");
        assert_eq!(String::from_utf8(answer.body).unwrap(), format!("GET {url}"));
    }
    assert_eq!(arena.seen().unwrap().len(), urls.len());
}

/// Routes of a host beside routes of any: however the host is written, the strictest reader's view counts.
#[test]
fn a_host_behind_another() {
    let upstream = Upstream::start(tell);
    let address = upstream.address;
    let config = format!(
        "[auth]\nregistration = true\n\
         [[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"http://{address}\"\n\
         [[route]]\nhosts = [\"admin.test\", \"*.inner.test\"]\npath = \"/*\"\nupstream = \"http://{address}\"\n"
    );
    let arena = Arena::with(upstream, &config);
    let mut hosts = BTreeSet::new();
    for name in
        ["admin.test", "ADMIN.test", "a.inner.test", "A.b.INNER.test", "other.test", "xn--dmin-0na.test"]
    {
        for before in ["", " ", "\t", ".", "x@", "x:y@", "x,", "x ", "http://", "//", "\\", "%20", "x%00"] {
            for after in [
                "", ".", "..", ":", ":443", ":0443", ":99999", ":x", ":443:80", "@x", ",x", " ", " x", "/",
                "/x", "?", "#", "\\", "%00", "%2e", "\u{3002}", ";x", "_",
            ] {
                hosts.insert(format!("{before}{name}{after}"));
            }
        }
    }
    let (mut asked, mut faults) = (0, Vec::new());
    let mut kept = Kept::new(&arena.gateway);
    for host in &hosts {
        for target in ["/x".to_owned(), format!("http://{host}/x"), format!("https://other.test@{host}/x")] {
            asked += 1;
            let status = kept.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
            if !matches!(status, Some(200 | 400 | 401)) {
                faults.push(format!("{status:?}: {target} of {host:?}"));
            }
        }
    }
    let requests = arena.upstream.requests();
    for request in &requests {
        for host in readings_of_host(&request.header("host").unwrap()) {
            if host == "admin.test" || host.ends_with(".inner.test") {
                faults.push(format!("{host} in `{}`", request.head().escape_debug()));
            }
        }
    }
    assert!(asked > 4000 && requests.len() > 10, "{} of {asked}", requests.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// One connection after the other, each as long as it is kept.
struct Kept<'g> {
    client: &'g Client,
    stream: Option<Stream>,
}

impl<'g> Kept<'g> {
    fn new(client: &'g Client) -> Self {
        Self { client, stream: None }
    }

    /// The status, if there is an answer.
    fn ask(&mut self, bytes: &[u8]) -> Option<u16> {
        let mut stream = self.stream.take().unwrap_or_else(|| self.client.connect());
        stream.get_mut().write_all(bytes).ok()?;
        let answer = Answer::read(&mut stream, false)?;
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Some(answer.status)
    }
}

/// What a virtual host may be chosen by.
fn readings_of_host(host: &str) -> Vec<String> {
    let mut readings = vec![host.trim().to_ascii_lowercase()];
    let mut next = 0;
    while let Some(reading) = readings.get(next).cloned() {
        next += 1;
        let cuts = [
            reading.split(':').next(),
            reading.rsplit_once(':').map(|(name, _)| name),
            reading.rsplit('@').next(),
            reading.split('@').next(),
            reading.split(',').next(),
            reading.rsplit(',').next(),
            reading.split([' ', '\t', '/', '?', '#', '\\', '%', ';']).next(),
            reading.rsplit([' ', '\t', '/', '\\']).next(),
            Some(reading.trim_end_matches('.')),
            Some(reading.trim_start_matches('.')),
        ];
        for cut in cuts.into_iter().flatten().map(|cut| cut.trim().to_owned()) {
            if !readings.contains(&cut) {
                readings.push(cut);
            }
        }
    }
    readings
}
