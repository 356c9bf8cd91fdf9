//! Builds everything, owns everything, stops everything.
//!
//! Never here: what any of it does.

mod error;
mod health;
mod listeners;
mod signal;
mod start;

pub use error::StartError;
pub use signal::run_until_signal;
pub use start::{App, Io};
