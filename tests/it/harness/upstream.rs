use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What reached the upstream: every byte of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn head(&self) -> &str {
        std::str::from_utf8(&self.head).unwrap()
    }

    /// The request line, and the header lines in the order of the alphabet: theirs says nothing.
    pub fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.head().split("\r\n").filter(|line| !line.is_empty()).collect();
        lines[1..].sort_unstable();
        lines
    }

    /// The header lines, names as they came.
    pub fn headers(&self) -> Vec<(String, String)> {
        let lines = self.head().split("\r\n").skip(1).filter(|line| !line.is_empty());
        lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers();
        let mut values = headers.into_iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "two `{name}` headers reached the upstream");
        value
    }

    pub fn request_line(&self) -> &str {
        self.head().split("\r\n").next().unwrap()
    }
}

/// A backend that records what reaches it and answers what it is told.
pub struct Upstream {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Upstream {
    /// `respond` writes whatever it likes; false closes the connection.
    pub fn start(respond: impl Fn(&Recorded, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let respond = Arc::new(respond);
        let upstream = Self {
            address,
            requests: Arc::clone(&requests),
            connections: Arc::clone(&connections),
            stopped: Arc::clone(&stopped),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, respond) = (Arc::clone(&requests), Arc::clone(&respond));
                thread::spawn(move || serve(stream, &requests, &*respond));
            }
        });
        upstream
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request that came.
    #[track_caller]
    pub fn only(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A protected `/*` and a public `/public/*` that lead here; registration is open.
    pub fn config(&self) -> String {
        let address = self.address;
        format!(
            r#"
            [auth]
            registration = true
            [[route]]
            path = "/*"
            upstream = "http://{address}"
            [[route]]
            path = "/public/*"
            upstream = "http://{address}"
            access = "public"
            "#
        )
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// 200 with a body.
pub fn ok(stream: &mut TcpStream, body: &str) -> bool {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).is_ok()
}

fn serve(
    stream: TcpStream,
    requests: &Mutex<Vec<Recorded>>,
    respond: &(dyn Fn(&Recorded, &mut TcpStream) -> bool + Send + Sync),
) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // `write!` writes piece by piece.
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        requests.lock().unwrap().push(request.clone());
        if !respond(&request, &mut writer) {
            let _ = writer.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Recorded> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let mut body = Vec::new();
    if text.contains("\r\ntransfer-encoding: chunked\r\n") {
        // The chunks as they are on the wire, trailers included.
        while !(body.ends_with(b"0\r\n\r\n")
            || (contains(&body, b"\r\n0\r\n") && body.ends_with(b"\r\n\r\n")))
        {
            if stream.read_until(b'\n', &mut body).ok()? == 0 {
                return None;
            }
        }
    } else if let Some(length) = text.split("\r\ncontent-length: ").nth(1) {
        body = vec![0; length.split("\r\n").next()?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
    }
    Some(Recorded { head, body })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
