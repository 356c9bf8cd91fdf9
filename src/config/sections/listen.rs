use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    thread,
};

use ipnet::IpNet;

use crate::{
    config::reader::{Section, within},
    net::Networks,
};

/// `[listen]`
pub(super) struct Listen {
    pub(super) https: SocketAddr,
    pub(super) workers: NonZeroUsize,
    pub(super) trusted_proxies: Networks,
}

pub(super) fn read(listen: &mut Section<'_, '_, '_>) -> Listen {
    let https = listen.take("https", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)));
    // Counts the quota of a container and the CPUs that we may run on.
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_WORKERS);
    let workers = listen.take_if("workers", cpus, within(1, MOST_WORKERS));
    let trusted_proxies: Vec<IpNet> = listen.take("trusted_proxies", Vec::new());
    Listen {
        https,
        workers: NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN),
        trusted_proxies: trusted_proxies.into_iter().collect(),
    }
}

const MOST_WORKERS: usize = 1024;
