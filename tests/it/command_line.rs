//! The program as its operator types it.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Process, TestGateway};

fn folder(config: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("gateway.toml"), config).unwrap();
    folder
}

const GOOD: &str = "[[route]]\npath = \"/*\"\nupstream = \"echo\"\n";

#[test]
fn check_makes_nothing_and_tells_every_fault() {
    let good = folder(GOOD);
    let (code, out, _) = Process::command(good.path(), &["check"], "");
    assert_eq!((code, out.as_str()), (0, "gateway.toml: fine\n"));
    assert_eq!(fs::read_dir(good.path()).unwrap().count(), 1, "check makes nothing");

    let bad = folder("[listen]\nhttp5 = \"x\"\n[[route]]\npath = \"nope\"\nupstream = 7\n");
    let (code, out, error) = Process::command(bad.path(), &["check"], "");
    assert_eq!((code, out.as_str()), (1, ""));
    for expected in ["gateway.toml:2:1", "`https`", "gateway.toml:4:8", "gateway.toml:5:12", "^^^^^"] {
        assert!(error.contains(expected), "no `{expected}` in {error}");
    }
    let (code, out, _) = Process::command(bad.path(), &["check", "--json"], "");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &json["ok"], json["faults"].as_array().unwrap().len()),
        (1, &json!(false), 3),
        "{json}"
    );
    assert_eq!((&json["faults"][0]["line"], &json["faults"][0]["column"]), (&json!(2), &json!(1)));
}

#[test]
fn check_reads_the_store_as_run_would() {
    let folder = folder(GOOD);
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/portcullis.db"), "damaged".repeat(1000)).unwrap();
    let (code, out, error) = Process::command(folder.path(), &["check"], "");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.ends_with("data/portcullis.db is not a SQLite database\n"), "{error:?}");
    let (code, out, _) = Process::command(folder.path(), &["check", "--json"], "");
    let json: Value = serde_json::from_str(&out).unwrap();
    let fault = &json["faults"][0];
    assert_eq!(
        (code, &json["ok"], &fault["line"], &fault["column"]),
        (1, &json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(fault["key"], "store.url");
    assert!(fault["message"].as_str().unwrap().ends_with("is not a SQLite database"), "{json}");
    assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1, "check makes nothing");
}

#[test]
fn check_ends_its_findings_with_a_newline() {
    let bad = folder("[listen]\nworkers = x y\n");
    let (code, _, error) = Process::command(bad.path(), &["check"], "");
    assert!(code == 1 && error.ends_with("literal string\n"), "{error:?}");
}

#[test]
fn check_prints_what_is_in_force_and_no_secret() {
    let folder = folder(&format!(
        "[[tokens.key]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = {{ inline = \"{}\" }}\n{GOOD}",
        "very-secret-".repeat(4)
    ));
    let (code, out, error) = Process::command(folder.path(), &["check", "--print"], "");
    assert_eq!(code, 0);
    assert!(out.contains("access_lifetime = \"30m\"") && out.contains("# default"), "{out}");
    assert!(!out.contains("very-secret") && !error.contains("very-secret"));
}

#[test]
fn wrong_usage_is_2_and_bad_files_are_1() {
    let folder = folder(GOOD);
    for (arguments, expected) in [
        (&["fly"][..], 2),
        (&["user"], 2),
        (&["user", "add"], 2),
        (&["check", "-c", "missing.toml"], 1),
        (&["run", "-c", "missing.toml"], 1),
        (&["user", "show", "nobody"], 1),
        (&["--help"], 0),
        (&["user", "add", "--help"], 0),
    ] {
        let (code, out, error) = Process::command(folder.path(), arguments, "");
        assert_eq!(code, expected, "{arguments:?}: {out}{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_user_added_by_an_operator_logs_in() {
    let gateway = TestGateway::start();
    let run = |arguments: &[&str], stdin: &str| {
        let (code, out, error) = Process::command(gateway.folder(), arguments, stdin);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out
    };
    let add = [
        "user",
        "add",
        "admin",
        "--email",
        "root@example.com",
        "--role",
        "staff",
        "--attribute",
        "team=blue",
        "--json",
    ];
    let added: Value = serde_json::from_str(&run(&add, "correct horse\n")).unwrap();
    assert_eq!((&added["username"], &added["roles"]), (&json!("admin"), &json!(["staff"])));
    gateway.login("admin");

    run(
        &[
            "user",
            "set",
            "root@example.com",
            "--no-roles",
            "--attribute",
            "team=red",
            "--email",
            "a@example.com",
        ],
        "",
    );
    let shown: Value = serde_json::from_str(&run(&["user", "show", "id:1", "--json"], "")).unwrap();
    assert_eq!(shown["attributes"], json!({"team": "red"}));
    assert_eq!((&shown["email"], &shown["roles"]), (&json!("a@example.com"), &json!([])));

    fs::write(gateway.folder().join("new"), "battery staple\n").unwrap();
    run(&["user", "passwd", "admin", "--password", "@new"], "");
    gateway.post("/api/auth/login/", &crate::harness::credentials("admin")).expect(401);
    gateway.post("/api/auth/login/", &json!({"username": "admin", "password": "battery staple"})).expect(200);
    assert!(run(&["user", "list"], "").contains("admin"));
}

#[test]
fn passwords_are_never_arguments_and_weak_ones_are_refused() {
    let folder = folder(GOOD);
    let (code, _, error) =
        Process::command(folder.path(), &["user", "add", "ada", "--password", "correct horse"], "");
    assert_eq!(code, 2);
    assert!(error.contains("never an argument") && !error.contains("correct horse"), "{error}");
    let (code, _, error) = Process::command(folder.path(), &["user", "add", "ada"], "password1\n");
    assert_eq!(code, 1);
    assert!(error.contains("too common"), "{error}");
    let (code, _, error) = Process::command(folder.path(), &["user", "add", "a b"], "correct horse\n");
    assert_eq!(code, 1, "{error}");
}
