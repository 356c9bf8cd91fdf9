//! Every listener: what it serves, to whom, and what it refuses.

mod certificates;
mod descriptors;
mod plain;
mod proxies;
mod redirects;

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::harness::{Answer, TestGateway};

/// A `[listen]` section with HTTPS and these lines.
fn listen(lines: &str) -> String {
    format!("[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 1\n{lines}\n")
}

const PUBLIC_ECHO: &str = "[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"echo\"\n";

fn plain(gateway: &TestGateway) -> SocketAddr {
    gateway.app().addresses().plain.unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends these bytes on a new connection and reads one answer; `None` where the connection closed without one.
fn say(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut stream = connect(address);
    stream.write_all(bytes.as_ref()).ok()?;
    hear(&mut stream)
}

fn hear(stream: &mut impl Read) -> Option<Answer> {
    Answer::read(&mut BufReader::new(stream), false)
}
