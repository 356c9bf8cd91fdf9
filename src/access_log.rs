//! One line a request, written by a thread of its own.
//!
//! Each worker gathers lines in a buffer and hands it over when it is full or a moment old: a channel message
//! per request would cost more than the whole check of a token.
//! Never here: tokens, passwords, cookies, bodies, queries.

mod record;

pub use record::Record;
