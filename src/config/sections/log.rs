//! `[log]`: what the program says of itself, and whether there is an access log.

use crate::{
    config::{reader::Section, value::Choice},
    telemetry::{Format, Level, Settings},
};

pub(super) fn read(log: &mut Section<'_, '_, '_>) -> Settings {
    Settings {
        format: log.take("format", Format::Auto),
        level: log.take("level", Level::Info),
        access: log.take("access", true),
    }
}

impl Choice for Format {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

impl Choice for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}
