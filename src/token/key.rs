//! Keys: which one signs, and which may have signed.
//!
//! Never here: where secrets come from (`config`).

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::settings::KeySettings;
use crate::secret::ExposeSecret;

/// Our own keys: the first signs, all of them verify.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    /// Most keys that a token without a known `kid` may be tried against.
    pub const MAX_KEYS: usize = 8;

    /// Parses the keys once, at load.
    pub fn new(settings: &[KeySettings]) -> Self {
        Self { keys: settings.iter().take(Self::MAX_KEYS).map(Key::new).collect() }
    }

    /// The key that signs, `None` on an empty ring.
    pub(super) fn signer(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// The key whose own header this is, letter for letter: true of every token that this ring minted.
    pub(super) fn by_header(&self, header: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.encoded_header == header)
    }

    /// The key that a `kid` names.
    pub(super) fn by_id(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.header.kid.as_deref() == Some(id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

/// One key and the one algorithm that it serves: HS256 (RFC 7518, section 3.2).
pub(super) struct Key {
    pub(super) header: Header,
    pub(super) encoding: EncodingKey,
    encoded_header: String,
    hmac: hmac::Key,
}

impl Key {
    /// What `alg` must say.
    pub(super) const ALGORITHM: &'static str = "HS256";

    fn new(settings: &KeySettings) -> Self {
        let secret = settings.secret.expose_secret();
        let header = Header { kid: Some(settings.id.clone()), ..Header::new(Algorithm::HS256) };
        // A header that cannot be written as JSON is never met again, so its tokens take the longer way.
        let encoded_header =
            serde_json::to_vec(&header).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default();
        Self {
            header,
            encoding: EncodingKey::from_secret(secret),
            encoded_header,
            hmac: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// Whether `signature` is this key's over `signing_input`, in constant time.
    ///
    /// By `aws-lc-rs` directly: `jsonwebtoken` would expand the key anew for each request, which costs more than
    /// the hash itself.
    pub(super) fn signed(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.hmac, signing_input, signature).is_ok()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.header.kid).finish_non_exhaustive()
    }
}
