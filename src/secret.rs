//! Values that must not be printed.
//!
//! A [`Secret`] has no `Display`, its `Debug` is redacted, and its memory is wiped when it is dropped.
//! Never here: where secrets come from (`config`, `cli`).

pub use secrecy::ExposeSecret;

/// Secret bytes: a signing key, a file's content.
pub type Secret = secrecy::SecretSlice<u8>;

/// A secret text: a password as a client sent it.
pub type SecretText = secrecy::SecretString;
