//! Promises kept: a real gateway on port 0, a real upstream that records every byte, a clock that moves when told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "a test asks how long something took, and where Django is")]

mod harness;

mod access;
mod accounts;
mod admin;
mod adoption;
mod attacks;
mod command_line;
mod corpus;
mod cors;
mod crash;
mod cuts;
mod django;
mod drain;
mod failures;
mod floods;
mod forwarding;
mod http2;
mod limits;
mod listeners;
mod logout;
mod operators;
mod postgres;
mod proxies;
mod refresh;
mod replicas;
mod revocation;
mod routes;
mod semantics;
mod sessions;
mod staleness;
mod startup;
mod store_lines;
mod streams;
mod throttles;
mod upstreams;
mod websocket;
