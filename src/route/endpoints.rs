//! Where the auth endpoints are, for paths in any reading.
//!
//! Never here: which endpoints there are (`dialect`).

use super::{PathPattern, path_map::PathMap};
use crate::dialect::Endpoint;

/// The paths of the auth endpoints: whole ones, and those that end in a parameter.
#[derive(Debug)]
pub(super) struct Endpoints {
    whole: PathMap<Endpoint>,
    /// What stands before the slash and the parameter.
    before_parameter: Vec<(String, Endpoint)>,
}

/// An endpoint, and the parameter as one reading of a path has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call<'p> {
    pub(super) endpoint: Endpoint,
    parameter: &'p [u8],
}

impl Endpoints {
    /// Each with its full path, without trailing slash and parameter.
    pub(super) fn new(endpoints: Vec<(String, Endpoint)>) -> Self {
        let mut found = Self { whole: PathMap::new(), before_parameter: Vec::new() };
        for (path, endpoint) in endpoints {
            if endpoint.has_parameter() {
                found.before_parameter.push((path, endpoint));
            } else {
                let with_slash = format!("{path}/");
                found.whole.insert(&PathPattern::Exact(path), endpoint);
                found.whole.insert(&PathPattern::Exact(with_slash), endpoint);
            }
        }
        found
    }

    /// As [`PathMap::has_loose_patterns`].
    pub(super) fn has_loose_patterns(&self) -> bool {
        let has_capital = |(path, _): &(String, _)| path.bytes().any(|byte| byte.is_ascii_uppercase());
        self.whole.has_loose_patterns() || self.before_parameter.iter().any(has_capital)
    }

    /// What `path` leads to byte for byte; a slash may follow.
    pub(super) fn find<'p>(&self, path: &'p [u8]) -> Option<Call<'p>> {
        let whole = self.whole.find(path).map(Call::without_parameter);
        whole.or_else(|| self.with_parameter(path.strip_suffix(b"/").unwrap_or(path), <[u8]>::eq))
    }

    /// What `path` leads to for a backend that ignores the case of ASCII letters and a trailing slash.
    pub(super) fn find_loosely<'p>(&self, path: &'p [u8]) -> Option<Call<'p>> {
        let whole = self.whole.find_loosely(path).map(Call::without_parameter);
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = path.get(..end).unwrap_or_default();
        whole.or_else(|| self.with_parameter(path, <[u8]>::eq_ignore_ascii_case))
    }

    /// `path` has no trailing slash any more.
    fn with_parameter<'p>(&self, path: &'p [u8], same: impl Fn(&[u8], &[u8]) -> bool) -> Option<Call<'p>> {
        self.before_parameter.iter().find_map(|(before, endpoint)| {
            let (start, rest) = path.split_at_checked(before.len())?;
            let parameter = rest.strip_prefix(b"/")?;
            let leads_there =
                same(start, before.as_bytes()) && !parameter.is_empty() && !parameter.contains(&b'/');
            leads_there.then_some(Call { endpoint: *endpoint, parameter })
        })
    }
}

impl Call<'_> {
    const fn without_parameter(endpoint: Endpoint) -> Self {
        Call { endpoint, parameter: &[] }
    }

    /// Whether it is `plain` still for a backend that ignores the case of letters: a parameter with capitals would be
    /// another there.
    pub(super) fn is_loosely(self, plain: Self) -> bool {
        self.endpoint == plain.endpoint
            && self.parameter.eq_ignore_ascii_case(plain.parameter)
            && !plain.parameter.iter().any(u8::is_ascii_uppercase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_one_segment() {
        let endpoints =
            Endpoint::ALL.map(|endpoint| (format!("/Auth/{}", endpoint.path()), endpoint)).to_vec();
        let endpoints = Endpoints::new(endpoints);
        let found = |call: Option<Call<'_>>| {
            call.map(|call| (call.endpoint, String::from_utf8(call.parameter.to_vec()).unwrap()))
        };
        let of = |parameter: &str| Some((Endpoint::Session, parameter.to_owned()));
        let list = Some((Endpoint::Sessions, String::new()));
        for (path, plain, loose) in [
            ("/Auth/sessions", list.clone(), list.clone()),
            ("/Auth/sessions/", list.clone(), list.clone()),
            ("/Auth/sessions//", None, list.clone()),
            ("/Auth/sessions/a", of("a"), of("a")),
            ("/Auth/sessions/a/", of("a"), of("a")),
            ("/Auth/sessions/a//", None, of("a")),
            ("/auth/Sessions/A", None, of("A")),
            ("/Auth/sessions/a/b", None, None),
            ("/Auth/sessionsx", None, None),
            ("/Auth/session/a", None, None),
            ("/x", None, None),
        ] {
            assert_eq!(found(endpoints.find(path.as_bytes())), plain, "{path}");
            assert_eq!(found(endpoints.find_loosely(path.as_bytes())), loose, "{path}");
        }
        let call = |parameter| Call { endpoint: Endpoint::Session, parameter };
        assert!(call(b"AB").is_loosely(call(b"ab")));
        assert!(!call(b"ab").is_loosely(call(b"AB")) && !call(b"ac").is_loosely(call(b"ab")));
    }
}
