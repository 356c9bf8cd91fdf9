//! The parts of reading a route that belong to the `route` room.

use crate::route::{HostPattern, PathPattern, Route};

/// The path of a route, or what is wrong with it.
pub(super) fn path(text: &str) -> Result<PathPattern, String> {
    if !text.starts_with('/') {
        return Err("expected a path that begins with `/`".to_owned());
    }
    let (path, is_below) = match text.strip_suffix("/*") {
        Some(path) => (path, true),
        None => (text, false),
    };
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?#%;\\".contains(&byte));
    if !is_plain
        || path.split('/').skip(1).any(|segment| matches!(segment, "." | ".."))
        || path.contains("//")
    {
        return Err("expected a plain path, with `/*` at its end for all below it".to_owned());
    }
    Ok(if is_below { PathPattern::Below(path.to_owned()) } else { PathPattern::Exact(path.to_owned()) })
}

/// The host of a route, or what is wrong with it.
pub(super) fn host(text: &str) -> Result<HostPattern, String> {
    let lower = text.to_ascii_lowercase();
    let (host, is_below) = match lower.strip_prefix("*.") {
        Some(host) => (host, true),
        None => (lower.as_str(), false),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if !host.split('.').all(is_label) {
        return Err(
            r#"expected a host such as "app.example.com" or "*.example.com", without a port"#.to_owned()
        );
    }
    Ok(if is_below { HostPattern::Below(host.to_owned()) } else { HostPattern::Exact(host.to_owned()) })
}

/// Pairs of routes of which none is more specific than the other, by index.
pub(super) fn ties(routes: &[Route]) -> Vec<(usize, usize)> {
    let pairs = routes.iter().enumerate().flat_map(|(first, one)| {
        routes.iter().enumerate().skip(first + 1).map(move |(second, other)| ((first, one), (second, other)))
    });
    pairs
        .filter(|((_, one), (_, other))| is_tie(one, other))
        .map(|((one, _), (other, _))| (one, other))
        .collect()
}

fn is_tie(one: &Route, other: &Route) -> bool {
    let same_host = (one.hosts.is_empty() && other.hosts.is_empty())
        || one.hosts.iter().any(|host| other.hosts.contains(host));
    let same_method = match (&one.methods, &other.methods) {
        (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
        _ => true,
    };
    one.path == other.path && same_host && same_method
}
