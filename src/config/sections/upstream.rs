//! `[upstream.NAME]`, and the URLs of routes, each of which is an upstream without settings.

mod health;
mod tls;

use std::{collections::HashSet, path::PathBuf, time::Duration};

use self::tls::Credentials;
pub(super) use self::tls::SystemRoots;
use super::limits::Idle;
use crate::{
    config::{
        context::Place,
        nearest,
        reader::{Section, positive, some, within},
        value::{Choice, Server, ServerPlace},
    },
    proxy::{Endpoint, HostHeader, ServerSettings, UpstreamSettings},
    route::Destination,
};

/// `[upstream.NAME]`, and the URLs that routes name instead.
pub(super) struct Upstreams {
    list: Vec<Upstream>,
    idle: Idle,
    /// Relative paths count from here.
    folder: PathBuf,
    roots: SystemRoots,
}

struct Upstream {
    name: String,
    /// `None` where a fault was reported: its name is known all the same.
    settings: Option<UpstreamSettings>,
    place: Place,
    is_used: bool,
}

pub(super) fn read(root: &mut Section<'_, '_, '_>, idle: Idle) -> Upstreams {
    let mut upstreams = Upstreams {
        list: Vec::new(),
        idle,
        folder: root.context.folder.to_owned(),
        roots: SystemRoots::default(),
    };
    upstreams.list = root.named_sections("upstream", |name, place, upstream| {
        check_name(name, &place, upstream);
        let settings = upstreams.read_one(name, upstream);
        Upstream { name: name.to_owned(), settings, place, is_used: false }
    });
    upstreams
}

impl Upstreams {
    /// Where a route leads that says `text`, or what is wrong, in a few words, and what was expected.
    pub(super) fn resolve(&mut self, text: &str) -> Result<Destination, (&'static str, String)> {
        if text == ECHO {
            return Ok(Destination::Echo);
        }
        if let Some(index) = self.list.iter().position(|upstream| upstream.name == text) {
            if let Some(upstream) = self.list.get_mut(index) {
                upstream.is_used = true;
            }
            return Ok(Destination::Upstream(index));
        }
        if text.contains(':') {
            let impossible = |hint| ("impossible URL for an upstream", hint);
            let server = Server::parse(text).map_err(impossible)?;
            let mut settings = usual(text, self.idle);
            let credentials = is_https(&server).then(|| Credentials::usual(&mut self.roots)).transpose();
            let credentials = credentials.map_err(impossible)?;
            let server = self.server(server, credentials.as_ref()).map_err(impossible)?;
            settings.servers.push(server);
            let place = Place { key: String::new(), span: 0..0 };
            let settings = Some(settings);
            self.list.push(Upstream { name: text.to_owned(), settings, place, is_used: true });
            return Ok(Destination::Upstream(self.list.len() - 1));
        }
        let names = self.list.iter().map(|upstream| upstream.name.as_str());
        let hint = match nearest::nearest(text, names.chain([ECHO])) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                r#"expected the NAME of an [upstream.NAME], a URL such as "http://127.0.0.1:3000", or "echo""#
                    .to_owned()
            }
        };
        Err(("unknown upstream", hint))
    }

    /// All upstreams by their index; `None` where a fault was reported.
    pub(super) fn finish(self, root: &mut Section<'_, '_, '_>) -> Option<Vec<UpstreamSettings>> {
        for upstream in self.list.iter().filter(|upstream| !upstream.is_used) {
            let message = format!("no route leads to upstream `{}`", upstream.name);
            root.context.warn(&upstream.place, message, "it will not be used");
        }
        self.list.into_iter().map(|upstream| upstream.settings).collect()
    }

    fn read_one(&mut self, name: &str, upstream: &mut Section<'_, '_, '_>) -> Option<UpstreamSettings> {
        let servers: Option<Vec<Server>> = upstream.required_if("servers", |servers: &Vec<Server>| {
            some(servers)?;
            different(servers)
        });
        // The other keys are read even if this one is at fault, so that their faults are reported too.
        let usual = usual(name, self.idle);
        let mut settings = UpstreamSettings {
            connect_timeout: upstream.take_if("connect_timeout", usual.connect_timeout, positive),
            response_timeout: upstream.take_if("response_timeout", usual.response_timeout, positive),
            retries: upstream.take_if("retries", usual.retries, within(0, 1)),
            idle_timeout: upstream.take_if("idle_timeout", usual.idle_timeout, positive),
            connections: upstream.take_if("connections", usual.connections, within(1, 1_000_000)),
            health: health::read(upstream),
            host: upstream.take("host", usual.host),
            ..usual
        };
        let needs_tls = servers.as_ref().map(|servers| servers.iter().any(is_https));
        let credentials = tls::read(upstream, needs_tls, &mut self.roots);
        for server in servers? {
            // What is wrong with the credentials was reported.
            if is_https(&server) && credentials.is_none() {
                return None;
            }
            match self.server(server, credentials.as_ref()) {
                Ok(server) => settings.servers.push(server),
                Err(hint) => {
                    let place = upstream.place("servers");
                    upstream.context.fault(&place, "impossible server", hint);
                    return None;
                }
            }
        }
        Some(settings)
    }

    fn server(&self, server: Server, credentials: Option<&Credentials>) -> Result<ServerSettings, String> {
        let endpoint = match server.place {
            ServerPlace::Tcp { host, port, is_https } => {
                let credentials = credentials.filter(|_| is_https);
                let tls = credentials.map(|credentials| credentials.expecting(&host)).transpose()?;
                Endpoint::Tcp { host, port, tls }
            }
            ServerPlace::Unix(path) => Endpoint::Unix(self.folder.join(path)),
        };
        Ok(ServerSettings { name: server.url, endpoint, authority: server.authority })
    }
}

/// What an upstream is that says no more than its servers.
fn usual(name: &str, idle: Idle) -> UpstreamSettings {
    UpstreamSettings {
        name: name.to_owned(),
        servers: Vec::new(),
        connect_timeout: Duration::from_secs(3),
        response_timeout: Duration::from_secs(30),
        response_idle_timeout: idle.response,
        stream_idle_timeout: idle.stream,
        retries: 1,
        idle_timeout: Duration::from_millis(1500),
        connections: 1024,
        host: HostHeader::Keep,
        health: None,
    }
}

/// The caps on connections and the checks are each server's own: one that is there twice would have them twice.
fn different(servers: &[Server]) -> Result<(), String> {
    let mut places = HashSet::new();
    let mut is_new = |server: &Server| {
        places.insert(match &server.place {
            ServerPlace::Tcp { host, port, .. } => (host.clone(), Some(*port)),
            ServerPlace::Unix(path) => (path.display().to_string(), None),
        })
    };
    match servers.iter().all(&mut is_new) {
        true => Ok(()),
        false => Err("one server is there twice: expected each of them once".to_owned()),
    }
}

const fn is_https(server: &Server) -> bool {
    matches!(server.place, ServerPlace::Tcp { is_https: true, .. })
}

/// A name must differ from whatever else a route may say.
fn check_name(name: &str, place: &Place, upstream: &mut Section<'_, '_, '_>) {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let hint = match name {
        ECHO => r#""echo" is the built-in backend; expected another name"#.to_owned(),
        _ if name.is_empty() || name.len() > LONGEST_NAME || !is_plain => {
            format!("expected 1 to {LONGEST_NAME} letters, digits and -_.")
        }
        _ => return,
    };
    upstream.context.fault(place, "impossible name for an upstream", hint);
}

impl Choice for HostHeader {
    const WORDS: &'static [(&'static str, Self)] = &[("keep", Self::Keep), ("upstream", Self::Upstream)];
}

const ECHO: &str = "echo";
const LONGEST_NAME: usize = 64;
