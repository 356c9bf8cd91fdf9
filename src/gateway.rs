//! The road of one request: judged once, then answered or forwarded.
//!
//! The order of the steps is security, so it stands as plain code: no layers, no look-up by name.
//! Never here: sockets and connections (`server`), what an operation does (`auth`), wire shapes (`dialect`).

mod answer;
mod body;
mod cors;
mod downstream;
mod forward;
mod handle;
mod handling;
mod host;
mod judge;
mod open_answers;
mod operate;
mod operations;
mod provenance;
mod redirect;
mod request_id;
mod requirement;
mod room;
mod snapshot;
mod trail;

pub use body::ResponseBody;
pub use downstream::Downstream;
pub use handle::{Gateway, Shared};
pub use judge::{Refusal, Verdict, judge};
pub use operations::Operations;
pub use redirect::{RedirectRefusal, Redirection, redirect};
pub use snapshot::{BodyLimits, Snapshot};
