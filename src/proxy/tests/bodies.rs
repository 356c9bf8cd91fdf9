use std::{rc::Rc, time::Duration};

use super::harness::*;
use crate::{body::BodyError, metrics::Metrics, proxy::*};

#[tokio::test(flavor = "local")]
async fn chunks_and_trailers_pass_both_ways() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\
        trailer: x-sum, x-user-id\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\nx-user-id: root\r\n\r\n";
    front.client.say(request).await;
    let mut wire = upstream.accept().await;
    let head = wire.head().await;
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!(wire.read_until("0\r\nx-sum: 1\r\n\r\n").await, "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");

    wire.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end, x-hop\r\n\r\n3\r\nabc\r\n")
        .await;
    let head = front.client.head().await;
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(front.client.read_until("abc\r\n").await, "3\r\nabc\r\n");
    wire.say("0\r\nx-end: 2\r\nconnection: x-hop\r\nx-hop: 3\r\n\r\n").await;
    assert_eq!(front.client.read_until("\r\n\r\n").await, "0\r\nx-end: 2\r\n\r\n");
    until(|| forwarder.idle(0) == 1).await;
    assert_eq!(front.counts.borrow()[0].value(), 5);
}

#[tokio::test(flavor = "local")]
async fn a_body_of_known_length_keeps_it() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel").await;
    let mut wire = upstream.accept().await;
    let head = wire.head().await;
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(wire.read_until("hel").await, "hel");
    front.client.say("lo").await;
    assert_eq!(wire.read_until("lo").await, "lo");
    wire.say(OK).await;
    assert!(front.client.read_until("ok").await.contains("\r\ncontent-length: 2\r\n"));
    assert_eq!(front.counts.borrow()[0].value(), 5);
}

#[tokio::test(flavor = "local")]
async fn a_get_may_have_a_body_of_unknown_length() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front
        .client
        .say("GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        .await;
    let mut wire = upstream.accept().await;
    assert!(wire.head().await.contains("\r\ntransfer-encoding: chunked\r\n"));
    assert_eq!(wire.read_until("0\r\n\r\n").await, "2\r\nhi\r\n0\r\n\r\n");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_waits_for_100_continue_gets_it_from_us() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
    let mut wire = upstream.accept().await;
    assert!(!wire.head().await.contains("expect"));
    assert_eq!(front.client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    front.client.say("hi").await;
    assert_eq!(wire.read_until("hi").await, "hi");
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_dies_in_mid_answer_is_an_error() {
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhal\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhal\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
    ] {
        let upstream = RawUpstream::start().await;
        let forwarder = upstream.forwarder();
        let (answer, _) =
            tokio::join!(send(&forwarder, "GET", "/"), async { upstream.accept().await.answer(half).await });
        let error = text(answer.unwrap()).await.unwrap_err();
        assert!(matches!(error, BodyError::Aborted(_)), "{half:?}: {error}");
        assert_eq!(forwarder.idle(0), 0, "{half:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_client_sees_that_the_answer_broke_off() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.accept().await.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhal\r\n").await;
    let seen = front.client.rest().await;
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
}

#[tokio::test(flavor = "local")]
async fn a_silence_in_mid_answer_is_an_error() {
    let upstream = RawUpstream::start().await;
    let idle = Duration::from_millis(50);
    let forwarder = forwarder(&UpstreamSettings { response_idle_timeout: idle, ..upstream.settings() });
    let (answer, mut wire) = tokio::join!(send(&forwarder, "GET", "/"), async {
        let mut wire = upstream.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal").await;
        wire
    });
    assert!(matches!(text(answer.unwrap()).await, Err(BodyError::TooSlow)));
    assert_eq!(wire.rest().await, "");
}

#[tokio::test(flavor = "local")]
async fn a_slow_client_is_not_the_upstreams_fault() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_millis(100);
    let settings = UpstreamSettings { response_timeout: limit, ..upstream.settings() };
    let forwarder = Rc::new(forwarder(&settings));
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    tokio::time::sleep(limit * 3).await;
    front.client.say("cd").await;
    wire.read_until("cd").await;
    wire.say(OK).await;
    assert!(front.client.read_until("ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "local")]
async fn after_the_upload_the_time_is_the_upstreams() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_millis(50);
    let settings = UpstreamSettings { response_timeout: limit, ..upstream.settings() };
    let forwarder = Rc::new(forwarder(&settings));
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    front.client.head().await;
    assert!(matches!(front.errors.borrow()[..], [ProxyError::Timeout { awaited: Awaited::Answer, .. }]));
    assert_eq!(wire.rest().await, "");
}

#[tokio::test(flavor = "local")]
async fn the_end_of_the_upload_starts_the_time_anew() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_secs(2);
    let settings = UpstreamSettings { response_timeout: limit, ..upstream.settings() };
    let forwarder = Rc::new(forwarder(&settings));
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    tokio::time::sleep(limit * 2 / 3).await;
    front.client.say("cd").await;
    wire.read_until("cd").await;
    tokio::time::sleep(limit * 2 / 3).await;
    wire.say(OK).await;
    assert!(front.client.read_until("ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_takes_nothing_of_the_body_is_late() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_millis(100);
    let settings = UpstreamSettings { response_timeout: limit, ..upstream.settings() };
    let forwarder = Rc::new(forwarder(&settings));
    let Front { mut client, errors, .. } = Front::start(&forwarder, PATIENCE);
    let upload = async {
        client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n").await;
        let part = "x".repeat(1 << 20);
        while client.try_say(&part).await.is_ok() {}
        std::future::pending().await
    };
    // The socket's buffers take some of it, but not all.
    let _wire = tokio::select! {
        () = upload => unreachable!("it only ends with the test"),
        wire = async {
            let wire = upstream.accept().await;
            until(|| !errors.borrow().is_empty()).await;
            wire
        } => wire,
    };
    assert!(matches!(errors.borrow()[..], [ProxyError::Timeout { awaited: Awaited::Answer, .. }]));
}

#[tokio::test(flavor = "local")]
async fn a_body_that_comes_too_slowly_is_the_clients_fault() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, Duration::from_millis(50));
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    front.client.head().await;
    assert!(matches!(front.errors.borrow()[..], [ProxyError::RequestBody(BodyError::TooSlow)]));
    assert_eq!(wire.rest().await, "");
}

#[tokio::test(flavor = "local")]
async fn a_client_that_leaves_in_mid_upload_never_looks_finished() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_until("2\r\nab\r\n").await;
    drop(front);
    assert_eq!(wire.rest().await, "");
}

#[tokio::test(flavor = "local")]
async fn an_early_answer_keeps_its_connection_busy_until_the_upload_ends() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    wire.say(OK).await;
    front.client.read_until("ok").await;
    assert_eq!(forwarder.idle(0), 0);
    front.client.say("cd").await;
    wire.read_until("cd").await;
    until(|| forwarder.idle(0) == 1).await;
}

#[tokio::test(flavor = "local")]
async fn an_upload_that_nobody_waits_for_is_cut() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    wire.say(OK).await;
    front.client.read_until("ok").await;
    assert_eq!(wire.rest().await, "");
    assert_eq!(forwarder.idle(0), 0);
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_refuses_an_upload_and_leaves_is_heard() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n\r\nab").await;
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig";
    let mut wire = upstream.accept().await;
    wire.read_until("ab").await;
    wire.say(refusal).await;
    drop(wire);
    assert!(front.client.read_until("big").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test(flavor = "local")]
async fn the_echo_backend_reads_the_body() {
    let forwarder = Rc::new(Forwarder::new(&SharedUpstreams::new(&[], &Metrics::default()), &identity()));
    for (body, shown) in [
        ("h\u{e9}".to_owned(), "{\"size\":3,\"text\":\"h\u{e9}\"}".to_owned()),
        ("x".repeat(65536), format!("{{\"size\":65536,\"text\":\"{}\"}}", "x".repeat(65536))),
        ("x".repeat(65537), "{\"size\":65537,\"text\":null}".to_owned()),
    ] {
        let mut front = Front::start(&forwarder, PATIENCE);
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
        front.client.say(&format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
        let answer = front.client.rest().await;
        assert!(answer.ends_with(&format!("\"body\":{shown}}}")), "{answer}");
        assert!(answer.contains(&format!("[\"content-length\",\"{}\"]", body.len())), "{answer}");
    }
}
