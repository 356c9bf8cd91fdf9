//! Routes that undo what a wider one protects: a warning's matter, since it may be meant.

use super::{Access, PathPattern, Route, group};

/// A route that opens on its host what another protects on any host: right now and then, a hole more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The index of the route that lets more users pass, which names hosts.
    pub opens: usize,
    /// The index of the route that lets fewer pass, which names none.
    pub protects: usize,
}

pub(super) fn opened(routes: &[Route]) -> Vec<Opened> {
    let mut found = Vec::new();
    for (opens, open) in routes.iter().enumerate() {
        if open.hosts.is_empty() {
            continue;
        }
        for (protects, protected) in routes.iter().enumerate() {
            let counts = protected.hosts.is_empty() && closure(open) < closure(protected);
            if counts && group::overlap(open, protected) && lays_open(open, protected, routes) {
                found.push(Opened { opens, protects });
            }
        }
    }
    found
}

/// How few a route lets pass.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Closure {
    /// Whoever comes passes.
    Open,
    /// Whoever has a token.
    Users,
    /// Whoever has a token of which a rule is true; which rule lets more pass is not for us to say.
    SomeUsers,
}

fn closure(route: &Route) -> Closure {
    match route.access {
        // A rule is met by nobody who is not known.
        Access::Optional | Access::Protected if !route.require.is_empty() => Closure::SomeUsers,
        Access::Protected => Closure::Users,
        Access::Optional | Access::Public => Closure::Open,
    }
}

/// Whether some path is taken by both, and neither leaves all such paths to a more specific route of its own kind.
fn lays_open(open: &Route, protected: &Route, routes: &[Route]) -> bool {
    // Two patterns that share a path lie one within the other.
    let shared = if open.path.covers(&protected.path) {
        &protected.path
    } else if protected.path.covers(&open.path) {
        &open.path
    } else {
        return false;
    };
    let taken_instead = |from: &Route, of_its_kind: &dyn Fn(&Route) -> bool| {
        let mut others = routes.iter().filter(|other| of_its_kind(other));
        others.any(|other| other.path.covers(shared) && is_narrower(&other.path, &from.path))
    };
    !taken_instead(protected, &|other| other.hosts.is_empty())
        && !taken_instead(open, &|other| open.hosts.iter().all(|host| other.hosts.contains(host)))
}

fn is_narrower(one: &PathPattern, other: &PathPattern) -> bool {
    one != other && other.covers(one)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Destination, HostPattern},
        *,
    };
    use http::Method;

    fn route(host: &str, path: &str, access: Access) -> Route {
        Route {
            name: format!("{host}{path}"),
            path: PathPattern::parse(path).unwrap(),
            hosts: if host.is_empty() { Vec::new() } else { vec![HostPattern::parse(host).unwrap()] },
            methods: None,
            access,
            require: Vec::new(),
            forward_token: false,
            strip_prefix: None,
            cors: None,
            destination: Destination::Echo,
        }
    }

    #[track_caller]
    fn check(routes: &[(&str, &str, Access)], expected: &[(usize, usize)]) {
        let routes: Vec<_> = routes.iter().map(|(host, path, access)| route(host, path, *access)).collect();
        let found: Vec<_> = opened(&routes).iter().map(|pair| (pair.opens, pair.protects)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_host_that_opens_what_all_hosts_protect_is_found() {
        use Access::{Protected, Public};
        check(&[("", "/admin/*", Protected), ("a.b", "/*", Public)], &[(1, 0)]);
        check(&[("", "/*", Protected), ("*.a.b", "/static/*", Public)], &[(1, 0)]);
        check(&[("", "/x", Protected), ("a.b", "/x", Public)], &[(1, 0)]);
    }

    #[test]
    fn what_does_not_meet_is_not() {
        use Access::{Protected, Public};
        check(&[("", "/admin/*", Protected), ("a.b", "/static/*", Public)], &[]);
        check(&[("", "/*", Public), ("a.b", "/*", Public)], &[]);
        check(&[("", "/*", Protected), ("", "/static/*", Public)], &[]);
        check(&[("a.b", "/*", Protected), ("a.b", "/static/*", Public)], &[]);
        check(&[("", "/*", Protected), ("a.b", "/*", Protected)], &[]);
    }

    #[test]
    fn a_narrower_route_between_the_two_settles_it() {
        use Access::{Protected, Public};
        check(&[("", "/*", Protected), ("", "/static/*", Public), ("a.b", "/static/*", Public)], &[]);
        check(&[("", "/admin/*", Protected), ("a.b", "/*", Public), ("a.b", "/admin/*", Protected)], &[]);
    }

    #[test]
    fn anonymous_users_and_lost_rules_open_too() {
        let with_rule = |mut route: Route| {
            let claim = super::super::Claim::User;
            route.require = vec![super::super::Requirement { claim, values: vec!["1".to_owned()] }];
            route
        };
        let found = |routes: &[Route]| opened(routes).len();
        let protected = || route("", "/*", Access::Protected);
        assert_eq!(found(&[protected(), route("a.b", "/*", Access::Optional)]), 1);
        assert_eq!(found(&[protected(), with_rule(route("a.b", "/*", Access::Optional))]), 0);
        assert_eq!(found(&[with_rule(protected()), route("a.b", "/*", Access::Protected)]), 1);
        assert_eq!(found(&[with_rule(protected()), with_rule(route("a.b", "/*", Access::Protected))]), 0);
        assert_eq!(found(&[route("", "/*", Access::Optional), route("a.b", "/*", Access::Public)]), 0);
    }

    #[test]
    fn methods_that_do_not_meet_open_nothing() {
        let mut protected = route("", "/*", Access::Protected);
        protected.methods = Some(vec![Method::POST]);
        let mut open = route("a.b", "/*", Access::Public);
        open.methods = Some(vec![Method::GET]);
        assert_eq!(opened(&[protected, open]), []);
    }
}
