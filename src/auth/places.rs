//! Where accounts are used: a stranger's guesses lock nobody out of the places that they use.
//!
//! Never here: counting (`throttle`).

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use dashmap::DashMap;
use tokio::sync::Semaphore;

use super::{
    release::Release,
    service::{Inner, THROTTLED_KEYS},
    settings::Quota,
    throttle::{Counted, Throttle},
};
use crate::{
    clock::Timestamp,
    id::UserId,
    net::counted_as,
    store::{Name, StoreError},
};

/// Remembers which name logged in from where.
///
/// Bounded: when it is full, every other place is forgotten. What it does not know, because it was forgotten, this
/// process is new or the login was another gateway's, living sessions may still tell.
#[derive(Debug)]
pub(super) struct Places {
    known: DashMap<(Counted, IpAddr), (), foldhash::fast::RandomState>,
    /// How often sessions are asked about one name and address.
    recalled: Throttle<(Counted, IpAddr)>,
    recalling: Semaphore,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            known: DashMap::default(),
            recalled: Throttle::new(RECALLS, THROTTLED_KEYS),
            recalling: Semaphore::new(RECALLING),
        }
    }

    pub(super) fn remember(&self, name: Counted, address: IpAddr) {
        if self.known.len() >= CAPACITY {
            let mut keeps = false;
            self.known.retain(|_, ()| {
                keeps = !keeps;
                keeps
            });
        }
        self.known.insert((name, address), ());
    }

    pub(super) fn knows(&self, name: Counted, address: IpAddr) -> bool {
        self.known.contains_key(&(name, address))
    }
}

/// Whose password is tried.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Whoever the name means, if anybody.
    Named(&'a Name),
    /// This user.
    User(&'a UserId),
}

impl Inner {
    /// Whether a living session of the account was opened at `address`: the place is remembered then.
    ///
    /// A place that is none looks the same from outside whether there is such an account or not: the answer waits
    /// for the same boundary. Asked rarely, since it costs the store a look-up on behalf of somebody who asks too
    /// often.
    pub(super) async fn recalls(
        &self,
        whose: Whose<'_>,
        name: Counted,
        address: IpAddr,
        now: Timestamp,
    ) -> bool {
        let Ok(_place) = self.places.recalling.try_acquire() else { return false };
        if self.places.recalled.begin(&(name, address), now).is_err() {
            return false;
        }
        let release = Release::begin();
        if let Ok(true) = self.has_session_from(whose, address, now).await {
            self.places.remember(name, address);
            return true;
        }
        release.wait().await;
        false
    }

    async fn has_session_from(
        &self,
        whose: Whose<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let user = match whose {
            Whose::Named(name) => {
                let (by_name, by_email) = (self.settings.login_by_username, self.settings.login_by_email);
                let account = self.store.account_by_name(name, by_name, by_email).await?;
                let Some(account) = account else { return Ok(false) };
                account.user.id
            }
            Whose::User(user) => user.clone(),
        };
        let sessions = self.store.sessions_of(&user, now, SESSIONS).await?;
        Ok(sessions.iter().any(|session| session.address.map(counted_as) == Some(address)))
    }
}

/// Places that are remembered.
const CAPACITY: usize = 100_000;

/// Sessions of one account that are looked at, the last refreshed first.
const SESSIONS: u32 = 100;

/// How often sessions are asked about one name and address.
const RECALLS: Quota = Quota { attempts: NonZeroU32::MIN, window: Duration::from_mins(1) };

/// How many may ask at once: each holds a place among the operations until the boundary.
const RECALLING: usize = 64;
