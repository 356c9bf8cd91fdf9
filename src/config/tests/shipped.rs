//! `gateway.toml` as it ships says nothing that is not so.

use std::collections::BTreeSet;

use super::*;
use crate::route::{Access, Destination};

const SHIPPED: &str = include_str!("../../../gateway.toml");

/// `#key = value`: a default.
fn defaults_taken_in() -> String {
    let lines = SHIPPED.lines().map(|line| line.strip_prefix('#').filter(|key| is_key(key)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// `#   key = value` and `#   [section]`: an example.
fn examples_taken_in() -> String {
    let is_toml = |text: &&str| is_key(text) || text.starts_with('[');
    let lines = SHIPPED.lines().map(|line| line.strip_prefix("#   ").filter(is_toml).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_key(text: &str) -> bool {
    text.split_once(" = ").is_some_and(|(key, _)| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

fn with_examples() -> Site {
    Site::new(&examples_taken_in())
        .certificate("certs/gateway.crt", "certs/gateway.key")
        .certificate("certs/backends.crt", "certs/backends.key")
        .certificate("certs/clients.pem", "certs/clients.key")
        .write("certs/database.password", "correct horse")
        .write("certs/jwt.secret", "0123456789abcdef0123456789abcdef")
}

#[test]
fn it_works_as_it_stands() {
    let site = Site::new(SHIPPED);
    assert_eq!(site.warnings(), "");
    let settings = site.settings();
    assert!(settings.auth.registration);
    let routes: Vec<_> = settings.routes.iter().map(|route| (route.name.as_str(), route.access)).collect();
    assert_eq!(routes, [("/*", Access::Protected), ("/public/*", Access::Public)]);
    assert!(settings.routes.iter().all(|route| route.destination == Destination::Echo));
}

#[test]
fn what_it_calls_a_default_is_one() {
    let site = Site::new(SHIPPED);
    let before = format!("{:?}", site.settings());
    let site = site.write("gateway.toml", defaults_taken_in());
    assert_eq!(format!("{:?}", site.settings()), before);
}

#[test]
fn its_examples_work() {
    let site = with_examples();
    assert_eq!(site.warnings(), "");
    let settings = site.settings();
    assert_eq!(settings.upstreams.len(), 1);
    assert_eq!(settings.tokens.keys[0].id, "2026-11");
    assert_eq!(settings.identity.headers.len(), 2);
}

#[test]
fn it_lists_every_key() {
    let (defaults, examples) = (Site::new(&defaults_taken_in()), with_examples());
    let mut known = BTreeSet::new();
    let mut listed = BTreeSet::new();
    for checked in [defaults.read().unwrap(), examples.read().unwrap()] {
        for (section, key, is_given) in checked.record.keys() {
            known.insert(format!("{section} {key}"));
            if is_given {
                listed.insert(format!("{section} {key}"));
            }
        }
    }
    assert_eq!(listed, known);
    assert!(known.contains("[tokens] issuer") && known.contains("[upstream.orders] connect_timeout"));
}

#[test]
fn the_commented_defaults_of_an_upstream_and_of_tls_are_the_defaults() {
    let bare = |text: &str, keep: &[&str]| {
        let mut in_section = false;
        let lines = text.lines().filter(|line| {
            if line.starts_with('[') {
                in_section = ["[upstream.orders]", "[tls]"].contains(line);
            }
            !in_section || line.starts_with('[') || keep.iter().any(|key| line.starts_with(key))
        });
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let site = with_examples();
    let before = format!("{:?}", site.settings());
    let site = site.write(
        "gateway.toml",
        bare(&examples_taken_in(), &["servers", "certificates", "client_ca", "health", "tls"]),
    );
    assert_eq!(format!("{:?}", site.settings()), before);
}
