//! Hosts and paths as an operator writes them: read or refused, and what is read is read again as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::route::{HostPattern, PathPattern};

fuzz_target!(|text: &str| {
    if let Ok(host) = HostPattern::parse(text) {
        assert_eq!(HostPattern::parse(&host.to_string()).as_ref(), Ok(&host));
    }
    if let Ok(PathPattern::Exact(path) | PathPattern::Below(path)) = PathPattern::parse(text) {
        assert!(path.is_empty() || path.starts_with('/'));
    }
});
