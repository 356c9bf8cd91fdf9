//! What tests are made of.

mod answer;
mod client;
pub mod frames;
mod gateway;
pub mod postgres;
mod process;
pub mod raw_h2;
mod scripted;
mod upstream;

pub use answer::Answer;
pub use client::{Client, H2, Stream, bearer, request};
pub use gateway::{TestGateway, credentials, registration};
pub use process::Process;
pub use scripted::{Ending, Scripted, Wire};
pub use upstream::{Recorded, Upstream, ok};
