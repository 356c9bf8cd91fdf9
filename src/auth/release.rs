//! When a failed login is answered: its work must not be read off a clock.

use std::time::Duration;

use crate::clock::Stopwatch;

/// Holds a failed login back until a fixed boundary of time.
///
/// A wrong password, an unknown user and a disabled one take slightly different ways; at the boundary they look
/// alike. Good logins are not held: whoever has the password learns nothing from the clock.
#[derive(Debug)]
pub(super) struct Release(Stopwatch);

impl Release {
    /// Longer than a hash takes on a machine that is not overloaded.
    const BOUNDARY: Duration = Duration::from_millis(100);

    pub(super) fn begin() -> Self {
        Self(Stopwatch::start())
    }

    /// Waits for the next boundary.
    pub(super) async fn wait(&self) {
        let elapsed = self.0.elapsed().as_micros();
        let boundary = Self::BOUNDARY.as_micros();
        let rest = boundary - elapsed % boundary;
        tokio::time::sleep(Duration::from_micros(u64::try_from(rest).unwrap_or(0))).await;
    }
}
