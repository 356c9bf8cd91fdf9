//! Header fields: after the rules no alias of what only we may say is left, and no field of a connection.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portcullis::proxy::Preparation;
use portcullis_fuzz::settings;

static RULES: LazyLock<Preparation> = LazyLock::new(|| {
    Preparation::new(
        &settings("[[route]]\npath = \"/*\"\nupstream = \"echo\"\n[identity]\nstrip = [\"X-Internal\"]\n")
            .identity,
    )
});

fuzz_target!(|input: &[u8]| {
    let mut fields = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(100) {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    RULES.clean_trailers(&mut fields, true);
    let once = fields.clone();
    for name in fields.keys() {
        let folded: String = name.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!OURS.contains(&folded.as_str()) && !folded.starts_with("xforwarded"), "{name}");
    }
    assert!(!fields.contains_key("connection") && !fields.contains_key("keep-alive"));
    RULES.clean_trailers(&mut fields, true);
    assert_eq!(fields, once);
});

const OURS: [&str; 9] = [
    "xuserid",
    "httpxuserid",
    "remoteuser",
    "httpremoteuser",
    "xinternal",
    "forwarded",
    "xrealip",
    "xoriginalurl",
    "xrewriteurl",
];
