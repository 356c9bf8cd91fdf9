use proptest::prelude::*;

use super::*;

fn binary_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn tcp4(tail: &[u8]) -> Vec<u8> {
    [&[192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb][..], tail].concat()
}

fn tcp6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
    [&source.octets()[..], &[0; 16], &[0xdc, 0x04, 0x01, 0xbb]].concat()
}

fn well_formed() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), LONGEST_TEXT);
    let line = |line: &str| format!("{line}\r\n").into_bytes();
    vec![
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443"), Some("192.0.2.1:56324")),
        (line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), Some("255.255.255.255:65535")),
        (line("PROXY TCP6 2001:db8::1 2001:db8::2 1 2"), Some("[2001:db8::1]:1")),
        (line("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2"), Some("192.0.2.1:1")),
        (line("PROXY UNKNOWN"), None),
        (line("PROXY UNKNOWN what ever\n it \r says"), None),
        (longest.into(), None),
        (binary_header(0x21, TCP4, &tcp4(b"")), Some("192.0.2.1:56324")),
        (binary_header(0x21, TCP4, &tcp4(b"\x03\x00\x04abcd")), Some("192.0.2.1:56324")),
        (binary_header(0x21, TCP4, &tcp4(&[0; LONGEST - FIXED - 12])), Some("192.0.2.1:56324")),
        (binary_header(0x21, TCP6, &tcp6()), Some("[2001:db8::1]:56324")),
        (binary_header(0x20, UNSPECIFIED, b""), None),
        (binary_header(0x20, TCP4, &tcp4(b"")), None),
        (binary_header(0x21, UNSPECIFIED, b"12"), None),
        (binary_header(0x21, UDP4, &tcp4(b"")), None),
        (binary_header(0x21, UNIX_STREAM, &[0; 216]), None),
    ]
}

#[test]
fn a_header_tells_the_client() {
    for (bytes, expected) in well_formed() {
        let source = expected.map(|address| address.parse().unwrap());
        let header = ProxyHeader { source, length: bytes.len() };
        assert_eq!(parse(&bytes), Ok(Some(header)), "{:?}", bytes.escape_ascii().to_string());
        let followed = [&bytes[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Some(header)));
    }
}

#[test]
fn it_is_asked_for_until_its_last_byte() {
    for (bytes, _) in well_formed() {
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end} of {:?}", bytes.escape_ascii().to_string());
        }
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_TEXT));
    let block = [0; LONGEST];
    let cases: Vec<Vec<u8>> = [
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        "proxy TCP4",
        "PROXY\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        &long,
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([
        b"PROXY TCP4 192.0.2.\xff 192.0.2.2 1 2\r\n".to_vec(),
        binary_header(0x11, TCP4, &tcp4(b"")),
        binary_header(0x22, TCP4, &tcp4(b"")),
        binary_header(0x21, 0x13, &tcp4(b"")),
        binary_header(0x21, 0x41, &tcp4(b"")),
        binary_header(0x21, TCP4, &tcp4(b"")[..11]),
        binary_header(0x21, TCP6, &tcp6()[..35]),
        binary_header(0x21, UNIX_STREAM, &[0; 215]),
        binary_header(0x20, UNSPECIFIED, &block[..LONGEST - FIXED + 1]),
        [SIGNATURE, b"\x31"].concat(),
        [SIGNATURE, b"\x21\x99"].concat(),
    ])
    .collect();
    for bytes in cases {
        assert_eq!(parse(&bytes), Err(NoProxyHeader), "{:?}", bytes.escape_ascii().to_string());
    }
}

/// Bytes near a header: parts of one, changed in a place, or anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let good: Vec<Vec<u8>> = well_formed().into_iter().map(|(bytes, _)| bytes).collect();
    let bent = (prop::sample::select(good), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, place, byte)| {
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        },
    );
    let anything = prop::collection::vec(any::<u8>(), 0..200);
    let command = prop_oneof![Just(0x20_u8), Just(0x21), any::<u8>()];
    let family = prop_oneof![Just(TCP4), Just(TCP6), Just(UNSPECIFIED), any::<u8>()];
    let made = (command, family, prop::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(command, family, block)| binary_header(command, family, &block));
    prop_oneof![bent, anything, made]
}

proptest! {
    /// However the bytes are cut up, what is decided is decided once.
    #[test]
    fn pieces_decide_as_the_whole_does(bytes in bytes(), tail in prop::collection::vec(any::<u8>(), 0..50)) {
        let whole = [bytes, tail].concat();
        let mut decided = Ok(None);
        for end in 0..=whole.len() {
            let now = parse(&whole[..end]);
            if decided != Ok(None) {
                prop_assert_eq!(now, decided);
            }
            if let Ok(Some(header)) = now {
                prop_assert!(header.length <= end && header.length <= LONGEST);
            }
            decided = now;
        }
    }
}
