//! What was read and what was filled in, for `check --print`.
//!
//! Never here: values of secrets; they are masked before they come.

use std::fmt::Write;

use super::value::key_text;

/// Everything that was read, in its order: what `check --print` shows.
///
/// Written by the reader as it reads, so that a key cannot be read and forgotten here.
#[derive(Debug, Default)]
pub(super) struct Record {
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    header: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Absent(String),
    Note(String),
    Value { key: String, text: String, is_default: bool },
}

impl Record {
    /// Opens a section under `header`, brackets included; what it is called from now on.
    pub(super) fn open(&mut self, header: String) -> usize {
        self.sections.push(Section { header, lines: Vec::new() });
        self.sections.len() - 1
    }

    /// `key` has the TOML value `text`; it is not in the file where `is_default`.
    pub(super) fn value(&mut self, section: usize, key: &str, text: String, is_default: bool) {
        self.add(section, Line::Value { key: key.to_owned(), text, is_default });
    }

    /// `key` is not in the file and has no default.
    pub(super) fn absent(&mut self, section: usize, key: &str) {
        self.add(section, Line::Absent(key.to_owned()));
    }

    /// Something that there is no value for.
    pub(super) fn note(&mut self, section: usize, text: String) {
        self.add(section, Line::Note(text));
    }

    /// The whole as TOML. Sections that hold nothing but other sections are left out.
    pub(super) fn print(&self) -> String {
        let mut printed = String::new();
        for section in self.sections.iter().filter(|section| !section.lines.is_empty()) {
            if !printed.is_empty() {
                printed.push('\n');
            }
            if !section.header.is_empty() {
                printed.push_str(&section.header);
                printed.push('\n');
            }
            for line in &section.lines {
                // Writing to a `String` cannot fail.
                let _ = match line {
                    Line::Absent(key) => writeln!(printed, "# {key} is not set"),
                    Line::Note(text) => writeln!(printed, "# {text}"),
                    Line::Value { key, text, is_default } => {
                        let mark = if *is_default { " # default" } else { "" };
                        writeln!(printed, "{} = {text}{mark}", key_text(key))
                    }
                };
            }
        }
        printed
    }

    /// Every key that was asked for, by section, and whether the file has it.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.sections.iter().flat_map(|section| {
            section.lines.iter().filter_map(|line| match line {
                Line::Absent(key) => Some((section.header.as_str(), key.as_str(), false)),
                Line::Note(_) => None,
                Line::Value { key, is_default, .. } => {
                    Some((section.header.as_str(), key.as_str(), !is_default))
                }
            })
        })
    }

    fn add(&mut self, section: usize, line: Line) {
        if let Some(section) = self.sections.get_mut(section) {
            section.lines.push(line);
        }
    }
}
