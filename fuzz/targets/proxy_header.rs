//! PROXY headers: decided within their bound, the same however they come in pieces and whatever follows, and what they
//! name is what their bytes say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::server::{NoProxyHeader, ProxyHeader, parse_proxy_header as parse};

fuzz_target!(|input: (u8, &[u8])| {
    let (lead, rest) = input;
    // Left to itself a fuzzer seldom finds twelve bytes.
    let whole = match lead {
        0..96 => [SIGNATURE, rest].concat(),
        96..192 => [b"PROXY TCP4 ", rest].concat(),
        _ => rest.to_vec(),
    };
    let mut decided: Option<Result<ProxyHeader, NoProxyHeader>> = None;
    for length in 0..=whole.len().min(LONGEST) {
        let seen = parse(&whole[..length]).transpose();
        assert!(decided.is_none() || decided == seen, "{length} bytes say otherwise");
        decided = seen;
    }
    assert_eq!(parse(&whole).transpose(), decided);
    if let Some(Ok(header)) = decided {
        assert!(header.length <= whole.len());
        if let Some(source) = header.source {
            assert_eq!(source.ip(), source.ip().to_canonical());
            if whole.starts_with(b"PROXY") {
                let words = std::str::from_utf8(&whole[..header.length]).expect("text");
                let port = words.split(' ').nth(4).and_then(|word| word.parse().ok());
                assert_eq!(port, Some(source.port()), "{words}");
            }
        }
    } else {
        assert!(whole.len() < LONGEST || decided.is_some(), "undecided at its bound");
    }
});

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LONGEST: usize = 4096;
