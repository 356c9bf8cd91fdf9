//! Which parts of a configuration file no diagnostic may show.
//!
//! Errs on the side of hiding: a word too few in a diagnostic costs a look into the file, a word too many may
//! put a key into a log. Misspelled names count, since those are what diagnostics are about.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::nearest;

/// What is a secret in a parsed file, or stands where one belongs: values, and names that may be values.
pub(super) fn hidden(root: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    root.iter().for_each(|(key, value)| walk(&[key.get_ref()], value, &mut found));
    found
}

/// The line of an error at `at` in a file that could not be parsed, where something of it may be a secret.
///
/// Without a parse nobody knows where a value ends. The line is shown where it has nothing to do with secrets, and
/// every secret before it ends for certain.
pub(super) fn suspected(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, rest) = text.split_at_checked(at)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = rest.find('\n').map_or(text.len(), |newline| at + newline);
    let (earlier, line) = (text.get(..start)?, text.get(start..end)?);
    let section = earlier.rfind("\n[").map_or(0, |header| header + 1);
    let header =
        if line.starts_with('[') { line } else { earlier.get(section..)?.lines().next().unwrap_or_default() };

    let is_plain = if names(header).eq(PASSWORD_RULES.0.iter().copied()) {
        line.starts_with('[') || PASSWORD_RULES.1.contains(&name_of(line))
    } else {
        !concerns_secrets(line) && !concerns_secrets(header) && may_be_in(header, line)
    };
    (!is_plain || leaves_open(earlier)).then_some(start..end)
}

fn walk(path: &[&str], value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
    if path.last().is_some_and(|key| is_secretive(key)) && names_a_file(value.get_ref()) {
        // But not a comment beside it.
        found.push(value.span().start..value.span().start);
        return;
    }
    let is_rules = path == PASSWORD_RULES.0 && value.get_ref().is_table();
    if !is_rules && path.last().is_some_and(|key| is_secretive(key)) || is_unknown(path) {
        extend(found, value);
        return;
    }
    match value.get_ref() {
        DeValue::String(text)
            if has_credentials(text) || is_likely_secret(path) || may_name_a_store(path, text) =>
        {
            found.push(value.span());
        }
        DeValue::Array(values) => values.iter().for_each(|value| walk(path, value, found)),
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| walk(&[path, &[key.get_ref()]].concat(), value, found));
        }
        _ => {}
    }
}

/// Whatever a section that is named after a secret should not hold may be that secret under a wrong name.
fn is_unknown(path: &[&str]) -> bool {
    match path {
        [auth, password, member, ..] if [*auth, *password] == PASSWORD_RULES.0 => {
            !PASSWORD_RULES.1.contains(member)
        }
        [tokens, key, member, ..] => {
            nearest::is_near(tokens, "tokens") && *key != "claims" && !KEY_RULES.contains(member)
        }
        _ => false,
    }
}

/// The value and, in a table, the names too: somebody may have forgotten the quotes.
fn extend(found: &mut Vec<Range<usize>>, value: &Spanned<DeValue<'_>>) {
    match value.get_ref() {
        DeValue::Table(table) => {
            // Nothing of it, but enough for a comment in that line to be hidden.
            found.push(value.span().start..value.span().start);
            for (key, value) in table {
                if !ORIGINS.contains(&key.get_ref().as_ref()) {
                    found.push(key.span());
                }
                extend(found, value);
            }
        }
        _ => found.push(value.span()),
    }
}

/// A secret that lies elsewhere: where, and nothing else.
fn names_a_file(value: &DeValue<'_>) -> bool {
    let DeValue::Table(table) = value else { return false };
    let file = table.get("file").filter(|_| table.len() == 1);
    let name = file.and_then(|file| file.get_ref().as_str());
    name.is_some_and(|name| !has_credentials(name) && !name.chars().any(char::is_control))
}

/// Whether `line` can stand below `header` without being a secret under a wrong name.
fn may_be_in(header: &str, line: &str) -> bool {
    let mut path = names(header);
    if line.starts_with('[') || !path.next().is_some_and(|name| nearest::is_near(name, "tokens")) {
        return true;
    }
    match path.next() {
        Some(_) => KEY_RULES.contains(&name_of(line)),
        // The start of a list, or of a dotted name.
        None => !nearest::is_near(names(line).next().unwrap_or_default(), "key"),
    }
}

fn concerns_secrets(line: &str) -> bool {
    words(line).any(is_secretive) || has_credentials(line)
}

/// Whether a secret that begins in `text` may go on behind it. Whatever stands in its section may be its end.
fn leaves_open(text: &str) -> bool {
    let mut concerned = false;
    text.lines().any(|line| {
        if line.starts_with('[') {
            concerned = names(line).next().is_some_and(|name| nearest::is_near(name, "tokens"));
        }
        concerned |= concerns_secrets(line);
        concerned && !is_closed(line)
    })
}

/// Whether every string, list and table that begins in `line` ends in it. Errs on the side of no.
fn is_closed(line: &str) -> bool {
    if ["\"\"\"", "'''"].iter().any(|quotes| line.contains(quotes)) {
        return false;
    }
    let mut depth = 0_usize;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '#' => break,
            '[' | '{' => depth += 1,
            ']' | '}' => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            '\'' if !characters.any(|character| character == '\'') => return false,
            '"' => loop {
                match characters.next() {
                    None => return false,
                    Some('"') => break,
                    Some('\\') => drop(characters.next()),
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    depth == 0
}

fn is_secretive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "passw", "inline"].iter().any(|part| name.contains(part))
        || ["secret", "password", "inline"].iter().any(|secretive| nearest::is_near(&name, secretive))
}

/// A text under a name that somebody who means a secret may choose.
fn is_likely_secret(path: &[&str]) -> bool {
    match path {
        [tokens, member, ..] if nearest::is_near(tokens, "tokens") => {
            *member != "claims"
                && !TOKEN_RULES.contains(member)
                && !KEY_RULES.contains(path.last().unwrap_or(member))
        }
        [.., name] => LIKELY_SECRETS.contains(&name.to_ascii_lowercase().as_str()),
        [] => false,
    }
}

/// The names in a section's header, or those before the `=` of a line.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let name = line.split(['=', '#', ']']).next().unwrap_or_default();
    name.split(['[', '.', ' ', '\t']).filter(|name| !name.is_empty())
}

fn name_of(line: &str) -> &str {
    line.split_once('=').map_or("", |(name, _)| name.trim())
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A URL with a user and perhaps a password, or something that was meant to be one.
fn has_credentials(text: &str) -> bool {
    let in_url = text.split_once("://").is_some_and(|(_, rest)| rest.contains('@') || rest.contains("passw"));
    in_url || text.split_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// A text that is meant to say which store, in whatever spelling: libpq has several, and all of them take passwords. Only
/// those of ours are known to hold none.
fn may_name_a_store(path: &[&str], text: &str) -> bool {
    let [section, name, ..] = path else { return false };
    nearest::is_near(section, "store")
        && !nearest::is_near(name, "max_staleness")
        && !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Where passwords are spoken of, and none stands; and what it holds.
const PASSWORD_RULES: ([&str; 2], [&str; 3]) = (["auth", "password"], ["min", "max", "queue"]);

/// What a `[[tokens.key]]` holds beside its secret.
const KEY_RULES: [&str; 3] = ["id", "algorithm", "allow_short"];

/// The texts that `[tokens]` itself holds.
const TOKEN_RULES: [&str; 8] = [
    "access_lifetime",
    "audience",
    "issuer",
    "leeway",
    "refresh_grace",
    "refresh_lifetime",
    "session_lifetime",
    "user_claim",
];

const LIKELY_SECRETS: [&str; 9] =
    ["apikey", "api_key", "credential", "credentials", "hmac", "jwt", "pepper", "signing_key", "token"];

/// What a secret is given by.
const ORIGINS: [&str; 3] = ["env", "file", "inline"];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let table = DeTable::parse(text).unwrap();
        let mut source = super::super::source::Source::new(String::new(), text.into());
        source.mask(hidden(table.get_ref()));
        let starts = text.split_inclusive('\n').scan(0, |at, line| {
            *at += line.len();
            Some(*at - line.len())
        });
        starts.filter_map(|start| source.line(&(start..start))).map(|(line, _)| line + "\n").collect()
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
            "[tokens]\nkey = \"xyzzy\"",
            "[tokens]\nkeys = [\"xyzzy\"]",
            "[tokens]\nsigning_key = \"xyzzy\"",
            "[tokens]\nhmac = \"xyzzy\"",
            "[auth]\npepper = \"xyzzy\"",
            "token = \"xyzzy\"",
            "[store]\nurl = \"postgres://db/x?password=xyzzy\"",
            "[store]\npassword = \"xyzzy\"",
            "[store]\nurl = \"host=127.0.0.1 password=xyzzy\"",
            "[store]\nurl = [\"host=h password=xyzzy\"]",
            "[store]\ndsn = \"host=h pw=xyzzy\"",
            "[stor]\nurl = \"host=h pw=xyzzy\"",
            "[store]\nurl = \"postgres:u:xyzzy@h/d\"",
            "[store]\nurl = \"postgres:/u:xyzzy@h/d\"",
            "[elsewhere]\nurl = \"u:xyzzy@h/d\"",
            "[auth]\npassword = \"xyzzy\"",
            "[auth.password]\nadmin = \"xyzzy\"",
            "[auth.passwords]\nmin = \"xyzzy\"",
            "[tokens.key.secret]\nxyzzy = 1",
            "[tokens.key.secret.xyzzy]\na = 1",
            "[[tokens.key]]\nsecret = { xyzzy = 1, file = \"a\" }",
            "[[tokens.key]]\nsecret.xyzzy.inline = 1",
            "[[tokens.key]]\nsecret = {\n inline = \"xyzzy\", # xyzzy\n}",
            "[[tokens.key]]\nsecret = [\n \"xyzzy\", # xyzzy\n]",
            "[[tokens.key]]\nsecret = \"\"\"a\\\n  xyzzy\"\"\"",
            "[[tokens.key]]\nsecret = \"\\\"xyzzy\"",
            "[[tokens.key]]\nsecret = 'a' # no longer xyzzy",
            "[store]\nurl = \"postgres://me:xyzzy@db/x\"",
            "[upstream.a]\nservers = [\"http://a\", \"http://me:xyzzy@b\"]",
        ] {
            assert!(!shown(secret).contains("xyzzy"), "{secret}");
        }
        let plain =
            "[tokens]\nclaims = { a = \"b\" }\n[[tokens.key]]\nid = \"a\"\n[store]\nurl = \"sqlite:a\"\n";
        assert_eq!(shown(plain), plain);
        let rules = "[auth.password]\nmin = 8\nmax = 64\nqueue = 1\n[auth]\npassword.min = \"x\"\n";
        assert_eq!(shown(&rules[..rules.find("[auth]").unwrap()]), rules[..rules.find("[auth]").unwrap()]);
        assert_eq!(shown(&rules[rules.find("[auth]").unwrap()..]), rules[rules.find("[auth]").unwrap()..]);
    }

    #[test]
    fn what_stands_beside_a_secret_is_shown() {
        for (text, expected) in [
            ("[[tokens.key]]\nalgoritm = \"HS256\"\n", "[[tokens.key]]\nalgoritm = ********\n"),
            (
                "[[tokens.key]]\nsecret = { file = 'a' } # b\n",
                "[[tokens.key]]\nsecret = { file = 'a' } ********\n",
            ),
            (
                "[store]\npassword = { file = 'a', inline = 'b' }\n",
                "[store]\npassword = { file = ********, inline = ******** }\n",
            ),
            ("[store]\npassword = { file = 'a:b@c' }\n", "[store]\npassword = { file = ******** }\n"),
            ("[store]\npassword.file = 'a'\n", "[store]\npassword.file = 'a'\n"),
            ("[store]\npassword = { env = 'a' }\n", "[store]\npassword = { env = ******** }\n"),
            ("key = { secret = 'é', id = \"ü\" }\n", "key = { secret = ********, id = \"ü\" }\n"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_syntax_error_is_shown_where_no_secret_can_be() {
        let hides = |text: &str| suspected(text, text.len()).is_some();
        for hidden in [
            "[[tokens.key]]\nsecret = { file = \"a\"",
            "[[tokens.key]]\nid = \"a\"\nsecrt = \"a\nb",
            "[[tokens.key]]\nsecret = { inline = \"\"\"\n[x]\nb",
            "[[tokens.key]]\nsecret = { inline = '''\n[x]\nb",
            "[[tokens.key]]\nsecret = { inline = \"\n[x]\nb",
            "[[tokens.key]]\nsecret = { inline = \"a\\\"\n[x]\nb",
            "[[tokens.key]]\nsecret = [\n[x]\nb",
            "[[tokens.key]]\nsecret = [\nb",
            "[[tokens.key]]\nvalue = b",
            "[[token.key]]\nvalue = b",
            "[[ tokens . keys ]]\nvalue = b",
            "[tokens]\nkey = [{ value = b",
            "[tokens]\nkey.value = b",
            "[tokens.key.secret]\nmore = b",
            "[[tokens.key]]\nb",
            "[auth.password]\nadmin = b",
            "[auth.passwords]\nmin = b",
            "[store]\nurl = \"postgres://a:b@c",
            "password = b",
            "[[tokens.key]]\nvalue = \"\"\"\n[x]\nb",
        ] {
            assert!(hides(hidden), "{hidden}");
        }
        for plain in [
            "[[tokens.key]]\nsecret = { file = \"a\" }\n[log]\nlevel = \"a",
            "[[tokens.key]]\nsecret = { inline = \"a]\\\"#\" } # b\n[log]\nlevel = \"a",
            "[[tokens.key]]\nsecret = { file = \"a\" }\nid = b",
            "[[tokens.key]]\nsecret = { file = 'a' }\n[[route]",
            "[auth.password]\nmin = b",
            "[auth.password",
            "[tokens]\naccess_lifetime = 5 m",
            "claims = { a = \"\"\"\nb",
            "[[tokens.key]]\nsecret = { file = 'a' }\n[[route]]\nmethods = [\n'GET'\n]\n[log]\nlevel = b",
        ] {
            assert!(!hides(plain), "{plain}");
        }
    }
}
