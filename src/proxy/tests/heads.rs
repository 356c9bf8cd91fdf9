use std::rc::Rc;

use http::Request;

use super::harness::*;
use crate::{metrics::Metrics, proxy::*};

#[tokio::test(flavor = "local")]
async fn the_head_of_a_request_byte_by_byte() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    let request = "GET /a%2Fb//c/../d;v=1?x=%zz&y=%00 HTTP/1.1\r\nHost: evil.example\r\nAccept: */*\r\n\
        Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nX-User-Id: root\r\nX-Forwarded-For: 6.6.6.6\r\n\
        Authorization: Bearer t\r\nTE: trailers, deflate;q=0.5\r\nUpgrade: websocket\r\n\
        Cookie: a=1\r\nCookie: b=2\r\n\r\n";
    front.client.say(request).await;
    let head = upstream.accept().await.head().await;
    let mut lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /a%2Fb//c/../d;v=1?x=%zz&y=%00 HTTP/1.1");
    lines.retain(|line| !line.is_empty() && *line != "te: trailers");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: */*",
            "cookie: a=1",
            "cookie: b=2",
            "host: app.example",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: app.example",
            "x-forwarded-proto: https",
            "x-request-id: r-1",
        ]
    );
}

#[tokio::test(flavor = "local")]
async fn an_answer_loses_only_what_ends_at_this_hop() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = "HTTP/1.1 418 Short And Stout\r\nserver: gunicorn\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
        connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=2\r\ncontent-length: 3\r\n\r\ntea";
    upstream.accept().await.answer(answer).await;
    assert_eq!(
        front.client.read_until("tea").await,
        "HTTP/1.1 418 Short And Stout\r\nserver: gunicorn\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
         content-length: 3\r\n\r\ntea"
    );
}

#[tokio::test(flavor = "local")]
async fn answers_without_a_body_have_none_and_keep_the_connection() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut wire = upstream.accept().await;
    wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    assert_eq!(front.client.head().await, "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");

    for (status, sent) in
        [("304 Not Modified", "etag: \"1\"\r\n"), ("204 No Content", ""), ("200 OK", "content-length: 0\r\n")]
    {
        front.client.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wire.answer(&format!("HTTP/1.1 {status}\r\n{sent}\r\n")).await;
        assert_eq!(front.client.head().await, format!("HTTP/1.1 {status}\r\n{sent}\r\n"));
    }
}

#[tokio::test(flavor = "local")]
async fn interim_answers_are_not_the_answer() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (answer, _) = tokio::join!(get(&forwarder), async {
        upstream.accept().await.answer(&format!("{interim}{OK}")).await
    });
    assert_eq!(answer.unwrap(), "ok");
}

#[tokio::test(flavor = "local")]
async fn an_answer_that_nobody_can_read_is_refused() {
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nspace : a\r\n\r\n",
        "<html>not HTTP at all</html>\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\nlong: {}\r\n\r\n", "x".repeat(65 * 1024)),
        &format!("HTTP/1.1 200 OK\r\n{}\r\n", "many: x\r\n".repeat(101)),
    ] {
        let upstream = RawUpstream::start().await;
        let forwarder = upstream.forwarder();
        let (answer, mut wire) = tokio::join!(send(&forwarder, "GET", "/"), async {
            let mut wire = upstream.accept().await;
            wire.answer(bad).await;
            wire
        });
        let shown = bad.get(..60.min(bad.len()));
        assert!(matches!(answer, Err(ProxyError::Response { .. })), "{shown:?}: {:?}", answer.err());
        assert_eq!(wire.rest().await, "", "{shown:?}");
        assert_eq!(forwarder.idle(0), 0, "{shown:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn tunnels_and_traces_never_leave() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    for (method, target) in [("CONNECT", "a.example:443"), ("TRACE", "/")] {
        assert!(matches!(send(&forwarder, method, target).await, Err(ProxyError::MethodRefused)));
    }
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn the_echo_backend_shows_the_prepared_head() {
    let forwarder = Forwarder::new(&SharedUpstreams::new(&[], &Metrics::default()), &identity());
    let request = Request::get("/a%2Fb?q").header("authorization", "Bearer t").header("x-user-id", "root");
    let (head, ()) = request.header("accept", "*/*").body(()).unwrap().into_parts();
    let answer = forwarder.echo(head, RequestBody::empty(), context()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(
        std::str::from_utf8(answer.body()).unwrap(),
        r#"{"method":"GET","path":"/a%2Fb","query":"q","headers":[["accept","*/*"],["x-forwarded-for","192.0.2.7"],["x-forwarded-proto","https"],["host","app.example"],["x-forwarded-host","app.example"],["x-request-id","r-1"]],"body":{"size":0,"text":""}}"#
    );
}
