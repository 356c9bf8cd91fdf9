//! `X-Request-Id`: the client's where it can do no harm, else one of ours.

use std::{cell::Cell, fmt::Write as _};

use http::HeaderValue;

use crate::id::random_bytes;

/// Names requests: a random word of the worker's and a number, unique without asking anybody.
#[derive(Debug)]
pub(super) struct RequestIds {
    worker: u64,
    next: Cell<u64>,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { worker: u64::from_be_bytes(random_bytes()), next: Cell::new(0) }
    }

    /// The client's own `X-Request-Id` if it is sane, else a new one.
    pub(super) fn name(&self, sent: Option<&HeaderValue>) -> HeaderValue {
        if let Some(sent) = sent.filter(|sent| is_sane(sent.as_bytes())) {
            return sent.clone();
        }
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut name = String::with_capacity(32);
        // Writing into a String cannot fail.
        let _infallible = write!(name, "{:016x}{number:016x}", self.worker);
        HeaderValue::try_from(name).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// What a log line and a header can hold without harm.
fn is_sane(name: &[u8]) -> bool {
    (1..=128).contains(&name.len())
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_name_is_kept_and_others_are_made() {
        let ids = RequestIds::new();
        let kept = HeaderValue::from_static("0b5e-42.a:b/c+d=_");
        assert_eq!(ids.name(Some(&kept)), kept);
        let long = "x".repeat(129);
        for sent in [None, Some(""), Some("a b"), Some("a,b"), Some("a\"b"), Some(long.as_str())] {
            let sent = sent.map(|sent| HeaderValue::from_str(sent).unwrap());
            let name = ids.name(sent.as_ref());
            assert_ne!(Some(&name), sent.as_ref());
            assert_eq!(name.len(), 32);
            assert_ne!(name, ids.name(sent.as_ref()), "no two requests have one name");
        }
    }
}
