//! The operations on accounts and sessions, and the check on the hot path.
//!
//! Never here: JSON, HTTP statuses, routes.

mod principal;
mod settings;

pub use principal::Principal;
pub use settings::{Quota, Settings};
