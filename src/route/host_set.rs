//! Which hosts are ours: a client without TLS is sent on to HTTPS under no other name.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use super::{Route, host::bare, hosts::Hosts};

/// The hosts that are ours: those of routes, and those of certificates.
#[derive(Debug)]
pub struct HostSet {
    routes: Hosts<bool>,
    /// In lower case; a wildcard, which stands for one label, as `*.example.com`.
    certificates: HashSet<String>,
}

impl HostSet {
    /// The hosts that `routes` name, if any, and `certificates`: names in lower case, wildcards as `*.example.com`,
    /// IPv6 addresses in brackets.
    pub fn new<'r>(
        routes: impl IntoIterator<Item = &'r Route>,
        certificates: impl IntoIterator<Item = String>,
    ) -> Self {
        let named = routes.into_iter().flat_map(|route| &route.hosts);
        let named: BTreeMap<_, _> = named.map(|host| (host.clone(), true)).collect();
        Self { routes: Hosts::new(false, named), certificates: certificates.into_iter().collect() }
    }

    /// The host that a request names, without port and trailing dot; `host` is as sent.
    pub fn find<'h>(&self, host: &'h str) -> Result<Cow<'h, str>, HostRefusal> {
        let name = bare(host).filter(|name| !name.is_empty()).ok_or(HostRefusal::Malformed)?;
        let is_routed = self.routes.find(host).is_some_and(|mut matches| matches.next() == Some(&true));
        if is_routed || self.is_certified(&name) { Ok(name) } else { Err(HostRefusal::Unknown) }
    }

    fn is_certified(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let wildcard = || name.split_once('.').map(|(_, above)| format!("*.{above}"));
        self.certificates.contains(&name) || wildcard().is_some_and(|name| self.certificates.contains(&name))
    }
}

/// Why a host is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// It is no host, or there is none (400; RFC 9112, section 3.2).
    #[error("the request's host is missing or malformed")]
    Malformed,
    /// It is somebody else's (421; RFC 9110, section 15.5.20).
    #[error("the request's host is none of ours")]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Access, Destination, HostPattern, PathPattern};

    fn set(hosts: &[&str], certificates: &[&str]) -> HostSet {
        let route = Route {
            name: "x".to_owned(),
            path: PathPattern::parse("/*").unwrap(),
            hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            methods: None,
            access: Access::Public,
            require: Vec::new(),
            forward_token: false,
            strip_prefix: None,
            cors: None,
            destination: Destination::Echo,
        };
        HostSet::new([&route], certificates.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn hosts_of_routes_and_certificates_are_ours() {
        let set = set(
            &["app.example.com", "*.routed.example"],
            &["localhost", "*.cert.example", "192.0.2.1", "[::1]"],
        );
        for (host, expected) in [
            ("app.example.com", Ok("app.example.com")),
            ("App.Example.com.:8080", Ok("App.Example.com")),
            ("a.b.routed.example", Ok("a.b.routed.example")),
            ("localhost:80", Ok("localhost")),
            ("a.cert.example", Ok("a.cert.example")),
            ("A.CERT.EXAMPLE", Ok("A.CERT.EXAMPLE")),
            ("192.0.2.1:80", Ok("192.0.2.1")),
            ("[0:0::1]:80", Ok("[::1]")),
            ("routed.example", Err(HostRefusal::Unknown)),
            ("a.b.cert.example", Err(HostRefusal::Unknown)),
            ("cert.example", Err(HostRefusal::Unknown)),
            ("[::2]", Err(HostRefusal::Unknown)),
            ("evil.example", Err(HostRefusal::Unknown)),
            ("app.example.com.evil.example", Err(HostRefusal::Unknown)),
            ("", Err(HostRefusal::Malformed)),
            ("app.example.com@evil.example", Err(HostRefusal::Malformed)),
            ("app.example.com:x", Err(HostRefusal::Malformed)),
            ("app.example.com/evil", Err(HostRefusal::Malformed)),
        ] {
            assert_eq!(set.find(host).as_deref(), expected.as_ref().map(|name| *name), "{host}");
        }
    }

    #[test]
    fn routes_without_hosts_leave_it_to_the_certificates() {
        let set = set(&[], &["localhost"]);
        assert!(set.find("localhost").is_ok());
        assert_eq!(set.find("other.example"), Err(HostRefusal::Unknown));
    }
}
