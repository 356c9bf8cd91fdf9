//! Tokens refused before their expiry.
