//! What the method decides, among routes that host and path do not tell apart.

use http::{HeaderValue, Method};

use super::{Cors, Route};

/// The routes of one host pattern and one path pattern: among them the method alone decides.
#[derive(Debug)]
pub(super) struct Group {
    /// Indices into the table's routes; at most one of them takes any method.
    members: Vec<usize>,
    /// What a refused method is told.
    allow: HeaderValue,
}

impl Group {
    pub(super) fn new(members: Vec<usize>, routes: &[Route]) -> Self {
        let listed = members.iter().filter_map(|index| routes.get(*index)?.methods.as_deref()).flatten();
        let allow = allow(listed);
        Self { members, allow }
    }

    /// The route that takes `method`, or what `Allow` says (RFC 9110, section 10.2.1).
    pub(super) fn route<'r>(
        &self,
        method: &Method,
        routes: &'r [Route],
    ) -> Result<(usize, &'r Route), &HeaderValue> {
        let mut members = self.members.iter().filter_map(|index| Some((*index, routes.get(*index)?)));
        members.find(|(_, route)| takes(route, method)).ok_or(&self.allow)
    }

    /// What the first member that says so lets other sites' pages do.
    pub(super) fn cors<'r>(&self, routes: &'r [Route]) -> Option<&'r Cors> {
        self.members.iter().find_map(|index| routes.get(*index)?.cors.as_ref())
    }
}

/// The methods as `Allow` lists them, with the HEAD that follows GET.
pub(super) fn allow<'m>(methods: impl IntoIterator<Item = &'m Method>) -> HeaderValue {
    let mut names: Vec<&str> = Vec::new();
    for method in methods {
        let followed_by = if method == Method::GET { Some(Method::HEAD.as_str()) } else { None };
        for name in std::iter::once(method.as_str()).chain(followed_by) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // A method is a token, so this never fails; and an empty `Allow` would be true of a route without methods.
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// Whether some method is taken by both.
pub(super) fn overlap(one: &Route, other: &Route) -> bool {
    match (&one.methods, &other.methods) {
        (None, _) => !matches!(&other.methods, Some(methods) if methods.is_empty()),
        (Some(methods), None) => !methods.is_empty(),
        (Some(methods), Some(_)) => methods
            .iter()
            .any(|method| takes(other, method) || (method == Method::GET && takes(other, &Method::HEAD))),
    }
}

fn takes(route: &Route, method: &Method) -> bool {
    let Some(methods) = &route.methods else { return true };
    methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Access, Destination, PathPattern},
        *,
    };

    fn route(methods: Option<&[Method]>) -> Route {
        Route {
            name: "/*".to_owned(),
            path: PathPattern::Below(String::new()),
            hosts: Vec::new(),
            methods: methods.map(<[Method]>::to_vec),
            access: Access::Protected,
            require: Vec::new(),
            forward_token: false,
            strip_prefix: None,
            cors: None,
            destination: Destination::Echo,
        }
    }

    #[test]
    fn head_follows_get_and_allow_lists_all() {
        let routes = [route(Some(&[Method::GET])), route(Some(&[Method::POST, Method::PUT]))];
        let group = Group::new(vec![0, 1], &routes);
        let found = |method| group.route(&method, &routes).map(|(index, _)| index);
        assert_eq!(found(Method::GET), Ok(0));
        assert_eq!(found(Method::HEAD), Ok(0));
        assert_eq!(found(Method::PUT), Ok(1));
        assert_eq!(found(Method::DELETE), Err(&HeaderValue::from_static("GET, HEAD, POST, PUT")));
        assert_eq!(allow([&Method::HEAD, &Method::GET, &Method::GET]), "HEAD, GET");
    }

    #[test]
    fn methods_overlap_where_one_request_could_take_both() {
        let get = route(Some(&[Method::GET]));
        let head = route(Some(&[Method::HEAD]));
        let post = route(Some(&[Method::POST]));
        let any = route(None);
        for (one, other, expected) in [
            (&get, &get, true),
            (&get, &head, true),
            (&get, &post, false),
            (&head, &post, false),
            (&get, &any, true),
            (&any, &any, true),
            (&any, &route(Some(&[])), false),
        ] {
            assert_eq!(overlap(one, other), expected, "{:?} {:?}", one.methods, other.methods);
            assert_eq!(overlap(other, one), expected, "{:?} {:?}", other.methods, one.methods);
        }
    }
}
