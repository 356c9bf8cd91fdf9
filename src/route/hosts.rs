//! From a host to what stands under its pattern, the most specific first.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{HostPattern, host};

/// What host patterns lead to: exact ones first, then wildcards, the longest suffix first, then any host.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    any: T,
    exact: Vec<Entry<T>>,
    below: Vec<Entry<T>>,
}

/// One host pattern.
#[derive(Debug)]
struct Entry<T> {
    /// In lower case.
    name: String,
    value: T,
    /// The next wider wildcard that takes every host of this one: an index into `Hosts::below`.
    wider: Option<usize>,
}

impl<T> Hosts<T> {
    /// The names are in lower case.
    pub(super) fn new(any: T, named: BTreeMap<HostPattern, T>) -> Self {
        let mut hosts = Self { any, exact: Vec::new(), below: Vec::new() };
        // The map brings the names in order, which `position` needs.
        for (pattern, value) in named {
            let (list, name) = match pattern {
                HostPattern::Exact(name) => (&mut hosts.exact, name),
                HostPattern::Below(name) => (&mut hosts.below, name),
            };
            list.push(Entry { name, value, wider: None });
        }
        let wider = |entry: &Entry<T>| narrowest(&hosts.below, &entry.name);
        let of_exact: Vec<_> = hosts.exact.iter().map(wider).collect();
        let of_below: Vec<_> = hosts.below.iter().map(wider).collect();
        hosts.exact.iter_mut().zip(of_exact).for_each(|(entry, wider)| entry.wider = wider);
        hosts.below.iter_mut().zip(of_below).for_each(|(entry, wider)| entry.wider = wider);
        hosts
    }

    /// All that a request's host leads to, the most specific first and that of any host last; `None` if the text
    /// is no host.
    pub(super) fn find(&self, host: &str) -> Option<Matches<'_, T>> {
        let name = host::bare(host)?;
        if self.exact.is_empty() && self.below.is_empty() {
            return Some(Matches { hosts: self, exact: None, below: None, any: true });
        }
        let exact = position(&self.exact, &name).and_then(|at| self.exact.get(at));
        let below = match exact {
            Some(entry) => entry.wider,
            None => narrowest(&self.below, &name),
        };
        Some(Matches { hosts: self, exact: exact.map(|entry| &entry.value), below, any: true })
    }
}

/// What a host leads to, from the most specific pattern to the widest.
#[derive(Debug)]
pub(super) struct Matches<'h, T> {
    hosts: &'h Hosts<T>,
    exact: Option<&'h T>,
    below: Option<usize>,
    any: bool,
}

// Derived, it would ask for `T: Clone`.
impl<T> Clone for Matches<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'h, T> Iterator for Matches<'h, T> {
    type Item = &'h T;

    fn next(&mut self) -> Option<&'h T> {
        if let Some(exact) = self.exact.take() {
            return Some(exact);
        }
        if let Some(entry) = self.below.take().and_then(|at| self.hosts.below.get(at)) {
            self.below = entry.wider;
            return Some(&entry.value);
        }
        std::mem::take(&mut self.any).then_some(&self.hosts.any)
    }
}

/// The wildcard with the longest suffix that takes `name`. It stands for one label at least, so `name` itself is
/// not below `name`.
fn narrowest<T>(below: &[Entry<T>], name: &str) -> Option<usize> {
    if below.is_empty() {
        return None;
    }
    let mut suffixes = name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..));
    suffixes.find_map(|suffix| position(below, suffix))
}

fn position<T>(entries: &[Entry<T>], name: &str) -> Option<usize> {
    entries.binary_search_by(|entry| compare(&entry.name, name)).ok()
}

fn compare(lower: &str, name: &str) -> Ordering {
    lower.bytes().cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts<&'static str> {
        let patterns = ["app.example.com", "*.example.com", "*.b.example.com", "[::1]", "192.0.2.1", "*.com"];
        Hosts::new(
            "any",
            patterns.map(|text| (HostPattern::parse(text).unwrap(), text)).into_iter().collect(),
        )
    }

    #[test]
    fn the_most_specific_host_comes_first() {
        let hosts = hosts();
        for (host, expected) in [
            ("app.example.com", &["app.example.com", "*.example.com", "*.com", "any"][..]),
            ("APP.Example.Com.:8443", &["app.example.com", "*.example.com", "*.com", "any"]),
            ("x.example.com", &["*.example.com", "*.com", "any"]),
            ("x.app.example.com", &["*.example.com", "*.com", "any"]),
            ("x.y.b.example.com", &["*.b.example.com", "*.example.com", "*.com", "any"]),
            ("b.example.com", &["*.example.com", "*.com", "any"]),
            ("example.com", &["*.com", "any"]),
            ("com", &["any"]),
            ("notexample.org", &["any"]),
            ("[0:0::1]:80", &["[::1]", "any"]),
            ("192.0.2.1", &["192.0.2.1", "any"]),
            ("", &["any"]),
        ] {
            let found: Vec<_> = hosts.find(host).unwrap().copied().collect();
            assert_eq!(found, expected, "{host}");
        }
        assert!(hosts.find("user@app.example.com").is_none());
    }
}
