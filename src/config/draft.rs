use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc};

use rustls::sign::CertifiedKey;

use super::{
    development,
    settings::{BodyLimits, Settings},
};
use crate::{auth, net::Networks, password, proxy, route, server, store, telemetry, token};

/// [`Settings`] but for what only `run` may make.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) https: SocketAddr,
    pub(super) workers: NonZeroUsize,
    pub(super) trusted_proxies: Networks,
    pub(super) certificate: Certificate,
    pub(super) min_version: server::TlsVersion,
    pub(super) limits: server::Limits,
    pub(super) shutdown: server::Shutdown,
    pub(super) store: store::Settings,
    /// Without keys.
    pub(super) tokens: token::Settings,
    pub(super) keys: Keys,
    pub(super) auth: auth::Settings,
    pub(super) password: password::Settings,
    pub(super) identity: proxy::IdentitySettings,
    pub(super) upstreams: Vec<proxy::UpstreamSettings>,
    pub(super) routes: Vec<route::Route>,
    pub(super) auth_prefix: Option<String>,
    pub(super) auth_cors: Option<route::Cors>,
    pub(super) body: BodyLimits,
    pub(super) admin: SocketAddr,
    pub(super) log: telemetry::Settings,
}

/// Where the certificate comes from.
#[derive(Debug)]
pub(super) enum Certificate {
    Development(development::Certificate),
    Given(Arc<CertifiedKey>),
}

/// Where the signing keys come from.
#[derive(Debug)]
pub(super) enum Keys {
    Development(development::Secret),
    Given(Vec<token::KeySettings>),
}

impl Draft {
    /// The settings, with the certificate and the keys that are used.
    pub(super) fn finish(self, certificate: Arc<CertifiedKey>, keys: Vec<token::KeySettings>) -> Settings {
        Settings {
            server: server::Settings {
                https: self.https,
                workers: self.workers,
                certificate,
                min_version: self.min_version,
                limits: self.limits,
            },
            trusted_proxies: self.trusted_proxies,
            shutdown: self.shutdown,
            store: self.store,
            tokens: token::Settings { keys, ..self.tokens },
            auth: self.auth,
            password: self.password,
            identity: self.identity,
            upstreams: self.upstreams,
            routes: self.routes,
            auth_prefix: self.auth_prefix,
            auth_cors: self.auth_cors,
            body: self.body,
            admin: self.admin,
            log: self.log,
        }
    }
}
