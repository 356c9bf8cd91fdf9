//! Texts, and what is known by its name: where it stands, headers, methods.

use std::ops::Range;

use http::{HeaderName, Method};
use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, parsed, text_of};

impl FromToml for String {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let text = text_of(value, "a text", wrongs)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            wrongs.push(Wrong::of_value(
                value,
                "expected a text that is not empty and has no control characters",
            ));
            return None;
        }
        Some(text.to_owned())
    }
}

impl ToToml for String {
    fn to_toml(&self) -> toml::Value {
        self.as_str().into()
    }
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Written {
    /// The text.
    pub(in crate::config) text: String,
    /// Its place.
    pub(in crate::config) span: Range<usize>,
}

impl Written {
    /// A text that stands nowhere: a default.
    pub(in crate::config) fn nowhere(text: &str) -> Self {
        Self { text: text.to_owned(), span: 0..0 }
    }
}

impl FromToml for Written {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        String::from_toml(value, wrongs).map(|text| Self { text, span: value.span() })
    }
}

impl ToToml for Written {
    fn to_toml(&self) -> toml::Value {
        self.text.to_toml()
    }
}

/// A header's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct HeaderText {
    /// The name.
    pub(in crate::config) name: HeaderName,
    /// Its place.
    pub(in crate::config) span: Range<usize>,
}

impl FromToml for HeaderText {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let name = parsed(value, wrongs, r#"a header name such as "X-Internal""#, |text| text.parse().ok())?;
        Some(Self { name, span: value.span() })
    }
}

impl ToToml for HeaderText {
    fn to_toml(&self) -> toml::Value {
        self.name.as_str().into()
    }
}

/// A request method; lower case would never match one that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct MethodText(pub(in crate::config) Method);

impl FromToml for MethodText {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        parsed(value, wrongs, r#"a method in capitals such as "GET""#, |text| {
            let is_upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
            Method::from_bytes(text.as_bytes()).ok().filter(|_| is_upper).map(Self)
        })
    }
}
