//! What is refused before its expiry, and how far behind the log it is.

use std::fmt;

use prometheus_client::{
    encoding::DescriptorEncoder,
    metrics::MetricType::{Counter, Gauge},
    registry::Unit,
};

use super::exposition::WITHOUT_EXEMPLAR;
use crate::{clock::Stopwatch, metrics::Metrics, revocation::RevocationList};

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    list: &RevocationList,
    metrics: &Metrics,
) -> fmt::Result {
    let size = list.size();
    let help =
        "Revocations in memory: tokens, sessions, and users who are blocked or whose older tokens are dead";
    let mut family = encoder.encode_descriptor("revocation_entries", help, None, Gauge)?;
    for (kind, entries) in [("session", size.sessions), ("token", size.tokens), ("user", size.users)] {
        family.encode_family(&[("kind", kind)])?.encode_gauge(&number(entries))?;
    }
    let help = "Memory that the revocations take, approximately, spare room included";
    encoder
        .encode_descriptor("revocation_memory", help, Some(&Unit::Bytes), Gauge)?
        .encode_gauge(&number(size.bytes))?;
    if let Some(next) = list.next_expiry() {
        let help = "When the oldest revocation ends, as of the last sweep, in seconds since the Unix epoch; more than \
                    a day past, nobody sweeps";
        encoder
            .encode_descriptor("revocation_next_expiry", help, Some(&Unit::Seconds), Gauge)?
            .encode_gauge(&next)?;
    }
    let help = "Time since the revocation log was last read to its end";
    encoder
        .encode_descriptor("revocation_feed_lag", help, Some(&Unit::Seconds), Gauge)?
        .encode_gauge(&list.lag(Stopwatch::start()).as_secs_f64())?;
    let help = "Number of the last revocation log entry applied";
    encoder
        .encode_descriptor("revocation_sequence", help, None, Gauge)?
        .encode_gauge(&metrics.revocation_sequence.value())?;
    let help = "Revocations in force here alone, which wait for the store to come back";
    encoder
        .encode_descriptor("revocations_unwritten", help, None, Gauge)?
        .encode_gauge(&number(list.unwritten_len()))?;
    let help = "Revocations in force here alone for good, because too many waited for the store";
    encoder
        .encode_descriptor("revocations_forgotten", help, None, Counter)?
        .encode_counter(&metrics.revocations_forgotten.value(), WITHOUT_EXEMPLAR)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
