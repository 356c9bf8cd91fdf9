//! A gateway, an upstream, and the proof after each attack that nobody else's request was touched.

use std::{io::Write, net::TcpStream};

use super::{Answered, Case, judge};
use crate::harness::{Answer, Client, Recorded, TestGateway, Upstream, bearer, ok};

pub struct Arena {
    pub gateway: TestGateway,
    pub upstream: Upstream,
    /// A header line that opens the protected routes.
    pub authorization: String,
    attacks: usize,
    /// Of the upstream's requests, those that have been looked at.
    judged: usize,
}

impl Arena {
    pub fn start() -> Self {
        let upstream = Upstream::start(tell);
        let config = upstream.config();
        Self::with(upstream, &config)
    }

    /// With routes of its own, `/public/*` among them.
    pub fn with(upstream: Upstream, config: &str) -> Self {
        let gateway = TestGateway::with(config);
        let authorization = bearer(&gateway.register("ada").member("access"));
        Self { gateway, upstream, authorization, attacks: 0, judged: 0 }
    }

    /// One attack and all that is wrong with its outcome.
    pub fn attack(&mut self, case: &Case) -> Result<(), String> {
        self.attacks += 1;
        let same = format!("/public/same/{}", self.attacks);
        let mut stream = self.gateway.connect();
        let _ = stream.get_mut().write_all(&case.bytes);
        let mut same_answered = false;
        if case.answered != Answered::Nothing {
            let first = Answer::read(&mut stream, case.bytes.starts_with(b"HEAD"));
            let status = first.as_ref().map(|answer| answer.status);
            if let Err(fault) = answered_as(case.answered, status) {
                self.mark();
                return Err(fault);
            }
            if first.is_some_and(|answer| answer.whole) {
                let _ = stream.get_mut().write_all(&get(&same));
                // More requests than this no attack has.
                for _ in 0..200 {
                    let Some(answer) = Answer::read(&mut stream, false) else { break };
                    if answer.body == format!("GET {same}").as_bytes() {
                        same_answered = true;
                        break;
                    }
                }
            }
        }
        drop(stream);
        self.aftermath(case.reaches, same_answered.then_some(&same))
    }

    /// A stranger's request gets its own answer, and the upstream has seen nothing but what may reach it.
    pub fn aftermath(&mut self, reaches: &[&str], same: Option<&str>) -> Result<(), String> {
        let fresh = format!("/public/fresh/{}", self.attacks);
        let answer = Client::raw(&self.gateway, get(&fresh));
        if answer.status != 200 || answer.body != format!("GET {fresh}").as_bytes() {
            return Err(format!("a stranger was answered {} {}", answer.status, answer.body.escape_ascii()));
        }
        let mut seen = self.seen()?;
        if seen.pop() != Some(format!("GET {fresh}")) {
            return Err("a stranger's request was not the upstream's last".to_owned());
        }
        if let Some(same) = same {
            seen.retain(|line| *line != format!("GET {same}"));
        }
        let mut expected = reaches.iter();
        for line in &seen {
            if !expected.any(|may| may == line) {
                return Err(format!("reached the upstream: {line}; all: {seen:?}"));
            }
        }
        Ok(())
    }

    /// Passes over what has come: the next attack is judged by what it does itself.
    pub fn mark(&mut self) {
        self.judged = self.upstream.requests().len();
    }

    /// The request lines that have come since the last call, once each has been judged.
    pub fn seen(&mut self) -> Result<Vec<String>, String> {
        let requests = self.upstream.requests();
        let new = &requests[self.judged..];
        self.judged = requests.len();
        for request in new {
            if let Some(fault) = judge::fault(request) {
                return Err(format!("the upstream sees {fault}"));
            }
        }
        Ok(new.iter().map(line).collect())
    }
}

/// An answer that names its request, so that a client sees whether it is its own.
pub fn tell(request: &Recorded, stream: &mut TcpStream) -> bool {
    let body = if request.head.starts_with(b"HEAD") { "" } else { &line(request) };
    ok(stream, body)
}

/// Whether a status, or the lack of one, is what was expected.
pub fn answered_as(expected: Answered, status: Option<u16>) -> Result<(), String> {
    let good = match expected {
        Answered::Passed => status == Some(200),
        Answered::Refused => status.is_none_or(|status| (400..=505).contains(&status)),
        Answered::Either => status.is_none_or(|status| status == 200 || (400..=505).contains(&status)),
        Answered::Nothing => status.is_none(),
    };
    if good { Ok(()) } else { Err(format!("answered {status:?}, not {expected:?}")) }
}

pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// The request line without its version.
fn line(request: &Recorded) -> String {
    let head = String::from_utf8_lossy(&request.head);
    let line = head.split("\r\n").next().unwrap_or_default();
    line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned()
}
