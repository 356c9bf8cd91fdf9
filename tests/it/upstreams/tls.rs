//! Upstreams that speak TLS: who is believed, and who we say we are.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;

use crate::harness::TestGateway;

#[test]
fn a_server_proves_itself_by_the_name_that_is_expected() {
    let site = Site::new();
    // What the certificate is for, how the URL names the server, what `tls` says of it, and what comes of it.
    for (names, host, server_name, status) in [
        (["localhost"], "localhost", None, 200),
        (["127.0.0.1"], "127.0.0.1", None, 200),
        (["orders.internal"], "127.0.0.1", Some("orders.internal"), 200),
        (["orders.internal"], "localhost", Some("ORDERS.internal"), 200),
        (["orders.internal"], "127.0.0.1", None, 502),
        (["localhost"], "127.0.0.1", None, 502),
        (["localhost"], "localhost", Some("orders.internal"), 502),
    ] {
        let backend = site.backend(&site.ca, &names, None);
        let name = server_name.map(|name| format!(", server_name = \"{name}\"")).unwrap_or_default();
        let tls = format!("{{ ca = \"{}\"{name} }}", site.path("ca.crt"));
        let answer = backend.gateway(host, &tls).get("/x", &[]);
        assert_eq!(answer.status, status, "{names:?} {host} {server_name:?}");
        let seen = backend.seen();
        if status == 200 {
            let host_is_name = host.parse::<std::net::IpAddr>().is_err();
            let sni = server_name.map(str::to_ascii_lowercase).or(host_is_name.then(|| host.to_owned()));
            assert_eq!(seen, [Seen { sni, alpn: Some("http/1.1".to_owned()), client: false }]);
        } else {
            assert_eq!(seen, [], "no request reaches a stranger");
            assert!(!answer.text().contains("certificate"), "{}", answer.text());
        }
    }
}

#[test]
fn whoever_is_not_believed_gets_no_request() {
    let site = Site::new();
    let stranger = Authority::new();
    let backend = site.backend(&stranger, &["localhost"], None);
    let tls = format!("{{ ca = \"{}\" }}", site.path("ca.crt"));
    backend.gateway("localhost", &tls).get("/x", &[]).expect(502);
    // Nor does the system believe a certificate of our own making, by name or in a route's URL.
    backend.gateway("localhost", "{}").get("/x", &[]).expect(502);
    let url = format!("https://localhost:{}", backend.address.port());
    let route = format!("[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"{url}\"\n");
    TestGateway::with(&route).get("/x", &[]).expect(502);
    assert_eq!(backend.seen(), []);
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_one() {
    let site = Site::new();
    let backend = site.backend(&site.ca, &["localhost"], Some(&site.ca));
    let (cert, key) = site.ca.issue(&["gateway"]);
    fs::write(site.path("client.crt"), cert).unwrap();
    fs::write(site.path("client.key"), key).unwrap();
    let ca = site.path("ca.crt");
    let with = format!(
        "{{ ca = \"{ca}\", client_cert = \"{}\", client_key = \"{}\" }}",
        site.path("client.crt"),
        site.path("client.key")
    );
    backend.gateway("localhost", &with).get("/x", &[]).expect(200);
    assert!(backend.seen()[0].client);

    let without = backend.gateway("localhost", &format!("{{ ca = \"{ca}\" }}"));
    without.get("/x", &[]).expect(502);
    assert_eq!(backend.seen().len(), 1);
}

#[test]
fn a_server_that_does_not_shake_hands_is_504_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = TestGateway::with(&format!(
        "[upstream.a]\nservers = [\"https://{}\"]\nconnect_timeout = \"200ms\"\n{ROUTE}",
        listener.local_addr().unwrap()
    ));
    let started = Instant::now();
    gateway.get("/x", &[]).expect(504);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_server_that_fails_its_handshake_is_set_aside() {
    let site = Site::new();
    let good = site.backend(&site.ca, &["localhost"], None);
    let stranger = site.backend(&Authority::new(), &["localhost"], None);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ca = site.path("ca.crt");
    // A stranger is found out before anything is sent, so the other one is asked; who is late ends the request.
    for (bad, status) in [(stranger.address.port(), 200), (silent.local_addr().unwrap().port(), 504)] {
        let gateway = TestGateway::with(&format!(
            "[upstream.a]\nservers = [\"https://localhost:{bad}\", \"https://localhost:{}\"]\n\
             tls = {{ ca = \"{ca}\" }}\nconnect_timeout = \"1s\"\n{ROUTE}",
            good.address.port()
        ));
        gateway.get("/x", &[]).expect(status);
        for _ in 0..4 {
            gateway.get("/x", &[]).expect(200);
        }
    }
    assert_eq!((good.seen().len(), stranger.seen().len()), (9, 0));
}

#[test]
fn a_server_that_breaks_off_without_a_farewell_is_no_clean_end() {
    let site = Site::new();
    let backend = site.backend(&site.ca, &["localhost"], None);
    let tls = format!("{{ ca = \"{}\" }}", site.path("ca.crt"));
    // Nothing but the connection's end says where this answer ends, so somebody on the way could have cut it.
    let answer = backend.gateway("localhost", &tls).get("/cut", &[]);
    assert_eq!((answer.status, answer.whole), (200, false));
}

/// An authority, and a folder for what it issues.
struct Site {
    folder: TempDir,
    ca: Authority,
}

impl Site {
    fn new() -> Self {
        let (folder, ca) = (TempDir::new().unwrap(), Authority::new());
        fs::write(folder.path().join("ca.crt"), &ca.pem).unwrap();
        Self { folder, ca }
    }

    fn path(&self, name: &str) -> String {
        Path::join(self.folder.path(), name).display().to_string()
    }

    /// A server with a certificate for `names`, that may ask for one of `clients`.
    fn backend(&self, issuer: &Authority, names: &[&str], clients: Option<&Authority>) -> Backend {
        let (cert, key) = issuer.issue(names);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => config.with_no_client_auth(),
        };
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = config.with_single_cert(vec![cert], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Backend::start(config)
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}

/// What a server saw of one request's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    sni: Option<String>,
    alpn: Option<String>,
    client: bool,
}

struct Backend {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (config, seen) = (Arc::new(config), Arc::clone(&backend.seen));
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                thread::spawn(move || serve(socket, config, &seen));
            }
        });
        backend
    }

    fn gateway(&self, host: &str, tls: &str) -> TestGateway {
        let port = self.address.port();
        TestGateway::with(&format!(
            "[upstream.a]\nservers = [\"https://{host}:{port}\"]\ntls = {tls}\n{ROUTE}"
        ))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(socket: TcpStream, config: Arc<ServerConfig>, seen: &Mutex<Vec<Seen>>) {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !stream.read_until(b'\n', &mut head).is_ok_and(|read| read > 0) {
            return;
        }
    }
    let stream = stream.get_mut();
    seen.lock().unwrap().push(Seen {
        sni: stream.conn.server_name().map(str::to_owned),
        alpn: stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        client: stream.conn.peer_certificates().is_some(),
    });
    if head.starts_with(b"GET /cut ") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf");
        return;
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nseen");
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

const ROUTE: &str = "[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"a\"\n";
