//! `portcullis token …`: for operators; a running gateway on the same store obeys within a second.
//!
//! Never here: a token as an argument, or in what is printed of one that somebody has sent.

mod inspect;
mod issue;
mod revoke;

use std::path::Path;

use clap::Subcommand;

use super::{desk::Desk, error::CliError, source};
use crate::{
    clock::Timestamp,
    dialect,
    secret::{ExposeSecret, SecretText},
    token::{self, KeyRing, Profile, TokenFault, Verified},
};

pub(super) const EXAMPLES: &str = "Examples:
  portcullis token inspect @token.txt
  pbpaste | portcullis token revoke -
  portcullis token revoke --jti 3f0c…(32 digits, as the access log has them)
  portcullis token issue --user ada --access-only --lifetime 5m

A token comes by prompt, standard input (`-`) or @FILE, never as an argument.";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show what a token says and what this configuration and store make of it, check by check
    #[command(
        after_help = "Example:\n  portcullis token inspect @token.txt\n\nExit code 0: the token is good; 1: it is not."
    )]
    Inspect(inspect::Options),
    /// Open a session for a user and print its tokens: for tests and for work at the machine
    #[command(after_help = "Example:\n  portcullis token issue --user ada --access-only --lifetime 5m")]
    Issue(issue::Options),
    /// Kill one token; the rest of its session goes on
    #[command(
        after_help = "Examples:\n  portcullis token revoke @token.txt\n  portcullis token revoke --jti 0c1d3f5a9b2e4d680c1d3f5a9b2e4d68"
    )]
    Revoke(revoke::Options),
}

/// Does one command on the store that the configuration names.
pub(super) fn token(config: &Path, command: Command) -> Result<(), CliError> {
    Desk::serve_standing(config, async |desk| match command {
        Command::Inspect(options) => inspect::inspect(desk, options).await,
        Command::Issue(options) => issue::issue(desk, options).await,
        Command::Revoke(options) => revoke::revoke(desk, options).await,
    })
}

/// What tokens are checked with, as a running gateway does.
struct Checks {
    keys: KeyRing,
    profile: Profile,
}

impl Checks {
    fn of(desk: &Desk) -> Result<Self, CliError> {
        let tokens = desk.checked.tokens()?;
        Ok(Self { keys: KeyRing::new(&tokens.keys), profile: dialect::profile(&tokens) })
    }

    fn examine(&self, token: &str, now: Timestamp) -> Result<Verified, TokenFault> {
        token::examine(token, &self.keys, &self.profile, now)
    }
}

/// Reads a token; blanks around it, as they come with a copy, are no part of any.
fn read(source: Option<&str>) -> Result<SecretText, CliError> {
    let text = source::read(source, "token", || source::ask("Token: ", "token"))?;
    Ok(text.expose_secret().trim().into())
}
