//! Whoever comes without TLS, on the listener that leads to HTTPS.

use std::io::{Read, Write};

use super::{connect, hear, listen, say};
use crate::harness::{TestGateway, Upstream, ok};

#[test]
fn clients_are_sent_to_the_same_target_over_https() {
    let upstream = Upstream::start(|_, stream| ok(stream, "seen"));
    let url = format!("http://{}", upstream.address);
    let routes = format!(
        "[[route]]\npath = \"/*\"\naccess = \"public\"\nupstream = \"{url}\"\n\
         [[route]]\npath = \"/*\"\nhosts = [\"app.example.com\", \"*.example.org\"]\nupstream = \"{url}\"\n"
    );
    let gateway = TestGateway::with(&format!("{}{routes}", listen("http = \"127.0.0.1:0\"")));
    let addresses = *gateway.app().addresses();
    let (http, port) = (addresses.http.unwrap(), addresses.https.unwrap().port());
    let to = |rest: &str| Some(format!("https://{}", rest.replacen('/', &format!(":{port}/"), 1)));
    let host = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");

    for (request, status, location) in [
        (host("/", "app.example.com"), 308, to("app.example.com/")),
        (host("/a%2Fb//c;d?e=%0d%0a&f", "app.example.com"), 308, to("app.example.com/a%2Fb//c;d?e=%0d%0a&f")),
        (host("/x", "APP.example.com:8080"), 308, to("APP.example.com/x")),
        (host("/x", "app.example.com."), 308, to("app.example.com/x")),
        (host("/x", "a.b.example.org"), 308, to("a.b.example.org/x")),
        // The development certificate is for these.
        (host("/x", "localhost:1"), 308, to("localhost/x")),
        (host("/x", "127.0.0.1"), 308, to("127.0.0.1/x")),
        (host("/x", "[0:0::1]:80"), 308, to("[::1]/x")),
        (host("//evil.example/x", "localhost"), 308, to("localhost//evil.example/x")),
        (host("http://localhost/x?y", "localhost"), 308, to("localhost/x?y")),
        (host("http://localhost", "localhost"), 308, to("localhost/")),
        (
            "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(),
            308,
            to("localhost/x"),
        ),
        ("GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(), 308, to("localhost/x")),
        // Forged, or somebody else's.
        (host("/", "evil.example"), 421, None),
        (host("/", "app.example.com.evil.example"), 421, None),
        (host("/", "example.org"), 421, None),
        (host("http://evil.example/", "evil.example"), 421, None),
        (host("http://evil.example/", "localhost"), 400, None),
        (host("/", "localhost@evil.example"), 400, None),
        (host("/", "localhost/evil"), 400, None),
        (host("/", "localhost:x"), 400, None),
        (host("/", ""), 400, None),
        (host("*", "localhost"), 400, None),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".to_owned(), 400, None),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, None),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400, None),
        ("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n".to_owned(), 400, None),
        // What would put a line of its own into the answer is no request.
        (host("/\rSet-Cookie: a=b", "localhost"), 400, None),
        ("GET / HTTP/1.1\r\nHost: local\rhost\r\n\r\n".to_owned(), 400, None),
    ] {
        let answer = say(http, &request).unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert_eq!((answer.status, answer.header("location")), (status, location.as_deref()), "{request:?}");
        assert_eq!(answer.header("set-cookie"), None, "{request:?}");
        if status == 308 {
            assert_eq!(answer.body, b"", "{request:?}");
        }
    }
    assert_eq!(upstream.requests(), [], "nothing of it is forwarded");
    let log = gateway.stop();
    let verdicts: Vec<_> = log.iter().map(|line| (&line["verdict"], &line["status"])).collect();
    assert!(verdicts.contains(&(&"redirected".into(), &308.into())), "{verdicts:?}");
    assert!(verdicts.contains(&(&"misdirected".into(), &421.into())), "{verdicts:?}");
}

#[test]
fn a_connection_serves_several_and_no_body_is_waited_for() {
    let routes = super::PUBLIC_ECHO;
    let gateway = TestGateway::with(&format!("{}{routes}", listen("http = \"127.0.0.1:0\"")));
    let http = gateway.app().addresses().http.unwrap();
    let mut stream = connect(http);
    for _ in 0..2 {
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        hear(&mut stream).unwrap().expect(308);
    }
    let mut upload = connect(http);
    upload.write_all(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx").unwrap();
    hear(&mut upload).unwrap().expect(308);
    // HTTP/2 is for those who know whom they talk to.
    let mut h2 = connect(http);
    h2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut heard = Vec::new();
    let _ = h2.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"\0\0") && !heard.starts_with(b"HTTP/1.1 2"), "{heard:?}");
}
