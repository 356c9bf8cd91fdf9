//! What an operator decides about accounts and attempts.
//!
//! Never here: passwords (`password`), tokens' lifetimes (`token`), paths and origins (`route`).

use std::{num::NonZeroU32, time::Duration};

/// Accounts and attempts (`[auth]`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether strangers may open accounts.
    pub registration: bool,
    /// Names that nobody may register, compared canonically.
    pub reserved_names: Vec<String>,
    /// Whether a user name logs in.
    pub login_by_username: bool,
    /// Whether an e-mail address logs in.
    pub login_by_email: bool,
    /// Sessions of one user; the oldest go.
    pub sessions_per_user: u32,
    /// Failed passwords for one account.
    pub per_account: Quota,
    /// Failed passwords from one address.
    pub per_address: Quota,
    /// Registrations from one address, good and bad.
    pub registrations: Quota,
}

/// So many attempts in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub attempts: NonZeroU32,
    /// In what time.
    pub window: Duration,
}
