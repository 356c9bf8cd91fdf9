//! Passwords: what a new one must be, how it is kept, and the bounded pool that hashes.
//!
//! Never here: users, throttles.

mod argon;
mod policy;
mod pool;
mod settings;

pub use policy::Weakness;
pub use pool::{PasswordError, Passwords};
pub use settings::Settings;
