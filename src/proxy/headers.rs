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
    /// Every spelling but the exact one.
    Aliases,
    /// The name itself, but for the spelling that is believed.
    Forwarding,
    /// Every name that begins so, but for the spellings that are believed.
    ForwardingPrefix,
    /// The name itself, on routes where the method decides.
    MethodOverride,
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
        rules.extend(NEVER_BELIEVED.map(|name| Rule::new(name, Takes::Whole)));
        rules.extend(FORWARDING.map(|name| Rule::new(name, Takes::Forwarding)));
        rules.push(Rule::new("x-forwarded-", Takes::ForwardingPrefix));
        rules.extend(JUDGED.map(|name| Rule::new(name, Takes::Aliases)));
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
    /// Where they come from a trusted proxy, `believed`, what it says of the way stays, each field under its one
    /// exact name: what such a proxy says of users, or of another URL, is its clients' word as likely as its own.
    ///
    /// `Connection` lines are dealt with before.
    pub fn remove_untrusted(&self, headers: &mut HeaderMap, method_override: bool, believed: bool) {
        // Empty for most requests, and then nothing is allocated.
        let refused: Vec<HeaderName> =
            headers.keys().filter(|name| self.refuses(name, method_override, believed)).cloned().collect();
        for name in refused {
            headers.remove(name);
        }
    }

    fn refuses(&self, name: &HeaderName, method_override: bool, believed: bool) -> bool {
        let name = name.as_str();
        let rules = self.rules.get(first(normal(name).next()));
        rules.is_some_and(|rules| rules.iter().any(|rule| rule.refuses(name, method_override, believed)))
    }
}

impl Rule {
    fn new(name: &str, takes: Takes) -> Self {
        Self { name: normal(name).collect(), takes }
    }

    fn refuses(&self, name: &str, method_override: bool, believed: bool) -> bool {
        let mut left = normal(name);
        if !self.name.iter().all(|byte| left.next() == Some(*byte)) {
            return false;
        }
        match self.takes {
            Takes::Aliases => left.next().is_none() && !JUDGED.contains(&name),
            Takes::Forwarding => left.next().is_none() && !(believed && BELIEVED.contains(&name)),
            Takes::ForwardingPrefix => !(believed && BELIEVED.contains(&name)),
            Takes::MethodOverride => method_override && left.next().is_none(),
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

/// What is judged, framed or taken out here under its one name: another spelling would tell a backend that follows CGI
/// something else.
const JUDGED: [&str; 4] = ["authorization", "content-length", "sec-websocket-protocol", "transfer-encoding"];

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
const FORWARDING: [&str; 2] = ["forwarded", "x-real-ip"];

/// What a trusted proxy may say, as it must spell it. Not all of `X-Forwarded-…`: `-User` and its kin name a user,
/// which only a token does, and `-Uri` and `-Method` another request than the one that was judged.
const BELIEVED: [&str; 13] = [
    "forwarded",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-tls-client-cert",
    "x-real-ip",
];

/// `Proxy` would set a CGI program's `HTTP_PROXY` (CVE-2016-5385); frameworks route by the two URLs instead of the
/// path that was judged; `X-Request-Id` is ours, and set afterwards.
const NEVER_BELIEVED: [&str; 4] = ["proxy", "x-original-url", "x-request-id", "x-rewrite-url"];

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
            rules().remove_untrusted(&mut headers, false, false);
            assert_eq!(names(&headers), ["accept"], "{name}");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_word_for_word() {
        let believed = BELIEVED.map(|name| (name, "1"));
        let others = [
            "x_forwarded_for",
            "x-forwarded_for",
            "x-forwarded-f-or",
            "x-forwarded-for-",
            "-x-forwarded-for",
            "xforwardedhost",
            "x-real_ip",
            "for-warded",
            "x-forwarded",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-access-token",
            "x-forwarded-uri",
            "x-forwarded-method",
            "x-original-url",
            "x-rewrite-url",
            "x-request-id",
            "proxy",
            "x-user-id",
            "x_user_id",
            "remote-user",
            "x-secret",
        ];
        let mut headers = map(&believed);
        headers.extend(map(&others.map(|name| (name, "1"))));
        rules().remove_untrusted(&mut headers, false, true);
        assert_eq!(names(&headers), BELIEVED);
    }

    #[test]
    fn what_is_stripped_is_believed_of_nobody() {
        let settings = |strip| IdentitySettings { headers: Vec::new(), encoding: Encoding::Percent, strip };
        let rules = HeaderRules::new(&settings(vec![HeaderName::from_static("x-real-ip")]));
        let mut headers = map(&[("x-real-ip", "1"), ("x-forwarded-for", "1")]);
        rules.remove_untrusted(&mut headers, false, true);
        assert_eq!(names(&headers), ["x-forwarded-for"]);
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
        rules().remove_untrusted(&mut headers, false, false);
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
        rules().remove_untrusted(&mut headers, false, false);
        assert_eq!(headers, map(&overrides));
        rules().remove_untrusted(&mut headers, true, false);
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
            believed in any::<bool>(),
        ) {
            let mut headers = HeaderMap::new();
            for other in &others {
                headers.append(other.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"));
            }
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("root"));
            rules().remove_untrusted(&mut headers, false, believed);
            let is_exact = BELIEVED.contains(&name.to_ascii_lowercase().as_str());
            prop_assert!(headers.contains_key(&name) == (believed && is_exact), "{}", name);
            prop_assert!(believed && is_exact || headers.values().all(|value| value == "1"));
        }
    }
}
