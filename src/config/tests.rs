//! Whole files: read, refused, printed, prepared.

mod development;
mod diagnostics;
mod print;
mod rules;
mod shipped;

use std::{collections::HashMap, fs, path::PathBuf};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

const SMALLEST: &str = "[[route]]\npath = \"/*\"\nupstream = \"http://127.0.0.1:3000\"\n";

/// A folder with a `gateway.toml`, and an environment.
struct Site {
    folder: tempfile::TempDir,
    environment: HashMap<&'static str, &'static str>,
}

impl Site {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, environment: HashMap::new() }.write("gateway.toml", text)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.insert(name, value);
        self
    }

    /// A certificate and its key under these names.
    fn certificate(self, cert: &str, key: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        self.write(cert, made.cert.pem()).write(key, made.signing_key.serialize_pem())
    }

    fn read(&self) -> Result<Checked, Faults> {
        let environment = |name: &str| self.environment.get(name).map(OsString::from);
        read_with(&self.path("gateway.toml"), &environment, NOW)
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        self.read().unwrap_or_else(|faults| panic!("{faults}")).prepare().unwrap()
    }

    /// The diagnostics as an operator sees them who stands in the folder.
    #[track_caller]
    fn faults(&self) -> String {
        self.seen_from_here(&self.read().unwrap_err().to_string())
    }

    #[track_caller]
    fn warnings(&self) -> String {
        self.seen_from_here(&self.read().unwrap_or_else(|faults| panic!("{faults}")).warnings().to_string())
    }

    fn seen_from_here(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}
