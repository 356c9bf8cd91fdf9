//! Floods of what is cheap to send: each ends its connection or stays bounded, and meanwhile others are served.

mod frames;
mod heads;
mod http1;
mod unread;

use std::{
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{
    Client, Process, Upstream,
    frames::{ENHANCE_YOUR_CALM, Frames},
    ok,
};

/// A gateway in a process of its own, so that its memory can be read, one worker for all; and an upstream.
struct Flooded {
    gateway: Process,
    upstream: Upstream,
    before: u64,
    _folder: TempDir,
}

impl Flooded {
    fn start() -> Self {
        let upstream = Upstream::start(|request, stream| {
            let length = if request.head().contains("/large") { 500_000 } else { 1000 };
            ok(stream, &"x".repeat(length))
        });
        let folder = TempDir::new().unwrap();
        let config = format!(
            "[limits]\nheader_timeout = \"3s\"\nidle_timeout = \"2s\"\nbody_timeout = \"1s\"\n{}",
            upstream.config()
        );
        let gateway = Process::start(folder.path(), &config);
        gateway.get("/public/warm", &[]).expect(200);
        let before = gateway.resident();
        Self { gateway, upstream, before, _folder: folder }
    }

    /// Lets `flood` run, and asks as another client would meanwhile. What was flooded, and how often, is the flood's.
    fn while_flooded<T: Send + 'static>(&self, flood: impl FnOnce(Client) -> T + Send + 'static) -> T {
        let client: Client = (*self.gateway).clone();
        let flood = thread::spawn(move || flood(client));
        let mut slowest = Duration::ZERO;
        loop {
            let started = Instant::now();
            self.gateway.get("/public/other", &[]).expect(200);
            slowest = slowest.max(started.elapsed());
            if flood.is_finished() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(slowest < Duration::from_secs(2), "another client waited {slowest:?}");
        let grown = self.gateway.resident().saturating_sub(self.before);
        assert!(grown < 48 * 1024, "it grew by {grown} KiB");
        flood.join().unwrap()
    }

    /// Requests that reached the upstream and were not the other client's.
    fn reached(&self) -> usize {
        self.upstream.requests().iter().filter(|request| request.head().contains("/public/x")).count()
    }
}

/// Sends until the connection is ended, at most so often; whether it was broken off, or with which reason it ended:
/// one that was told why is listened to for a while, so that it hears it.
fn ending(mut h2: Frames, most: usize, mut each: impl FnMut(usize) -> Vec<u8>) -> Ended {
    let broken = (0..most).any(|index| h2.send(&each(index)).is_err());
    h2.wait_at_most(Duration::from_secs(7));
    match h2.ended() {
        Some(reason) => Ended::Told(reason),
        None if broken => Ended::Broken,
        None => Ended::Never,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Broken,
    Never,
    Told(u32),
}

impl Ended {
    fn is_calming(self) -> bool {
        matches!(self, Self::Broken | Self::Told(ENHANCE_YOUR_CALM))
    }
}

fn odd(index: usize) -> u32 {
    u32::try_from(2 * index + 1).unwrap()
}
