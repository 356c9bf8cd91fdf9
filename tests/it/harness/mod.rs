//! What tests are made of.

mod answer;
mod backend;
mod client;
pub mod frames;
mod gateway;
pub mod postgres;
mod process;
pub mod raw_h2;
mod scripted;
mod tokens;
mod upstream;

pub use answer::Answer;
pub use backend::Backend;
pub use client::{Client, H2, Stream, bearer, request};
pub use gateway::{NOW, TestGateway, admin, credentials, registration};
pub use process::Process;
pub use scripted::{Ending, Scripted, Wire};
pub use tokens::{claims, sign, sign_text};
pub use upstream::{Recorded, Upstream, ok};

/// Asks until it is so. How long that takes is no test's to judge: machines are slow at times, and what never happens
/// does not happen in this time either.
#[track_caller]
pub fn eventually(what: &str, happens: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !happens() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it never happens: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
