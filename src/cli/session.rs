//! `portcullis session …`: works on the store; a running gateway on the same store obeys within a second.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    desk::Desk,
    error::CliError,
    output::{self, Json, visible},
};
use crate::{
    id::{SessionId, UserId},
    store::Session,
};

pub(super) const EXAMPLES: &str = "Examples:
  portcullis session list --user ada
  portcullis session list --limit 1000 --json
  portcullis session revoke 00000000000000070c1d3f5a9b2e4d68
  portcullis session revoke --user ada

USER is a user name, an e-mail address, or id:ID. A session's id is the `sid` of its tokens.";

#[derive(Subcommand)]
pub(super) enum Command {
    /// List sessions: one user's, the last refreshed first, or everybody's, by id
    #[command(after_help = "Example:\n  portcullis session list --user ada")]
    List(List),
    /// End sessions: their access and refresh tokens are dead
    #[command(after_help = "Examples:
  portcullis session revoke 00000000000000070c1d3f5a9b2e4d68
  portcullis session revoke --user ada
  portcullis session revoke --user-id idp:7")]
    Revoke(Revoke),
}

#[derive(Args)]
pub(super) struct List {
    /// Only this user's
    #[arg(long, conflicts_with = "after")]
    user: Option<String>,
    /// Only those behind this one
    #[arg(long, value_name = "ID", value_parser = session_id)]
    after: Option<SessionId>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    output: Json,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// The sessions
    #[arg(value_name = "ID", value_parser = session_id, required_unless_present_any = ["user", "user_id"])]
    sessions: Vec<SessionId>,
    /// All of this user's sessions, and every other token issued to the user until now
    #[arg(long, conflicts_with_all = ["sessions", "user_id"])]
    user: Option<String>,
    /// As --user, by id: also a user whose tokens another issuer makes
    #[arg(long, value_name = "ID", conflicts_with = "sessions")]
    user_id: Option<UserId>,
    #[command(flatten)]
    output: Json,
}

/// Does one command on the store that the configuration names.
pub(super) fn session(config: &Path, command: Command) -> Result<(), CliError> {
    Desk::serve_standing(config, async |desk| match command {
        Command::List(options) => list(desk, options).await,
        Command::Revoke(options) => revoke(desk, options).await,
    })
}

async fn list(desk: &Desk, options: List) -> Result<(), CliError> {
    let now = desk.clock.now();
    let sessions = match &options.user {
        Some(user) => {
            let user = desk.find(user).await?.user.id;
            let sessions = desk.store.sessions_of(&user, now, options.limit).await?;
            sessions.into_iter().map(|session| (user.clone(), session)).collect()
        }
        None => desk.store.sessions(options.after, now, options.limit).await?,
    };
    show(&sessions, options.output.json);
    if let (None, Some((_, last))) = (&options.user, sessions.get(options.limit as usize - 1)) {
        output::error(&format!("There may be more: portcullis session list --after {}\n", last.id));
    }
    Ok(())
}

async fn revoke(desk: &Desk, options: Revoke) -> Result<(), CliError> {
    let user = match (&options.user, options.user_id) {
        (Some(user), _) => Some(desk.find(user).await?.user.id),
        (None, id) => id,
    };
    if let Some(user) = user {
        desk.store.end_sessions_of(&user, desk.until(), desk.clock.now()).await?;
        return desk.done(&user, "all sessions ended", options.output.json);
    }
    let mut done = Vec::new();
    let mut unknown = Vec::new();
    for session in options.sessions {
        if desk.store.end_session(session, None).await?.is_empty() {
            unknown.push(session.to_string());
        } else {
            done.push(session);
        }
    }
    if options.output.json {
        let done = done.iter().map(|session| json!({"id": session.to_string(), "done": "ended"}));
        output::json(&Value::Array(done.collect()));
    } else {
        done.iter().for_each(|session| output::print(&format!("session {session}: ended\n")));
    }
    if unknown.is_empty() { Ok(()) } else { Err(CliError::UnknownSession(unknown.join(", "))) }
}

fn show(sessions: &[(UserId, Session)], as_json: bool) {
    if as_json {
        let records = sessions.iter().map(|(user, session)| {
            json!({
                "id": session.id.to_string(),
                "user_id": user.as_str(),
                "created_at": session.opened_at.to_string(),
                "refreshed_at": session.refreshed_at.to_string(),
                "expires_at": session.ends_at.to_string(),
                "address": session.address.map(|address| address.to_string()),
                "agent": session.agent,
            })
        });
        return output::json(&Value::Array(records.collect()));
    }
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|(user, session)| {
            vec![
                session.id.to_string(),
                user.to_string(),
                session.opened_at.to_string(),
                session.refreshed_at.to_string(),
                session.address.map(|address| address.to_string()).unwrap_or_default(),
                visible(&session.agent),
            ]
        })
        .collect();
    output::table(&["ID", "USER", "STARTED", "REFRESHED", "ADDRESS", "AGENT"], &rows);
}

fn session_id(text: &str) -> Result<SessionId, String> {
    SessionId::from_claim(text).ok_or_else(|| "a session's id is 32 digits, 0 to 9 and a to f".to_owned())
}
