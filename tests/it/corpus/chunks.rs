//! Chunks and trailers (RFC 9112, section 7.1).

use super::{
    Case, Either, HIDDEN, Nothing, Passed, Refused, check, join,
    smuggling::{CHUNKED, OUTER, OUTER_THEN_HIDDEN, post},
};

#[test]
fn chunks_that_break_the_grammar() {
    let broken: &[&[u8]] = &[
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"\t5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b"0_5\r\nhello\r\n0\r\n\r\n",
        b"5h\r\nhello\r\n0\r\n\r\n",
        b"5.\r\nhello\r\n0\r\n\r\n",
        b"5,\r\nhello\r\n0\r\n\r\n",
        b"5\x00\r\nhello\r\n0\r\n\r\n",
        b"5\x0b\r\nhello\r\n0\r\n\r\n",
        b"5\xa0\r\nhello\r\n0\r\n\r\n",
        b"\"5\"\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b";ext\r\nhello\r\n0\r\n\r\n",
        b"five\r\nhello\r\n0\r\n\r\n",
        // Beyond 64 bits, and what is left of it below.
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        // Line ends that some readers accept (TERM.EXT and EXT.TERM, 2025).
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5\n\nhello\r\n0\r\n\r\n",
        b"5;\nhello\r\n0\r\n\r\n",
        b"5;ext\nhello\r\n0\r\n\r\n",
        b"5;ext\rhello\r\n0\r\n\r\n",
        b"5;ext\rx\r\nhello\r\n0\r\n\r\n",
        b"5;ext=\"\n\"\r\nhello\r\n0\r\n\r\n",
        b"5;ext=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        b"5;ext=\"\r\"\r\nhello\r\n0\r\n\r\n",
        b"5;\n48\r\nhello\r\n0\r\n\r\n",
        b"5 \nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello\n\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0;\n\r\n",
        b"5\r\nhello\r\n0\r\r\n\r\n",
        b"5\r\nhello\r\n-0\r\n\r\n",
        b"5\r\nhello\r\n0x0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\rX",
        b"5\r\nhello\r\n0\r\nX: x\r\r\n\r\n",
        b"5\r\nhello\r\n0\r\n: x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX : x\r\n\r\n",
        b"5\r\nhello\r\n0\r\n X: x\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: x\r\n folded\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
        b"5\r\nhello\r\n0\r\nGET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    check(broken.iter().map(|chunks| Case::new(post(CHUNKED, &join(&[chunks, HIDDEN])), &[], Refused)));
    // Longer than what is there: the rest is awaited, never guessed.
    let unended: &[&[u8]] = &[
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"fff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhello\r\n0\r\nX: x\r\n",
    ];
    check(unended.iter().map(|chunks| Case::new(post(CHUNKED, chunks), &[], Nothing)));
}

/// Chunks whose odd forms are legal: extensions and blanks go, the sizes are written anew.
#[test]
fn chunks_in_their_legal_forms() {
    let legal: &[&[u8]] = &[
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;ext\r\nhello\r\n0\r\n\r\n",
        b"5;ext=1;other=\"a;b\"\r\nhello\r\n0;last\r\n\r\n",
        b"5 ; ext = 1\r\nhello\r\n0\r\n\r\n",
        b"5 \t\r\nhello\r\n0 \r\n\r\n",
        b"5;ext=\"48\"\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"A\r\n0\r\n\r\nGET /\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    ];
    check(
        legal
            .iter()
            .map(|chunks| Case::new(post(CHUNKED, &join(&[chunks, HIDDEN])), OUTER_THEN_HIDDEN, Passed)),
    );
}

#[test]
fn trailers_that_forge() {
    let forged: &[&[u8]] = &[
        b"Content-Length: 70\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: forged\r\n",
        b"Host: forged\r\n",
        b"Authorization: forged\r\n",
        b"Cookie: forged\r\n",
        b"X-User-Id: forged\r\n",
        b"X_User_Id: forged\r\n",
        b"X-Forwarded-For: forged\r\n",
        b"Connection: forged, X-User-Id\r\nKeep-Alive: forged\r\n",
        b"X-Sum: 1\r\nX-User-Id: forged\r\nX-Sum: 2\r\n",
        b"Trailer: X-User-Id\r\nX-User-Id: forged\r\n",
    ];
    let declared = join(&[CHUNKED, b"TE: trailers\r\nTrailer: X-User-Id, Content-Length, Host\r\n"]);
    check(forged.iter().flat_map(|trailers| {
        let chunks = join(&[b"5\r\nhello\r\n0\r\n", trailers, b"\r\n", HIDDEN]);
        [post(CHUNKED, &chunks), post(&declared, &chunks)]
            .map(|bytes| Case::new(bytes, OUTER_THEN_HIDDEN, Either))
    }));
    // Where one reader sees the end of the trailers and another does not.
    let split: &[&[u8]] = &[
        b"X: x\n\nGET /public/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"X: x\nX-User-Id: forged\r\n\r\n",
        b"\nGET /public/hidden HTTP/1.1\r\n\r\n",
    ];
    check(
        split.iter().map(|trailers| {
            Case::new(post(CHUNKED, &join(&[b"5\r\nhello\r\n0\r\n", trailers])), OUTER, Either)
        }),
    );
}
