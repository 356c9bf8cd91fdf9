//! The `portcullis` program: words in, exit code out. All else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
