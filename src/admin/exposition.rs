//! The metrics' names, units and help, and the sums over all workers.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Unit,
};

use super::{BuildInfo, handshakes, revocations, upstreams};
use crate::{
    metrics::{Cut, Histogram, Limit, Listener, Metrics, RequestCells, Verdict},
    revocation::RevocationList,
};

/// Reads the numbers at each scrape.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) metrics: Metrics,
    pub(super) revocations: RevocationList,
    pub(super) build: BuildInfo,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workers = self.metrics.workers();
        encoder
            .encode_descriptor("build", "The program that runs", None, MetricType::Info)?
            .encode_info(&[("version", self.build.version)])?;
        self.encode_answers(&mut encoder, &workers)?;
        encode_verdicts(&mut encoder, &workers)?;
        encode_durations(
            &mut encoder,
            "request_duration",
            "From a request's head to the end of its answer",
            workers.iter().map(|cells| &cells.duration),
        )?;
        encode_durations(
            &mut encoder,
            "upstream_duration",
            "From forwarding to the head of the upstream's answer",
            workers.iter().map(|cells| &cells.upstream_duration),
        )?;
        encode_durations(
            &mut encoder,
            "auth_duration",
            "From a request's head to the verdict on its token",
            workers.iter().map(|cells| &cells.auth_duration),
        )?;
        encode_durations(
            &mut encoder,
            "password_hash_duration",
            "Hashing a password, or checking one, without the wait for a thread",
            std::iter::once(&self.metrics.hash_duration),
        )?;
        encode_durations(
            &mut encoder,
            "revocation_delay",
            "From a revocation of another process to its effect in this one",
            std::iter::once(&self.metrics.revocation_delay),
        )?;
        upstreams::encode(&mut encoder, &self.metrics.servers())?;
        self.encode_cuts(&mut encoder)?;
        self.encode_connections(&mut encoder)?;
        self.encode_certificates(&mut encoder)?;
        self.encode_throttled(&mut encoder)?;
        handshakes::encode(&mut encoder, &self.metrics)?;
        revocations::encode(&mut encoder, &self.revocations, &self.metrics)?;
        for (name, help, value) in self.counters() {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter(&value, WITHOUT_EXEMPLAR)?;
        }
        for (name, help, value) in self.gauges() {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

impl Exposition {
    fn encode_answers(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        workers: &[Arc<RequestCells>],
    ) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor("requests", "Requests answered", None, MetricType::Counter)?;
        for (index, route) in self.metrics.routes.iter().enumerate() {
            let mut sums = [0_u64; CLASSES.len()];
            for cells in workers {
                for (sum, count) in sums.iter_mut().zip(cells.answers(index)) {
                    *sum += count;
                }
            }
            for (class, sum) in CLASSES.iter().zip(sums) {
                family
                    .encode_family(&[("route", route.as_str()), ("status", class)])?
                    .encode_counter(&sum, WITHOUT_EXEMPLAR)?;
            }
        }
        Ok(())
    }

    fn encode_cuts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Answers cut before their end because their token died, or nobody could say any more whether it had";
        let mut family = encoder.encode_descriptor("answers_cut", help, None, MetricType::Counter)?;
        for cut in Cut::ALL {
            let count = self.metrics.answers_cut.of(cut).value();
            family.encode_family(&[("reason", cut.label())])?.encode_counter(&count, WITHOUT_EXEMPLAR)?;
        }
        Ok(())
    }

    fn encode_connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor("connections", "Connections open now", None, MetricType::Gauge)?;
        for listener in Listener::ALL {
            let open = self.metrics.connections.of(listener).value();
            family.encode_family(&[("listener", listener.label())])?.encode_gauge(&open)?;
        }
        Ok(())
    }

    fn encode_certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "When certificates end, in seconds since the Unix epoch";
        let name = "tls_certificate_not_after";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (name, end) in self.metrics.certificates() {
            family.encode_family(&[("name", name.as_str())])?.encode_gauge(&end.seconds())?;
        }
        Ok(())
    }

    fn encode_throttled(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Attempts refused by a throttle";
        let mut family = encoder.encode_descriptor("throttled", help, None, MetricType::Counter)?;
        for limit in Limit::ALL {
            let refused = self.metrics.throttled.of(limit).value();
            family.encode_family(&[("limit", limit.label())])?.encode_counter(&refused, WITHOUT_EXEMPLAR)?;
        }
        Ok(())
    }

    fn counters(&self) -> [(&'static str, &'static str, u64); 19] {
        let numbers = &self.metrics;
        [
            ("connections_accepted", "Connections accepted", numbers.connections_accepted.value()),
            (
                "connections_refused",
                "Connections refused because too many were open",
                numbers.connections_refused.value(),
            ),
            (
                "unread_requests",
                "Requests refused before their head was read: malformed, too large or too slow",
                numbers.unread_requests.value(),
            ),
            (
                "accept_failures",
                "Failures to accept connections, most often for lack of file descriptors",
                numbers.accept_failures.value(),
            ),
            (
                "proxies_untrusted",
                "Connections closed because their peer is no trusted proxy and PROXY headers are wanted",
                numbers.proxies_untrusted.value(),
            ),
            (
                "proxy_header_failures",
                "Connections closed because their PROXY header was missing, malformed or late",
                numbers.proxy_header_failures.value(),
            ),
            ("tls_handshakes", "TLS handshakes completed", numbers.handshakes.value()),
            ("logins", "Logins granted", numbers.logins.value()),
            ("login_failures", "Logins refused", numbers.login_failures.value()),
            ("registrations", "Accounts registered", numbers.registrations.value()),
            ("logouts", "Logouts granted, of one session or of all", numbers.logouts.value()),
            ("password_changes", "Passwords changed by their users", numbers.password_changes.value()),
            ("refreshes", "Refreshes granted", numbers.refreshes.value()),
            (
                "refresh_thefts",
                "Sessions ended because a token came that only a thief can have kept",
                numbers.refresh_thefts.value(),
            ),
            (
                "refresh_replacements",
                "Unused successors of refresh tokens replaced",
                numbers.refresh_replacements.value(),
            ),
            (
                "password_hashes_refused",
                "Password hashes turned away because too many waited",
                numbers.hashes_refused.value(),
            ),
            ("store_failures", "Store operations that failed", numbers.store_failures.value()),
            (
                "access_log_lines_dropped",
                "Access log lines that were not written",
                numbers.log_lines_dropped.value(),
            ),
            (
                "event_lines_dropped",
                "Lines on standard error that were not written",
                numbers.event_lines_dropped.value(),
            ),
        ]
    }

    fn gauges(&self) -> [(&'static str, &'static str, u64); 2] {
        let numbers = &self.metrics;
        [
            ("tunnels", "WebSocket tunnels open now", numbers.tunnels.value()),
            ("password_hash_queue", "Password hashes waiting for a thread", numbers.hash_queue.value()),
        ]
    }
}

fn encode_verdicts(encoder: &mut DescriptorEncoder<'_>, workers: &[Arc<RequestCells>]) -> fmt::Result {
    let mut sums = [0_u64; Verdict::ALL.len()];
    for cells in workers {
        for (sum, count) in sums.iter_mut().zip(cells.verdicts()) {
            *sum += count;
        }
    }
    let help = "What was decided of requests";
    let mut family = encoder.encode_descriptor("verdicts", help, None, MetricType::Counter)?;
    for (verdict, sum) in Verdict::ALL.into_iter().zip(sums) {
        family.encode_family(&[("verdict", verdict.label())])?.encode_counter(&sum, WITHOUT_EXEMPLAR)?;
    }
    Ok(())
}

fn encode_durations<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    histograms: impl Iterator<Item = &'a Histogram>,
) -> fmt::Result {
    let mut histograms = histograms.peekable();
    // All of one metric have the same.
    let bounds = histograms.peek().map_or(Histogram::BOUNDS, |histogram| histogram.bounds());
    let bounds = bounds.iter().map(std::time::Duration::as_secs_f64).chain([f64::INFINITY]);
    let mut buckets: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
    let mut sum = 0.0;
    for histogram in histograms {
        for ((_, bucket), count) in buckets.iter_mut().zip(histogram.counts()) {
            *bucket += count;
        }
        sum += histogram.sum();
    }
    // From the buckets just read: another reading of the count could contradict them.
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder
        .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
pub(super) const WITHOUT_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;
