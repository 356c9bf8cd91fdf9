//! The operations on accounts and sessions, and the check on the hot path.
//!
//! Never here: JSON, HTTP statuses, routes.

mod adopt;
mod authenticate;
#[cfg(test)]
mod interleavings;
mod issue;
mod login;
mod logout;
mod name;
mod operation;
mod places;
mod principal;
mod refresh;
mod register;
mod release;
mod service;
mod sessions;
mod settings;
mod subprotocol;
mod throttle;
mod turn_away;

pub use authenticate::{Authenticator, BearerToken, Place, TokenRefusal};
pub use issue::{Issue, IssueError, Issued};
pub use name::{NameFault, canonical, email, username};
pub use operation::{Caller, Credentials, Operation, Outcome, Registration, Rejection, TokenPair};
pub use principal::Principal;
pub use service::{AuthService, latest_expiry};
pub use settings::{Quota, Settings};
pub use subprotocol::withhold;
