//! Passwords: what a new one must be, how it is kept, and the bounded pool that hashes.
//!
//! Never here: users, throttles.

mod settings;

pub use settings::Settings;
