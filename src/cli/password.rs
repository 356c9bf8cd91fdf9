//! New passwords for the commands that set one.

use super::{error::CliError, source};
use crate::secret::{ExposeSecret, SecretText};

/// Reads a new password: from `source`, else by prompt, twice.
pub(super) fn read_new(source: Option<&str>) -> Result<SecretText, CliError> {
    source::read(source, WHAT, || {
        let (one, other) = (source::ask("Password: ", WHAT)?, source::ask("Password again: ", WHAT)?);
        if one.expose_secret() == other.expose_secret() {
            Ok(one)
        } else {
            Err(CliError::Source { what: WHAT, why: "the two are not the same".to_owned() })
        }
    })
}

const WHAT: &str = "password";
