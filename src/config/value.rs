//! TOML values to Rust values and back, one kind a file.
//!
//! Never here: keys, sections, the files that a value may name.

mod address;
mod choice;
mod duration;
mod network;
mod number;
mod pairs;
mod rules;
mod server;
mod size;
mod text;

use std::ops::Range;

use toml::{Spanned, de::DeValue};

pub use self::duration::{duration, duration_text};
pub(super) use self::{
    address::Listening,
    choice::Choice,
    duration::Limit,
    pairs::{Pair, Pairs},
    rules::Rules,
    server::{Server, ServerPlace},
    size::Size,
    text::{HeaderText, MethodText, Written},
};

/// What can be read from a TOML value.
pub(super) trait FromToml: Sized {
    /// Reads `value`; what is wrong with it is added to `wrongs`, and only then is there no answer.
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self>;
}

/// What can be a default: it can be written as TOML that reads back as itself.
pub(super) trait ToToml: FromToml {
    /// The TOML value.
    fn to_toml(&self) -> toml::Value;
}

/// Why a value does not do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The part of the value.
    pub(super) span: Range<usize>,
    /// A value of another type altogether, not merely an impossible one.
    pub(super) is_type: bool,
    /// What was expected. Never quotes a value.
    pub(super) hint: String,
}

impl Wrong {
    /// `value` has a type other than that of `expected`.
    pub(super) fn of_type(value: &Spanned<DeValue<'_>>, expected: &str) -> Self {
        let hint = format!("expected {expected}, found {}", kind(value.get_ref()));
        Self { span: value.span(), is_type: true, hint }
    }

    /// `value` has the right type and is impossible.
    pub(super) fn of_value(value: &Spanned<DeValue<'_>>, hint: impl Into<String>) -> Self {
        Self { span: value.span(), is_type: false, hint: hint.into() }
    }
}

/// The text of `value`, or what is wrong about it.
pub(super) fn text_of<'v>(
    value: &'v Spanned<DeValue<'_>>,
    expected: &str,
    wrongs: &mut Vec<Wrong>,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrongs.push(Wrong::of_type(value, expected));
    }
    text
}

/// What `parse` makes of the text of `value`.
fn parsed<T>(
    value: &Spanned<DeValue<'_>>,
    wrongs: &mut Vec<Wrong>,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = parse(text_of(value, expected, wrongs)?);
    if found.is_none() {
        wrongs.push(Wrong::of_value(value, format!("expected {expected}")));
    }
    found
}

impl FromToml for bool {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            wrongs.push(Wrong::of_type(value, "`true` or `false`"));
        }
        found
    }
}

impl ToToml for bool {
    fn to_toml(&self) -> toml::Value {
        (*self).into()
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let Some(values) = value.get_ref().as_array() else {
            wrongs.push(Wrong::of_type(value, "a list in `[` and `]`"));
            return None;
        };
        // All are read before one that failed is missed, so that every fault is reported.
        let read: Vec<Option<T>> = values.iter().map(|value| T::from_toml(value, wrongs)).collect();
        read.into_iter().collect()
    }
}

impl<T: ToToml> ToToml for Vec<T> {
    fn to_toml(&self) -> toml::Value {
        self.iter().map(ToToml::to_toml).collect::<Vec<_>>().into()
    }
}

/// `value` as the operator wrote it, on one line.
pub(super) fn rendered(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| rendered(value.get_ref())).collect();
            format!("[{}]", values.join(", "))
        }
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Float(value) => value.to_string(),
        DeValue::Integer(value) => value.to_string(),
        DeValue::String(value) => quoted(value),
        DeValue::Table(table) => {
            let mut members: Vec<_> = table.iter().collect();
            // The parser sorts by name; identity headers and claims have an order of their own.
            members.sort_by_key(|(key, _)| key.span().start);
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("{} = {}", key_text(key.get_ref()), rendered(value.get_ref())))
                .collect();
            if members.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", members.join(", ")) }
        }
    }
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// `key` as a TOML key, in quotes where it must be.
pub(super) fn key_text(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// The type of `value` in a sentence.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Integer(_) => "a number",
        DeValue::String(_) => "a text",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// What is read from the TOML text `value`, or the hints.
    pub(in crate::config) fn read<T: FromToml>(value: &str) -> Result<T, Vec<String>> {
        let value = DeValue::parse(value).unwrap();
        let mut wrongs = Vec::new();
        let read = T::from_toml(&value, &mut wrongs);
        assert_eq!(read.is_none(), !wrongs.is_empty());
        read.ok_or_else(|| wrongs.into_iter().map(|wrong| wrong.hint).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::read, *};

    #[test]
    fn every_wrong_element_of_a_list_is_reported() {
        assert_eq!(read::<Vec<bool>>("[true, false]"), Ok(vec![true, false]));
        let expected = |found: &str| format!("expected `true` or `false`, found {found}");
        assert_eq!(
            read::<Vec<bool>>("[1, true, \"x\"]"),
            Err(vec![expected("a number"), expected("a text")])
        );
        assert_eq!(
            read::<Vec<bool>>("1"),
            Err(vec!["expected a list in `[` and `]`, found a number".to_owned()])
        );
    }

    #[test]
    fn rendered_values_read_back() {
        for text in
            ["[1, 0x1f, \"a\\\"b\"]", "{ z = true, a = { \"x y\" = 1.5 } }", "{}", "1979-05-27T07:32:00Z"]
        {
            let value = DeValue::parse(text).unwrap();
            let again = rendered(value.get_ref());
            let reread = DeValue::parse(&again).unwrap();
            assert_eq!(rendered(reread.get_ref()), again, "{text}");
        }
        assert_eq!(rendered(DeValue::parse("{ z = 1, a = 'b' }").unwrap().get_ref()), "{ z = 1, a = \"b\" }");
    }
}
