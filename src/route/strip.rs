//! What a route takes off a path, and which paths cannot lose it without becoming another.
//!
//! Never here: which route a path takes (`table`), the query.

use std::fmt;

use super::{PathPattern, PathPatternError, Refusal, reading::RawPath};

/// A prefix that the upstream does not see (`strip_prefix`): begins with a slash, ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Reads the prefix of a route with that path.
    ///
    /// # Errors
    /// [`PrefixError`]: it is no plain path, or not the beginning of the route's own.
    pub fn parse(text: &str, route: &PathPattern) -> Result<Self, PrefixError> {
        if text == "/" {
            return Err(PrefixError::Empty);
        }
        if text.ends_with('/') || text.ends_with("/*") {
            return Err(PrefixError::Slash);
        }
        PathPattern::parse(text)?;
        let (PathPattern::Exact(path) | PathPattern::Below(path)) = route;
        match path.strip_prefix(text) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(Self(text.to_owned())),
            _ => Err(PrefixError::NotOfThePath),
        }
    }

    /// What is left of `path`, which takes the prefix's route: the very bytes, `/` where nothing is left.
    ///
    /// `None` where the prefix is not there letter for letter; no path that found the route comes to that.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix(self.0.as_str())? {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }

    /// Whether what is left of `path` can be sent. `finds_the_same` tells whether a path with the prefix takes the
    /// same route.
    ///
    /// The backend reads what is left on its own: `/api/v1/../v1/x` stays below `/api/v1`, and `/../v1/x` climbs.
    /// And what is left begins where the path did not: `/api//evil.example/x` is a path, `//evil.example/x` the
    /// beginning of another site's address (RFC 3986, section 4.2), which a backend that redirects to it would
    /// send its users to.
    ///
    /// # Errors
    /// [`Refusal::PathAmbiguous`] where a lenient reading of what is left would be of another route with the prefix
    /// before it, climbs above the root, or begins with two slashes.
    pub(super) fn check(
        &self,
        path: &str,
        mut finds_the_same: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Refusal> {
        let rest = RawPath::parse(self.strip(path).ok_or(Refusal::PathAmbiguous)?)?;
        if names_a_host(rest.plain()) {
            return Err(Refusal::PathAmbiguous);
        }
        let mut whole = Vec::new();
        rest.other_readings(|reading| {
            whole.clear();
            whole.extend_from_slice(self.0.as_bytes());
            whole.extend_from_slice(reading);
            !names_a_host(reading) && finds_the_same(&whole)
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text cannot be the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// `/`.
    #[error("nothing would be taken off: expected a prefix such as `/api`, or no such key")]
    Empty,
    /// Another path's beginning.
    #[error("expected whole segments that the route's own `path` begins with")]
    NotOfThePath,
    /// What no path of a route can be.
    #[error(transparent)]
    Path(#[from] PathPatternError),
    /// A slash at the end.
    #[error("a prefix ends without slash and without `*`, as in `/api`")]
    Slash,
}

/// Whether a URL parser takes what the path begins with for a host: browsers' parsers take `/\` so, too.
fn names_a_host(path: &[u8]) -> bool {
    matches!(path, [b'/' | b'\\', b'/' | b'\\', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str, route: &str) -> Result<String, PrefixError> {
        Prefix::parse(text, &PathPattern::parse(route).unwrap()).map(|prefix| prefix.to_string())
    }

    #[test]
    fn a_prefix_is_whole_segments_of_the_routes_path() {
        for (text, route) in [
            ("/api", "/api/*"),
            ("/api", "/api/v1/*"),
            ("/api", "/api"),
            ("/a/b", "/a/b/c"),
            ("/Home", "/Home/"),
        ] {
            assert_eq!(prefix(text, route).as_deref(), Ok(text), "{route}");
        }
        use PrefixError::{Empty, NotOfThePath, Slash};
        for (text, route, error) in [
            ("/", "/*", Empty),
            ("/api/", "/api/*", Slash),
            ("/api/*", "/api/*", Slash),
            ("/ap", "/api/*", NotOfThePath),
            ("/API", "/api/*", NotOfThePath),
            ("/api/v1", "/api/*", NotOfThePath),
            ("/api", "/*", NotOfThePath),
            ("api", "/api/*", PathPatternError::NotRooted.into()),
            ("", "/api/*", PathPatternError::NotRooted.into()),
            ("/%61pi", "/api/*", PathPatternError::Escape.into()),
            ("//api", "/api/*", PathPatternError::DoubleSlash.into()),
        ] {
            assert_eq!(prefix(text, route), Err(error), "{text} {route}");
        }
    }

    #[test]
    fn what_is_left_are_the_very_bytes() {
        let prefix = Prefix::parse("/api", &PathPattern::parse("/api/*").unwrap()).unwrap();
        for (path, left) in [
            ("/api", Some("/")),
            ("/api/", Some("/")),
            ("/api/x%2Fy;z/../w", Some("/x%2Fy;z/../w")),
            ("/api/api/x", Some("/api/x")),
            ("/apix", None),
            ("/API/x", None),
            ("/%61pi/x", None),
            ("/", None),
        ] {
            assert_eq!(prefix.strip(path), left, "{path}");
        }
    }
}
