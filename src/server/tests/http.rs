use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task,
    time::{self, Instant},
};

use super::*;
use crate::{
    metrics::Metrics,
    server::{
        Drain, Protocol, activity::Activity, admission::Admission, connection::Http, tracked::Tracked,
        watchdog::CLOSING,
    },
};

/// One connection and all who have a part in it.
struct Wire {
    client: DuplexStream,
    drain: Drain,
    backend: Backend,
}

impl Wire {
    fn new(protocol: Protocol, limits: &Limits) -> Self {
        let (client, server) = duplex(64 * 1024);
        let (drain, backend) = (Drain::new(), Backend::new());
        let admission = Admission::new(limits, &Metrics::default(), &drain);
        let permit = admission.admit("192.0.2.1".parse().unwrap()).unwrap();
        let activity = Arc::new(Activity::new());
        let socket = Tracked::new(server, Arc::clone(&activity), permit);
        let http = std::rc::Rc::new(Http::new(limits, &Metrics::default(), &drain));
        task::spawn_local(http.serve(protocol, socket, activity, protocol.interim(), backend.clone()));
        Self { client, drain, backend }
    }

    fn http1() -> Self {
        Self::new(Protocol::Http1, &limits())
    }

    fn http2() -> Self {
        Self::new(Protocol::Http2, &limits())
    }

    async fn say(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come.
    async fn hear_until(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            heard.push(self.client.read_u8().await.unwrap());
        }
        String::from_utf8(heard).unwrap()
    }

    /// Reads until the server closes its side.
    async fn hear_all(&mut self) -> String {
        let mut heard = Vec::new();
        self.client.read_to_end(&mut heard).await.unwrap();
        String::from_utf8(heard).unwrap()
    }

    async fn closed(&self) {
        while self.drain.open() > 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn about(duration: Duration) -> std::ops::Range<Duration> {
    duration..duration + Duration::from_millis(10)
}

#[test]
fn a_silent_connection_is_closed_after_the_header_timeout() {
    local(async {
        let (mut wire, start) = (Wire::http1(), Instant::now());
        assert_eq!(wire.hear_all().await, "");
        assert!(about(limits().header_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}

#[test]
fn a_connection_between_requests_lives_for_the_idle_timeout() {
    local(async {
        let mut wire = Wire::http1();
        for _ in 0..3 {
            time::sleep(limits().idle_timeout - Duration::from_secs(1)).await;
            // The first request would come too late.
            if wire.drain.open() == 0 {
                wire = Wire::http1();
            }
            wire.say(GET).await;
            assert!(wire.hear_until("hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        let start = Instant::now();
        assert_eq!(wire.hear_all().await, "");
        assert!(about(limits().idle_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}

#[test]
fn a_slow_head_is_timed_as_a_whole_and_told_so() {
    local(async {
        for kept in [false, true] {
            let mut wire = Wire::http1();
            if kept {
                wire.say(GET).await;
                wire.hear_until("hello").await;
                time::sleep(Duration::from_secs(30)).await;
            }
            let start = Instant::now();
            let mut heads = GET.bytes();
            for _ in 0..9 {
                wire.client.write_all(&[heads.next().unwrap()]).await.unwrap();
                time::sleep(Duration::from_secs(1)).await;
            }
            let heard = wire.hear_all().await;
            assert_eq!(
                heard,
                "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            assert!(about(limits().header_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());
            drop(wire.client);
        }
    });
}

#[test]
fn a_request_may_take_its_time() {
    local(async {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut wire = Wire::new(protocol, &limits());
            let (go, arrived) = (Arc::clone(&wire.backend.go), Arc::clone(&wire.backend.arrived));
            task::spawn_local(async move {
                arrived.notified().await;
                time::sleep(Duration::from_secs(3600)).await;
                go.notify_one();
            });
            let start = Instant::now();
            match protocol {
                Protocol::Http1 => {
                    wire.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
                    wire.hear_until("waited").await;
                }
                Protocol::Http2 => assert_eq!(Client::new(wire.client).await.get("/wait").await, "waited"),
            }
            assert!(start.elapsed() >= Duration::from_secs(3600));
        }
    });
}

#[test]
fn a_head_over_the_limits_is_refused_with_431() {
    local(async {
        let refused = "HTTP/1.1 431 Request Header Fields Too Large\r\n";
        let few = Limits { header_count: 3, header_size: 10_000, ..limits() };
        let fields = |count: usize| (1..count).map(|index| format!("x{index}: y\r\n")).collect::<String>();
        let filler = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
        for (limits, fields, status) in [
            (limits(), fields(100), "HTTP/1.1 200 OK\r\n"),
            (limits(), fields(101), refused),
            (few.clone(), fields(3), "HTTP/1.1 200 OK\r\n"),
            (few.clone(), fields(4), refused),
            (few.clone(), filler(9_900), "HTTP/1.1 200 OK\r\n"),
            (few, filler(10_000), refused),
            (limits(), filler(32 * 1024 - 100), "HTTP/1.1 200 OK\r\n"),
            (limits(), filler(32 * 1024), refused),
        ] {
            let mut wire = Wire::new(Protocol::Http1, &limits);
            wire.say(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
            let heard = wire.hear_until("\r\n\r\n").await;
            assert!(heard.starts_with(status), "{} bytes of fields: {heard}", fields.len());
        }
    });
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    local(async {
        let mut wire = Wire::http1();
        wire.say("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let start = Instant::now();
        wire.closed().await;
        assert!(about(limits().idle_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}

#[test]
fn a_client_that_takes_little_by_little_is_served() {
    local(async {
        let mut wire = Wire::http1();
        wire.say("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let start = Instant::now();
        let mut left = 1 << 20;
        let mut some = vec![0; 64 * 1024];
        wire.hear_until("\r\n\r\n").await;
        while left > 0 {
            time::sleep(Duration::from_secs(50)).await;
            left -= wire.client.read(&mut some).await.unwrap();
        }
        assert!(start.elapsed() > 10 * limits().idle_timeout);
    });
}

#[test]
fn a_drain_closes_idle_connections_and_lets_requests_finish() {
    local(async {
        let mut idle = Wire::http1();
        idle.say(GET).await;
        idle.hear_until("hello").await;
        idle.drain.start();
        let start = Instant::now();
        assert_eq!(idle.hear_all().await, "");

        let mut busy = Wire::http1();
        busy.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        busy.backend.arrived.notified().await;
        busy.drain.start();
        task::yield_now().await;
        busy.backend.go.notify_one();
        let heard = busy.hear_all().await;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\nwaited"), "{heard}");
        assert!(heard.contains("\r\nconnection: close\r\n"), "{heard}");
        busy.closed().await;
        assert!(start.elapsed() < Duration::from_millis(10));
    });
}

#[test]
fn a_request_that_is_there_when_the_drain_begins_is_answered() {
    local(async {
        let mut wire = Wire::http1();
        wire.say(GET).await;
        wire.drain.start();
        let heard = wire.hear_all().await;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("hello"), "{heard}");
    });
}

#[test]
fn an_upload_that_is_refused_still_hears_why() {
    local(async {
        let mut wire = Wire::http1();
        wire.say("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
        let piece = vec![b'x'; 100_000];
        for _ in 0..5 {
            wire.client.write_all(&piece).await.unwrap();
        }
        assert!(wire.hear_all().await.starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
        assert_eq!(wire.drain.open(), 1, "it is still listened to");
        let start = Instant::now();
        wire.closed().await;
        assert!(start.elapsed() <= CLOSING + Duration::from_millis(10), "{:?}", start.elapsed());
    });
}

/// At the instant of the answer nothing of the body is there: it comes, all the same.
#[test]
fn an_upload_that_is_refused_before_it_comes_is_listened_to() {
    local(async {
        let mut wire = Wire::http1();
        wire.say("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
        assert!(wire.hear_all().await.starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
        let start = Instant::now();
        for _ in 0..20 {
            wire.client.write_all(&[b'x'; 50_000]).await.unwrap();
        }
        assert_eq!(wire.drain.open(), 1, "it is still listened to");
        wire.closed().await;
        assert!(start.elapsed() <= CLOSING + Duration::from_millis(10), "{:?}", start.elapsed());
    });
}

#[test]
fn a_tunnel_stays_counted() {
    local(async {
        let mut wire = Wire::http1();
        wire.say("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n").await;
        assert!(wire.hear_until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        let upgrade = wire.backend.tunnels.lock().unwrap().pop().unwrap();
        let tunnel = upgrade.await.unwrap();
        time::sleep(10 * limits().idle_timeout).await;
        assert_eq!(wire.drain.open(), 1);
        drop(tunnel);
        assert_eq!(wire.drain.open(), 0);
    });
}

#[test]
fn an_idle_http2_connection_says_goodbye() {
    local(async {
        let client = Client::new(Wire::http2().client).await;
        let start = Instant::now();
        client.ended().await;
        assert!(about(limits().idle_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());

        let mut client = Client::new(Wire::http2().client).await;
        time::sleep(Duration::from_secs(30)).await;
        assert_eq!(client.get("/").await, "hello");
        let start = Instant::now();
        client.ended().await;
        assert!(about(limits().idle_timeout).contains(&start.elapsed()), "{:?}", start.elapsed());
    });
}

#[test]
fn an_http2_peer_that_does_not_answer_the_goodbye_is_cut() {
    local(async {
        let mut wire = Wire::http2();
        wire.client.write_all(PREFACE).await.unwrap();
        let start = Instant::now();
        // PING frames stay unanswered, too, and would end it after 50 s.
        wire.closed().await;
        assert!(start.elapsed() <= limits().idle_timeout + CLOSING, "{:?}", start.elapsed());
        drop(wire.client);
    });
}

#[test]
fn a_drain_sends_goaway_and_lets_streams_finish() {
    local(async {
        let wire = Wire::http2();
        let (drain, backend) = (wire.drain.clone(), wire.backend.clone());
        let mut client = Client::new(wire.client).await;
        let mut other = client.clone();
        let waiting = task::spawn_local(async move { other.get("/wait").await });
        backend.arrived.notified().await;
        drain.start();
        // The goodbye takes a round trip; what comes later is refused.
        time::sleep(Duration::from_millis(10)).await;
        assert!(client.try_get("/").await.is_err());
        assert_eq!(drain.open(), 1);
        backend.go.notify_one();
        assert_eq!(waiting.await.unwrap(), "waited");
        client.ended().await;
        assert_eq!(drain.finish(Duration::from_secs(1)).await, 0);
    });
}

#[test]
fn goaway_is_on_the_wire() {
    local(async {
        let mut wire = Wire::http2();
        wire.client.write_all(PREFACE).await.unwrap();
        while frame(&mut wire.client).await != SETTINGS {}
        wire.drain.start();
        let (start, mut seen) = (Instant::now(), 0);
        while seen != GOAWAY {
            seen = frame(&mut wire.client).await;
        }
        assert!(start.elapsed() < Duration::from_millis(10));
    });
}

#[test]
fn a_panic_ends_one_http2_stream() {
    local(async {
        let mut client = Client::new(Wire::http2().client).await;
        assert!(client.try_get("/panic").await.is_err());
        assert_eq!(client.get("/").await, "hello");
    });
}

#[test]
fn an_http2_stream_whose_client_takes_nothing_is_reset_alone() {
    local(async {
        let mut client = Client::new(Wire::http2().client).await;
        let mut stuck = client.open("/large").await;
        let start = Instant::now();
        while start.elapsed() < limits().idle_timeout - Duration::from_secs(1) {
            assert_eq!(client.get("/").await, "hello");
            time::sleep(Duration::from_secs(7)).await;
        }
        time::sleep(Duration::from_secs(7)).await;
        // What fitted into the window has come; the rest never will. hyper's client takes the reset for an end.
        let mut taken = 0;
        while let Some(Ok(frame)) = stuck.frame().await {
            taken += frame.into_data().unwrap().len();
        }
        assert!((1..1 << 20).contains(&taken), "{taken}");
        assert_eq!(client.get("/").await, "hello");
    });
}

#[test]
fn an_http2_stream_whose_client_takes_little_by_little_is_served() {
    local(async {
        let mut slow = Client::new(Wire::http2().client).await.open("/large").await;
        let (start, mut taken) = (Instant::now(), 0);
        while taken < 1 << 20 {
            time::sleep(limits().idle_timeout / 2).await;
            let enough = taken + 16 * 1024;
            while taken < enough {
                taken += slow.frame().await.unwrap().unwrap().into_data().unwrap().len();
            }
        }
        assert!(start.elapsed() > 5 * limits().idle_timeout);
    });
}

/// An HTTP/2 client.
#[derive(Clone)]
struct Client {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    ended: Arc<Notify>,
}

impl Client {
    async fn new(stream: DuplexStream) -> Self {
        let io = hyper_util::rt::TokioIo::new(stream);
        // The protocol's own window; hyper's is large enough for everything that is sent here.
        let (sender, connection) = hyper::client::conn::http2::Builder::new(Spawn)
            .initial_stream_window_size(65_535)
            .handshake(io)
            .await
            .unwrap();
        let ended = Arc::new(Notify::new());
        let end = Arc::clone(&ended);
        task::spawn_local(async move {
            let _ = connection.await;
            end.notify_one();
        });
        Self { sender, ended }
    }

    async fn try_open(&mut self, path: &str) -> hyper::Result<Incoming> {
        let request = Request::get(format!("http://a{path}")).body(Full::default()).unwrap();
        Ok(self.sender.send_request(request).await?.into_body())
    }

    async fn open(&mut self, path: &str) -> Incoming {
        self.try_open(path).await.unwrap()
    }

    async fn try_get(&mut self, path: &str) -> hyper::Result<String> {
        let body = self.try_open(path).await?.collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&mut self, path: &str) -> String {
        self.try_get(path).await.unwrap()
    }

    async fn ended(self) {
        // While a sender lives, only the server can end the connection.
        self.ended.notified().await;
    }
}

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        task::spawn_local(future);
    }
}

/// Reads one frame (RFC 9113, section 4.1) and returns its type.
async fn frame(stream: &mut DuplexStream) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut rest).await.unwrap();
    head[3]
}

/// What a client says first, with empty settings (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
