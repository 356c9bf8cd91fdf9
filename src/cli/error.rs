use std::io;

use crate::{
    app::StartError,
    config::{Faults, PrepareError},
    password::{PasswordError, Weakness},
    store::{ChangePasswordError, CreateUserError, OpenError, StoreError, UpdateUserError},
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
    #[error("{0}")]
    Name(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the account has changed meanwhile: try again")]
    PasswordRace,
    #[error("cannot read the password: {0}")]
    PasswordSource(String),
    #[error("a password is never an argument: give `-` for standard input or `@FILE`")]
    PasswordTyped,
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The faults have been printed in another form.
    #[error("the configuration is bad")]
    Reported,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
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
            Self::PasswordTyped => 2,
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
