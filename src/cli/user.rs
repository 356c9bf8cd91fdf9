//! `portcullis user …`: works on the store; a running gateway on the same store obeys within a second.

mod show;

use std::{collections::BTreeMap, num::NonZeroUsize, path::Path};

use super::{desk::Desk, error::CliError, output::Json, password};
use crate::{
    auth,
    metrics::Metrics,
    password::Passwords,
    secret::SecretText,
    store::{Name, NewUser, UpdateUserError, UserChanges},
};
use clap::{Args, Subcommand};

pub(super) const EXAMPLES: &str = "Examples:
  portcullis user add ada --email ada@example.com --role staff
  echo 'correct horse battery' | portcullis user add bob --password -
  portcullis user list --json
  portcullis user set ada --email ada@example.org --attribute team=blue
  portcullis user passwd id:7 --password @/run/secrets/new
  portcullis user disable ada

USER is a user name, an e-mail address, or id:ID.";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a user; the password comes by prompt, standard input or @FILE
    #[command(after_help = "Example:\n  portcullis user add ada --email ada@example.com --role staff")]
    Add(Add),
    /// List all users
    #[command(after_help = "Example:\n  portcullis user list --json")]
    List(Json),
    /// Show one user
    #[command(after_help = "Example:\n  portcullis user show ada")]
    Show(One),
    /// Change a user's e-mail address, roles or attributes
    #[command(
        after_help = "Example:\n  portcullis user set ada --role staff --role admin --attribute team=blue"
    )]
    Set(Set),
    /// Set a user's password; every session of the user ends
    #[command(after_help = "Example:\n  portcullis user passwd ada --password @new-password")]
    Passwd(Passwd),
    /// Block a user: all tokens are dead at once, no login; what was issued before stays dead when enabled again
    #[command(after_help = "Example:\n  portcullis user disable ada")]
    Disable(One),
    /// Let a disabled user log in again
    #[command(after_help = "Example:\n  portcullis user enable ada")]
    Enable(One),
    /// Delete a user for good; the name stays taken
    #[command(after_help = "Example:\n  portcullis user delete ada")]
    Delete(One),
}

#[derive(Args)]
pub(super) struct Add {
    /// The user name
    username: String,
    /// The e-mail address
    #[arg(long)]
    email: Option<String>,
    /// A role; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An attribute; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Where the password comes from: `-` is standard input, `@FILE` a file
    #[arg(long, value_name = "SOURCE")]
    password: Option<String>,
    /// Take the name even if a deleted user had it
    #[arg(long)]
    restore: bool,
    #[command(flatten)]
    output: Json,
}

#[derive(Args)]
pub(super) struct Set {
    #[command(flatten)]
    user: One,
    /// The new e-mail address
    #[arg(long, conflicts_with = "no_email")]
    email: Option<String>,
    /// Take the e-mail address away
    #[arg(long)]
    no_email: bool,
    /// The roles, replacing all; may be given several times
    #[arg(long = "role", value_name = "ROLE", conflicts_with = "no_roles")]
    roles: Vec<String>,
    /// Take all roles away
    #[arg(long)]
    no_roles: bool,
    /// Set an attribute; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Take an attribute away; may be given several times
    #[arg(long = "no-attribute", value_name = "NAME")]
    no_attributes: Vec<String>,
}

#[derive(Args)]
pub(super) struct Passwd {
    #[command(flatten)]
    user: One,
    /// Where the password comes from: `-` is standard input, `@FILE` a file
    #[arg(long, value_name = "SOURCE")]
    password: Option<String>,
}

#[derive(Args)]
pub(super) struct One {
    /// A user name, an e-mail address, or id:ID
    user: String,
    #[command(flatten)]
    output: Json,
}

/// Does one command on the store that the configuration names.
pub(super) fn user(config: &Path, command: Command) -> Result<(), CliError> {
    if matches!(command, Command::Add(_)) {
        return Desk::serve(config, async |desk| desk.change(command).await);
    }
    Desk::serve_standing(config, async |desk| desk.change(command).await)
}

impl Desk {
    async fn change(&self, command: Command) -> Result<(), CliError> {
        match command {
            Command::Add(add) => self.add(add).await,
            Command::List(output) => self.list(output.json).await,
            Command::Show(one) => {
                let account = self.find(&one.user).await?;
                show::user(&account.user, one.output.json);
                Ok(())
            }
            Command::Set(set) => self.set(set).await,
            Command::Passwd(passwd) => self.passwd(passwd).await,
            Command::Disable(one) => {
                let user = self.find(&one.user).await?.user.id;
                self.store.block_user(&user, self.until(), self.clock.now()).await?;
                self.done(&user, "disabled", one.output.json)
            }
            Command::Enable(one) => {
                let user = self.find(&one.user).await?.user.id;
                self.store.unblock_user(&user, self.clock.now()).await?;
                self.done(&user, "enabled", one.output.json)
            }
            Command::Delete(one) => {
                let user = self.find(&one.user).await?.user.id;
                self.store.delete_user(&user, self.until(), self.clock.now()).await?;
                self.done(&user, "deleted", one.output.json)
            }
        }
    }

    async fn add(&self, add: Add) -> Result<(), CliError> {
        // Operators may hand out the names that strangers may not take.
        let username =
            auth::username(&add.username, &[]).map_err(|fault| CliError::Name(fault.to_string()))?;
        let email = add.email.as_deref().map(email).transpose()?;
        let password_hash = self.hash(add.password.as_deref()).await?;
        let new_user = NewUser {
            username,
            email,
            password_hash,
            roles: add.roles,
            attributes: add.attributes.into_iter().collect(),
            restore: add.restore,
            former_until: Some(self.until()),
        };
        let user = self.store.create_user(new_user, None, self.clock.now()).await?.user;
        show::user(&user, add.output.json);
        Ok(())
    }

    async fn list(&self, json: bool) -> Result<(), CliError> {
        let mut users = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.users(after, PAGE).await?;
            after = page.last().map(|user| user.id.clone());
            let last = page.len() < PAGE as usize;
            users.extend(page);
            if last {
                break;
            }
        }
        show::users(&users, json);
        Ok(())
    }

    async fn set(&self, set: Set) -> Result<(), CliError> {
        let account = self.find(&set.user.user).await?;
        let mut attributes: BTreeMap<String, Option<String>> =
            set.attributes.into_iter().map(|(name, value)| (name, Some(value))).collect();
        attributes.extend(set.no_attributes.into_iter().map(|name| (name, None)));
        let changes = UserChanges {
            email: match set.email {
                Some(address) => Some(Some(email(&address)?)),
                None => set.no_email.then_some(None),
            },
            roles: (set.no_roles || !set.roles.is_empty()).then_some(set.roles),
            attributes,
        };
        match self.store.update_user(&account.user.id, changes).await {
            Ok(user) => {
                show::user(&user, set.user.output.json);
                Ok(())
            }
            Err(UpdateUserError::UnknownUser) => Err(CliError::UnknownUser(set.user.user)),
            Err(error) => Err(error.into()),
        }
    }

    async fn passwd(&self, passwd: Passwd) -> Result<(), CliError> {
        let user = self.find(&passwd.user.user).await?.user.id;
        let hash = self.hash(passwd.password.as_deref()).await?;
        self.store.change_password(&user, None, &hash, None, self.until(), self.clock.now()).await?;
        self.done(&user, "password set, all sessions ended", passwd.user.output.json)
    }

    /// Reads, judges and hashes a new password.
    async fn hash(&self, source: Option<&str>) -> Result<String, CliError> {
        let password: SecretText = password::read_new(source)?;
        let settings = self.checked.password().clone();
        let passwords = Passwords::start(settings, NonZeroUsize::MIN, Metrics::default())?;
        passwords.judge(&password)?;
        Ok(passwords.hash(password).await?)
    }
}

const PAGE: u32 = 500;

fn email(text: &str) -> Result<Name, CliError> {
    auth::email(text).map_err(|fault| CliError::Name(fault.to_string()))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give NAME=VALUE".to_owned()),
    }
}
