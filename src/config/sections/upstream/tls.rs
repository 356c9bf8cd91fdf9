//! `[upstream.NAME] tls`: which servers are believed, and who we are to them.

use std::sync::Arc;

use rustls::{RootCertStore, sign::CertifiedKey};

use crate::{
    config::{context::Place, files, reader::Section, value::Written},
    proxy::{self, ServerTls, UpstreamTls},
    server,
};

/// How the servers of an upstream prove themselves, and how we do.
pub(super) struct Credentials {
    tls: UpstreamTls,
    /// Instead of the host that each URL has.
    server_name: Option<String>,
}

impl Credentials {
    /// What is asked for where nothing is said: whom the system believes.
    pub(super) fn usual(roots: &mut SystemRoots) -> Result<Self, String> {
        let tls = UpstreamTls::new(roots.read(WITHOUT_ROOTS)?, None).map_err(|error| error.to_string())?;
        Ok(Self { tls, server_name: None })
    }

    /// For the server of that host.
    pub(super) fn expecting(&self, host: &str) -> Result<ServerTls, String> {
        let name = self.server_name.as_deref().unwrap_or(host);
        self.tls.expecting(name).map_err(|error| error.to_string())
    }
}

/// The certificates that the system believes, read at most once.
#[derive(Default)]
pub(in crate::config::sections) struct SystemRoots(Option<Arc<RootCertStore>>);

impl SystemRoots {
    /// `hint` says what to do where there are none.
    pub(in crate::config::sections) fn read(&mut self, hint: &str) -> Result<Arc<RootCertStore>, String> {
        if let Some(roots) = &self.0 {
            return Ok(Arc::clone(roots));
        }
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A system may have one that nobody can read, beside the hundred that matter.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(format!("this system has no root certificates: {hint}"));
        }
        Ok(Arc::clone(self.0.insert(Arc::new(roots))))
    }
}

/// Reads `tls`. `needs_tls` says whether there is an https server, where that is known; `None` where there is none,
/// or something is at fault.
pub(super) fn read(
    upstream: &mut Section<'_, '_, '_>,
    needs_tls: Option<bool>,
    roots: &mut SystemRoots,
) -> Option<Credentials> {
    let is_there = upstream.has("tls");
    if is_there && needs_tls == Some(false) {
        let place = upstream.place("tls");
        let hint = "none of its servers is an https:// URL: expected one, or no `tls`";
        upstream.context.fault(&place, format!("`{}` has no use", place.key), hint);
    }
    let given = upstream.optional_section("tls", |tls| read_one(tls, roots));
    if !is_there && needs_tls == Some(true) {
        let usual = Credentials::usual(roots);
        let place = upstream.place("servers");
        return usual.map_err(|hint| upstream.context.fault(&place, "nobody is believed", hint)).ok();
    }
    given?
}

fn read_one(tls: &mut Section<'_, '_, '_>, roots: &mut SystemRoots) -> Option<Credentials> {
    let believed = match tls.optional::<Written>("ca") {
        Some(ca) => {
            let place = tls.place("ca");
            let pem = content(tls, &ca, &place)?;
            let read = proxy::roots(&pem).map(Arc::new).map_err(|error| error.to_string());
            usable(tls, &place, "these certificates cannot be used", read)
        }
        // A file that is named and cannot be read must not become the system's.
        None if tls.has("ca") => None,
        None => {
            let read = roots.read(WITHOUT_ROOTS);
            let place = tls.here();
            usable(tls, &place, "nobody is believed", read)
        }
    };
    let name_is_possible = |name: &String| {
        let is_possible = rustls::pki_types::ServerName::try_from(name.as_str()).is_ok();
        if is_possible { Ok(()) } else { Err(proxy::TlsError::Name.to_string()) }
    };
    let server_name = tls.optional_if("server_name", name_is_possible);
    let has_name = server_name.is_some() || !tls.has("server_name");
    let identity = identity(tls)?;
    let made = UpstreamTls::new(believed?, identity).map_err(|error| error.to_string());
    let place = tls.here();
    let tls = usable(tls, &place, "TLS cannot be set up", made)?;
    has_name.then_some(Credentials { tls, server_name })
}

/// Who we are; `Some(None)` for nobody, `None` where something is at fault.
fn identity(tls: &mut Section<'_, '_, '_>) -> Option<Option<Arc<CertifiedKey>>> {
    let (cert, key) = (tls.optional::<Written>("client_cert"), tls.optional::<Written>("client_key"));
    for (given, missing) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if tls.has(given) && !tls.has(missing) {
            let place = tls.place(given);
            let message = format!("`{}` without `{missing}`", place.key);
            tls.context.fault(&place, message, "expected both or neither");
            return None;
        }
    }
    if !tls.has("client_cert") {
        return Some(None);
    }
    let place = tls.place("client_cert");
    let cert = cert.and_then(|cert| content(tls, &cert, &place));
    let key_place = tls.place("client_key");
    let key = key.and_then(|key| content(tls, &key, &key_place));
    let loaded = server::tls::load(&cert?, &key?).map_err(|error| error.to_string());
    usable(tls, &place, "this certificate cannot be used", loaded).map(|certificate| Some(certificate.key))
}

fn content(tls: &mut Section<'_, '_, '_>, file: &Written, place: &Place) -> Option<Vec<u8>> {
    let path = tls.context.folder.join(&file.text);
    let read = files::read(&path, files::LARGEST_PEM);
    let read = read.map_err(|error| format!("`{}`: {error}; {}", path.display(), files::WHENCE));
    usable(tls, place, &format!("cannot read `{}`", place.key), read)
}

fn usable<T>(
    tls: &mut Section<'_, '_, '_>,
    place: &Place,
    message: &str,
    found: Result<T, String>,
) -> Option<T> {
    found.map_err(|hint| tls.context.fault(place, message, hint)).ok()
}

const WITHOUT_ROOTS: &str = "expected `tls = { ca = \"…\" }` in the [upstream.NAME] of an https server";
