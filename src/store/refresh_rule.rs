//! Which tokens one presented refresh token buys, as a function of state and time.
//!
//! The *base* is the token last used, its *successor* the one handed out for it. A token stays good until its
//! successor is used, so that a client that never stores the new one goes on working, and a lost answer costs
//! nothing. Presented may be:
//! - the base: within the grace of the successor's making it buys that same successor, later a new one in its
//!   place. If the session ever used a successor, the access token of the replaced one is then revoked, and the
//!   event is told;
//! - the successor: it becomes the base and buys a successor of its own;
//! - one of the last four tokens superseded or replaced, less than the grace ago (a lagging tab, a late answer): it
//!   buys the present successor;
//! - anything else: that is theft, and the session ends.
//!
//! So one living chain remains, however many refresh at once.
//!
//! Never here: the store, signatures, the expiry of the presented token.

use std::time::Duration;

use super::IssuedToken;
use crate::{clock::Timestamp, id::TokenId};

/// What a session remembers of its refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The token last used.
    pub base: TokenId,
    /// What was handed out for it; `None` until the first refresh.
    pub handed: Option<Handed>,
}

/// What a session remembers once it has been refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The successor of the base.
    pub successor: Pair,
    /// When it was made, by the clock that judges.
    pub made_at: Timestamp,
    /// Tokens superseded or replaced, the latest first, at most [`REMEMBERED`].
    pub former: Vec<Former>,
    /// Whether this client has ever used a successor, and so keeps them.
    pub successor_used: bool,
}

/// A refresh token and the access token that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Buys the next pair.
    pub refresh: IssuedToken,
    /// Opens routes.
    pub access: IssuedToken,
}

/// A token that was base or successor once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The token.
    pub token: TokenId,
    /// When it was superseded or replaced.
    pub since: Timestamp,
}

/// What a presented token buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The pair to hand out.
    pub pair: Pair,
    /// The chain as it is from now on; `None` where it stays as it was.
    pub next: Option<Chain>,
    /// A successor left unused by a client that keeps successors: its access token is to be revoked.
    pub replaced: Option<Pair>,
}

/// Only a thief, or a victim behind one, can have presented the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theft;

/// How many superseded or replaced tokens a session remembers.
pub const REMEMBERED: usize = 4;

/// Decides about `presented`; `offer` is the pair to hand out if a new one is due. `now` is by the clock that judges,
/// which need not be the one that the tokens were issued by.
pub fn decide(
    chain: &Chain,
    presented: TokenId,
    offer: Pair,
    now: Timestamp,
    grace: Duration,
) -> Result<Grant, Theft> {
    // In both directions: a clock that has stepped back must not stretch the grace.
    let recent = |instant: Timestamp| now.since(instant).max(instant.since(now)) < grace;
    let Some(handed) = &chain.handed else {
        return if presented == chain.base {
            let (former, successor_used) = (Vec::new(), false);
            Ok(grant(chain.base, Handed { successor: offer, made_at: now, former, successor_used }))
        } else {
            Err(Theft)
        };
    };
    // Lifetimes may be shorter than the grace, and a dead token is no answer.
    let successor_lives = now < handed.successor.refresh.expires_at;
    if presented == chain.base {
        return Ok(match recent(handed.made_at) && successor_lives {
            true => repeat(chain, handed, offer, now),
            false => replace(chain, handed, offer, now),
        });
    }
    if presented == handed.successor.refresh.id {
        let former = remember(handed, chain.base, now);
        return Ok(grant(presented, Handed { successor: offer, made_at: now, former, successor_used: true }));
    }
    if handed.former.iter().any(|former| former.token == presented && recent(former.since)) {
        return Ok(match successor_lives {
            true => repeat(chain, handed, offer, now),
            false => replace(chain, handed, offer, now),
        });
    }
    Err(Theft)
}

fn grant(base: TokenId, handed: Handed) -> Grant {
    let pair = handed.successor;
    Grant { pair, next: Some(Chain { base, handed: Some(handed) }), replaced: None }
}

/// The present successor once more. Its access token is the same too, so that the whole answer is, unless that
/// token is dead: an access lifetime below the grace must not leave a client without one.
fn repeat(chain: &Chain, handed: &Handed, offer: Pair, now: Timestamp) -> Grant {
    if now < handed.successor.access.expires_at {
        return Grant { pair: handed.successor, next: None, replaced: None };
    }
    let successor = Pair { refresh: handed.successor.refresh, access: offer.access };
    grant(chain.base, Handed { successor, ..handed.clone() })
}

/// A new successor of the same base. The access token of one that a rotating client left unused is not to be trusted.
fn replace(chain: &Chain, handed: &Handed, offer: Pair, now: Timestamp) -> Grant {
    let former = remember(handed, handed.successor.refresh.id, now);
    let next = Handed { successor: offer, made_at: now, former, successor_used: handed.successor_used };
    let replaced = handed.successor_used.then_some(handed.successor);
    Grant { pair: offer, next: Some(Chain { base: chain.base, handed: Some(next) }), replaced }
}

fn remember(handed: &Handed, token: TokenId, now: Timestamp) -> Vec<Former> {
    let latest = Former { token, since: now };
    std::iter::once(latest).chain(handed.former.iter().copied()).take(REMEMBERED).collect()
}

#[cfg(test)]
mod tests;
