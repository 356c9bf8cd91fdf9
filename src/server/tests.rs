//! `http`: one connection over memory, under a clock that stands still unless everybody waits.
//! `sockets`: whole servers over TLS on real sockets.

mod http;
mod sockets;

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::Service};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::Notify,
};

use super::*;

pub(super) fn limits() -> Limits {
    Limits {
        handshake_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        header_size: 32 * 1024,
        header_count: 100,
        streams: 200,
        connections: 100,
        connections_per_address: 100,
    }
}

/// Runs a test as a worker runs: one thread, tasks that need not be `Send`. Time stands still while anybody
/// works and jumps to the next timer when nobody does.
fn local<F: Future>(test: F) -> F::Output {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap().block_on(test)
}

/// Answers by path: `/large`, `/panic`, `/refuse` (without reading the body), `/upgrade`, `/wait` (until told),
/// else its own idea of the connection.
#[derive(Clone)]
struct Backend {
    info: Option<ConnInfo>,
    go: Arc<Notify>,
    arrived: Arc<Notify>,
    tunnels: Arc<Mutex<Vec<hyper::upgrade::OnUpgrade>>>,
}

impl Backend {
    fn new() -> Self {
        Self { info: None, go: Arc::default(), arrived: Arc::default(), tunnels: Arc::default() }
    }

    fn of(&self, info: ConnInfo) -> Self {
        Self { info: Some(info), ..self.clone() }
    }
}

impl Service<Request<Incoming>> for Backend {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut answer = Response::new(Full::default());
            match request.uri().path() {
                "/large" => *answer.body_mut() = Full::new(Bytes::from(vec![b'x'; 1 << 20])),
                "/panic" => panic!("meant to be"),
                "/refuse" => *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE,
                "/upgrade" => {
                    this.tunnels.lock().unwrap().push(hyper::upgrade::on(&mut request));
                    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                    answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
                    answer.headers_mut().insert("upgrade", "test".parse().unwrap());
                }
                "/wait" => {
                    this.arrived.notify_one();
                    this.go.notified().await;
                    *answer.body_mut() = Full::from("waited");
                }
                _ => {
                    let _ = request.body_mut().collect().await;
                    *answer.body_mut() = Full::from(match this.info {
                        Some(info) => format!("{:?} {:?}", info.protocol, info.tls),
                        None => "hello".to_owned(),
                    });
                }
            }
            Ok(answer)
        })
    }
}
