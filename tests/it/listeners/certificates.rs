//! Which certificate a client is shown, and whose it must show.

use std::{
    fs,
    io::{BufReader, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use portcullis::metrics::HandshakeFailure;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

use super::{PUBLIC_ECHO, listen};
use crate::harness::{Answer, TestGateway, Upstream, ok, request};

/// Takes any certificate: what is shown is what is tried.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Who a client is, if anybody.
type Identity = Option<(CertificateDer<'static>, Vec<u8>)>;

fn client(version: &'static SupportedProtocolVersion, identity: Identity) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::Pkcs8(key.into());
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    })
}

fn connect(
    gateway: &TestGateway,
    client: &Arc<ClientConfig>,
    name: &str,
) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = TcpStream::connect(gateway.app().addresses().https.unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), socket)
}

fn ask(stream: StreamOwned<ClientConnection, TcpStream>) -> (Option<Answer>, Option<HandshakeKind>) {
    let mut stream = BufReader::new(stream);
    let sent = stream.get_mut().write_all(&request("GET", "/public/x", &["Connection: close"], b""));
    let answer = sent.ok().and_then(|()| Answer::read(&mut stream, false));
    (answer, stream.get_ref().conn.handshake_kind())
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let folder = TempDir::new().unwrap();
    let mut list = Vec::new();
    let mut shown = Vec::new();
    for (index, names) in
        [&["default.example"][..], &["a.example.com"], &["*.example.com", "a.example.com"]].iter().enumerate()
    {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let [cert, pem] = ["crt", "key"].map(|kind| folder.path().join(format!("{index}.{kind}")));
        fs::write(&cert, certificate.pem()).unwrap();
        fs::write(&pem, key.serialize_pem()).unwrap();
        list.push(format!("{{ cert = \"{}\", key = \"{}\" }}", cert.display(), pem.display()));
        shown.push(certificate.der().clone());
    }
    let tls = format!("[tls]\ncertificates = [{}]\n", list.join(", "));
    let gateway = TestGateway::with(&format!("{}{tls}{PUBLIC_ECHO}", listen("")));
    for version in [&TLS12, &TLS13] {
        let client = client(version, None);
        for (name, expected) in [
            ("a.example.com", 1),
            ("A.EXAMPLE.com", 1),
            ("b.example.com", 2),
            ("a.b.example.com", 0),
            ("example.com", 0),
            ("default.example", 0),
            ("unknown.example", 0),
            // An address is not asked for by name.
            ("127.0.0.1", 0),
        ] {
            let mut stream = connect(&gateway, &client, name);
            stream.flush().unwrap();
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            assert_eq!(stream.conn.peer_certificates().unwrap()[0], shown[expected], "{name} {version:?}");
        }
    }
    let metrics = gateway.operator("/metrics").expect(200);
    for name in ["default.example", "a.example.com", "*.example.com"] {
        let line = format!("portcullis_tls_certificate_not_after_seconds{{name=\"{name}\"}} ");
        assert!(metrics.text().contains(&line), "no {line} in {}", metrics.text());
    }
}

/// Somebody who vouches for clients.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(
    authority: &CertifiedIssuer<'static, KeyPair>,
    usage: ExtendedKeyUsagePurpose,
    years: (i32, i32),
) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    Some((certificate.der().clone(), key.serialize_der()))
}

const NOBODY: &str = "nobody";

#[test]
fn only_clients_that_somebody_vouches_for_are_served() {
    let folder = TempDir::new().unwrap();
    let (ours, other) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let file = |name: &str, content: String| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let tls = format!(
        "[tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\nclient_ca = \"{}\"\n",
        file("a.crt", certificate.pem()),
        file("a.key", key.serialize_pem()),
        file("ca.crt", ours.pem()),
    );
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let gateway = TestGateway::with(&format!("{}{tls}{}", listen(""), upstream.config()));
    let (usage, years) = (|| ExtendedKeyUsagePurpose::ClientAuth, (2020, 4000));
    for version in [&TLS12, &TLS13] {
        for (who, identity) in [
            (NOBODY, None),
            ("somebody else's", issued(&other, usage(), years)),
            ("a server", issued(&ours, ExtendedKeyUsagePurpose::ServerAuth, years)),
            ("one that has ended", issued(&ours, usage(), (2020, 2021))),
            ("one that calls itself", {
                let key = KeyPair::generate().unwrap();
                let own =
                    CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
                Some((own.der().clone(), key.serialize_der()))
            }),
        ] {
            let reason = match who {
                NOBODY => HandshakeFailure::NoCertificate,
                _ => HandshakeFailure::CertificateRefused,
            };
            let failed = || gateway.app().metrics().handshake_failures.of(reason).value();
            let before = failed();
            let (answer, _) = ask(connect(&gateway, &client(version, identity), "localhost"));
            assert!(answer.is_none(), "{who}, {version:?}: {answer:?}");
            // The client hears of it a moment before it is counted.
            let patience = Instant::now() + Duration::from_secs(20);
            while failed() == before {
                assert!(Instant::now() < patience, "{who}, {version:?}: not counted");
                thread::yield_now();
            }
        }
        assert_eq!(upstream.requests(), [], "before the client was known");
    }
    for version in [&TLS12, &TLS13] {
        let client = client(version, issued(&ours, usage(), years));
        for _ in 0..3 {
            let (answer, kind) = ask(connect(&gateway, &client, "localhost"));
            answer.expect("an answer").expect(200);
            // Whoever resumes shows no certificate.
            assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}");
        }
    }
    assert_eq!(upstream.requests().len(), 6);
}
