//! Reads the JSON of a token strictly: no member twice, at any depth, and no wrong type that passes for absent.
//!
//! What one reader takes from the first of two members, another takes from the last (RFC 8259, section 4); a
//! token with two `exp` is therefore refused rather than understood.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{claim::ClaimValue, profile::Profile};

/// The protected header of a token (RFC 7515, section 4).
#[derive(Debug, Default)]
pub(super) struct RawHeader<'j> {
    pub(super) alg: Option<Cow<'j, str>>,
    pub(super) kid: Option<Cow<'j, str>>,
    /// `crit`, or `b64`, which is nothing without `crit`: extensions that we do not know and must not ignore.
    pub(super) has_extensions: bool,
}

/// The claims that checks look at, as the token has them.
#[derive(Debug, Default)]
pub(super) struct RawClaims<'j> {
    pub(super) kind: Option<Cow<'j, str>>,
    pub(super) user: Option<UserClaim<'j>>,
    pub(super) jti: Option<Cow<'j, str>>,
    pub(super) sid: Option<Cow<'j, str>>,
    pub(super) iat: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    pub(super) exp: Option<NumericDate>,
    pub(super) iss: Option<Cow<'j, str>>,
    pub(super) aud: Option<OneOrMany<'j>>,
    pub(super) extra: Vec<Option<ClaimValue>>,
}

/// Reads a header.
pub(super) fn header(json: &[u8]) -> Result<RawHeader<'_>, serde_json::Error> {
    whole(json, HeaderSeed)
}

/// Reads claims under the names that `profile` gives them.
pub(super) fn claims<'j>(json: &'j [u8], profile: &Profile) -> Result<RawClaims<'j>, serde_json::Error> {
    whole(json, ClaimsSeed { profile })
}

fn whole<'j, S: DeserializeSeed<'j>>(json: &'j [u8], seed: S) -> Result<S::Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The user: text, or a whole number, as SimpleJWT wrote it until 5.5.0.
#[derive(Debug)]
pub(super) enum UserClaim<'j> {
    Text(Cow<'j, str>),
    Number(i64),
}

/// Seconds since the epoch (RFC 7519, section 2), fractions cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NumericDate(pub(super) u64);

/// `aud`: one text or a list of them (RFC 7519, section 4.1.3).
#[derive(Debug)]
pub(super) struct OneOrMany<'j>(pub(super) Vec<Cow<'j, str>>);

/// Members of one object that were met: none may come twice, and there may not be too many to compare.
#[derive(Default)]
struct Seen<'j>(Vec<Cow<'j, str>>);

impl<'j> Seen<'j> {
    /// A token with more members in one object is not one that anybody issues.
    const MOST: usize = 64;

    fn note<E: Error>(&mut self, name: Cow<'j, str>) -> Result<(), E> {
        if self.0.contains(&name) {
            return Err(E::custom("a member comes twice"));
        }
        if self.0.len() >= Self::MOST {
            return Err(E::custom("too many members"));
        }
        self.0.push(name);
        Ok(())
    }
}

/// Sets a member once.
fn once<'j, T: Deserialize<'j>, M: MapAccess<'j>>(
    place: &mut Option<T>,
    map: &mut M,
) -> Result<(), M::Error> {
    if place.is_some() {
        return Err(M::Error::custom("a member comes twice"));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

/// A text that is borrowed from the JSON where it holds no escapes.
struct Text<'j>(Cow<'j, str>);

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

struct HeaderSeed;

impl<'j> DeserializeSeed<'j> for HeaderSeed {
    type Value = RawHeader<'j>;
    fn deserialize<D: Deserializer<'j>>(self, reader: D) -> Result<RawHeader<'j>, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'j> Visitor<'j> for HeaderSeed {
    type Value = RawHeader<'j>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<RawHeader<'j>, M::Error> {
        let mut header = RawHeader::default();
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key()? {
            seen.note(name.clone())?;
            match name.as_ref() {
                "alg" => header.alg = Some(map.next_value::<Text<'j>>()?.0),
                "kid" => header.kid = Some(map.next_value::<Text<'j>>()?.0),
                "crit" | "b64" => {
                    header.has_extensions = true;
                    map.next_value::<Strict>()?;
                }
                _ => {
                    map.next_value::<Strict>()?;
                }
            }
        }
        Ok(header)
    }
}

struct ClaimsSeed<'p> {
    profile: &'p Profile,
}

impl<'j> DeserializeSeed<'j> for ClaimsSeed<'_> {
    type Value = RawClaims<'j>;
    fn deserialize<D: Deserializer<'j>>(self, reader: D) -> Result<RawClaims<'j>, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'j> Visitor<'j> for ClaimsSeed<'_> {
    type Value = RawClaims<'j>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<RawClaims<'j>, M::Error> {
        let Self { profile } = self;
        let mut claims = RawClaims::default();
        claims.extra.resize(profile.extra_claims.len(), None);
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key()? {
            let name = match name.as_ref() {
                "jti" => {
                    set_text(&mut claims.jti, &mut map)?;
                    continue;
                }
                "sid" => {
                    set_text(&mut claims.sid, &mut map)?;
                    continue;
                }
                "iat" => {
                    once(&mut claims.iat, &mut map)?;
                    continue;
                }
                "nbf" => {
                    once(&mut claims.nbf, &mut map)?;
                    continue;
                }
                "exp" => {
                    once(&mut claims.exp, &mut map)?;
                    continue;
                }
                "iss" => {
                    set_text(&mut claims.iss, &mut map)?;
                    continue;
                }
                "aud" => {
                    once(&mut claims.aud, &mut map)?;
                    continue;
                }
                _ => name,
            };
            if name == profile.kind_claim {
                set_text(&mut claims.kind, &mut map)?;
            } else if name == profile.user_claim {
                once(&mut claims.user, &mut map)?;
            } else if let Some(slot) = profile.extra_claims.iter().position(|extra| *extra == name) {
                if let Some(slot) = claims.extra.get_mut(slot) {
                    once(slot, &mut map)?;
                }
            } else {
                seen.note(name)?;
                map.next_value::<Strict>()?;
            }
        }
        Ok(claims)
    }
}

fn set_text<'j, M: MapAccess<'j>>(place: &mut Option<Cow<'j, str>>, map: &mut M) -> Result<(), M::Error> {
    if place.is_some() {
        return Err(M::Error::custom("a member comes twice"));
    }
    *place = Some(map.next_value::<Text<'j>>()?.0);
    Ok(())
}

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

/// Any value, looked at only to see that no object in it has a member twice.
struct Strict;

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
