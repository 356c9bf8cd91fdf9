//! What an operator decides about new passwords.

/// What a new password must be, and how much hashing may wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Fewest characters of a new password.
    pub min: usize,
    /// Most characters of any password.
    pub max: usize,
    /// Hashes that may wait for a thread.
    pub queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { min: 8, max: 1024, queue: 128 }
    }
}
