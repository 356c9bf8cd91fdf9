//! `portcullis run`: the configuration, then the application, until a signal ends it.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use super::{error::CliError, output};
use crate::{
    access_log::Sink,
    app::{self, App, Io},
    clock::Clock,
    config, telemetry,
};

/// Runs the gateway until it is told to stop.
pub(super) fn run(path: &Path) -> Result<(), CliError> {
    let checked = config::read(path).map_err(CliError::Config)?;
    let telemetry = telemetry::install(checked.log());
    output::error(&checked.warnings().render(output::is_error_terminal()));
    let settings = checked.prepare()?;
    let io = Io {
        clock: Clock::system(),
        access_log: Sink::Stdout,
        terminal: io::stdout().is_terminal(),
        dropped: telemetry.dropped(),
    };
    app::run_until_signal(App::start(settings, io)?)?;
    Ok(())
}
