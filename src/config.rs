//! `gateway.toml` into each room's settings, with a place in the file for everything that is wrong.
//!
//! [`read()`] reads all that running would read and makes nothing; [`Checked::prepare`] makes what only `run` may.
//! Never here: running objects, sockets, the store's content. No other room reads TOML or the environment.

mod checked;
mod context;
mod development;
mod draft;
mod files;
mod finding;
mod nearest;
mod reader;
mod record;
mod redaction;
mod route;
mod secret;
mod sections;
mod settings;
mod source;
mod value;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, ffi::OsString, path::Path, sync::Arc};

use toml::de::DeTable;

pub use self::{
    checked::{Checked, PrepareError},
    finding::{Faults, Finding, Warnings},
    settings::{BodyLimits, Settings},
    source::Position,
    value::{duration, duration_text},
};
use self::{context::Context, reader::Section, source::Source};
use crate::clock::{Clock, Timestamp};

/// Reads the configuration file at `path` and every file that it names.
///
/// # Errors
/// Every fault that there is, in one go.
pub fn read(path: &Path) -> Result<Checked, Faults> {
    #[allow(clippy::disallowed_methods, reason = "this room reads the environment, for secrets")]
    read_with(path, &|name| std::env::var_os(name), Clock::system().now())
}

fn read_with(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<OsString>,
    now: Timestamp,
) -> Result<Checked, Faults> {
    let name = path.display().to_string();
    let text = load(path).map_err(|why| Faults::of_file(name.clone(), why))?;
    let mut source = Source::new(name, Arc::clone(&text));

    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        return Err(syntax_faults(source, &errors));
    }
    source.mask(redaction::hidden(table.get_ref()));

    let folder = path.parent().unwrap_or(Path::new(""));
    let mut context = Context::new(folder, environment, now);
    let draft = Section::root(&mut context, table.get_ref(), source.end(), sections::read);
    let source = Arc::new(source);
    match draft {
        Some(draft) if context.faults.is_empty() => {
            Ok(Checked { draft, record: context.record, warnings: Warnings::new(source, context.warnings) })
        }
        _ => Err(Faults::new(source, context.faults)),
    }
}

fn load(path: &Path) -> Result<Arc<str>, String> {
    let content = files::read(path, LARGEST).map_err(|error| error.to_string())?;
    String::from_utf8(content).map(Arc::from).map_err(|error| {
        let lines = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        format!("it is not UTF-8, in line {}", lines.filter(|byte| **byte == b'\n').count() + 1)
    })
}

/// One fault a line: what follows the first is mostly its echo.
fn syntax_faults(mut source: Source, errors: &[toml::de::Error]) -> Faults {
    let mut faults: Vec<Finding> = Vec::new();
    let mut lines = HashSet::new();
    for error in errors {
        let span = error.span().unwrap_or_else(|| source.end());
        if lines.insert(source.position(span.start).line) {
            if let Some(line) = redaction::suspected(source.text(), span.start) {
                source.hide(line);
            }
            faults.push(Finding::at(span, "", "this is not TOML", error.message()));
        }
    }
    Faults::new(Arc::new(source), faults)
}

/// Bytes of a configuration file.
const LARGEST: usize = 1 << 20;
