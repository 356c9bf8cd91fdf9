//! What is counted of upstreams, by upstream and server: as many series as the configuration has servers.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::exposition::WITHOUT_EXEMPLAR;
use crate::metrics::ServerNumbers;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, servers: &[Arc<ServerNumbers>]) -> fmt::Result {
    for (name, help, value) in GAUGES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for server in servers {
            family.encode_family(&labels(server))?.encode_gauge(&value(server))?;
        }
    }
    for (name, help, value) in COUNTERS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for server in servers {
            family.encode_family(&labels(server))?.encode_counter(&value(server), WITHOUT_EXEMPLAR)?;
        }
    }
    Ok(())
}

fn labels(server: &ServerNumbers) -> [(&'static str, &str); 2] {
    [("upstream", &server.upstream), ("server", &server.server)]
}

/// Name, help, value.
type Family = (&'static str, &'static str, fn(&ServerNumbers) -> u64);

const GAUGES: [Family; 3] = [
    (
        "upstream_server_healthy",
        "Whether requests go to the server: 0 while it is unhealthy or set aside",
        |server| server.healthy.value(),
    ),
    (
        "upstream_requests_in_flight",
        "Requests at the server, or waiting for a connection to it",
        ServerNumbers::in_flight,
    ),
    ("upstream_connections", "Connections to the server, idle ones included", |server| {
        server.connections.value()
    }),
];

const COUNTERS: [Family; 4] = [
    ("upstream_connect_failures", "Connections to the server that could not be made", |server| {
        server.connect_failures.value()
    }),
    ("upstream_timeouts", "Requests that the server did not answer in time", |server| {
        server.timeouts.value()
    }),
    (
        "upstream_broken_answers",
        "Answers of the server that never came, could not be read, or broke off",
        |server| server.broken_answers.value(),
    ),
    ("upstream_retries", "Requests sent again because the server did not take them", |server| {
        server.retries.value()
    }),
];
