//! HTTP/2 stream by stream: what became of each, whatever was sent on it.

use super::{
    Client,
    frames::{
        ACK, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, fields,
        frame,
    },
};

/// An HTTP/2 connection that sends exactly the frames it is told, right or wrong (RFC 9113).
pub struct RawH2 {
    frames: Frames,
    /// What has been read and not yet taken.
    read: Vec<Frame>,
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
        Self { frames: Frames::connect(client, &[(HEADER_TABLE_SIZE, 0)]), read: Vec::new() }
    }

    /// Any frame. A peer that has gone away is seen by whoever reads.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.frames.send(&frame(kind, flags, stream, payload));
    }

    /// A header block in one frame.
    pub fn headers(&mut self, stream: u32, block: &[Field<'_>], ends: bool) {
        self.frame(HEADERS, END_HEADERS | u8::from(ends), stream, &fields(block));
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
                HEADERS if status.is_none() => status = Some(frame.status()),
                DATA => body.extend(frame.payload),
                RST_STREAM => return Outcome::Reset(frame.code()),
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
            |frame: &Frame| frame.stream == stream || (frame.kind == GOAWAY && frame.last_stream() < stream);
        loop {
            if let Some(at) = self.read.iter().position(ours) {
                return Some(self.read.remove(at));
            }
            let frame = self.frames.next()?;
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            self.read.push(frame);
        }
    }
}

const HEADER_TABLE_SIZE: u16 = 1;
