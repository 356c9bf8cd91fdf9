//! `portcullis token revoke`: one token, shown or named by its `jti`, refused by every gateway on the store.

use clap::Args;
use serde_json::json;

use super::Checks;
use crate::{
    cli::{
        desk::Desk,
        error::CliError,
        output::{self, Json},
    },
    clock::Timestamp,
    id::TokenId,
    secret::ExposeSecret,
    token::TokenFault,
};

#[derive(Args)]
pub(in crate::cli) struct Options {
    /// Where the token comes from: `-` is standard input, `@FILE` a file
    source: Option<String>,
    /// The token's `jti`, or what the access log calls it, in place of the token
    #[arg(long, conflicts_with = "source", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    jti: Option<String>,
    #[command(flatten)]
    output: Json,
}

pub(super) async fn revoke(desk: &Desk, options: Options) -> Result<(), CliError> {
    let now = desk.clock.now();
    let (token, session, expires_at) = match &options.jti {
        // Its expiry is not known, so it is remembered for as long as any token can live.
        Some(jti) => (named(jti), None, desk.until()),
        None => {
            let token = super::read(options.source.as_deref())?;
            let checks = Checks::of(desk)?;
            match checks.examine(token.expose_secret(), now) {
                Ok(verified) => {
                    let expiry = Timestamp::from_seconds(verified.expires_at).plus(checks.profile.leeway);
                    (verified.token, verified.session, expiry)
                }
                Err(TokenFault::Expired) => return expired(options.output.json),
                Err(fault) => return Err(CliError::Token(fault)),
            }
        }
    };
    desk.store.revoke_token(token, expires_at).await?;
    if options.output.json {
        let session = session.map(|session| session.to_string());
        output::json(&json!({"id": token.to_string(), "session": session, "done": "revoked"}));
    } else {
        output::print(&format!("token {token}: revoked\n"));
        if let Some(session) = session {
            output::error(&format!(
                "Its session goes on; to end that: portcullis session revoke {session}\n"
            ));
        }
    }
    Ok(())
}

/// The token of that `jti`. One that is not as ours are is a backend's, or half of one of ours.
fn named(jti: &str) -> TokenId {
    if jti.len() != 32 || !jti.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        output::error(
            "Taken as a backend's `jti`, letter by letter: the gateway's own have 32 hexadecimal digits.\n",
        );
    }
    TokenId::from_claim(jti)
}

/// There is nothing left to do, as there is nothing wrong.
fn expired(as_json: bool) -> Result<(), CliError> {
    if as_json {
        output::json(&json!({"id": null, "session": null, "done": "expired"}));
    } else {
        output::print("The token has expired already.\n");
    }
    Ok(())
}
