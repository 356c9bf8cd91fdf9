//! Users, sessions and the revocation log, on disk.

mod settings;

pub use settings::Settings;
