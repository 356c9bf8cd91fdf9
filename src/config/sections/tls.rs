//! `[tls]`: certificates that fit their keys, and what looks wrong with them.

use std::sync::Arc;

use rustls::RootCertStore;

use super::listen::Listen;
use crate::{
    config::{
        context::Place,
        development,
        draft::Certificates,
        files,
        reader::Section,
        value::{Choice, Written},
    },
    server::{
        TlsVersion,
        tls::{self, Certificate},
    },
};

/// `[tls]`
pub(super) struct Tls {
    /// `None` where it was reported, or is not used.
    pub(super) certificates: Option<Certificates>,
    pub(super) min_version: TlsVersion,
    pub(super) client_ca: Option<Arc<RootCertStore>>,
}

/// Reads `[tls]`, which is the one section whose absence means something: a development certificate.
pub(super) fn read(root: &mut Section<'_, '_, '_>, listen: &Listen) -> Tls {
    if root.has("tls") {
        return root.section("tls", |tls| given(tls, listen));
    }
    let mut certificates = None;
    if listen.https.is_some() {
        root.note("[tls] is not there: `run` uses the development certificate certs/dev.crt, and makes it");
        let certificate = development::Certificate::below(root.context.folder);
        if let Err(why) = certificate.check() {
            root.context.fault_outside("tls", "the development certificate cannot be used", why);
        }
        certificates = Some(Certificates::Development(certificate));
    }
    Tls { certificates, min_version: DEFAULT_VERSION, client_ca: None }
}

fn given(tls: &mut Section<'_, '_, '_>, listen: &Listen) -> Tls {
    let certificates = certificates(tls);
    let min_version = tls.take("min_version", DEFAULT_VERSION);
    let client_ca: Option<Written> = tls.optional("client_ca");
    let place = tls.place("client_ca");
    let client_ca = client_ca.and_then(|file| authorities(tls, &file, &place));
    if tls.has("client_ca") && listen.plain.is_some() {
        let hint = "`plain` asks nobody for a certificate: expected \"off\" for `plain` in [listen]";
        tls.context.fault(&place, "client certificates could be avoided", hint);
    }
    if listen.https.is_none() {
        let here = tls.here();
        tls.context.warn(&here, "[tls] is not used", "`https` in [listen] is off");
    }
    Tls { certificates: certificates.map(Certificates::Given), min_version, client_ca }
}

fn certificates(tls: &mut Section<'_, '_, '_>) -> Option<Vec<Certificate>> {
    if !tls.has("certificates") {
        tls.missing("certificates");
        return None;
    }
    let place = tls.place("certificates");
    let found = tls.sections("certificates", |certificate| (certificate.here(), load(certificate)))?;
    if found.is_empty() {
        let hint = r#"expected one such as { cert = "certs/gateway.crt", key = "certs/gateway.key" }"#;
        tls.context.fault(&place, "no certificate", hint);
        return None;
    }
    let found: Option<Vec<_>> = found
        .into_iter()
        .map(|(place, certificate)| certificate.map(|certificate| (place, certificate)))
        .collect();
    let (places, certificates): (Vec<_>, Vec<_>) = found?.into_iter().unzip();
    report_hidden(tls, &places, &certificates);
    report_times(tls, &places, &certificates);
    Some(certificates)
}

fn report_hidden(tls: &mut Section<'_, '_, '_>, places: &[Place], certificates: &[Certificate]) {
    for (index, (place, certificate)) in places.iter().zip(certificates).enumerate() {
        let mut earlier = certificates.iter().take(index).enumerate();
        let hidden = earlier.find_map(|(first, other)| Some((first, certificate.hidden_by(other)?)));
        if let Some((first, name)) = hidden {
            let message = format!("certificates[{first}] is for `{name}` as well, and is shown");
            tls.context.warn(place, message, "of two certificates for one name the first counts");
        }
    }
}

fn report_times(tls: &mut Section<'_, '_, '_>, places: &[Place], certificates: &[Certificate]) {
    let now = tls.context.now;
    for (place, certificate) in places.iter().zip(certificates) {
        if now >= certificate.not_after {
            let message = format!("this certificate ended on {}", certificate.not_after);
            tls.context.warn(place, message, "clients will refuse it");
        } else if now < certificate.not_before {
            let message = format!("this certificate begins on {}", certificate.not_before);
            tls.context.warn(place, message, "clients will refuse it until then");
        }
    }
}

fn load(section: &mut Section<'_, '_, '_>) -> Option<Certificate> {
    let [cert, key] = ["cert", "key"].map(|key| {
        let file: Written = section.required(key)?;
        content(section, key, &file)
    });
    match tls::load(&cert?, &key?) {
        Ok(certificate) => Some(certificate),
        Err(why) => {
            let place = section.place("cert");
            section.context.fault(&place, "this certificate cannot be used", why.to_string());
            None
        }
    }
}

fn authorities(
    section: &mut Section<'_, '_, '_>,
    file: &Written,
    place: &Place,
) -> Option<Arc<RootCertStore>> {
    let pem = content(section, "client_ca", file)?;
    let loaded = tls::load_authorities(&pem);
    loaded
        .map_err(|why| section.context.fault(place, "these certificates cannot be used", why.to_string()))
        .ok()
}

fn content(section: &mut Section<'_, '_, '_>, key: &str, file: &Written) -> Option<Vec<u8>> {
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
