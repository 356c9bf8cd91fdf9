//! A process dies in the midst of an operation: between two of its steps, or between the store's commit and memory.
//!
//! What it had asked of the store is done, and nobody hears of it. What that was, the model learns from the store, and
//! the operation must have done all of its work or none; then every gateway must be of the model's opinion.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::*;
use crate::auth::interleavings::Doing;

/// What the process was asked for.
struct Asked {
    user: usize,
    /// What was shown.
    token: Option<usize>,
    operation: Operation,
    /// The password to be.
    password: Option<String>,
}

/// What it left in the store.
struct Left {
    now: Timestamp,
    /// Whether there had been an answer on its way, and that said yes.
    acknowledged: bool,
    /// Whether it should have been yes; `None` where the gateway may not have heard of something.
    allowed: Option<bool>,
    log: Vec<Revoked>,
    opened: Vec<store::Session>,
}

impl World {
    pub(super) async fn die(
        &mut self,
        at: usize,
        doing: Doing,
        waits: usize,
        settings: usize,
    ) -> TestCaseResult {
        let Some(Asked { user, token, operation, password }) = self.asked(doing) else { return Ok(()) };
        // By their instants the rows of sessions tell whether this was what changed them last.
        self.gateways.iter().for_each(|one| one.clock.advance(Duration::from_millis(10)));
        let gateway = &self.gateways[at];
        let (now, allowed) = (gateway.clock.now(), self.allows(at, user, token));
        let head = gateway.store.log_head().await.unwrap();
        let acknowledged = matches!(abandoned(gateway.run(operation), waits).await, Some(Ok(_)));
        self.start_again(at, false, settings).await;

        let log = self.gateways[at].store.log_after(head, 1000).await.unwrap().entries;
        let log: Vec<_> = log.into_iter().map(|entry| entry.revocation.what).collect();
        let opened = self.unknown_sessions(at, user).await;
        let left = Left { now, acknowledged, allowed, log, opened };
        if allowed == Some(false) {
            prop_assert!(!acknowledged && left.log.is_empty() && left.opened.is_empty(), "{:?}", doing);
        }
        match (doing, token) {
            (Doing::ChangePassword(_) | Doing::LogoutAll(_), _) => self.ended_all(user, password, &left)?,
            (Doing::Logout(_), Some(token)) => self.logged_out(token, &left)?,
            (Doing::Refresh(_), Some(token)) => self.refreshed(at, token, &left).await?,
            (Doing::Login(_), _) => prop_assert!(!acknowledged || left.opened.len() == 1, "it is lost"),
            (Doing::Logout(_) | Doing::Refresh(_), None) => {}
        }
        prop_assert!(left.opened.len() <= 1);
        for session in left.opened {
            self.session_began(at, user, session.id, session.ends_at).await?;
            if let (Doing::Refresh(_), Some(token)) = (doing, token) {
                self.model.tokens[token].session = Some(self.model.sessions.len() - 1);
            }
        }
        self.poll(at).await
    }

    fn asked(&self, doing: Doing) -> Option<Asked> {
        let (token, operation, password) = match doing {
            Doing::Login(user) => {
                return Some(Asked { user, token: None, operation: self.login_of(user), password: None });
            }
            Doing::Logout(index) => {
                let token = self.pick_any(index)?;
                (token, self.logout_of(token), None)
            }
            Doing::Refresh(index) => {
                let token = self.pick(index, true)?;
                (token, Operation::Refresh { token: self.text(token) }, None)
            }
            Doing::LogoutAll(index) => {
                let token = self.pick(index, false)?;
                (token, Operation::LogoutAll { bearer: self.text(token) }, None)
            }
            Doing::ChangePassword(index) => {
                let token = self.pick(index, false)?;
                let new = self.next_password();
                (token, self.change_of(token, &new), Some(new))
            }
        };
        Some(Asked { user: self.model.tokens[token].user, token: Some(token), operation, password })
    }

    fn allows(&self, at: usize, user: usize, token: Option<usize>) -> Option<bool> {
        match token {
            Some(token) => self.is_sure(at, token).then(|| self.is_alive(at, token)),
            None => Some(!self.model.users[user].blocked && !self.model.users[user].deleted),
        }
    }

    /// Sessions of the user that nobody has heard of.
    async fn unknown_sessions(&self, at: usize, user: usize) -> Vec<store::Session> {
        let mut there = self.sessions_of(at, user).await;
        there.retain(|one| self.model.sessions.iter().all(|known| known.id != one.id));
        there
    }

    fn ended_all(&mut self, user: usize, password: Option<String>, left: &Left) -> TestCaseResult {
        let ended = left.log.iter().any(|what| matches!(what, Revoked::UserInstant { .. }));
        prop_assert!(ended || !left.acknowledged, "it is lost");
        prop_assert_eq!(ended, !left.log.is_empty());
        prop_assert_eq!(ended && password.is_some(), !left.opened.is_empty(), "half of it was done");
        if ended {
            self.model.end_all(user, left.now);
            self.passwords[user] = password.unwrap_or_else(|| self.passwords[user].clone());
        }
        Ok(())
    }

    fn logged_out(&mut self, token: usize, left: &Left) -> TestCaseResult {
        prop_assert!(!left.log.is_empty() || !left.acknowledged || left.allowed.is_none(), "it is lost");
        if !left.log.is_empty() {
            self.model.log_out(token);
        }
        Ok(())
    }

    /// Where it opened a session, what that needs is told by the session itself.
    async fn refreshed(&mut self, at: usize, token: usize, left: &Left) -> TestCaseResult {
        let Some(session) = self.model.tokens[token].session else { return Ok(()) };
        prop_assert!(left.log.is_empty() || !self.model.is_dead(token), "{}", payload(&self.model, token));
        let user = self.model.tokens[token].user;
        let there = self.sessions_of(at, user).await;
        let known = &mut self.model.sessions[session];
        for what in &left.log {
            match what {
                // What a client had left unused.
                Revoked::Token(_) => {
                    known.access.iter().for_each(|access| self.model.tokens[*access].killed = true);
                }
                // A theft.
                Revoked::Session(ended) if *ended == known.id => known.dead = true,
                other => return Err(TestCaseError::fail(format!("a refresh ended {other:?}"))),
            }
        }
        if there.iter().any(|one| one.id == known.id && one.refreshed_at == left.now) {
            // Nobody has what was handed out.
            (known.refreshed_at, known.access) = (left.now, None);
        }
        Ok(())
    }
}

/// Lets it wait so often, and then drops it.
async fn abandoned<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let mut work = pin!(work);
    let mut left = waits;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
