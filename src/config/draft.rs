//! Everything that `gateway.toml` says, before what only `run` may make.
//!
//! Never here: keys and checks (`sections`); by now everything has been read.

use std::{net::SocketAddr, sync::Arc};

use rustls::RootCertStore;

use super::{
    development,
    sections::listen::Listen,
    settings::{BodyLimits, Settings},
};
use crate::{auth, password, proxy, revocation, route, server, store, telemetry, token};

/// [`Settings`] but for what only `run` may make.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) listen: Listen,
    /// `None` where HTTPS is off.
    pub(super) certificates: Option<Certificates>,
    pub(super) min_version: server::TlsVersion,
    pub(super) client_ca: Option<Arc<RootCertStore>>,
    pub(super) limits: server::Limits,
    pub(super) shutdown: server::Shutdown,
    pub(super) store: store::Settings,
    pub(super) revocation: revocation::Settings,
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

/// Where the certificates come from.
#[derive(Debug)]
pub(super) enum Certificates {
    Development(development::Certificate),
    Given(Vec<server::tls::Certificate>),
}

/// Where the signing keys come from.
#[derive(Debug)]
pub(super) enum Keys {
    Development(development::Secret),
    Given(Vec<token::KeySettings>),
}

impl Draft {
    /// The settings, with the certificates and the keys that are used.
    pub(super) fn finish(
        self,
        certificates: Vec<server::tls::Certificate>,
        keys: Vec<token::KeySettings>,
    ) -> Settings {
        let listen = self.listen;
        Settings {
            server: server::Settings {
                https: listen.https.map(|address| server::Https {
                    address,
                    certificates,
                    min_version: self.min_version,
                    client_ca: self.client_ca,
                }),
                plain: listen.plain,
                http: listen.http,
                workers: listen.workers,
                proxies: listen.proxy_protocol.then(|| listen.trusted_proxies.clone()),
                limits: self.limits,
            },
            trusted_proxies: listen.trusted_proxies,
            shutdown: self.shutdown,
            store: self.store,
            revocation: self.revocation,
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
