//! Counts that live elsewhere, and are asked for when somebody looks.

use std::{fmt, sync::OnceLock};

/// A count that somebody else keeps, read when somebody looks; zero until it is known where.
#[derive(Default)]
pub struct Sampled(OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>);

impl Sampled {
    /// Says where the count is. The first word counts.
    pub fn read_from(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        let _known = self.0.set(Box::new(count));
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.get().map_or(0, |count| count())
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sampled").field(&self.value()).finish()
    }
}
