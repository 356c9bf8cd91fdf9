//! How whoever carries an answer learns that it must break off, where its body is never asked for more.
//!
//! Never here: why an answer is cut (`gateway`), what becomes of its connection (`server`).

use std::{cell::Cell, rc::Rc};

/// An answer that may have to break off before its end.
///
/// Its body does so when it is asked for its next frame. But of a client that takes nothing it is never asked, so
/// whoever carries the answer keeps this and looks for itself: the answer's task is woken when it is cut.
pub trait Cuttable {
    /// Whether it must break off now.
    fn is_cut(&self) -> bool;
}

/// Says whose frame has just been given to the task that is being polled.
pub fn set_given(answer: Rc<dyn Cuttable>) {
    GIVEN.set(Some(answer));
}

/// Takes what [`set_given`] said last: to be called behind each poll of what asks a body, or the next task on this
/// thread would take it for its own.
pub fn take_given() -> Option<Rc<dyn Cuttable>> {
    GIVEN.take()
}

thread_local! {
    /// Between a body and the task that carries it stands hyper, which hands on frames and nothing else.
    static GIVEN: Cell<Option<Rc<dyn Cuttable>>> = const { Cell::new(None) };
}
