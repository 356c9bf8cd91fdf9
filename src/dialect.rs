//! The wire shapes of the auth operations: one room per dialect, native alone for now.
//!
//! Never here: decisions. A dialect reads a request into an operation, and words an outcome or a refusal.

mod endpoint;
mod fields;
mod native;

pub use endpoint::Endpoint;
pub use fields::WireError;
pub use native::{
    DecodeError, decode, encode, profile, refuse_for_now, refuse_token, refuse_user, reject, undecodable,
};
