//! A configuration that was read without a fault: commands take from it what they need, `run` makes the rest.
//!
//! The one place from which anything is made: a development certificate and secret, by [`Checked::prepare`].

use std::{io, path::PathBuf};

use super::{
    draft::{Certificates, Draft, Keys},
    finding::Warnings,
    record::Record,
    settings::Settings,
};
use crate::{
    auth, password,
    secret::Secret,
    store, telemetry,
    token::{self, KeySettings},
};

/// A configuration without a fault, everything that it names read.
#[derive(Debug)]
pub struct Checked {
    pub(super) draft: Draft,
    pub(super) record: Record,
    pub(super) warnings: Warnings,
}

/// Why the development certificate or secret could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file that was there a moment ago cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should, or cannot be made at all.
    #[error("cannot prepare `{}`: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be written.
    #[error("cannot make `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Checked {
    /// What should be looked at.
    pub const fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// The effective configuration as TOML: defaults filled in and marked, secrets masked.
    pub fn print(&self) -> String {
        self.record.print()
    }

    /// What the program says of itself.
    pub const fn log(&self) -> &telemetry::Settings {
        &self.draft.log
    }

    /// What passwords must be.
    pub const fn password(&self) -> &password::Settings {
        &self.draft.password
    }

    /// Where users and sessions are kept.
    pub const fn store(&self) -> &store::Settings {
        &self.draft.store
    }

    /// Accounts and attempts.
    pub const fn auth(&self) -> &auth::Settings {
        &self.draft.auth
    }

    /// How tokens are made and checked, but for the keys.
    pub const fn lifetimes(&self) -> &token::Settings {
        &self.draft.tokens
    }

    /// How tokens are made and checked. Makes no development secret.
    ///
    /// # Errors
    /// When that secret is used, and is not there or cannot be read.
    pub fn tokens(&self) -> Result<token::Settings, PrepareError> {
        let keys = match &self.draft.keys {
            Keys::Development(development) => vec![development_key(development.read()?)],
            Keys::Given(keys) => keys.clone(),
        };
        Ok(token::Settings { keys, ..self.draft.tokens.clone() })
    }

    /// The settings; makes the development certificate and secret where they are used and missing.
    ///
    /// # Errors
    /// When they cannot be made, or what is there has changed since it was checked.
    pub fn prepare(self) -> Result<Settings, PrepareError> {
        let certificates = match &self.draft.certificates {
            Some(Certificates::Development(development)) => vec![development.prepare()?],
            Some(Certificates::Given(certificates)) => certificates.clone(),
            None => Vec::new(),
        };
        let keys = match &self.draft.keys {
            Keys::Development(development) => vec![development_key(development.prepare()?)],
            Keys::Given(keys) => keys.clone(),
        };
        Ok(self.draft.finish(certificates, keys))
    }
}

fn development_key(secret: Secret) -> KeySettings {
    KeySettings { id: DEVELOPMENT_ID.to_owned(), secret }
}

/// `kid` of tokens signed with the development secret.
const DEVELOPMENT_ID: &str = "development";
