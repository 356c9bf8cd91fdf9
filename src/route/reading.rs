//! The readings of a path that a lenient backend might take, each once and bounded in number and size.
//!
//! Never here: what such a backend does to a path (`rewrite`), what a reading leads to (`table`).

use std::{collections::HashSet, rc::Rc};

use super::{
    Refusal,
    marks::Marks,
    rewrite::{DECODERS, REWRITES, Rewrite, Unreadable, escape},
};

/// The longest path that is looked at, in bytes.
pub(super) const MAX_PATH: usize = 8 * 1024;

/// A request's path, well-formed: it begins with a slash and holds no control byte, plain or escaped, and no broken
/// escape.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawPath<'p> {
    bytes: &'p [u8],
    marks: Marks,
}

impl<'p> RawPath<'p> {
    /// Proves it.
    pub(super) fn parse(path: &'p str) -> Result<Self, Refusal> {
        let bytes = path.as_bytes();
        if !bytes.starts_with(b"/") || bytes.len() > MAX_PATH {
            return Err(Refusal::PathMalformed);
        }
        let marks = Marks::of(bytes);
        if marks.has(Marks::CONTROL) || (marks.has(Marks::ESCAPE) && !escapes_are_sound(bytes)) {
            return Err(Refusal::PathMalformed);
        }
        Ok(Self { bytes, marks })
    }

    /// The bytes that came: the plain reading.
    pub(super) const fn plain(self) -> &'p [u8] {
        self.bytes
    }

    /// Whether a comparison that ignores case and a trailing slash could find something else than one that does
    /// not, among patterns without capitals and without trailing slash.
    pub(super) fn is_loose(self) -> bool {
        self.marks.has(Marks::CAPITAL) || self.bytes.ends_with(b"/")
    }

    /// Asks `agrees` for every other reading: whatever the rewrites of [`super::rewrite`] make of the path, in any
    /// selection and any order, with decoding at most [`MAX_DECODES`] times.
    ///
    /// Only the case of letters and a trailing slash are left to `agrees`, since a comparison can pass over them.
    ///
    /// The first reading that does not agree ends it. The work has a bound that does not depend on the path: each
    /// rewrite is linear, and a path that has more readings than [`MAX_READINGS`], or whose readings have more
    /// than [`MAX_READING_BYTES`] in all, is refused. An ordinary path costs nothing here; one with blanks or
    /// letters beyond ASCII has two readings, a contrived one some dozens.
    pub(super) fn other_readings(self, agrees: impl FnMut(&[u8]) -> bool) -> Result<(), Refusal> {
        if self.marks.is_ordinary() {
            return Ok(());
        }
        let mut readings =
            Readings { seen: HashSet::new(), bytes_left: MAX_READING_BYTES, agrees, buffer: Vec::new() };
        let mut layer = Vec::new();
        readings.note(self.bytes, &mut layer)?;
        for decodes_left in (0..=MAX_DECODES).rev() {
            readings.close(&mut layer)?;
            if decodes_left == 0 {
                break;
            }
            layer = readings.decode(&layer)?;
        }
        Ok(())
    }
}

/// The readings found so far.
struct Readings<F> {
    seen: HashSet<Rc<[u8]>>,
    bytes_left: usize,
    agrees: F,
    buffer: Vec<u8>,
}

impl<F: FnMut(&[u8]) -> bool> Readings<F> {
    /// Adds to `layer`, the readings after one number of decodings, all that rewrites make of them.
    fn close(&mut self, layer: &mut Vec<Rc<[u8]>>) -> Result<(), Refusal> {
        let mut next = 0;
        while let Some(reading) = layer.get(next).cloned() {
            next += 1;
            let marks = Marks::of(&reading);
            for (mark, rewrite) in REWRITES {
                if marks.has(mark) {
                    self.apply(rewrite, &reading, layer)?;
                }
            }
        }
        Ok(())
    }

    /// The readings that decoding once more brings.
    fn decode(&mut self, layer: &[Rc<[u8]>]) -> Result<Vec<Rc<[u8]>>, Refusal> {
        let mut decoded = Vec::new();
        for reading in layer.iter().filter(|reading| reading.contains(&b'%')) {
            for decoder in DECODERS {
                self.apply(decoder, reading, &mut decoded)?;
            }
        }
        Ok(decoded)
    }

    fn apply(&mut self, rewrite: Rewrite, reading: &[u8], layer: &mut Vec<Rc<[u8]>>) -> Result<(), Refusal> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        rewrite(reading, &mut buffer)?;
        if buffer != reading {
            self.note(&buffer, layer)?;
        }
        self.buffer = buffer;
        Ok(())
    }

    fn note(&mut self, reading: &[u8], layer: &mut Vec<Rc<[u8]>>) -> Result<(), Refusal> {
        if self.seen.contains(reading) {
            return Ok(());
        }
        let bytes_left = self.bytes_left.checked_sub(reading.len());
        self.bytes_left = bytes_left.ok_or(Refusal::PathAmbiguous)?;
        if self.seen.len() >= MAX_READINGS || !(self.agrees)(reading) {
            return Err(Refusal::PathAmbiguous);
        }
        let reading: Rc<[u8]> = reading.into();
        self.seen.insert(Rc::clone(&reading));
        layer.push(reading);
        Ok(())
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Climbs => Self::PathAmbiguous,
            Unreadable::Nul => Self::PathMalformed,
        }
    }
}

fn escapes_are_sound(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(start) = rest.iter().position(|byte| *byte == b'%') {
        rest = rest.get(start..).unwrap_or_default();
        if escape(rest).is_none_or(|byte| byte.is_ascii_control()) {
            return false;
        }
        rest = rest.get(3..).unwrap_or_default();
    }
    true
}

/// How often a backend, or a chain of them, may decode a path.
const MAX_DECODES: usize = 3;
/// Distinct readings of one path.
const MAX_READINGS: usize = 256;
/// Bytes of all readings of one path.
const MAX_READING_BYTES: usize = 64 * 1024;
