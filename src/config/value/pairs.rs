//! Tables of texts, as in `headers = { X-User-Id = "user_id" }`.

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Written, Wrong, text_of};

/// A table of texts, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Pairs(pub(in crate::config) Vec<Pair>);

/// A member of [`Pairs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Pair {
    /// The key.
    pub(in crate::config) name: Written,
    /// The text that it has.
    pub(in crate::config) value: Written,
}

impl FromToml for Pairs {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            wrongs.push(Wrong::of_type(value, r#"a table such as { name = "value" }"#));
            return None;
        };
        let mut pairs = Vec::with_capacity(table.len());
        let mut is_whole = true;
        for (key, value) in table {
            match text_of(value, "a text", wrongs) {
                Some(text) => pairs.push(Pair {
                    name: Written { text: key.get_ref().to_string(), span: key.span() },
                    value: Written { text: text.to_owned(), span: value.span() },
                }),
                None => is_whole = false,
            }
        }
        // The parser sorts by name.
        pairs.sort_by_key(|pair| pair.name.span.start);
        is_whole.then_some(Self(pairs))
    }
}

impl ToToml for Pairs {
    fn to_toml(&self) -> toml::Value {
        let members = self.0.iter().map(|pair| (pair.name.text.clone(), pair.value.text.clone().into()));
        members.collect::<toml::Table>().into()
    }
}
