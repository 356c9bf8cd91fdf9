//! Who the client says it is, in every spelling that some backend folds into the one it believes.

use std::{collections::BTreeSet, io::Write};

use super::arena::Arena;
use crate::harness::{
    Answer, Upstream,
    raw_h2::{Field, Outcome, RawH2},
};

/// What only the gateway may say.
const OURS: &[&str] = &[
    "X-User-Id",
    "HTTP-X-User-Id",
    "Remote-User",
    "HTTP-Remote-User",
    "X-Internal-Token",
    "Forwarded",
    "Proxy",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Method",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-By",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
];

#[test]
fn no_spelling_of_what_only_we_may_say_arrives() {
    let mut arena = arena();
    let names = spellings();
    assert!(names.len() > 4000, "{}", names.len());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stream = arena.gateway.connect();
    for batch in names.chunks(80) {
        let fields: String = batch.iter().map(|name| format!("{name}: forged\r\n")).collect();
        for (target, authorization) in targets(&arena) {
            let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}{fields}\r\n");
            stream.get_mut().write_all(head.as_bytes()).unwrap();
            Answer::read(&mut stream, false).expect("an answer").expect(200);
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}TE: trailers\r\n\
                 Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{fields}\r\n"
            );
            stream.get_mut().write_all(head.as_bytes()).unwrap();
            Answer::read(&mut stream, false).expect("an answer").expect(200);
        }
    }
    let expected = names.chunks(80).count() * 4;
    assert_eq!(arena.seen().unwrap().len(), expected);
}

#[test]
fn nor_over_http2() {
    let mut arena = arena();
    let names: BTreeSet<String> = spellings().iter().map(|name| name.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut h2 = RawH2::connect(&arena.gateway);
    let mut stream = 1;
    for batch in names.chunks(80) {
        let forged: Vec<Field<'_>> = batch.iter().map(|name| (name.as_bytes(), &b"forged"[..])).collect();
        for (target, authorization) in targets(&arena) {
            let mut head: Vec<Field<'_>> = vec![
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", b"localhost"),
                (b":path", target.as_bytes()),
                (b"te", b"trailers"),
            ];
            if let Some((_, token)) = authorization.trim_end().split_once(": ") {
                head.push((b"authorization", token.as_bytes()));
            }
            head.extend(&forged);
            h2.headers(stream, &head, false);
            h2.data(stream, b"hi", false);
            h2.headers(stream, &forged, true);
            assert!(matches!(h2.outcome(stream), Outcome::Answer(200, _)));
            stream += 2;
        }
    }
    assert_eq!(arena.seen().unwrap().len(), names.chunks(80).count() * 2);
}

/// A client that names our fields in `Connection` would have them taken away from the upstream.
#[test]
fn naming_them_in_connection_takes_nothing_away() {
    let mut arena = arena();
    let mut stream = arena.gateway.connect();
    for name in spellings().iter().filter(|name| name.len() < 24).step_by(7) {
        for (target, authorization) in targets(&arena) {
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: {name}\r\n\
                 Connection: keep-alive, X-User-Id,Host ,X-Request-Id\r\n{name}: forged\r\n\r\n"
            );
            stream.get_mut().write_all(head.as_bytes()).unwrap();
            Answer::read(&mut stream, false).expect("an answer").expect(200);
        }
    }
    assert!(arena.seen().unwrap().len() > 500);
}

/// An upstream of which one more header is the gateway's alone.
fn arena() -> Arena {
    let upstream = Upstream::start(super::arena::tell);
    let config = format!("{}\n[identity]\nstrip = [\"X-Internal-Token\"]\n", upstream.config());
    Arena::with(upstream, &config)
}

/// A public route, and a protected one with what opens it.
fn targets(arena: &Arena) -> [(&'static str, String); 2] {
    [("/public/x", String::new()), ("/x", format!("{}\r\n", arena.authorization))]
}

/// Every name in every case, with every separator, doubled, in front and behind.
fn spellings() -> BTreeSet<String> {
    let mut spellings = BTreeSet::new();
    for name in OURS {
        let words: Vec<&str> = name.split('-').collect();
        for separator in
            ["-", "_", ".", "", "--", "__", "-_", "!", "#", "$", "%", "&", "'", "*", "+", "^", "`", "|", "~"]
        {
            let joined = words.join(separator);
            for (before, after) in [("", ""), ("_", ""), ("", "-"), (separator, separator), ("~", "|")] {
                let whole = format!("{before}{joined}{after}");
                spellings.insert(whole.to_ascii_lowercase());
                spellings.insert(whole.to_ascii_uppercase());
                spellings.insert(swapped(&whole));
                spellings.insert(whole);
            }
        }
    }
    spellings
}

/// Every other letter of the other case.
fn swapped(name: &str) -> String {
    let letters = name.chars().enumerate();
    letters
        .map(
            |(at, letter)| {
                if at % 2 == 0 { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() }
            },
        )
        .collect()
}
