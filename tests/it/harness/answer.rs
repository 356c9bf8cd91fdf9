use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

/// A response as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In order, names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub whole: bool,
}

impl Answer {
    /// Reads one response; `None` where the connection closed before it.
    pub fn read(stream: &mut BufReader<impl Read>, head_only: bool) -> Option<Self> {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let status = line.split(' ').nth(1)?.trim().parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Self { status, headers, body: Vec::new(), whole: true };
        if status / 100 == 1 {
            return Self::read(stream, head_only);
        }
        if !head_only && status != 204 && status != 304 {
            answer.read_body(stream);
        }
        Some(answer)
    }

    fn read_body(&mut self, stream: &mut BufReader<impl Read>) {
        if self.header("transfer-encoding") == Some("chunked") {
            self.whole = self.read_chunks(stream).is_some();
        } else if let Some(length) = self.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.whole = stream.read_exact(&mut body).is_ok();
            self.body = body;
        } else {
            self.whole = stream.read_to_end(&mut self.body).is_ok();
        }
    }

    fn read_chunks(&mut self, stream: &mut BufReader<impl Read>) -> Option<()> {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).ok()?;
            self.body.extend(chunk);
            let mut end = String::new();
            if size > 0 {
                stream.read_line(&mut end).ok()?;
                continue;
            }
            // Trailers, until the empty line.
            while end.trim_end().len() != end.len() || end.is_empty() {
                end.clear();
                if stream.read_line(&mut end).ok()? == 0 {
                    return None;
                }
                if end == "\r\n" {
                    return Some(());
                }
                let (name, value) = end.trim_end().split_once(':')?;
                self.headers.push((format!("trailer {name}"), value.trim().to_owned()));
            }
        }
    }

    /// The only value of a header; panics where there are two.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "two `{name}` headers");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A text member of the JSON body.
    #[track_caller]
    pub fn member(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {json}")).to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}
