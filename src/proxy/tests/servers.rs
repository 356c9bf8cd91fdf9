use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use super::harness::*;
use crate::{
    clock::Stopwatch,
    metrics::Metrics,
    proxy::{resolve::LookUp, *},
};

/// The settings of an upstream with these servers.
fn several(upstreams: &[&RawUpstream]) -> UpstreamSettings {
    let servers = upstreams.iter().map(|upstream| upstream.settings().servers.remove(0)).collect();
    UpstreamSettings { servers, ..upstreams[0].settings() }
}

/// A server that refuses connections.
async fn dead() -> ServerSettings {
    RawUpstream::start().await.settings().servers.remove(0)
}

async fn answer_one(upstream: &RawUpstream) -> Wire<tokio::net::TcpStream> {
    let mut wire = upstream.accept().await;
    wire.answer(OK).await;
    wire
}

#[tokio::test(flavor = "local")]
async fn requests_go_round_and_each_server_keeps_its_connection() {
    let (a, b) = (RawUpstream::start().await, RawUpstream::start().await);
    let forwarder = forwarder(&several(&[&a, &b]));
    let serve = async |upstream: &RawUpstream| {
        let mut wire = upstream.accept().await;
        for _ in 0..3 {
            wire.answer(OK).await;
        }
        wire
    };
    let requests = async {
        for _ in 0..6 {
            assert_eq!(get(&forwarder).await.unwrap(), "ok");
        }
    };
    let _wires = tokio::join!(serve(&a), serve(&b), requests);
    assert_eq!(forwarder.idle(0), 2);
}

#[tokio::test(flavor = "local")]
async fn a_server_that_refuses_costs_no_request_and_is_set_aside() {
    let alive = RawUpstream::start().await;
    let settings = several(&[&alive]);
    let settings = UpstreamSettings { servers: vec![dead().await, settings.servers[0].clone()], ..settings };
    let metrics = Metrics::default();
    let shared = SharedUpstreams::new(std::slice::from_ref(&settings), &metrics);
    let forwarder = Forwarder::new(&shared, &identity());
    let requests = async {
        for _ in 0..6 {
            assert_eq!(get(&forwarder).await.unwrap(), "ok");
        }
    };
    let serve = async {
        let mut wire = alive.accept().await;
        for _ in 0..6 {
            wire.answer(OK).await;
        }
        wire
    };
    let _wire = tokio::join!(serve, requests);
    let dead = metrics.server("backend", &settings.servers[0].name);
    let numbers = (dead.healthy.value(), dead.connect_failures.value(), dead.retries.value());
    assert_eq!(numbers, (0, 1, 1), "asked once");
    assert_eq!(dead.connections.value(), 0);
}

#[tokio::test(flavor = "local")]
async fn where_all_refuse_each_is_asked_all_the_same() {
    let settings = several(&[&RawUpstream::start().await]);
    let settings = UpstreamSettings { servers: vec![dead().await, dead().await, dead().await], ..settings };
    let metrics = Metrics::default();
    let shared = SharedUpstreams::new(std::slice::from_ref(&settings), &metrics);
    let forwarder = Forwarder::new(&shared, &identity());
    let watch = Stopwatch::start();
    for _ in 0..3 {
        let error = get(&forwarder).await.unwrap_err();
        assert!(matches!(error, ProxyError::Connect { .. }), "{error}");
    }
    assert!(watch.elapsed() < Duration::from_secs(1));
    // Each request asks two: itself and its one retry.
    let failures = settings
        .servers
        .iter()
        .map(|server| metrics.server("backend", &server.name).connect_failures.value());
    assert_eq!(failures.collect::<Vec<_>>(), [2, 2, 2]);
}

#[tokio::test(flavor = "local")]
async fn without_retries_no_other_server_is_asked() {
    let alive = RawUpstream::start().await;
    let settings = several(&[&alive]);
    let servers = vec![dead().await, settings.servers[0].clone()];
    let forwarder = forwarder(&UpstreamSettings { servers, retries: 0, ..settings });
    assert!(matches!(get(&forwarder).await, Err(ProxyError::Connect { .. })));
    assert!(!alive.has_caller().await);
}

#[tokio::test(flavor = "local")]
async fn a_request_that_a_dead_connection_failed_goes_to_another_server() {
    let (a, b) = (RawUpstream::start().await, RawUpstream::start().await);
    let forwarder = forwarder(&several(&[&a, &b]));
    let (wire_a, wire_b, ..) = tokio::join!(answer_one(&a), answer_one(&b), async {
        get(&forwarder).await.unwrap();
        get(&forwarder).await.unwrap();
    });
    // The third is A's again, which takes it, closes and never comes back.
    drop(wire_b);
    let serve = async {
        let mut wire = wire_a;
        wire.head().await;
        drop((wire, a));
        answer_one(&b).await
    };
    let (_wire, answer) = tokio::join!(serve, get(&forwarder));
    assert_eq!(answer.unwrap(), "ok");
}

#[tokio::test(flavor = "local")]
async fn each_server_has_its_own_cap_and_a_full_one_is_passed_over() {
    let (a, b) = (RawUpstream::start().await, RawUpstream::start().await);
    let limit = Duration::from_millis(100);
    let settings = UpstreamSettings { connections: 1, connect_timeout: limit, ..several(&[&a, &b]) };
    let forwarder = forwarder(&settings);
    let serve = async |upstream: &RawUpstream| {
        let mut wire = upstream.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        wire
    };
    let (mut wire_a, _wire_b, held) = tokio::join!(serve(&a), serve(&b), async {
        [send(&forwarder, "GET", "/").await.unwrap(), send(&forwarder, "GET", "/").await.unwrap()]
    });
    assert!(matches!(get(&forwarder).await, Err(ProxyError::NoCapacity { .. })));
    assert!(!a.has_caller().await && !b.has_caller().await);

    // One comes free: whoever's turn it is, the request goes there.
    wire_a.say("ok").await;
    let [first, _second] = held;
    assert_eq!(text(first).await.unwrap(), "ok");
    for _ in 0..2 {
        let (answer, _) = tokio::join!(get(&forwarder), wire_a.answer(OK));
        assert_eq!(answer.unwrap(), "ok");
    }
}

#[tokio::test(flavor = "local")]
async fn the_host_is_that_of_the_server_that_is_asked() {
    let (a, b) = (RawUpstream::start().await, RawUpstream::start().await);
    let settings = UpstreamSettings { host: HostHeader::Upstream, ..several(&[&a, &b]) };
    let forwarder = forwarder(&settings);
    let serve = async |upstream: &RawUpstream| upstream.accept().await.answer(OK).await;
    let (head_a, head_b, ..) = tokio::join!(serve(&a), serve(&b), async {
        get(&forwarder).await.unwrap();
        get(&forwarder).await.unwrap();
    });
    for (head, server) in [(head_a, &settings.servers[0]), (head_b, &settings.servers[1])] {
        assert!(head.contains(&format!("\r\nhost: {}\r\n", server.authority)), "{head}");
        assert_eq!(head.matches("\r\nhost: ").count(), 1, "{head}");
        assert!(head.contains("\r\nx-forwarded-host: app.example\r\n"), "{head}");
    }
}

#[tokio::test(flavor = "local")]
async fn warm_connections_follow_the_name() {
    let (old, new) = (RawUpstream::start().await, RawUpstream::start().await);
    let port_of = |upstream: &RawUpstream| match upstream.settings().servers.remove(0).endpoint {
        Endpoint::Tcp { port, .. } => port,
        Endpoint::Unix(_) => unreachable!("it listens on TCP"),
    };
    let settings = UpstreamSettings { servers: vec![server("backend", 80)], ..old.settings() };
    let current = Arc::new(AtomicU16::new(port_of(&old)));
    let look_up: LookUp = {
        let current = Arc::clone(&current);
        Arc::new(move |host, port| {
            let found = ([127, 0, 0, 1], current.load(Ordering::SeqCst)).into();
            if (host, port) == ("backend", 80) { Ok(vec![found]) } else { Err(io::Error::other("unknown")) }
        })
    };
    let shared =
        SharedUpstreams::with_look_up(std::slice::from_ref(&settings), &Metrics::default(), &look_up);
    let forwarder = Forwarder::new(&shared, &identity());
    let (mut wire, answer) = tokio::join!(answer_one(&old), get(&forwarder));
    assert_eq!((answer.unwrap().as_str(), forwarder.idle(0)), ("ok", 1));

    current.store(port_of(&new), Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    // Nobody asks for a new connection; the pool notices while it is in use.
    assert_eq!(wire.rest().await, "");
    let (_wire, answer) = tokio::join!(answer_one(&new), get(&forwarder));
    assert_eq!(answer.unwrap(), "ok");
}
