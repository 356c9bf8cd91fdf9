//! The sections of `gateway.toml`, one a file, each into the settings of its room.
//!
//! A key is one line: its name, its default, its check. `gateway.toml` lists them all for people, and a test
//! fails when it and these files do not agree.

mod admin;
mod auth;
mod cors;
mod identity;
mod limits;
pub(super) mod listen;
mod log;
mod route;
mod shutdown;
mod staleness;
mod store;
mod tls;
mod tokens;
mod upstream;

use super::{draft::Draft, reader::Section};

/// Reads every section; `None` only where a fault was reported.
pub(super) fn read(root: &mut Section<'_, '_, '_>) -> Option<Draft> {
    let listen = root.section("listen", listen::read);
    let tls = tls::read(root, &listen);
    let (store, staleness) =
        root.section("store", |section| (store::read(section), staleness::read(section)));
    let tokens = root.section("tokens", tokens::read);
    staleness.compare(root.context, &tokens.settings);
    let identity = root.section("identity", |section| identity::read(section, &tokens.settings));
    let auth = root.section("auth", |section| auth::read(section, &identity));
    let limits = root.section("limits", limits::read);
    let mut upstreams = upstream::read(root, limits.idle);
    let routes =
        route::read(root, &mut upstreams, identity.forward_token, &tokens.settings, auth.prefix.as_deref());
    let admin = root.section("admin", |section| admin::read(section, &listen));
    let shutdown = root.section("shutdown", shutdown::read);
    let log = root.section("log", log::read);
    Some(Draft {
        certificates: match listen.https {
            Some(_) => Some(tls.certificates?),
            None => None,
        },
        listen,
        min_version: tls.min_version,
        client_ca: tls.client_ca,
        limits: limits.connections,
        shutdown,
        store,
        revocation: staleness.settings,
        tokens: tokens.settings,
        keys: tokens.keys?,
        auth: auth.settings,
        password: auth.password,
        identity: identity.settings,
        upstreams: upstreams.finish(root)?,
        routes: routes?,
        auth_prefix: auth.prefix,
        auth_cors: auth.cors,
        body: limits.body,
        admin,
        log,
    })
}
