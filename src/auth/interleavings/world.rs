//! The gateways, the store, and the hands that operate them.

mod death;

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
            };
            self.ids.push(self.gateways[0].store.create_user(new, None, START).await.unwrap().0.id);
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

    fn login_of(&self, user: usize) -> Operation {
        let password = self.passwords[user].clone().into();
        Operation::Login(Credentials { name: format!("user{user}"), password })
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

    fn logout_of(&self, token: usize) -> Operation {
        let text = Some(self.text(token));
        match self.model.tokens[token].refresh {
            true => Operation::Logout { bearer: None, refresh: text },
            false => Operation::Logout { bearer: text, refresh: None },
        }
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

    fn change_of(&self, token: usize, new: &str) -> Operation {
        let current = self.passwords[self.model.tokens[token].user].clone().into();
        Operation::ChangePassword { bearer: self.text(token), current, new: new.to_owned().into() }
    }

    fn next_password(&self) -> String {
        format!("{PASSWORD} {}", self.model.tokens.len())
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
        !self.gateways[at].behind && !(self.is_alive(at, token) && self.model.is_timeless(token))
    }

    /// A session has begun, and this is what was handed out with it.
    async fn new_session(&mut self, at: usize, user: usize, pair: &TokenPair) -> TestCaseResult {
        let gateway = &self.gateways[at];
        let now = gateway.clock.now();
        let verified = token::verify(&pair.refresh, &keys(), &gateway.profile(), now).unwrap();
        let ends_at = now.plus(gateway.lifetimes.session);
        let session = self.model.sessions.len();
        self.session_began(at, user, verified.session.unwrap(), ends_at).await?;
        self.keep(at, session, pair);
        Ok(())
    }

    /// It is in the store, and whichever had to go for it was the least recently refreshed.
    async fn session_began(
        &mut self,
        at: usize,
        user: usize,
        id: SessionId,
        ends_at: Timestamp,
    ) -> TestCaseResult {
        let now = self.gateways[at].clock.now();
        let there = self.sessions_of(at, user).await;
        prop_assert!(there.len() <= PER_USER as usize);
        prop_assert!(there.iter().any(|one| one.id == id));
        let log = self.gateways[at].store.log_after(0, 10_000).await.unwrap();
        let session = self.model.sessions.len();
        self.model.sessions.push(Session { user, dead: false, refreshed_at: now, ends_at, access: None, id });
        let kept = |session: &Session| there.iter().any(|one| one.id == session.id);
        let others = &self.model.sessions[..session];
        let least = others.iter().filter(|one| kept(one)).map(|one| one.refreshed_at).min();
        for index in 0..session {
            let one = &self.model.sessions[index];
            if one.user != user || one.dead || kept(one) {
                continue;
            }
            if log.iter().any(|entry| entry.revocation.what == Revoked::Session(one.id)) {
                prop_assert_eq!(there.len(), PER_USER as usize);
                prop_assert!(least.is_none_or(|least| one.refreshed_at <= least));
                self.model.end_session(index);
            } else {
                // Swept: nothing of it is alive but by a leeway, on a clock that is behind.
                let over = |token: &Token| now >= Timestamp::from_seconds(token.expires_at + 50);
                let tokens = self.model.tokens.iter();
                prop_assert!(tokens.filter(|token| token.session == Some(index)).all(over));
            }
        }
        Ok(())
    }

    async fn sessions_of(&self, at: usize, user: usize) -> Vec<store::Session> {
        self.gateways[at].store.sessions_of(&self.ids[user], Timestamp::default(), 100).await.unwrap()
    }

    /// Remembers what was handed out, which may be what was handed out before.
    fn keep(&mut self, at: usize, session: usize, pair: &TokenPair) {
        for (text, refresh) in [(&pair.access, false), (&pair.refresh, true)] {
            let known = self.model.find(text);
            let gateway = &self.gateways[at];
            let verified = token::verify(text, &keys(), &gateway.profile(), gateway.clock.now());
            let token = known.unwrap_or_else(|| {
                let verified = verified.unwrap();
                self.model.tokens.push(Token {
                    text: text.clone(),
                    user: self.model.sessions[session].user,
                    refresh,
                    session: Some(session),
                    names_session: true,
                    issued_at: verified.issued_at,
                    made_at: gateway.clock.now().seconds(),
                    expires_at: verified.expires_at,
                    killed: false,
                });
                self.model.tokens.len() - 1
            });
            if !refresh {
                self.model.sessions[session].access = Some(token);
            }
        }
    }

    /// A backend, whose clock is right, makes a token that lives as long as any may here.
    fn mint(&mut self, foreign: Foreign) {
        let now = self.gateways[0].clock.now().seconds();
        let lifetime = if foreign.refresh { SHORTEST_REFRESH } else { SHORTEST_ACCESS };
        let expires_at = now + lifetime.as_secs();
        let kind = if foreign.refresh { "refresh" } else { "access" };
        let mut payload = json!({
            "token_type": kind, "exp": expires_at, "user_id": self.ids[foreign.user].as_str(),
        });
        if foreign.has_iat {
            payload["iat"] = now.into();
        }
        let digits = format!("{:032x}", self.model.tokens.len());
        match foreign.jti {
            0 => {}
            1 => payload["jti"] = digits.into(),
            _ => payload["jti"] = format!("{}-0000-4000-8000-{}", &digits[..8], &digits[20..]).into(),
        }
        let text = sign(&payload.to_string());
        if self.model.find(&text).is_none() {
            self.model.tokens.push(Token {
                text,
                user: foreign.user,
                refresh: foreign.refresh,
                session: None,
                names_session: false,
                issued_at: foreign.has_iat.then_some(now),
                made_at: now,
                expires_at,
                killed: false,
            });
        }
    }

    fn text(&self, token: usize) -> SecretText {
        self.model.tokens[token].text.clone().into()
    }

    fn pick_any(&self, index: Index) -> Option<usize> {
        let tokens = self.model.tokens.len();
        (tokens > 0).then(|| index.index(tokens))
    }

    fn pick(&self, index: Index, refresh: bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.model.tokens.len())
            .filter(|token| self.model.tokens[*token].refresh == refresh)
            .collect();
        // Mostly young ones: old ones are dead for all sorts of reasons.
        let young = fitting.len().saturating_sub(8);
        (!fitting.is_empty()).then(|| *index.get(&fitting[young..]))
    }
}

fn payload(model: &Model, token: usize) -> String {
    let text = &model.tokens[token].text;
    let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    String::from_utf8(payload).unwrap()
}
