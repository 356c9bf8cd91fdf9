//! From a path to what stands under its pattern: by its bytes, or as a backend has it that ignores case and a last
//! slash.
//!
//! Never here: what else a backend may read into a path (`reading`).

use std::cmp::Ordering;

use super::PathPattern;

/// What path patterns lead to, found by the bytes of a path: exact patterns first, then the longest prefix.
#[derive(Debug)]
pub(super) struct PathMap<T> {
    exact: Trie<T>,
    /// The same patterns in lower case and without a trailing slash.
    loose: Trie<T>,
    has_loose_patterns: bool,
}

impl<T: Copy> PathMap<T> {
    pub(super) fn new() -> Self {
        Self { exact: Trie::new(), loose: Trie::new(), has_loose_patterns: false }
    }

    /// Lets `pattern` lead to `goal`. A pattern that was there, or was there in another case, keeps its goal.
    pub(super) fn insert(&mut self, pattern: &PathPattern, goal: T) {
        self.exact.insert(pattern, goal);
        let loose = loosely(pattern);
        let is_new = self.loose.insert(&loose, goal);
        self.has_loose_patterns |= is_new && loose != *pattern;
    }

    /// Whether some pattern has a capital letter, or a trailing slash without being there without.
    pub(super) const fn has_loose_patterns(&self) -> bool {
        self.has_loose_patterns
    }

    /// What `path`, which begins with a slash, finds byte for byte.
    pub(super) fn find(&self, path: &[u8]) -> Option<T> {
        self.exact.find(path, |name, segment| name.cmp(segment))
    }

    /// What `path` finds for a backend that ignores the case of ASCII letters and a trailing slash.
    pub(super) fn find_loosely(&self, path: &[u8]) -> Option<T> {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        self.loose.find(path.get(..end).unwrap_or_default(), |name, segment| {
            name.iter().copied().cmp(segment.iter().map(u8::to_ascii_lowercase))
        })
    }
}

/// What is left of a pattern for a backend that ignores case and a trailing slash.
pub(super) fn loosely(pattern: &PathPattern) -> PathPattern {
    match pattern {
        PathPattern::Exact(path) => PathPattern::Exact(path.trim_end_matches('/').to_ascii_lowercase()),
        PathPattern::Below(path) => PathPattern::Below(path.to_ascii_lowercase()),
    }
}

/// Patterns by segment. Nodes lie in one list, so that neither finding nor dropping recurses.
#[derive(Debug)]
struct Trie<T> {
    root: Node<T>,
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    /// Of the pattern that ends here.
    here: Option<T>,
    /// Of the pattern that takes this path and all below it.
    below: Option<T>,
    /// Ordered by name; the number is an index into `Trie::nodes`.
    children: Vec<(Box<[u8]>, usize)>,
}

impl<T: Copy> Trie<T> {
    const fn new() -> Self {
        Self { root: Node::new(), nodes: Vec::new() }
    }

    /// Whether the pattern is new.
    fn insert(&mut self, pattern: &PathPattern, goal: T) -> bool {
        let (PathPattern::Exact(path) | PathPattern::Below(path)) = pattern;
        let mut at = None;
        for segment in segments(path.as_bytes()) {
            let fresh = self.nodes.len();
            let Some(node) = self.node_mut(at) else { return false };
            let child = node.child_or(segment, fresh);
            if child == fresh {
                self.nodes.push(Node::new());
            }
            at = Some(child);
        }
        let Some(node) = self.node_mut(at) else { return false };
        let place = match pattern {
            PathPattern::Exact(_) => &mut node.here,
            PathPattern::Below(_) => &mut node.below,
        };
        let is_new = place.is_none();
        place.get_or_insert(goal);
        is_new
    }

    fn find(&self, path: &[u8], compare: impl Fn(&[u8], &[u8]) -> Ordering) -> Option<T> {
        let mut node = &self.root;
        let mut widest = node.below;
        for segment in segments(path) {
            let Ok(child) = node.children.binary_search_by(|(name, _)| compare(name, segment)) else {
                return widest;
            };
            let Some(next) = node.children.get(child).and_then(|(_, index)| self.nodes.get(*index)) else {
                return widest;
            };
            node = next;
            widest = node.below.or(widest);
        }
        node.here.or(widest)
    }

    fn node_mut(&mut self, index: Option<usize>) -> Option<&mut Node<T>> {
        match index {
            Some(index) => self.nodes.get_mut(index),
            None => Some(&mut self.root),
        }
    }
}

impl<T> Node<T> {
    const fn new() -> Self {
        Self { here: None, below: None, children: Vec::new() }
    }

    /// The child of that name; where there is none it becomes `fresh`.
    fn child_or(&mut self, name: &[u8], fresh: usize) -> usize {
        match self.children.binary_search_by(|(other, _)| (**other).cmp(name)) {
            Ok(at) => self.children.get(at).map_or(fresh, |(_, index)| *index),
            Err(at) => {
                self.children.insert(at, (name.into(), fresh));
                fresh
            }
        }
    }
}

/// `/a/b` is `a`, `b`; `/a/` is `a` and the empty name; the empty path has none.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(patterns: &[&'static str]) -> PathMap<&'static str> {
        let mut map = PathMap::new();
        for pattern in patterns {
            map.insert(&PathPattern::parse(pattern).unwrap(), *pattern);
        }
        map
    }

    #[test]
    fn exact_comes_before_the_longer_prefix_before_the_shorter() {
        let map = map(&["/*", "/api/*", "/api/v1/*", "/api/v1", "/api/v1/users", "/"]);
        for (path, goal) in [
            ("/", "/"),
            ("/x", "/*"),
            ("//", "/*"),
            ("/api", "/api/*"),
            ("/api/", "/api/*"),
            ("/apix", "/*"),
            ("/API", "/*"),
            ("/api/v1", "/api/v1"),
            ("/api/v1/", "/api/v1/*"),
            ("/api/v1/users", "/api/v1/users"),
            ("/api/v1/users/", "/api/v1/*"),
            ("/api/v1/users/7", "/api/v1/*"),
            ("/api/v2/users", "/api/*"),
        ] {
            assert_eq!(map.find(path.as_bytes()), Some(goal), "{path}");
        }
    }

    #[test]
    fn case_and_a_trailing_slash_can_be_ignored() {
        let map = map(&["/Admin/*", "/Health", "/home/", "/"]);
        for (path, plain, loose) in [
            ("/Admin/x", Some("/Admin/*"), Some("/Admin/*")),
            ("/aDMIN/x", None, Some("/Admin/*")),
            ("/Health", Some("/Health"), Some("/Health")),
            ("/health/", None, Some("/Health")),
            ("/health/x", None, None),
            ("/home", None, Some("/home/")),
            ("/", Some("/"), Some("/")),
            ("//", None, Some("/")),
        ] {
            assert_eq!(map.find(path.as_bytes()), plain, "{path}");
            assert_eq!(map.find_loosely(path.as_bytes()), loose, "{path}");
        }
    }
}
