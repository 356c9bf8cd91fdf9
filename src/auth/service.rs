//! What the operations have in common: what they work with, how tokens are minted, how failures are worded.
//!
//! Never here: JSON, HTTP statuses.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    authenticate::Authenticator,
    operation::{Caller, Operation, Outcome, Rejection, TokenPair},
    places::Places,
    settings::{Quota, Settings},
    throttle::{Counted, Counting, Throttle},
};
use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    id::{SessionId, TokenId},
    metrics::{Limit, Metrics},
    password::{PasswordError, Passwords},
    revocation::{Freshness, RevocationList},
    secret::{ExposeSecret, SecretText},
    store::{IssuedToken, NewSession, Outage, Revocation, Store, StoreError, User},
    token::{self, ClaimValue, KeyRing, NewToken, Profile, TokenKind, Verified},
};

/// The operations on accounts and sessions. A cheap handle.
///
/// It runs on the control plane: what it does touches the disk and hashes passwords. An operation that was begun
/// is finished, whether or not the client is still there.
#[derive(Clone, Debug)]
pub struct AuthService(Arc<Inner>);

/// What the operations work with.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) tokens: token::Settings,
    pub(super) store: Store,
    pub(super) passwords: Passwords,
    pub(super) authenticator: Authenticator,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) counting: Counting,
    pub(super) account_throttle: Throttle<(Counted, Option<IpAddr>)>,
    pub(super) address_throttle: Throttle<IpAddr>,
    pub(super) registration_throttle: Throttle<IpAddr>,
    pub(super) session_throttle: Throttle<Counted>,
    pub(super) places: Places,
    outage: Outage,
}

impl AuthService {
    /// Joins what the operations need.
    pub fn new(
        settings: Settings,
        tokens: token::Settings,
        store: Store,
        passwords: Passwords,
        authenticator: Authenticator,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            account_throttle: Throttle::new(settings.per_account, THROTTLED_KEYS),
            address_throttle: Throttle::new(settings.per_address, THROTTLED_KEYS),
            registration_throttle: Throttle::new(settings.registrations, THROTTLED_KEYS),
            session_throttle: Throttle::new(SESSIONS, THROTTLED_KEYS),
            places: Places::new(),
            outage: Outage::default(),
            counting: Counting::new(),
            settings,
            tokens,
            store,
            passwords,
            authenticator,
            clock,
            metrics,
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// [`Rejection`]; nothing that was acknowledged is lost, and nothing refused has happened, but that a logout
    /// which the store could not keep is in force here all the same.
    pub async fn run(&self, operation: Operation, caller: Caller) -> Result<Outcome, Rejection> {
        let inner = &*self.0;
        let outcome = match operation {
            Operation::ChangePassword { bearer, current, new } => {
                inner.change_password(&bearer, current, new, &caller).await
            }
            Operation::EndSession { bearer, session } => inner.end_session(&bearer, session).await,
            Operation::Identify { bearer } => inner.identify(&bearer).await,
            Operation::ListSessions { bearer } => inner.list_sessions(&bearer).await,
            Operation::Login(credentials) => inner.login(credentials, &caller).await,
            Operation::Logout { bearer, refresh } => inner.logout(bearer.as_ref(), refresh.as_ref()).await,
            Operation::LogoutAll { bearer } => inner.logout_all(&bearer).await,
            Operation::Refresh { token } => inner.refresh(&token, &caller).await,
            Operation::Register(registration) => inner.register(registration, &caller).await,
            Operation::Verify { token } => inner.verify(&token).await,
        };
        if let Ok(outcome) = &outcome {
            inner.store_served(outcome);
        }
        outcome
    }
}

impl Inner {
    async fn identify(&self, bearer: &SecretText) -> Result<Outcome, Rejection> {
        let bearer = self.bearer(bearer)?;
        match self.store.user(&bearer.user).await {
            Ok(Some(user)) => Ok(Outcome::User(user)),
            Ok(None) => Err(Rejection::TokenRejected(super::TokenRefusal::Invalid)),
            Err(error) => Err(self.store_failed(&error)),
        }
    }

    async fn verify(&self, token: &SecretText) -> Result<Outcome, Rejection> {
        let now = self.clock.now();
        let verified = self
            .authenticator
            .verify_any(token.expose_secret(), now)
            .map_err(|_| Rejection::VerificationFailed)?;
        let verified = self.with_session(verified).await.map_err(|error| self.store_failed(&error))?;
        match self.revocations().refuses(&verified, now) {
            None => self.fresh().map(|()| Outcome::Valid(verified.user)),
            Some(_) => Err(Rejection::VerificationFailed),
        }
    }

    /// The access token that lets an operation happen.
    pub(super) fn bearer(&self, bearer: &SecretText) -> Result<Verified, Rejection> {
        let verified = self.bearer_who_leaves(bearer)?;
        self.fresh().map(|()| verified)
    }

    /// As [`Self::bearer`], for operations that only take away: a token that was revoked elsewhere may do so too,
    /// and nobody shall have to wait with it.
    pub(super) fn bearer_who_leaves(&self, bearer: &SecretText) -> Result<Verified, Rejection> {
        let now = self.clock.now();
        Ok(self.authenticator.verify(bearer.expose_secret(), TokenKind::Access, now)?)
    }

    fn fresh(&self) -> Result<(), Rejection> {
        match self.authenticator.freshness(Stopwatch::start()) {
            Freshness::Fresh => Ok(()),
            Freshness::Stale => Err(Rejection::RevocationsStale),
        }
    }

    /// A session that begins now, with the identifiers of its first tokens.
    pub(super) fn new_session(&self, caller: &Caller, now: Timestamp) -> (NewSession, FirstTokens) {
        let ends_at = now.plus(self.tokens.session_lifetime);
        let tokens = FirstTokens {
            access: IssuedToken {
                id: TokenId::random(),
                issued_at: now,
                expires_at: now.plus(self.tokens.access_lifetime).min(ends_at),
            },
            refresh: IssuedToken {
                id: TokenId::random(),
                issued_at: now,
                expires_at: now.plus(self.tokens.refresh_lifetime).min(ends_at),
            },
        };
        let session = NewSession {
            refresh: tokens.refresh.id,
            refresh_expires_at: tokens.refresh.expires_at,
            access_expires_at: tokens.access.expires_at,
            ends_at,
            address: Some(caller.address),
            agent: caller.agent.clone(),
            per_user: self.settings.sessions_per_user,
        };
        (session, tokens)
    }

    /// Writes and signs a pair.
    pub(super) fn mint(
        &self,
        user: &User,
        session: SessionId,
        access: &IssuedToken,
        refresh: &IssuedToken,
    ) -> Result<TokenPair, Rejection> {
        let extra_claims = self.extra_claims(user);
        let sign = |kind, token: &IssuedToken| {
            let token = NewToken {
                kind,
                user: &user.id,
                token: token.id,
                session,
                issued_at: token.issued_at.seconds(),
                expires_at: token.expires_at.seconds(),
                extra_claims: &extra_claims,
            };
            self.keys().mint(self.profile(), &token).map_err(|error| {
                tracing::error!(%error, "Tokens cannot be signed");
                Rejection::SigningFailed
            })
        };
        Ok(TokenPair {
            access: sign(TokenKind::Access, access)?,
            refresh: sign(TokenKind::Refresh, refresh)?,
        })
    }

    fn extra_claims(&self, user: &User) -> Vec<Option<ClaimValue>> {
        let value = |field: &str| match field {
            "username" => Some(ClaimValue::Text(user.username.clone())),
            "email" => user.email.clone().map(ClaimValue::Text),
            "roles" => Some(ClaimValue::List(user.roles.clone())),
            attribute => user.attributes.get(attribute).cloned().map(ClaimValue::Text),
        };
        self.tokens.claims.iter().map(|claim| value(&claim.field)).collect()
    }

    /// Puts into memory what the store has committed: from here on this process refuses it.
    pub(super) fn apply(&self, revoked: &[Revocation]) {
        for revocation in revoked {
            self.revocations().apply(revocation);
        }
    }

    pub(super) fn latest_expiry(&self, now: Timestamp) -> Timestamp {
        latest_expiry(&self.tokens, now)
    }

    pub(super) fn keys(&self) -> &KeyRing {
        self.authenticator.keys()
    }

    pub(super) fn profile(&self) -> &Profile {
        self.authenticator.profile()
    }

    pub(super) fn revocations(&self) -> &RevocationList {
        self.authenticator.revocations()
    }

    /// Words a failure of the store, counts it, and tells operators of it now and then.
    pub(super) fn store_failed(&self, error: &StoreError) -> Rejection {
        self.metrics.store_failures.increment();
        if let Some(untold) = self.outage.failed(Stopwatch::start()) {
            let store = &self.store;
            let others = match untold {
                0 => String::new(),
                1 => "; so was one other".to_owned(),
                _ => format!("; so were {untold} others"),
            };
            tracing::error!(%store, %error, untold, "An operation was refused, {store}: {error}{others}");
        }
        match error {
            StoreError::Full => Rejection::StoreFull,
            StoreError::Overloaded => Rejection::Overloaded,
            StoreError::Corrupt(_) | StoreError::Unavailable(_) => Rejection::StoreUnavailable,
        }
    }

    /// Tells operators that failures are over, once something has been kept: what only reads may do well beside a disk
    /// that takes nothing.
    fn store_served(&self, outcome: &Outcome) {
        if outcome.is_kept()
            && let Some(untold) = self.outage.succeeded()
        {
            let store = &self.store;
            let others = match untold {
                0 => String::new(),
                1 => "; one more was refused".to_owned(),
                _ => format!("; {untold} more were refused"),
            };
            tracing::info!(%store, untold, "The store takes operations again, {store}{others}");
        }
    }

    /// Counts an attempt that a throttle refused.
    pub(super) fn throttled(&self, limit: Limit, retry_after: Duration) -> Rejection {
        self.metrics.throttled.of(limit).increment();
        Rejection::Throttled { retry_after }
    }
}

/// The latest that a token which is revoked `now` can be taken, for those that no session bounds.
///
/// A backend's may be dated later by as much as clocks and leeways allow, and is taken for as much longer than its
/// lifetime: by any gateway, so with the largest leeway there is.
pub fn latest_expiry(tokens: &token::Settings, now: Timestamp) -> Timestamp {
    let longest = tokens.session_lifetime.max(tokens.refresh_lifetime).max(tokens.access_lifetime);
    now.plus(longest).plus(Revocation::SLACK).plus(Revocation::SLACK)
}

/// The first tokens of a session.
pub(super) struct FirstTokens {
    pub(super) access: IssuedToken,
    pub(super) refresh: IssuedToken,
}

impl From<PasswordError> for Rejection {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Failed | PasswordError::Overloaded => Self::Overloaded,
        }
    }
}

/// Good logins of one account. Each session beyond those that a user may have leaves an entry in the revocation log
/// for the one that went: a client that logs in in a loop must not fill it.
const SESSIONS: Quota = Quota { attempts: NonZeroU32::new(100).unwrap(), window: Duration::from_secs(300) };

/// Accounts and addresses that one throttle tells apart.
pub(super) const THROTTLED_KEYS: usize = 100_000;
