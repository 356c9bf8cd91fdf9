use std::{
    io::{BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::Answer;

/// An HTTPS client that sends exactly the bytes it is told.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

pub type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

impl Client {
    /// A client that trusts the certificate in `certificate` alone.
    pub fn new(address: SocketAddr, certificate: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        // There is none where there is no TLS.
        if certificate.exists() {
            roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, tls: Arc::new(tls) }
    }

    /// Where it connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A TLS connection; HTTP/1.1, as nothing else is offered.
    pub fn connect(&self) -> Stream {
        self.connect_over(TcpStream::connect(self.address).unwrap())
    }

    /// As [`Self::connect`], from that address of this machine: another client.
    pub fn connect_from(&self, source: Ipv4Addr) -> Stream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        self.connect_over(socket.into())
    }

    /// A TLS connection on which HTTP/2 is agreed on, and nothing said yet.
    pub fn connect_h2(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        handshake(TcpStream::connect(self.address).unwrap(), Arc::new(tls))
    }

    fn connect_over(&self, socket: TcpStream) -> Stream {
        BufReader::new(handshake(socket, Arc::clone(&self.tls)))
    }

    /// A connection without TLS, of which the gateway is told nothing else.
    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    /// Sends these bytes on a new connection and reads one answer.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.try_raw(bytes).expect("an answer")
    }

    /// As [`Self::raw`]; `None` where the connection closed without one.
    pub fn try_raw(&self, bytes: impl AsRef<[u8]>) -> Option<Answer> {
        let mut stream = self.connect();
        stream.get_mut().write_all(bytes.as_ref()).ok()?;
        Answer::read(&mut stream, bytes.as_ref().starts_with(b"HEAD"))
    }

    /// A request with these header lines.
    #[track_caller]
    pub fn request(&self, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.raw(request(method, target, headers, body))
    }

    #[track_caller]
    pub fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.request("GET", target, headers, b"")
    }

    #[track_caller]
    pub fn get_as(&self, target: &str, token: &str) -> Answer {
        self.get(target, &[&bearer(token)])
    }

    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Answer {
        self.post_with(target, &[], body)
    }

    #[track_caller]
    pub fn post_as(&self, target: &str, token: &str, body: &Value) -> Answer {
        self.post_with(target, &[&bearer(token)], body)
    }

    #[track_caller]
    pub fn post_with(&self, target: &str, headers: &[&str], body: &Value) -> Answer {
        let mut lines = vec!["Content-Type: application/json"];
        lines.extend(headers);
        self.request("POST", target, &lines, body.to_string().as_bytes())
    }
}

fn handshake(socket: TcpStream, tls: Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(tls, name).unwrap(), socket)
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// The bytes of a request; a body brings its length.
pub fn request(method: &str, target: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for line in headers {
        bytes.extend(format!("{line}\r\n").bytes());
    }
    if !body.is_empty() {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// One HTTP/2 connection.
pub struct H2 {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl H2 {
    pub fn connect(client: &Client) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut tls = (*client.tls).clone();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let address = client.address;
        let sender = runtime.block_on(async move {
            let socket = tokio::net::TcpStream::connect(address).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
            let stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request; the URI's authority becomes `:authority`.
    pub fn send(&self, request: http::Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let mut sender = self.sender.clone();
        self.runtime.block_on(async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let headers = head
                .headers
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect();
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(Answer { status: head.status.as_u16(), headers, body, whole: true })
        })
    }
}
