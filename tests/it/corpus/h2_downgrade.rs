//! What HTTP/2 can carry and HTTP/1.1 cannot (RFC 9113, section 8.2 and 10.3): a field that becomes two lines, a
//! path that becomes two requests, a length that is a lie.

use super::{
    Answered, Either, Nothing, Passed, Refused,
    arena::{Arena, answered_as},
};
use crate::harness::{
    frames::{self, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, RST_STREAM},
    raw_h2::{Field, Outcome, RawH2},
};

/// Values that would end a line or a request in HTTP/1.1.
const SPLITTING: &[&[u8]] = &[
    b"x\r\nX-User-Id: forged",
    b"x\nX-User-Id: forged",
    b"x\rX-User-Id: forged",
    b"x\r\n\r\nGET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"x\n\nGET /public/hidden HTTP/1.1\n\n",
    b"x\x00y",
    b"\x00",
    b"x\x01",
    b"x\x0b",
    b"x\x7f",
    b"\r\n",
    b"\n",
    b"\r",
    b"x\r\n forged",
];

#[test]
fn header_values_that_would_be_lines() {
    let mut duel = Duel::new();
    for value in SPLITTING {
        for name in [&b"x"[..], b"cookie", b"user-agent", b"x-request-id", b"content-type", b"te", b"host"] {
            duel.get(&[(name, value)], &[], Refused);
        }
        duel.request(&pseudo(value, b"/public/x"), &[], Refused);
        duel.request(&pseudo(b"GET", value), &[], Refused);
        duel.request(&[GET[0], GET[1], (b":authority", value), GET[3]], &[], Refused);
        duel.request(&[GET[0], (b":scheme", value), GET[2], GET[3]], &[], Refused);
    }
    // Legal, if odd.
    for value in [&b"a\tb"[..], b"\xe9\xff", b"a: b", b": x", b"", b"\"'<>{}|"] {
        duel.get(&[(b"x", value)], PUBLIC, Passed);
    }
    // Blanks at the ends are malformed here, and no part of the value behind us.
    for value in [&b" x"[..], b"x ", b"\tx\t", b" "] {
        duel.get(&[(b"x", value)], PUBLIC, Either);
    }
    duel.end();
}

#[test]
fn header_names_that_would_be_lines() {
    let mut duel = Duel::new();
    let names: &[&[u8]] = &[
        b"",
        b" ",
        b"x ",
        b" x",
        b"x y",
        b"x\ty",
        b"x:",
        b"x: 1\r\nx-user-id",
        b"x: 1\nx-user-id",
        b"x\r\nx-user-id",
        b"x\nx-user-id",
        b"x\rx-user-id",
        b"x: 1\r\n\r\nget /public/hidden http/1.1\r\nhost",
        b"x\x00",
        b"x\x01y",
        b"x\x7f",
        b"x\xe9",
        b"\xef\xbb\xbfx",
        b"X",
        b"X-User-Id",
        b"x-User-Id",
        b"Transfer-Encoding",
        b"x(y)",
        b"x,y",
        b"x/y",
        b"x;y",
        b"x=y",
        b"x@y",
        b"x[y]",
        b"{x}",
        b"\"x\"",
        b"x\\y",
        // Pseudo-headers that requests do not have.
        b":",
        b":x",
        b":status",
        b":protocol",
        b":host",
        b":path ",
        b": path",
        b":Path",
        b":x-user-id",
    ];
    for name in names {
        duel.get(&[(name, b"forged")], &[], Refused);
    }
    duel.end();
}

/// Connection-specific fields have no place in HTTP/2 (RFC 9113, section 8.2.2).
#[test]
fn fields_of_a_connection() {
    let mut duel = Duel::new();
    for field in [
        (&b"transfer-encoding"[..], &b"chunked"[..]),
        (b"transfer-encoding", b"identity"),
        (b"transfer-encoding", b""),
        (b"connection", b"close"),
        (b"connection", b"x-user-id"),
        (b"connection", b"content-length, transfer-encoding"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"upgrade", b"h2c"),
        (b"upgrade", b"websocket"),
        (b"te", b"chunked"),
        (b"te", b"gzip, trailers"),
    ] {
        duel.get(&[field], &[], Refused);
        let hidden = b"0\r\n\r\nGET /public/hidden HTTP/1.1\r\nHost: localhost\r\nX-User-Id: forged\r\n\r\n";
        duel.post(&[field], &[hidden], &[], Refused);
    }
    duel.get(&[(b"http2-settings", b"AAMAAABkAARAAAAAAAIAAAAA")], PUBLIC, Passed);
    duel.get(&[(b"te", b"trailers")], PUBLIC, Passed);
    duel.get(&[(b"expect", b"100-continue")], PUBLIC, Either);
    duel.end();
}

#[test]
fn pseudo_headers() {
    let mut duel = Duel::new();
    let paths: &[&[u8]] = &[
        b"",
        b" ",
        b"/public/x HTTP/1.1",
        b"/public/x HTTP/1.1\r\nX-User-Id: forged\r\nX: x",
        b"/public/x /secret",
        b"/public/a b",
        b"/public/a\tb",
        b" /public/x",
        b"public/x",
        b"http://localhost/public/x",
        b"http://evil.example/public/x",
        b"//evil.example/public/x",
        b"///public/x",
        b"/\\evil.example/public/x",
        b"@evil.example/public/x",
        b"?/public/x",
        b"#/public/x",
        b"*",
        b"*/public/x",
        b"/public/\x00",
        b"/public/%00",
        b"/public/%",
        b"/public/\xff",
        b"/public/..;/secret",
        b"/public/%2e%2e/secret",
        b"/secret",
    ];
    for path in paths {
        duel.request(&pseudo(b"GET", path), &[], Refused);
    }
    duel.request(&pseudo(b"GET", b"/public/x#/../secret"), PUBLIC, Either);
    duel.request(&pseudo(b"GET", b"/public/x?a b"), &[], Refused);
    duel.request(&pseudo(b"GET", b"/public/\xc3\xa9"), &["GET /public/\u{e9}"], Either);

    let methods: &[&[u8]] = &[
        b"",
        b" ",
        b"GET ",
        b" GET",
        b"GET /secret HTTP/1.1",
        b"GET /secret HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
        b"GE\x00T",
        b"GET:",
        b"G\xc9T",
        b"CONNECT",
        b"TRACE",
    ];
    for method in methods {
        duel.request(&pseudo(method, b"/public/x"), &[], Refused);
    }
    duel.request(&pseudo(b"get", b"/public/x"), &["get /public/x"], Either);
    duel.request(&pseudo(b"PRI", b"/public/x"), &["PRI /public/x"], Either);

    for scheme in [&b""[..], b"ftp", b"https ", b"https://evil.example/", b"http\r\n", b"\xe9"] {
        duel.request(&[GET[0], (b":scheme", scheme), GET[2], GET[3]], &[], Refused);
    }
    duel.request(&[GET[0], (b":scheme", b"http"), GET[2], GET[3]], PUBLIC, Either);

    let authorities: &[&[u8]] = &[
        b"",
        b" ",
        b"evil.example@localhost",
        b"localhost@evil.example",
        b"localhost/public",
        b"localhost/secret?",
        b"localhost evil.example",
        b"localhost, evil.example",
        b"localhost:x",
        b"localhost:999999",
        b"localhost#",
        b"local..host",
        b"%6cocalhost",
        b"http://localhost",
        b"[::1",
        b"\xe9",
        b"*",
    ];
    for authority in authorities {
        duel.request(&[GET[0], GET[1], (b":authority", authority), GET[3]], &[], Refused);
    }
    // One host, wherever it is named.
    duel.get(&[(b"host", b"localhost")], PUBLIC, Passed);
    duel.get(&[(b"host", b"evil.example")], &[], Refused);
    duel.get(&[(b"host", b"localhost:81")], &[], Refused);
    duel.get(&[(b"host", b"")], &[], Refused);
    duel.get(&[(b"host", b"localhost"), (b"host", b"localhost")], &[], Refused);
    duel.request(&[GET[0], GET[1], GET[3], (b"host", b"localhost")], PUBLIC, Either);
    duel.request(&[GET[0], GET[1], GET[3], (b"host", b"evil.example@localhost")], &[], Refused);
    duel.request(&[GET[0], GET[1], GET[3]], &[], Refused);

    // Missing, twice, late.
    for left_out in [0, 1, 3] {
        let mut fields = GET.to_vec();
        fields.remove(left_out);
        duel.request(&fields, &[], Refused);
    }
    for twice in GET {
        duel.get(&[*twice], &[], Refused);
        duel.request(&[&[*twice], GET].concat(), &[], Refused);
        duel.get(&[(b"x", b"x"), *twice], &[], Refused);
    }
    duel.request(&[GET[0], GET[1], GET[2], (b"x", b"x"), GET[3]], &[], Refused);
    duel.request(&[GET[0], GET[1], GET[2], (b":path", b"/public/x"), (b":path", b"/secret")], &[], Refused);
    duel.request(&[], &[], Refused);
    duel.end();
}

#[test]
fn tunnels() {
    let mut duel = Duel::new();
    duel.request(&[(b":method", b"CONNECT"), (b":authority", b"localhost:443")], &[], Refused);
    duel.request(&[(b":method", b"CONNECT"), (b":authority", b"evil.example:22")], &[], Refused);
    let extended = |path| {
        [
            (&b":method"[..], &b"CONNECT"[..]),
            (b":protocol", b"websocket"),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", path),
        ]
    };
    duel.request(&extended(b"/secret"), &[], Refused);
    duel.request(&extended(b"/public/x"), &[], Refused);
    duel.get(&[(b":protocol", b"websocket")], &[], Refused);
    duel.end();
}

/// What DATA brings is the length, whatever the field says (RFC 9113, section 8.1.1).
#[test]
fn lengths_that_lie() {
    let hidden: &[u8] = super::HIDDEN;
    let mut duel = Duel::new();
    for length in [
        &b"0"[..],
        b"1",
        b"4",
        b"6",
        b"1000",
        b"+5",
        b"-5",
        b"0x5",
        b"5, 5",
        b"5,6",
        b"",
        b"five",
        b"18446744073709551616",
        b"18446744073709551621",
    ] {
        duel.post(&[(b"content-length", length)], &[b"hello"], &[], Refused);
    }
    duel.post(&[(b"content-length", b"5"), (b"content-length", b"6")], &[b"hello"], &[], Refused);
    duel.post(&[(b"content-length", b"5"), (b"content-length", b"0")], &[b"hello"], &[], Refused);
    duel.post(&[(b"content-length", b"5"), (b"content-length", b"5")], &[b"hello"], POSTED, Either);
    duel.post(&[(b"content-length", b"5")], &[b"hello", hidden], &[], Refused);
    duel.post(&[(b"content-length", b"0")], &[hidden], &[], Refused);
    duel.get(&[(b"content-length", b"5")], &[], Refused);
    duel.get(&[(b"content-length", b"0")], PUBLIC, Passed);
    duel.post(&[(b"content-length", b"5")], &[b"he", b"llo"], POSTED, Passed);
    duel.post(&[], &[b"hello"], POSTED, Passed);
    duel.post(&[], &[hidden], POSTED, Passed);
    duel.post(&[], &[], POSTED, Passed);
    duel.post(&[], &[b"", b"", b""], POSTED, Passed);
    duel.post(&[], &[b"0\r\n\r\n", hidden], POSTED, Passed);
    duel.end();
}

/// The upstream would take what it has for the whole, and the client goes on, or takes it back.
#[test]
fn nothing_looks_whole_before_its_end() {
    let mut duel = Duel::new();
    let hidden = super::HIDDEN;
    let length: fn(&[u8]) -> Field<'_> = |length| (b"content-length", length);
    let more: &dyn Fn(&mut RawH2) = &|h2| h2.data(1, hidden, true);
    let nothing: &dyn Fn(&mut RawH2) = &|h2| h2.data(1, b"", true);
    let trailers: &dyn Fn(&mut RawH2) = &|h2| h2.headers(1, &[(b"x-sum", b"1")], true);
    let twice = [PUBLIC, PUBLIC].concat();
    // "No error" as well: only who answers may end a request so (RFC 9113, section 8.1).
    let taken_back = [0, 8].map(|code: u32| {
        move |h2: &mut RawH2| {
            h2.frame(RST_STREAM, 0, 1, &code.to_be_bytes());
            h2.headers(5, GET, true);
            assert!(matches!(h2.outcome(5), Outcome::Answer(200, _)));
        }
    });
    let began: [(&[Field<'_>], &[&[u8]]); 5] = [
        (&[length(b"0")], &[]),
        (&[length(b"5")], &[b"hello"]),
        (&[length(b"5")], &[b"he", b"", b"llo", b""]),
        (&[length(b"6")], &[b"hello"]),
        (&[], &[b"hello"]),
    ];
    for (fields, data) in began {
        for end in &taken_back {
            duel.late(fields, data, end, &twice, Nothing);
        }
        if !fields.is_empty() {
            duel.late(fields, data, more, PUBLIC, Refused);
        }
        if fields != [length(b"6")] {
            for end in [nothing, trailers] {
                duel.late(fields, data, end, &[PUBLIC, POSTED].concat(), Passed);
            }
        }
    }
    duel.end();
}

#[test]
fn trailers_that_forge() {
    let mut duel = Duel::new();
    let legal: &[&[Field<'_>]] = &[
        &[(b"x-sum", b"1")],
        &[(b"x-user-id", b"forged")],
        &[(b"x_user_id", b"forged"), (b"x-forwarded-for", b"forged"), (b"remote-user", b"forged")],
        &[(b"content-length", b"70")],
        &[(b"host", b"forged")],
        &[(b"authorization", b"forged"), (b"cookie", b"forged")],
        &[(b"\"x\"", b"forged")],
        // Malformed, and not even an attempt at the next request: they are dropped.
        &[(b":path", b"/secret")],
        &[(b":method", b"GET")],
        &[(b":status", b"200")],
    ];
    for trailers in legal {
        duel.upload(&[], &[b"hello"], trailers, POSTED, Either);
        duel.upload(&[(b"te", b"trailers")], &[b"hello"], trailers, POSTED, Either);
    }
    let broken: &[&[Field<'_>]] = &[
        &[(b"x", b"1\r\n\r\nGET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        &[(b"x\r\nx-user-id", b"forged")],
        &[(b"X-Sum", b"1")],
        &[(b"transfer-encoding", b"chunked")],
        &[(b"connection", b"close")],
    ];
    for trailers in broken {
        duel.upload(&[], &[b"hello"], trailers, &[], Refused);
    }
    duel.end();
}

/// A header block in many frames is one block, and nobody else's frame stands between them.
#[test]
fn continuations() {
    let mut duel = Duel::new();
    let fields = [GET, &[(&b"x-user-id"[..], &b"forged"[..])]].concat();
    let whole = frames::fields(&fields);
    duel.raw(PUBLIC, Passed, |h2| {
        let (head, tail) = whole.split_at(7);
        h2.frame(HEADERS, END_STREAM, 1, head);
        let (middle, end) = tail.split_at(11);
        h2.frame(CONTINUATION, 0, 1, middle);
        h2.frame(CONTINUATION, END_HEADERS, 1, end);
    });
    for (kind, flags, stream) in
        [(0, 0, 1), (HEADERS, END_HEADERS, 3), (CONTINUATION, END_HEADERS, 3), (4, 0, 0), (0x2a, 0, 1)]
    {
        duel.raw(&[], Refused, |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &whole[..7]);
            h2.frame(kind, flags, stream, &[]);
            h2.frame(CONTINUATION, END_HEADERS, 1, &whole[7..]);
        });
    }
    // A block that is no HPACK: an index beyond the table, a length beyond the block.
    for broken in [&b"\xff\xff\xff\xff\x7f"[..], b"\x80", b"\xbe", b"\x00\x7f\xff\xff\xff\x7fx", b"\x00\x05x"]
    {
        duel.raw(&[], Refused, |h2| h2.frame(HEADERS, END_HEADERS | END_STREAM, 1, broken));
    }
    // Even and used stream numbers, bodies of nobody.
    duel.raw(&[], Refused, |h2| h2.frame(HEADERS, END_HEADERS | END_STREAM, 2, &whole));
    duel.raw(&[], Refused, |h2| h2.frame(HEADERS, END_HEADERS | END_STREAM, 0, &whole));
    duel.raw(&[], Refused, |h2| h2.data(1, super::HIDDEN, true));
    duel.raw(PUBLIC, Either, |h2| {
        h2.frame(HEADERS, END_HEADERS | END_STREAM, 1, &whole);
        h2.data(1, super::HIDDEN, true);
    });
    duel.raw(&[], Nothing, |h2| h2.frame(HEADERS, END_STREAM, 1, &whole[..7]));
    duel.end();
}

/// Attacks of one test, each on a connection of its own.
struct Duel {
    arena: Arena,
    faults: Vec<String>,
}

impl Duel {
    fn new() -> Self {
        Self { arena: Arena::start(), faults: Vec::new() }
    }

    /// A GET of `/public/x` with these fields more.
    fn get(&mut self, fields: &[Field<'_>], reaches: &[&str], answered: Answered) {
        self.request(&[GET, fields].concat(), reaches, answered);
    }

    /// A request without body whose fields are exactly these.
    fn request(&mut self, fields: &[Field<'_>], reaches: &[&str], answered: Answered) {
        if !self.raw(reaches, answered, |h2| h2.headers(1, fields, true)) {
            self.blame(fields);
        }
    }

    /// A POST to `/public/x` whose DATA frames are these.
    fn post(&mut self, fields: &[Field<'_>], data: &[&[u8]], reaches: &[&str], answered: Answered) {
        self.upload(fields, data, &[], reaches, answered);
    }

    fn upload(
        &mut self,
        fields: &[Field<'_>],
        data: &[&[u8]],
        trailers: &[Field<'_>],
        reaches: &[&str],
        answered: Answered,
    ) {
        let head = [&pseudo(b"POST", b"/public/x")[..], fields].concat();
        let good = self.raw(reaches, answered, |h2| {
            h2.headers(1, &head, false);
            for bytes in data {
                h2.data(1, bytes, false);
            }
            if trailers.is_empty() {
                h2.data(1, b"", true);
            } else {
                h2.headers(1, trailers, true);
            }
        });
        if !good {
            self.blame(&[&head[..], trailers].concat());
        }
    }

    /// Whether it went well.
    fn raw(&mut self, reaches: &[&str], answered: Answered, send: impl FnOnce(&mut RawH2)) -> bool {
        let mut h2 = RawH2::connect(&self.arena.gateway);
        send(&mut h2);
        let mut verdict = Ok(());
        if answered != Nothing {
            verdict = answered_as(
                answered,
                match h2.outcome(1) {
                    Outcome::Answer(status, _) => Some(status),
                    Outcome::Closed | Outcome::Reset(_) => None,
                },
            );
        }
        drop(h2);
        let verdict = verdict.and(self.arena.aftermath(reaches, None));
        let good = verdict.is_ok();
        self.faults.extend(verdict.err());
        good
    }

    /// As [`Self::post`], ended when another request on the connection has been answered: whatever can be passed on
    /// without the end has been.
    fn late(
        &mut self,
        fields: &[Field<'_>],
        data: &[&[u8]],
        end: &dyn Fn(&mut RawH2),
        reaches: &[&str],
        answered: Answered,
    ) {
        let head = [&pseudo(b"POST", b"/public/x")[..], fields].concat();
        let good = self.raw(reaches, answered, |h2| {
            h2.headers(1, &head, false);
            for bytes in data {
                h2.data(1, bytes, false);
            }
            h2.headers(3, GET, true);
            assert!(matches!(h2.outcome(3), Outcome::Answer(200, _)));
            end(h2);
        });
        if !good {
            self.blame(fields);
        }
    }

    fn blame(&mut self, fields: &[Field<'_>]) {
        for (name, value) in fields {
            self.faults.push(format!("    {}: {}", name.escape_ascii(), value.escape_ascii()));
        }
    }

    #[track_caller]
    fn end(self) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }
}

fn pseudo<'f>(method: &'f [u8], path: &'f [u8]) -> [Field<'f>; 4] {
    [(b":method", method), GET[1], GET[2], (b":path", path)]
}

const GET: &[Field<'static>] =
    &[(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/public/x")];
const PUBLIC: &[&str] = &["GET /public/x"];
const POSTED: &[&str] = &["POST /public/x"];
