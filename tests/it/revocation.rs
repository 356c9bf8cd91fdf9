//! What each kind of revocation kills, and what it leaves alive.

mod clocks;
mod spelling;
mod table;

use std::{thread, time::Duration};

/// Another process's commit is seen within a second: that is promised, and five are waited for on a busy machine.
#[track_caller]
fn eventually(what: &str, happens: impl Fn() -> bool) {
    for _ in 0..500 {
        if happens() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not happen within five seconds");
}
