//! `[upstream.NAME] health`: nobody asks servers how they are unless it is there.

use std::time::Duration;

use http::uri::PathAndQuery;

use crate::{
    config::{
        reader::{Section, within},
        value::Written,
    },
    proxy::HealthSettings,
};

/// Reads `health`; `None` where it is not there, or at fault.
pub(super) fn read(upstream: &mut Section<'_, '_, '_>) -> Option<HealthSettings> {
    upstream.optional_section("health", |health| {
        let path: Option<Written> = health.required_if("path", |path: &Written| parse(path).map(|_| ()));
        let interval = health.take_if("interval", Duration::from_secs(5), |interval| {
            match *interval < SHORTEST_INTERVAL {
                true => Err("expected at least \"100ms\": more would be a load of its own".to_owned()),
                false => Ok(()),
            }
        });
        let unhealthy_after = health.take_if("unhealthy_after", 2, within(1, 100));
        let healthy_after = health.take_if("healthy_after", 1, within(1, 100));
        Some(HealthSettings { path: parse(&path?).ok()?, interval, unhealthy_after, healthy_after })
    })?
}

fn parse(path: &Written) -> Result<PathAndQuery, String> {
    let parsed = path.text.parse().ok().filter(|_| path.text.starts_with('/') && !path.text.contains('#'));
    parsed.ok_or_else(|| r#"expected a path such as "/healthz""#.to_owned())
}

const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
