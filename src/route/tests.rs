//! The table as a whole: who finds what, and that no lenient backend finds anything else.

mod lenient;

use http::Method;
use proptest::prelude::*;

use super::{
    Access, Cors, Destination, Found, HostPattern, Origins, Owner, PathPattern, Prefix, Refusal, Route,
    RouteTable, Tie,
};
use crate::dialect::Endpoint;

fn route(host: &str, path: &str) -> Route {
    Route {
        name: format!("{host}{path}"),
        path: PathPattern::parse(path).unwrap(),
        hosts: if host.is_empty() { Vec::new() } else { vec![HostPattern::parse(host).unwrap()] },
        methods: None,
        access: Access::Protected,
        require: Vec::new(),
        forward_token: false,
        strip_prefix: None,
        cors: None,
        destination: Destination::Echo,
    }
}

fn endpoints() -> Vec<(String, Endpoint)> {
    Endpoint::ALL.map(|endpoint| (format!("/api/auth/{}", endpoint.path()), endpoint)).to_vec()
}

fn table(routes: &[(&str, &str)]) -> RouteTable {
    let routes = routes.iter().map(|(host, path)| route(host, path)).collect();
    RouteTable::new(routes, endpoints()).unwrap()
}

/// In one word: the route's name, `POST` endpoint, or the refusal.
fn outcome(table: &RouteTable, host: &str, path: &str) -> String {
    outcome_of(table, host, path, &Method::POST)
}

/// As [`outcome`], with whatever method the path's endpoint has, and with its parameter.
fn goal(table: &RouteTable, host: &str, path: &str) -> String {
    let of = |method| outcome_of(table, host, path, &method);
    match of(Method::DELETE) {
        session if session == "Session" => {
            format!("Session {}", path.trim_end_matches('/').rsplit('/').next().unwrap())
        }
        other if other != "method" => other,
        _ => Some(of(Method::GET)).filter(|other| other != "method").unwrap_or_else(|| of(Method::POST)),
    }
}

fn outcome_of(table: &RouteTable, host: &str, path: &str, method: &Method) -> String {
    match table.find(host, path, method) {
        Ok(Found::Endpoint(endpoint)) => format!("{endpoint:?}"),
        Ok(Found::Route { index, route }) => {
            assert_eq!(table.routes().get(index), Some(route));
            route.name.clone()
        }
        Err(refusal) => match refusal {
            Refusal::HostMalformed => "host",
            Refusal::MethodNotAllowed { .. } => "method",
            Refusal::NotFound => "none",
            Refusal::PathAmbiguous => "ambiguous",
            Refusal::PathMalformed => "malformed",
        }
        .to_owned(),
    }
}

#[track_caller]
fn check(table: &RouteTable, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(outcome(table, "app.example.com", path), *expected, "{path}");
    }
}

#[test]
fn ordinary_urls_find_their_route() {
    let table = table(&[("", "/*"), ("", "/api/*"), ("", "/health"), ("", "/Docs/*")]);
    check(
        &table,
        &[
            ("/", "/*"),
            ("/index.html", "/*"),
            ("/.well-known/x", "/*"),
            ("/api", "/api/*"),
            ("/api/", "/api/*"),
            ("/api/v1/users/42", "/api/*"),
            ("/api/Users", "/api/*"),
            ("/apis", "/*"),
            ("/health", "/health"),
            ("/Docs/a", "/Docs/*"),
            // What all readings agree on passes, however odd.
            ("/api/a%2Fb", "/api/*"),
            ("/api/a%2fb/../c", "/api/*"),
            ("/a//b", "/*"),
            ("/x;v=1", "/*"),
            ("/x;v=1/y;w=2", "/*"),
            ("/api/My%20File%20%281%29.pdf", "/api/*"),
            ("/api/caf%C3%A9/%E2%82%AC/%F0%9F%98%80", "/api/*"),
            ("/api/café", "/api/*"),
            ("/api/100%25", "/api/*"),
            ("/api/a%3Fb%23c", "/api/*"),
            ("/api/https:%2F%2Fexample.com%2Fa%3Fb=c%26d", "/api/*"),
            ("/api/https://example.com/a", "/api/*"),
            ("/api/%ff%fe", "/api/*"),
            ("/api/x.", "/api/*"),
            ("/api/...", "ambiguous"),
            ("/api/a...b", "/api/*"),
            ("/api/%25zz", "/api/*"),
            ("/api/v1/./users", "/api/*"),
            ("/api/v1/x/../users", "/api/*"),
            ("/a/%2e%2e/b", "/*"),
            ("/api/100%250d%250a", "/api/*"),
        ],
    );
}

#[test]
fn malformed_paths_are_refused() {
    let table = table(&[("", "/*")]);
    for path in [
        "",
        "*",
        "api",
        "app.example.com:443",
        "http://a/b",
        "/a\0",
        "/a\n",
        "/a\tb",
        "/\x7f",
        "/%00",
        "/a%00.html",
        "/a%01",
        "/a%09b",
        "/a%0a",
        "/a%0Db",
        "/a%1b%5b0m",
        "/%7f",
        "/%",
        "/%2",
        "/%zz",
        "/a%2",
        "/%u002e",
        "/%2500",
        "/%252500",
        "/%25%30%30",
        "/%2525%2500",
        "/%c0%80",
        "/%e0%80%80",
    ] {
        assert_eq!(outcome(&table, "a", path), "malformed", "{path:?}");
    }
    assert_eq!(outcome(&table, "a", &format!("/{}", "a".repeat(8191))), "/*");
    assert_eq!(outcome(&table, "a", &format!("/{}", "a".repeat(8192))), "malformed");
}

/// Spellings by which `/public/…` or `/…` reaches `/admin` behind one backend or another.
const DETOURS: [&str; 66] = [
    "/public/../admin",
    "/public/..;/admin",
    "/public/..;x=1/admin",
    "/public/.;/..;/admin",
    "/public/;/../../admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2e/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public/%2e%2e%2fadmin",
    "/public/%252e%252e/admin",
    "/public/%252e%252e%252fadmin",
    "/public/%25252e%25252e%25252fadmin",
    "/public/%%32%65%%32%65/admin",
    "/public/%25%32%65%25%32%65/admin",
    "/public/..\\admin",
    "/public\\..\\admin",
    "/public/..%5cadmin",
    "/public%5c..%5cadmin",
    "/public/%2e%2e%5Cadmin",
    "/public/..%255cadmin",
    "/public/x%2fy%5c..%5c..%5c..%5cadmin",
    "/public/./../admin",
    "/public//../../admin",
    "/public/x/../../admin",
    "/public/..%3badmin/../../admin",
    "/public/..%3b/admin",
    "/public/..%253b/admin",
    "/public/.. /admin",
    "/public/..%20/admin",
    "/public/..%09/admin",
    "/public/.%09./admin",
    "/public/.%2509./admin",
    "/public/.%250a./admin",
    "/public/..%250d/admin",
    "/public/..%2501/admin",
    "/public/.. ./admin",
    "/public/.../admin",
    "/public/..%2e/admin",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%C0%AE./admin",
    "/public/..%c0%afadmin",
    "/public/..%c0%2fadmin",
    "/public/..%e0%80%afadmin",
    "/public/..%f0%80%80%afadmin",
    "/public/..%fc%80%80%80%80%afadmin",
    "/public/..%c1%9cadmin",
    "/public/..%c1%1cadmin",
    "/public/..%25c0%25afadmin",
    "//admin",
    "///admin",
    "/./admin",
    "/x/../admin",
    "/%61dmin",
    "/%2561dmin",
    "/%252561dmin",
    "/ADMIN",
    "/Admin/x",
    "/admin;x",
    "/admin%3fx",
    "/admin%23x",
    "//evil.example/admin",
    "/\\evil.example/admin",
    "/;/admin",
];

#[test]
fn no_detour_leads_into_a_protected_place() {
    for path in DETOURS {
        let public_beside = table(&[("", "/public/*"), ("", "/admin/*"), ("", "/*")]);
        let refused = outcome(&public_beside, "", path);
        assert!(refused == "ambiguous" || refused == "malformed", "{path}: {refused}");
        let host_bound = table(&[("a.b", "/public/*"), ("a.b", "/admin/*"), ("", "/*")]);
        assert_eq!(outcome(&host_bound, "a.b:8443", path), refused, "{path}");
        let host_over_any = table(&[("*.b", "/admin/*"), ("", "/*")]);
        assert_eq!(outcome(&host_over_any, "A.b.", path), refused, "{path}");
        let no_other = table(&[("", "/admin/*")]);
        assert_eq!(outcome(&no_other, "", path), refused, "{path}");
    }
}

/// Each is found by one selection of rewrites alone.
#[test]
fn readings_that_mix_deeds_are_found() {
    let table = table(&[("", "/*"), ("", "/admin/*"), ("", "/p/x/q/admin/*"), ("", "/p/q/admin/*")]);
    check(
        &table,
        &[
            ("/p/x/q/y/.../.. /.. /admin", "ambiguous"),
            ("/y/../admin/..", "ambiguous"),
            ("/p/q/.../admin", "ambiguous"),
            ("/y%2fz/%2e%2e/admin", "ambiguous"),
            ("/y%2fz/..%3bx/admin", "ambiguous"),
            ("/y%2fz%5c..%5cadmin", "ambiguous"),
            ("/y%5cz\\..%3b/admin", "ambiguous"),
            ("/y//z/../../admin", "ambiguous"),
            ("/y;/../..;/admin;", "ambiguous"),
            ("/y/%252e%252e%2fadmin", "ambiguous"),
            ("/y/z", "/*"),
        ],
    );
}

#[test]
fn an_exact_path_is_not_passed_by_its_neighbours() {
    let table = table(&[("", "/*"), ("", "/admin"), ("", "/home/"), ("", "/")]);
    check(
        &table,
        &[
            ("/admin", "/admin"),
            ("/admin/x", "/*"),
            ("/admin/", "ambiguous"),
            ("/admin//", "ambiguous"),
            ("/admin.", "ambiguous"),
            ("/admin%20", "ambiguous"),
            ("/admin%0a", "malformed"),
            ("/admin%250a", "ambiguous"),
            ("/adm%250ain", "ambiguous"),
            ("/admin%2f", "ambiguous"),
            ("/admin/.", "ambiguous"),
            ("/admin;", "ambiguous"),
            ("/admin;/x", "ambiguous"),
            ("/admin%3f/x", "ambiguous"),
            ("/admin/x/..", "ambiguous"),
            ("/admin/. .", "ambiguous"),
            ("/admin/..", "ambiguous"),
            ("/x/../admin/..", "ambiguous"),
            ("/home/", "/home/"),
            ("/home", "ambiguous"),
            ("/", "/"),
            ("//", "ambiguous"),
            ("/.", "ambiguous"),
            ("/%20", "ambiguous"),
        ],
    );
}

#[test]
fn nothing_climbs_above_the_root() {
    let table = table(&[("", "/*")]);
    for path in
        ["/..", "/../a", "/a/../../b", "/a/..;/..", "/%2e%2e", "/a/%252e%252e/../x", "/..%5c", "/a//../../b"]
    {
        assert_eq!(outcome(&table, "", path), "ambiguous", "{path}");
    }
}

#[test]
fn a_backend_without_case_is_counted_with() {
    let table = table(&[("", "/*"), ("", "/Admin/*")]);
    check(
        &table,
        &[
            ("/Admin/x", "/Admin/*"),
            ("/admin/x", "ambiguous"),
            ("/ADMIN", "ambiguous"),
            ("/%41dmin/x", "ambiguous"),
            ("/Admin/%41", "/Admin/*"),
            ("/Other", "/*"),
        ],
    );
}

#[test]
fn what_no_route_takes_is_not_found_and_its_shadows_are_ambiguous() {
    let table = table(&[("", "/api/*")]);
    check(
        &table,
        &[("/x", "none"), ("/x%20y", "none"), ("/x/../api", "ambiguous"), ("/api/../x", "ambiguous")],
    );
}

#[test]
fn auth_endpoints_come_before_routes_on_any_host() {
    let routes =
        table(&[("", "/*"), ("app.example.com", "/api/auth/*"), ("app.example.com", "/api/auth/login")]);
    check(
        &routes,
        &[
            ("/api/auth/login", "Login"),
            ("/api/auth/login/", "Login"),
            ("/api/auth/token/refresh/", "Refresh"),
            ("/api/auth/other", "app.example.com/api/auth/*"),
            ("/api/auth", "app.example.com/api/auth/*"),
            ("/api/auth/login/x", "app.example.com/api/auth/*"),
            ("/api/auth/me", "method"),
            ("/api/auth//login", "ambiguous"),
            ("/api/auth/Login", "ambiguous"),
            ("/api/auth/login;x", "ambiguous"),
            ("/api/auth/logi%6e", "ambiguous"),
            ("/x/../api/auth/login", "ambiguous"),
            ("/api/auth/sessions/x/y", "app.example.com/api/auth/*"),
            ("/api/auth/sessionsx", "app.example.com/api/auth/*"),
        ],
    );
    assert_eq!(outcome(&routes, "other", "/api/auth/login"), "Login");
    let me = |method| routes.find("", "/api/auth/me/", &method);
    assert_eq!(me(Method::GET), Ok(Found::Endpoint(Endpoint::Me)));
    assert_eq!(me(Method::HEAD), Ok(Found::Endpoint(Endpoint::Me)));
    assert_eq!(me(Method::POST), Err(Refusal::MethodNotAllowed { allow: "GET, HEAD".parse().unwrap() }));
    for path in ["/api/auth/sessions/a0", "/api/auth/sessions/a0/", "/api/auth/sessions/no-id"] {
        assert_eq!(routes.find("", path, &Method::DELETE), Ok(Found::Endpoint(Endpoint::Session)), "{path}");
        assert_eq!(
            routes.find("", path, &Method::GET),
            Err(Refusal::MethodNotAllowed { allow: "DELETE".parse().unwrap() })
        );
    }
    // Another session's, the list's, or a route's path to somebody.
    for parameter in [
        "A0",
        "a%30",
        "a0;x",
        "a0%2f",
        "a0//",
        "a0/.",
        ".",
        "..",
        "%2e",
        "x/../a0",
        "/a0",
        "a0.",
        "a0%20",
        "a0%3fx",
        "a%2561",
        "%C3%A0/..",
        "a0%5cx",
        "a0%23",
    ] {
        let path = format!("/api/auth/sessions/{parameter}");
        assert_eq!(routes.find("", &path, &Method::DELETE), Err(Refusal::PathAmbiguous), "{path}");
    }
    assert_eq!(
        routes.find("", "/api/auth/login", &Method::GET),
        Err(Refusal::MethodNotAllowed { allow: "POST".parse().unwrap() })
    );
}

#[test]
fn the_host_decides_first_and_falls_through_only_where_no_path_fits() {
    let table = table(&[
        ("", "/*"),
        ("", "/deep/er/path"),
        ("*.b.c", "/api/*"),
        ("a.b.c", "/x/*"),
        ("*.c", "/deep/*"),
    ]);
    for (host, path, expected) in [
        ("a.b.c", "/x/1", "a.b.c/x/*"),
        ("A.B.C.:443", "/x/1", "a.b.c/x/*"),
        ("a.b.c", "/api/1", "*.b.c/api/*"),
        ("a.b.c", "/deep/er/path", "*.c/deep/*"),
        ("a.b.c", "/y", "/*"),
        ("z.b.c", "/x/1", "/*"),
        ("other", "/deep/er/path", "/deep/er/path"),
        ("", "/x/1", "/*"),
        ("a b", "/", "host"),
        ("x@a.b.c", "/", "host"),
        ("a.b.c..", "/", "host"),
    ] {
        assert_eq!(outcome(&table, host, path), expected, "{host} {path}");
    }
}

#[test]
fn a_method_never_falls_through_to_a_wider_route() {
    let mut get = route("", "/api/*");
    get.methods = Some(vec![Method::GET]);
    let mut put = route("", "/api/*");
    put.methods = Some(vec![Method::PUT]);
    let table = RouteTable::new(vec![route("", "/*"), get, put], Vec::new()).unwrap();
    let index = |method: &str| match table.find("", "/api/x", &method.parse().unwrap()) {
        Ok(Found::Route { index, .. }) => Ok(index),
        other => Err(other),
    };
    assert_eq!(index("GET"), Ok(1));
    assert_eq!(index("HEAD"), Ok(1));
    assert_eq!(index("PUT"), Ok(2));
    let refusal = Refusal::MethodNotAllowed { allow: "GET, HEAD, PUT".parse().unwrap() };
    assert_eq!(index("POST"), Err(Err(refusal)));
    assert_eq!(outcome(&table, "", "/api/../x"), "ambiguous");
}

#[test]
fn methods_decide_on_the_hosts_where_a_route_lists_some() {
    let mut get = route("a.b", "/api/*");
    get.methods = Some(vec![Method::GET]);
    let routes = vec![get, route("a.b", "/x"), route("*.b", "/x"), route("c.b", "/x"), route("", "/x")];
    let table = RouteTable::new(routes, Vec::new()).unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(|index| table.methods_decide(index)), [true, true, true, false, true]);
    let none_lists = self::table(&[("", "/*"), ("a.b", "/x")]);
    assert_eq!([0, 1].map(|index| none_lists.methods_decide(index)), [false, false]);
}

#[test]
fn what_is_left_of_a_path_has_one_meaning_too() {
    let layout = [("", "/api/v1/*"), ("", "/api/v1/admin/*"), ("", "/*")];
    check(
        &stripping(&layout, "/api/v1"),
        &[
            ("/api/v1", "/api/v1/*"),
            ("/api/v1/", "/api/v1/*"),
            ("/api/v1/x//y", "/api/v1/*"),
            ("/api/v1/x/../y", "/api/v1/*"),
            ("/api/v1/a%2Fb;c=%5c", "/api/v1/*"),
            ("/api/v1/https://x.example/y", "/api/v1/*"),
            ("/api/v1/admin/x", "/api/v1/admin/*"),
            // Another site's address to whoever is sent the rest.
            ("/api/v1//evil.example/x", "ambiguous"),
            ("/api/v1///evil.example/x", "ambiguous"),
            ("/api/v1/\\evil.example/x", "ambiguous"),
            ("/api/v1/%2fevil.example/x", "ambiguous"),
            ("/api/v1/%5cevil.example", "ambiguous"),
            ("/api/v1/%252fevil.example", "ambiguous"),
            ("/api/v1/.//evil.example", "ambiguous"),
            ("/api/v1/x/..//evil.example", "ambiguous"),
            ("/api/v1//", "ambiguous"),
            // The whole climbs nowhere, the rest does.
            ("/api/v1/../v1/x", "ambiguous"),
            ("/api/v1/x/../../../api/v1/y", "ambiguous"),
            ("/api/v1/..%2fv1/x", "ambiguous"),
            // Not there letter for letter.
            ("/%61pi/v1/x", "ambiguous"),
            ("/API/v1/x", "ambiguous"),
            ("/api//v1/x", "ambiguous"),
            ("/api;x/v1/x", "ambiguous"),
            ("/api/./v1/x", "ambiguous"),
            ("/api%2fv1/x", "ambiguous"),
            ("/api/v1;x", "ambiguous"),
            ("/api/v1%20/x", "ambiguous"),
        ],
    );
    check(
        &stripping(&layout, "/api"),
        &[("/api/v1//x", "/api/v1/*"), ("/api/v1/../v1/x", "/api/v1/*"), ("/api//v1/x", "ambiguous")],
    );
}

#[test]
fn a_path_belongs_to_somebody_whatever_else_it_may_be_read_as() {
    let cors =
        Cors { origins: Origins::Any, credentials: false, expose: None, max_age: std::time::Duration::ZERO };
    let mut get = route("", "/api/*");
    get.methods = Some(vec![Method::GET]);
    let mut put = route("", "/api/*");
    put.methods = Some(vec![Method::PUT]);
    put.cors = Some(cors.clone());
    let routes = RouteTable::new(vec![get, put, route("", "/x")], endpoints()).unwrap();
    assert!(routes.has_cors() && !table(&[("", "/*")]).has_cors());
    for (path, owner) in [
        ("/api/auth/login", Some(Owner::Endpoints)),
        ("/api/../x", Some(Owner::Routes(Some(&cors)))),
        ("/api/%00", Some(Owner::Routes(Some(&cors)))),
        ("/x", Some(Owner::Routes(None))),
        ("/y", None),
        ("*", None),
        ("", None),
    ] {
        assert_eq!(routes.owner("", path), owner, "{path}");
    }
    assert_eq!(routes.owner("a b", "/x"), None);
}

#[test]
fn ties_are_named_in_pairs() {
    let tie = |first, second| Tie { first, second };
    let of = |routes: &[(&str, &str)]| {
        let routes = routes.iter().map(|(host, path)| route(host, path)).collect();
        RouteTable::new(routes, Vec::new()).err().unwrap_or_default()
    };
    assert_eq!(of(&[("", "/*"), ("", "/a"), ("", "/*"), ("", "/*")]), [tie(0, 2), tie(0, 3), tie(2, 3)]);
    assert_eq!(of(&[("a.b", "/*"), ("", "/*"), ("*.b", "/*")]), []);
    assert_eq!(of(&[("a.b", "/x"), ("a.b", "/x/*")]), []);
    assert_eq!(of(&[("A.b.", "/x"), ("a.B", "/x")]), [tie(0, 1)]);
    assert_eq!(of(&[("", "/x"), ("", "/x/")]), [tie(0, 1)]);
    assert_eq!(of(&[("", "/X/*"), ("", "/x/*")]), [tie(0, 1)]);

    let mut get = route("", "/x");
    get.methods = Some(vec![Method::GET]);
    let mut post = route("", "/x");
    post.methods = Some(vec![Method::POST]);
    let mut upper_post = route("", "/X");
    upper_post.methods = Some(vec![Method::POST]);
    assert!(RouteTable::new(vec![get.clone(), post], Vec::new()).is_ok());
    assert_eq!(RouteTable::new(vec![get.clone(), upper_post], Vec::new()).err(), Some(vec![tie(0, 1)]));

    let mut twice = route("a.b", "/x");
    twice.hosts.push(HostPattern::Exact("A.B".to_owned()));
    assert!(RouteTable::new(vec![twice], Vec::new()).is_ok());
}

#[test]
fn a_contrived_path_costs_no_more_than_its_bound() {
    let table = table(&[("", "/*")]);
    // Each stands for one attack on the work: depth of encoding, many of everything, all kinds at once.
    for unit in
        ["%252525", "/a/..", "/;x//%2e./", "\\..%5c%255c;?#", "%2f%252f%25252f", "/a;%3b. /%2E \\ %c0%af//"]
    {
        let mut path = String::from("/");
        while path.len() + unit.len() <= 8192 {
            path.push_str(unit);
        }
        let refused = outcome(&table, "", &path);
        assert!(["/*", "ambiguous", "malformed"].contains(&refused.as_str()), "{unit}: {refused}");
    }
}

/// Layouts in which a misread path costs something.
const LAYOUTS: [&[(&str, &str)]; 5] = [
    &[("", "/*"), ("", "/admin/*"), ("", "/public/*")],
    &[("", "/*"), ("", "/public/admin/*"), ("", "/a/b")],
    &[("", "/admin/*"), ("", "/admin/public/*"), ("", "/a/")],
    &[("a.b", "/admin/*"), ("*.b", "/public"), ("", "/*"), ("", "/Admin/a/*")],
    &[("", "/"), ("", "/Admin"), ("", "/public/*")],
];

/// What paths are made of: names, and everything that somebody reads in his own way.
fn spelling() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "admin",
        "public",
        "a",
        "b",
        "Admin",
        "/",
        "/",
        "/",
        "//",
        ".",
        "..",
        "/../",
        "/..;",
        "/./",
        "\\",
        ";",
        ";x",
        ";/",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%5c",
        "%25",
        "%252e",
        "%252f",
        "%25252f",
        "%3b",
        "%3f",
        "%23",
        "%20",
        "%09",
        "%2509",
        "%250a",
        "%250D",
        "%2501",
        "%61",
        "%2561",
        "%41",
        "%c0%af",
        "%c0%ae",
        "%e0%80%af",
        "%c1%9c",
        "%25c0%25af",
        "?",
        "#",
        " ",
        "%c3%a9",
        "é",
        "api",
        "auth",
        "login",
        "/api/auth/login",
        "sessions",
        "/api/auth/sessions",
        "/api/auth/sessions/a",
    ])
}

/// Layouts and what their routes below `/api` or `/a` take off.
const STRIPPING: [(&[(&str, &str)], &str); 4] = [
    (&[("", "/*"), ("", "/api/*")], "/api"),
    (&[("", "/api/*"), ("", "/api/admin/*"), ("", "/api/a")], "/api"),
    (&[("", "/api/public/*"), ("", "/api/admin/*")], "/api"),
    (&[("a.b", "/a/b/*"), ("", "/a/*"), ("", "/*")], "/a/b"),
];

fn stripping(layout: &[(&str, &str)], prefix: &str) -> RouteTable {
    let routes = layout.iter().map(|(host, path)| {
        let mut route = route(host, path);
        route.strip_prefix = Prefix::parse(prefix, &route.path).ok();
        route
    });
    RouteTable::new(routes.collect(), endpoints()).unwrap()
}

fn stripped_path() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec!["", "/api", "/api/", "/api/public", "/api/admin", "/a/b", "/a/b/"]);
    (start, prop::collection::vec(spelling(), 0..7)).prop_map(|(start, parts)| {
        if start.is_empty() { format!("/{}", parts.concat()) } else { start.to_owned() + &parts.concat() }
    })
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(spelling(), 0..9).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_lenient_backend_finds_another_route(
        layout in 0..LAYOUTS.len(),
        path in path(),
        deeds in prop::collection::vec(lenient::deed(), 0..7),
    ) {
        let layout = LAYOUTS[layout];
        let found = goal(&table(layout), "a.b", &path);
        if found != "ambiguous" && found != "malformed" {
            let read = lenient::read(path.as_bytes(), &deeds);
            prop_assert!(!read.climbed, "{path} {deeds:?}");
            for ignores_case in [false, true] {
                let theirs = lenient::find(layout, &read.path, ignores_case, read.ignores_slash);
                prop_assert_eq!(&found, theirs, "{} {:?} {}", path, deeds, read.path.escape_ascii());
            }
        }
    }

    /// With the prefix before it again, whatever a backend makes of the rest is what the rest's route may reach.
    #[test]
    fn no_lenient_backend_finds_another_route_in_what_is_left_of_a_path(
        which in 0..STRIPPING.len(),
        path in stripped_path(),
        deeds in prop::collection::vec(lenient::deed(), 0..7),
    ) {
        let (layout, prefix) = STRIPPING[which];
        let table = stripping(layout, prefix);
        let found = table.find("a.b", &path, &Method::POST);
        if let Ok(Found::Route { route, .. }) = found
            && let Some(prefix) = &route.strip_prefix
        {
            let left = prefix.strip(&path).unwrap();
            let read = lenient::read(left.as_bytes(), &deeds);
            prop_assert!(!read.climbed, "{path} {deeds:?}");
            prop_assert!(!read.path.starts_with(b"//"), "{path} {deeds:?}");
            let whole = [prefix.to_string().as_bytes(), &read.path].concat();
            for ignores_case in [false, true] {
                let theirs = lenient::find(layout, &whole, ignores_case, read.ignores_slash);
                prop_assert_eq!(&route.name, theirs, "{} {:?} {}", path, deeds, whole.escape_ascii());
            }
        }
    }

    /// A reading, sent as a path of its own, leads to no other route than the path that it is a reading of.
    #[test]
    fn a_reading_of_a_reading_finds_nothing_new(
        layout in 0..LAYOUTS.len(),
        path in path(),
        deeds in prop::collection::vec(lenient::deed(), 1..7),
    ) {
        let table = table(LAYOUTS[layout]);
        let found = outcome(&table, "a.b", &path);
        let read = lenient::read(path.as_bytes(), &deeds);
        if let Ok(reading) = std::str::from_utf8(&read.path)
            && found != "ambiguous"
            && found != "malformed"
            && !reading.contains(['?', '#'])
            && !read.ignores_slash
        {
            let again = outcome(&table, "a.b", reading);
            prop_assert!(
                again == found || again == "ambiguous" || again == "malformed",
                "{path} finds {found}, {reading} finds {again}"
            );
        }
    }

    #[test]
    fn any_text_gets_an_answer_and_the_same_again(
        host in "\\PC{0,12}", path in "(/|%[0-9a-f]{2}|\\PC|[.;\\\\]){0,24}"
    ) {
        let table = table(LAYOUTS[0]);
        prop_assert_eq!(outcome(&table, &host, &path), outcome(&table, &host, &path));
    }
}
