//! HTTP/2 frame by frame (RFC 9113, section 4.1): what no library would send.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned};

use super::Client;

/// One HTTP/2 connection on which anything may be sent.
pub struct Frames {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const INTERNAL_ERROR: u32 = 2;
pub const ENHANCE_YOUR_CALM: u32 = 11;

impl Frames {
    /// A connection with these settings, each an identifier and a value.
    pub fn connect(client: &Client, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self { stream: client.connect_h2() };
        let mut payload = Vec::new();
        for (identifier, value) in settings {
            payload.extend(identifier.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &payload));
        frames.send(&bytes).unwrap();
        frames
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next frame; `None` at the end of the connection, or when nothing comes for as long as is waited.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads frames until one is of this kind.
    pub fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads to the end of the connection; how it was ended: the reason of the GOAWAY, if one came.
    pub fn ended(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                reason = Some(frame.code());
            }
        }
        reason
    }

    /// Waits no longer than this for what is read.
    pub fn wait_at_most(&self, limit: Duration) {
        self.stream.sock.set_read_timeout(Some(limit)).unwrap();
    }

    /// A second handle of the socket: to end it from another thread.
    pub fn socket(&self) -> TcpStream {
        self.stream.sock.try_clone().unwrap()
    }

    /// Ends our side without a word.
    pub fn hang_up(&self) {
        let _ = self.stream.sock.shutdown(Shutdown::Both);
    }
}

impl Frame {
    /// The last stream that a GOAWAY leaves room for.
    pub fn last_stream(&self) -> u32 {
        assert_eq!(self.kind, GOAWAY);
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// The code of a RST_STREAM or a GOAWAY.
    pub fn code(&self) -> u32 {
        let from = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[from..from + 4].try_into().unwrap())
    }

    /// The `:status` of HEADERS; it always comes first (RFC 9113, section 8.3).
    pub fn status(&self) -> u16 {
        assert_eq!(self.kind, HEADERS);
        // Where the client wants no dynamic table, the first block says so first (RFC 7541, section 6.3).
        let block = self.payload.strip_prefix(&[0x20]).unwrap_or(&self.payload);
        match *block {
            // The static table (RFC 7541, appendix A).
            [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
            [_, length, ..] if length & 0x80 == 0 => {
                std::str::from_utf8(&block[2..5]).unwrap().parse().unwrap()
            }
            [_, length, ..] => {
                let bytes = &block[2..2 + usize::from(length & 0x7f)];
                digits(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)), 8 * bytes.len())
            }
            _ => panic!("no status in {self:?}"),
        }
    }
}

/// Digits in Huffman's code (RFC 7541, appendix B).
fn digits(bits: u64, length: usize) -> u16 {
    let (mut left, mut number) = (length, 0);
    for _ in 0..3 {
        let five = bits >> (left - 5) & 0x1f;
        let digit = if five <= 2 {
            left -= 5;
            five
        } else {
            left -= 6;
            (bits >> left & 0x3f) - 0x16
        };
        number = number * 10 + u16::try_from(digit).unwrap();
    }
    number
}

/// The bytes of one frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field block: every field literal, none indexed (RFC 7541, section 6.2.2), in bytes that need not be legal.
pub fn fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The fields of a request to `path`.
pub fn asking(method: &str, path: &str) -> Vec<u8> {
    fields(&[(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// A whole GET.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &asking("GET", path))
}

/// The head of a POST, its body still to come.
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &asking("POST", path))
}

/// Ends a stream.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}
