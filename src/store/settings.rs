use std::path::PathBuf;

/// Where users, sessions and the revocation log are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The SQLite database file; it and its folder are made where they are missing.
    pub path: PathBuf,
}
