//! `portcullis token inspect`: what a token says, and each check of it in words.
//!
//! The checks are the gateway's own (`token`); revocations are asked of the store, whose log a gateway's memory
//! follows.
//! Never here: the token itself in what is printed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::{Value, json};

use super::Checks;
use crate::{
    cli::{
        desk::Desk,
        error::CliError,
        output::{self, Json, visible},
    },
    clock::Timestamp,
    metrics::Metrics,
    revocation::{Cause, Feed, RevocationList},
    secret::ExposeSecret,
    token::{TokenFault, TokenKind, TokenStep, Verified},
};

#[derive(Args)]
pub(in crate::cli) struct Options {
    /// Where the token comes from: `-` is standard input, `@FILE` a file
    source: Option<String>,
    #[command(flatten)]
    output: Json,
}

/// One check and what came of it: `None` where an earlier one failed.
struct Check {
    name: &'static str,
    passed: Option<bool>,
    why: String,
}

pub(super) async fn inspect(desk: &Desk, options: Options) -> Result<(), CliError> {
    let token = super::read(options.source.as_deref())?;
    let checks = Checks::of(desk)?;
    let now = desk.clock.now();
    let examined = checks.examine(token.expose_secret(), now);
    let mut verdict = of_token(&examined);
    match &examined {
        Ok(verified) => {
            let in_session = with_session(desk, verified).await?;
            verdict.push(revocation(desk, verified, &in_session, now).await?);
            verdict.extend(session(desk, &in_session, now).await?);
        }
        Err(_) => verdict.push(Check { name: "revocation", passed: None, why: String::new() }),
    }
    let good = verdict.iter().all(|check| check.passed == Some(true));
    let mut parts = token.expose_secret().split('.').map(decoded);
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if options.output.json {
        let verdict: Vec<Value> = verdict
            .iter()
            .map(|check| json!({"check": check.name, "passed": check.passed, "why": check.why}))
            .collect();
        output::json(&json!({"header": header, "claims": claims, "checks": verdict, "good": good}));
    } else {
        show(&header, &claims, &examined, &verdict);
        output::print(if good { "The token is good.\n" } else { "The token is refused.\n" });
    }
    // What is wrong has been said.
    if good { Ok(()) } else { Err(CliError::Reported) }
}

/// The checks of what can be known from the token itself, each as far as they came.
fn of_token(examined: &Result<Verified, TokenFault>) -> Vec<Check> {
    TokenStep::ALL
        .into_iter()
        .map(|step| {
            let name = match step {
                TokenStep::Form => "form",
                TokenStep::Signature => "signature",
                TokenStep::Claims => "claims",
                TokenStep::Times => "times",
            };
            match examined {
                Err(fault) if fault.step() == step => {
                    Check { name, passed: Some(false), why: fault.to_string() }
                }
                Err(fault) if fault.step() < step => Check { name, passed: None, why: String::new() },
                _ => Check { name, passed: Some(true), why: fine(step, examined) },
            }
        })
        .collect()
}

fn fine(step: TokenStep, examined: &Result<Verified, TokenFault>) -> String {
    match (step, examined) {
        (TokenStep::Form, _) => "three parts".to_owned(),
        (TokenStep::Signature, _) => "made with a key of ours".to_owned(),
        (TokenStep::Claims, Ok(verified)) => {
            let kind = match verified.kind {
                TokenKind::Access => "an access token",
                TokenKind::Refresh => "a refresh token",
            };
            format!("{kind} of user {}, called {} in logs", verified.user, verified.token)
        }
        (TokenStep::Times, Ok(verified)) => {
            format!("good until {}", Timestamp::from_seconds(verified.expires_at))
        }
        (TokenStep::Claims | TokenStep::Times, Err(_)) => "as they should be".to_owned(),
    }
}

/// The token, and with it the session that it has opened where it is a refresh token that names none: that session's
/// end is its own.
async fn with_session(desk: &Desk, verified: &Verified) -> Result<Verified, CliError> {
    let session = match (verified.kind, verified.session) {
        (TokenKind::Refresh, None) => desk.store.adopted_session(verified.token, &verified.user).await?,
        (TokenKind::Access | TokenKind::Refresh, named) => named,
    };
    Ok(Verified { session, ..verified.clone() })
}

/// Asks the store's log what a gateway asks its memory, which is the log's copy: by the same rule, of the entries that
/// it looks at. Twice: of the token as it is, and of the token as one of its session.
async fn revocation(
    desk: &Desk,
    verified: &Verified,
    in_session: &Verified,
    now: Timestamp,
) -> Result<Check, CliError> {
    let list = RevocationList::new(Metrics::default());
    let entries = desk.store.log_about(verified.token, in_session.session, &verified.user, ENTRIES).await?;
    if entries.len() < ENTRIES as usize {
        entries.iter().for_each(|entry| list.apply(&entry.revocation));
    } else {
        Feed::catch_up(desk.store.clone(), list.clone(), Metrics::default(), desk.clock.clone()).await?;
    }
    let cause = list.refuses(verified, now).or_else(|| list.refuses(in_session, now));
    let why = match cause {
        None => "the log says nothing against it",
        Some(Cause::Session) => "its session has been ended",
        Some(Cause::Token) => "it has been revoked itself",
        Some(Cause::UserBlocked) => "its user is disabled or deleted",
        Some(Cause::UserInstant) => "all older tokens of its user have been revoked",
    };
    Ok(Check { name: "revocation", passed: Some(cause.is_none()), why: why.to_owned() })
}

/// An access token needs no session in the store, a refresh token buys nothing without.
async fn session(desk: &Desk, verified: &Verified, now: Timestamp) -> Result<Option<Check>, CliError> {
    let Some(id) = verified.session else { return Ok(None) };
    let alive = now.minus(desk.checked.lifetimes().leeway);
    let sessions = desk.store.sessions_of(&verified.user, alive, u32::MAX).await?;
    let found = sessions.iter().find(|session| session.id == id);
    let (passed, why) = match (found, verified.kind) {
        (Some(session), _) => (true, format!("open since {}", session.opened_at)),
        (None, TokenKind::Access) => {
            (true, "not in this store, which an access token does not need".to_owned())
        }
        (None, TokenKind::Refresh) => (false, "not in this store: it buys nothing".to_owned()),
    };
    Ok(Some(Check { name: "session", passed: Some(passed), why }))
}

/// What a part says, whoever wrote it.
fn decoded(part: &str) -> Value {
    let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}

fn show(header: &Value, claims: &Value, examined: &Result<Verified, TokenFault>, verdict: &[Check]) {
    let signed = match examined {
        Err(fault) if fault.step() <= TokenStep::Signature => " (anybody may have written this)",
        _ => "",
    };
    for (name, part) in [("header", header), ("claims", claims)] {
        // Line by line: a line end in a text is an escape in JSON.
        let text = format!("{part:#}").lines().map(visible).collect::<Vec<_>>().join("\n");
        output::print(&format!("{name}{signed} {text}\n"));
    }
    for check in verdict {
        let word = match check.passed {
            Some(true) => "ok",
            Some(false) => "REFUSED",
            None => "not looked at",
        };
        let why = if check.why.is_empty() { String::new() } else { format!(": {}", check.why) };
        output::print(&format!("{:<11} {word}{why}\n", check.name));
    }
}

/// Of one token. Whose has more, somebody who logs out everywhere all day, has the whole log read for it.
const ENTRIES: u32 = 4096;
