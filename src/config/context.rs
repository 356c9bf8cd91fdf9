//! What reading a file carries along: its faults, its warnings, what was read, and what is outside of it.
//!
//! The environment and the time are values here, so that tests have their own.

use std::{ffi::OsString, ops::Range, path::Path};

use super::{finding::Finding, record::Record};
use crate::clock::Timestamp;

/// What reading a file gathers, and what it needs from outside.
pub(super) struct Context<'a> {
    /// Relative paths count from here.
    pub(super) folder: &'a Path,
    /// The environment: an argument, so that a test can have one of its own.
    pub(super) environment: &'a dyn Fn(&str) -> Option<OsString>,
    /// When this is, for what ends some day.
    pub(super) now: Timestamp,
    /// What is wrong.
    pub(super) faults: Vec<Finding>,
    /// What only looks wrong.
    pub(super) warnings: Vec<Finding>,
    /// What was read.
    pub(super) record: Record,
}

/// A key and where it, or what would hold it, stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The whole key, as in `tokens.key[0].id`.
    pub(super) key: String,
    /// The value's bytes in the file; the section's header where the key is not there.
    pub(super) span: Range<usize>,
}

impl<'a> Context<'a> {
    /// Nothing gathered yet.
    pub(super) fn new(
        folder: &'a Path,
        environment: &'a dyn Fn(&str) -> Option<OsString>,
        now: Timestamp,
    ) -> Self {
        Self { folder, environment, now, faults: Vec::new(), warnings: Vec::new(), record: Record::default() }
    }

    /// Something is wrong at `place`. Neither text may quote a value.
    pub(super) fn fault(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Finding::at(place.span.clone(), &place.key, message, hint));
    }

    /// Something is wrong that no line of the file is to blame for, and that concerns `key`.
    pub(super) fn fault_outside(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Finding::nowhere(key, message, hint));
    }

    /// Something looks wrong at `place`. Neither text may quote a value.
    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push(Finding::at(place.span.clone(), &place.key, message, hint));
    }
}
