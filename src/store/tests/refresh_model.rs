//! The refresh rule played at random against the store.

use std::cell::OnceCell;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::store::refresh_model::{self as model, Bought, Subject};

/// Every game has a session of its own, of one user.
struct Games {
    runtime: Runtime,
    bench: Bench,
    user: OnceCell<UserId>,
}

impl Games {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { runtime, bench: Bench::new(), user: OnceCell::new() }
    }

    fn game(&self) -> (Game<'_>, TokenId) {
        let user = self.user.get_or_init(|| self.runtime.block_on(self.bench.user("ada")));
        let (session, first) = self.runtime.block_on(self.bench.session(user, model::START));
        (Game { games: self, user: user.clone(), session }, first)
    }

    fn play<T: Strategy>(
        &self,
        scripts: &T,
        rules: impl Fn(&mut Game<'_>, TokenId, &T::Value) -> TestCaseResult,
    ) {
        let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(scripts, |script| {
            let (mut game, first) = self.game();
            rules(&mut game, first, &script)
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

struct Game<'g> {
    games: &'g Games,
    user: UserId,
    session: SessionId,
}

impl Subject for Game<'_> {
    fn present(&mut self, token: TokenId, now: Timestamp) -> Option<Bought> {
        let Games { runtime, bench, .. } = self.games;
        match runtime.block_on(bench.refresh(&self.user, self.session, token, now)) {
            Ok(refreshed) => Some(Bought {
                refresh: refreshed.refresh.id,
                access: refreshed.access.id,
                replaced: refreshed.event.map(|replaced| (replaced.refresh, replaced.access)),
            }),
            Err(RefreshError::Theft { .. } | RefreshError::UnknownSession) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_store_does_what_the_contract_says() {
    Games::new().play(&model::presentations(), |game, first, script| model::obeys(game, first, script));
}

#[test]
fn no_honest_client_is_taken_for_a_thief() {
    Games::new().play(&model::waves(), |game, first, script| model::serves_the_honest(game, first, script));
}

#[test]
fn no_stolen_chain_lives_on_beside_an_honest_one() {
    Games::new()
        .play(&model::robberies(), |game, first, script| model::sees_a_stolen_chain(game, first, script));
}

#[test]
fn what_a_thief_bought_once_dies_when_the_client_comes() {
    let games = Games::new();
    for before in 0..6 {
        let (mut game, first) = games.game();
        model::takes_back_what_was_bought_once(&mut game, first, before).unwrap();
    }
}
