use super::*;

const LARGE: &str = r#"
listen = { https = "[::]:8443", workers = 3 }
[tls]
certificates = [{ cert = "keys/a.crt", key = "keys/a.key" }]
min_version = "1.3"
[store]
url = "sqlite:../users.db"
[tokens]
issuer = "https://auth.example.com"
audience = ["orders", "bills"]
access_lifetime = "90s"
claims = { zeta = "username", alpha = "roles", "quo ted" = "shoe size" }
[[tokens.key]]
id = "new"
algorithm = "HS256"
secret = { file = "keys/a.secret" }
[[tokens.key]]
id = "old"
algorithm = "HS256"
allow_short = true
secret = { env = "OLD" }
[identity.headers]
X-Zeta = "zeta"
X-Alpha = "alpha"
[identity]
strip = ["X-Debug"]
forward_token = true
[auth]
prefix = "off"
login_by = ["email"]
throttle.per_account.attempts = 3
[limits]
auth_body = 1_000
header_size = "64KiB"
[upstream."orders.v2"]
servers = ["http://[::1]:8000"]
host = "upstream"
retries = 0
[[route]]
path = "/orders/*"
hosts = ["App.example.com", "*.example.com"]
methods = ["GET", "PURGE"]
upstream = "orders.v2"
[[route]]
path = "/"
upstream = "http://backend"
access = "public"
forward_token = false
[[route]]
path = "/users/*"
upstream = "echo"
require = { alpha = ["admin", 7], "quo ted" = [true] }
strip_prefix = "/users"
[route.cors]
origins = ["https://a.example", "http://[::1]:5173"]
expose = ["X-Total"]
[[route]]
path = "/bills"
upstream = "echo"
cors.origins = ["*"]
[admin]
listen = "127.0.0.1:0"
"#;

fn large() -> Site {
    Site::new(LARGE)
        .certificate("keys/a.crt", "keys/a.key")
        .write("keys/a.secret", "0123456789abcdef0123456789abcdef\n")
        .set("OLD", "short")
}

#[test]
fn what_is_printed_reads_back_as_the_same_settings() {
    for site in [large(), Site::new(SMALLEST)] {
        let before = format!("{:?}", site.settings());
        let printed = site.read().unwrap().print();
        let site = site.write("gateway.toml", &printed);
        assert_eq!(format!("{:?}", site.settings()), before, "{printed}");
        let again = site.read().unwrap().print();
        assert_eq!(again, printed.replace(" # default", ""));
    }
}

#[test]
fn defaults_are_filled_in_and_marked() {
    let printed = Site::new(&format!("{SMALLEST}[auth]\nregistration = true\n")).read().unwrap().print();
    for line in [
        "https = \"0.0.0.0:8443\" # default",
        "registration = true",
        "access = \"protected\" # default",
        "# issuer is not set",
        "path = \"/*\"",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
}

#[test]
fn secrets_are_masked() {
    let site = Site::new(&format!(
        "{SMALLEST}[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\n\
         secret = {{ inline = \"0123456789abcdef0123456789abcdef\" }}\n"
    ));
    let printed = site.read().unwrap().print();
    assert!(printed.contains("secret = { inline = \"********\" }"), "{printed}");
    assert!(!printed.contains("0123456789"));
    toml::from_str::<toml::Table>(&printed).unwrap();
    assert_eq!(
        site.warnings(),
        "warning: a secret stands in the configuration file\n --> gateway.toml:7:10\n  |\n\
         7 | secret = { inline = ******** }\n  |          ^^^^^^^^^^^^^^^^^^^^^ whoever reads the file has it: \
         better { file = … } or { env = … }\n"
    );
}
