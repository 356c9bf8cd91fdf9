use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{body::BodyError, metrics::Metrics, proxy::*};

/// An upstream whose every byte the test decides.
pub(super) struct RawUpstream {
    listener: TcpListener,
}

impl RawUpstream {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn settings(&self) -> UpstreamSettings {
        let port = self.listener.local_addr().unwrap().port();
        UpstreamSettings {
            name: "backend".to_owned(),
            servers: vec![server("127.0.0.1", port)],
            connect_timeout: Duration::from_secs(5),
            response_timeout: PATIENCE,
            response_idle_timeout: PATIENCE,
            stream_idle_timeout: PATIENCE,
            retries: 1,
            idle_timeout: PATIENCE,
            connections: 64,
            host: HostHeader::Keep,
            health: None,
        }
    }

    pub(super) fn forwarder(&self) -> Forwarder {
        forwarder(&self.settings())
    }

    pub(super) async fn accept(&self) -> Wire<TcpStream> {
        Wire::new(in_time(self.listener.accept()).await.unwrap().0)
    }

    /// Whether a connection waits to be accepted.
    pub(super) async fn has_caller(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.listener.accept()).await.is_ok()
    }
}

pub(super) fn server(host: &str, port: u16) -> ServerSettings {
    ServerSettings {
        name: format!("http://{host}:{port}"),
        endpoint: Endpoint::Tcp { host: host.to_owned(), port, tls: None },
        authority: format!("{host}:{port}"),
    }
}

pub(super) fn forwarder(settings: &UpstreamSettings) -> Forwarder {
    Forwarder::new(&SharedUpstreams::new(std::slice::from_ref(settings), &Metrics::default()), &identity())
}

pub(super) fn identity() -> IdentitySettings {
    let name = HeaderName::from_static("x-user-id");
    IdentitySettings {
        headers: vec![IdentityHeader { name, value: IdentityValue::User }],
        encoding: Encoding::Percent,
        strip: Vec::new(),
    }
}

/// One end of a connection, read and written as text.
pub(super) struct Wire<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Reads until `end` has come, byte by byte so that nothing behind it is lost.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            match in_time(self.0.read_u8()).await {
                Ok(byte) => text.push(byte),
                Err(error) => panic!("{error} behind {:?}", String::from_utf8_lossy(&text)),
            }
        }
        String::from_utf8(text).unwrap()
    }

    pub(super) async fn head(&mut self) -> String {
        self.read_until("\r\n\r\n").await
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.try_say(text).await.unwrap();
    }

    pub(super) async fn try_say(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// Reads a head and answers it.
    pub(super) async fn answer(&mut self, text: &str) -> String {
        let head = self.head().await;
        self.say(text).await;
        head
    }

    /// What comes until the other side closes, whether it does so in good order or not.
    pub(super) async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        let _ = in_time(self.0.read_to_end(&mut text)).await;
        String::from_utf8(text).unwrap()
    }
}

/// A client's connection to a real HTTP/1.1 server that forwards everything but `/echo`, and the errors of the forwarder.
pub(super) struct Front {
    pub(super) client: Wire<DuplexStream>,
    pub(super) errors: Rc<RefCell<Vec<ProxyError>>>,
    pub(super) counts: Rc<RefCell<Vec<ByteCount>>>,
}

impl Front {
    pub(super) fn start(forwarder: &Rc<Forwarder>, idle: Duration) -> Self {
        let (client, server) = tokio::io::duplex(1 << 20);
        let errors = Rc::new(RefCell::new(Vec::new()));
        let counts = Rc::new(RefCell::new(Vec::new()));
        let service = {
            let (forwarder, errors, counts) = (Rc::clone(forwarder), Rc::clone(&errors), Rc::clone(&counts));
            service_fn(move |request| {
                let (forwarder, errors) = (Rc::clone(&forwarder), Rc::clone(&errors));
                let (head, incoming) = Request::<Incoming>::into_parts(request);
                let body = RequestBody::new(incoming, head.version, idle);
                counts.borrow_mut().push(body.bytes());
                async move {
                    let answer = if head.uri.path() == "/echo" {
                        forwarder.echo(head, body, context()).await.map(|echo| echo.map(whole))
                    } else {
                        forwarder
                            .forward(0, head, body, context())
                            .await
                            .map(|answer| answered(answer).map(Either::Left))
                    };
                    let answer = answer.unwrap_or_else(|error| {
                        errors.borrow_mut().push(error);
                        let mut refusal = Response::new(whole(Bytes::new()));
                        *refusal.status_mut() = StatusCode::BAD_GATEWAY;
                        refusal
                    });
                    Ok::<_, std::convert::Infallible>(answer)
                }
            })
        };
        spawn_local(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            let _ = http.auto_date_header(false).serve_connection(TokioIo::new(server), service).await;
        });
        Self { client: Wire::new(client), errors, counts }
    }
}

/// The answer to a request that asked for no tunnel.
fn answered(forwarded: Forwarded) -> Response<UpstreamBody> {
    match forwarded {
        Forwarded::Answer(answer) => answer,
        Forwarded::Tunnel(..) => panic!("nobody asked for a tunnel"),
    }
}

fn whole(body: Bytes) -> Either<UpstreamBody, Full<Bytes>> {
    Either::Right(Full::new(body))
}

pub(super) fn context() -> ForwardContext<'static> {
    static REQUEST_ID: HeaderValue = HeaderValue::from_static("r-1");
    ForwardContext {
        principal: None,
        client: "192.0.2.7".parse().unwrap(),
        peer: "192.0.2.7".parse().unwrap(),
        believed: false,
        scheme: "https",
        host: "app.example",
        forwarded_host: None,
        request_id: &REQUEST_ID,
        takes_tokens: true,
        strip_credentials: true,
        interim: None,
        method_override: false,
    }
}

/// Forwards a request without a body.
pub(super) async fn send(
    forwarder: &Forwarder,
    method: &str,
    target: &str,
) -> Result<Response<UpstreamBody>, ProxyError> {
    let (head, ()) = Request::builder().method(method).uri(target).body(()).unwrap().into_parts();
    in_time(forwarder.forward(0, head, RequestBody::empty(), context())).await.map(answered)
}

/// Forwards a GET and reads its answer whole.
pub(super) async fn get(forwarder: &Forwarder) -> Result<String, ProxyError> {
    Ok(text(send(forwarder, "GET", "/").await?).await.unwrap())
}

pub(super) async fn text(response: Response<UpstreamBody>) -> Result<String, BodyError> {
    let body = in_time(response.into_body().collect()).await?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

/// Lets the tasks of this thread work until `done`.
pub(super) async fn until(mut done: impl FnMut() -> bool) {
    in_time(async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

pub(super) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it comes in time")
}

/// Longer than anything here may take, on a busy machine too.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A whole small answer.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
