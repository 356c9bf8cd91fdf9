use std::{rc::Rc, time::Duration};

use super::harness::*;
use crate::{clock::Stopwatch, metrics::Metrics, proxy::*};

#[tokio::test(flavor = "local")]
async fn one_connection_serves_many_requests() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let serve = async {
        let mut wire = upstream.accept().await;
        for _ in 0..3 {
            wire.answer(OK).await;
        }
        wire
    };
    let requests = async {
        for _ in 0..3 {
            assert_eq!(get(&forwarder).await.unwrap(), "ok");
            assert_eq!(forwarder.idle(0), 1);
        }
    };
    let (_wire, ()) = tokio::join!(serve, requests);
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_died_idle_costs_nothing() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    // Whether the death is noticed before the request is sent or after: there is one answer.
    for _ in 0..3 {
        let (answer, _) = tokio::join!(get(&forwarder), async { upstream.accept().await.answer(OK).await });
        assert_eq!(answer.unwrap(), "ok");
    }
    // And nobody needs to ask for it.
    until(|| forwarder.idle(0) == 0).await;
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_says_more_than_its_answer_is_not_kept() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer(&format!("{OK}{OK}")).await;
        wire.rest().await
    };
    let (_, answer) = tokio::join!(serve, get(&forwarder));
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(forwarder.idle(0), 0);
}

#[tokio::test(flavor = "local")]
async fn a_request_is_repeated_only_if_that_is_harmless() {
    for (method, old, heard, repeated) in [
        ("GET", true, "", true),
        ("HEAD", true, "", true),
        ("OPTIONS", true, "", true),
        ("DELETE", true, "", false),
        ("POST", true, "", false),
        ("GET", true, "HTTP/1.1 2", false),
        ("GET", true, "HTTP/1.1 100 Continue\r\n\r\n", false),
        ("GET", false, "", false),
    ] {
        let upstream = RawUpstream::start().await;
        let forwarder = upstream.forwarder();
        let serve = async {
            let mut wire = upstream.accept().await;
            if old {
                wire.answer(OK).await;
            }
            wire.answer(heard).await;
            drop(wire);
            if repeated {
                upstream.accept().await.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        };
        let requests = async {
            if old {
                get(&forwarder).await.unwrap();
            }
            send(&forwarder, method, "/").await
        };
        let ((), answer) = tokio::join!(serve, requests);
        match answer {
            Ok(answer) => assert!(repeated && answer.status() == 204, "{method} {old} {heard:?}"),
            Err(error) => {
                assert!(!repeated, "{method} {old} {heard:?}: {error}");
                assert!(matches!(error, ProxyError::Response { .. }), "{error}");
                assert!(!upstream.has_caller().await, "{method} {old} {heard:?}");
            }
        }
    }
}

#[tokio::test(flavor = "local")]
async fn a_request_with_a_body_is_not_repeated() {
    let upstream = RawUpstream::start().await;
    let forwarder = Rc::new(upstream.forwarder());
    let mut front = Front::start(&forwarder, PATIENCE);
    front.client.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut wire = upstream.accept().await;
    wire.answer(OK).await;
    front.client.read_until("ok").await;

    front.client.say("OPTIONS / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
    wire.read_until("\r\n\r\nhi").await;
    drop(wire);
    assert!(front.client.head().await.starts_with("HTTP/1.1 502"));
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn retries_can_be_turned_off() {
    let upstream = RawUpstream::start().await;
    let forwarder = forwarder(&UpstreamSettings { retries: 0, ..upstream.settings() });
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer(OK).await;
        wire.head().await;
    };
    let ((), answer) = tokio::join!(serve, async {
        get(&forwarder).await.unwrap();
        get(&forwarder).await
    });
    assert!(matches!(answer, Err(ProxyError::Response { .. })));
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn a_silent_upstream_is_left_in_time_and_for_good() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_millis(50);
    let forwarder = forwarder(&UpstreamSettings { response_timeout: limit, ..upstream.settings() });
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer(OK).await;
        wire.head().await;
        wire.rest().await
    };
    let (rest, answer) = tokio::join!(serve, async {
        get(&forwarder).await.unwrap();
        get(&forwarder).await
    });
    assert!(matches!(answer, Err(ProxyError::Timeout { awaited: Awaited::Answer, .. })));
    assert_eq!(rest, "");
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn nobody_listening_is_told_at_once() {
    let upstream = RawUpstream::start().await;
    let settings = upstream.settings();
    drop(upstream);
    let forwarder = forwarder(&settings);
    let watch = Stopwatch::start();
    let error = get(&forwarder).await.unwrap_err();
    assert!(matches!(error, ProxyError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("`backend`"), "{error}");
    assert!(watch.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "local")]
async fn a_body_dropped_early_takes_its_connection_along() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly a part").await;
        wire.rest().await
    };
    let (rest, ()) = tokio::join!(serve, async {
        drop(send(&forwarder, "GET", "/").await.unwrap());
    });
    assert_eq!(rest, "");
    assert_eq!(forwarder.idle(0), 0);
}

#[tokio::test(flavor = "local")]
async fn a_request_given_up_takes_its_connection_along() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let request = send(&forwarder, "GET", "/");
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.head().await;
        wire
    };
    let mut wire = tokio::select! {
        _ = request => panic!("nobody has answered"),
        wire = serve => wire,
    };
    assert_eq!(wire.rest().await, "");
    assert_eq!(forwarder.idle(0), 0);
}

#[tokio::test(flavor = "local")]
async fn a_connection_that_will_not_serve_again_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\nconnection: Close\r\n\r\n",
    ] {
        let upstream = RawUpstream::start().await;
        let forwarder = upstream.forwarder();
        let serve = async {
            let mut wire = upstream.accept().await;
            wire.answer(answer).await;
            wire.rest().await
        };
        let (rest, _) = tokio::join!(serve, get(&forwarder));
        assert_eq!(rest, "");
        assert_eq!(forwarder.idle(0), 0, "{answer}");
    }
}

#[tokio::test(flavor = "local")]
async fn an_old_idle_connection_is_not_used_and_not_kept() {
    let upstream = RawUpstream::start().await;
    let forwarder = forwarder(&UpstreamSettings { idle_timeout: Duration::ZERO, ..upstream.settings() });
    for _ in 0..2 {
        let serve = async {
            let mut wire = upstream.accept().await;
            wire.answer(OK).await;
            wire
        };
        let (mut wire, answer) = tokio::join!(serve, get(&forwarder));
        assert_eq!(answer.unwrap(), "ok");
        // The sweep closes it, though nobody asks for a connection.
        assert_eq!(wire.rest().await, "");
        assert_eq!(forwarder.idle(0), 0);
    }
}

#[tokio::test(flavor = "local")]
async fn beyond_the_cap_requests_wait_for_a_connection_to_come_back() {
    let upstream = RawUpstream::start().await;
    let forwarder = forwarder(&UpstreamSettings { connections: 1, ..upstream.settings() });
    let serve = async {
        let mut wire = upstream.accept().await;
        for _ in 0..3 {
            wire.answer(OK).await;
        }
        wire
    };
    let (_wire, a, b, c) = tokio::join!(serve, get(&forwarder), get(&forwarder), get(&forwarder));
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], ["ok", "ok", "ok"]);
    assert!(!upstream.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn who_waits_longest_is_served_first() {
    let upstream = RawUpstream::start().await;
    let forwarder = forwarder(&UpstreamSettings { connections: 1, ..upstream.settings() });
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        wire
    };
    let (mut wire, held) = tokio::join!(serve, send(&forwarder, "GET", "/held"));
    let mut early = std::pin::pin!(send(&forwarder, "GET", "/early"));
    tokio::select! {
        biased;
        _ = &mut early => panic!("there is no connection for it"),
        () = tokio::task::yield_now() => {}
    }
    wire.say("ok").await;
    assert_eq!(text(held.unwrap()).await.unwrap(), "ok");
    // The connection is back, and the late one asks before the early one has taken it.
    let serve = async {
        for path in ["/early", "/late"] {
            let head = wire.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
            assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        }
    };
    let (late, early, ()) = tokio::join!(biased; send(&forwarder, "GET", "/late"), early, serve);
    assert!(late.is_ok() && early.is_ok());
}

#[tokio::test(flavor = "local")]
async fn waiting_for_a_connection_has_an_end() {
    let upstream = RawUpstream::start().await;
    let limit = Duration::from_millis(50);
    let forwarder =
        forwarder(&UpstreamSettings { connections: 1, connect_timeout: limit, ..upstream.settings() });
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        wire
    };
    let (mut wire, held) = tokio::join!(serve, send(&forwarder, "GET", "/"));
    assert!(matches!(get(&forwarder).await, Err(ProxyError::NoCapacity { .. })));

    wire.say("ok").await;
    assert_eq!(text(held.unwrap()).await.unwrap(), "ok");
    let (answer, _) = tokio::join!(get(&forwarder), wire.answer(OK));
    assert_eq!(answer.unwrap(), "ok");
}

#[tokio::test(flavor = "local")]
async fn the_cap_is_one_for_all_workers_and_idle_connections_are_given_up() {
    let upstream = RawUpstream::start().await;
    let shared = SharedUpstreams::new(
        &[UpstreamSettings { connections: 1, ..upstream.settings() }],
        &Metrics::default(),
    );
    let [one, two] = [(); 2].map(|()| Forwarder::new(&shared, &identity()));
    for forwarder in [&one, &two, &one] {
        let serve = async {
            let mut wire = upstream.accept().await;
            wire.answer(OK).await;
            wire
        };
        let (_wire, answer) = tokio::join!(serve, get(forwarder));
        assert_eq!(answer.unwrap(), "ok");
        assert_eq!(one.idle(0) + two.idle(0), 1);
    }
}

#[tokio::test(flavor = "local")]
async fn a_forwarder_that_is_dropped_closes_its_idle_connections() {
    let upstream = RawUpstream::start().await;
    let forwarder = upstream.forwarder();
    let serve = async {
        let mut wire = upstream.accept().await;
        wire.answer(OK).await;
        wire
    };
    let (mut wire, answer) = tokio::join!(serve, get(&forwarder));
    assert_eq!(answer.unwrap(), "ok");
    drop(forwarder);
    assert_eq!(wire.rest().await, "");
}
