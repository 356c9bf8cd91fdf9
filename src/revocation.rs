//! Tokens refused before their expiry.
//!
//! The list is read on every protected request and written by whoever revokes, and by the feed, which follows the
//! store's log. Owned by the application; handles are cheap.
//! Never here: signatures, HTTP, JSON, the wall clock.

mod expiring;
mod feed;
mod freshness;
mod list;
mod settings;
mod sweep;
mod unwritten;
mod users;

pub use feed::Feed;
pub use freshness::Freshness;
pub use list::{Cause, RevocationList, Size};
pub use settings::Settings;
