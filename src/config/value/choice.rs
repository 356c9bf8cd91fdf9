//! One of a few words, as in `access = "public"`.

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, text_of};
use crate::config::nearest;

/// One of a few words.
pub(in crate::config) trait Choice: Copy + PartialEq + 'static {
    /// The words and what they mean.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Choice> FromToml for T {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let expected = nearest::one_of(T::WORDS.iter().map(|(word, _)| format!("{word:?}")));
        let text = text_of(value, &expected, wrongs)?;
        let found = T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let near = nearest::nearest(text, T::WORDS.iter().map(|(word, _)| *word));
            let suggestion = near.map_or_else(String::new, |word| format!("; did you mean {word:?}?"));
            wrongs.push(Wrong::of_value(value, format!("expected {expected}{suggestion}")));
        }
        found
    }
}

impl<T: Choice> ToToml for T {
    fn to_toml(&self) -> toml::Value {
        T::WORDS.iter().find(|(_, choice)| choice == self).map_or("", |(word, _)| *word).into()
    }
}
