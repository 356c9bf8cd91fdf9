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
