//! Where an operator's wishes are taken: what every command that works on the store needs.

use std::path::Path;

use serde_json::json;

use super::{error::CliError, output};
use crate::{
    auth,
    clock::{Clock, Timestamp},
    config::{self, Checked},
    id::UserId,
    store::{Account, Name, Settings, Store},
};

pub(super) struct Desk {
    pub(super) checked: Checked,
    pub(super) store: Store,
    /// Read right before each change: an instant from before a prompt would leave tokens alive.
    pub(super) clock: Clock,
}

impl Desk {
    /// As [`Self::serve`], on a store that is there: what is asked about users, sessions and tokens of a store that has
    /// just been made is most often asked in the wrong place.
    pub(super) fn serve_standing(
        config: &Path,
        work: impl AsyncFnOnce(&Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let checked = config::read(config).map_err(CliError::Config)?;
        if let Settings::Sqlite { path } = checked.store()
            && !path.exists()
        {
            return Err(CliError::NoStore(path.clone()));
        }
        Self::work(checked, work)
    }

    /// Opens the store that the configuration names, does the work, and closes it.
    pub(super) fn serve(
        config: &Path,
        work: impl AsyncFnOnce(&Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        Self::work(config::read(config).map_err(CliError::Config)?, work)
    }

    fn work(checked: Checked, work: impl AsyncFnOnce(&Self) -> Result<(), CliError>) -> Result<(), CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let desk = Self { store: Store::open(checked.store())?, clock: Clock::system(), checked };
        let done = runtime.block_on(work(&desk));
        desk.store.close();
        done
    }

    /// The account that a user name, an e-mail address or `id:ID` means.
    pub(super) async fn find(&self, user: &str) -> Result<Account, CliError> {
        let found = match user.strip_prefix("id:") {
            Some(id) => match id.parse::<UserId>() {
                Ok(id) => self.store.account(&id).await?,
                Err(_) => None,
            },
            None => {
                let name = Name { exact: user.to_owned(), canonical: auth::canonical(user) };
                self.store.account_by_name(&name, true, true).await?
            }
        };
        found.ok_or_else(|| CliError::UnknownUser(user.to_owned()))
    }

    /// Until when a revocation must be remembered at least: no token lives longer.
    pub(super) fn until(&self) -> Timestamp {
        auth::latest_expiry(self.checked.lifetimes(), self.clock.now())
    }

    /// Says what was done to a user.
    pub(super) fn done(&self, user: &UserId, what: &str, json: bool) -> Result<(), CliError> {
        if json {
            output::json(&json!({"id": user.as_str(), "done": what}));
        } else {
            output::print(&format!("user {user}: {what}\n"));
        }
        Ok(())
    }
}
