//! Tokens: minted, verified, described. JWT (RFC 7519) in JWS compact form (RFC 7515).
//!
//! A [`Profile`] is data: which claims carry what, in whose words. Dialects supply profiles; this room never
//! knows which dialect it serves.
//! Never here: revocation, sessions, users, the wall clock.

mod claim;
mod fault;
mod key;
mod mint;
mod profile;
mod read;
mod settings;
mod verify;

pub use claim::{ClaimValue, TokenKind, Verified};
pub use fault::{TokenFault, TokenStep};
pub use key::KeyRing;
pub use mint::NewToken;
pub use profile::Profile;
pub use settings::{ClaimSettings, KeySettings, Settings};
pub use verify::{TokenError, end, examine, verify};
