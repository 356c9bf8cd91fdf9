//! `[identity]`: what upstreams are told of the user, and what no client may tell them.
//!
//! Never here: how a header's spellings are found (`proxy`).

use http::HeaderName;

use crate::{
    config::{
        nearest,
        reader::Section,
        value::{Choice, HeaderText, Pair, Pairs, Written},
    },
    proxy::{Encoding, IdentityHeader, IdentitySettings, IdentityValue},
    token,
};

/// `[identity]`
pub(super) struct Identity {
    pub(super) settings: IdentitySettings,
    /// What routes do that do not say.
    pub(super) forward_token: bool,
    /// A header that says what a user chose: its name and the field that it comes from. `None` too where the
    /// operator vouches for the names.
    pub(super) chosen_by_users: Option<(String, String)>,
}

pub(super) fn read(identity: &mut Section<'_, '_, '_>, tokens: &token::Settings) -> Identity {
    let usual = Pair { name: Written::nowhere("X-User-Id"), value: Written::nowhere(&tokens.user_claim) };
    let pairs = identity.take("headers", Pairs(vec![usual])).0;
    let settings = IdentitySettings {
        headers: headers(identity, &pairs, tokens),
        encoding: identity.take("encoding", Encoding::Percent),
        strip: strip(identity),
    };
    let forward_token = identity.take("forward_token", false);
    let names_are_ours = identity.take("names_are_ours", false);
    let chosen_by_users = if names_are_ours { None } else { chosen_by_users(&pairs, tokens) };
    Identity { settings, forward_token, chosen_by_users }
}

fn headers(
    identity: &mut Section<'_, '_, '_>,
    pairs: &[Pair],
    tokens: &token::Settings,
) -> Vec<IdentityHeader> {
    let mut headers: Vec<IdentityHeader> = Vec::with_capacity(pairs.len());
    for Pair { name, value } in pairs {
        let others = headers.iter().map(|header| &header.name);
        let header = header_name(&name.text, others).map_err(|hint| {
            let place = identity.part("headers", name.span.clone());
            identity.context.fault(&place, "impossible name for an identity header", hint);
        });
        let claim = claim(&value.text, tokens).map_err(|hint| {
            let place = identity.part("headers", value.span.clone());
            identity.context.fault(&place, "unknown claim for an identity header", hint);
        });
        if let (Ok(name), Ok(value)) = (header, claim) {
            headers.push(IdentityHeader { name, value });
        }
    }
    headers
}

fn header_name<'h>(
    name: &str,
    mut others: impl Iterator<Item = &'h HeaderName>,
) -> Result<HeaderName, String> {
    let header: HeaderName =
        name.parse().map_err(|_| r#"expected a header name such as "X-User-Id""#.to_owned())?;
    let folded = folded(name);
    if folded.is_empty() {
        return Err("expected a letter or a digit in it".to_owned());
    }
    if OURS.contains(&folded.as_str()) || FRAMING.contains(&folded.as_str()) || folded.starts_with("proxy") {
        return Err("this header has a meaning of its own to upstreams; expected another".to_owned());
    }
    if FORWARDING.contains(&folded.as_str()) || folded.starts_with("xforwarded") {
        return Err("this header tells an upstream of the client's way; expected another".to_owned());
    }
    if let Some(other) = others.find(|other| self::folded(other.as_str()) == folded) {
        return Err(format!("some upstreams cannot tell it from `{other}`: letters and digits are the same"));
    }
    Ok(header)
}

/// The claim of that name, or what else could have been meant.
pub(super) fn claim(name: &str, tokens: &token::Settings) -> Result<IdentityValue, String> {
    if name == tokens.user_claim {
        return Ok(IdentityValue::User);
    }
    let names = tokens.claims.iter().map(|claim| claim.claim.as_str());
    match names.clone().position(|claim| claim == name) {
        Some(index) => Ok(IdentityValue::Claim(index)),
        None => {
            let known = std::iter::once(tokens.user_claim.as_str()).chain(names);
            let suggestion = nearest::suggestion(name, known);
            Err(format!("{suggestion}; claims are named by `user_claim` and `claims` in [tokens]"))
        }
    }
}

fn strip(identity: &mut Section<'_, '_, '_>) -> Vec<HeaderName> {
    let names: Vec<HeaderText> = identity.take("strip", Vec::new());
    for HeaderText { name, span } in &names {
        let folded = folded(name.as_str());
        if folded == "host" || FRAMING.contains(&folded.as_str()) {
            let place = identity.part("strip", span.clone());
            let hint = "a request cannot do without this header; expected another";
            identity.context.fault(&place, "impossible header to strip", hint);
        }
    }
    names.into_iter().map(|header| header.name).collect()
}

fn chosen_by_users(pairs: &[Pair], tokens: &token::Settings) -> Option<(String, String)> {
    pairs.iter().find_map(|pair| {
        let claim = tokens.claims.iter().find(|claim| claim.claim == pair.value.text)?;
        let is_chosen = ["username", "email"].contains(&claim.field.as_str());
        is_chosen.then(|| (pair.name.text.clone(), claim.field.clone()))
    })
}

/// Letters and digits alone, in lower case: all that a WSGI or CGI program sees of a name.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
}

impl Choice for Encoding {
    const WORDS: &'static [(&'static str, Self)] =
        &[("percent", Self::Percent), ("utf-8", Self::Utf8), ("latin-1", Self::Latin1)];
}

/// What the way of a request and its credentials rest on.
const OURS: &[&str] = &["authorization", "cookie", "host", "xrequestid"];

/// What tells where a message ends, and what belongs to one connection (RFC 9110, section 7.6.1).
const FRAMING: &[&str] = &[
    "connection",
    "contentlength",
    "expect",
    "http2settings",
    "keepalive",
    "te",
    "trailer",
    "transferencoding",
    "upgrade",
];

/// Further headers that upstreams believe of the way, beside `X-Forwarded-*`.
const FORWARDING: &[&str] = &["forwarded", "xoriginalurl", "xrealip", "xrewriteurl"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_may_not_be_what_upstreams_rely_on() {
        let refused = [
            "Host",
            "cookie",
            "Authorization",
            "Content_Length",
            "Transfer-Encoding",
            "connection",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Keep-Alive",
            "Proxy",
            "Proxy-Authorization",
            "X_Forwarded_For",
            "X-Forwarded-Anything",
            "X-Request-Id",
            "a b",
            "",
            "_",
        ];
        for name in refused {
            assert!(header_name(name, [].iter()).is_err(), "{name}");
        }
        assert!(header_name("X-User", [].iter()).is_ok());
        let other = [HeaderName::from_static("x-user")];
        assert!(header_name("X_USER", other.iter()).is_err());
        assert!(header_name("X-User-2", other.iter()).is_ok());
    }
}
