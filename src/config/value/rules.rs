//! Tables of claims and their values, as in `require = { roles = ["admin"] }`.

use toml::{Spanned, de::DeValue};

use super::{FromToml, Written, Wrong};

/// A table of claims, each with the values that do, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Rules(pub(in crate::config) Vec<Rule>);

/// A member of [`Rules`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Rule {
    /// The claim.
    pub(in crate::config) claim: Written,
    /// As texts; never empty.
    pub(in crate::config) values: Vec<String>,
}

impl FromToml for Rules {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            wrongs.push(Wrong::of_type(value, EXPECTED));
            return None;
        };
        if table.is_empty() {
            wrongs.push(Wrong::of_value(value, "expected at least one claim, or no such key"));
            return None;
        }
        let mut rules = Vec::with_capacity(table.len());
        for (key, values) in table {
            if let Some(values) = values_of(values, wrongs) {
                let claim = Written { text: key.get_ref().to_string(), span: key.span() };
                rules.push(Rule { claim, values });
            }
        }
        // The parser sorts by name.
        rules.sort_by_key(|rule| rule.claim.span.start);
        (rules.len() == table.len()).then_some(Self(rules))
    }
}

fn values_of(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Vec<String>> {
    let Some(values) = value.get_ref().as_array() else {
        wrongs.push(Wrong::of_type(value, r#"a list of values such as ["admin"]"#));
        return None;
    };
    if values.is_empty() {
        wrongs.push(Wrong::of_value(value, "no user could pass: expected at least one value"));
        return None;
    }
    let read: Vec<Option<String>> = values.iter().map(|value| text_of(value, wrongs)).collect();
    read.into_iter().collect()
}

/// Numbers and truth values as a token writes them.
fn text_of(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<String> {
    match value.get_ref() {
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
            if read.is_none() {
                wrongs.push(Wrong::of_value(value, "expected a number of at most 64 bits"));
            }
            read.map(|number| number.to_string())
        }
        DeValue::String(_) => String::from_toml(value, wrongs),
        DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Float(_) | DeValue::Table(_) => {
            wrongs.push(Wrong::of_type(value, "a text, a whole number, `true` or `false`"));
            None
        }
    }
}

const EXPECTED: &str = r#"a table such as { roles = ["admin"] }"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::testing::read;

    #[test]
    fn claims_have_values_that_a_token_could_have() {
        let rules =
            read::<Rules>(r#"{ roles = ["admin", "staff"], level = [0x10, -3], ok = [true] }"#).unwrap().0;
        let rules: Vec<_> =
            rules.iter().map(|rule| (rule.claim.text.as_str(), rule.values.join(" "))).collect();
        assert_eq!(
            rules,
            [("roles", "admin staff".to_owned()), ("level", "16 -3".to_owned()), ("ok", "true".to_owned())]
        );
        for (text, hint) in [
            ("{}", "expected at least one claim, or no such key"),
            ("[]", "expected a table such as { roles = [\"admin\"] }, found a list"),
            ("{ roles = [] }", "no user could pass: expected at least one value"),
            ("{ roles = \"admin\" }", "expected a list of values such as [\"admin\"], found a text"),
            ("{ roles = [\"\"] }", "expected a text that is not empty and has no control characters"),
            (
                "{ roles = [1.5] }",
                "expected a text, a whole number, `true` or `false`, found a number with a fraction",
            ),
        ] {
            assert_eq!(read::<Rules>(text), Err(vec![hint.to_owned()]), "{text}");
        }
    }
}
