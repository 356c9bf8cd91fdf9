//! What an operator decides about revocations.

use std::time::Duration;

/// How revocations are followed (`[store]`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How old the knowledge of the log may be while tokens open anything; `None`: as old as it gets.
    pub max_staleness: Option<Duration>,
}
