//! What is heard where: the public listeners, and the operators'.
//!
//! Never here: what a request means (`gateway`), in which order things start and stop (`start`).

use std::net::{SocketAddr, TcpListener};

use hyper::service::service_fn;

use super::error::StartError;
use crate::{
    access_log::{self, AccessLog},
    admin::{Admin, BuildInfo},
    clock::Timestamp,
    config::Settings,
    gateway::{Downstream, Gateway, Redirection, Shared},
    metrics::Metrics,
    readiness::Readiness,
    revocation::RevocationList,
    route::HostSet,
    server::{self, Addresses, ConnInfo, Drain, Server, Services, Workers},
    store::Store,
};

/// Serves the gateway, and beside it those who have yet to learn of HTTPS.
pub(super) fn start_public(
    server: Server,
    shared: Shared,
    access_log: Option<&AccessLog>,
    metrics: &Metrics,
    drain: &Drain,
) -> Result<Workers, StartError> {
    let log = access_log.map(AccessLog::handle);
    let make_worker = move |_| {
        let gateway = Gateway::new(&shared, log.as_ref().map(access_log::Handle::worker));
        let redirecting = gateway.clone();
        Services {
            main: move |connection: ConnInfo| gateway.connection(downstream(&connection), connection.interim),
            redirect: move |connection: ConnInfo| redirecting.redirecting(downstream(&connection)),
        }
    };
    Ok(server.start(make_worker, metrics, drain)?)
}

/// What operators see.
pub(super) fn admin(metrics: &Metrics, readiness: &Readiness, revocations: RevocationList) -> Admin {
    Admin::new(metrics.clone(), readiness.clone(), revocations, BUILD)
}

/// Serves operators, on a thread of their own.
pub(super) fn start_admin(
    listener: TcpListener,
    public: &server::Limits,
    admin: Admin,
    drain: &Drain,
) -> Result<Workers, StartError> {
    let make_worker = move || {
        move |_| {
            let admin = admin.clone();
            service_fn(move |request| {
                let answer = admin.answer(&request);
                async move { Ok(answer) }
            })
        }
    };
    Ok(server::start_plain(listener, admin_limits(public), &Metrics::default(), drain, make_worker)?)
}

pub(super) fn listen_for_operators(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |cause| StartError::Admin { address, cause };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Where those are sent who come without TLS.
pub(super) fn redirection(settings: &Settings, addresses: &Addresses) -> Redirection {
    let certificates = settings.server.https.iter().flat_map(|https| &https.certificates);
    let names = certificates.flat_map(|certificate| certificate.names.clone());
    Redirection {
        hosts: HostSet::new(&settings.routes, names),
        port: addresses.https.map_or(HTTPS, |address| address.port()),
    }
}

/// When the certificates end, each by its first name.
pub(super) fn certificate_ends(settings: &Settings) -> Vec<(String, Timestamp)> {
    let certificates = settings.server.https.iter().flat_map(|https| &https.certificates);
    let end = |certificate: &server::tls::Certificate| {
        (certificate.names.first().cloned().unwrap_or_default(), certificate.not_after)
    };
    certificates.map(end).collect()
}

/// Tells operators what is heard where.
pub(super) fn announce(addresses: &Addresses, admin: SocketAddr, store: &Store) {
    let listeners = [
        ("https://", addresses.https, ""),
        ("http://", addresses.plain, ""),
        ("http://", addresses.http, " (redirects)"),
    ];
    let listeners: Vec<String> = listeners
        .into_iter()
        .filter_map(|(scheme, address, what)| Some(format!("{scheme}{}{what}", address?)))
        .collect();
    tracing::info!(
        listen.https = addresses.https.map(tracing::field::display),
        listen.plain = addresses.plain.map(tracing::field::display),
        listen.http = addresses.http.map(tracing::field::display),
        listen.admin = %admin,
        %store,
        "Listening on {}; the store is {store}",
        listeners.join(", ")
    );
}

fn downstream(connection: &ConnInfo) -> Downstream {
    Downstream { peer: connection.peer.ip(), unnamed: connection.unnamed, secure: connection.tls.is_some() }
}

/// Operators and their machines are few.
fn admin_limits(public: &server::Limits) -> server::Limits {
    server::Limits { connections: 64, connections_per_address: 64, ..public.clone() }
}

const BUILD: BuildInfo = BuildInfo { version: env!("CARGO_PKG_VERSION") };
const HTTPS: u16 = 443;
