//! What somebody meant who misspelled a name, as far as a guess is better than a list.

/// The name of `names` that somebody who wrote `written` most likely meant.
pub(super) fn nearest<'n>(written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Whether `written` may be a misspelled `name`.
pub(super) fn is_near(written: &str, name: &str) -> bool {
    nearest(written, [name]).is_some()
}

/// "did you mean …?", or all the names where none is near.
pub(super) fn suggestion<'n>(written: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(written, names.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(names.into_iter().map(|name| format!("`{name}`")))),
    }
}

/// "a", "a or b", "one of a, b, c".
pub(super) fn one_of(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        _ => format!("one of {}", names.join(", ")),
    }
}

fn distance(written: &str, name: &str) -> usize {
    // Most words are told apart by their length, which also bounds the cost of long ones.
    let difference = written.chars().count().abs_diff(name.chars().count());
    if difference > allowed(name) {
        return difference;
    }
    let fold = |text: &str| text.to_ascii_lowercase().replace(['-', '.'], "_");
    strsim::damerau_levenshtein(&fold(written), &fold(name))
}

/// A third of a name may be wrong, as rustc has it.
fn allowed(name: &str) -> usize {
    name.chars().count().max(3) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_are_found() {
        let names = ["idle_timeout", "header_timeout", "streams"];
        assert_eq!(nearest("idel_timeout", names), Some("idle_timeout"));
        assert_eq!(nearest("idle-timeout", names), Some("idle_timeout"));
        assert_eq!(nearest("stream", names), Some("streams"));
        assert_eq!(nearest("nonsense", names), None);
        assert_eq!(nearest(&"s".repeat(100_000), names), None);
    }

    #[test]
    fn without_a_near_name_all_are_named() {
        assert_eq!(suggestion("hots", ["host", "port"]), "did you mean `host`?");
        assert_eq!(suggestion("x", ["host", "port"]), "expected `host` or `port`");
        assert_eq!(
            suggestion("x", ["a_long", "b_long", "c_long"]),
            "expected one of `a_long`, `b_long`, `c_long`"
        );
    }
}
