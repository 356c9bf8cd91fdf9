//! Secrets come by prompt, standard input or `@file`: never as an argument, which every process can see.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
};

use super::error::CliError;
use crate::secret::SecretText;

/// Reads a secret from `source` (`-` is standard input, `@FILE` a file), else by `prompt`, or from standard input where
/// that is no terminal. `what` is what messages call it.
pub(super) fn read(
    source: Option<&str>,
    what: &'static str,
    prompt: impl FnOnce() -> Result<SecretText, CliError>,
) -> Result<SecretText, CliError> {
    let read = |from: &str, reader: &mut dyn Read| {
        let mut text = String::new();
        let read = reader.take(MOST_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| CliError::Source { what, why: format!("{from}: {error}") })?;
        one_line(text, what)
    };
    match source {
        None if io::stdin().is_terminal() => prompt(),
        None | Some("-") => read("standard input", &mut io::stdin().lock()),
        Some(source) => {
            let path = source.strip_prefix('@').ok_or(CliError::Typed(what))?;
            let mut file = File::open(path)
                .map_err(|error| CliError::Source { what, why: format!("`{path}`: {error}") })?;
            read(&format!("`{path}`"), &mut file)
        }
    }
}

/// Asks at the terminal, without an echo.
pub(super) fn ask(prompt: &str, what: &'static str) -> Result<SecretText, CliError> {
    rpassword::prompt_password(prompt)
        .map(SecretText::from)
        .map_err(|error| CliError::Source { what, why: format!("the terminal: {error}") })
}

/// Drops one line end, as editors and `echo` leave it; all else is the secret.
fn one_line(mut text: String, what: &'static str) -> Result<SecretText, CliError> {
    let refused = |why: &str| Err(CliError::Source { what, why: why.to_owned() });
    if text.len() as u64 > MOST_BYTES {
        return refused("it is longer than 64 KiB");
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { refused("it is empty") } else { Ok(text.into()) }
}

const MOST_BYTES: u64 = 64 * 1024;
