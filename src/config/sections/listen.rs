//! `[listen]`: public listeners that do not get into each other's way, and whom of the proxies in front to believe.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    thread,
};

use ipnet::IpNet;

use crate::{
    config::{
        reader::{Section, within},
        value::Listening,
    },
    net::Networks,
};

/// `[listen]`
#[derive(Debug)]
pub(in crate::config) struct Listen {
    pub(in crate::config) https: Option<SocketAddr>,
    pub(in crate::config) http: Option<SocketAddr>,
    pub(in crate::config) plain: Option<SocketAddr>,
    pub(in crate::config) workers: NonZeroUsize,
    pub(in crate::config) trusted_proxies: Networks,
    pub(in crate::config) proxy_protocol: bool,
}

pub(super) fn read(listen: &mut Section<'_, '_, '_>) -> Listen {
    let https = listen.take("https", Listening(Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443))))).0;
    let http = listen.take("http", Listening(None)).0;
    let plain = listen.take("plain", Listening(None)).0;
    // Counts the quota of a container and the CPUs that we may run on.
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_WORKERS);
    let workers = listen.take_if("workers", cpus, within(1, MOST_WORKERS));
    let trusted_proxies: Vec<IpNet> = listen.take("trusted_proxies", Vec::new());
    if trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        let place = listen.place("trusted_proxies");
        let hint = "anybody may then say which address they come from; expected the proxies' own networks";
        listen.context.warn(&place, "everybody is a trusted proxy", hint);
    }
    let proxy_protocol = listen.take("proxy_protocol", false);
    if proxy_protocol && trusted_proxies.is_empty() {
        let place = listen.place("proxy_protocol");
        let hint = "expected the proxies' networks in `trusted_proxies`, or `false`";
        listen.context.fault(&place, "PROXY headers are believed of nobody", hint);
    }
    let read = Listen {
        https,
        http,
        plain,
        workers: NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN),
        trusted_proxies: trusted_proxies.into_iter().collect(),
        proxy_protocol,
    };
    read.report(listen);
    read
}

impl Listen {
    /// The public listeners that are on, with their keys.
    pub(super) fn public(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> + use<> {
        let listeners = [("https", self.https), ("http", self.http), ("plain", self.plain)];
        listeners.into_iter().filter_map(|(key, address)| Some((key, address?)))
    }

    /// What makes no sense together.
    fn report(&self, listen: &mut Section<'_, '_, '_>) {
        if self.https.is_none() && self.plain.is_none() {
            let place = listen.place("https");
            let hint = "expected an address for `https` or for `plain`";
            listen.context.fault(&place, "nothing would be served", hint);
        } else if self.https.is_none() && self.http.is_some() {
            let place = listen.place("http");
            let hint = "expected an address for `https`, or \"off\" here; `plain` is the gateway without TLS";
            listen.context.fault(&place, "there is no HTTPS to redirect to", hint);
        }
        for (index, (key, address)) in self.public().enumerate() {
            let mut earlier = self.public().take(index);
            if let Some((other, at)) = earlier.find(|(_, other)| overlap(address, *other)) {
                let place = listen.place(key);
                let hint = format!("expected another port than that of `{other}`, {at}");
                listen.context.fault(&place, "two listeners would share a port", hint);
            }
        }
    }
}

/// Whether one would take connections of the other. Port 0 is always a free one.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_address
}

const MOST_WORKERS: usize = 1024;
