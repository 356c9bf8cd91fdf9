//! Two readings of where a request ends (RFC 9112, sections 6, 7 and 11.2).

use super::{Case, Either, HIDDEN, Passed, Refused, check, join};

/// Header lines from which one reader takes a chunked body and another does not. Each is tried alone, after a
/// `Content-Length` and before one.
const TRANSFER_ENCODINGS: &[&[u8]] = &[
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunkedx\r\n",
    b"Transfer-Encoding: chunked-foo\r\n",
    b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding: 'chunked'\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding: chunked; foo=bar\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked,\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding: , chunked\r\n",
    b"Transfer-Encoding: chunked chunked\r\n",
    b"Transfer-Encoding: x chunked\r\n",
    b"Transfer-Encoding: chu nked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: chunked\x0b\r\n",
    b"Transfer-Encoding: \x0cchunked\r\n",
    b"Transfer-Encoding: \xa0chunked\r\n",
    b"Transfer-Encoding: \xe2\x80\x8bchunked\r\n",
    b"Transfer-Encoding: chunked\xa0\r\n",
    b"Transfer-Encoding: \x00chunked\r\n",
    b"Transfer-Encoding: chunked\x00\r\n",
    b"Transfer-Encoding: chun\x00ked\r\n",
    b"Transfer-Encoding: \x7fchunked\r\n",
    b"Transfer-Encoding: chunked\r\r\n",
    b"Transfer-Encoding: \rchunked\r\n",
    b"Transfer-Encoding:\r chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding:\r\n\tchunked\r\n",
    b"Transfer-Encoding:\n chunked\r\n",
    b"Transfer-Encoding: x\r\n chunked\r\n",
    b"Transfer-Encoding: chunked\r\n ,identity\r\n",
    b"Transfer-Encoding: c\xcdunked\r\n",
    b"Transfer-Encoding: \xef\xbb\xbfchunked\r\n",
    b"Transfer-Encoding: chun\xc5\xafked\r\n",
    b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n",
    b"Transfer-Encoding: cow\r\n",
    b"Transfer-Encoding: chunked, cow\r\n",
    b"Transfer-Encoding:\r\n",
    b"Transfer-Encoding: \r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b"Transfer-Encoding\x0b: chunked\r\n",
    b"Transfer-Encoding\x00: chunked\r\n",
    b"Transfer-Encoding\r: chunked\r\n",
    b"Transfer-Encoding\n: chunked\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n",
    b"Transfer-Encoding;: chunked\r\n",
    b"Transfer-Encoding chunked\r\n",
    b"Transfer-Encoding= chunked\r\n",
    b"Transfer Encoding: chunked\r\n",
    b"Transfer\x00-Encoding: chunked\r\n",
    b"Transfer\xadEncoding: chunked\r\n",
    b"\xefTransfer-Encoding: chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"\tTransfer-Encoding: chunked\r\n",
    b"\rTransfer-Encoding: chunked\r\n",
    b"\x00Transfer-Encoding: chunked\r\n",
    b": Transfer-Encoding: chunked\r\n",
    b"X: x\rTransfer-Encoding: chunked\r\n",
    b"X: x\r\n Transfer-Encoding: chunked\r\n",
    b"X: x\x00Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
];

#[test]
fn a_transfer_encoding_that_is_not_exactly_chunked() {
    let body = join(&[b"0\r\n\r\n", HIDDEN]);
    let length = format!("Content-Length: {}\r\n", body.len());
    let short = b"Content-Length: 3\r\n";
    check(TRANSFER_ENCODINGS.iter().flat_map(|line| {
        [
            post(line, &body),
            post(&join(&[length.as_bytes(), line]), &body),
            post(&join(&[line, length.as_bytes()]), &body),
            post(&join(&[short, line]), &body),
        ]
        .map(|bytes| Case::new(bytes, &[], Refused))
    }));
}

/// `chunked` however it may be written (RFC 9112, section 7: without case, blanks around it do not count), and what
/// only looks like the field: the upstream sees one framing, and what follows is a request of its own.
#[test]
fn chunked_in_its_legal_spellings() {
    let chunked = join(&[b"5\r\nhello\r\n0\r\n\r\n", HIDDEN]);
    let counted = join(&[b"hello", HIDDEN]);
    let mut cases: Vec<Case> = [
        &b"Transfer-Encoding: chunked\r\n"[..],
        b"Transfer-Encoding: Chunked\r\n",
        b"TRANSFER-ENCODING: CHUNKED\r\n",
        b"transfer-encoding:chunked\r\n",
        b"Transfer-Encoding:    chunked   \r\n",
        b"Transfer-Encoding:\tchunked\t\r\n",
        b"Transfer-Encoding: chunked\n",
        b"Transfer-Encoding: chunked\r\nTE: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer_Encoding: identity\r\n",
    ]
    .iter()
    .map(|line| Case::new(post(line, &chunked), OUTER_THEN_HIDDEN, Passed))
    .collect();
    cases.extend(
        [
            &b"Transfer_Encoding: chunked\r\n"[..],
            b"Transfer.Encoding: chunked\r\n",
            b"TransferEncoding: chunked\r\n",
            b"X-Transfer-Encoding: chunked\r\n",
            b"Content-Transfer-Encoding: chunked\r\n",
            b"TE: chunked\r\n",
            b"Content-Encoding: chunked\r\n",
        ]
        .iter()
        .map(|line| {
            Case::new(post(&join(&[b"Content-Length: 5\r\n", line]), &counted), OUTER_THEN_HIDDEN, Passed)
        }),
    );
    check(cases);
}

/// RFC 9112, section 6.3: the chunks win, the length does not reach the upstream, nothing more is read.
#[test]
fn chunked_beside_a_length() {
    let body = join(&[b"0\r\n\r\n", HIDDEN]);
    let lengths = ["0", "3", "5", "6", "70", "1000000"];
    check(lengths.iter().flat_map(|length| {
        let length = format!("Content-Length: {length}\r\n");
        [
            post(&join(&[length.as_bytes(), CHUNKED]), &body),
            post(&join(&[CHUNKED, length.as_bytes()]), &body),
            post(&join(&[length.as_bytes(), CHUNKED, length.as_bytes()]), &body),
        ]
        .map(|bytes| Case::new(bytes, OUTER, Either))
    }));
}

#[test]
fn http_1_0_has_no_chunks() {
    let with_length = join(&[b"Content-Length: 5\r\n", CHUNKED]);
    check([&with_length, CHUNKED].map(|lines| {
        let head =
            join(&[b"POST /public/outer HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n", lines]);
        Case::new(join(&[&head, b"\r\n0\r\n\r\n", HIDDEN]), &[], Refused)
    }));
}

#[test]
fn lengths_that_are_no_number_or_two() {
    let refused: &[&[u8]] = &[
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: -0\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5h\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: 5,5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: 5,\r\n",
        b"Content-Length: ,5\r\n",
        b"Content-Length: 5;\r\n",
        b"Content-Length: \"5\"\r\n",
        b"Content-Length:\r\n",
        b"Content-Length:  \r\n",
        b"Content-Length: five\r\n",
        b"Content-Length: 5.0\r\n",
        b"Content-Length: 5e0\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: \xd9\xa5\r\n",
        b"Content-Length: \x0b5\r\n",
        b"Content-Length: 5\x0b\r\n",
        b"Content-Length: \xa05\r\n",
        b"Content-Length: 5\x00\r\n",
        b"Content-Length: \r5\r\n",
        b"Content-Length: 5\r6\r\n",
        b"Content-Length:\r\n 5\r\n",
        b"Content-Length: 5\r\n 0\r\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"Content-Length: 18446744073709551616\r\n",
        b"Content-Length: 18446744073709551621\r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Content-Length: 4294967301, 5\r\n",
        b"Content-Length : 5\r\n",
        b"Content-Length\t: 5\r\n",
        b"Content-Length\x00: 5\r\n",
        b" Content-Length: 5\r\n",
        b"Content Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 6\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 0\r\n",
        b"Content-Length: 5\r\nContent-Length: 5, 6\r\n",
        b"Content-Length: 5\r\nContent-Length:\r\n",
        b"Content-Length: 5\r\nContent-Length: +5\r\n",
        b"Content-Length: 5\r\nCONTENT-LENGTH: 6\r\n",
        b"Content-Length: 5\r\nX: x\r\nContent-Length: 0005, 0\r\n",
    ];
    let body = join(&[b"hello", HIDDEN]);
    check(refused.iter().map(|line| Case::new(post(line, &body), &[], Refused)));
    let legal: &[&[u8]] = &[
        b"Content-Length: 5\r\n",
        b"content-length:5\r\n",
        b"Content-Length: \t5\t \r\n",
        b"Content-Length: 005\r\n",
        b"Content-Length: 5\r\nContent_Length: 0\r\n",
        b"Content-Length: 5\r\nContent.Length: 70\r\n",
        b"Content-Length: 5\r\nX-Content-Length: 70\r\n",
        // Said twice and alike it may be refused, or said once (RFC 9110, section 8.6).
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 005\r\n",
    ];
    check(legal.iter().map(|line| Case::new(post(line, &body), OUTER_THEN_HIDDEN, Passed)));
}

/// Whoever reads no length reads the body as the next request; so must the gateway.
#[test]
fn no_length_is_no_body() {
    check(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"].map(|method| {
        let head = format!("{method} /public/outer HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Case::new(
            join(&[head.as_bytes(), HIDDEN]),
            &[
                "GET /public/outer",
                "POST /public/outer",
                "PUT /public/outer",
                "DELETE /public/outer",
                "PATCH /public/outer",
                "OPTIONS /public/outer",
                "BREW /public/outer",
                "GET /public/hidden",
            ],
            Passed,
        )
    }));
}

/// A client that expects `100 Continue` may send its body at once, or never.
#[test]
fn expectations() {
    let early = join(&[b"hello", HIDDEN]);
    let counted: &[u8] = b"Content-Length: 5\r\nExpect: 100-continue\r\n";
    check([
        Case::new(post(counted, &early), OUTER_THEN_HIDDEN, Passed),
        Case::new(
            post(
                &join(&[CHUNKED, b"Expect: 100-Continue\r\n"]),
                &join(&[b"5\r\nhello\r\n0\r\n\r\n", HIDDEN]),
            ),
            OUTER_THEN_HIDDEN,
            Passed,
        ),
        // Refused by its head: the body is no request.
        Case::new(secret(counted, HIDDEN), &[], Refused),
        Case::new(
            secret(&join(&[b"Content-Length: 71\r\n", b"Expect: 100-continue\r\n"]), HIDDEN),
            &[],
            Refused,
        ),
        Case::new(secret(&join(&[CHUNKED, b"Expect: 100-continue\r\n"]), HIDDEN), &[], Refused),
        Case::new(post(b"Content-Length: 0\r\nExpect: 100-continue\r\n", HIDDEN), OUTER_THEN_HIDDEN, Passed),
        Case::new(post(b"Content-Length: 5\r\nExpect: forged\r\n", &early), OUTER_THEN_HIDDEN, Either),
        Case::new(
            post(b"Content-Length: 5\r\nExpect: 100-continue, 100-continue\r\n", &early),
            OUTER_THEN_HIDDEN,
            Either,
        ),
    ]);
}

/// What follows a refused request is a request only where the refused one's end is sure.
#[test]
fn a_body_that_nobody_wanted_is_no_request() {
    let whole = format!("Content-Length: {}\r\n", HIDDEN.len());
    let long = format!("Content-Length: {}\r\n", HIDDEN.len() * 6000);
    let mut chunk = format!("{:x}\r\n", HIDDEN.len()).into_bytes();
    chunk.extend(join(&[HIDDEN, b"\r\n0\r\n\r\n"]));
    let broken = join(&[&chunk[..chunk.len() - 7], HIDDEN, HIDDEN]);
    check([
        Case::new(secret(whole.as_bytes(), HIDDEN), &[], Refused),
        Case::new(secret(CHUNKED, &chunk), &[], Refused),
        Case::new(secret(CHUNKED, &broken), &[], Refused),
        // More than is read of an unwanted body.
        Case::new(secret(long.as_bytes(), &HIDDEN.repeat(6000)), &[], Refused),
        // Framed right, and then one of its own.
        Case::new(secret(whole.as_bytes(), &HIDDEN.repeat(2)), &["GET /public/hidden"], Refused),
        Case::new(secret(CHUNKED, &join(&[&chunk, HIDDEN])), &["GET /public/hidden"], Refused),
        // The auth endpoints read bodies themselves.
        Case::new(login(&whole, HIDDEN), &[], Refused),
        Case::new(login(&long, &HIDDEN.repeat(6000)), &[], Refused),
        Case::new(login("", HIDDEN), &["GET /public/hidden"], Refused),
    ]);
}

#[test]
fn a_get_may_have_a_body() {
    let get = |lines: &[u8], body: &[u8]| {
        join(&[b"GET /public/outer HTTP/1.1\r\nHost: localhost\r\n", lines, b"\r\n", body])
    };
    let reaches: &[&str] = &["GET /public/outer", "GET /public/hidden"];
    check([
        Case::new(get(b"Content-Length: 5\r\n", &join(&[b"hello", HIDDEN])), reaches, Passed),
        Case::new(get(b"Content-Length: 0\r\n", HIDDEN), reaches, Passed),
        Case::new(get(CHUNKED, &join(&[b"5\r\nhello\r\n0\r\n\r\n", HIDDEN])), reaches, Passed),
        Case::new(get(CHUNKED, &join(&[b"0\r\n\r\n", HIDDEN])), reaches, Passed),
        Case::new(
            get(format!("Content-Length: {}\r\n", HIDDEN.len()).as_bytes(), HIDDEN),
            &["GET /public/outer"],
            Passed,
        ),
    ]);
}

/// Fields that are taken out for the connection's sake must not take framing, host or identity with them.
#[test]
fn connection_names_other_fields() {
    let names = [
        "close, X-User-Id",
        "keep-alive, transfer-encoding",
        "content-length",
        "Content-Length, Transfer-Encoding",
        "host",
        "authorization",
        "x-forwarded-for, x-forwarded-proto, x-request-id",
        "connection",
        "te, trailer",
        "cookie",
        "\"x-user-id\"",
        "x-user-id;q=1",
        ",,,",
        "\u{e9}, x-user-id",
    ];
    let counted = join(&[b"hello", HIDDEN]);
    let chunked = join(&[b"5\r\nhello\r\n0\r\n\r\n", HIDDEN]);
    check(names.iter().flat_map(|names| {
        let line = format!("Connection: {names}\r\nConnection: {names}\r\nX-User-Id: forged\r\n");
        let line = line.as_bytes();
        [
            Case::new(post(&join(&[line, b"Content-Length: 5\r\n"]), &counted), OUTER_THEN_HIDDEN, Passed),
            Case::new(post(&join(&[line, CHUNKED]), &chunked), OUTER_THEN_HIDDEN, Passed),
        ]
    }));
}

/// Whether `Connection` names them or not (RFC 9110, section 7.6.1).
#[test]
fn fields_of_a_connection_end_here() {
    let lines: &[&[u8]] = &[
        b"Keep-Alive: forged\r\n",
        b"Proxy-Connection: forged\r\n",
        b"Proxy-Authorization: forged\r\n",
        b"Proxy-Authenticate: forged\r\n",
        b"HTTP2-Settings: forged\r\n",
        b"Connection: forged\r\nForged: forged\r\n",
        b"TE: forged, trailers;q=0.5\r\n",
        b"TE: trailers\r\nTE: forged\r\n",
        b"Upgrade: forged\r\n",
    ];
    check(lines.iter().map(|lines| {
        let body = join(&[b"hello", HIDDEN]);
        Case::new(post(&join(&[lines, b"Content-Length: 5\r\n"]), &body), OUTER_THEN_HIDDEN, Passed)
    }));
}

/// No client talks an upstream into another protocol past the routes (h2c smuggling).
#[test]
fn upgrades() {
    let h2c: &[u8] = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let both = join(&[b"Connection: Upgrade, HTTP2-Settings\r\n", h2c]);
    let websocket: &[u8] = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let half: &[u8] = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n";
    let mut cases: Vec<Case> = Vec::new();
    for lines in
        [&both[..], h2c, websocket, half, b"Upgrade: websocket\r\n", b"Upgrade: TLS/1.0, HTTP/2.0\r\n"]
    {
        // Without a token nothing reaches a protected route, and nothing hides behind it.
        let head = join(&[b"GET /secret HTTP/1.1\r\nHost: localhost\r\n", lines, b"\r\n", HIDDEN]);
        cases.push(Case::new(head, &["GET /public/hidden"], Refused));
        let head = join(&[b"GET /public/outer HTTP/1.1\r\nHost: localhost\r\n", lines, b"\r\n", HIDDEN]);
        cases.push(Case::new(head, &["GET /public/outer", "GET /public/hidden"], Either));
        // An upgrade with a body: where does it begin?
        let lines = join(&[lines, b"Content-Length: 5\r\n"]);
        cases.push(Case::new(post(&lines, &join(&[b"hello", HIDDEN])), OUTER_THEN_HIDDEN, Either));
    }
    check(cases);
}

pub fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    join(&[b"POST /public/outer HTTP/1.1\r\nHost: localhost\r\n", lines, b"\r\n", body])
}

/// To a protected route, without a token.
fn secret(lines: &[u8], body: &[u8]) -> Vec<u8> {
    join(&[b"POST /secret HTTP/1.1\r\nHost: localhost\r\n", lines, b"\r\n", body])
}

fn login(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/auth/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}\r\n"
    );
    join(&[head.as_bytes(), body])
}

pub const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";
pub const OUTER: &[&str] = &["POST /public/outer"];
pub const OUTER_THEN_HIDDEN: &[&str] = &["POST /public/outer", "GET /public/hidden"];
