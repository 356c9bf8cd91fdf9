//! Where a request is sent that came without TLS where TLS is asked for.
//!
//! Never here: tokens, routes' paths, upstreams: whoever comes without TLS gets nothing but the address.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Response, request::Parts};

use super::{
    answer,
    body::{ResponseBody, own},
    downstream::Downstream,
    handle::Worker,
    host::host,
};
use crate::{
    clock::Stopwatch,
    metrics,
    route::{HostRefusal, HostSet},
};

/// What leads to HTTPS.
#[derive(Debug)]
pub struct Redirection {
    /// The hosts that anybody is sent to: ours, or a forged `Host` would lead a client astray, and a cache with it.
    pub hosts: HostSet,
    /// Where HTTPS is heard.
    pub port: u16,
}

/// Why a request is not told where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// It names no host, several, or one that is none.
    HostMalformed,
    /// Its host is none of ours.
    HostUnknown,
    /// Its target is no path.
    TargetMalformed,
}

/// The value of `Location`: the same host and target over HTTPS. Pure.
///
/// # Errors
/// Where the request's host or target cannot be sent anywhere.
pub fn redirect(redirection: &Redirection, head: &Parts) -> Result<HeaderValue, RedirectRefusal> {
    let host = host(head).ok_or(RedirectRefusal::HostMalformed)?;
    let name = redirection.hosts.find(host).map_err(|refusal| match refusal {
        HostRefusal::Malformed => RedirectRefusal::HostMalformed,
        HostRefusal::Unknown => RedirectRefusal::HostUnknown,
    })?;
    let target = head.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    // `*` and a bare authority would run into the host.
    let target = target.filter(|target| target.starts_with('/')).ok_or(RedirectRefusal::TargetMalformed)?;
    let location = match redirection.port {
        HTTPS => format!("https://{name}{target}"),
        port => format!("https://{name}:{port}{target}"),
    };
    HeaderValue::from_maybe_shared(Bytes::from(location)).map_err(|_| RedirectRefusal::TargetMalformed)
}

impl Worker {
    /// The road of one request on the listener that only redirects. Its body is not read.
    pub(super) fn redirect(self: &Rc<Self>, head: &Parts, downstream: Downstream) -> Response<ResponseBody> {
        let (started, now) = (Stopwatch::start(), self.clock.now());
        let (verdict, answer) = match redirect(&self.snapshot.redirection, head) {
            Ok(location) => (metrics::Verdict::Redirected, answer::moved(location)),
            Err(refusal) => {
                let verdict = match refusal {
                    RedirectRefusal::HostMalformed | RedirectRefusal::TargetMalformed => {
                        metrics::Verdict::Malformed
                    }
                    RedirectRefusal::HostUnknown => metrics::Verdict::Misdirected,
                };
                (verdict, answer::not_moved(refusal))
            }
        };
        own(answer, self.trail(head, downstream, now, started, verdict))
    }
}

/// What a URL without a port means.
const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use http::{Request, Version, header::HOST};

    use super::*;

    fn location(port: u16, target: &str, hosts: &[&str]) -> Result<String, RedirectRefusal> {
        let certificates = ["a.example", "[::1]"].map(str::to_owned);
        let redirection = Redirection { hosts: HostSet::new([], certificates), port };
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let head = request.version(Version::HTTP_11).body(()).unwrap().into_parts().0;
        redirect(&redirection, &head).map(|location| location.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_same_target_over_https() {
        let at = |location: &str| Ok(location.to_owned());
        assert_eq!(location(443, "/a?b=%0d%0a", &["a.example"]), at("https://a.example/a?b=%0d%0a"));
        assert_eq!(location(8443, "/", &["A.example.:80"]), at("https://A.example:8443/"));
        assert_eq!(location(8443, "/a%2f../;x//y", &["[0::1]:80"]), at("https://[::1]:8443/a%2f../;x//y"));
        assert_eq!(location(443, "//evil.example", &["a.example"]), at("https://a.example//evil.example"));
        assert_eq!(location(443, "http://a.example/x", &["a.example"]), at("https://a.example/x"));
        assert_eq!(location(443, "http://a.example", &["a.example"]), at("https://a.example/"));
    }

    #[test]
    fn nobody_is_led_astray() {
        for (target, hosts, refusal) in [
            ("/", &["evil.example"][..], RedirectRefusal::HostUnknown),
            ("http://evil.example/", &["evil.example"], RedirectRefusal::HostUnknown),
            ("http://evil.example/", &["a.example"], RedirectRefusal::HostMalformed),
            ("/", &["a.example@evil.example"], RedirectRefusal::HostMalformed),
            ("/", &["a.example", "a.example"], RedirectRefusal::HostMalformed),
            ("/", &["a.example/.evil.example"], RedirectRefusal::HostMalformed),
            ("/", &[""], RedirectRefusal::HostMalformed),
            ("/", &[], RedirectRefusal::HostMalformed),
            ("*", &["a.example"], RedirectRefusal::TargetMalformed),
            ("a.example:80", &["a.example:80"], RedirectRefusal::TargetMalformed),
        ] {
            assert_eq!(location(443, target, hosts), Err(refusal), "{target} {hosts:?}");
        }
    }
}
