//! `"1500ms"`, `"30s"`, `"7d"`; where there may be no limit, `"off"`.

use std::time::Duration;

use toml::{Spanned, de::DeValue};

use super::{FromToml, ToToml, Wrong, parsed};

/// A whole number and its unit, as in "1500ms".
impl FromToml for Duration {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let duration =
            parsed(value, wrongs, r#"a duration such as "1500ms", "30s", "5m", "1h" or "7d""#, parse)?;
        not_too_long(duration, value, wrongs)
    }
}

/// Reads a duration as the configuration writes it, as in `30s` or `7d`.
pub fn duration(text: &str) -> Option<Duration> {
    parse(text).filter(|duration| *duration <= LONGEST)
}

fn not_too_long(
    duration: Duration,
    value: &Spanned<DeValue<'_>>,
    wrongs: &mut Vec<Wrong>,
) -> Option<Duration> {
    if duration > LONGEST {
        wrongs.push(Wrong::of_value(value, r#"expected at most "36500d""#));
        return None;
    }
    Some(duration)
}

impl ToToml for Duration {
    fn to_toml(&self) -> toml::Value {
        duration_text(*self).into()
    }
}

/// Writes a duration as the configuration has it, in the largest unit that says it exactly.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (unit, length) = UNITS
        .into_iter()
        .rev()
        .find(|(_, length)| millis != 0 && millis.is_multiple_of(u128::from(*length)))
        .unwrap_or(("s", 1000));
    format!("{}{unit}", millis / u128::from(length))
}

/// A duration, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Limit(pub(in crate::config) Option<Duration>);

impl FromToml for Limit {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrongs: &mut Vec<Wrong>) -> Option<Self> {
        let limit = parsed(value, wrongs, r#"a duration such as "30s", or "off""#, |text| match text {
            OFF => Some(None),
            text => parse(text).map(Some),
        })?;
        match limit {
            None => Some(Self(None)),
            Some(duration) => not_too_long(duration, value, wrongs).map(|limit| Self(Some(limit))),
        }
    }
}

impl ToToml for Limit {
    fn to_toml(&self) -> toml::Value {
        self.0.map_or_else(|| OFF.into(), |duration| duration.to_toml())
    }
}

const OFF: &str = "off";

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(length)?))
}

/// Units and their milliseconds, from the shortest.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A hundred years: any sum of instants and durations stays far from overflow.
const LONGEST: Duration = Duration::from_hours(36_500 * 24);

#[cfg(test)]
mod tests {
    use super::{super::testing::read, *};

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let cases = [("0s", 0), ("1500ms", 1500), ("10s", 10_000), ("30m", 1_800_000), ("7d", 604_800_000)];
        for (text, millis) in cases {
            let duration = Duration::from_millis(millis);
            assert_eq!(read::<Duration>(&format!("{text:?}")), Ok(duration));
            assert_eq!(duration.to_toml().as_str(), Some(text));
        }
        for text in
            ["", "10", "s", "-1s", "1.5s", "1 s", "1h30m", "1S", "99999999999999999999d", "36501d", "١s"]
        {
            assert!(read::<Duration>(&format!("{text:?}")).is_err(), "{text}");
        }
        assert!(read::<Duration>("10").unwrap_err()[0].ends_with("found a number"));
    }

    #[test]
    fn a_limit_may_be_off() {
        for (text, limit) in [("off", None), ("30s", Some(Duration::from_secs(30)))] {
            assert_eq!(read::<Limit>(&format!("{text:?}")), Ok(Limit(limit)));
            assert_eq!(Limit(limit).to_toml().as_str(), Some(text));
        }
        for text in ["", "Off", "none", "30", "36501d"] {
            assert!(read::<Limit>(&format!("{text:?}")).is_err(), "{text}");
        }
    }
}
