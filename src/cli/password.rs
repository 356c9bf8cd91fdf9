//! Passwords come by prompt, standard input or `@file`: never as an argument, which every process can see.

use std::{
    fs,
    io::{self, IsTerminal, Read},
};

use super::error::CliError;
use crate::secret::{ExposeSecret, SecretText};

/// Reads a new password: from `source` (`-` is standard input, `@FILE` a file), else by prompt, twice, or from
/// standard input where that is no terminal.
pub(super) fn read_new(source: Option<&str>) -> Result<SecretText, CliError> {
    match source {
        Some("-") => from_stdin(),
        Some(source) => {
            let path = source.strip_prefix('@').ok_or(CliError::PasswordTyped)?;
            let text = fs::read_to_string(path)
                .map_err(|error| CliError::PasswordSource(format!("`{path}`: {error}")))?;
            one_line(text)
        }
        None if io::stdin().is_terminal() => prompt_twice(),
        None => from_stdin(),
    }
}

fn from_stdin() -> Result<SecretText, CliError> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| CliError::PasswordSource(format!("standard input: {error}")))?;
    one_line(text)
}

fn prompt_twice() -> Result<SecretText, CliError> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt)
            .map(SecretText::from)
            .map_err(|error| CliError::PasswordSource(format!("the terminal: {error}")))
    };
    let (one, other) = (ask("Password: ")?, ask("Password again: ")?);
    if one.expose_secret() == other.expose_secret() {
        Ok(one)
    } else {
        Err(CliError::PasswordSource("the two are not the same".to_owned()))
    }
}

/// Drops one line end, as editors and `echo` leave it; all else is the password.
fn one_line(mut text: String) -> Result<SecretText, CliError> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(CliError::PasswordSource("it is empty".to_owned()));
    }
    Ok(text.into())
}

const MOST_BYTES: u64 = 64 * 1024;
