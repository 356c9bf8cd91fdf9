//! What the model remembers of what was handed out, here or by a backend.

use super::*;

impl World {
    /// A session has begun, and this is what was handed out with it.
    pub(super) async fn new_session(&mut self, at: usize, user: usize, pair: &TokenPair) -> TestCaseResult {
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
    pub(super) async fn session_began(
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
        let log = self.gateways[at].store.log_after(0, 10_000).await.unwrap().entries;
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

    pub(super) async fn sessions_of(&self, at: usize, user: usize) -> Vec<store::Session> {
        self.gateways[at].store.sessions_of(&self.ids[user], Timestamp::default(), 100).await.unwrap()
    }

    /// Remembers what was handed out, which may be what was handed out before.
    pub(super) fn keep(&mut self, at: usize, session: usize, pair: &TokenPair) {
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
    pub(super) fn mint(&mut self, foreign: Foreign) {
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
}
