use std::num::NonZeroUsize;

use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::{
    metrics::Metrics,
    server::{self, Https, Server, Services, Settings, TlsVersion, Workers, start_plain, tls},
};

fn settings(certificate: tls::Certificate, min_version: TlsVersion, limits: Limits) -> Settings {
    Settings {
        https: Some(Https {
            address: "127.0.0.1:0".parse().unwrap(),
            certificates: vec![certificate],
            min_version,
            client_ca: None,
        }),
        plain: None,
        http: None,
        workers: NonZeroUsize::new(2).unwrap(),
        proxies: None,
        limits,
    }
}

/// A server with two workers on a real port.
struct Running {
    address: std::net::SocketAddr,
    workers: Workers,
    drain: Drain,
    metrics: Metrics,
    backend: Backend,
    roots: RootCertStore,
}

impl Running {
    fn start(limits: Limits, min_version: TlsVersion) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let certificate = tls::load(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let settings = settings(certificate, min_version, limits);
        let (metrics, drain, backend) = (Metrics::default(), Drain::new(), Backend::new());
        let server = Server::bind(&settings).unwrap();
        let address = server.addresses().https.unwrap();
        let shared = backend.clone();
        let make_worker = move |_| {
            let (main, redirect) = (shared.clone(), shared.clone());
            Services { main: move |info| main.of(info), redirect: move |info| redirect.of(info) }
        };
        let workers = server.start(make_worker, &metrics, &drain).unwrap();
        Self { address, workers, drain, metrics, backend, roots }
    }

    fn plain() -> Self {
        Self::start(limits(), TlsVersion::Tls12)
    }

    fn client(&self, version: &'static rustls::SupportedProtocolVersion, alpn: &[&str]) -> Arc<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    async fn connect(&self, client: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(client)).connect(name, stream).await
    }

    async fn tls13(&self) -> TlsStream<TcpStream> {
        self.connect(&self.client(&TLS13, &["http/1.1"])).await.unwrap()
    }
}

async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_agreed_on() {
    let running = Running::plain();
    for (version, name) in [(&TLS12, "Tls12"), (&TLS13, "Tls13")] {
        for alpn in [&["http/1.1"][..], &[]] {
            let mut stream = running.connect(&running.client(version, alpn)).await.unwrap();
            let heard = get(&mut stream, "/").await.unwrap();
            assert!(heard.ends_with(&format!("\r\n\r\nHttp1 Some({name})")), "{heard}");
        }
        let stream = running.connect(&running.client(version, &["h2", "http/1.1"])).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://localhost/").body(Full::<Bytes>::default()).unwrap();
        let body = sender.send_request(request).await.unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("Http2 Some({name})"));
    }
    assert_eq!(running.metrics.handshakes.value(), 6);
    assert_eq!(running.metrics.handshake_failures.value(), 0);
}

#[tokio::test]
async fn an_old_version_or_an_unknown_protocol_is_refused() {
    let running = Running::start(limits(), TlsVersion::Tls13);
    assert!(running.connect(&running.client(&TLS12, &["h2"])).await.is_err());
    assert!(running.connect(&running.client(&TLS13, &["spdy/3"])).await.is_err());
    assert!(running.connect(&running.client(&TLS13, &["h2"])).await.is_ok());
    running.drain.finish(Duration::from_secs(10)).await;
    running.workers.join().unwrap();
    assert_eq!(running.metrics.handshake_failures.value(), 2);
}

#[tokio::test]
async fn sessions_resume_on_any_worker() {
    let running = Running::plain();
    for version in [&TLS12, &TLS13] {
        let client = running.client(version, &["http/1.1"]);
        for round in 0..8 {
            let mut stream = running.connect(&client).await.unwrap();
            get(&mut stream, "/").await.unwrap();
            let kind = stream.get_ref().1.handshake_kind().unwrap();
            assert_eq!(kind == HandshakeKind::Resumed, round > 0, "{version:?}, {round}: {kind:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..limits() };
    let running = Running::start(limits, TlsVersion::Tls12);
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // The first bytes of a TLS record.
    stream.write_all(b"\x16\x03\x01").await.unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    assert_eq!(heard, b"");
    running.drain.finish(Duration::from_secs(10)).await;
    assert_eq!(running.metrics.handshake_failures.value(), 1);
}

#[tokio::test]
async fn a_connection_over_the_bound_is_closed_and_counted() {
    let running = Running::start(Limits { connections: 1, ..limits() }, TlsVersion::Tls12);
    let held = running.tls13().await;
    assert!(running.connect(&running.client(&TLS13, &[])).await.is_err());
    assert_eq!(running.metrics.connections_refused.value(), 1);
    assert_eq!(running.metrics.connections.value(), 1);
    drop(held);
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let mut running = Running::plain();
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(running.tls13().await);
    }
    let mut panicking = running.tls13().await;
    let heard = get(&mut panicking, "/panic").await;
    assert!(heard.is_err() || heard.is_ok_and(|heard| heard.is_empty()));
    for other in &mut others {
        assert!(get(other, "/").await.unwrap().ends_with("Http1 Some(Tls13)"));
    }
    drop((panicking, others));
    assert_eq!(running.drain.finish(Duration::from_secs(10)).await, 0);
    running.workers.wait().await.unwrap();
    running.workers.join().unwrap();
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_refuses_new_connections() {
    let running = Running::plain();
    let mut idle = running.tls13().await;
    let mut busy = running.tls13().await;
    let request = tokio::spawn(async move { get(&mut busy, "/wait").await });
    running.backend.arrived.notified().await;

    let drain = running.drain.clone();
    let finished = tokio::spawn(async move { drain.finish(Duration::from_secs(60)).await });
    // Closed with the close_notify of TLS, not merely broken off.
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    drop(idle);
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    running.backend.go.notify_one();
    assert!(request.await.unwrap().unwrap().ends_with("waited"));
    assert_eq!(finished.await.unwrap(), 0);
    running.workers.join().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let running = Running::plain();
    let mut busy = running.tls13().await;
    let request = tokio::spawn(async move { get(&mut busy, "/wait").await });
    running.backend.arrived.notified().await;
    assert_eq!(running.drain.finish(Duration::from_millis(50)).await, 1);
    running.workers.join().unwrap();
    assert!(request.await.unwrap().is_err());
    assert_eq!(running.metrics.connections.value(), 0);
}

#[tokio::test]
async fn a_worker_that_panics_is_noticed() {
    let running = Running::plain();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    let certificate = tls::load(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let settings =
        Settings { workers: NonZeroUsize::MIN, ..settings(certificate, TlsVersion::Tls12, limits()) };
    type Make = fn(server::ConnInfo) -> Backend;
    let make_worker = |_| -> Services<Make, Make> { panic!("meant to be") };
    let server = Server::bind(&settings).unwrap();
    let mut workers = server.start(make_worker, &running.metrics, &Drain::new()).unwrap();
    assert_eq!(workers.wait().await.unwrap_err().to_string(), "worker 0 panicked");
}

#[tokio::test]
async fn a_plain_listener_serves_without_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, backend) = (Drain::new(), Backend::new());
    let workers =
        start_plain(listener, limits(), &Metrics::default(), &drain, move || move |info| backend.of(info))
            .unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.ends_with("\r\n\r\nHttp1 None"), "{heard}");
    assert_eq!(drain.finish(Duration::from_secs(10)).await, 0);
    workers.join().unwrap();
}

/// Gives the half of an answer, and breaks off once it is told.
struct Half {
    said: bool,
    go: tokio::sync::oneshot::Receiver<()>,
}

impl http_body::Body for Half {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<http_body::Frame<Bytes>>>> {
        use std::task::Poll;
        if !std::mem::replace(&mut self.said, true) {
            return Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"half")))));
        }
        std::pin::Pin::new(&mut self.go).poll(cx).map(|_| Some(Err(std::io::Error::other("meant to be"))))
    }
}

/// To a client of HTTP/1.0 the end of the connection is the end of the answer, and without TLS nothing else tells
/// whether it is whole.
#[tokio::test]
async fn half_an_answer_without_any_length_ends_with_a_reset() {
    let (metrics, drain) = (Metrics::default(), Drain::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, go) = tokio::sync::oneshot::channel();
    let go = Mutex::new(Some(go));
    let _workers = start_plain(listener, limits(), &metrics, &drain, move || {
        move |_| {
            let go = go.lock().unwrap().take().unwrap();
            let body = Mutex::new(Some(Half { said: false, go }));
            hyper::service::service_fn(move |_request: Request<Incoming>| {
                let answer = Response::new(body.lock().unwrap().take().unwrap());
                async move { Ok(answer) }
            })
        }
    })
    .unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\nhalf") {
        heard.push(stream.read_u8().await.unwrap());
    }
    sender.send(()).unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    drain.cut();
}
