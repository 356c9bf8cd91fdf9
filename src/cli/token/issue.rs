//! `portcullis token issue`: a session for a script, or for an operator who wants to see what a user sees.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use clap::Args;
use serde_json::json;

use super::Checks;
use crate::{
    auth::{AuthService, Authenticator, Issue, IssueError},
    cli::{
        desk::Desk,
        error::CliError,
        output::{self, Json},
    },
    config,
    metrics::Metrics,
    password::Passwords,
    revocation::RevocationList,
};

#[derive(Args)]
pub(in crate::cli) struct Options {
    /// Whose tokens: a user name, an e-mail address, or id:ID
    #[arg(long)]
    user: String,
    /// No refresh token: the session ends with the access token
    #[arg(long)]
    access_only: bool,
    /// How long the access token lives, as in 5m; at most as long as a session
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    lifetime: Option<Duration>,
    #[command(flatten)]
    output: Json,
}

pub(super) async fn issue(desk: &Desk, options: Options) -> Result<(), CliError> {
    let longest = desk.checked.lifetimes().session_lifetime;
    if options.lifetime.is_some_and(|lifetime| lifetime > longest) {
        return Err(CliError::Lifetime(longest));
    }
    let account = desk.find(&options.user).await?;
    let wish = Issue { access_lifetime: options.lifetime, access_only: options.access_only };
    let issued = service(desk)?.issue(&account, wish, AGENT).await?;
    let session = issued.session;
    if options.output.json {
        output::json(&json!({
            "access": issued.access,
            "refresh": issued.refresh,
            "session": session.to_string(),
            "access_expires_at": issued.access_expires_at.to_string(),
        }));
    } else {
        output::print(&format!("{}\n", issued.access));
        if let Some(refresh) = &issued.refresh {
            output::print(&format!("{refresh}\n"));
        }
    }
    let what = match issued.refresh {
        Some(_) => "The access token, and behind it the refresh token, are credentials",
        None => "The access token is a credential",
    };
    output::error(&format!(
        "{what} of user {}, until {}: whoever has them is that user. To end them: portcullis session revoke {session}\n",
        account.user.id, issued.access_expires_at
    ));
    Ok(())
}

/// The operations of a gateway that hears nobody.
fn service(desk: &Desk) -> Result<AuthService, CliError> {
    let tokens = desk.checked.tokens()?;
    let Checks { keys, profile } = Checks::of(desk)?;
    let metrics = Metrics::default();
    let list = RevocationList::new(metrics.clone());
    let passwords = Passwords::start(desk.checked.password().clone(), NonZeroUsize::MIN, metrics.clone())?;
    let authenticator = Authenticator::new(Arc::new(keys), Arc::new(profile), list);
    Ok(AuthService::new(
        desk.checked.auth().clone(),
        tokens,
        desk.store.clone(),
        passwords,
        authenticator,
        desk.clock.clone(),
        metrics,
    ))
}

impl From<IssueError> for CliError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::AccountChanged | IssueError::SigningFailed => Self::Issue(error),
            IssueError::Store(error) => Self::Store(error),
        }
    }
}

/// Whole seconds: `exp` knows no others.
fn lifetime(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|lifetime| !lifetime.is_zero() && lifetime.subsec_nanos() == 0)
        .ok_or_else(|| "give whole seconds, at least one, as in 30s, 5m, 1h or 7d".to_owned())
}

/// What the session's listing calls its client.
const AGENT: &str = "portcullis token issue";
