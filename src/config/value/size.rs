//! `"64KiB"`, `"1MiB"`, or a number of bytes.

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong};

/// A number of bytes: "64KiB", "1MiB", or plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(in crate::config) struct Size(pub(in crate::config) usize);

impl Size {
    pub(in crate::config) const fn kib(kib: usize) -> Self {
        Self(kib << 10)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_toml().fmt(f)
    }
}

impl FromToml for Size {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        const EXPECTED: &str = r#"a size such as "64KiB", "1MiB" or a number of bytes"#;
        let bytes = match value.get_ref() {
            DeValue::Integer(integer) => usize::from_str_radix(integer.as_str(), integer.radix()).ok(),
            DeValue::String(text) => parse(text),
            _ => {
                wrongs.push(Wrong::of_type(value, EXPECTED));
                return None;
            }
        };
        if bytes.is_none() {
            wrongs.push(Wrong::of_value(value, format!("expected {EXPECTED}")));
        }
        bytes.map(Self)
    }
}

impl ToToml for Size {
    fn to_toml(&self) -> toml::Value {
        match UNITS.into_iter().find(|(_, length)| self.0 != 0 && self.0.is_multiple_of(*length)) {
            Some((unit, length)) => format!("{}{unit}", self.0 / length).into(),
            // More than TOML can write would not fit into memory either.
            None => i64::try_from(self.0).unwrap_or(i64::MAX).into(),
        }
    }
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<usize>().ok()?.checked_mul(length)
}

const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

#[cfg(test)]
mod tests {
    use super::{super::testing::read, *};

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        assert_eq!(read("\"64KiB\""), Ok(Size(65_536)));
        assert_eq!(read("\"1MiB\""), Ok(Size(1_048_576)));
        assert_eq!(read("1_000"), Ok(Size(1000)));
        assert_eq!(Size(65_536).to_string(), "\"64KiB\"");
        assert_eq!(Size(1000).to_string(), "1000");
        for text in ["\"64\"", "\"64KB\"", "\"KiB\"", "\"99999999999999999999GiB\"", "-1", "1.5", "true"] {
            assert!(read::<Size>(text).is_err(), "{text}");
        }
    }
}
