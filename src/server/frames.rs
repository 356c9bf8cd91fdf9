//! What an HTTP/2 client may cost beside its requests.
//!
//! Frames that carry no request (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, resets …) are each cheap and legal, and no
//! library counts all of them: a client can send millions. So they are paid for from a credit that grows with time
//! and with the bytes of requests and answers that pass; whoever has spent it is not after answers.
//! Never here: what frames mean, or whether they are legal; that is hyper's.

use std::time::Duration;

use tokio::time::Instant;

/// Follows the frames of one connection (RFC 9113, section 4.1) through the pieces in which they come.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface and of payloads that are still to pass.
    passing: usize,
    head: [u8; HEAD],
    /// Bytes of `head` that are there.
    have: usize,
    credit: u64,
    /// When the credit last grew by itself.
    grown: Instant,
    /// Bytes that passed and are not yet a whole unit of credit.
    change: u64,
}

impl Frames {
    /// A connection that begins.
    pub(super) fn new() -> Self {
        Self { passing: PREFACE, head: [0; HEAD], have: 0, credit: MOST, grown: Instant::now(), change: 0 }
    }

    /// The client has sent these bytes. False when it has spent its credit.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let passing = self.passing.min(bytes.len());
            self.passing -= passing;
            bytes = bytes.get(passing..).unwrap_or_default();
            let missing = self.head.get_mut(self.have..).unwrap_or_default();
            let Some((some, rest)) = bytes.split_at_checked(missing.len().min(bytes.len())) else {
                return true;
            };
            if some.is_empty() {
                return true;
            }
            for (place, byte) in missing.iter_mut().zip(some) {
                *place = *byte;
            }
            self.have += some.len();
            bytes = rest;
            if self.have == HEAD {
                self.have = 0;
                if !self.begin() {
                    return false;
                }
            }
        }
    }

    /// So many bytes have gone to the client.
    pub(super) fn said(&mut self, bytes: usize) {
        self.change = self.change.saturating_add(bytes as u64);
        if self.change >= UNIT {
            self.credit = MOST.min(self.credit.saturating_add(self.change / UNIT));
            self.change %= UNIT;
        }
    }

    fn begin(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.passing = length;
        let price = match kind {
            DATA if length > 0 => {
                self.said(length);
                return true;
            }
            DATA if flags & END_STREAM != 0 => return true,
            HEADERS => return true,
            RST_STREAM => RESET_PRICE,
            SETTINGS => SETTINGS_PRICE,
            _ => 1,
        };
        if self.credit < price {
            self.grow();
        }
        let left = self.credit.checked_sub(price);
        self.credit = left.unwrap_or(0);
        left.is_some()
    }

    fn grow(&mut self) {
        let passed = self.grown.elapsed();
        let growth = u64::try_from(passed.as_millis() / PERIOD.as_millis()).unwrap_or(MOST);
        if growth > 0 {
            self.grown += passed;
            self.credit = MOST.min(self.credit.saturating_add(growth));
        }
    }
}

/// At the beginning, and at most.
const MOST: u64 = 2000;
/// In which one unit of credit grows: 20 a second, more than clients ask whether we are still there.
const PERIOD: Duration = Duration::from_millis(50);
/// Bytes of a body, or of answers, for one unit of credit. Clients open windows (WINDOW_UPDATE) for some kilobytes.
const UNIT: u64 = 256;
/// A client says its settings once, and each must be applied and answered.
const SETTINGS_PRICE: u64 = 20;
/// What was asked and is not wanted any more has been work, here and behind us (CVE-2023-44487). Whoever leaves a
/// page may take back all that is in flight, twice at once.
const RESET_PRICE: u64 = 5;

const HEAD: usize = 9;
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    fn opened() -> Frames {
        let mut frames = Frames::new();
        assert!(frames.hear(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        frames
    }

    const PING: u8 = 6;

    /// One after a refused one begins a frame again.
    fn ping(frames: &mut Frames) -> bool {
        let heard = frames.hear(&frame(PING, 0, 8));
        frames.passing = 0;
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn what_carries_no_request_is_paid_for() {
        for (kind, flags, length, price) in
            [(PING, 0, 8, 1), (SETTINGS, 0, 0, 20), (RST_STREAM, 0, 4, 5), (DATA, 0, 0, 1), (0xfa, 0, 7, 1)]
        {
            let mut frames = opened();
            for _ in 0..MOST / price {
                assert!(frames.hear(&frame(kind, flags, length)));
            }
            assert!(!frames.hear(&frame(kind, flags, length)), "{kind}");
        }
        let mut frames = opened();
        for _ in 0..10 * MOST {
            assert!(frames.hear(&frame(HEADERS, 5, 30)));
            assert!(frames.hear(&frame(DATA, END_STREAM, 0)));
        }
        assert_eq!(frames.credit, MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_told_apart_however_they_are_cut() {
        let mut stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for length in [0, 1, 300, 70_000] {
            stream.extend(frame(HEADERS, 5, length));
            stream.extend(frame(PING, 0, 8));
        }
        for piece in [1, 2, 8, 9, 10, 17, 1000, stream.len()] {
            let mut frames = Frames::new();
            for piece in stream.chunks(piece) {
                assert!(frames.hear(piece));
            }
            assert_eq!((frames.credit, frames.passing, frames.have), (MOST - 4, 0, 0), "{piece}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credit_grows_with_time_and_with_what_passes() {
        let mut frames = opened();
        while ping(&mut frames) {}
        time::advance(Duration::from_secs(1)).await;
        for _ in 0..20 {
            assert!(ping(&mut frames));
        }
        assert!(!ping(&mut frames));
        for _ in 0..10 {
            frames.said(100);
        }
        for _ in 0..3 {
            assert!(ping(&mut frames));
        }
        assert!(!ping(&mut frames));
        assert!(frames.hear(&frame(DATA, 0, 256)));
        assert!(ping(&mut frames));
        frames.said(usize::MAX);
        assert_eq!(frames.credit, MOST);
    }
}
