use std::{
    sync::{Arc, Condvar, Mutex, mpsc},
    time::Duration,
};

use super::*;
use crate::{
    clock::Timestamp,
    id::{TokenId, UserId},
    metrics::{Cut, Verdict},
};

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing until it is opened, and says when it is first asked.
struct Gate {
    asked: mpsc::Sender<()>,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.asked.send(());
        let (open, changed) = &*self.open;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record<'a>(path: &'a str, user: Option<&'a UserId>) -> Record<'a> {
    Record {
        time: Timestamp::from_millis(1_700_000_000_042),
        request_id: "r-1",
        client: "203.0.113.7".parse().unwrap(),
        method: "GET",
        host: "app.example.com",
        path,
        status: 200,
        bytes_in: 0,
        bytes_out: 512,
        duration: Duration::from_micros(12_345),
        upstream_duration: Some(Duration::from_micros(9_001)),
        route: Some("/api/*"),
        upstream: Some("orders"),
        user,
        token: user.map(|_| TokenId::from_bytes([0xab; 16])),
        verdict: Verdict::Allowed,
        aborted: false,
        cut: None,
    }
}

fn written(format: Format, records: &[Record<'_>]) -> String {
    let memory = Memory::default();
    let log = AccessLog::start(Sink::Writer(Box::new(memory.clone())), format, Metrics::default()).unwrap();
    let worker = log.worker();
    for record in records {
        worker.write(record);
    }
    drop(worker);
    drop(log);
    memory.text()
}

#[test]
fn a_json_line_has_every_field_that_is_known() {
    let user: UserId = "42".parse().unwrap();
    assert_eq!(
        written(Format::Json, &[record("/api/orders", Some(&user))]),
        concat!(
            r#"{"time":"2023-11-14T22:13:20.042Z","request_id":"r-1","client":"203.0.113.7","method":"GET","#,
            r#""host":"app.example.com","path":"/api/orders","status":200,"bytes_in":0,"bytes_out":512,"#,
            r#""duration_ms":12.345,"upstream_duration_ms":9.001,"route":"/api/*","upstream":"orders","#,
            r#""user_id":"42","token_id":"abababababababababababababababab","verdict":"allowed","aborted":false}"#,
            "\n",
        )
    );
}

#[test]
fn a_json_line_leaves_out_what_is_not_known() {
    let mut bare = record("/", None);
    bare.upstream_duration = None;
    bare.route = None;
    bare.upstream = None;
    bare.aborted = true;
    bare.verdict = Verdict::NotFound;
    assert_eq!(
        written(Format::Json, &[bare]),
        concat!(
            r#"{"time":"2023-11-14T22:13:20.042Z","request_id":"r-1","client":"203.0.113.7","method":"GET","#,
            r#""host":"app.example.com","path":"/","status":200,"bytes_in":0,"bytes_out":512,"#,
            r#""duration_ms":12.345,"verdict":"not_found","aborted":true}"#,
            "\n",
        )
    );
}

#[test]
fn a_text_line_reads_from_left_to_right() {
    let user: UserId = "42".parse().unwrap();
    assert_eq!(
        written(Format::Text, &[record("/api/orders", Some(&user))]),
        concat!(
            r#"2023-11-14T22:13:20.042Z 203.0.113.7 "GET app.example.com/api/orders" 200 allowed 12.345 ms, "#,
            r#"in 0, out 512, upstream 9.001 ms, route "/api/*", upstream "orders", user "42", "#,
            r#"token abababababababababababababababab, request "r-1""#,
            "\n",
        )
    );
}

#[test]
fn a_line_tells_why_its_answer_was_cut() {
    let mut cut = record("/", None);
    (cut.aborted, cut.cut) = (true, Some(Cut::Revoked));
    let line = written(Format::Text, &[cut]);
    assert!(line.contains("200 allowed aborted cut revoked 12.345 ms"), "{line}");
    let mut cut = record("/", None);
    (cut.aborted, cut.cut) = (true, Some(Cut::Expired));
    let line = written(Format::Json, &[cut]);
    assert!(line.ends_with("\"verdict\":\"allowed\",\"aborted\":true,\"cut\":\"expired\"}\n"), "{line}");
}

#[test]
fn no_client_can_forge_a_line_or_a_field() {
    let forged = "/x\",\"user_id\":\"1\"}\n{\"time\":\"\u{1b}[2J\u{2028}";
    for format in [Format::Json, Format::Text] {
        let mut record = record(forged, None);
        record.host = "a\"\nb";
        record.request_id = "\r\n";
        let lines = written(format, &[record]);
        assert_eq!(lines.matches('\n').count(), 1, "{lines}");
        assert!(lines.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{lines}");
        if format == Format::Json {
            let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
            assert_eq!(line["path"], forged);
            assert_eq!(line["host"], "a\"\nb");
            assert_eq!(line.get("user_id"), None);
        }
    }
}

#[test]
fn every_line_is_written_in_order_before_the_log_ends() {
    let paths: Vec<String> = (0..3000).map(|number| format!("/{number}")).collect();
    let records: Vec<_> = paths.iter().map(|path| record(path, None)).collect();
    let lines = written(Format::Json, &records);
    let seen: Vec<String> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(seen, paths);
}

#[test]
fn a_tick_hands_over_what_has_gathered() {
    let (asked, was_asked) = mpsc::channel();
    let open = Arc::new((Mutex::new(true), Condvar::new()));
    let sink = Sink::Writer(Box::new(Gate { asked, open }));
    let log = AccessLog::start(sink, Format::Json, Metrics::default()).unwrap();
    let worker = log.worker();
    worker.write(&record("/", None));
    assert!(was_asked.try_recv().is_err());
    worker.tick();
    was_asked.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_writer_that_is_behind_costs_lines_and_no_waiting() {
    let (asked, was_asked) = mpsc::channel();
    let open = Arc::new((Mutex::new(false), Condvar::new()));
    let metrics = Metrics::default();
    let sink = Sink::Writer(Box::new(Gate { asked, open: Arc::clone(&open) }));
    let log = AccessLog::start(sink, Format::Json, metrics.clone()).unwrap();
    let worker = log.worker();
    worker.write(&record("/", None));
    worker.tick();
    // From here on the writer holds one buffer and takes no other; the queue has room for 64.
    was_asked.recv().unwrap();
    for _ in 0..64 + 3 {
        worker.write(&record("/", None));
        worker.tick();
    }
    assert_eq!(metrics.log_lines_dropped.value(), 3);
    *open.0.lock().unwrap() = true;
    open.1.notify_all();
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let metrics = Metrics::default();
    let log = AccessLog::start(Sink::Writer(Box::new(Broken)), Format::Text, metrics.clone()).unwrap();
    let worker = log.worker();
    worker.write(&record("/", None));
    worker.write(&record("/", None));
    drop(worker);
    let late = log.worker();
    drop(log);
    late.write(&record("/", None));
    drop(late);
    assert_eq!(metrics.log_lines_dropped.value(), 3);
}
