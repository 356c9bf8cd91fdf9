//! `[shutdown]`: how long the others get when the gateway stops.

use std::time::Duration;

use crate::{config::reader::Section, server::Shutdown};

pub(super) fn read(shutdown: &mut Section<'_, '_, '_>) -> Shutdown {
    Shutdown {
        delay: shutdown.take("delay", Duration::ZERO),
        grace: shutdown.take("grace", Duration::from_secs(30)),
    }
}
