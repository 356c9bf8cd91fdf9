//! `cors`, of a route and of `[auth]` alike.

use std::time::Duration;

use http::HeaderValue;
use toml::{Spanned, de::DeValue};

use crate::{
    config::{
        reader::Section,
        value::{FromToml, HeaderText, ToToml, Wrong, text_of},
    },
    route::{Cors, Origin, Origins},
};

/// Reads `cors`; `None` without origins, which somebody who set anything else of it did not mean.
pub(super) fn read(cors: &mut Section<'_, '_, '_>) -> Option<Cors> {
    let origins: Vec<OriginText> = cors.take("origins", Vec::new());
    let credentials = cors.take("credentials", false);
    let expose: Vec<HeaderText> = cors.take("expose", Vec::new());
    let max_age = cors.take_if("max_age", Duration::from_mins(10), |age| match *age > LONGEST {
        true => Err(r#"no browser remembers for longer: expected at most "24h""#.to_owned()),
        false => Ok(()),
    });
    let place = cors.place("origins");
    let any = origins.contains(&OriginText::Any);
    if any && credentials {
        let hint =
            "any site could act as its visitors: expected origins by their names, or `credentials = false`";
        cors.context.fault(&place, "`*` with credentials", hint);
    }
    if any && origins.len() > 1 {
        cors.context.fault(&place, "`*` beside other origins", r#"expected only "*", or no "*""#);
    }
    if origins.is_empty() && credentials {
        cors.context.fault(&place, "credentials for nobody", "expected at least one origin");
    }
    let these = origins.into_iter().filter_map(|origin| match origin {
        OriginText::Any => None,
        OriginText::One(origin) => Some(origin),
    });
    let origins = match any {
        true => Origins::Any,
        false => Origins::These(these.collect()),
    };
    if origins == Origins::These(Vec::new()) {
        return None;
    }
    let names: Vec<&str> = expose.iter().map(|header| header.name.as_str()).collect();
    // Header names joined by commas are a legal value.
    let expose = HeaderValue::try_from(names.join(", ")).ok().filter(|names| !names.is_empty());
    Some(Cors { origins, credentials, expose, max_age })
}

#[derive(Clone, PartialEq)]
enum OriginText {
    Any,
    One(Origin),
}

impl FromToml for OriginText {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let text = text_of(value, r#"an origin such as "https://app.example.com""#, wrongs)?;
        if text == "*" {
            return Some(Self::Any);
        }
        let origin =
            Origin::parse(text).map_err(|error| wrongs.push(Wrong::of_value(value, error.to_string())));
        origin.ok().map(Self::One)
    }
}

impl ToToml for OriginText {
    fn to_toml(&self) -> toml::Value {
        match self {
            Self::Any => "*".into(),
            Self::One(origin) => origin.to_string().into(),
        }
    }
}

const LONGEST: Duration = Duration::from_hours(24);
