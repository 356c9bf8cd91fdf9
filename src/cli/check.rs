//! `portcullis check`: every fault and warning in one go, or the configuration in force.
//!
//! Never here: anything that is made. A start makes what is missing, a check must not.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{error::CliError, output};
use crate::{
    config::{self, Finding},
    store::{OpenError, Store},
};

#[derive(Args)]
pub(super) struct Options {
    /// Show the effective configuration, defaults marked and secrets masked
    #[arg(long)]
    print: bool,
    /// Print faults and warnings as JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

/// Reads everything that `run` would read, and makes nothing.
pub(super) fn check(path: &Path, options: Options) -> Result<(), CliError> {
    match config::read(path) {
        Ok(checked) if options.json => {
            let store = Store::probe(checked.store());
            let faults: Vec<Value> = store.as_ref().err().map(of_store).into_iter().collect();
            let warnings = list(checked.warnings().iter());
            output::json(&json!({"ok": faults.is_empty(), "faults": faults, "warnings": warnings}));
            if !faults.is_empty() {
                return Err(CliError::Reported);
            }
        }
        Ok(checked) => {
            output::error(&checked.warnings().render(output::is_error_terminal()));
            Store::probe(checked.store())?;
            if options.print {
                output::print(&checked.print());
            } else {
                output::print(&format!("{}: fine\n", path.display()));
            }
        }
        Err(faults) if options.json => {
            output::json(&json!({"ok": false, "faults": list(faults.iter()), "warnings": []}));
            return Err(CliError::Reported);
        }
        Err(faults) => return Err(CliError::Config(faults)),
    }
    Ok(())
}

fn of_store(error: &OpenError) -> Value {
    json!({"line": null, "column": null, "key": "store.url", "message": error.to_string()})
}

fn list<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<Value> {
    findings
        .map(|finding| {
            json!({
                "line": finding.position.map(|position| position.line),
                "column": finding.position.map(|position| position.column),
                "key": finding.key,
                "message": finding.message,
            })
        })
        .collect()
}
