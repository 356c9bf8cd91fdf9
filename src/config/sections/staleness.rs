//! `[store] max_staleness`: the one key of its section that concerns revocations and not where things are kept.

use std::time::Duration;

use crate::{
    config::{
        context::{Context, Place},
        reader::Section,
        value::Limit,
    },
    revocation, token,
};

/// What `[store]` says of revocations.
pub(super) struct Staleness {
    pub(super) settings: revocation::Settings,
    place: Place,
}

pub(super) fn read(store: &mut Section<'_, '_, '_>) -> Staleness {
    let max_staleness = store.take_if("max_staleness", Limit(None), |limit| match limit.0 {
        Some(limit) if limit < SHORTEST => {
            Err(r#"expected at least "1s": the store is asked five times a second"#.to_owned())
        }
        Some(_) | None => Ok(()),
    });
    let settings = revocation::Settings { max_staleness: max_staleness.0 };
    Staleness { settings, place: store.place("max_staleness") }
}

impl Staleness {
    /// Whoever set a limit believes to be protected by it.
    pub(super) fn compare(&self, context: &mut Context<'_>, tokens: &token::Settings) {
        let life = tokens.access_lifetime;
        if self.settings.max_staleness.is_some_and(|limit| limit >= life) {
            let hint = "expected less than `access_lifetime` in [tokens]: by then every token that was revoked \
                        unnoticed has expired";
            context.warn(&self.place, "a limit that never refuses anybody", hint);
        }
    }
}

/// Shorter, and one slow look would close every door.
const SHORTEST: Duration = Duration::from_secs(1);
