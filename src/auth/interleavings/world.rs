//! The gateways, the store, and the hands that operate them.

mod ask;
mod death;
mod keep;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{prelude::*, sample::Index, test_runner::TestCaseResult};
use serde_json::json;

use super::{
    Deed, Foreign, Step,
    gateway::{
        Gateway, LONGEST, PASSWORD, PER_USER, SHORTEST_ACCESS, SHORTEST_REFRESH, START, cheap_hash, keys,
        sign,
    },
    model::{Model, Session, Token},
    place::Place,
};
use crate::{
    auth::{Credentials, Operation, Outcome, Rejection, TokenPair},
    clock::{Clock, Timestamp},
    id::{SessionId, UserId},
    secret::SecretText,
    store::{self, Name, NewUser, Revocation, Revoked},
    token,
};

pub(super) const USERS: usize = 3;

pub(super) struct World {
    place: Place,
    ids: Vec<UserId>,
    passwords: [String; USERS],
    gateways: Vec<Gateway>,
    model: Model,
}

impl World {
    pub(super) fn new(place: Place, ahead: u64) -> Self {
        // One clock is right, the other up to five seconds ahead or behind.
        let clocks = [START, Timestamp::from_millis(START.millis() - 5_000 + ahead)].map(Clock::manual);
        let gateways = clocks.into_iter().map(|clock| Gateway::start(&place, clock, 0)).collect();
        let passwords = std::array::from_fn(|_| PASSWORD.to_owned());
        Self { place, ids: Vec::new(), passwords, gateways, model: Model::new() }
    }

    pub(super) async fn run(mut self, steps: &[Step]) -> TestCaseResult {
        for user in 0..USERS {
            let name = format!("user{user}");
            let username = Name { exact: name.clone(), canonical: name };
            let new = NewUser {
                username,
                email: None,
                password_hash: cheap_hash(),
                roles: Vec::new(),
                attributes: BTreeMap::new(),
                restore: false,
                former_until: None,
            };
            self.ids.push(self.gateways[0].store.create_user(new, None, START).await.unwrap().user.id);
        }
        for step in steps {
            if step.polls {
                self.poll(step.gateway).await?;
            }
            let dead = self.model.dead();
            self.take(step.gateway, &step.deed).await?;
            self.check_killed(step, &dead).await?;
        }
        for gateway in 0..self.gateways.len() {
            self.poll(gateway).await?;
        }
        Ok(())
    }

    /// Looks at the log; from then on every token is what the model says.
    async fn poll(&mut self, gateway: usize) -> TestCaseResult {
        self.gateways[gateway].feed.poll_once().await.unwrap();
        self.gateways[gateway].behind = false;
        self.check_all(gateway).await
    }

    async fn check_all(&mut self, at: usize) -> TestCaseResult {
        let gateway = &mut self.gateways[at];
        let dead = self.model.dead();
        gateway.knows_dead = (0..dead.len()).filter(|token| dead[*token]).collect();
        for (token, dead) in dead.into_iter().enumerate() {
            let alive = !dead && !self.model.is_over(token, &gateway.lifetimes, gateway.clock.now());
            let accepted = gateway.accepts(&self.model.tokens[token]).await;
            if alive && self.model.is_timeless(token) {
                continue;
            }
            prop_assert_eq!(
                accepted,
                alive,
                "token {} at gateway {}: {}",
                token,
                at,
                payload(&self.model, token)
            );
        }
        Ok(())
    }

    /// What the step has killed is dead here at once, and what was known to be dead stays so, seen or unseen.
    async fn check_killed(&mut self, step: &Step, before: &[bool]) -> TestCaseResult {
        let dead = self.model.dead();
        let by_an_operator = matches!(step.deed, Deed::Delete(_) | Deed::Disable(_) | Deed::Enable(_));
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            if index == step.gateway && !by_an_operator {
                let killed = (0..before.len()).filter(|token| dead[*token] && !before[*token]);
                gateway.knows_dead.extend(killed);
            } else if by_an_operator || dead.get(..before.len()) != Some(before) {
                gateway.behind = true;
            }
            gateway.knows_dead.retain(|token| dead[*token]);
            for token in &gateway.knows_dead {
                let accepted = gateway.accepts(&self.model.tokens[*token]).await;
                prop_assert!(
                    !accepted,
                    "dead token {} at gateway {}: {}",
                    token,
                    index,
                    payload(&self.model, *token)
                );
            }
        }
        Ok(())
    }

    async fn take(&mut self, at: usize, deed: &Deed) -> TestCaseResult {
        let now = self.gateways[at].clock.now();
        let floor = now.plus(LONGEST).plus(Duration::from_secs(60)).plus(Revocation::SLACK);
        match deed {
            Deed::ChangePassword(index) => self.change_password(at, *index).await?,
            Deed::Delete(user) => {
                self.gateways[at].store.delete_user(&self.ids[*user], floor, now).await.unwrap();
                if !std::mem::replace(&mut self.model.users[*user].deleted, true) {
                    self.model.end_all(*user, now);
                }
            }
            Deed::Die { doing, waits, settings } => self.die(at, *doing, *waits, *settings).await?,
            Deed::Disable(user) => {
                self.gateways[at].store.block_user(&self.ids[*user], floor, now).await.unwrap();
                self.model.users[*user].blocked = true;
                self.model.end_all(*user, now);
            }
            Deed::Enable(user) => {
                self.gateways[at].store.unblock_user(&self.ids[*user], now).await.unwrap();
                self.model.users[*user].blocked = false;
            }
            Deed::Login(user) => self.login(at, *user).await?,
            Deed::Logout(index) => self.logout(at, *index).await?,
            Deed::LogoutAll(index) => self.logout_all(at, *index).await?,
            Deed::Mint(foreign) => self.mint(*foreign),
            Deed::Pass(millis) => {
                self.gateways.iter().for_each(|one| one.clock.advance(Duration::from_millis(*millis)));
            }
            Deed::Refresh(index) => self.refresh(at, *index).await?,
            Deed::Restart { killed, settings } => self.restart(at, *killed, *settings).await?,
            Deed::Sweep => {
                self.gateways[at].store.sweep(now, 10_000).await.unwrap();
                self.gateways[at].authenticator.revocations().sweep(now);
            }
        }
        Ok(())
    }

    async fn restart(&mut self, at: usize, killed: bool, settings: usize) -> TestCaseResult {
        self.start_again(at, killed, settings).await;
        self.poll(at).await
    }

    async fn start_again(&mut self, at: usize, killed: bool, settings: usize) {
        let Gateway { clock, store, feed, service, authenticator, .. } = self.gateways.remove(at);
        drop((feed, service, authenticator));
        if killed {
            drop(store);
        } else {
            tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        }
        self.gateways.insert(at, Gateway::start(&self.place, clock, settings));
    }

    async fn login(&mut self, at: usize, user: usize) -> TestCaseResult {
        if self.model.users[user].blocked || self.model.users[user].deleted {
            return Ok(());
        }
        match self.gateways[at].run(self.login_of(user)).await {
            Ok(Outcome::LoggedIn(_, pair)) => self.new_session(at, user, &pair).await,
            other => Err(TestCaseError::fail(format!("no login: {other:?}"))),
        }
    }

    async fn refresh(&mut self, at: usize, index: Index) -> TestCaseResult {
        let Some(token) = self.pick(index, true) else { return Ok(()) };
        let gateway = &self.gateways[at];
        let now = gateway.clock.now();
        let (thefts, replacements) = gateway.refresh_events();
        let operation = Operation::Refresh { token: self.text(token) };
        let outcome = gateway.run(operation).await;
        let (more_thefts, more_replacements) = gateway.refresh_events();
        let is_over = self.model.is_over(token, &gateway.lifetimes, now);
        match outcome {
            Ok(Outcome::Refreshed(_, pair)) => {
                prop_assert!(!is_over && !self.model.is_dead(token), "{}", payload(&self.model, token));
                let user = self.model.tokens[token].user;
                let Some(session) = self.model.tokens[token].session else {
                    self.new_session(at, user, &pair).await?;
                    self.model.tokens[token].session = Some(self.model.sessions.len() - 1);
                    return Ok(());
                };
                if more_replacements > replacements
                    && let Some(access) = self.model.sessions[session].access
                {
                    self.model.tokens[access].killed = true;
                }
                if self.model.find(&pair.access).is_none() {
                    self.model.sessions[session].refreshed_at = now;
                }
                self.keep(at, session, &pair);
            }
            Err(Rejection::RefreshRejected) if more_thefts > thefts => {
                prop_assert!(!is_over && !self.model.is_dead(token), "{}", payload(&self.model, token));
                self.model.log_out(token);
            }
            Err(Rejection::RefreshRejected) => {
                let made = &self.model.tokens[token];
                // A token that lives by the leeway alone, or whose session is at its end, may have no session left.
                let ended = made.session.is_some_and(|session| now >= self.model.sessions[session].ends_at);
                let at_its_end = ended || now >= Timestamp::from_seconds(made.expires_at);
                prop_assert!(
                    at_its_end
                        || self.gateways[at].behind
                        || self.model.is_dead(token)
                        || self.model.is_timeless(token),
                    "a living token bought nothing: {}",
                    payload(&self.model, token)
                );
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        Ok(())
    }

    async fn logout(&mut self, at: usize, index: Index) -> TestCaseResult {
        let Some(token) = self.pick_any(index) else { return Ok(()) };
        if self.succeeds(at, token, self.logout_of(token)).await?.is_some() {
            self.model.log_out(token);
        }
        Ok(())
    }

    async fn logout_all(&mut self, at: usize, index: Index) -> TestCaseResult {
        let Some(token) = self.pick(index, false) else { return Ok(()) };
        let operation = Operation::LogoutAll { bearer: self.text(token) };
        if self.succeeds(at, token, operation).await?.is_some() {
            self.model.end_all(self.model.tokens[token].user, self.gateways[at].clock.now());
        }
        Ok(())
    }

    async fn change_password(&mut self, at: usize, index: Index) -> TestCaseResult {
        let Some(token) = self.pick(index, false) else { return Ok(()) };
        let user = self.model.tokens[token].user;
        if self.model.users[user].blocked || self.model.users[user].deleted {
            return Ok(());
        }
        let new = self.next_password();
        let outcome = self.succeeds(at, token, self.change_of(token, &new)).await?;
        if let Some(Outcome::PasswordChanged(_, pair)) = outcome {
            self.model.end_all(user, self.gateways[at].clock.now());
            self.passwords[user] = new;
            self.new_session(at, user, &pair).await?;
        }
        Ok(())
    }

    /// Runs what a living token allows and a dead one does not.
    async fn succeeds(
        &self,
        at: usize,
        token: usize,
        operation: Operation,
    ) -> Result<Option<Outcome>, TestCaseError> {
        let (alive, sure) = (self.is_alive(at, token), self.is_sure(at, token));
        let is_over = self.is_over(at, token);
        let outcome = self.gateways[at].run(operation).await;
        if sure {
            prop_assert_eq!(outcome.is_ok(), alive, "{}: {:?}", payload(&self.model, token), outcome);
        }
        prop_assert!(!(is_over && outcome.is_ok()));
        Ok(outcome.ok())
    }

    fn is_over(&self, at: usize, token: usize) -> bool {
        let gateway = &self.gateways[at];
        self.model.is_over(token, &gateway.lifetimes, gateway.clock.now())
    }

    fn is_alive(&self, at: usize, token: usize) -> bool {
        !self.is_over(at, token) && !self.model.is_dead(token)
    }

    /// Whether the gateway must know which of the two it is.
    fn is_sure(&self, at: usize, token: usize) -> bool {
        !(self.gateways[at].behind || self.is_alive(at, token) && self.model.is_timeless(token))
    }
}

fn payload(model: &Model, token: usize) -> String {
    let text = &model.tokens[token].text;
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    String::from_utf8(payload).unwrap()
}
