//! One table of the file, read by whoever knows its keys: [`Section`].
//!
//! A key that nobody asked for is unknown, and what was asked for is on record: neither can be forgotten, since
//! both are noted where the key is read.
//! Never here: names of keys, defaults, what a value means (`sections`, `value`).

use std::{fmt::Display, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    context::{Context, Place},
    nearest,
    value::{FromToml, ToToml, Wrong, key_text, rendered},
};

/// Reads one table: hands out its values, and reports whatever nobody asked for.
///
/// A value that does not do is reported and its default handed out, so that one reading finds every fault; what
/// was built from it is thrown away in the end.
pub(super) struct Section<'s, 'c, 'd> {
    /// Where faults go.
    pub(super) context: &'s mut Context<'c>,
    table: Option<&'d DeTable<'d>>,
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
    record: usize,
}

impl<'c, 'd> Section<'_, 'c, 'd> {
    /// Reads the whole file with `read`. `end` is where it ends.
    pub(super) fn root<R>(
        context: &mut Context<'c>,
        table: &'d DeTable<'d>,
        end: Range<usize>,
        read: impl FnOnce(&mut Section<'_, 'c, 'd>) -> R,
    ) -> R {
        let record = context.record.open(String::new());
        let known = Vec::new();
        let mut root = Section { context, table: Some(table), path: String::new(), span: end, known, record };
        let result = read(&mut root);
        root.report_unknown();
        result
    }

    /// The value of `key`, `default` where it is absent.
    pub(super) fn take<T: ToToml>(&mut self, key: &'static str, default: T) -> T {
        self.take_if(key, default, |_| Ok(()))
    }

    /// As [`Self::take`]; a value of which `check` says what was expected instead is a fault.
    pub(super) fn take_if<T: ToToml>(
        &mut self,
        key: &'static str,
        default: T,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> T {
        let Some(value) = self.look_up(key) else {
            self.context.record.value(self.record, key, default.to_toml().to_string(), true);
            return default;
        };
        self.read(key, value, check).unwrap_or(default)
    }

    /// The value of a key that has no default.
    pub(super) fn optional<T: FromToml>(&mut self, key: &'static str) -> Option<T> {
        self.optional_if(key, |_| Ok(()))
    }

    /// As [`Self::optional`]; a value of which `check` says what was expected instead is a fault.
    pub(super) fn optional_if<T: FromToml>(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        let Some(value) = self.look_up(key) else {
            self.context.record.absent(self.record, key);
            return None;
        };
        self.read(key, value, check)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: FromToml>(&mut self, key: &'static str) -> Option<T> {
        self.required_if(key, |_| Ok(()))
    }

    /// As [`Self::required`]; a value of which `check` says what was expected instead is a fault.
    pub(super) fn required_if<T: FromToml>(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        match self.look_up(key) {
            Some(value) => self.read(key, value, check),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// Reads the table `key` with `read`, as an empty one where it is absent.
    pub(super) fn section<R>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'c, 'd>) -> R,
    ) -> R {
        let found = self.look_up(key);
        let table = found.and_then(|value| self.table_of(key, value, "a table"));
        let span = found.map_or_else(|| self.span.clone(), Spanned::span);
        let path = self.path_of(key);
        let header = format!("[{}]", without_indices(&path));
        self.child(table, span, path, header, read)
    }

    /// As [`Self::section`], where the file has `key` at all.
    pub(super) fn optional_section<R>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'c, 'd>) -> R,
    ) -> Option<R> {
        if !self.has(key) {
            self.context.record.absent(self.record, key);
            return None;
        }
        Some(self.section(key, read))
    }

    /// Reads each table of the array `key` with `read`; `None` where it is something else.
    pub(super) fn sections<R>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_, 'c, 'd>) -> R,
    ) -> Option<Vec<R>> {
        let Some(value) = self.look_up(key) else { return Some(Vec::new()) };
        let path = self.path_of(key);
        let Some(values) = value.get_ref().as_array() else {
            let wrong = Wrong::of_type(value, &format!("sections headed `[[{path}]]`"));
            self.report(key, vec![wrong]);
            return None;
        };
        let header = format!("[[{path}]]");
        let tables = values.iter().enumerate().map(|(index, value)| {
            let table = self.table_of(key, value, "a table")?;
            Some(self.child(Some(table), value.span(), format!("{path}[{index}]"), header.clone(), &mut read))
        });
        // All are read before one that is no table is missed.
        tables.collect::<Vec<_>>().into_iter().collect()
    }

    /// Reads each table that the table `key` holds, with its name, with `read`.
    pub(super) fn named_sections<R>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, Place, &mut Section<'_, 'c, 'd>) -> R,
    ) -> Vec<R> {
        let Some(value) = self.look_up(key) else { return Vec::new() };
        let path = self.path_of(key);
        let Some(table) = self.table_of(key, value, &format!("sections headed `[{path}.NAME]`")) else {
            return Vec::new();
        };
        let mut members: Vec<_> = table.iter().collect();
        // The parser sorts by name; the file's order is what people remember.
        members.sort_by_key(|(name, value)| name.span().start.min(value.span().start));
        let tables = members.into_iter().filter_map(|(name, value)| {
            let table = self.table_of(key, value, "a table")?;
            let path = format!("{path}.{}", key_text(name.get_ref()));
            let place = Place { key: path.clone(), span: name.span() };
            let header = format!("[{path}]");
            Some(self.child(Some(table), value.span(), path, header, |section| {
                read(name.get_ref(), place, section)
            }))
        });
        tables.collect()
    }

    /// Whether the file has `key`. Makes it known.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.look_up(key).is_some()
    }

    /// The value of `key` as it stands, for what is neither a section nor a plain value. Makes it known.
    pub(super) fn look_up(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table?.get(key)
    }

    /// Notes that `key`, which was looked up by hand, has the TOML value `text`.
    pub(super) fn record(&mut self, key: &str, text: String) {
        self.context.record.value(self.record, key, text, false);
    }

    /// Notes something that there is no value for.
    pub(super) fn note(&mut self, text: &str) {
        self.context.record.note(self.record, text.to_owned());
    }

    /// Where the value of `key` stands, or would.
    pub(super) fn place(&self, key: &str) -> Place {
        let span = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        Place { key: self.path_of(key), span: span.unwrap_or_else(|| self.span.clone()) }
    }

    /// Where the first of `keys` that is in the file stands.
    pub(super) fn place_of_first(&self, keys: &[&str]) -> Place {
        let is_there = |key: &&&str| self.table.is_some_and(|table| table.contains_key(**key));
        let key = keys.iter().find(is_there).or(keys.first()).copied().unwrap_or_default();
        self.place(key)
    }

    /// A part of the value of `key`.
    pub(super) fn part(&self, key: &str, span: Range<usize>) -> Place {
        // What is a default stands nowhere; the fault is then its section's.
        let span = if span.is_empty() { self.place(key).span } else { span };
        Place { key: self.path_of(key), span }
    }

    /// Where the section itself stands.
    pub(super) fn here(&self) -> Place {
        Place { key: self.path.clone(), span: self.span.clone() }
    }

    /// Reports that `key` should be there.
    pub(super) fn missing(&mut self, key: &str) {
        if self.table.is_none() {
            // What is no table at all was reported as that.
            return;
        }
        let place = Place { key: self.path_of(key), span: self.span.clone() };
        self.context.fault(
            &place,
            format!("missing key `{}`", place.key),
            format!("expected `{key}` in here"),
        );
    }

    /// Reports what is wrong with the value of `key`.
    pub(super) fn report(&mut self, key: &str, wrongs: Vec<Wrong>) {
        for wrong in wrongs {
            let place = Place { key: self.path_of(key), span: wrong.span };
            let what = if wrong.is_type { "wrong type for" } else { "impossible value for" };
            self.context.fault(&place, format!("{what} `{}`", place.key), wrong.hint);
        }
    }

    fn read<T: FromToml>(
        &mut self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Option<T> {
        let mut wrongs = Vec::new();
        let read = T::from_toml(value, &mut wrongs);
        let read = read.filter(|read| match check(read) {
            Ok(()) => true,
            Err(hint) => {
                wrongs.push(Wrong::of_value(value, hint));
                false
            }
        });
        self.report(key, wrongs);
        self.context.record.value(self.record, key, rendered(value.get_ref()), false);
        read
    }

    fn table_of(
        &mut self,
        key: &str,
        value: &'d Spanned<DeValue<'d>>,
        expected: &str,
    ) -> Option<&'d DeTable<'d>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.report(key, vec![Wrong::of_type(value, expected)]);
        }
        table
    }

    fn child<R>(
        &mut self,
        table: Option<&'d DeTable<'d>>,
        span: Range<usize>,
        path: String,
        header: String,
        read: impl FnOnce(&mut Section<'_, 'c, 'd>) -> R,
    ) -> R {
        let record = self.context.record.open(header);
        let mut child = Section { context: self.context, table, path, span, known: Vec::new(), record };
        let result = read(&mut child);
        child.report_unknown();
        result
    }

    fn report_unknown(&mut self) {
        for key in self.table.into_iter().flatten().map(|(key, _)| key) {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let place = Place { key: self.path_of(&key_text(name)), span: key.span() };
                let hint = nearest::suggestion(name, self.known.iter().copied());
                self.context.fault(&place, format!("unknown key `{}`", place.key), hint);
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// `route.cors` for `route[3].cors`: below `[[route]]` TOML's headers mean the last one. No name here has brackets of
/// its own.
fn without_indices(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// A check: more than nothing, for spans of time that would end at once.
pub(super) fn positive<T: PartialOrd + Default>(value: &T) -> Result<(), String> {
    if *value > T::default() { Ok(()) } else { Err("expected more than zero".to_owned()) }
}

/// A check: neither below `least` nor above `most`.
pub(super) fn within<T: PartialOrd + Display>(least: T, most: T) -> impl FnOnce(&T) -> Result<(), String> {
    move |value| match *value < least || *value > most {
        true => Err(format!("expected {least} to {most}")),
        false => Ok(()),
    }
}

/// A check: not empty.
pub(super) fn some<T>(list: &[T]) -> Result<(), String> {
    if list.is_empty() { Err("expected at least one".to_owned()) } else { Ok(()) }
}
