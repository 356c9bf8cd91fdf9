//! What each kind of revocation kills, and what it leaves alive.

mod clocks;
mod spelling;
mod table;
