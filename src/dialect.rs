//! The wire shapes of the auth operations: one file per dialect, native alone for now.
//!
//! Never here: decisions. A dialect reads a request into an operation and words an outcome.

mod endpoint;

pub use endpoint::Endpoint;
