//! WebSockets: where a Close frame can still be said, and where it cannot.

use std::{
    io::{Read, Write},
    sync::mpsc,
};

use serde_json::json;

use super::{ACCEPTED, Backend, EXPIRED, HANDSHAKE, PATIENCE, REVOKED, open, open_with, unmasked};
use crate::harness::{Scripted, TestGateway, bearer, request};

#[test]
fn a_websocket_whose_token_is_a_subprotocol_is_cut_too() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&backend.config());
    let access = gateway.register("ada").member("access");
    let offer = format!("Sec-WebSocket-Protocol: chat, bearer.{access}");
    let mut stream = open_with(&backend, &gateway, "/border", &[&offer]);
    // A whole frame and a part of another one: the upstream's side cannot be told, the client's can.
    stream.get_mut().write_all(b"\x81\x82\0\0\0\0hi\x81\x85\0\0").unwrap();
    gateway.pass(1800);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, EXPIRED);
    assert_eq!(backend.ended().bytes, b"\x81\x82\0\0\0\0hi\x81\x85\0\0");
}

/// After a Close nothing more may be said, 1008 neither.
#[test]
fn a_websocket_that_is_closing_gets_no_second_close() {
    let (close, told) = mpsc::channel();
    let (upstream, seen) = Scripted::telling(move |mut wire, _| {
        wire.head();
        wire.say([ACCEPTED.as_bytes(), b"\x88\x02\x03\xe8"].concat());
        close.send(()).unwrap();
        wire.rest()
    });
    let gateway = TestGateway::with(&format!(
        "[auth]\nregistration = true\n{}",
        upstream.config().replace("public", "protected")
    ));
    let access = gateway.register("ada").member("access");
    let mut stream = gateway.connect();
    let lines: Vec<&str> = HANDSHAKE.into_iter().collect();
    let authorization = bearer(&access);
    let lines = [lines, vec![authorization.as_str()]].concat();
    stream.get_mut().write_all(&request("GET", "/", &lines, b"")).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\x88\x02\x03\xe8") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert_eq!(unmasked(&seen.recv_timeout(PATIENCE).unwrap().0), REVOKED);
}

#[test]
fn a_frame_of_100_megabytes_breaks_off() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&backend.config());
    let access = gateway.register("ada").member("access");
    // Half of it has come.
    let mut stream = open(&backend, &gateway, "/large", &access);
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(rest, b"");
    assert_eq!(unmasked(&backend.ended().bytes), REVOKED);
}
