//! Why TLS handshakes fail.

use std::fmt;

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType};

use super::exposition::WITHOUT_EXEMPLAR;
use crate::metrics::{HandshakeFailure, Metrics};

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let help = "TLS handshakes that failed";
    let mut family = encoder.encode_descriptor("tls_handshake_failures", help, None, MetricType::Counter)?;
    for reason in HandshakeFailure::ALL {
        let failed = metrics.handshake_failures.of(reason).value();
        family.encode_family(&[("reason", reason.label())])?.encode_counter(&failed, WITHOUT_EXEMPLAR)?;
    }
    Ok(())
}
