//! What must be dead and what alive, as the contract says it, and nothing of how it is done.

use super::{gateway::Lifetimes, world::USERS};
use crate::clock::Timestamp;

/// Everything that ever happened, as far as it matters to a token.
pub(super) struct Model {
    pub(super) tokens: Vec<Token>,
    pub(super) sessions: Vec<Session>,
    pub(super) users: [User; USERS],
}

pub(super) struct Token {
    pub(super) text: String,
    pub(super) user: usize,
    pub(super) refresh: bool,
    /// The session that it names, or has opened.
    pub(super) session: Option<usize>,
    pub(super) names_session: bool,
    /// `iat`.
    pub(super) issued_at: Option<u64>,
    /// When it was made, whatever it says, in seconds.
    pub(super) made_at: u64,
    pub(super) expires_at: u64,
    pub(super) killed: bool,
}

pub(super) struct Session {
    pub(super) user: usize,
    pub(super) dead: bool,
    pub(super) refreshed_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// The access token last handed out.
    pub(super) access: Option<usize>,
    pub(super) id: crate::id::SessionId,
}

#[derive(Clone, Default)]
pub(super) struct User {
    pub(super) blocked: bool,
    pub(super) deleted: bool,
    /// The latest instant up to which everything is dead.
    pub(super) instant: Option<Timestamp>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { tokens: Vec::new(), sessions: Vec::new(), users: Default::default() }
    }

    /// Whether the token is dead by what was done, whatever the time.
    pub(super) fn is_dead(&self, token: usize) -> bool {
        let token = &self.tokens[token];
        let user = &self.users[token.user];
        // By time, where no session orders it: up to ten seconds after the instant.
        let made_at = token.issued_at.unwrap_or(token.made_at);
        let too_old = !token.names_session
            && user.instant.is_some_and(|instant| made_at * 1000 <= instant.millis() + 10_000);
        let session_dead = token.session.is_some_and(|session| self.sessions[session].dead);
        token.killed || session_dead || user.blocked || user.deleted || too_old
    }

    /// Whether it is refused only for as long as an instant before it is remembered, since it does not say when it
    /// was made.
    pub(super) fn is_timeless(&self, token: usize) -> bool {
        let token = &self.tokens[token];
        !token.names_session && token.issued_at.is_none() && self.users[token.user].instant.is_some()
    }

    /// Whether a gateway with these lifetimes takes it for expired at `now`, by its own clock.
    pub(super) fn is_over(&self, token: usize, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        now >= Timestamp::from_seconds(self.tokens[token].expires_at).plus(lifetimes.leeway)
    }

    pub(super) fn dead(&self) -> Vec<bool> {
        (0..self.tokens.len()).map(|token| self.is_dead(token)).collect()
    }

    pub(super) fn end_session(&mut self, session: usize) {
        self.sessions[session].dead = true;
    }

    /// Everything issued to the user until `at` is dead.
    pub(super) fn end_all(&mut self, user: usize, at: Timestamp) {
        for session in self.sessions.iter_mut().filter(|session| session.user == user) {
            session.dead = true;
        }
        let instant = &mut self.users[user].instant;
        *instant = Some(instant.map_or(at, |earlier| earlier.max(at)));
    }

    /// A token ends with its session, or alone where it has none.
    pub(super) fn log_out(&mut self, token: usize) {
        match self.tokens[token].session {
            Some(session) => self.end_session(session),
            None => self.tokens[token].killed = true,
        }
    }

    pub(super) fn find(&self, text: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token.text == text)
    }
}
