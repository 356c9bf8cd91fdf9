//! Interim responses (1xx; RFC 9110, section 15.2) on their way to a client: what the upstream says before its
//! answer, as in `103 Early Hints`.
//!
//! hyper's server says nothing before an answer, so they go past it: whoever forwards puts them here, and the
//! connection's own writer takes them from here, between two messages and never within one. HTTP/1.1 alone: in
//! HTTP/2 only the protocol's own state could write them.
//! Never here: HTTP's syntax, sockets.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
};

/// What one connection's client is to hear before an answer. A cheap handle.
///
/// One thread uses it. Locks only because what hyper calls back must be `Send`.
#[derive(Clone, Debug, Default)]
pub struct Interim(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    waits: AtomicBool,
    /// Whether the connection's writer has messages, or parts of them, that it could not yet write.
    behind: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Which exchange may speak; the number of none.
    turn: u64,
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Interim {
    /// Lets one exchange speak until the returned value is dropped, which must be before its answer begins.
    pub fn open(&self) -> Exchange {
        let mut state = self.state();
        state.turn += 1;
        Exchange { interim: self.clone(), turn: state.turn }
    }

    /// Whether there is something to write.
    pub fn waits(&self) -> bool {
        self.0.waits.load(Relaxed)
    }

    /// Notes whether messages, or parts of them, are still to be written.
    pub fn set_behind(&self, behind: bool) {
        self.0.behind.store(behind, Relaxed);
    }

    /// Takes what is to be written.
    pub fn take(&self) -> Vec<u8> {
        self.0.waits.store(false, Relaxed);
        std::mem::take(&mut self.state().bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's right to speak before its answer.
#[derive(Debug)]
pub struct Exchange {
    interim: Interim,
    turn: u64,
}

impl Exchange {
    /// Where interim responses go. It may outlive the exchange, and is deaf then.
    pub fn sink(&self) -> Sink {
        Sink { interim: self.interim.clone(), turn: self.turn }
    }

    /// Wakes `waker` as soon as there is something to write: the connection's own task must be asked to.
    pub fn wake(&self, waker: &Waker) {
        let mut state = self.interim.state();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.interim.state();
        state.turn += 1;
        state.waker = None;
        if self.interim.0.behind.load(Relaxed) {
            // The answer will be put behind what is still to be written, and what waits here would come after its
            // beginning: where an upload was answered early, hyper takes the next request before that.
            self.interim.0.waits.store(false, Relaxed);
            state.bytes.clear();
        }
    }
}

/// Takes one exchange's interim responses.
#[derive(Clone, Debug)]
pub struct Sink {
    interim: Interim,
    turn: u64,
}

impl Sink {
    /// Puts a whole interim response, as bytes on the wire. What comes too late, or is more than a client should be
    /// told before its answer, is dropped.
    pub fn put(&self, response: &[u8]) {
        let mut state = self.interim.state();
        if state.turn != self.turn || state.bytes.len() + response.len() > MOST_BYTES {
            return;
        }
        state.bytes.extend_from_slice(response);
        self.interim.0.waits.store(true, Relaxed);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// Waiting for one client at once.
const MOST_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_present_exchange_speaks() {
        let interim = Interim::default();
        let exchange = interim.open();
        let sink = exchange.sink();
        sink.put(b"one");
        sink.put(b"two");
        assert!(interim.waits());
        assert_eq!(interim.take(), b"onetwo");
        assert!(!interim.waits());
        drop(exchange);
        sink.put(b"late");
        assert!(!interim.waits());
        let _next = interim.open();
        sink.put(b"of another exchange");
        assert!(!interim.waits());
    }

    #[test]
    fn what_could_not_be_written_before_the_answer_is_dropped() {
        let interim = Interim::default();
        interim.set_behind(true);
        let exchange = interim.open();
        exchange.sink().put(b"hint");
        drop(exchange);
        interim.set_behind(false);
        assert!(!interim.waits());
        let exchange = interim.open();
        exchange.sink().put(b"hint");
        drop(exchange);
        assert_eq!(interim.take(), b"hint", "nothing was in its way");
    }

    #[test]
    fn what_a_client_is_told_before_its_answer_is_bounded() {
        let interim = Interim::default();
        let exchange = interim.open();
        for _ in 0..100 {
            exchange.sink().put(&[b'x'; 1000]);
        }
        assert_eq!(interim.take().len(), MOST_BYTES / 1000 * 1000);
    }
}
