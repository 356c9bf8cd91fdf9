//! Reads the JSON of a token strictly: no member twice, at any depth, and no wrong type that passes for absent.
//!
//! What one reader takes from the first of two members, another takes from the last (RFC 8259, section 4); a
//! token with two `exp` is therefore refused rather than understood.

mod value;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};

pub(super) use self::value::{NumericDate, OneOrMany, UserClaim};
use self::value::{Strict, Text};
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
