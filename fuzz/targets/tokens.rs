//! Tokens of strangers, and tokens that are signed and say anything at all.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use portcullis::{
    clock::Timestamp,
    dialect,
    token::{self, KeyRing, Profile},
};
use portcullis_fuzz::settings;

static GATE: LazyLock<(KeyRing, Profile)> = LazyLock::new(|| {
    let settings = settings(&format!(
        "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n\
         [[tokens.key]]\nid = \"k\"\nalgorithm = \"HS256\"\nsecret = {{ inline = \"{SECRET}\" }}\n"
    ));
    (KeyRing::new(&settings.tokens.keys), dialect::profile(&settings.tokens))
});

fuzz_target!(|input: (&str, &[u8])| {
    let (text, payload) = input;
    let now = Timestamp::from_seconds(1_800_000_000);
    let (keys, profile) = &*GATE;
    // Nobody hits upon a signature.
    assert!(token::verify(text, keys, profile, now).is_err());

    let header = if text.is_empty() { r#"{"alg":"HS256","typ":"JWT"}"# } else { text };
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    if let Ok(verified) = token::verify(&token, keys, profile, now) {
        let user = verified.user.as_str();
        assert!(
            (1..=255).contains(&user.len())
                && user.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
        );
        assert_eq!(token::verify(&token, keys, profile, now).as_ref(), Ok(&verified));
    }
});

const SECRET: &str = "0123456789abcdef0123456789abcdef";
