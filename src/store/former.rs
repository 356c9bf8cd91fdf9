//! How the tokens that a session has left behind lie in a column: each sixteen bytes and its instant in eight,
//! big-endian, the latest first.

use super::refresh_rule::Former;
use crate::{clock::Timestamp, id::TokenId};

pub(super) fn pack(former: &[Former]) -> Vec<u8> {
    former
        .iter()
        .flat_map(|former| former.token.as_bytes().iter().copied().chain(former.since.millis().to_be_bytes()))
        .collect()
}

/// `None` where the bytes cannot have been packed.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<Former>> {
    let (entries, rest) = bytes.as_chunks::<24>();
    if !rest.is_empty() {
        return None;
    }
    let entries = entries.iter().map(|entry| {
        let token = TokenId::from_bytes(*entry.first_chunk::<16>()?);
        let since = Timestamp::from_millis(u64::from_be_bytes(*entry.last_chunk::<8>()?));
        Some(Former { token, since })
    });
    entries.collect()
}
