//! Connections, by listener.

use super::Gauge;

/// The public listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Redirects to HTTPS.
    Http,
    /// The gateway over TLS.
    Https,
    /// The gateway without TLS.
    Plain,
}

impl Listener {
    /// Every listener.
    pub const ALL: [Self; 3] = [Self::Http, Self::Https, Self::Plain];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Plain => "plain",
        }
    }
}

/// A number for each listener.
#[derive(Debug, Default)]
pub struct ByListener<T> {
    http: T,
    https: T,
    plain: T,
}

impl<T> ByListener<T> {
    /// That of one listener.
    pub const fn of(&self, listener: Listener) -> &T {
        match listener {
            Listener::Http => &self.http,
            Listener::Https => &self.https,
            Listener::Plain => &self.plain,
        }
    }
}

impl ByListener<Gauge> {
    /// That of all listeners together.
    pub fn value(&self) -> u64 {
        Listener::ALL.into_iter().map(|listener| self.of(listener).value()).sum()
    }
}
