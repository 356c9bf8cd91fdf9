use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// A backend that is handed each connection as it is, to do with it what it likes.
pub struct Scripted {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

/// How a peer ended its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Closed,
    /// With a reset.
    Reset,
    /// Not at all, for as long as was waited.
    Open,
}

impl Scripted {
    /// `serve` gets each connection, and its number, on a thread of its own.
    pub fn start(serve: impl Fn(Wire, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let upstream = Self { address, connections: Arc::clone(&connections), stopped: Arc::clone(&stopped) };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(Wire(BufReader::new(stream)), number));
            }
        });
        upstream
    }

    /// As [`Self::start`]; what `serve` returns can be received.
    pub fn telling<T: Send + 'static>(
        serve: impl Fn(Wire, usize) -> T + Send + Sync + 'static,
    ) -> (Self, mpsc::Receiver<T>) {
        let (sender, told) = mpsc::channel();
        let upstream = Self::start(move |wire, number| {
            let _ = sender.send(serve(wire, number));
        });
        (upstream, told)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A public `/*` that leads here, and the auth endpoints.
    pub fn config(&self) -> String {
        format!("[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"http://{}\"\n", self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One connection of the gateway to a backend.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Reads one head; `None` where the connection ends first.
    pub fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// Reads so many bytes, or what comes before the end.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.by_ref().take(count as u64).read_to_end(&mut bytes);
        bytes
    }

    /// Reads to the end of the other side: what came, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, Ending) {
        let mut bytes = Vec::new();
        let ending = match self.0.read_to_end(&mut bytes) {
            Ok(_) => Ending::Closed,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ending::Reset,
            Err(_) => Ending::Open,
        };
        (bytes, ending)
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = self.0.into_inner();
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
