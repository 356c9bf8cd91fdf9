//! The command line: words, prompts, tables, exit codes.
//!
//! Exit codes: 0 fine, 1 failed (a bad configuration included), 2 wrong usage. Whatever fails is one readable
//! sentence on standard error.
//! Never here: what a command does to the store or the gateway.

mod check;
mod desk;
mod error;
mod output;
mod password;
mod run;
mod session;
mod source;
mod token;
mod user;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Runs the program with the process's own words.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = arguments.config;
    let done = match arguments.command.unwrap_or(Command::Run) {
        Command::Check(options) => check::check(&config, options),
        Command::Run => run::run(&config),
        Command::Session(command) => session::session(&config, command),
        Command::Token(command) => token::token(&config, command),
        Command::User(command) => user::user(&config, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.code())
        }
    }
}

#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    about = "A reverse-proxy authentication gateway",
    after_help = "Examples:
  portcullis                                  run with ./gateway.toml
  portcullis run -c /etc/portcullis.toml      run with another configuration
  portcullis check --print                    check the configuration and show all that is in force
  portcullis user add ada --email ada@example.com"
)]
struct Arguments {
    /// The configuration file
    #[arg(short, long, global = true, default_value = "gateway.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Read everything that `run` would read, make nothing, print every fault
    #[command(after_help = "Examples:
  portcullis check -c gateway.toml
  portcullis check --print
  portcullis check --json")]
    Check(check::Options),
    /// Run the gateway (the default)
    #[command(after_help = "Examples:
  portcullis run
  portcullis run -c /etc/portcullis/gateway.toml")]
    Run,
    /// List and end sessions
    #[command(subcommand, after_help = session::EXAMPLES)]
    Session(session::Command),
    /// Look into tokens, issue and revoke them
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::Command),
    /// Work with the user store
    #[command(subcommand, after_help = user::EXAMPLES)]
    User(user::Command),
}
