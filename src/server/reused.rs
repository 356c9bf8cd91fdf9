//! Room for HTTP/2 streams, used again and again.
//!
//! A stream's future takes some kilobytes, and one begins with each request: too much for the allocator's quick
//! lists, so that it would look for room and tidy up behind each of them.

use std::{
    any::Any,
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Runs a stream in room that an earlier one of this thread has left, if there is any.
pub(super) fn reused<F: Future<Output = ()> + 'static>(stream: F) -> Reused<F> {
    let mut room = take().unwrap_or_else(|| Box::pin(None));
    room.set(Some(stream));
    Reused { room: Some(room) }
}

/// A stream in its room.
pub(super) struct Reused<F: Future<Output = ()> + 'static> {
    /// `None` once the stream has ended.
    room: Option<Room<F>>,
}

type Room<F> = Pin<Box<Option<F>>>;

impl<F: Future<Output = ()> + 'static> Future for Reused<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stream = self.room.as_mut().and_then(|room| room.as_mut().as_pin_mut());
        let polled = stream.map_or(Poll::Ready(()), |stream| stream.poll(cx));
        if polled.is_ready() {
            self.leave();
        }
        polled
    }
}

impl<F: Future<Output = ()> + 'static> Reused<F> {
    fn leave(&mut self) {
        if let Some(mut room) = self.room.take() {
            // First, and outside the list: what the stream holds may end other things.
            room.set(None);
            keep(room);
        }
    }
}

impl<F: Future<Output = ()> + 'static> Drop for Reused<F> {
    fn drop(&mut self) {
        self.leave();
    }
}

fn take<F: 'static>() -> Option<Room<F>> {
    with_list(|list: &mut Vec<Room<F>>| list.pop()).flatten()
}

fn keep<F: 'static>(room: Room<F>) {
    with_list(|list| {
        if list.len() < MOST {
            list.push(room);
        }
    });
}

/// `None` when the thread is ending and has no lists any more.
fn with_list<F: 'static, T>(work: impl FnOnce(&mut Vec<Room<F>>) -> T) -> Option<T> {
    LISTS
        .try_with(|lists| {
            let mut lists = lists.borrow_mut();
            let known = lists.iter().position(|list| list.is::<Vec<Room<F>>>());
            let index = known.unwrap_or_else(|| {
                lists.push(Box::new(Vec::<Room<F>>::new()));
                lists.len() - 1
            });
            lists.get_mut(index).and_then(|list| list.downcast_mut()).map(work)
        })
        .ok()
        .flatten()
}

/// Rooms that one thread keeps of one kind: under a megabyte.
const MOST: usize = 256;

thread_local! {
    /// A list for each type of stream: one in the gateway, as hyper makes them all of one service.
    static LISTS: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, rc::Rc, task::Waker};

    use super::*;

    /// Tells when it is dropped; ends at its second poll.
    fn stream(dropped: &Rc<Cell<u32>>) -> impl Future<Output = ()> + use<> {
        struct Noted(Rc<Cell<u32>>);
        impl Drop for Noted {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let noted = Noted(Rc::clone(dropped));
        let mut polls = 0;
        poll_fn(move |_| {
            let _held = &noted;
            polls += 1;
            if polls < 2 { Poll::Pending } else { Poll::Ready(()) }
        })
    }

    #[test]
    fn room_is_used_again_and_streams_end_when_they_end() {
        let dropped = Rc::new(Cell::new(0));
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(reused(stream(&dropped)));
        let place = std::ptr::from_ref(&**first.room.as_ref().unwrap());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert_eq!(dropped.get(), 0);
        assert!(first.as_mut().poll(&mut cx).is_ready());
        assert_eq!(dropped.get(), 1, "what a stream holds goes when it ends, not when its task does");

        let second = reused(stream(&dropped));
        assert!(std::ptr::eq(place, &**second.room.as_ref().unwrap()));
        let third = reused(stream(&dropped));
        assert!(!std::ptr::eq(place, &**third.room.as_ref().unwrap()));
        drop((second, third));
        assert_eq!(dropped.get(), 3, "a stream that is cut ends too");
    }
}
