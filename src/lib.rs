//! Portcullis: a reverse-proxy authentication gateway.
//!
//! The rooms and their floors are drawn in `docs/ARCHITECTURE.md`; a room imports only from floors below its
//! own, and `tests/architecture.rs` fails on an import that points up or sideways.

pub mod access_log;
pub mod admin;
pub mod app;
pub mod auth;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod gateway;
pub mod id;
pub mod interim;
pub mod metrics;
pub mod net;
pub mod password;
pub mod proxy;
pub mod readiness;
pub mod revocation;
pub mod route;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token;
