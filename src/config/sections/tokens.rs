//! `[tokens]` and `[[tokens.key]]`: lifetimes that do not contradict each other, claims, keys.

use std::time::Duration;

use crate::{
    config::{
        development,
        draft::Keys,
        reader::Section,
        secret,
        value::{Pairs, Written},
    },
    token::{ClaimSettings, KeySettings, Settings},
};

/// `[tokens]`
pub(super) struct Tokens {
    /// All but the keys.
    pub(super) settings: Settings,
    /// `None` where a fault was reported.
    pub(super) keys: Option<Keys>,
}

pub(super) fn read(tokens: &mut Section<'_, '_, '_>) -> Tokens {
    let user_claim: Written =
        tokens.take_if("user_claim", Written::nowhere("user_id"), |name| claim_name(&name.text));
    let settings = Settings {
        issuer: tokens.optional("issuer"),
        audience: tokens.optional("audience").unwrap_or_default(),
        access_lifetime: tokens.take_if("access_lifetime", Duration::from_mins(30), whole_seconds),
        refresh_lifetime: tokens.take_if("refresh_lifetime", Duration::from_hours(7 * 24), whole_seconds),
        session_lifetime: tokens.take_if("session_lifetime", Duration::from_hours(30 * 24), whole_seconds),
        refresh_grace: tokens.take("refresh_grace", Duration::from_secs(10)),
        leeway: tokens.take_if("leeway", Duration::ZERO, |leeway| match *leeway > MOST_LEEWAY {
            true => Err(r#"expected at most "60s""#.to_owned()),
            false => Ok(()),
        }),
        claims: claims(tokens, &user_claim.text),
        user_claim: user_claim.text,
        keys: Vec::new(),
    };
    compare_lifetimes(tokens, &settings);
    Tokens { settings, keys: keys(tokens) }
}

/// A token cannot outlive what renews it.
fn compare_lifetimes(tokens: &mut Section<'_, '_, '_>, settings: &Settings) {
    if settings.access_lifetime > settings.refresh_lifetime {
        let place = tokens.place_of_first(&["access_lifetime", "refresh_lifetime"]);
        let hint =
            "expected no more than `refresh_lifetime`, or a refresh token would die before its access token";
        tokens.context.fault(&place, "access tokens would outlive refresh tokens", hint);
    }
    if settings.refresh_lifetime > settings.session_lifetime {
        let place = tokens.place_of_first(&["refresh_lifetime", "session_lifetime"]);
        let hint = "refresh tokens will end with their session, after `session_lifetime`";
        tokens.context.warn(&place, "refresh tokens would outlive their session", hint);
    }
}

fn claims(tokens: &mut Section<'_, '_, '_>, user_claim: &str) -> Vec<ClaimSettings> {
    let pairs = tokens.take("claims", Pairs::default()).0;
    for pair in &pairs {
        let name = match pair.name.text == user_claim {
            true => Err("this claim names the user, by `user_claim`".to_owned()),
            false if pair.name.text == "sub" => {
                Err(r#""sub" names the user: expected `user_claim = "sub"`, or another name"#.to_owned())
            }
            false => claim_name(&pair.name.text),
        };
        if let Err(hint) = name {
            let place = tokens.part("claims", pair.name.span.clone());
            tokens.context.fault(&place, "impossible name for a claim", hint);
        }
        if pair.value.text.is_empty() || pair.value.text.chars().any(char::is_control) {
            let place = tokens.part("claims", pair.value.span.clone());
            let hint = r#"expected "username", "email", "roles" or the name of an attribute"#;
            tokens.context.fault(&place, "impossible field for a claim", hint);
        }
    }
    pairs.into_iter().map(|pair| ClaimSettings { claim: pair.name.text, field: pair.value.text }).collect()
}

fn keys(tokens: &mut Section<'_, '_, '_>) -> Option<Keys> {
    if !tokens.has("key") {
        tokens.note(
            "[[tokens.key]] is not there: `run` uses the development secret data/jwt.secret, and makes it",
        );
        let secret = development::Secret::below(tokens.context.folder);
        if let Err(why) = secret.check() {
            tokens.context.fault_outside("tokens.key", "the development secret cannot be used", why);
        }
        return Some(Keys::Development(secret));
    }
    let place = tokens.place("key");
    let mut ids: Vec<String> = Vec::new();
    let found = tokens.sections("key", |section| key(section, &mut ids))?;
    if found.is_empty() {
        let hint = "expected at least one, or no such key at all for a development secret";
        tokens.context.fault(&place, "no key that could sign", hint);
    }
    found.into_iter().collect::<Option<Vec<_>>>().map(Keys::Given)
}

fn key(key: &mut Section<'_, '_, '_>, ids: &mut Vec<String>) -> Option<KeySettings> {
    let id: Option<String> = key.required_if("id", |id: &String| {
        if ids.contains(id) {
            return Err("another key has this id".to_owned());
        }
        match id.len() <= LONGEST_NAME && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(format!("expected at most {LONGEST_NAME} visible ASCII characters")),
        }
    });
    ids.extend(id.clone());
    let algorithm: Option<String> = key.required_if("algorithm", |name: &String| algorithm(name));
    let allow_short = key.take("allow_short", false);
    let secret = secret::read(key, "secret", if allow_short { 1 } else { development::SHORTEST_SECRET });
    algorithm?;
    Some(KeySettings { id: id?, secret: secret? })
}

fn algorithm(name: &str) -> Result<(), String> {
    match name {
        "HS256" => Ok(()),
        _ if LATER.contains(&name) => Err(format!(r#"{name} is not there yet; expected "HS256""#)),
        _ => Err(r#"expected "HS256""#.to_owned()),
    }
}

fn claim_name(name: &str) -> Result<(), String> {
    if RESERVED.contains(&name) {
        return Err("this claim has a meaning of its own".to_owned());
    }
    let is_plain = !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if is_plain {
        Ok(())
    } else {
        Err(format!("expected 1 to {LONGEST_NAME} bytes without control characters"))
    }
}

/// `exp` counts seconds (RFC 7519, section 2).
fn whole_seconds(lifetime: &Duration) -> Result<(), String> {
    match lifetime.is_zero() || lifetime.subsec_nanos() != 0 {
        true => Err("expected whole seconds, at least one".to_owned()),
        false => Ok(()),
    }
}

/// Claims that the checks of a token rest on.
const RESERVED: &[&str] = &["token_type", "jti", "sid", "iat", "exp", "nbf", "iss", "aud"];

/// Algorithms of RFC 7518 and RFC 8037 that no key can have yet.
const LATER: &[&str] =
    &["HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

const LONGEST_NAME: usize = 128;
const MOST_LEEWAY: Duration = Duration::from_secs(60);
