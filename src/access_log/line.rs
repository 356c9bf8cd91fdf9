//! How a record looks as a line.
//!
//! A line is ASCII: whatever a client sent that is not a visible ASCII character is written as an escape, so
//! that no path can begin a line of its own, move a terminal's cursor or turn its text around.

use std::{fmt::Write as _, io::Write as _};

use super::Record;
use crate::clock::Timestamp;

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line. What is not known is left out.
    Json,
    /// For people.
    Text,
}

/// Writes lines in one format and remembers the second that it wrote last.
#[derive(Debug)]
pub(super) struct Lines {
    format: Format,
    second: u64,
    /// `second` in RFC 3339, up to the fraction.
    written_second: String,
}

impl Lines {
    pub(super) const fn new(format: Format) -> Self {
        Self { format, second: u64::MAX, written_second: String::new() }
    }

    /// Appends the record and a line feed.
    pub(super) fn append(&mut self, line: &mut Vec<u8>, record: &Record<'_>) {
        match self.format {
            Format::Json => self.append_json(line, record),
            Format::Text => self.append_text(line, record),
        }
        line.push(b'\n');
    }

    fn append_json(&mut self, line: &mut Vec<u8>, record: &Record<'_>) {
        line.extend_from_slice(b"{\"time\":\"");
        self.append_time(line, record.time);
        line.push(b'"');
        member(line, "request_id", record.request_id);
        put(line, format_args!(",\"client\":\"{}\"", record.client));
        member(line, "method", record.method);
        member(line, "host", record.host);
        member(line, "path", record.path);
        put(
            line,
            format_args!(
                ",\"status\":{},\"bytes_in\":{},\"bytes_out\":{},\"duration_ms\":{}",
                record.status,
                record.bytes_in,
                record.bytes_out,
                Millis(record.duration)
            ),
        );
        if let Some(duration) = record.upstream_duration {
            put(line, format_args!(",\"upstream_duration_ms\":{}", Millis(duration)));
        }
        for (name, value) in [
            ("route", record.route),
            ("upstream", record.upstream),
            ("user_id", record.user.map(|user| user.as_str())),
        ] {
            if let Some(value) = value {
                member(line, name, value);
            }
        }
        if let Some(token) = record.token {
            put(line, format_args!(",\"token_id\":\"{token}\""));
        }
        put(line, format_args!(",\"verdict\":\"{}\",\"aborted\":{}", record.verdict.label(), record.aborted));
        if let Some(cut) = record.cut {
            put(line, format_args!(",\"cut\":\"{}\"", cut.label()));
        }
        line.push(b'}');
    }

    fn append_text(&mut self, line: &mut Vec<u8>, record: &Record<'_>) {
        self.append_time(line, record.time);
        put(line, format_args!(" {} \"", record.client));
        escape(line, record.method);
        line.push(b' ');
        escape(line, record.host);
        escape(line, record.path);
        put(line, format_args!("\" {} {}", record.status, record.verdict.label()));
        if record.aborted {
            line.extend_from_slice(b" aborted");
        }
        if let Some(cut) = record.cut {
            put(line, format_args!(" cut {}", cut.label()));
        }
        put(
            line,
            format_args!(" {} ms, in {}, out {}", Millis(record.duration), record.bytes_in, record.bytes_out),
        );
        if let Some(duration) = record.upstream_duration {
            put(line, format_args!(", upstream {} ms", Millis(duration)));
        }
        for (name, value) in [
            ("route", record.route),
            ("upstream", record.upstream),
            ("user", record.user.map(|user| user.as_str())),
        ] {
            if let Some(value) = value {
                put(line, format_args!(", {name} \""));
                escape(line, value);
                line.push(b'"');
            }
        }
        if let Some(token) = record.token {
            put(line, format_args!(", token {token}"));
        }
        line.extend_from_slice(b", request \"");
        escape(line, record.request_id);
        line.push(b'"');
    }

    /// RFC 3339 in UTC with milliseconds. A calendar is asked once a second, not once a line.
    fn append_time(&mut self, line: &mut Vec<u8>, time: Timestamp) {
        if self.second != time.seconds() || self.written_second.is_empty() {
            self.second = time.seconds();
            self.written_second.clear();
            let _ = write!(self.written_second, "{}", Timestamp::from_seconds(self.second));
            // `…T09:30:00.000Z` up to its dot; "never" has none and stays whole.
            if let Some(dot) = self.written_second.find('.') {
                self.written_second.truncate(dot);
            }
        }
        line.extend_from_slice(self.written_second.as_bytes());
        put(line, format_args!(".{:03}Z", time.millis() % 1000));
    }
}

/// Milliseconds to the microsecond.
struct Millis(std::time::Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0.as_millis(), self.0.subsec_micros() % 1000)
    }
}

/// `,"name":"value"`; `name` is ours and needs no escape.
fn member(line: &mut Vec<u8>, name: &str, value: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":\"");
    escape(line, value);
    line.push(b'"');
}

/// The inside of a JSON string (RFC 8259, section 7), in visible ASCII and blanks alone.
fn escape(line: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !stands_for_itself(byte)) {
        // The byte at `at` begins a character, since every byte before it is ASCII.
        let Some((plain, tail)) = rest.split_at_checked(at) else { return };
        line.extend_from_slice(plain.as_bytes());
        let mut characters = tail.chars();
        match characters.next() {
            Some('"') => line.extend_from_slice(b"\\\""),
            Some('\\') => line.extend_from_slice(b"\\\\"),
            Some(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    put(line, format_args!("\\u{unit:04x}"));
                }
            }
            None => return,
        }
        rest = characters.as_str();
    }
    line.extend_from_slice(rest.as_bytes());
}

const fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn put(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = line.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut line = Vec::new();
        escape(&mut line, text);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn what_is_not_visible_ascii_becomes_an_escape() {
        assert_eq!(escaped("/plain path"), "/plain path");
        assert_eq!(escaped("a\"b\\c"), r#"a\"b\\c"#);
        assert_eq!(escaped("a\r\nb\0\u{7f}"), r"a\u000d\u000ab\u0000\u007f");
        assert_eq!(escaped("\u{1b}[2J\u{9b}1m"), r"\u001b[2J\u009b1m");
        assert_eq!(escaped("zoë\u{202e}😀"), r"zo\u00eb\u202e\ud83d\ude00");
    }

    #[test]
    fn the_time_is_right_within_and_across_seconds() {
        let mut lines = Lines::new(Format::Json);
        for millis in [1_700_000_000_042, 1_700_000_000_999, 1_700_000_001_000, 0] {
            let time = Timestamp::from_millis(millis);
            let mut line = Vec::new();
            lines.append_time(&mut line, time);
            assert_eq!(String::from_utf8(line).unwrap(), time.to_string());
        }
    }

    #[test]
    fn durations_keep_their_microseconds() {
        let text = |micros| Millis(std::time::Duration::from_micros(micros)).to_string();
        assert_eq!(
            [text(0), text(7), text(1_234), text(61_000_050)],
            ["0.000", "0.007", "1.234", "61000.050"]
        );
    }

    proptest! {
        #[test]
        fn a_json_reader_gets_back_what_was_escaped(text in any::<String>()) {
            let line = format!("\"{}\"", escaped(&text));
            prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
