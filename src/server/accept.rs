//! Takes connections off a listening socket until the drain begins.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    select,
    time::{self, Instant},
};
use tracing::warn;

use super::admission::Admission;

/// Calls `each` with every connection. Returns when the drain has begun; no error of the socket ends it.
pub(super) async fn accept<T>(
    listener: impl Listener<T>,
    admission: &Admission,
    mut each: impl FnMut(T, SocketAddr),
) {
    let mut draining = std::pin::pin!(admission.drain().draining());
    loop {
        let accepted = select! {
            biased;
            () = &mut draining => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => each(stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                admission.metrics().accept_failures.increment();
                if admission.trouble().begins() {
                    warn!(error = %error, "Connections cannot be accepted for now: {error}");
                }
                // Without file descriptors the socket stays ready: without a pause this would spin.
                select! {
                    () = &mut draining => return,
                    () = time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

/// Episodes in which connections cannot be accepted, over all listeners of all workers.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Option<Instant>>);

impl Trouble {
    /// Notes a failure. Whether it is the first of an episode, which ends when none came for [`EPISODE`].
    fn begins(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(Instant::now());
        before.is_none_or(|before| before.elapsed() >= EPISODE)
    }
}

/// Where connections come from: a socket, or a test.
pub(super) trait Listener<T> {
    /// The next connection.
    async fn accept(&self) -> io::Result<(T, SocketAddr)>;
}

impl Listener<tokio::net::TcpStream> for TcpListener {
    async fn accept(&self) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// Such errors take their connection off the queue (accept(2)), so the next call is about another one.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
    )
}

const PAUSE: Duration = Duration::from_millis(100);
/// So long without a failure, and the next one is news again.
const EPISODE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future};

    use super::*;
    use crate::{metrics::Metrics, server::Drain};

    /// Gives what was put in, last first, then nothing ever.
    struct Scripted(RefCell<Vec<io::Result<(u8, SocketAddr)>>>);

    impl Listener<u8> for Scripted {
        async fn accept(&self) -> io::Result<(u8, SocketAddr)> {
            let next = self.0.borrow_mut().pop();
            match next {
                Some(result) => result,
                None => future::pending().await,
            }
        }
    }

    async fn accepted(mut script: Vec<io::Result<(u8, SocketAddr)>>) -> (Vec<(u8, SocketAddr)>, Duration) {
        script.reverse();
        let wanted = script.iter().flatten().count();
        let (drain, start) = (Drain::new(), Instant::now());
        let admission = Admission::new(&crate::server::tests::limits(), &Metrics::default(), &drain);
        let mut seen = Vec::new();
        accept(Scripted(RefCell::new(script)), &admission, |stream, peer| {
            seen.push((stream, peer));
            if seen.len() == wanted {
                drain.start();
            }
        })
        .await;
        (seen, start.elapsed())
    }

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 5);
    const EMFILE: i32 = 24;

    #[tokio::test(start_paused = true)]
    async fn a_lack_of_descriptors_makes_pauses_and_no_end() {
        let lack = || Err(io::Error::from_raw_os_error(EMFILE));
        let (seen, took) = accepted(vec![Ok((1, PEER)), lack(), lack(), Ok((2, PEER))]).await;
        assert_eq!(seen, [(1, PEER), (2, PEER)]);
        assert_eq!(took, 2 * PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_episode_is_told_once_however_many_fail_and_succeed_in_it() {
        let trouble = Trouble::default();
        let mut told = Vec::new();
        for seconds in [0, 1, 9, 9, 10, 1] {
            time::sleep(Duration::from_secs(seconds)).await;
            told.push(trouble.begins());
        }
        assert_eq!(told, [true, false, false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_gone_already_costs_no_pause() {
        let gone = Err(io::ErrorKind::ConnectionAborted.into());
        let (seen, took) = accepted(vec![gone, Ok((1, PEER))]).await;
        assert_eq!((seen, took), (vec![(1, PEER)], Duration::ZERO));
    }

    #[tokio::test]
    async fn an_ipv4_peer_is_not_written_as_ipv6() {
        let (seen, _) = accepted(vec![Ok((1, "[::ffff:192.0.2.1]:5".parse().unwrap()))]).await;
        assert_eq!(seen, [(1, PEER)]);
    }
}
