//! Secrets: `{ file = … }`, `{ env = … }`, and `{ inline = … }`, which is warned about.
//!
//! Never here: a secret's value in any text, the message of a fault included.

use std::os::unix::ffi::OsStringExt;

use toml::{Spanned, de::DeValue};

use super::{
    context::Place,
    files, nearest,
    reader::Section,
    value::{Wrong, quoted},
};
use crate::secret::{ExposeSecret, Secret};

/// Reads the secret `key`, of at least `shortest` bytes. Nothing of its value is ever in a fault.
pub(super) fn read(section: &mut Section<'_, '_, '_>, key: &'static str, shortest: usize) -> Option<Secret> {
    let Some(value) = section.look_up(key) else {
        section.missing(key);
        return None;
    };
    let (origin, text) = origin(section, key, value)?;
    let shown = if origin == Origin::Inline { MASK } else { text };
    section.record(key, format!("{{ {} = {} }}", origin.name(), quoted(shown)));
    let place = section.place(key);
    match content(section, origin, text, &place) {
        Ok(secret) if secret.expose_secret().is_empty() => {
            section.context.fault(
                &place,
                format!("the secret of `{}` is empty", place.key),
                "expected a secret",
            );
            None
        }
        Ok(secret) if secret.expose_secret().len() < shortest => {
            let hint = format!("expected at least {shortest} bytes, or `allow_short = true` beside it");
            section.context.fault(&place, format!("the secret of `{}` is too short", place.key), hint);
            None
        }
        Ok(secret) => Some(secret),
        Err(hint) => {
            section.context.fault(&place, format!("cannot read the secret of `{}`", place.key), hint);
            None
        }
    }
}

/// Where a secret comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Env,
    File,
    Inline,
}

impl Origin {
    const ALL: [Self; 3] = [Self::File, Self::Env, Self::Inline];

    const fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Inline => "inline",
        }
    }
}

fn origin<'d>(
    section: &mut Section<'_, '_, '_>,
    key: &str,
    value: &'d Spanned<DeValue<'d>>,
) -> Option<(Origin, &'d str)> {
    let Some(table) = value.get_ref().as_table() else {
        section.report(key, vec![Wrong::of_type(value, EXPECTED)]);
        return None;
    };
    let mut found = Vec::new();
    for (name, value) in table {
        let place =
            Place { key: format!("{}.{}", section.place(key).key, name.get_ref()), span: name.span() };
        let Some(origin) = Origin::ALL.into_iter().find(|origin| origin.name() == name.get_ref()) else {
            let hint = nearest::suggestion(name.get_ref(), Origin::ALL.iter().map(|origin| origin.name()));
            // The word may be the secret itself, out of its quotes.
            section.context.fault(&section.part(key, name.span()), "unknown key for a secret", hint);
            continue;
        };
        match value.get_ref().as_str() {
            Some(text) => found.push((origin, text)),
            None => {
                section.context.fault(&place, format!("wrong type for `{}`", place.key), "expected a text")
            }
        }
    }
    match found.as_slice() {
        [one] if table.len() == 1 => Some(*one),
        _ => {
            // What is in it and unknown was reported; nothing or too much was not.
            if table.is_empty() || found.len() > 1 {
                section.report(key, vec![Wrong::of_value(value, format!("expected {EXPECTED}"))]);
            }
            None
        }
    }
}

fn content(
    section: &mut Section<'_, '_, '_>,
    origin: Origin,
    text: &str,
    place: &Place,
) -> Result<Secret, String> {
    match origin {
        Origin::Env => match (section.context.environment)(text) {
            Some(value) => Ok(value.into_vec().into()),
            None => Err("the environment variable is not set".to_owned()),
        },
        Origin::File => {
            let folder = section.context.folder;
            files::read_secret(&folder.join(text)).map_err(|error| format!("{error}; {}", files::WHENCE))
        }
        Origin::Inline => {
            let hint = "whoever reads the file has it: better { file = … } or { env = … }";
            section.context.warn(place, "a secret stands in the configuration file", hint);
            Ok(text.as_bytes().to_vec().into())
        }
    }
}

const EXPECTED: &str = r#"{ file = "…" } or { env = "…" }"#;
const MASK: &str = "********";
