//! `[[route]]`: each by itself, then all together: two that tie, and one that opens what another protects.

use http::Method;
use toml::{Spanned, de::DeValue};

use super::{cors, identity, upstream::Upstreams};
use crate::{
    config::{
        context::Place,
        reader::Section,
        route,
        value::{Choice, FromToml, MethodText, Rules, Written, Wrong, text_of},
    },
    dialect::Endpoint,
    proxy::IdentityValue,
    route::{Access, Claim, Cors, HostPattern, PathPattern, Prefix, Requirement, Route},
    token,
};

/// Reads every `[[route]]`; `None` where a fault was reported.
pub(super) fn read(
    root: &mut Section<'_, '_, '_>,
    upstreams: &mut Upstreams,
    forward_token: bool,
    tokens: &token::Settings,
    auth_prefix: Option<&str>,
) -> Option<Vec<Route>> {
    let read = |route: &mut Section<'_, '_, '_>| {
        (route.place("path"), read_one(route, upstreams, forward_token, tokens))
    };
    let found = root.sections("route", read)?;
    if found.is_empty() {
        let place = root.place("route");
        let hint = "expected at least one [[route]] with `path` and `upstream`";
        root.context.fault(&place, "no route at all", hint);
        return None;
    }
    let (places, routes): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let routes: Vec<Route> = routes.into_iter().collect::<Option<_>>()?;
    report_pairs(root, &routes, &places);
    if let Some(prefix) = auth_prefix {
        report_hidden(root, &routes, &places, prefix);
    }
    Some(routes)
}

fn read_one(
    section: &mut Section<'_, '_, '_>,
    upstreams: &mut Upstreams,
    forward_token: bool,
    tokens: &token::Settings,
) -> Option<Route> {
    let path: Option<Path> = section.required("path");
    let hosts: Vec<Host> =
        section.optional_if("hosts", |hosts: &Vec<Host>| some_or_absent(hosts)).unwrap_or_default();
    let methods: Option<Vec<MethodText>> =
        section.optional_if("methods", |methods: &Vec<MethodText>| some_or_absent(methods));
    let upstream: Option<Written> = section.required("upstream");
    let destination = upstream.and_then(|written| {
        let resolved = upstreams.resolve(&written.text).map_err(|(message, hint)| {
            let place = section.place("upstream");
            section.context.fault(&place, message, hint);
        });
        resolved.ok()
    });
    let access = section.take("access", Access::Protected);
    let require = requirements(section, access, tokens);
    let forward_token = section.take("forward_token", forward_token);
    let strip_prefix = path.as_ref().and_then(|path| strip_prefix(section, &path.pattern));
    let cors = cors_of(section);
    let path = path?;
    let methods = methods.map(|methods| methods.into_iter().map(|method| method.0).collect::<Vec<_>>());
    Some(Route {
        name: name(&path, &hosts, methods.as_deref()),
        path: path.pattern,
        hosts: hosts.into_iter().map(|host| host.pattern).collect(),
        methods,
        access,
        require,
        forward_token,
        strip_prefix,
        cors,
        destination: destination?,
    })
}

fn requirements(
    section: &mut Section<'_, '_, '_>,
    access: Access,
    tokens: &token::Settings,
) -> Vec<Requirement> {
    let Some(Rules(rules)) = section.optional("require") else { return Vec::new() };
    let place = section.place("require");
    match access {
        Access::Protected => {}
        Access::Optional => {
            let hint = "whoever is not known meets no rule and is refused, as if the route were protected";
            section.context.warn(&place, "a rule for users on a route that asks for none", hint);
        }
        Access::Public => {
            let hint = r#"nobody is known on a public route: expected `access = "protected"`, or no rule"#;
            section.context.fault(&place, "a rule for users on a public route", hint);
        }
    }
    let mut requirements = Vec::with_capacity(rules.len());
    for rule in rules {
        match identity::claim(&rule.claim.text, tokens) {
            Ok(IdentityValue::User) => {
                requirements.push(Requirement { claim: Claim::User, values: rule.values })
            }
            Ok(IdentityValue::Claim(index)) => {
                requirements.push(Requirement { claim: Claim::Extra(index), values: rule.values });
            }
            Err(hint) => {
                let place = section.part("require", rule.claim.span);
                section.context.fault(&place, "unknown claim in a rule", hint);
            }
        }
    }
    requirements
}

fn strip_prefix(section: &mut Section<'_, '_, '_>, path: &PathPattern) -> Option<Prefix> {
    let text: Written = section.optional("strip_prefix")?;
    let prefix = Prefix::parse(&text.text, path).map_err(|error| {
        let place = section.place("strip_prefix");
        section.context.fault(&place, format!("impossible value for `{}`", place.key), error.to_string());
    });
    prefix.ok()
}

fn cors_of(section: &mut Section<'_, '_, '_>) -> Option<Cors> {
    if !section.has("cors") {
        section.note("cors is not set");
        return None;
    }
    let place = section.place("cors");
    let faults = section.context.faults.len();
    let cors = section.section("cors", cors::read);
    if cors.is_none() && section.context.faults.len() == faults {
        section.context.fault(
            &place,
            "nobody's pages may ask",
            "expected at least one of `origins`, or no `cors`",
        );
    }
    cors
}

fn report_pairs(root: &mut Section<'_, '_, '_>, routes: &[Route], places: &[Place]) {
    let name = |index: usize| routes.get(index).map(|route| route.name.as_str()).unwrap_or_default();
    match route::opened(routes) {
        Ok(pairs) => {
            for pair in pairs {
                let Some(place) = places.get(pair.opens) else { continue };
                let protects = pair.protects;
                let message = format!(
                    "this route opens on its hosts what route[{protects}], `{}`, protects",
                    name(protects)
                );
                root.context.warn(place, message, "if that is meant, all is well");
            }
        }
        Err(ties) => {
            for tie in ties {
                let Some(place) = places.get(tie.second) else { continue };
                let first = tie.first;
                let message =
                    format!("this route and route[{first}], `{}`, take the same requests", name(first));
                root.context.fault(place, message, "expected another path, other hosts or other methods");
            }
        }
    }
}

fn report_hidden(root: &mut Section<'_, '_, '_>, routes: &[Route], places: &[Place], auth_prefix: &str) {
    for (route, place) in routes.iter().zip(places) {
        let PathPattern::Exact(path) = &route.path else { continue };
        let path = path.strip_suffix('/').unwrap_or(path);
        // What differs from an endpoint in letter case alone is refused as ambiguous.
        let is_at = |endpoint: Endpoint| {
            let place = format!("{auth_prefix}/{}", endpoint.path());
            match endpoint.has_parameter() {
                true => path.rsplit_once('/').is_some_and(|(above, _)| place.eq_ignore_ascii_case(above)),
                false => place.eq_ignore_ascii_case(path),
            }
        };
        if Endpoint::ALL.into_iter().any(is_at) {
            let hint = "an auth endpoint has this path: expected another, or another `prefix` in [auth]";
            root.context.warn(place, "no request can take this route", hint);
        }
    }
}

/// Methods belong to it: two routes may share the rest.
fn name(path: &Path, hosts: &[Host], methods: Option<&[Method]>) -> String {
    let methods = methods.map(|methods| methods.iter().map(Method::as_str).collect::<Vec<_>>().join(","));
    let hosts = hosts.iter().map(|host| host.text.as_str()).collect::<Vec<_>>().join(",");
    let place = format!("{hosts}{}", path.text);
    methods.map_or(place.clone(), |methods| format!("{methods} {place}"))
}

fn some_or_absent<T>(list: &[T]) -> Result<(), String> {
    if list.is_empty() { Err("expected at least one, or no such key for any".to_owned()) } else { Ok(()) }
}

struct Path {
    text: String,
    pattern: PathPattern,
}

impl FromToml for Path {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let text = text_of(value, r#"a path such as "/api/*""#, wrongs)?;
        let pattern = route::path(text).map_err(|hint| wrongs.push(Wrong::of_value(value, hint))).ok()?;
        Some(Self { text: text.to_owned(), pattern })
    }
}

struct Host {
    text: String,
    pattern: HostPattern,
}

impl FromToml for Host {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let text = text_of(value, r#"a host such as "app.example.com""#, wrongs)?;
        let pattern = route::host(text).map_err(|hint| wrongs.push(Wrong::of_value(value, hint))).ok()?;
        Some(Self { text: text.to_owned(), pattern })
    }
}

impl Choice for Access {
    const WORDS: &'static [(&'static str, Self)] =
        &[("protected", Self::Protected), ("optional", Self::Optional), ("public", Self::Public)];
}
