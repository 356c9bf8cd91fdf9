//! Files that the configuration names: bounded, and nothing but regular files.
//!
//! Never here: which key named them, and what is in them.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::secret::Secret;

/// The content of a file that the configuration names.
///
/// # Errors
/// As reading has it; a file longer than `limit` bytes is one.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        // A pipe would keep the gateway waiting, and a terminal too.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    // One byte more than allowed tells a file that fits from one that was cut.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(content)
}

/// The secret in a file, without the newline that editors put at its end.
///
/// # Errors
/// As reading has it.
pub(super) fn read_secret(path: &Path) -> io::Result<Secret> {
    let mut content = read(path, LONGEST_SECRET)?;
    if content.ends_with(b"\n") {
        content.pop();
        if content.ends_with(b"\r") {
            content.pop();
        }
    }
    Ok(content.into())
}

/// What is most often forgotten where a file is not found.
pub(super) const WHENCE: &str = "relative paths count from the folder of the configuration file";

/// Bytes of a PEM file; the longest chains have some ten thousand.
pub(super) const LARGEST_PEM: usize = 1 << 20;

const LONGEST_SECRET: usize = 64 << 10;
