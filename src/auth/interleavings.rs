//! Two gateways on one store, whose clocks differ by up to five seconds, operated at random, against a simple model
//! of which tokens must be dead and which alive.
//!
//! What an operation kills is dead on its gateway when it answers, and on the other one after a poll of the feed;
//! restarts, kills, sweeps and other lifetimes change nothing of it, and nothing alive is refused. A gateway that dies in
//! the middle of an operation has done all of it or nothing, and every gateway agrees on which.

mod gateway;
mod model;
mod place;
mod world;

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use self::{place::Place, world::World};

/// What happens next, and at which gateway.
#[derive(Clone, Debug)]
struct Step {
    gateway: usize,
    /// Whether its feed has looked at the log just before.
    polls: bool,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    ChangePassword(Index),
    Delete(usize),
    /// The process dies in the midst of something, once that has waited so often, and starts again with other
    /// settings. Nobody hears an answer.
    Die {
        doing: Doing,
        waits: usize,
        settings: usize,
    },
    Disable(usize),
    Enable(usize),
    Login(usize),
    Logout(Index),
    LogoutAll(Index),
    /// A backend with our secret makes a token.
    Mint(Foreign),
    /// Milliseconds, in steps of ten.
    Pass(u64),
    Refresh(Index),
    /// With other settings, and perhaps without a word.
    Restart {
        killed: bool,
        settings: usize,
    },
    Sweep,
}

/// What a process may die of doing.
#[derive(Clone, Copy, Debug)]
enum Doing {
    ChangePassword(Index),
    Login(usize),
    Logout(Index),
    LogoutAll(Index),
    Refresh(Index),
}

/// A token as a backend with our secret makes it.
#[derive(Clone, Copy, Debug)]
struct Foreign {
    user: usize,
    refresh: bool,
    /// None, 32 digits as SimpleJWT writes, or a UUID.
    jti: usize,
    has_iat: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = || 0_usize..world::USERS;
    let foreign = (user(), any::<bool>(), 0_usize..3, any::<bool>())
        .prop_map(|(user, refresh, jti, has_iat)| Foreign { user, refresh, jti, has_iat });
    let pause =
        prop_oneof![4 => 1_u64..10, 4 => 100_u64..2_000, 2 => 2_000_u64..8_000, 1 => 20_000_u64..45_000];
    let doing = prop_oneof![
        4 => any::<Index>().prop_map(Doing::Refresh),
        3 => user().prop_map(Doing::Login),
        3 => any::<Index>().prop_map(Doing::Logout),
        1 => any::<Index>().prop_map(Doing::LogoutAll),
        2 => any::<Index>().prop_map(Doing::ChangePassword),
    ];
    let death = (doing, 0_usize..5, 0..gateway::SETTINGS).prop_map(|(doing, waits, settings)| Deed::Die {
        doing,
        waits,
        settings,
    });
    let deed = prop_oneof![
        12 => pause.prop_map(|hundredths| Deed::Pass(hundredths * 10)),
        10 => user().prop_map(Deed::Login),
        16 => any::<Index>().prop_map(Deed::Refresh),
        8 => foreign.prop_map(Deed::Mint),
        4 => any::<Index>().prop_map(Deed::Logout),
        2 => any::<Index>().prop_map(Deed::LogoutAll),
        1 => any::<Index>().prop_map(Deed::ChangePassword),
        1 => user().prop_map(Deed::Disable),
        2 => user().prop_map(Deed::Enable),
        1 => Just(Deed::Delete(0)),
        4 => death,
        3 => Just(Deed::Sweep),
        2 => (any::<bool>(), 0..gateway::SETTINGS).prop_map(|(killed, settings)| Deed::Restart { killed, settings }),
    ];
    let step =
        (0_usize..2, any::<bool>(), deed).prop_map(|(gateway, polls, deed)| Step { gateway, polls, deed });
    prop::collection::vec(step, 10..70)
}

fn play(cases: u32, place: impl Fn() -> Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 600, ..Config::default() };
    let ahead = (0_u64..1_000).prop_map(|tens| tens * 10 + 5);
    let outcome = TestRunner::new(config)
        .run(&(ahead, steps()), |(ahead, steps)| runtime.block_on(World::new(place(), ahead).run(&steps)));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn dead_tokens_are_refused_and_living_ones_accepted_whatever_happens() {
    play(48, Place::file);
}

#[test]
fn dead_tokens_are_refused_and_living_ones_accepted_over_postgres_too() {
    play(8, Place::database);
}
