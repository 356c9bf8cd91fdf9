use std::time::Duration;

use super::limits::Idle;
use crate::{
    config::{
        context::Place,
        nearest,
        reader::{Section, positive, within},
        value::{Choice, Server},
    },
    proxy::{HostHeader, UpstreamSettings},
    route::Destination,
};

/// `[upstream.NAME]`, and the URLs that routes name instead.
pub(super) struct Upstreams {
    list: Vec<Upstream>,
    idle: Idle,
}

struct Upstream {
    name: String,
    /// `None` where a fault was reported: its name is known all the same.
    settings: Option<UpstreamSettings>,
    place: Place,
    is_used: bool,
}

pub(super) fn read(root: &mut Section<'_, '_, '_>, idle: Idle) -> Upstreams {
    let list = root.named_sections("upstream", |name, place, upstream| {
        check_name(name, &place, upstream);
        let settings = read_one(name, upstream, idle);
        Upstream { name: name.to_owned(), settings, place, is_used: false }
    });
    Upstreams { list, idle }
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
            let server = Server::parse(text).map_err(|hint| ("impossible URL for an upstream", hint))?;
            let settings = Some(usual(text, server, self.idle));
            let place = Place { key: String::new(), span: 0..0 };
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
}

fn read_one(name: &str, upstream: &mut Section<'_, '_, '_>, idle: Idle) -> Option<UpstreamSettings> {
    let servers: Option<Vec<Server>> =
        upstream.required_if("servers", |servers: &Vec<Server>| match servers.len() {
            0 => Err("expected exactly one".to_owned()),
            1 => Ok(()),
            _ => Err("expected exactly one: several servers are not there yet".to_owned()),
        });
    // The other keys are read even if this one is at fault, so that their faults are reported too.
    let server = servers.and_then(|mut servers| servers.pop());
    let nowhere = Server { host: String::new(), port: 0, authority: String::new() };
    let usual = usual(name, server.clone().unwrap_or(nowhere), idle);
    let settings = UpstreamSettings {
        connect_timeout: upstream.take_if("connect_timeout", usual.connect_timeout, positive),
        response_timeout: upstream.take_if("response_timeout", usual.response_timeout, positive),
        retries: upstream.take_if("retries", usual.retries, within(0, 1)),
        idle_timeout: upstream.take_if("idle_timeout", usual.idle_timeout, positive),
        connections: upstream.take_if("connections", usual.connections, within(1, 1_000_000)),
        host: upstream.take("host", usual.host),
        ..usual
    };
    server.map(|_| settings)
}

/// What an upstream is that says no more than its server.
fn usual(name: &str, server: Server, idle: Idle) -> UpstreamSettings {
    UpstreamSettings {
        name: name.to_owned(),
        server_host: server.host,
        server_port: server.port,
        authority: server.authority,
        connect_timeout: Duration::from_secs(3),
        response_timeout: Duration::from_secs(30),
        response_idle_timeout: idle.response,
        stream_idle_timeout: idle.stream,
        retries: 1,
        idle_timeout: Duration::from_millis(1500),
        connections: 1024,
        host: HostHeader::Keep,
    }
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
