//! The header in which a proxy of TCP says whom it stands for (the PROXY protocol, versions 1 and 2, as HAProxy
//! specifies it).
//!
//! Never here: who may send one (`gate`), sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client; `None` where the proxy speaks for itself or does not know: then the socket's address counts.
    pub source: Option<SocketAddr>,
    /// Bytes of the header; what follows is the client's.
    pub length: usize,
}

/// The bytes are no PROXY header, and will not be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no well-formed PROXY header")]
pub struct NoProxyHeader;

/// Reads the header at the beginning of `bytes`; `None` while it is not whole. Decides at the latest when there are
/// [`LONGEST`] bytes. Bytes that are added later never change what was decided.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    if is_begun(bytes, SIGNATURE) {
        binary(bytes)
    } else if is_begun(bytes, PREFIX) {
        text(bytes)
    } else {
        Err(NoProxyHeader)
    }
}

/// Whether one is the beginning of the other.
fn is_begun(bytes: &[u8], whole: &[u8]) -> bool {
    bytes.starts_with(whole) || whole.starts_with(bytes)
}

/// Version 1: one line.
fn text(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let head = bytes.get(..LONGEST_TEXT).unwrap_or(bytes);
    let Some(end) = head.windows(CRLF.len()).position(|window| window == CRLF) else {
        return if head.len() < LONGEST_TEXT { Ok(None) } else { Err(NoProxyHeader) };
    };
    let line = head.get(PREFIX.len()..end).ok_or(NoProxyHeader)?;
    let source = words(line)?;
    Ok(Some(ProxyHeader { source, length: end + CRLF.len() }))
}

/// `TCP4 192.0.2.1 198.51.100.1 56324 443`, or `UNKNOWN` and anything.
fn words(line: &[u8]) -> Result<Option<SocketAddr>, NoProxyHeader> {
    let line = str::from_utf8(line).map_err(|_| NoProxyHeader)?;
    let mut words = line.split(' ');
    let is_address: fn(&str) -> Option<IpAddr> = match words.next() {
        Some("TCP4") => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        Some("UNKNOWN") => return Ok(None),
        _ => return Err(NoProxyHeader),
    };
    let source = words.next().and_then(is_address).ok_or(NoProxyHeader)?;
    // What the proxy was reached at says nothing here, but a line that is wrong there is wrong.
    words.next().and_then(is_address).ok_or(NoProxyHeader)?;
    let port = words.next().and_then(port).ok_or(NoProxyHeader)?;
    words.next().and_then(self::port).ok_or(NoProxyHeader)?;
    if words.next().is_some() {
        return Err(NoProxyHeader);
    }
    Ok(Some(client(source, port)))
}

/// Digits alone: Rust would take a sign.
fn port(word: &str) -> Option<u16> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// Version 2: sixteen bytes, then as many as they say.
fn binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return early(bytes) };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_proxied = is_proxied(command)?;
    let least = least(family)?;
    if (is_proxied && length < least) || FIXED + length > LONGEST {
        return Err(NoProxyHeader);
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let source = if is_proxied { source(family, block)? } else { None };
    Ok(Some(ProxyHeader { source, length: FIXED + length }))
}

/// What can be said of fewer than sixteen bytes.
fn early(bytes: &[u8]) -> Result<Option<ProxyHeader>, NoProxyHeader> {
    let mut rest = bytes.iter().skip(SIGNATURE.len()).copied();
    rest.next().map(is_proxied).transpose()?;
    rest.next().map(least).transpose()?;
    Ok(None)
}

/// Whether the proxy speaks for a client (PROXY), or for itself (LOCAL), as in a health check.
const fn is_proxied(command: u8) -> Result<bool, NoProxyHeader> {
    match command {
        0x20 => Ok(false),
        0x21 => Ok(true),
        _ => Err(NoProxyHeader),
    }
}

/// How many bytes the addresses of that family have.
const fn least(family: u8) -> Result<usize, NoProxyHeader> {
    match family {
        UNSPECIFIED => Ok(0),
        TCP4 | UDP4 => Ok(12),
        TCP6 | UDP6 => Ok(36),
        UNIX_STREAM | UNIX_DATAGRAM => Ok(216),
        _ => Err(NoProxyHeader),
    }
}

/// A client of TCP has an address; of others the proxy's own counts.
fn source(family: u8, block: &[u8]) -> Result<Option<SocketAddr>, NoProxyHeader> {
    let whole = NoProxyHeader;
    Ok(match family {
        TCP4 => {
            let (address, rest) = block.split_first_chunk::<4>().ok_or(whole)?;
            let port = rest.get(4..).and_then(<[u8]>::first_chunk::<2>).ok_or(whole)?;
            Some(client(IpAddr::from(*address), u16::from_be_bytes(*port)))
        }
        TCP6 => {
            let (address, rest) = block.split_first_chunk::<16>().ok_or(whole)?;
            let port = rest.get(16..).and_then(<[u8]>::first_chunk::<2>).ok_or(whole)?;
            Some(client(IpAddr::from(*address), u16::from_be_bytes(*port)))
        }
        _ => None,
    })
}

/// An IPv4 address is never written as IPv6.
fn client(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

/// The longest header that is taken. Version 2 could say 64 KiB of extensions; proxies say some hundred bytes.
pub(super) const LONGEST: usize = 4096;

/// The specification's bound on version 1, the line end included.
const LONGEST_TEXT: usize = 107;
const PREFIX: &[u8] = b"PROXY ";
const CRLF: &[u8] = b"\r\n";

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const UDP4: u8 = 0x12;
const TCP6: u8 = 0x21;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

#[cfg(test)]
mod tests;
