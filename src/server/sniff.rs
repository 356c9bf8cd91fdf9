//! Which version of HTTP a client speaks that no TLS has agreed on one with.

use std::time::Duration;

use tokio::{
    io::AsyncRead,
    select,
    time::{Instant, timeout_at},
};

use super::{Drain, Protocol, lookahead::Lookahead};

/// Looks at the first bytes: HTTP/2 with prior knowledge begins with its preface (RFC 9113, section 3.3), all else
/// is HTTP/1. Every byte stays to be read. `None` where the client says too little within `patience`, or breaks off.
///
/// A client that has said nothing that decides when the drain begins is one of HTTP/1, for which that is known.
pub(super) async fn sniff<T: AsyncRead + Unpin>(
    stream: &mut Lookahead<T>,
    patience: Duration,
    drain: &Drain,
) -> Option<Protocol> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(protocol) = protocol(stream.ahead()) {
            return Some(protocol);
        }
        let read = select! {
            biased;
            read = timeout_at(deadline, stream.read_ahead()) => read,
            () = drain.draining() => return Some(Protocol::Http1),
        };
        match read {
            Ok(Ok(0)) => return Some(Protocol::Http1),
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

/// `None` while it could still be either.
fn protocol(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(PREFACE) {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(bytes) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Sends `said` byte by byte; what is found, and what is left to read.
    async fn sniffed(said: &[u8]) -> (Option<Protocol>, Vec<u8>) {
        let (mut client, server) = duplex(1);
        let said = said.to_vec();
        let client = tokio::spawn(async move {
            client.write_all(&said).await.unwrap();
        });
        let mut stream = Lookahead::new(server);
        let found = sniff(&mut stream, PATIENCE, &Drain::new()).await;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        client.await.unwrap();
        (found, heard)
    }

    #[tokio::test]
    async fn the_preface_decides_and_no_byte_is_lost() {
        for (said, expected) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"[..], Protocol::Http2),
            (PREFACE, Protocol::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSX", Protocol::Http1),
            (b"PRI * HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"POST / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"GET / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI", Protocol::Http1),
            (b"", Protocol::Http1),
        ] {
            assert_eq!(sniffed(said).await, (Some(expected), said.to_vec()), "{said:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_ended_in_time_and_a_drain_does_not_wait_for_it() {
        let (mut client, server) = duplex(64);
        client.write_all(b"PRI * ").await.unwrap();
        let (mut stream, start) = (Lookahead::new(server), Instant::now());
        assert_eq!(sniff(&mut stream, PATIENCE, &Drain::new()).await, None);
        assert_eq!(start.elapsed(), PATIENCE);
        let drain = Drain::new();
        drain.start();
        assert_eq!(sniff(&mut stream, PATIENCE, &drain).await, Some(Protocol::Http1));
        assert_eq!(start.elapsed(), PATIENCE);
    }
}
