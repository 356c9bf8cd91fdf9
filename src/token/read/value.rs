//! The values in a token's JSON, each taken as the one type that it may have.
//!
//! Never here: which member has which of them, and the names of claims (`read`).

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use super::Seen;
use crate::token::claim::ClaimValue;

/// The user: text, or a whole number, as SimpleJWT wrote it until 5.5.0.
#[derive(Debug)]
pub(in crate::token) enum UserClaim<'j> {
    Text(Cow<'j, str>),
    Number(i64),
}

/// Seconds since the epoch (RFC 7519, section 2), fractions cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::token) struct NumericDate(pub(in crate::token) u64);

/// `aud`: one text or a list of them (RFC 7519, section 4.1.3).
#[derive(Debug)]
pub(in crate::token) struct OneOrMany<'j>(pub(in crate::token) Vec<Cow<'j, str>>);

/// A text that is borrowed from the JSON where it holds no escapes.
pub(super) struct Text<'j>(pub(super) Cow<'j, str>);

/// Any value, looked at only to see that no object in it has a member twice.
pub(super) struct Strict;

impl<'j> Deserialize<'j> for UserClaim<'j> {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct UserVisitor;
        impl<'j> Visitor<'j> for UserVisitor {
            type Value = UserClaim<'j>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_borrowed_str<E>(self, text: &'j str) -> Result<UserClaim<'j>, E> {
                Ok(UserClaim::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<UserClaim<'j>, E> {
                Ok(UserClaim::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<UserClaim<'j>, E> {
                Ok(UserClaim::Number(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<UserClaim<'j>, E> {
                i64::try_from(number).map(UserClaim::Number).map_err(E::custom)
            }
        }
        reader.deserialize_any(UserVisitor)
    }
}

impl<'j> Deserialize<'j> for NumericDate {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct DateVisitor;
        impl Visitor<'_> for DateVisitor {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since the epoch")
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate(seconds))
            }
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within the bounds just checked, only the fraction is lost"
            )]
            fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
                // Up to the largest whole number that a double holds exactly.
                if (0.0..=9_007_199_254_740_992.0).contains(&seconds) {
                    Ok(NumericDate(seconds as u64))
                } else {
                    Err(E::custom("not a date"))
                }
            }
        }
        reader.deserialize_any(DateVisitor)
    }
}

impl<'j> Deserialize<'j> for OneOrMany<'j> {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'j> Visitor<'j> for ListVisitor {
            type Value = OneOrMany<'j>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_borrowed_str<E>(self, text: &'j str) -> Result<OneOrMany<'j>, E> {
                Ok(OneOrMany(vec![Cow::Borrowed(text)]))
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOrMany<'j>, E> {
                Ok(OneOrMany(vec![Cow::Owned(text.to_owned())]))
            }
            fn visit_seq<S: SeqAccess<'j>>(self, mut list: S) -> Result<OneOrMany<'j>, S::Error> {
                let mut values = Vec::new();
                while let Some(Text(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany(values))
            }
        }
        reader.deserialize_any(ListVisitor)
    }
}

impl<'j> Deserialize<'j> for ClaimValue {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'j> Visitor<'j> for ValueVisitor {
            type Value = ClaimValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, a truth value or a list of texts")
            }
            fn visit_bool<E>(self, value: bool) -> Result<ClaimValue, E> {
                Ok(ClaimValue::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<ClaimValue, E> {
                Ok(ClaimValue::Integer(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<ClaimValue, E> {
                i64::try_from(value).map(ClaimValue::Integer).map_err(E::custom)
            }
            fn visit_str<E>(self, value: &str) -> Result<ClaimValue, E> {
                Ok(ClaimValue::Text(value.to_owned()))
            }
            fn visit_seq<S: SeqAccess<'j>>(self, mut list: S) -> Result<ClaimValue, S::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(ClaimValue::List(values))
            }
        }
        reader.deserialize_any(ValueVisitor)
    }
}

impl<'j> Deserialize<'j> for Text<'j> {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'j> Visitor<'j> for TextVisitor {
            type Value = Text<'j>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'j str) -> Result<Text<'j>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'j>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        reader.deserialize_str(TextVisitor)
    }
}

impl<'j> Deserialize<'j> for Strict {
    fn deserialize<D: Deserializer<'j>>(reader: D) -> Result<Self, D::Error> {
        struct StrictVisitor<'j>(PhantomData<&'j ()>);
        impl<'j> Visitor<'j> for StrictVisitor<'j> {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_seq<S: SeqAccess<'j>>(self, mut list: S) -> Result<Strict, S::Error> {
                while list.next_element::<Strict>()?.is_some() {}
                Ok(Strict)
            }
            fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<Strict, M::Error> {
                let mut seen = Seen::default();
                while let Some(Text(name)) = map.next_key()? {
                    seen.note(name)?;
                    map.next_value::<Strict>()?;
                }
                Ok(Strict)
            }
        }
        reader.deserialize_any(StrictVisitor(PhantomData))
    }
}
