//! Every bound has its own answer.

use std::{io::Write, time::Duration};

use crate::harness::{Answer, TestGateway, Upstream, bearer, ok, request};

const SHORT: &str = r#"
[limits]
header_timeout = "300ms"
idle_timeout = "2s"
body_timeout = "300ms"
header_size = "8KiB"
header_count = 30
"#;

#[test]
fn a_head_too_large_is_431() {
    let gateway = TestGateway::with(&format!(
        "{SHORT}[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n"
    ));
    let large = format!("X: {}", "x".repeat(20_000));
    gateway.get("/x", &[&large]).expect(431);
    let many: Vec<String> = (0..40).map(|index| format!("X-{index}: 1")).collect();
    gateway.get("/x", &many.iter().map(String::as_str).collect::<Vec<_>>()).expect(431);
    gateway.get("/x", &["X: 1"]).expect(200);
}

#[test]
fn a_slow_head_is_cut_off() {
    let gateway = TestGateway::with(&format!(
        "{SHORT}[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n"
    ));
    let answer = gateway.try_raw("GET / HTTP/1.1\r\nHost: local");
    assert!(answer.is_none_or(|answer| answer.status == 408));
    // A first byte is a head that has begun.
    assert!(gateway.try_raw("").is_none());
}

#[test]
fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let gateway = TestGateway::with(&format!(
        "{SHORT}[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n"
    ));
    let mut stream = gateway.connect();
    for _ in 0..2 {
        stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
        Answer::read(&mut stream, false).unwrap().expect(200);
        // Not synchronisation: the silence itself is what is tried.
        std::thread::sleep(Duration::from_millis(600));
    }
}

#[test]
fn a_forwarded_body_too_slow_is_408() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{SHORT}{}", upstream.config()));
    let token = gateway.register("ada").member("access");
    let mut bytes = request("POST", "/x", &[&bearer(&token)], b"hello");
    bytes.pop();
    gateway.raw(bytes).expect(408);
}

#[test]
fn connections_beyond_the_cap_are_closed() {
    let gateway = TestGateway::with(
        "[limits]\nconnections_per_address = 2\n[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n",
    );
    let mut first = gateway.connect();
    let mut second = gateway.connect();
    for stream in [&mut first, &mut second] {
        stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
        Answer::read(stream, false).unwrap().expect(200);
    }
    assert!(gateway.try_raw(request("GET", "/x", &[], b"")).is_none());
    assert_eq!(gateway.app().metrics().connections_refused.value(), 1);
}
