//! The certificate and the secret of a gateway that was given none: enough to try it, warned about at each start.
//!
//! Only `run` makes them. Two gateways that start at once end with the same files: each is published whole or
//! not at all, none is ever replaced, and a certificate is always made from the key that is on disk.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::{checked::PrepareError, files};
use crate::{
    secret::{self, ExposeSecret},
    server::tls,
};

/// `certs/dev.crt` and `certs/dev.key`.
#[derive(Debug)]
pub(super) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

/// `data/jwt.secret`.
#[derive(Debug)]
pub(super) struct Secret {
    path: PathBuf,
}

impl Certificate {
    pub(super) fn below(folder: &Path) -> Self {
        Self { cert: folder.join("certs/dev.crt"), key: folder.join("certs/dev.key") }
    }

    /// Whether what is there, if anything, can be used; else why not.
    pub(super) fn check(&self) -> Result<(), String> {
        match (present(&self.cert)?, present(&self.key)?) {
            (None, None) => Ok(()),
            (None, Some(key)) => key_pair(&key).map(drop),
            (Some(_), None) => Err(format!("`{}` is there without its key: remove it", self.cert.display())),
            (Some(cert), Some(key)) => tls::load(&cert, &key)
                .map(drop)
                .map_err(|why| format!("`{}`: {why}; remove it and its key", self.cert.display())),
        }
    }

    /// The certificate on disk, made first where it is not there.
    pub(super) fn prepare(&self) -> Result<tls::Certificate, PrepareError> {
        let unusable = |why| PrepareError::Unusable { path: self.cert.clone(), why };
        self.check().map_err(unusable)?;
        if present(&self.key).map_err(unusable)?.is_none() {
            let pair = KeyPair::generate().map_err(|error| unusable(error.to_string()))?;
            publish(&self.key, pair.serialize_pem().as_bytes(), PRIVATE)?;
        }
        // What another gateway may have published meanwhile counts, not what we made.
        let key = read(&self.key)?;
        if present(&self.cert).map_err(unusable)?.is_none() {
            let pair = key_pair(&key).map_err(unusable)?;
            let cert = self_signed(&pair).map_err(|error| unusable(error.to_string()))?;
            publish(&self.cert, cert.as_bytes(), PUBLIC)?;
            tracing::warn!(
                certificate.path = %self.cert.display(),
                "Made a development certificate: no browser trusts it. Name a real one in [tls] certificates"
            );
        } else {
            tracing::warn!(
                certificate.path = %self.cert.display(),
                "Using the development certificate: no browser trusts it. Name a real one in [tls] certificates"
            );
        }
        tls::load(&read(&self.cert)?, &key).map_err(|why| unusable(why.to_string()))
    }
}

impl Secret {
    pub(super) fn below(folder: &Path) -> Self {
        Self { path: folder.join("data/jwt.secret") }
    }

    /// Whether what is there, if anything, can be used; else why not.
    pub(super) fn check(&self) -> Result<(), String> {
        match files::read_secret(&self.path) {
            Ok(secret) if secret.expose_secret().len() < SHORTEST_SECRET => Err(format!(
                "`{}` has fewer than {SHORTEST_SECRET} bytes: remove it, and all tokens so far are dead",
                self.path.display()
            )),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("`{}`: {error}", self.path.display())),
        }
    }

    /// The secret on disk, made first where it is not there.
    pub(super) fn prepare(&self) -> Result<secret::Secret, PrepareError> {
        if self.path.try_exists().map_err(|source| self.unreadable(source))? {
            tracing::warn!(
                secret.path = %self.path.display(),
                "Using the development secret for tokens: name a key of your own in [[tokens.key]]"
            );
        } else {
            let mut random = [0; SHORTEST_SECRET];
            rand::fill(&mut random).map_err(|_| PrepareError::Unusable {
                path: self.path.clone(),
                why: "the system gave no random bytes".to_owned(),
            })?;
            publish(&self.path, hex::encode(random).as_bytes(), PRIVATE)?;
            tracing::warn!(
                secret.path = %self.path.display(),
                "Made a development secret for tokens: name a key of your own in [[tokens.key]]"
            );
        }
        self.check().map_err(|why| PrepareError::Unusable { path: self.path.clone(), why })?;
        self.read()
    }

    /// The secret on disk.
    pub(super) fn read(&self) -> Result<secret::Secret, PrepareError> {
        files::read_secret(&self.path).map_err(|source| self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> PrepareError {
        PrepareError::Read { path: self.path.clone(), source }
    }
}

/// The content of `path`, `None` where there is no such file.
fn present(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match files::read(path, files::LARGEST_PEM) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("`{}`: {error}", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PrepareError> {
    files::read(path, files::LARGEST_PEM)
        .map_err(|source| PrepareError::Read { path: path.to_owned(), source })
}

fn key_pair(pem: &[u8]) -> Result<KeyPair, String> {
    let unusable = "the development key cannot be read: remove it".to_owned();
    let text = str::from_utf8(pem).map_err(|_| unusable.clone())?;
    KeyPair::from_pem(text).map_err(|_| unusable)
}

fn self_signed(key: &KeyPair) -> Result<String, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Portcullis development certificate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.self_signed(key)?.pem())
}

/// Puts `content` at `path`, whole or not at all; a file that is there stays.
fn publish(path: &Path, content: &[u8], mode: u32) -> Result<(), PrepareError> {
    place(path, content, mode).map_err(|source| PrepareError::Write { path: path.to_owned(), source })
}

fn place(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(io::Error::other)?;
    let temporary = folder.join(format!(".new-{}", hex::encode(random)));
    let placed = write_new(&temporary, content, mode).and_then(|()| match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links. A gateway that starts at this moment may then find half a file,
        // which it refuses; it never finds another.
        Err(_) => match write_new(path, content, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            written => written,
        },
    });
    // It may not have been made.
    let _ = fs::remove_file(&temporary);
    placed
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Bytes of a secret that no one can guess: as many as the hash of HS256 has (RFC 7518, section 3.2).
pub(super) const SHORTEST_SECRET: usize = 32;

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const FOLDER: u32 = 0o700;
