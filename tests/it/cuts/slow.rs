//! Clients and upstreams that do nothing to end what is cut: no connection and no memory of it is left.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    sync::{Mutex, mpsc},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::{ACCEPTED, Backend, HANDSHAKE, PATIENCE, eventually, get, metric, open};
use crate::harness::{
    Process, TestGateway, Upstream, bearer,
    frames::{Frames, RST_STREAM},
    request,
};

/// Answers without end to clients that take nothing: hyper does not even ask for the next piece.
#[test]
fn a_client_that_reads_nothing_is_cut_as_well() {
    let (stall, stalled) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let (stall, end) = (Mutex::new(stall), Mutex::new(end));
    let upstream = Upstream::start(move |request, stream| {
        let head = match request.header("upgrade") {
            Some(_) => ACCEPTED.as_bytes().to_vec(),
            None => b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_vec(),
        };
        stream.write_all(&head).unwrap();
        // A frame that is whole within each piece, so that there are borders.
        let mut piece = b"\x82\x7e\xff\xfc".to_vec();
        piece.resize(65_536, b'.');
        // Long enough for everything that is on its way to arrive.
        stream.set_write_timeout(Some(Duration::from_millis(700))).unwrap();
        while stream.write_all(&piece).is_ok() {}
        stall.lock().unwrap().send(()).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let failed = loop {
            if let Err(error) = stream.write_all(&piece) {
                break error.kind();
            }
        };
        end.lock().unwrap().send(failed).unwrap();
        false
    });
    let gateway = TestGateway::with(&upstream.config());
    let access = gateway.register("ada").member("access");
    let authorization = bearer(&access);
    let mut http1 = gateway.connect();
    http1.get_mut().write_all(&request("GET", "/x", &[&authorization], b"")).unwrap();
    let mut websocket = gateway.connect();
    let lines: Vec<&str> = HANDSHAKE.into_iter().chain([&*authorization]).collect();
    websocket.get_mut().write_all(&request("GET", "/ws", &lines, b"")).unwrap();
    // The window of this stream stays shut; the connection is read.
    let mut h2 = Frames::connect(&gateway, &[]);
    h2.send(&get(1, "/x", &access)).unwrap();
    for _ in 0..3 {
        stalled.recv_timeout(PATIENCE).expect("nobody reads");
    }
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    for _ in 0..3 {
        let failed = ended.recv_timeout(PATIENCE).expect("the upstream's connection ends");
        assert!(
            matches!(failed, std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset),
            "{failed:?}"
        );
    }
    assert!(h2.until(RST_STREAM).is_some_and(|frame| frame.stream == 1));
    // What was on its way, and no end.
    http1.read_to_end(&mut Vec::new()).unwrap_err();
    websocket.read_to_end(&mut Vec::new()).unwrap_err();
    eventually("no tunnel is left", || metric(&gateway, "portcullis_tunnels") == 0);
    let log = gateway.stop();
    assert_eq!(log.iter().filter(|line| line["cut"] == "revoked").count(), 3);
}

#[test]
fn cut_answers_leave_no_descriptor_open() {
    let backend = Backend::start();
    let folder = TempDir::new().unwrap();
    let gateway = Process::start(folder.path(), &backend.config());
    let user = crate::harness::registration("ada");
    let access = gateway.post("/api/auth/register/", &user).expect(201).member("access");
    let mut streams = Vec::new();
    for path in ["/events", "/border", "/middle", "/poll", "/upload"].iter().cycle().take(20) {
        streams.push((*path, open(&backend, &gateway, path, &access)));
    }
    // Each has one from its client and one to the upstream.
    assert!(connections(&gateway) >= 40);
    // The upstream, and these clients, do nothing to end them.
    gateway.post_as("/api/auth/logout/", &access, &json!({})).expect(200);
    for _ in 0..20 {
        backend.ended();
    }
    for (path, mut stream) in streams {
        // The connection of a request that was refused is good for another one.
        if path != "/poll" {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    eventually("no connection is left", || connections(&gateway) == 0);
}

/// The sockets that the process holds, but for those it listens on and those within the machine: its own threads
/// make some when they first run.
fn connections(gateway: &Process) -> usize {
    let of_process = |file: &str| format!("/proc/{}/{file}", gateway.pid());
    let inodes = |table: &str, column: usize, which: fn(&[&str]) -> bool| {
        let table = fs::read_to_string(of_process(table)).unwrap();
        let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(|of| which(of)).map(|of| format!("socket:[{}]", of[column])).collect::<Vec<_>>()
    };
    let open = fs::read_dir(of_process("fd")).unwrap().flatten();
    let mut sockets: HashSet<String> = open
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|to| to.to_string_lossy().into_owned())
        .filter(|to| to.starts_with("socket:"))
        .collect();
    for other in inodes("net/tcp", 9, |of| of[3] == "0A").iter().chain(&inodes("net/unix", 6, |_| true)) {
        sockets.remove(other);
    }
    sockets.len()
}
