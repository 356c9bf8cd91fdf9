//! Every route and auth endpoint in one table: what a request finds, or why it finds nothing.
//!
//! Here the readings of a path are compared: each must lead where the plain one leads.
//! Never here: who may pass (`gateway`).

use std::collections::{BTreeMap, HashMap};

use http::{HeaderValue, Method};

use super::{
    Cors, HostPattern, Opened, PathPattern, Route,
    endpoints::{Call, Endpoints},
    group::{self, Group},
    hosts::{Hosts, Matches},
    opened,
    path_map::{PathMap, loosely},
    reading::RawPath,
};
use crate::dialect::Endpoint;

/// Every route and auth endpoint, the most specific first: auth endpoints, then hosts (exact, below, any), then
/// paths (exact, the longest prefix); of the routes that share both, at most one takes a method.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Route>,
    groups: Vec<Group>,
    /// On any host, before any route.
    endpoints: Endpoints,
    /// The values are indices into `groups`.
    hosts: Hosts<PathMap<usize>>,
    /// Whether some pattern itself has capitals or a trailing slash.
    has_loose_patterns: bool,
    /// Route for route.
    methods_decide: Vec<bool>,
    has_cors: bool,
}

impl RouteTable {
    /// A table of `routes`, whose order does not count, and of `endpoints`, each with its full path without
    /// trailing slash and parameter, as in `/api/auth/login`.
    ///
    /// Fails with every [`Tie`] between two routes.
    pub fn new(routes: Vec<Route>, endpoints: Vec<(String, Endpoint)>) -> Result<Self, Vec<Tie>> {
        let endpoints = Endpoints::new(endpoints);
        let members = members(&routes)?;
        let mut any = PathMap::new();
        let mut named: BTreeMap<HostPattern, PathMap<usize>> = BTreeMap::new();
        let mut groups = Vec::with_capacity(members.len());
        for ((host, _), indices) in members {
            let Some(first) = indices.first().and_then(|index| routes.get(*index)) else { continue };
            let paths = match host {
                None => &mut any,
                Some(host) => named.entry(host).or_insert_with(PathMap::new),
            };
            paths.insert(&first.path, groups.len());
            groups.push(Group::new(indices, &routes));
        }
        let has_loose_patterns = endpoints.has_loose_patterns()
            || any.has_loose_patterns()
            || named.values().any(PathMap::has_loose_patterns);
        let hosts = Hosts::new(any, named);
        let methods_decide = routes.iter().map(|route| methods_decide(route, &routes)).collect();
        let has_cors = routes.iter().any(|route| route.cors.is_some());
        Ok(Self { routes, groups, endpoints, hosts, has_loose_patterns, methods_decide, has_cors })
    }

    /// Which route or endpoint a request takes.
    ///
    /// `host` is as sent, port and all, or empty where none was; `path` is the request target's, raw and without
    /// the query.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Result<Found<'_>, Refusal> {
        let hosts = self.hosts.find(host).ok_or(Refusal::HostMalformed)?;
        let sent = path;
        let path = RawPath::parse(sent)?;
        let goal = self.goal(&hosts, path.plain());
        let loosely = |reading: &[u8]| is_loosely(self.goal_loosely(&hosts, reading), goal);
        // Where no letter case and no slash could make a difference, the second look-up is spared.
        if (self.has_loose_patterns || path.is_loose()) && !loosely(path.plain()) {
            return Err(Refusal::PathAmbiguous);
        }
        path.other_readings(|reading| self.goal(&hosts, reading) == goal && loosely(reading))?;
        match goal {
            None => Err(Refusal::NotFound),
            Some(Goal::Endpoint(call)) => answers(call.endpoint, method),
            Some(Goal::Group(group)) => {
                let group = self.groups.get(group).ok_or(Refusal::NotFound)?;
                let found = group.route(method, &self.routes);
                let (index, route) =
                    found.map_err(|allow| Refusal::MethodNotAllowed { allow: allow.clone() })?;
                if let Some(prefix) = &route.strip_prefix {
                    prefix.check(sent, |reading| self.goal(&hosts, reading) == goal && loosely(reading))?;
                }
                Ok(Found::Route { index, route })
            }
        }
    }

    /// Whose the path is byte for byte, whatever else it may be read as: who speaks where a request is refused.
    pub fn owner(&self, host: &str, path: &str) -> Option<Owner<'_>> {
        let hosts = self.hosts.find(host)?;
        match self.goal(&hosts, path.as_bytes())? {
            Goal::Endpoint(_) => Some(Owner::Endpoints),
            Goal::Group(group) => self.groups.get(group).map(|group| Owner::Routes(group.cors(&self.routes))),
        }
    }

    /// Whether some route answers other sites' pages itself.
    pub const fn has_cors(&self) -> bool {
        self.has_cors
    }

    /// The routes as they were given.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether, on some host of the route of that index, a route lists methods: there a request must not tell the
    /// upstream that it is of another method (`X-HTTP-Method-Override`).
    pub fn methods_decide(&self, index: usize) -> bool {
        self.methods_decide.get(index).is_none_or(|decide| *decide)
    }

    /// Every pair of routes of which one opens on its host what the other protects on any host.
    pub fn opened(&self) -> Vec<Opened> {
        opened::opened(&self.routes)
    }

    fn goal<'p>(&self, hosts: &Matches<'_, PathMap<usize>>, path: &'p [u8]) -> Option<Goal<'p>> {
        let of_endpoint = self.endpoints.find(path).map(Goal::Endpoint);
        of_endpoint.or_else(|| hosts.clone().find_map(|paths| paths.find(path)).map(Goal::Group))
    }

    fn goal_loosely<'p>(&self, hosts: &Matches<'_, PathMap<usize>>, path: &'p [u8]) -> Option<Goal<'p>> {
        let of_endpoint = self.endpoints.find_loosely(path).map(Goal::Endpoint);
        of_endpoint.or_else(|| hosts.clone().find_map(|paths| paths.find_loosely(path)).map(Goal::Group))
    }
}

/// What a request leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'t> {
    /// An auth endpoint, asked with a method that it answers.
    Endpoint(Endpoint),
    /// A route.
    Route {
        /// Its place in the list that the table was made of.
        index: usize,
        /// The route itself.
        route: &'t Route,
    },
}

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'t> {
    /// The auth endpoints'.
    Endpoints,
    /// Some routes' that differ in their methods alone, with what the first of them that says anything says.
    Routes(Option<&'t Cors>),
}

/// Why a request leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host is none (400; RFC 9112, section 3.2).
    #[error("the request's host is malformed")]
    HostMalformed,
    /// Host and path are known, the method is not (405).
    #[error("the method is not allowed here")]
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: HeaderValue,
    },
    /// No route (404).
    #[error("no route takes this host and path")]
    NotFound,
    /// A lenient backend might read the path as one of another route, or climb above the root (400).
    #[error("the request's path could be read in more than one way")]
    PathAmbiguous,
    /// Control bytes, NUL, broken escapes, no slash in front, or too long (400).
    #[error("the request's path is malformed")]
    PathMalformed,
}

/// Two routes of one host between which nothing decides: the same path and a method in common, or paths that
/// differ in case or a trailing slash alone, so that no backend need tell them apart and every request to either
/// would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tie {
    /// The index of the one that was given earlier.
    pub first: usize,
    /// The index of the other.
    pub second: usize,
}

/// What one reading of a path finds. Routes that differ in their methods alone are one goal: it is the same for
/// every method whether a path is ambiguous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal<'p> {
    Endpoint(Call<'p>),
    Group(usize),
}

/// A host pattern (`None`: any host) and a path pattern as a lenient backend reads it.
type Place = (Option<HostPattern>, PathPattern);

/// Which routes share a place; the indices of each in order.
fn members(routes: &[Route]) -> Result<HashMap<Place, Vec<usize>>, Vec<Tie>> {
    let mut members: HashMap<Place, Vec<usize>> = HashMap::new();
    let mut ties = Vec::new();
    for (second, route) in routes.iter().enumerate() {
        let any = route.hosts.is_empty().then_some(None);
        for host in any.into_iter().chain(route.hosts.iter().map(|host| Some(in_lower_case(host)))) {
            let others = members.entry((host, loosely(&route.path))).or_default();
            // A route may name a host twice.
            if others.last() == Some(&second) {
                continue;
            }
            let tied = |other: &Route| other.path != route.path || group::overlap(other, route);
            let tied = others.iter().filter(|first| routes.get(**first).is_some_and(tied));
            ties.extend(tied.map(|&first| Tie { first, second }));
            others.push(second);
        }
    }
    ties.sort_unstable();
    ties.dedup();
    if ties.is_empty() { Ok(members) } else { Err(ties) }
}

/// Whether a backend that ignores case and a trailing slash, and finds `loose`, is where the plain bytes lead.
fn is_loosely(loose: Option<Goal<'_>>, plain: Option<Goal<'_>>) -> bool {
    match (loose, plain) {
        (Some(Goal::Endpoint(loose)), Some(Goal::Endpoint(plain))) => loose.is_loosely(plain),
        (loose, plain) => loose == plain,
    }
}

fn methods_decide(route: &Route, routes: &[Route]) -> bool {
    let meet = |other: &Route| {
        let mut hosts = route.hosts.iter();
        route.hosts.is_empty()
            || other.hosts.is_empty()
            || hosts.any(|host| other.hosts.iter().any(|other| host.overlaps(other)))
    };
    routes.iter().any(|other| other.methods.is_some() && meet(other))
}

fn in_lower_case(host: &HostPattern) -> HostPattern {
    match host {
        HostPattern::Exact(name) => HostPattern::Exact(name.to_ascii_lowercase()),
        HostPattern::Below(name) => HostPattern::Below(name.to_ascii_lowercase()),
    }
}

fn answers<'t>(endpoint: Endpoint, method: &Method) -> Result<Found<'t>, Refusal> {
    let answered = endpoint.method();
    if *method == answered || (method == Method::HEAD && answered == Method::GET) {
        Ok(Found::Endpoint(endpoint))
    } else {
        Err(Refusal::MethodNotAllowed { allow: group::allow([&answered]) })
    }
}
