//! Uploads: what is cut never looks whole to whoever receives it.

use std::io::Write;

use serde_json::json;

use super::{Backend, assert_refused, read_until};
use crate::harness::{Answer, TestGateway, bearer, request};

#[test]
fn a_chunked_upload_never_looks_whole() {
    let backend = Backend::start();
    let gateway = TestGateway::with(&backend.config());
    let access = gateway.register("ada").member("access");
    let mut stream = gateway.connect();
    let lines = [bearer(&access), "Transfer-Encoding: chunked".to_owned()];
    let head = request("POST", "/upload", &[&lines[0], &lines[1]], b"");
    stream.get_mut().write_all(&[&head, &b"5\r\nbegun\r\n"[..]].concat()).unwrap();
    backend.asked("/upload");
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_refused(answer.status, &answer, "logout");
    assert_eq!(answer.header("connection"), Some("close"));
    let seen = backend.ended();
    assert_eq!(seen.bytes, b"5\r\nbegun\r\n");
}

/// The built-in backend reads an upload to its end before it answers.
#[test]
fn an_upload_to_the_echo_is_cut_too() {
    let gateway = TestGateway::start();
    let access = gateway.register("ada").member("access");
    let mut stream = gateway.connect();
    let lines = [&bearer(&access), "Content-Length: 100", "Expect: 100-continue"];
    stream.get_mut().write_all(&request("POST", "/x", &lines, b"")).unwrap();
    // It has begun to read.
    assert_eq!(read_until(&mut stream, b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    gateway.pass(1800);
    let answer = Answer::read(&mut stream, false).unwrap();
    assert_refused(answer.status, &answer, "expiry");
}
