//! Ends connections that keep us waiting, and those that a drain asks to end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep},
};

use super::{
    Drain,
    activity::{Activity, Waiting},
};

/// Watches one connection, in that connection's task.
///
/// Its one timer is moved seldom: it is left where it is while requests come and go, and looked at again when it
/// fires.
pub(super) struct Watchdog<'a> {
    pub(super) activity: &'a Activity,
    pub(super) patience: Patience,
    pub(super) drain: &'a Drain,
    /// Taken from `drain` before the first poll.
    pub(super) bell: Pin<&'a mut OwnedNotified>,
    pub(super) timer: Pin<&'a mut Sleep>,
    pub(super) heard: Option<Waker>,
    pub(super) finishing: Option<Instant>,
}

/// How long a peer may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the whole head of a request, and for the first byte.
    pub(super) head: Duration,
    /// Between two requests, and for taking anything of an answer.
    pub(super) idle: Duration,
}

/// What shall become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// End now, whatever is in flight.
    Cut,
    /// Finish what is in flight, take no more, then close.
    Finish,
    /// End; the head of a request took too long.
    TimeOut,
}

impl Watchdog<'_> {
    /// To be polled after each poll of the connection that left it pending. `Finish` is ordered once.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Order> {
        if self.finishing.is_none() && self.hears_drain(cx) {
            return Poll::Ready(self.give(Order::Finish));
        }
        let Some((order, due)) = self.due() else { return Poll::Pending };
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(self.give(order));
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn hears_drain(&mut self, cx: &mut Context<'_>) -> bool {
        // All workers' connections hang on one bell: it is touched once a connection, not once a poll.
        if !self.heard.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let _ = self.bell.as_mut().poll(cx);
            self.heard = Some(cx.waker().clone());
        }
        self.drain.is_draining()
    }

    fn due(&self) -> Option<(Order, Instant)> {
        let (waiting, since) = self.activity.waiting()?;
        Some(match (waiting, self.finishing) {
            (Waiting::Close, _) => (Order::Cut, since + CLOSING),
            (Waiting::Head, _) => (Order::TimeOut, since + self.patience.head),
            (Waiting::Reading, _) => (Order::Cut, since + self.patience.idle),
            // It was told to close and had nothing in flight; HTTP/2 asks the peer first.
            (Waiting::FirstByte | Waiting::Request, Some(told)) => (Order::Cut, since.max(told) + CLOSING),
            (Waiting::FirstByte, None) => (Order::Finish, since + self.patience.head),
            (Waiting::Request, None) => (Order::Finish, since + self.patience.idle),
        })
    }

    fn give(&mut self, order: Order) -> Order {
        if order == Order::Finish {
            self.finishing = Some(Instant::now());
        }
        order
    }
}

/// What a peer gets to answer our end of the connection with its own.
pub(super) const CLOSING: Duration = Duration::from_secs(5);
