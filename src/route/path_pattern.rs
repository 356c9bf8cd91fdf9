//! Paths as configured: the plainest spelling of each, or a fault.

use std::fmt;

use super::{PathPattern, reading::MAX_PATH};

impl PathPattern {
    /// Reads a path as the configuration has it: `/api/*` or `/health`.
    ///
    /// Only the plainest spelling is taken. Whatever a backend might read in two ways would be refused in every
    /// request, so a route of that name could never be reached.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if !text.starts_with('/') {
            return Err(PathPatternError::NotRooted);
        }
        if text.len() > MAX_PATH {
            return Err(PathPatternError::TooLong);
        }
        match text.strip_suffix("/*") {
            Some(above) => {
                plain_characters(above)?;
                // The slash of `/*` follows, so an empty last segment would be a doubled slash.
                above.split('/').skip(1).try_for_each(plain_segment)?;
                Ok(Self::Below(above.to_owned()))
            }
            None => {
                plain_characters(text)?;
                let without_last_slash = text.strip_suffix('/').unwrap_or(text);
                without_last_slash.split('/').skip(1).try_for_each(plain_segment)?;
                Ok(Self::Exact(text.to_owned()))
            }
        }
    }

    /// Whether every path that `other` takes is taken by this pattern too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(above), Self::Exact(path) | Self::Below(path)) => {
                path.strip_prefix(above.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(path) => write!(f, "{path}/*"),
        }
    }
}

/// Why a text cannot be the path of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// `\`, which some backends read as `/`.
    #[error("`\\` cannot stand in a path: some backends read it as `/`")]
    Backslash,
    /// A character that a client must send percent-encoded.
    #[error("{0:?} never stands plainly in a request's path")]
    Character(char),
    /// `.` or `..` as a segment.
    #[error("the segments `.` and `..` cannot stand in a path: backends resolve them")]
    DotSegment,
    /// `//`.
    #[error("`//` cannot stand in a path: some backends read it as `/`")]
    DoubleSlash,
    /// `%`.
    #[error("`%` cannot stand in a path: backends decode it")]
    Escape,
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NotRooted,
    /// `;`, which some backends cut.
    #[error("`;` cannot stand in a path: some backends cut what follows it")]
    Parameters,
    /// `?` or `#`.
    #[error("a path ends before `?` and `#`: the query decides nothing")]
    Query,
    /// `*` anywhere but in a final `/*`.
    #[error("`*` stands only at the end, as in `/api/*`")]
    Star,
    /// Longer than the longest path that a request may have.
    #[error("a path has at most {MAX_PATH} bytes")]
    TooLong,
    /// A segment that ends in a dot.
    #[error("a segment cannot end in a dot: some backends drop it")]
    TrailingDot,
}

fn plain_characters(path: &str) -> Result<(), PathPatternError> {
    path.chars().try_for_each(|character| match character {
        '\\' => Err(PathPatternError::Backslash),
        '%' => Err(PathPatternError::Escape),
        ';' => Err(PathPatternError::Parameters),
        '?' | '#' => Err(PathPatternError::Query),
        '*' => Err(PathPatternError::Star),
        // What RFC 3986, section 3.3 lets stand in a path.
        '/' | '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | '=' | ':' | '@' => {
            Ok(())
        }
        character if character.is_ascii_alphanumeric() => Ok(()),
        character => Err(PathPatternError::Character(character)),
    })
}

fn plain_segment(segment: &str) -> Result<(), PathPatternError> {
    match segment {
        "" => Err(PathPatternError::DoubleSlash),
        "." | ".." => Err(PathPatternError::DotSegment),
        segment if segment.ends_with('.') => Err(PathPatternError::TrailingDot),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_taken_and_shown_as_it_was_written() {
        for text in ["/", "/*", "/api/*", "/health", "/health/", "/.well-known/jwks.json", "/Admin/@me,x=1/*"]
        {
            let pattern = PathPattern::parse(text).unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(matches!(pattern, PathPattern::Below(_)), text.ends_with('*'), "{text}");
        }
        assert_eq!(PathPattern::parse("/*"), Ok(PathPattern::Below(String::new())));
        assert_eq!(PathPattern::parse("/api/*"), Ok(PathPattern::Below("/api".to_owned())));
    }

    #[test]
    fn a_path_with_two_readings_is_refused_with_the_reason() {
        use PathPatternError::*;
        for (text, error) in [
            ("", NotRooted),
            ("*", NotRooted),
            ("api/*", NotRooted),
            ("/a*", Star),
            ("/*/b", Star),
            ("/a/**", Star),
            ("/a/*/*", Star),
            ("//", DoubleSlash),
            ("//*", DoubleSlash),
            ("/a//b", DoubleSlash),
            ("/a//*", DoubleSlash),
            ("/a/./b", DotSegment),
            ("/..", DotSegment),
            ("/../*", DotSegment),
            ("/a./b", TrailingDot),
            ("/a...", TrailingDot),
            ("/a%20b", Escape),
            ("/a\\b", Backslash),
            ("/a;v=1/*", Parameters),
            ("/a?b", Query),
            ("/a#b", Query),
            ("/a b", Character(' ')),
            ("/a\n", Character('\n')),
            ("/café", Character('é')),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(PathPattern::parse(&format!("/{}", "a".repeat(MAX_PATH))), Err(TooLong));
    }

    #[test]
    fn covering_goes_by_whole_segments() {
        let covers =
            |one, other| PathPattern::parse(one).unwrap().covers(&PathPattern::parse(other).unwrap());
        for (one, other) in [("/*", "/*"), ("/*", "/"), ("/a/*", "/a"), ("/a/*", "/a/b/*"), ("/a", "/a")] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [("/a/*", "/*"), ("/a/*", "/ab"), ("/a", "/a/*"), ("/a", "/b"), ("/a/b/*", "/a")]
        {
            assert!(!covers(one, other), "{one} {other}");
        }
    }
}
