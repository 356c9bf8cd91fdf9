use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::{
    config::{
        development,
        draft::Certificate,
        files,
        reader::Section,
        value::{Choice, Written},
    },
    server::{TlsVersion, tls},
};

/// `[tls]`
pub(super) struct Tls {
    /// `None` where it was reported.
    pub(super) certificate: Option<Certificate>,
    pub(super) min_version: TlsVersion,
}

/// Reads `[tls]`, which is the one section whose absence means something: a development certificate.
pub(super) fn read(root: &mut Section<'_, '_, '_>) -> Tls {
    if !root.has("tls") {
        root.note("[tls] is not there: `run` uses the development certificate certs/dev.crt, and makes it");
        let certificate = development::Certificate::below(root.context.folder);
        if let Err(why) = certificate.check() {
            root.context.fault_outside("tls", "the development certificate cannot be used", why);
        }
        let certificate = Some(Certificate::Development(certificate));
        return Tls { certificate, min_version: DEFAULT_VERSION };
    }
    root.section("tls", |tls| Tls {
        certificate: certificates(tls).map(Certificate::Given),
        min_version: tls.take("min_version", DEFAULT_VERSION),
    })
}

fn certificates(tls: &mut Section<'_, '_, '_>) -> Option<Arc<CertifiedKey>> {
    if !tls.has("certificates") {
        tls.missing("certificates");
        return None;
    }
    let place = tls.place("certificates");
    let mut found = tls.sections("certificates", |certificate| (certificate.here(), load(certificate)))?;
    if let Some((second, _)) = found.get(1) {
        let hint = "expected exactly one: several certificates are not there yet";
        tls.context.fault(second, "more than one certificate", hint);
    }
    if found.is_empty() {
        let hint = r#"expected one such as { cert = "certs/gateway.crt", key = "certs/gateway.key" }"#;
        tls.context.fault(&place, "no certificate", hint);
        return None;
    }
    found.swap_remove(0).1
}

fn load(section: &mut Section<'_, '_, '_>) -> Option<Arc<CertifiedKey>> {
    let cert = content(section, "cert");
    let key = content(section, "key");
    match tls::load(&cert?, &key?) {
        Ok(certificate) => Some(certificate),
        Err(why) => {
            let place = section.place("cert");
            section.context.fault(&place, "this certificate cannot be used", why.to_string());
            None
        }
    }
}

fn content(section: &mut Section<'_, '_, '_>, key: &'static str) -> Option<Vec<u8>> {
    let file: Written = section.required(key)?;
    let path = section.context.folder.join(&file.text);
    match files::read(&path, files::LARGEST_PEM) {
        Ok(content) => Some(content),
        Err(error) => {
            let place = section.place(key);
            let hint = format!("`{}`: {error}; {}", path.display(), files::WHENCE);
            section.context.fault(&place, format!("cannot read `{}`", place.key), hint);
            None
        }
    }
}

impl Choice for TlsVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

const DEFAULT_VERSION: TlsVersion = TlsVersion::Tls12;
