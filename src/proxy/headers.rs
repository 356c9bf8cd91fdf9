//! Which header fields of a message never pass.
//!
//! Never here: which fields are set (`identity`, `forward`).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use super::IdentitySettings;

/// Removes what concerns the connection that a request came on alone (RFC 9110, section 7.6.1), and what each of
/// its `Connection` lines names.
///
/// It comes first of all: a client that names a field which is set later would have that one removed.
/// `te: trailers` is kept, even if `Connection` names it, as it must: we pass trailers on.
pub fn remove_hop_by_hop_of_request(headers: &mut HeaderMap) {
    let takes_trailers = headers.get_all(TE).iter().flat_map(members).any(|member| is(member, "trailers"));
    remove_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what concerns the connection that a response came on alone (RFC 9110, section 7.6.1), and what each of
/// its `Connection` lines names.
pub fn remove_hop_by_hop_of_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

/// The names that no client's request carries to an upstream.
///
/// Names are compared by their letters and digits alone, without case: `X-User`, `x_user` and `X.User-` are one
/// variable to backends that follow CGI (RFC 3875, section 4.1.18).
#[derive(Debug)]
pub struct HeaderRules {
    /// By the first character of the name: most fields of most requests find no rule to be compared with.
    rules: [Vec<Rule>; FIRSTS],
}

#[derive(Debug)]
struct Rule {
    /// Letters and digits alone, in lower case.
    name: Box<[u8]>,
    takes: Takes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// The name itself, on routes where the method decides.
    MethodOverride,
    /// Every name that begins so.
    Prefix,
    /// The name itself.
    Whole,
}

impl HeaderRules {
    /// The rules for the identity headers and `strip` of `settings`, beside those that always hold.
    pub fn new(settings: &IdentitySettings) -> Self {
        let mut rules = Vec::new();
        let identity = settings.headers.iter().map(|header| header.name.as_str());
        for name in identity.chain(["remote-user"]) {
            rules.push(Rule::new(name, Takes::Whole));
            rules.push(Rule::new(&format!("http-{name}"), Takes::Whole));
        }
        rules.extend(settings.strip.iter().map(|name| Rule::new(name.as_str(), Takes::Whole)));
        rules.extend(FORWARDING.map(|name| Rule::new(name, Takes::Whole)));
        rules.push(Rule::new("x-forwarded-", Takes::Prefix));
        rules.extend(METHOD_OVERRIDES.map(|name| Rule::new(name, Takes::MethodOverride)));
        let mut by_first = [const { Vec::new() }; FIRSTS];
        for rule in rules {
            if let Some(rules) = by_first.get_mut(first(rule.name.first().copied())) {
                rules.push(rule);
            }
        }
        Self { rules: by_first }
    }

    /// Removes from a request's headers, or its trailers, what only we may tell the upstream; with
    /// `method_override` also the fields that name another method, for hosts where some route lists methods.
    ///
    /// `Connection` lines are dealt with before.
    pub fn remove_untrusted(&self, headers: &mut HeaderMap, method_override: bool) {
        // Empty for most requests, and then nothing is allocated.
        let refused: Vec<HeaderName> =
            headers.keys().filter(|name| self.refuses(name, method_override)).cloned().collect();
        for name in refused {
            headers.remove(name);
        }
    }

    fn refuses(&self, name: &HeaderName, method_override: bool) -> bool {
        let name = name.as_str();
        let rules = self.rules.get(first(normal(name).next()));
        rules.is_some_and(|rules| rules.iter().any(|rule| rule.refuses(name, method_override)))
    }
}

impl Rule {
    fn new(name: &str, takes: Takes) -> Self {
        Self { name: normal(name).collect(), takes }
    }

    fn refuses(&self, name: &str, method_override: bool) -> bool {
        let mut left = normal(name);
        if !self.name.iter().all(|byte| left.next() == Some(*byte)) {
            return false;
        }
        match self.takes {
            Takes::MethodOverride => method_override && left.next().is_none(),
            Takes::Prefix => true,
            Takes::Whole => left.next().is_none(),
        }
    }
}

fn normal(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

/// A number below [`FIRSTS`] for each character that a normal name may begin with, and for the name without any.
fn first(character: Option<u8>) -> usize {
    match character {
        Some(letter @ b'a'..=b'z') => usize::from(letter - b'a'),
        Some(digit @ b'0'..=b'9') => usize::from(26 + (digit - b'0')),
        _ => FIRSTS - 1,
    }
}

const FIRSTS: usize = 37;

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // One pass over the names costs less than looking for each of ours.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(members)
        // The usual words, which name no field beyond those that go anyway.
        .filter(|member| !["close", "keep-alive", "te", "upgrade"].iter().any(|word| is(member, word)))
        // What is no name cannot be that of a field.
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        // Without its host or with another length a message would be another message.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The members of a list (RFC 9110, section 5.6.1), whatever bytes they are of.
pub(super) fn members(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

fn is(member: &[u8], word: &str) -> bool {
    member.eq_ignore_ascii_case(word.as_bytes())
}

/// `Trailer` is not among them: it announces what we pass on.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    // Makes an upstream speak HTTP/2 on a connection where we would not follow (RFC 7540, section 3.2.1).
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Beside `X-Forwarded-…`.
///
/// `Proxy` would set a CGI program's `HTTP_PROXY` (CVE-2016-5385); `X-Request-Id` is ours, and set afterwards.
const FORWARDING: [&str; 6] =
    ["forwarded", "proxy", "x-original-url", "x-real-ip", "x-request-id", "x-rewrite-url"];

const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Encoding, IdentityHeader, IdentityValue},
        *,
    };

    fn rules() -> HeaderRules {
        let header =
            |name| IdentityHeader { name: HeaderName::from_static(name), value: IdentityValue::User };
        HeaderRules::new(&IdentitySettings {
            headers: vec![header("x-user-id"), header("9lives")],
            encoding: Encoding::Percent,
            strip: vec![HeaderName::from_static("x-secret"), HeaderName::from_static("-")],
        })
    }

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn aliases_of_what_we_set_are_removed() {
        for name in [
            "x-user-id",
            "X_User_Id",
            "x.user.id",
            "XUserId",
            "-x-user-id-",
            "x!user#id",
            "http-x-user-id",
            "HTTP_X_USER_ID",
            "9lives",
            "9-Lives",
            "http_9lives",
            "remote-user",
            "Remote_User",
            "http_remote_user",
            "x-secret",
            "X_Secret",
            "-",
            "_",
            "!~",
            "x-forwarded-for",
            "X_Forwarded_For",
            "x-forwarded-anything",
            "xforwarded",
            "x-forwarded-client-cert",
            "forwarded",
            "For_warded",
            "x-real-ip",
            "X_REAL_IP",
            "x-original-url",
            "x-rewrite-url",
            "x_rewrite.url",
        ] {
            let mut headers = map(&[(name, "1"), (name, "2"), ("accept", "*/*")]);
            rules().remove_untrusted(&mut headers, false);
            assert_eq!(names(&headers), ["accept"], "{name}");
        }
    }

    #[test]
    fn other_fields_pass_with_all_their_values() {
        let passing = [
            "accept",
            "authorization",
            "cookie",
            "host",
            "http-x-secret",
            "remote-users",
            "traceparent",
            "user-id",
            "x-forward",
            "x-method-override",
            "x-original-uri",
            "x-user",
            "x-user-ids",
        ];
        let mut headers = map(&passing.map(|name| (name, "1")));
        headers.append("cookie", "2".parse().unwrap());
        let before = headers.clone();
        rules().remove_untrusted(&mut headers, false);
        assert_eq!(headers, before);
    }

    #[test]
    fn another_method_is_told_only_where_methods_do_not_decide() {
        let overrides = [
            ("x-http-method-override", "PUT"),
            ("X_HTTP_Method", "PUT"),
            ("x-method.override", "PUT"),
            ("x-http", ""),
        ];
        let mut headers = map(&overrides);
        rules().remove_untrusted(&mut headers, false);
        assert_eq!(headers, map(&overrides));
        rules().remove_untrusted(&mut headers, true);
        assert_eq!(names(&headers), ["x-http"]);
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_every_connection_line_names_are_removed() {
        let mut headers = map(&[
            ("connection", "close, X-One ,,x-two"),
            ("Connection", "Keep-Alive, Upgrade, cookie"),
            ("x-one", "1"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("cookie", "a=b"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-authenticate", "Basic"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
            ("accept", "*/*"),
        ]);
        let mut response = headers.clone();
        remove_hop_by_hop_of_request(&mut headers);
        assert_eq!(names(&headers), ["accept", "trailer"]);
        remove_hop_by_hop_of_response(&mut response);
        assert_eq!(names(&response), ["accept", "trailer"]);
    }

    #[test]
    fn host_and_length_stay_whatever_connection_says() {
        let mut headers =
            map(&[("connection", "host, Content-Length"), ("host", "a"), ("content-length", "3")]);
        remove_hop_by_hop_of_request(&mut headers);
        assert_eq!(names(&headers), ["content-length", "host"]);
    }

    #[test]
    fn a_connection_line_that_is_no_list_of_names_does_its_worst_in_vain() {
        let mut headers = map(&[("accept", "*/*"), ("x-one", "1")]);
        headers.append(CONNECTION, HeaderValue::from_bytes(b"caf\xe9 x, \"x-two\", x-one,\xff").unwrap());
        remove_hop_by_hop_of_request(&mut headers);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn te_trailers_is_kept_alone() {
        for (te, kept) in
            [("trailers", true), ("gzip;q=0.5, Trailers", true), ("gzip", false), ("xtrailers", false)]
        {
            let mut headers = map(&[("connection", "TE"), ("te", te)]);
            remove_hop_by_hop_of_request(&mut headers);
            let expected = if kept { map(&[("te", "trailers")]) } else { HeaderMap::new() };
            assert_eq!(headers, expected, "{te}");
        }
        let mut response = map(&[("te", "trailers")]);
        remove_hop_by_hop_of_response(&mut response);
        assert!(response.is_empty());
    }

    /// `name` with other characters that a field name may have strewn in, in any case.
    fn alias(name: &'static str) -> impl Strategy<Value = String> {
        let filler = "[!#$%&'*+.^_`|~-]{0,2}";
        let letters: Vec<char> = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let len = letters.len();
        let parts = (prop::collection::vec((filler, any::<bool>()), len), filler);
        parts.prop_map(move |(parts, end)| {
            let spelled = letters.iter().zip(parts).map(|(letter, (filler, upper))| {
                filler + &if upper { letter.to_ascii_uppercase() } else { *letter }.to_string()
            });
            spelled.collect::<String>() + &end
        })
    }

    proptest! {
        #[test]
        fn no_alias_survives(
            name in prop::sample::select(vec!["x-user-id", "http-x-user-id", "remote-user", "http-remote-user",
                "x-forwarded-for", "x-forwarded-client-cert", "forwarded", "x-real-ip", "x-secret", "9lives"])
                .prop_flat_map(alias),
            others in prop::collection::vec("[a-z][a-z0-9_-]{0,12}", 0..12),
        ) {
            let mut headers = HeaderMap::new();
            for other in &others {
                headers.append(other.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"));
            }
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("root"));
            rules().remove_untrusted(&mut headers, false);
            prop_assert!(!headers.contains_key(&name), "{}", name);
            prop_assert!(headers.values().all(|value| value == "1"));
        }
    }
}
