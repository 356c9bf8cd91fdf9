//! Why a command failed, in one sentence, and the exit code that goes with it.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    app::StartError,
    auth::IssueError,
    config::{self, Faults, PrepareError},
    password::{PasswordError, Weakness},
    store::{ChangePasswordError, CreateUserError, OpenError, StoreError, UpdateUserError},
    token::TokenFault,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("the configuration is bad")]
    Config(Faults),
    #[error(transparent)]
    CreateUser(#[from] CreateUserError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Issue(IssueError),
    #[error("`--lifetime` is at most that of a session, {}", config::duration_text(*.0))]
    Lifetime(Duration),
    #[error("{0}")]
    Name(String),
    #[error("there is no database {}", .0.display())]
    NoStore(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the account has changed meanwhile: try again")]
    PasswordRace,
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// What is wrong has been printed in another form.
    #[error("what is wrong has been said")]
    Reported,
    #[error("cannot read the {what}: {why}")]
    Source { what: &'static str, why: String },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the token is none of ours: {0}")]
    Token(TokenFault),
    #[error("a {0} is never an argument: give `-` for standard input or `@FILE`")]
    Typed(&'static str),
    #[error("there is no session {0}")]
    UnknownSession(String),
    #[error("there is no user `{0}`")]
    UnknownUser(String),
    #[error(transparent)]
    UpdateUser(#[from] UpdateUserError),
    #[error("the password is refused: {0}")]
    Weak(#[from] Weakness),
}

impl CliError {
    /// One readable sentence on standard error; a bad configuration shows every fault.
    pub(super) fn report(&self) {
        match self {
            Self::Config(faults) => super::output::error(&faults.render(super::output::is_error_terminal())),
            Self::Reported => {}
            other => super::output::error(&format!("portcullis: {other}\n")),
        }
    }
}

impl CliError {
    /// 2 for wrong usage, 1 for all else.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Lifetime(_) | Self::Typed(_) => 2,
            _ => 1,
        }
    }
}

impl From<ChangePasswordError> for CliError {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::AccountChanged => Self::PasswordRace,
            ChangePasswordError::Store(error) => Self::Store(error),
        }
    }
}
