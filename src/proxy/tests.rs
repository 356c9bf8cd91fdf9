//! The forwarder against an upstream that speaks raw bytes, and behind a real HTTP server where bodies matter.

mod bodies;
mod connections;
mod harness;
mod heads;
mod servers;
