//! What asks for a password: logging in, and changing it.
//!
//! A wrong password, an unknown user and a disabled one are alike, in work and in time (`release`), and an attempt is
//! counted before anything is hashed for it.
//! Never here: how passwords are kept (`password`), which places are known (`places`).

use std::{net::IpAddr, time::Duration};

use super::{
    name::canonical,
    operation::{Caller, Credentials, Outcome, Rejection, TokenPair},
    places::Whose,
    release::Release,
    service::Inner,
    throttle::Counted,
};
use crate::{
    clock::Timestamp,
    metrics::Limit,
    net::counted_as,
    secret::{ExposeSecret, SecretText},
    store::{Account, ChangePasswordError, Name, OpenSessionError, User},
};

impl Inner {
    /// Opens a session for a name and a password. Unknown, wrong and disabled are one answer at one time.
    pub(super) async fn login(
        &self,
        credentials: Credentials,
        caller: &Caller,
    ) -> Result<Outcome, Rejection> {
        let release = Release::begin();
        // Before any work: neither the store nor a hash is asked on behalf of somebody who asks too often. A name
        // longer than any account's is nobody's, and is not looked at more closely.
        let typed = Some(credentials.name).filter(|name| name.len() <= LONGEST_NAME).unwrap_or_default();
        let name = Name { canonical: canonical(&typed), exact: typed };
        let counted = self.counting.name(&name.canonical);
        let attempt = self.begin_attempt(counted, Whose::Named(&name), caller).await?;
        let (by_name, by_email) = (self.settings.login_by_username, self.settings.login_by_email);
        let account = match self.store.account_by_name(&name, by_name, by_email).await {
            Ok(account) => account,
            Err(error) => {
                self.forgive(&attempt);
                return Err(self.store_failed(&error));
            }
        };

        let verified = self.verified_account(account, credentials.password).await;
        let opened = match verified {
            Ok(Some(account)) => self.open_session(&account, caller).await,
            Ok(None) => Err(Rejection::CredentialsRejected),
            Err(rejection) => Err(rejection),
        };
        match opened {
            Ok((user, pair)) => {
                self.succeeded(&attempt);
                self.metrics.logins.increment();
                Ok(Outcome::LoggedIn(user, pair))
            }
            Err(Rejection::CredentialsRejected) => {
                self.metrics.login_failures.increment();
                release.wait().await;
                Err(Rejection::CredentialsRejected)
            }
            Err(other) => {
                // Not the client's fault, so not one of their attempts.
                self.forgive(&attempt);
                Err(other)
            }
        }
    }

    /// Sets a new password for the bearer, which ends every session but the one it opens.
    pub(super) async fn change_password(
        &self,
        bearer: &SecretText,
        current: SecretText,
        new: SecretText,
        caller: &Caller,
    ) -> Result<Outcome, Rejection> {
        let bearer = self.bearer(bearer)?;
        self.passwords
            .judge(&new)
            .map_err(|weakness| Rejection::FieldsRejected(vec![("new", weakness.to_string())]))?;
        let account = self.store.account(&bearer.user).await.map_err(|error| self.store_failed(&error))?;
        let Some(account) = account else {
            return Err(Rejection::TokenRejected(super::TokenRefusal::Invalid));
        };

        let release = Release::begin();
        let counted = self.counting.user(&bearer.user);
        let attempt = self.begin_attempt(counted, Whose::User(&bearer.user), caller).await?;
        let account = match self.verified_account(Some(account), current).await {
            Ok(Some(account)) => account,
            Ok(None) => {
                release.wait().await;
                return Err(Rejection::CurrentPasswordWrong);
            }
            Err(rejection) => {
                self.forgive(&attempt);
                return Err(rejection);
            }
        };
        self.succeeded(&attempt);

        let hash = self.passwords.hash(new).await?;
        let now = self.clock.now();
        let (session, first) = self.new_session(caller, now);
        let changed = self
            .store
            .change_password(
                &account.user.id,
                Some(&account.password_hash),
                &hash,
                Some(session),
                self.latest_expiry(now),
                now,
            )
            .await;
        match changed {
            Ok((session, revoked)) => {
                self.apply(&revoked);
                // A session was asked for, so one was opened.
                let session = session.ok_or(Rejection::StoreUnavailable)?;
                let pair = self.mint(&account.user, session, &first.access, &first.refresh)?;
                self.metrics.password_changes.increment();
                Ok(Outcome::PasswordChanged(account.user.id, pair))
            }
            Err(ChangePasswordError::AccountChanged) => Err(Rejection::CurrentPasswordWrong),
            Err(ChangePasswordError::Store(error)) => Err(self.store_failed(&error)),
        }
    }

    /// The account, if the password is its own and it may log in. The work is the same where there is none.
    async fn verified_account(
        &self,
        account: Option<Account>,
        password: SecretText,
    ) -> Result<Option<Account>, Rejection> {
        // A password longer than any that can be set is not worth more work than others.
        let plausible = password.expose_secret().chars().count() <= MAX_PASSWORD;
        let password = if plausible { password } else { SecretText::default() };
        let stored = account.as_ref().filter(|_| plausible).map(|account| account.password_hash.clone());
        let matched = self.passwords.verify(password, stored).await?;
        Ok(account.filter(|account| matched && !account.user.disabled))
    }

    async fn open_session(&self, account: &Account, caller: &Caller) -> Result<(User, TokenPair), Rejection> {
        let now = self.clock.now();
        let counted = self.counting.user(&account.user.id);
        self.session_throttle.begin(&counted, now).map_err(|wait| self.throttled(Limit::Sessions, wait))?;
        let (session, first) = self.new_session(caller, now);
        let opened = self
            .store
            .open_session(&account.user.id, &account.password_hash, session, first.access.issued_at)
            .await;
        match opened {
            Ok(opened) => {
                self.apply(&opened.revoked);
                let pair = self.mint(&account.user, opened.session, &first.access, &first.refresh)?;
                Ok((account.user.clone(), pair))
            }
            // The password was changed, or the user disabled, between the check and now.
            Err(OpenSessionError::AccountChanged) => Err(Rejection::CredentialsRejected),
            Err(OpenSessionError::Store(error)) => Err(self.store_failed(&error)),
        }
    }

    /// Counts an attempt against the name and the address.
    ///
    /// By the name as it was typed, in its canonical form, and not by the account behind it: two names that shared
    /// a count would be known for one user's.
    async fn begin_attempt(
        &self,
        name: Counted,
        whose: Whose<'_>,
        caller: &Caller,
    ) -> Result<Attempt, Rejection> {
        let address = counted_as(caller.address);
        let now = self.clock.now();
        let place = self.places.knows(name, address).then_some(address);
        let mut counted = self.count(Attempt { name: (name, place), address }, now);
        if let Err((Limit::Account, _)) = counted
            && place.is_none()
            && self.recalls(whose, name, address, now).await
        {
            counted = self.count(Attempt { name: (name, Some(address)), address }, now);
        }
        counted.map_err(|(limit, wait)| self.throttled(limit, wait))
    }

    fn count(&self, attempt: Attempt, now: Timestamp) -> Result<Attempt, (Limit, Duration)> {
        self.address_throttle.begin(&attempt.address, now).map_err(|wait| (Limit::Address, wait))?;
        if let Err(wait) = self.account_throttle.begin(&attempt.name, now) {
            // Nothing was tried.
            self.address_throttle.forgive(&attempt.address);
            return Err((Limit::Account, wait));
        }
        Ok(attempt)
    }

    fn forgive(&self, attempt: &Attempt) {
        self.account_throttle.forgive(&attempt.name);
        self.address_throttle.forgive(&attempt.address);
    }

    fn succeeded(&self, attempt: &Attempt) {
        self.forgive(attempt);
        self.places.remember(attempt.name.0, attempt.address);
    }
}

/// A password that was tried: whom it is counted against.
struct Attempt {
    name: (Counted, Option<IpAddr>),
    address: IpAddr,
}

/// Bytes of the longest name that an account can have, an imported one's included.
const LONGEST_NAME: usize = 1024;

/// Characters of the longest password that can have been set, whatever the configuration says today.
const MAX_PASSWORD: usize = 4096;
