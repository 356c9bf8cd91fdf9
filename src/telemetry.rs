//! Sets up what the program says of itself: `tracing` events on standard error.
//!
//! Requests are not traced: they are counted (`metrics`) and written to the access log (`access_log`).

mod settings;

pub use settings::{Format, Level, Settings};
