//! Whatever the path: an answer, the same twice, and the same reading for every backend we know of.
#![no_main]

use std::sync::LazyLock;

use http::Method;
use libfuzzer_sys::fuzz_target;
use portcullis::route::{Found, RouteTable};
use portcullis_fuzz::{settings, table};

#[path = "../../tests/it/corpus/models.rs"]
mod models;

/// A layout, and whether a path is one that it protects.
static LAYOUTS: LazyLock<[(RouteTable, fn(&[u8]) -> bool); 2]> = LazyLock::new(|| {
    [
        (table(&settings(PUBLIC_IN_PROTECTED)), |path| !models::is_below(path, b"/public")),
        (table(&settings(PROTECTED_IN_PUBLIC)), |path| models::is_below(path, b"/admin")),
    ]
});

fuzz_target!(|input: &[u8]| {
    let Ok(path) = std::str::from_utf8(input) else { return };
    for (table, protects) in LAYOUTS.iter() {
        let found = table.find("a.example", path, &Method::GET);
        assert_eq!(found, table.find("a.example", path, &Method::GET));
        let open = matches!(found, Ok(Found::Route { route, .. }) if route.access == portcullis::route::Access::Public);
        if !open {
            continue;
        }
        for (name, model) in models::MODELS {
            if let Some(read) = model(path.as_bytes()) {
                assert!(!protects(&read), "{name} reads {path:?} as {}", read.escape_ascii());
            }
        }
    }
    // A host is no less a stranger's.
    let (table, _) = &LAYOUTS[0];
    assert_eq!(table.find(path, "/public/x", &Method::GET), table.find(path, "/public/x", &Method::GET));
});

const PUBLIC_IN_PROTECTED: &str = r#"
[[route]]
path = "/*"
upstream = "echo"
[[route]]
path = "/public/*"
upstream = "echo"
access = "public"
"#;

const PROTECTED_IN_PUBLIC: &str = r#"
[[route]]
path = "/*"
upstream = "echo"
access = "public"
[[route]]
path = "/admin/*"
upstream = "echo"
"#;
