//! `[auth]`, `[auth.password]` and `[auth.throttle]`.

use std::{num::NonZeroU32, time::Duration};

use super::{cors, identity::Identity};
use crate::{
    auth::{Quota, Settings},
    config::{
        reader::{Section, positive, some, within},
        value::Choice,
    },
    password,
    route::Cors,
};

/// `[auth]`
pub(super) struct Auth {
    pub(super) settings: Settings,
    pub(super) password: password::Settings,
    pub(super) prefix: Option<String>,
    pub(super) cors: Option<Cors>,
}

pub(super) fn read(auth: &mut Section<'_, '_, '_>, identity: &Identity) -> Auth {
    let prefix = auth.take_if("prefix", "/api/auth".to_owned(), |prefix| canonical(prefix));
    let registration = auth.take("registration", false);
    if registration && let Some((header, field)) = &identity.chosen_by_users {
        let place = auth.place("registration");
        let hint = format!(
            "header `{header}` carries the {field}, which strangers could choose: expected `false`, or \
             `names_are_ours = true` in [identity] when no backend knows a name that is not here"
        );
        auth.context.fault(&place, "open registration beside an identity header that users choose", hint);
    }
    let reserved = ["admin", "administrator", "root", "system"].map(str::to_owned).to_vec();
    let reserved_names = auth.take("reserved_names", reserved);
    let login_by = auth.take_if("login_by", vec![LoginBy::Username, LoginBy::Email], |fields| some(fields));
    let sessions_per_user = auth.take_if("sessions_per_user", 100, within(1, 100_000));
    let cors = auth.section("cors", cors::read);
    if cors.is_some() && prefix == OFF {
        let place = auth.place("cors");
        auth.context.fault(
            &place,
            "origins for auth endpoints that are off",
            "expected `prefix`, or no `cors`",
        );
    }
    let password = auth.section("password", read_password);
    let (per_account, per_address, registrations) = auth.section("throttle", |throttle| {
        (
            throttle.section("per_account", |quota| read_quota(quota, TEN, Duration::from_mins(5))),
            throttle.section("per_address", |quota| read_quota(quota, HUNDRED, Duration::from_mins(5))),
            throttle.section("registrations", |quota| read_quota(quota, TWENTY, Duration::from_mins(1))),
        )
    });
    Auth {
        settings: Settings {
            registration,
            reserved_names,
            login_by_username: login_by.contains(&LoginBy::Username),
            login_by_email: login_by.contains(&LoginBy::Email),
            sessions_per_user,
            per_account,
            per_address,
            registrations,
        },
        password,
        prefix: (prefix != OFF).then_some(prefix),
        cors,
    }
}

fn read_password(password: &mut Section<'_, '_, '_>) -> password::Settings {
    let usual = password::Settings::default();
    let settings = password::Settings {
        min: password.take_if("min", usual.min, within(1, LONGEST_PASSWORD)),
        max: password.take_if("max", usual.max, within(1, LONGEST_PASSWORD)),
        queue: password.take_if("queue", usual.queue, within(1, 100_000)),
    };
    if settings.min > settings.max {
        let place = password.place_of_first(&["min", "max"]);
        let hint = format!("expected `min` to be at most `max`, which is {}", settings.max);
        password.context.fault(&place, "no password could be long enough", hint);
    }
    settings
}

fn read_quota(quota: &mut Section<'_, '_, '_>, attempts: NonZeroU32, window: Duration) -> Quota {
    Quota { attempts: quota.take("attempts", attempts), window: quota.take_if("window", window, positive) }
}

/// A prefix is compared with paths as they come, so it must be how a path comes.
fn canonical(prefix: &str) -> Result<(), String> {
    const EXPECTED: &str = r#"expected a path such as "/api/auth", or "off""#;
    if prefix == OFF {
        return Ok(());
    }
    let segments = prefix.strip_prefix('/').ok_or(EXPECTED)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match segments
        .split('/')
        .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain))
    {
        true => Ok(()),
        false => Err(format!("{EXPECTED}, of letters, digits and -._~, without slash at its end")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoginBy {
    Email,
    Username,
}

impl Choice for LoginBy {
    const WORDS: &'static [(&'static str, Self)] = &[("username", Self::Username), ("email", Self::Email)];
}

const OFF: &str = "off";
const LONGEST_PASSWORD: usize = 65_536;
const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const TWENTY: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
const HUNDRED: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_canonical_path() {
        for prefix in ["/api/auth", "/auth", "/v1.0/a_b~c-d", "off"] {
            assert_eq!(canonical(prefix), Ok(()), "{prefix}");
        }
        for prefix in
            ["", "/", "api/auth", "/a/", "/a//b", "/a/../b", "/./a", "/a%2Fb", "/a;b", "/a b", "/ä", "/a*"]
        {
            assert!(canonical(prefix).is_err(), "{prefix}");
        }
    }
}
