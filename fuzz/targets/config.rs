//! A configuration is read or refused, with words for every fault; durations, sizes, addresses and networks in it.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use portcullis::config;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));
static FILE: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("gateway.toml"));

fuzz_target!(|text: &[u8]| {
    fs::write(&*FILE, text).expect("written");
    match config::read(&FILE) {
        Ok(checked) => {
            let _ = checked.print();
            let _ = checked.warnings();
        }
        Err(faults) => {
            assert!(!faults.render(false).is_empty());
            let _ = faults.render(true);
        }
    }
});
