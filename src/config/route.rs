//! The parts of reading a route that belong to the `route` room.

use crate::route::{HostPattern, Opened, PathPattern, Route, RouteTable, Tie};

/// The path of a route, or what is wrong with it.
pub(super) fn path(text: &str) -> Result<PathPattern, String> {
    PathPattern::parse(text).map_err(|error| error.to_string())
}

/// The host of a route, or what is wrong with it.
pub(super) fn host(text: &str) -> Result<HostPattern, String> {
    HostPattern::parse(text).map_err(|error| error.to_string())
}

/// Pairs of routes of which one opens on its host what the other protects on any; or pairs of which none is more
/// specific than the other. The auth endpoints tie with nothing.
pub(super) fn opened(routes: &[Route]) -> Result<Vec<Opened>, Vec<Tie>> {
    RouteTable::new(routes.to_vec(), Vec::new()).map(|table| table.opened())
}
