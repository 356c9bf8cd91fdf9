//! User names and addresses: the canonical form is one, and what is accepted prints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::auth;

fuzz_target!(|text: &str| {
    let once = auth::canonical(text);
    assert_eq!(auth::canonical(&once), once, "{text:?}");
    let reserved = ["admin".to_owned()];
    if let Ok(name) = auth::username(text, &reserved) {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(auth::username(text, &reserved).as_ref(), Ok(&name));
    }
    if auth::email(text).is_ok() {
        assert!(text.contains('@') && !text.chars().any(char::is_control), "{text:?}");
    }
});
