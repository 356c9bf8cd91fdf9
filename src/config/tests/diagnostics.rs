use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(site: &Site, expected: &str) {
    assert_eq!(site.faults(), expected.trim_start_matches('\n').trim_end().to_owned() + "\n");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    check(
        &Site::new(&format!("[limits]\nidel_timeout = \"5s\"\n{SMALLEST}")),
        r"
error: unknown key `limits.idel_timeout`
 --> gateway.toml:2:1
  |
2 | idel_timeout = `5s`
  | ^^^^^^^^^^^^ did you mean `idle_timeout`?
"
        .replace("`5s`", "\"5s\"")
        .as_str(),
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    check(
        &Site::new(&format!("{SMALLEST}[limits]\nidle_timeout = 5\n")),
        r#"
error: wrong type for `limits.idle_timeout`
 --> gateway.toml:5:16
  |
5 | idle_timeout = 5
  |                ^ expected a duration such as "1500ms", "30s", "5m", "1h" or "7d", found a number
"#,
    );
}

#[test]
fn all_faults_come_at_once_by_position() {
    check(
        &Site::new(
            "[listn]\nhttps = \"here\"\n[log]\nlevel = \"wran\"\naccess = 1 # ?\n[[route]]\nmethods = [\"GET\", 5, \"get\"]\n\
             upstream = \"ecko\"\n",
        ),
        r#"
error: unknown key `listn`
 --> gateway.toml:1:2
  |
1 | [listn]
  |  ^^^^^ did you mean `listen`?

error: impossible value for `log.level`
 --> gateway.toml:4:9
  |
4 | level = "wran"
  |         ^^^^^^ expected one of "error", "warn", "info", "debug", "trace"; did you mean "warn"?

error: wrong type for `log.access`
 --> gateway.toml:5:10
  |
5 | access = 1 # ?
  |          ^ expected `true` or `false`, found a number

error: missing key `route[0].path`
 --> gateway.toml:6:1
  |
6 | [[route]]
  | ^^^^^^^^^ expected `path` in here

error: wrong type for `route[0].methods`
 --> gateway.toml:7:19
  |
7 | methods = ["GET", 5, "get"]
  |                   ^ expected a method in capitals such as "GET", found a number

error: impossible value for `route[0].methods`
 --> gateway.toml:7:22
  |
7 | methods = ["GET", 5, "get"]
  |                      ^^^^^ expected a method in capitals such as "GET"

error: unknown upstream
 --> gateway.toml:8:12
  |
8 | upstream = "ecko"
  |            ^^^^^^ did you mean `echo`?
"#,
    );
}

#[test]
fn what_is_no_toml_is_shown_where_it_breaks() {
    check(
        &Site::new("[limits]\nidle_timeout = 5 s\n\n[[route]\npath = \"/*\"\n"),
        r"
error: this is not TOML
 --> gateway.toml:2:16
  |
2 | idle_timeout = 5 s
  |                ^^^ string values must be quoted, expected literal string

error: this is not TOML
 --> gateway.toml:4:9
  |
4 | [[route]
  |         ^ unclosed array table, expected `]`
",
    );
}

#[test]
fn an_empty_file_lacks_a_route() {
    check(
        &Site::new(""),
        r"
error: no route at all
 --> gateway.toml:1:1
  |
1 |
  | ^ expected at least one [[route]] with `path` and `upstream`
",
    );
}

#[test]
fn a_secret_is_masked_in_its_line() {
    check(
        &Site::new(&format!(
            "{SMALLEST}[[tokens.key]]\nid = \"a\"\nalgorithm = \"RS256\"\nsecret = \"xyzzy\"\n"
        )),
        r#"
error: impossible value for `tokens.key[0].algorithm`
 --> gateway.toml:6:13
  |
6 | algorithm = "RS256"
  |             ^^^^^^^ RS256 is not there yet; expected "HS256"

error: wrong type for `tokens.key[0].secret`
 --> gateway.toml:7:10
  |
7 | secret = ********
  |          ^^^^^^^^ expected { file = "…" } or { env = "…" }, found a text
"#,
    );
}

#[test]
fn a_secret_hides_nothing_beside_it() {
    let key = "[[tokens.key]]\nid = \"a\"\nalgoritm = \"HS256\"\n";
    let masked = Site::new(&format!(
        "{key}secret = {{ file = \"short\" }} # was xyzzy\n[auth.password]\nmni = 8\nmax = \"many\"\n{SMALLEST}"
    ));
    check(
        &masked.write("short", "xyzzy"),
        r#"
error: missing key `tokens.key[0].algorithm`
 --> gateway.toml:1:1
  |
1 | [[tokens.key]]
  | ^^^^^^^^^^^^^^ expected `algorithm` in here

error: unknown key `tokens.key[0].algoritm`
 --> gateway.toml:3:1
  |
3 | algoritm = ********
  | ^^^^^^^^ did you mean `algorithm`?

error: the secret of `tokens.key[0].secret` is too short
 --> gateway.toml:4:10
  |
4 | secret = { file = "short" } ********
  |          ^^^^^^^^^^^^^^^^^^ expected at least 32 bytes, or `allow_short = true` beside it

error: unknown key `auth.password.mni`
 --> gateway.toml:6:1
  |
6 | mni = ********
  | ^^^ did you mean `min`?

error: wrong type for `auth.password.max`
 --> gateway.toml:7:7
  |
7 | max = "many"
  |       ^^^^^^ expected a whole number, found a text
"#,
    );
    let inline = "id = \"a\"\nalgorithm = \"HS256\"\nsecret = { inline = \"xyzzy\" }\n";
    check(
        &Site::new(&format!("[[tokens.key]]\n{inline}[limits]\nidle_timeout = 5 s\n")),
        r"
error: this is not TOML
 --> gateway.toml:6:16
  |
6 | idle_timeout = 5 s
  |                ^^^ string values must be quoted, expected literal string
",
    );
}

#[test]
fn no_diagnostic_tells_a_secret() {
    let key = "[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\n";
    for broken in [
        "secret = { inline = \"xyzzy\" }",
        "secret = { inlin = \"xyzzy\" }",
        "secret = { inline = \"xyzzy\", file = \"xyzzy\" }",
        "secret = { xyzzy = \"a\" }",
        "secret = { inline = [\"xyzzy\"] }",
        "secret = { env = \"xyzzy\" }",
        "sercet = \"xyzzy\"",
        "value = \"xyzzy\"",
        "secret = [\"xyzzy\"]",
        "secret = \"xyzzy",
        "secret = { inline = \"xyzzy }",
        "secret = { inline = \"\"\"\nxyzzy",
        "secret = xyzzy",
        "secret.inline = xyzzy xyzzy",
        "[tokens.key.secret]\ninline = \"xyzzy\"\nmore = xyzzy",
        "[tokens.key.secret]\nxyzzy = 1",
        "secret.xyzzy.inline = 1",
        "secret = {} # xyzzy",
        "secret = { # xyzzy\n}",
        "[tokens.key.secret] # xyzzy",
        "secret = [1, # xyzzy\n \"xyzzy\"]",
        "secret = [\nxyzzy",
        "value = xyzzy",
        "secret = { inline = \"a\nxyzzy = 1\"",
    ] {
        let faults = Site::new(&format!("{SMALLEST}{key}{broken}\n")).read().unwrap_err();
        assert!(!faults.render(true).contains("xyzzy"), "{broken}: {faults}");
        for fault in faults.iter() {
            assert!(!format!("{fault:?}").contains("xyzzy"), "{broken}: {fault:?}");
        }
    }
    for url in
        ["[store]\nurl = \"postgres://me:xyzzy@db/x\"", "[upstream.a]\nservers = [\"http://me:xyzzy@a\"]"]
    {
        let faults = Site::new(&format!("{SMALLEST}{url}\n")).faults();
        assert!(!faults.contains("xyzzy"), "{faults}");
    }
}

#[test]
fn beyond_fifty_faults_the_rest_is_counted() {
    let unknown: String = (0..60).map(|index| format!("unknown_{index} = 1\n")).collect();
    let faults = Site::new(&format!("{SMALLEST}[log]\n{unknown}")).read().unwrap_err();
    assert_eq!(faults.iter().count(), 60);
    let shown = faults.to_string();
    assert_eq!(shown.matches("error:").count(), 50);
    assert!(shown.ends_with("\n\nand 10 more\n"), "{shown}");
}

#[test]
fn a_machine_gets_position_key_and_words() {
    let faults = Site::new(&format!("{SMALLEST}[limits]\nstreams = 0\n")).read().unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!(fault.position, Some(Position { line: 5, column: 11 }));
    assert_eq!(fault.key, "limits.streams");
    assert_eq!(fault.message, "impossible value for `limits.streams`");
    assert_eq!(fault.hint, "expected 1 to 100000");
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let site = Site::new(SMALLEST)
        .write("latin1.toml", b"a = 1\nb = '\xe9'\n")
        .write("large.toml", vec![b'#'; LARGEST + 1]);
    let fault = |name: &str| site.seen_from_here(&read(&site.path(name)).unwrap_err().to_string());
    assert_eq!(
        fault("absent.toml"),
        "error: cannot read `absent.toml`\n |\n = note: No such file or directory (os error 2)\n"
    );
    assert_eq!(
        fault("latin1.toml"),
        "error: cannot read `latin1.toml`\n |\n = note: it is not UTF-8, in line 2\n"
    );
    assert!(fault("large.toml").ends_with("it has more than 1048576 bytes\n"));
    assert!(read(site.folder.path()).unwrap_err().to_string().ends_with("it is not a regular file\n"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"([\[\]{}="'.,#\n\r a-c0-9é\t\u{0}\u{feff}\u{1f600}]|route|path|upstream|tokens|key|secret|inline| = )*"#) {
        if let Err(faults) = Site::new(&text).read() {
            let rendered = faults.to_string();
            prop_assert!(!rendered.is_empty());
        }
    }
}
