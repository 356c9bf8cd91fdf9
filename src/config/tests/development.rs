use std::{os::unix::fs::PermissionsExt, sync::Barrier, thread};

use super::*;
use crate::secret::ExposeSecret;

fn mode(site: &Site, name: &str) -> u32 {
    fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o777
}

/// The chain of the only certificate.
fn shown(settings: &Settings) -> &[rustls::pki_types::CertificateDer<'static>] {
    let certificates = &settings.server.https.as_ref().unwrap().certificates;
    assert_eq!(certificates.len(), 1);
    &certificates[0].key.cert
}

#[test]
fn reading_makes_nothing() {
    let site = Site::new(SMALLEST);
    let checked = site.read().unwrap();
    checked.print();
    assert_eq!(fs::read_dir(site.folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_missing_is_made_for_nobody_else_to_read() {
    let site = Site::new(SMALLEST);
    let settings = site.settings();

    assert_eq!(mode(&site, "certs/dev.key"), 0o600);
    assert_eq!(mode(&site, "data/jwt.secret"), 0o600);
    let secret = fs::read_to_string(site.path("data/jwt.secret")).unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret:?}");
    let keys = settings.tokens.keys;
    assert_eq!(keys[0].secret.expose_secret(), secret.as_bytes());
    assert_eq!(keys.len(), 1);
    let made: Vec<_> =
        ["certs", "data"].iter().flat_map(|name| fs::read_dir(site.path(name)).unwrap()).collect();
    assert_eq!(made.len(), 3, "{made:?}");
}

#[test]
fn the_second_start_uses_what_the_first_made() {
    let site = Site::new(SMALLEST);
    let (first, second) = (site.settings(), site.settings());
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(first.tokens.keys[0].secret.expose_secret(), second.tokens.keys[0].secret.expose_secret());
}

#[test]
fn gateways_that_start_at_once_agree() {
    for _ in 0..10 {
        let site = Site::new(SMALLEST);
        let gateways = 4;
        let start = Barrier::new(gateways);
        let settings: Vec<Settings> = thread::scope(|scope| {
            let one = || {
                let checked = site.read().unwrap();
                start.wait();
                checked.prepare().unwrap()
            };
            let running: Vec<_> = (0..gateways).map(|_| scope.spawn(one)).collect();
            running.into_iter().map(|gateway| gateway.join().unwrap()).collect()
        });
        for other in &settings {
            assert_eq!(shown(other), shown(&settings[0]));
            let secrets =
                [other, &settings[0]].map(|settings| settings.tokens.keys[0].secret.expose_secret());
            assert_eq!(secrets[0], secrets[1]);
        }
        assert_eq!(fs::read_dir(site.path("certs")).unwrap().count(), 2);
    }
}

#[test]
fn a_start_that_was_cut_off_is_finished() {
    let site = Site::new(SMALLEST);
    site.settings();
    fs::remove_file(site.path("certs/dev.crt")).unwrap();
    site.settings();
}

#[test]
fn what_is_there_and_does_not_do_is_a_fault() {
    let other = Site::new("").certificate("crt", "key");
    let stranger = fs::read(other.path("key")).unwrap();
    for (site, expected) in [
        (Site::new(SMALLEST).write("data/jwt.secret", "short"), "`data/jwt.secret` has fewer than 32 bytes"),
        (Site::new(SMALLEST).write("certs/dev.crt", "x"), "`certs/dev.crt` is there without its key"),
        (Site::new(SMALLEST).write("certs/dev.key", "x"), "the development key cannot be read"),
        (
            Site::new(SMALLEST)
                .certificate("certs/dev.crt", "certs/dev.key")
                .write("certs/dev.key", stranger),
            "; remove it and its key",
        ),
    ] {
        let faults = site.faults();
        assert!(faults.contains(expected), "{faults}");
        // No line of the file is to blame for it.
        assert!(!faults.contains("gateway.toml"), "{faults}");
        assert_eq!(site.read().unwrap_err().iter().next().unwrap().position, None);
    }
}

#[test]
fn what_cannot_be_made_is_an_error() {
    let site = Site::new(SMALLEST)
        .write("data", "a file where a folder belongs")
        .certificate("certs/dev.crt", "certs/dev.key");
    // Reading the secret already fails: its folder is a file.
    assert!(site.faults().contains("the development secret cannot be used"));
    let site = Site::new(SMALLEST);
    let checked = site.read().unwrap();
    let site = site.write("certs", "a file where a folder belongs");
    let error = checked.prepare().unwrap_err().to_string();
    assert!(site.seen_from_here(&error).starts_with("cannot prepare `certs/dev.crt`"), "{error}");
}

#[test]
fn a_configuration_that_names_its_own_makes_nothing() {
    let site = Site::new(&format!(
        "{SMALLEST}[tls]\ncertificates = [{{ cert = \"a.crt\", key = \"a.key\" }}]\n[[tokens.key]]\nid = \"a\"\n\
         algorithm = \"HS256\"\nsecret = {{ env = \"SECRET\" }}\n"
    ))
    .certificate("a.crt", "a.key")
    .set("SECRET", "0123456789abcdef0123456789abcdef");
    site.settings();
    assert!(!site.path("certs").exists() && !site.path("data").exists());
}
