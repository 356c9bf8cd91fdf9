use http::Method;
use toml::{Spanned, de::DeValue};

use super::upstream::Upstreams;
use crate::{
    config::{
        context::Place,
        reader::Section,
        route,
        value::{Choice, FromToml, MethodText, Written, Wrong, text_of},
    },
    dialect::Endpoint,
    route::{Access, HostPattern, PathPattern, Route},
};

/// Reads every `[[route]]`; `None` where a fault was reported.
pub(super) fn read(
    root: &mut Section<'_, '_, '_>,
    upstreams: &mut Upstreams,
    forward_token: bool,
    auth_prefix: Option<&str>,
) -> Option<Vec<Route>> {
    let read =
        |route: &mut Section<'_, '_, '_>| (route.place("path"), read_one(route, upstreams, forward_token));
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
    let forward_token = section.take("forward_token", forward_token);
    let path = path?;
    let methods = methods.map(|methods| methods.into_iter().map(|method| method.0).collect::<Vec<_>>());
    Some(Route {
        name: name(&path, &hosts, methods.as_deref()),
        path: path.pattern,
        hosts: hosts.into_iter().map(|host| host.pattern).collect(),
        methods,
        access,
        forward_token,
        destination: destination?,
    })
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
    let endpoints = Endpoint::ALL.map(|endpoint| format!("{auth_prefix}/{}", endpoint.path()));
    for (route, place) in routes.iter().zip(places) {
        let PathPattern::Exact(path) = &route.path else { continue };
        let path = path.strip_suffix('/').unwrap_or(path);
        // What differs from an endpoint in letter case alone is refused as ambiguous.
        if endpoints.iter().any(|endpoint| endpoint.eq_ignore_ascii_case(path)) {
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
        &[("protected", Self::Protected), ("public", Self::Public)];
}
