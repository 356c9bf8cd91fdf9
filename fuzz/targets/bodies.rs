//! Bodies of the auth endpoints, as JSON and as forms, and the `Authorization` beside them.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use portcullis::dialect::{self, Endpoint};

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (choice, authorization, body) = input;
    let mut headers = HeaderMap::new();
    let content_type =
        ["application/json", "application/x-www-form-urlencoded", "application/json; charset=utf-8"]
            .get(usize::from(choice) % 4);
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Ok(value) = HeaderValue::from_bytes(authorization) {
        headers.insert(header::AUTHORIZATION, value);
    }
    for endpoint in Endpoint::ALL {
        if let Err(error) = dialect::decode(endpoint, "/sessions/x", &headers, body) {
            let answer = dialect::undecodable(&error);
            assert!(answer.status().is_client_error());
        }
    }
});
