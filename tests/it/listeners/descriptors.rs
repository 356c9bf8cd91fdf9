//! No file descriptors left: what is open goes on, what comes waits, and nothing spins or dies.

use std::{
    fs,
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{PUBLIC_ECHO, connect};
use crate::harness::{Answer, Process, request};

/// Processor time of a process so far, in clock ticks (proc_pid_stat(5)): a hundredth of a second each.
fn ticks(process: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    const LIMIT: usize = 80;
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")]).arg(Process::program());
    let config = format!("[listen]\nhttps = \"127.0.0.1:0\"\nworkers = 2\n{PUBLIC_ECHO}");
    let gateway = Process::start_with(folder.path(), &config, command);
    let address: SocketAddr = gateway.address();
    let mut open = gateway.connect();
    let ask = |open: &mut BufReader<_>| {
        let stream: &mut BufReader<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> = open;
        stream.get_mut().write_all(&request("GET", "/x", &[], b"")).unwrap();
        Answer::read(stream, false).unwrap().expect(200);
    };
    ask(&mut open);

    let idle: Vec<TcpStream> = (0..LIMIT).map(|_| connect(address)).collect();
    let patience = Instant::now() + Duration::from_secs(20);
    while !gateway.said().contains("cannot be accepted") {
        assert!(Instant::now() < patience, "{}", gateway.said());
        thread::yield_now();
    }
    assert!(gateway.said().contains("os error 24"), "{}", gateway.said());
    let before = ticks(&gateway);
    // Not synchronisation: what it does with a second of want is what is tried.
    thread::sleep(Duration::from_secs(1));
    let spent = ticks(&gateway) - before;
    assert!(spent < 30, "{spent} hundredths of a second in one second");
    ask(&mut open);

    drop(idle);
    let answer = gateway.get("/x", &[]);
    assert_eq!(answer.status, 200, "it goes on by itself");
    ask(&mut open);
    let said = gateway.said();
    assert_eq!(said.matches("cannot be accepted").count(), 1, "{said}");
    gateway.signal("-TERM");
    drop(open);
    assert_eq!(gateway.wait().0, 0);
}
