//! Opening an account: its names and its password are judged together, so that all faults come in one answer.
//!
//! Never here: which names are allowed (`name`), and whether one is taken, which only the store's commit can tell.

use std::collections::BTreeMap;

use super::{
    name,
    operation::{Caller, Outcome, Registration, Rejection},
    service::Inner,
};
use crate::{
    metrics::Limit,
    net::counted_as,
    store::{CreateUserError, Created, NewUser},
};

impl Inner {
    /// Opens an account and its first session.
    pub(super) async fn register(&self, wish: Registration, caller: &Caller) -> Result<Outcome, Rejection> {
        if !self.settings.registration {
            return Err(Rejection::RegistrationClosed);
        }
        self.registration_throttle
            .begin(&counted_as(caller.address), self.clock.now())
            .map_err(|wait| self.throttled(Limit::Registrations, wait))?;

        let username = name::username(&wish.username, &self.settings.reserved_names);
        let email = name::email(&wish.email);
        let password = self.passwords.judge(&wish.password);
        let (username, email) = match (username, email, password) {
            (Ok(username), Ok(email), Ok(())) => (username, email),
            (username, email, password) => {
                let faults = [
                    username.err().map(|fault| ("username", fault.to_string())),
                    email.err().map(|fault| ("email", fault.to_string())),
                    password.err().map(|fault| ("password", fault.to_string())),
                ];
                return Err(Rejection::FieldsRejected(faults.into_iter().flatten().collect()));
            }
        };

        let password_hash = self.passwords.hash(wish.password).await?;
        let now = self.clock.now();
        let (session, first) = self.new_session(caller, now);
        let names = [&username, &email].map(|name| self.counting.name(&name.canonical));
        let new_user = NewUser {
            username,
            email: Some(email),
            password_hash,
            roles: Vec::new(),
            attributes: BTreeMap::new(),
            restore: false,
            former_until: Some(self.latest_expiry(now)),
        };
        match self.store.create_user(new_user, Some(session), now).await {
            Ok(Created { user, session, revoked }) => {
                self.apply(&revoked);
                // A session was asked for, so one was opened.
                let session = session.ok_or(Rejection::StoreUnavailable)?;
                let pair = self.mint(&user, session, &first.access, &first.refresh)?;
                self.metrics.registrations.increment();
                // Both were typed here.
                names.into_iter().for_each(|name| self.places.remember(name, counted_as(caller.address)));
                Ok(Outcome::Registered(user, pair))
            }
            Err(CreateUserError::NameTaken) => {
                Err(taken("username", "A user with that username already exists."))
            }
            Err(CreateUserError::EmailTaken) => Err(taken("email", "A user with that email already exists.")),
            Err(CreateUserError::Store(error)) => Err(self.store_failed(&error)),
        }
    }
}

fn taken(field: &'static str, why: &str) -> Rejection {
    Rejection::FieldsRejected(vec![(field, why.to_owned())])
}
