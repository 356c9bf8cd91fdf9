//! Which parts of a configuration file no diagnostic may show.
//!
//! Errs on the side of hiding: a line too few in a diagnostic costs a look into the file, a line too many may
//! put a key into a log. Misspelled names count, since those are what diagnostics are about.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::nearest;

/// The values in a parsed file that are secrets, or stand where one belongs.
pub(super) fn hidden(root: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    root.iter().for_each(|(key, value)| walk(&[key.get_ref()], value, &mut found));
    found
}

/// What may belong to a secret around an error at `at` in a file that could not be parsed.
///
/// Without a parse nobody knows where a value ends, so a secret's name hides the rest of its section, and an
/// inline secret the rest of the file.
pub(super) fn suspected(text: &str, at: usize) -> Option<Range<usize>> {
    let line_end = text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| at + newline);
    let before = text.get(..line_end)?;
    let section = before.rfind("\n[").map_or(0, |header| header + 1);
    let suspicious = words(before).any(|word| nearest::is_near(word, "inline"))
        || words(before.get(section..)?).any(is_secretive)
        || has_credentials(before.get(section..)?);
    suspicious.then_some(section..line_end)
}

fn walk(path: &[&str], value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
    if path.last().is_some_and(|key| is_secretive(key)) || is_unknown_to_a_key(path) {
        found.extend(extent(value));
        return;
    }
    match value.get_ref() {
        DeValue::String(text) if has_credentials(text) => found.push(value.span()),
        DeValue::Array(values) => values.iter().for_each(|value| walk(path, value, found)),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| walk(&[path, &[key.get_ref()]].concat(), value, found));
        }
        _ => {}
    }
}

/// Whatever a `[[tokens.key]]` should not hold may be its secret under a wrong name.
fn is_unknown_to_a_key(path: &[&str]) -> bool {
    match path {
        [tokens, key, member, ..] => {
            nearest::is_near(tokens, "tokens")
                && *key != "claims"
                && !["id", "algorithm", "allow_short"].contains(member)
        }
        _ => false,
    }
}

/// The value's own span and, as the span of a `[table]` is its header alone, those of all that it holds.
fn extent(value: &Spanned<DeValue<'_>>) -> Vec<Range<usize>> {
    let mut found = vec![value.span()];
    match value.get_ref() {
        DeValue::Array(values) => found.extend(values.iter().flat_map(extent)),
        DeValue::Table(table) => found.extend(table.values().flat_map(extent)),
        _ => {}
    }
    found
}

fn is_secretive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "passw", "inline"].iter().any(|part| name.contains(part))
        || ["secret", "password", "inline"].iter().any(|secretive| nearest::is_near(&name, secretive))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A URL with a user and perhaps a password.
fn has_credentials(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let table = DeTable::parse(text).unwrap();
        let mut source = super::super::source::Source::new(String::new(), text.into());
        source.hide(hidden(table.get_ref()));
        let starts = text.split_inclusive('\n').scan(0, |at, line| {
            *at += line.len();
            Some(*at - line.len())
        });
        starts
            .filter_map(|start| source.line(&(start..start)))
            .map(|(line, _)| line.to_owned() + "\n")
            .collect()
    }

    #[test]
    fn whatever_may_be_a_secret_is_hidden() {
        for secret in [
            "[[tokens.key]]\nsecret = \"xyzzy\"",
            "[[tokens.key]]\nsercet = \"xyzzy\"",
            "[[tokens.key]]\nvalue = \"xyzzy\"",
            "[[tokens.keys]]\nvalue = \"xyzzy\"",
            "[[token.key]]\nvalue = \"xyzzy\"",
            "[tokens.key]\nvalue = \"xyzzy\"",
            "[tokens]\nkey = [{ id = \"a\", k = \"xyzzy\" }]",
            "[tokens.key.secret]\nanything = \"xyzzy\"",
            "[anywhere]\nthing = { inline = \"xyzzy\" }",
            "[anywhere]\nthing = { inlien = \"\"\"\nxyzzy\"\"\" }",
            "[store]\npassword = \"xyzzy\"",
            "[store]\nurl = \"postgres://me:xyzzy@db/x\"",
            "[upstream.a]\nservers = [\"http://a\", \"http://me:xyzzy@b\"]",
        ] {
            assert!(!shown(secret).contains("xyzzy"), "{secret}");
        }
        let plain =
            "[tokens]\nclaims = { a = \"b\" }\n[[tokens.key]]\nid = \"a\"\n[store]\nurl = \"sqlite:a\"\n";
        assert_eq!(shown(plain), plain);
    }

    #[test]
    fn around_a_syntax_error_a_secret_hides_what_follows_it() {
        let hides = |text: &str| suspected(text, text.len()).is_some();
        assert!(hides("[[tokens.key]]\nsecret = { file = \"a\""));
        assert!(hides("[[tokens.key]]\nid = \"a\"\nsecrt = \"a\nb"));
        assert!(hides("[[tokens.key]]\nsecret = { inline = \"\"\"\n[x]\nb"));
        assert!(hides("[store]\nurl = \"postgres://a:b@c"));
        assert!(!hides("[[tokens.key]]\nsecret = { file = \"a\" }\n[log]\nlevel = \"a"));
    }
}
