//! Request lines, header lines and pipelines (RFC 9112, sections 2 to 5).

use super::{Case, Either, HIDDEN, Passed, Refused, arena::Arena, check, join};

#[test]
fn request_lines_that_break_the_grammar() {
    let broken: &[&[u8]] = &[
        // HTTP/0.9 and versions that nobody speaks in text.
        b"GET /public/x\r\n",
        b"GET /public/x \r\n",
        b"GET\r\n",
        b"GET /public/x HTTP/0.9\r\n",
        b"GET /public/x HTTP/1.2\r\n",
        b"GET /public/x HTTP/1.10\r\n",
        b"GET /public/x HTTP/1.11\r\n",
        b"GET /public/x HTTP/01.1\r\n",
        b"GET /public/x HTTP/1.\r\n",
        b"GET /public/x HTTP/1\r\n",
        b"GET /public/x HTTP/2.0\r\n",
        b"GET /public/x HTTP/2\r\n",
        b"GET /public/x HTTP/3.0\r\n",
        b"GET /public/x HTTP/9.9\r\n",
        b"GET /public/x http/1.1\r\n",
        b"GET /public/x HtTP/1.1\r\n",
        b"GET /public/x ICAP/1.0\r\n",
        b"GET /public/x RTSP/1.0\r\n",
        b"GET /public/x XHTTP/1.1\r\n",
        b"GET /public/x HTTP/1.1x\r\n",
        b"GET /public/x HTTP /1.1\r\n",
        b"GET /public/x HTTP/1.1 \r\n",
        b"GET /public/x HTTP/1.1\t\r\n",
        b"GET /public/x HTTP/1.1\x0b\r\n",
        b"GET /public/x HTTP/1.1 HTTP/1.1\r\n",
        b"GET /public/x HTTP/1,1\r\n",
        b"GET /public/x HTTP/-1.1\r\n",
        b"GET /public/x HTTP/1.1\r\r\n",
        b"GET /public/x HTTP/1.1\rX: x\r\n",
        b"GET /public/x HTTP/1.1\x00\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        // Blanks that are not one.
        b" GET /public/x HTTP/1.1\r\n",
        b"\tGET /public/x HTTP/1.1\r\n",
        b"GET  /public/x HTTP/1.1\r\n",
        b"GET\t/public/x HTTP/1.1\r\n",
        b"GET\x0b/public/x HTTP/1.1\r\n",
        b"GET\x0c/public/x HTTP/1.1\r\n",
        b"GET\r/public/x HTTP/1.1\r\n",
        b"GET\xa0/public/x HTTP/1.1\r\n",
        b"GET\x00/public/x HTTP/1.1\r\n",
        b"GET /public/x\tHTTP/1.1\r\n",
        b"GET /public/x\x0bHTTP/1.1\r\n",
        b"GET /public/x  HTTP/1.1\r\n",
        b"GET /public/x\rHTTP/1.1\r\n",
        b"GET /public/x\x00 HTTP/1.1\r\n",
        b"GET /public/a b HTTP/1.1\r\n",
        b"GET /public/a\tb HTTP/1.1\r\n",
        b"GET /public/x HTTP/1.1 /secret HTTP/1.1\r\n",
        b"GET /public/x? HTTP/1.1 HTTP/1.1\r\n",
        // Methods.
        b"/public/x HTTP/1.1\r\n",
        b"G\xcbT /public/x HTTP/1.1\r\n",
        b"GE\x00T /public/x HTTP/1.1\r\n",
        b"GET: /public/x HTTP/1.1\r\n",
        b"GET( /public/x HTTP/1.1\r\n",
        b"GET@ /public/x HTTP/1.1\r\n",
        b"\"GET\" /public/x HTTP/1.1\r\n",
        b"{GET} /public/x HTTP/1.1\r\n",
        b"[GET /public/x HTTP/1.1\r\n",
        b"GET,POST /public/x HTTP/1.1\r\n",
        b"\xef\xbb\xbfGET /public/x HTTP/1.1\r\n",
        b"\x16\x03\x01 /public/x HTTP/1.1\r\n",
        b"CONNECT /public/x HTTP/1.1\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\n",
        b"CONNECT http://localhost/public/x HTTP/1.1\r\n",
        b"TRACE /public/x HTTP/1.1\r\n",
        b"TRACE * HTTP/1.1\r\n",
        // Targets.
        b"GET public/x HTTP/1.1\r\n",
        b"GET ?/public/x HTTP/1.1\r\n",
        b"GET #/public/x HTTP/1.1\r\n",
        b"GET \\public\\x HTTP/1.1\r\n",
        b"GET .. HTTP/1.1\r\n",
        b"GET ../public/x HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"GET */public/x HTTP/1.1\r\n",
        b"GET localhost HTTP/1.1\r\n",
        b"GET localhost:443 HTTP/1.1\r\n",
        b"GET localhost/public/x HTTP/1.1\r\n",
        b"GET evil.example:443 HTTP/1.1\r\n",
        b"GET @evil.example/public/x HTTP/1.1\r\n",
        b"GET :80/public/x HTTP/1.1\r\n",
        b"GET /public/\x01 HTTP/1.1\r\n",
        b"GET /public/\x1f HTTP/1.1\r\n",
        b"GET /public/\x7f HTTP/1.1\r\n",
        b"GET /public/\x0c HTTP/1.1\r\n",
        b"GET /public/x?\x01 HTTP/1.1\r\n",
        b"GET /public/x?\x7f HTTP/1.1\r\n",
        b"GET /public/x?\x00 HTTP/1.1\r\n",
        b"GET /public/%00 HTTP/1.1\r\n",
        b"GET /public/% HTTP/1.1\r\n",
        b"GET /public/%2 HTTP/1.1\r\n",
        b"GET /public/%u002e HTTP/1.1\r\n",
        b"GET /public/\xff HTTP/1.1\r\n",
        b"GET /public/\xc0\xae\xc0\xae/secret HTTP/1.1\r\n",
        // Another site's.
        b"GET http://evil.example/public/x HTTP/1.1\r\n",
        b"GET https://evil.example/public/x HTTP/1.1\r\n",
        b"GET http://localhost@evil.example/public/x HTTP/1.1\r\n",
        b"GET http://evil.example@localhost/public/x HTTP/1.1\r\n",
        b"GET http://user:password@localhost/public/x HTTP/1.1\r\n",
        b"GET http://@localhost/public/x HTTP/1.1\r\n",
        b"GET http://localhost:80/public/x HTTP/1.1\r\n",
        b"GET http://localhost.evil.example/public/x HTTP/1.1\r\n",
        b"GET http:///public/x HTTP/1.1\r\n",
        b"GET http:/public/x HTTP/1.1\r\n",
        b"GET http:public/x HTTP/1.1\r\n",
        b"GET http://?/public/x HTTP/1.1\r\n",
        b"GET http://#/public/x HTTP/1.1\r\n",
        b"GET http://localhost\\@evil.example/public/x HTTP/1.1\r\n",
        b"GET http://localhost%2fevil.example/public/x HTTP/1.1\r\n",
        b"GET http://localhost%00/public/x HTTP/1.1\r\n",
        b"GET http://[::1]/public/x HTTP/1.1\r\n",
        b"GET http://[localhost]/public/x HTTP/1.1\r\n",
        b"GET ftp://localhost/public/x HTTP/1.1\r\n",
        b"GET file://localhost/public/x HTTP/1.1\r\n",
        b"GET ://localhost/public/x HTTP/1.1\r\n",
        b"GET //localhost:x/public/x HTTP/1.1\r\n",
        b"GET javascript:alert(1) HTTP/1.1\r\n",
    ];
    check(broken.iter().map(|line| Case::new(join(&[line, FIELDS, HIDDEN]), FOLLOWING, Refused)));
}

/// What looks odd and is legal crosses as what it is, or is refused.
#[test]
fn request_lines_at_the_border() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"GET http://localhost/public/x HTTP/1.1\r\n", &["GET /public/x"]),
        (b"GET https://localhost/public/x HTTP/1.1\r\n", &["GET /public/x"]),
        (b"GET HTTP://LOCALHOST/public/x HTTP/1.1\r\n", &["GET /public/x"]),
        (b"GET http://localhost/secret HTTP/1.1\r\n", &[]),
        (b"GET http://localhost HTTP/1.1\r\n", &[]),
        (b"GET http://localhost?/public/x HTTP/1.1\r\n", &[]),
        (b"GET http://localhost/public/../secret HTTP/1.1\r\n", &[]),
        (b"GET //evil.example/public/x HTTP/1.1\r\n", &[]),
        (b"GET ///public/x HTTP/1.1\r\n", &[]),
        (b"GET /\\evil.example/public/x HTTP/1.1\r\n", &[]),
        (b"GET /public/x#/../secret HTTP/1.1\r\n", &["GET /public/x"]),
        (b"GET /public/x?a#b HTTP/1.1\r\n", &["GET /public/x?a"]),
        (b"GET /public/x?/../../secret HTTP/1.1\r\n", &["GET /public/x?/../../secret"]),
        (b"GET /public/\xc3\xa9 HTTP/1.1\r\n", &["GET /public/\u{e9}"]),
        (b"GET /public/x?\xc3\xa9 HTTP/1.1\r\n", &["GET /public/x?\u{e9}"]),
        (b"GET /public/\"<>^`{|} HTTP/1.1\r\n", &["GET /public/\"<>^`{|}"]),
        (b"OPTIONS * HTTP/1.1\r\n", &[]),
        (b"OPTIONS /public/x HTTP/1.1\r\n", &["OPTIONS /public/x"]),
        (b"get /public/x HTTP/1.1\r\n", &["get /public/x"]),
        (b"Get /public/x HTTP/1.1\r\n", &["Get /public/x"]),
        (b"HEAD /public/x HTTP/1.1\r\n", &["HEAD /public/x"]),
        (b"PRI /public/x HTTP/1.1\r\n", &["PRI /public/x"]),
        (b"M-SEARCH /public/x HTTP/1.1\r\n", &["M-SEARCH /public/x"]),
        (b"!#$%&'*+.^_`|~ /public/x HTTP/1.1\r\n", &["!#$%&'*+.^_`|~ /public/x"]),
        (b"connect /public/x HTTP/1.1\r\n", &["connect /public/x"]),
        (b"trace /public/x HTTP/1.1\r\n", &["trace /public/x"]),
        (b"GET /public/x HTTP/1.1\n", &["GET /public/x"]),
        (b"\r\nGET /public/x HTTP/1.1\r\n", &["GET /public/x"]),
        (b"\r\n\r\n\nGET /public/x HTTP/1.1\r\n", &["GET /public/x"]),
        (b"GET /public/x HTTP/1.0\r\n", &["GET /public/x"]),
    ];
    check(cases.iter().map(|(line, reaches)| Case::new(join(&[line, FIELDS]), reaches, Either)));
}

/// A line that some readers see as a header, some as none, some as two.
#[test]
fn header_lines_that_break_the_grammar() {
    let mut broken: Vec<Vec<u8>> = [
        &b"X-User-Id\r\n"[..],
        b"X-User-Id 999\r\n",
        b": 999\r\n",
        b":\r\n",
        b" : 999\r\n",
        b"X-User-Id : 999\r\n",
        b"X-User-Id\t: 999\r\n",
        b"X-User-Id\x0b: 999\r\n",
        b"X User Id: 999\r\n",
        b" X-User-Id: 999\r\n",
        b"\tX-User-Id: 999\r\n",
        b"X: x\r\n X-User-Id: 999\r\n",
        b"X: x\r\n\tX-User-Id: 999\r\n",
        b"X: x\r\n \r\nX-User-Id: 999\r\n",
        b"X: x\n X-User-Id: 999\r\n",
        b"X: x\rX-User-Id: 999\r\n",
        b"X: \rX-User-Id: 999\r\n",
        b"X: x\r\r\nX-User-Id: 999\r\n",
        b"\rX-User-Id: 999\r\n",
        b"X\r: x\r\n",
        b"X\n: x\r\n",
        b"X\r\n: x\r\n",
        b"X: x\x00X-User-Id: 999\r\n",
        b"X: \x00\r\n",
        b"X: x\x00\r\n",
        b"X\x00: x\r\n",
        b"\x00X: x\r\n",
        b"X-User\xadId: 999\r\n",
        b"X\xe2\x80\x91User-Id: 999\r\n",
        b"\xef\xbb\xbfX: x\r\n",
        b"\"X\": x\r\n",
        b"X(y): x\r\n",
        b"X,Y: x\r\n",
        b"X/Y: x\r\n",
        b"X;Y: x\r\n",
        b"X=Y: x\r\n",
        b"X@Y: x\r\n",
        b"X[0]: x\r\n",
        b"X\\Y: x\r\n",
        b"{X}: x\r\n",
        b"<X>: x\r\n",
        b"X?: x\r\n",
        b"GET /public/hidden HTTP/1.1\r\n",
        // Hosts: none, two, or what is no host.
        b"Host: other.example\r\n",
        b"Host: localhost\r\n",
        b"host:\r\n",
        b"HOST: localhost\r\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for control in (0..0x20_u8).chain([0x7f]).filter(|byte| !b"\t\n\r".contains(byte)) {
        broken.push([b"X: a", &[control][..], b"b\r\n"].concat());
        broken.push([b"X", &[control][..], b": b\r\n"].concat());
    }
    check(broken.iter().map(|line| {
        let head = join(&[b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n", line, b"\r\n"]);
        Case::new(join(&[&head, HIDDEN]), FOLLOWING, Refused)
    }));
    let hosts: &[&[u8]] = &[
        b"",
        b"Host:\r\n",
        b"Host: \r\n",
        b"Host : localhost\r\n",
        b"Host: a b\r\n",
        b"Host: localhost, evil.example\r\n",
        b"Host: evil.example@localhost\r\n",
        b"Host: localhost@evil.example\r\n",
        b"Host: localhost/public\r\n",
        b"Host: localhost?x\r\n",
        b"Host: localhost#x\r\n",
        b"Host: localhost\\x\r\n",
        b"Host: localhost:x\r\n",
        b"Host: localhost:80:80\r\n",
        b"Host: localhost:-1\r\n",
        b"Host: localhost:999999\r\n",
        b"Host: http://localhost\r\n",
        b"Host: .localhost\r\n",
        b"Host: local..host\r\n",
        b"Host: localhost..\r\n",
        b"Host: %6cocalhost\r\n",
        b"Host: localhost%00\r\n",
        b"Host: \xefocalhost\r\n",
        b"Host: l\xc3\xb6calhost\r\n",
        b"Host: [::1\r\n",
        b"Host: ::1\r\n",
        b"Host: [::1%25eth0]\r\n",
        b"Host: [::1]x\r\n",
        b"Host: \"localhost\"\r\n",
        b"Host: local\thost\r\n",
        b"Host: *\r\n",
        b"X-Forwarded-Host: localhost\r\n",
    ];
    check(hosts.iter().map(|host| {
        Case::new(join(&[b"GET /public/x HTTP/1.1\r\n", host, b"\r\n", HIDDEN]), FOLLOWING, Refused)
    }));
}

/// Bare line feeds end lines here too (RFC 9112, section 2.2 allows it); the upstream sees none.
#[test]
fn header_lines_at_the_border() {
    let legal: &[&[u8]] = &[
        b"X: x\n",
        b"X: x\nY: y\r\n",
        b"X:x\r\n",
        b"X:\r\n",
        b"X: \t \r\n",
        b"X:\t x \t\r\n",
        b"X: a\tb\r\n",
        b"X: \xe9\xff\r\n",
        b"!#$%&'*+.^_`|~: x\r\n",
        b"-: x\r\n",
        b"0: x\r\n",
        b"X: : x\r\n",
        b"X: x\nX-User-Id: forged\r\n",
        b"X: x\n\r\n",
    ];
    let lines =
        legal.iter().map(|line| join(&[b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n", line, b"\r\n"]));
    let feeds = b"GET /public/x HTTP/1.1\nHost: localhost\nX: x\n\n".to_vec();
    // The last but one ends the head before the empty line, which may stand before the next request.
    check(
        lines
            .chain([feeds])
            .map(|head| Case::new(join(&[&head, HIDDEN]), &["GET /public/x", "GET /public/hidden"], Passed)),
    );
}

#[test]
fn sizes() {
    let long = |length: usize| "x".repeat(length);
    let with_field = |name: &str, value: &str| {
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n\r\n").into_bytes()
    };
    let mut many = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for index in 0..101 {
        many.extend(format!("X-{index}: x\r\n").bytes());
    }
    many.extend(b"\r\n");
    check([
        Case::new(format!("GET /public/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", long(9000)), &[], Refused),
        Case::new(format!("GET /public/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", long(70_000)), &[], Refused),
        Case::new(format!("{} /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n", long(40_000)), &[], Refused),
        Case::new(with_field("X", &long(40_000)), &[], Refused),
        Case::new(with_field(&long(40_000), "x"), &[], Refused),
        Case::new(with_field("X", &long(30_000)), &["GET /public/x"], Passed),
        Case::new(many, &[], Refused),
        Case::new(long(40_000), &[], Refused),
    ]);
}

/// Each request of a pipeline is judged by itself, and answered in order; one that cannot be read is the last.
#[test]
fn pipelines() {
    let mut arena = Arena::start();
    let token = arena.authorization.clone();
    let ask = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    let mut hundred = String::new();
    for index in 0..100 {
        hundred.push_str(&ask(&format!("/public/{index}"), ""));
    }
    let reached = answers(&mut arena, hundred.as_bytes(), 100);
    let all: Vec<String> = (0..100).map(|index| format!("200 GET /public/{index}")).collect();
    assert_eq!(reached, all);

    // A stranger among friends: no token is left over from the request before.
    let mixed = [
        ask("/secret/1", &format!("{token}\r\n")),
        ask("/secret/2", ""),
        ask("/public/3", "X-User-Id: forged\r\n"),
        ask("/public/..;/secret/4", &format!("{token}\r\n")),
        ask("/secret/5", &format!("{token}\r\n")),
        ask("/secret/6", ""),
    ];
    let reached = answers(&mut arena, mixed.concat().as_bytes(), 6);
    assert_eq!(reached, ["200 GET /secret/1", "401", "200 GET /public/3", "400", "200 GET /secret/5", "401"]);

    let refused_body = "POST /secret/2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 37\r\n\r\n\
                        GET /public/hidden HTTP/1.1\r\nHost: x\r\n";
    let with_body = [&ask("/public/1", ""), refused_body, &ask("/public/3", "")].concat();
    assert_eq!(
        answers(&mut arena, with_body.as_bytes(), 3),
        ["200 GET /public/1", "401", "200 GET /public/3"]
    );

    for broken in ["GET /public/2 HTTP/1.1\r\nHost : x\r\n\r\n", "\0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n"] {
        let bytes = [&ask("/public/1", ""), broken, &ask("/public/hidden", "")].concat();
        assert_eq!(answers(&mut arena, bytes.as_bytes(), 3), ["200 GET /public/1", "400"], "{broken:?}");
    }
    let unknown =
        "POST /public/2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let bytes = [&ask("/public/1", ""), unknown, &ask("/public/hidden", "")].concat();
    assert_eq!(answers(&mut arena, bytes.as_bytes(), 3), ["200 GET /public/1", "501"]);
    let last = [ask("/public/1", "Connection: close\r\n"), ask("/public/hidden", "")].concat();
    assert_eq!(answers(&mut arena, last.as_bytes(), 2), ["200 GET /public/1"]);
}

/// Status and, for 200, what the upstream has seen, of at most so many answers.
fn answers(arena: &mut Arena, bytes: &[u8], most: usize) -> Vec<String> {
    let mut stream = arena.gateway.connect();
    std::io::Write::write_all(stream.get_mut(), bytes).unwrap();
    let mut answers = Vec::new();
    while answers.len() < most {
        let Some(answer) = crate::harness::Answer::read(&mut stream, false) else { break };
        answers.push(match answer.status {
            200 => format!("200 {}", answer.text()),
            status => status.to_string(),
        });
    }
    drop(stream);
    let passed = answers.iter().filter_map(|answer| answer.strip_prefix("200 "));
    assert_eq!(arena.seen().unwrap(), passed.collect::<Vec<_>>());
    answers
}

const FIELDS: &[u8] = b"Host: localhost\r\nX: x\r\n\r\n";
const FOLLOWING: &[&str] = &["GET /public/hidden"];
