use std::time::Duration;

use http_body_util::BodyExt;

use super::*;
use crate::{
    clock::Timestamp,
    metrics::{Listener, Verdict},
};

fn admin(metrics: &Metrics, readiness: &Readiness) -> Admin {
    let revocations = RevocationList::new(metrics.clone());
    Admin::new(metrics.clone(), readiness.clone(), revocations, BuildInfo { version: "1.2.3" })
}

async fn ask(admin: &Admin, method: Method, target: &str) -> (StatusCode, String, String) {
    let request = Request::builder().method(method).uri(target).body(()).unwrap();
    let answer = admin.call(request).await.unwrap();
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_process_that_answers_lives() {
    let admin = admin(&Metrics::default(), &Readiness::new());
    let (status, _, body) = ask(&admin, Method::GET, "/livez").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
}

#[tokio::test]
async fn readiness_follows_the_store_and_the_drain() {
    let readiness = Readiness::new();
    let admin = admin(&Metrics::default(), &readiness);
    let (status, _, body) = ask(&admin, Method::GET, "/readyz").await;
    assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"));

    readiness.set_store_read(true);
    let (status, _, body) = ask(&admin, Method::GET, "/readyz").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ready\n"));

    readiness.set_draining();
    let (status, _, body) = ask(&admin, Method::GET, "/readyz?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let lines: Vec<&str> = body.lines().collect();
    assert!(lines[2].starts_with("[i] revocations read 0.") && lines[2].ends_with(" s ago"), "{body}");
    assert_eq!([lines[0], lines[1], lines[3]], ["[+] store read", "[-] not draining", "not ready"]);
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let admin = admin(&Metrics::default(), &Readiness::new());
    for path in ["/", "/livez/", "/metrics/x", "/LIVEZ"] {
        assert_eq!(ask(&admin, Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(ask(&admin, Method::POST, "/metrics").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&admin, Method::HEAD, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_the_sums_of_all_workers() {
    let metrics = Metrics::new(vec!["/a\"b".to_owned()]);
    let (one, two) = (metrics.worker(), metrics.worker());
    one.answered(0, 200);
    two.answered(0, 204);
    two.answered(metrics.no_route(), 404);
    one.judged(Verdict::TokenRevoked);
    two.judged(Verdict::TokenRevoked);
    one.duration.observe(Duration::from_micros(200));
    two.duration.observe(Duration::from_secs(11));
    metrics.connections.of(Listener::Plain).increment();
    let ends = [("b.example", 30), ("a.example", 20), ("a.example", 10)];
    metrics.set_certificates(ends.map(|(name, end)| (name.to_owned(), Timestamp::from_seconds(end))));
    metrics.logins.add(7);
    let (status, kind, body) = ask(&admin(&metrics, &Readiness::new()), Method::GET, "/metrics").await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        "portcullis_build_info{version=\"1.2.3\"} 1",
        "# TYPE portcullis_requests counter",
        "portcullis_requests_total{route=\"/a\\\"b\",status=\"2xx\"} 2",
        "portcullis_requests_total{route=\"none\",status=\"4xx\"} 1",
        "portcullis_requests_total{route=\"auth\",status=\"5xx\"} 0",
        "portcullis_verdicts_total{verdict=\"token_revoked\"} 2",
        "# UNIT portcullis_request_duration_seconds seconds",
        "portcullis_request_duration_seconds_bucket{le=\"0.00025\"} 1",
        "portcullis_request_duration_seconds_bucket{le=\"10.0\"} 1",
        "portcullis_request_duration_seconds_bucket{le=\"+Inf\"} 2",
        "portcullis_request_duration_seconds_count 2",
        "portcullis_request_duration_seconds_sum 11.0002",
        "portcullis_upstream_duration_seconds_count 0",
        "portcullis_connections{listener=\"https\"} 0",
        "portcullis_connections{listener=\"plain\"} 1",
        "portcullis_tls_certificate_not_after_seconds{name=\"a.example\"} 10",
        "portcullis_tls_certificate_not_after_seconds{name=\"b.example\"} 30",
        "portcullis_logins_total 7",
        "portcullis_access_log_lines_dropped_total 0",
    ] {
        assert!(body.lines().any(|had| had == line), "{line} is not in\n{body}");
    }
    assert!(body.ends_with("# EOF\n"));
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    assert!(samples.clone().count() > 40);
    assert!(samples.into_iter().all(|line| line.starts_with("portcullis_")), "{body}");
}
