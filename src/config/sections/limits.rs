//! `[limits]`: to the rooms that keep them, connections' to `server`, bodies' to `gateway`, upstreams' silence to
//! `proxy`.

use std::time::Duration;

use crate::{
    config::{
        BodyLimits,
        reader::{Section, positive, within},
        value::Size,
    },
    server,
};

/// `[limits]`
pub(super) struct Limits {
    pub(super) connections: server::Limits,
    pub(super) body: BodyLimits,
    pub(super) idle: Idle,
}

/// For how long an upstream may be silent.
#[derive(Clone, Copy)]
pub(super) struct Idle {
    /// Within an answer.
    pub(super) response: Duration,
    /// Within server-sent events, and in a tunnel.
    pub(super) stream: Duration,
}

pub(super) fn read(limits: &mut Section<'_, '_, '_>) -> Limits {
    Limits {
        connections: server::Limits {
            handshake_timeout: limits.take_if("handshake_timeout", Duration::from_secs(10), positive),
            header_timeout: limits.take_if("header_timeout", Duration::from_secs(10), positive),
            idle_timeout: limits.take_if("idle_timeout", Duration::from_mins(1), positive),
            header_size: limits
                .take_if("header_size", Size::kib(32), within(Size::kib(1), Size::kib(1024)))
                .0,
            header_count: limits.take_if("header_count", 100, within(10, 10_000)),
            streams: limits.take_if("streams", 200, within(1, 100_000)),
            connections: limits.take_if("connections", 10_000, within(1, 10_000_000)),
            connections_per_address: limits.take_if("connections_per_address", 1000, within(1, 10_000_000)),
        },
        body: BodyLimits {
            request_idle: limits.take_if("body_timeout", Duration::from_secs(20), positive),
            auth_size: limits.take_if("auth_body", Size::kib(64), within(Size(256), Size::kib(16 << 10))).0,
            auth_deadline: limits.take_if("auth_body_timeout", Duration::from_secs(10), positive),
        },
        idle: Idle {
            response: limits.take_if("response_idle_timeout", Duration::from_mins(1), positive),
            stream: limits.take_if("stream_idle_timeout", Duration::from_hours(1), positive),
        },
    }
}
