//! Whole numbers, within what their place can hold.

use std::num::{NonZeroU32, NonZeroUsize};

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong};

macro_rules! number {
    ($number:ty) => {
        impl FromToml for $number {
            fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
                let number = integer(value, wrongs)?;
                let found = Self::try_from(number).ok();
                if found.is_none() {
                    let hint = format!("expected a whole number from {} to {}", Self::MIN, Self::MAX);
                    wrongs.push(Wrong::of_value(value, hint));
                }
                found
            }
        }

        impl ToToml for $number {
            fn to_toml(&self) -> toml::Value {
                i64::try_from(*self).unwrap_or(i64::MAX).into()
            }
        }
    };
}

macro_rules! non_zero {
    ($number:ty, $inner:ty) => {
        impl FromToml for $number {
            fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
                let found = Self::new(<$inner>::from_toml(value, wrongs)?);
                if found.is_none() {
                    wrongs.push(Wrong::of_value(value, "expected at least 1"));
                }
                found
            }
        }

        impl ToToml for $number {
            fn to_toml(&self) -> toml::Value {
                self.get().to_toml()
            }
        }
    };
}

number!(u32);
number!(usize);
non_zero!(NonZeroU32, u32);
non_zero!(NonZeroUsize, usize);

/// Saturates: what is beyond an `i128` is beyond every bound as well.
fn integer(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<i128> {
    let DeValue::Integer(integer) = value.get_ref() else {
        wrongs.push(Wrong::of_type(value, "a whole number"));
        return None;
    };
    Some(i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::read, *};

    #[test]
    fn numbers_keep_to_their_range() {
        assert_eq!(read::<u32>("1_000"), Ok(1000));
        assert_eq!(read::<u32>("0xff"), Ok(255));
        let beyond = vec!["expected a whole number from 0 to 4294967295".to_owned()];
        assert_eq!(read::<u32>("-1"), Err(beyond.clone()));
        assert_eq!(read::<u32>(&"9".repeat(100)), Err(beyond));
        assert_eq!(read::<NonZeroU32>("0"), Err(vec!["expected at least 1".to_owned()]));
        assert_eq!(read::<u32>("\"1\""), Err(vec!["expected a whole number, found a text".to_owned()]));
    }
}
