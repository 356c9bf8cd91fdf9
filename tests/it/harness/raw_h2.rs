use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
};

use rustls::{ClientConnection, StreamOwned};

use super::Client;

/// An HTTP/2 connection that sends exactly the frames it is told, right or wrong (RFC 9113).
pub struct RawH2 {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    /// What has been read and not yet taken.
    frames: Vec<Frame>,
}

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status and body, to its end.
    Answer(u16, Vec<u8>),
    /// The connection ended, or is announced to.
    Closed,
    /// RST_STREAM with this code.
    Reset(u32),
}

/// A field of a header block, in bytes that need not be legal.
pub type Field<'f> = (&'f [u8], &'f [u8]);

impl RawH2 {
    /// Connects and says hello. We allow no dynamic table, so that answers can be read without a memory.
    pub fn connect(client: &Client) -> Self {
        let mut h2 = Self { stream: BufReader::new(client.connect_h2()), frames: Vec::new() };
        h2.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // SETTINGS_HEADER_TABLE_SIZE = 0
        h2.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        h2
    }

    /// Any frame. A peer that has gone away is seen by whoever reads.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        self.write(&bytes);
    }

    /// A header block in one frame.
    pub fn headers(&mut self, stream: u32, fields: &[Field<'_>], ends: bool) {
        self.frame(HEADERS, END_HEADERS | u8::from(ends), stream, &block(fields));
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        self.frame(DATA, u8::from(ends), stream, bytes);
    }

    /// Reads until a stream has ended in one way or another.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let mut status = None;
        let mut body = Vec::new();
        loop {
            let Some(frame) = self.next_of(stream) else { return Outcome::Closed };
            match frame.kind {
                HEADERS if status.is_none() => status = Some(read_status(&frame.payload)),
                DATA => body.extend(frame.payload),
                RST_STREAM => return Outcome::Reset(code(&frame.payload)),
                GOAWAY => return Outcome::Closed,
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Outcome::Answer(status.expect("a status comes first"), body);
            }
        }
    }

    /// The next frame of a stream, or a GOAWAY that leaves it out; `None` where the connection has ended.
    fn next_of(&mut self, stream: u32) -> Option<Frame> {
        let ours =
            |frame: &Frame| frame.stream == stream || (frame.kind == GOAWAY && code(&frame.payload) < stream);
        loop {
            if let Some(at) = self.frames.iter().position(ours) {
                return Some(self.frames.remove(at));
            }
            let frame = self.read()?;
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            self.frames.push(frame);
        }
    }

    fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let mut payload = vec![0; number(&head[..3]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream: number(&head[5..]) & 0x7fff_ffff, payload })
    }

    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }
}

/// Literal fields that are neither indexed nor Huffman-coded (RFC 7541, section 6.2.2).
pub fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), &mut block);
            block.extend(*text);
        }
    }
    block
}

/// RFC 7541, section 5.1, in seven bits.
fn integer(value: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = value.checked_sub(127) else {
        block.push(u8::try_from(value).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// `:status` is first. Without a dynamic table it is a static entry whole, or its name is.
fn read_status(block: &[u8]) -> u16 {
    // Updates of the table's size come before.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    match block[at..] {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [_, 0x03, hundreds, tens, ones, ..] => {
            [hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        }
        [_, length, ..] if length & 0x80 != 0 => {
            huffman_digits(&block[at + 2..at + 2 + usize::from(length & 0x7f)])
        }
        _ => panic!("no status: {}", block.escape_ascii()),
    }
}

/// Digits have five bits, or six (RFC 7541, appendix B).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = 8 * bytes.len();
    let mut status = 0;
    for _ in 0..3 {
        let five = bits >> (left - 5) & 0x1f;
        let (digit, length) = if five < 3 { (five, 5) } else { ((bits >> (left - 6) & 0x3f) - 0x16, 6) };
        status = status * 10 + u16::try_from(digit).unwrap();
        left -= length;
    }
    status
}

/// The four bytes in front.
fn code(payload: &[u8]) -> u32 {
    payload.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
