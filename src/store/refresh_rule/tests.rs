use proptest::prelude::*;

use super::*;
use crate::store::refresh_model::{self as model, Subject};

const GRACE: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(1800);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn token(number: u8) -> TokenId {
    TokenId::from_bytes([number; 16])
}

/// The pair that is offered as number `number`, made at `made`.
fn pair(number: u8, made: Timestamp) -> Pair {
    let issued = |id| IssuedToken { id, issued_at: made, expires_at: made.plus(LIFETIME) };
    Pair { refresh: issued(token(number)), access: issued(token(number | 0x80)) }
}

/// A session whose base is token 0, and pairs numbered as they are made.
struct Client {
    chain: Chain,
    offers: u8,
}

#[derive(Debug, PartialEq)]
enum Bought {
    Pair(u8),
    PairReplacing(u8, u8),
    Theft,
}

impl Client {
    fn new() -> Self {
        Self { chain: Chain { base: token(0), handed: None }, offers: 0 }
    }

    fn present(&mut self, presented: u8, millis: u64) -> Bought {
        let offer = pair(self.offers + 1, at(millis));
        match decide(&self.chain, token(presented), offer, at(millis), GRACE) {
            Err(Theft) => Bought::Theft,
            Ok(Grant { pair, next, replaced }) => {
                if let Some(next) = next {
                    self.chain = next;
                    self.offers += 1;
                }
                let number = pair.refresh.id.as_bytes()[0];
                match replaced {
                    Some(old) => Bought::PairReplacing(number, old.refresh.id.as_bytes()[0]),
                    None => Bought::Pair(number),
                }
            }
        }
    }
}

#[test]
fn the_first_refresh_makes_a_successor() {
    assert_eq!(Client::new().present(0, 0), Bought::Pair(1));
}

#[test]
fn a_token_the_session_never_had_is_theft() {
    assert_eq!(Client::new().present(9, 0), Bought::Theft);
    let mut client = Client::new();
    client.present(0, 0);
    assert_eq!(client.present(9, 1), Bought::Theft);
}

#[test]
fn the_base_within_grace_buys_the_very_same_pair() {
    let mut client = Client::new();
    client.present(0, 0);
    let first = client.chain.clone();
    assert_eq!(client.present(0, 9_999), Bought::Pair(1));
    assert_eq!(client.chain, first);
    let decision = decide(&first, token(0), pair(9, at(5)), at(5), GRACE);
    assert_eq!(decision, Ok(Grant { pair: pair(1, at(0)), next: None, replaced: None }));
}

#[test]
fn a_client_that_never_stores_successors_goes_on_and_loses_no_access_token() {
    let mut client = Client::new();
    for step in 0..8 {
        assert_eq!(client.present(0, u64::from(step) * 10_000), Bought::Pair(step + 1));
    }
}

#[test]
fn a_client_that_has_used_a_successor_loses_the_access_token_of_one_it_left_unused() {
    let mut client = Client::new();
    assert_eq!(client.present(0, 0), Bought::Pair(1));
    assert_eq!(client.present(1, 20_000), Bought::Pair(2));
    assert_eq!(client.present(1, 30_000), Bought::PairReplacing(3, 2));
    assert_eq!(client.present(3, 31_000), Bought::Pair(4));
}

#[test]
fn the_successor_becomes_the_base() {
    let mut client = Client::new();
    client.present(0, 0);
    assert_eq!(client.present(1, 1), Bought::Pair(2));
    assert_eq!(client.chain.base, token(1));
    assert_eq!(client.present(2, 2), Bought::Pair(3));
}

#[test]
fn a_lagging_tab_gets_the_present_successor_and_a_late_one_is_a_thief() {
    let mut client = Client::new();
    client.present(0, 0);
    client.present(1, 1_000);
    assert_eq!(client.present(0, 10_999), Bought::Pair(2));
    assert_eq!(client.present(0, 11_000), Bought::Theft);
}

#[test]
fn a_replaced_successor_is_remembered_as_a_superseded_base_is() {
    let mut client = Client::new();
    client.present(0, 0);
    assert_eq!(client.present(0, 10_000), Bought::Pair(2));
    assert_eq!(client.present(1, 19_999), Bought::Pair(2));
    assert_eq!(client.present(1, 20_000), Bought::Theft);
}

#[test]
fn the_last_four_are_remembered_and_the_fifth_is_not() {
    let mut client = Client::new();
    for number in 0..6 {
        assert_eq!(client.present(number, u64::from(number)), Bought::Pair(number + 1));
    }
    assert_eq!(client.present(1, 10), Bought::Pair(6));
    assert_eq!(client.present(0, 10), Bought::Theft);
}

#[test]
fn a_dead_access_token_is_not_handed_out_again() {
    let short = |number, made: Timestamp| {
        let mut pair = pair(number, made);
        pair.access.expires_at = made.plus(Duration::from_secs(2));
        pair
    };
    let chain = Chain {
        base: token(0),
        handed: Some(Handed {
            successor: short(1, at(0)),
            made_at: at(0),
            former: Vec::new(),
            successor_used: false,
        }),
    };
    let alive = decide(&chain, token(0), short(2, at(1_999)), at(1_999), GRACE);
    assert_eq!(alive, Ok(Grant { pair: short(1, at(0)), next: None, replaced: None }));
    let Ok(Grant { pair, next, replaced: None }) =
        decide(&chain, token(0), short(2, at(2_000)), at(2_000), GRACE)
    else {
        panic!("the base is good")
    };
    assert_eq!(pair.refresh, short(1, at(0)).refresh);
    assert_eq!(pair.access, short(2, at(2_000)).access);
    assert_eq!(next.unwrap().handed.unwrap().successor, pair);
}

#[test]
fn a_clock_that_stepped_back_does_not_stretch_the_grace() {
    let mut client = Client::new();
    assert_eq!(client.present(0, 60_000), Bought::Pair(1));
    assert_eq!(client.present(0, 50_001), Bought::Pair(1), "clocks of replicas are never quite alike");
    assert_eq!(client.present(0, 50_000), Bought::Pair(2), "base");
    assert_eq!(client.present(2, 20_000), Bought::Pair(3));
    assert_eq!(client.present(0, 10_000), Bought::Theft);
}

#[test]
fn a_dead_successor_is_not_handed_out_again() {
    let brief = |number, made: Timestamp| {
        let mut pair = pair(number, made);
        pair.refresh.expires_at = made.plus(Duration::from_secs(2));
        pair.access.expires_at = pair.refresh.expires_at;
        pair
    };
    let former = vec![Former { token: token(9), since: at(0) }];
    let handed = Handed { successor: brief(1, at(0)), made_at: at(0), former, successor_used: false };
    let chain = Chain { base: token(0), handed: Some(handed) };
    for presented in [0, 9] {
        let ask = |millis| {
            let offer = brief(2, at(millis));
            decide(&chain, token(presented), offer, at(millis), GRACE).unwrap().pair
        };
        assert_eq!(ask(1_999), brief(1, at(0)));
        assert_eq!(ask(2_000), brief(2, at(2_000)));
    }
}

#[test]
fn without_grace_nothing_is_repeated() {
    let chain = Chain { base: token(0), handed: None };
    let Ok(Grant { next: Some(chain), .. }) = decide(&chain, token(0), pair(1, at(0)), at(0), Duration::ZERO)
    else {
        panic!("the base is good")
    };
    let again = decide(&chain, token(0), pair(2, at(0)), at(0), Duration::ZERO);
    assert!(matches!(again, Ok(Grant { pair: handed, .. }) if handed == pair(2, at(0))));
}

/// The rule alone as those who play see it.
#[derive(Clone)]
struct Played {
    chain: Chain,
    ended: bool,
}

impl Played {
    fn new(first: TokenId) -> Self {
        Self { chain: Chain { base: first, handed: None }, ended: false }
    }
}

impl Subject for Played {
    fn present(&mut self, presented: TokenId, now: Timestamp) -> Option<model::Bought> {
        let issue =
            || IssuedToken { id: TokenId::random(), issued_at: now, expires_at: now.plus(model::GRACE * 6) };
        let offer =
            Pair { refresh: IssuedToken { expires_at: Timestamp::FOREVER, ..issue() }, access: issue() };
        let granted = match self.ended {
            true => Err(Theft),
            false => decide(&self.chain, presented, offer, now, model::GRACE),
        };
        let Ok(Grant { pair, next, replaced }) = granted else {
            self.ended = true;
            return None;
        };
        if let Some(next) = next {
            self.chain = next;
        }
        assert!(self.chain.handed.as_ref().is_some_and(|handed| handed.former.len() <= REMEMBERED));
        let ids = |pair: Pair| (pair.refresh.id, pair.access.id);
        Some(model::Bought { refresh: pair.refresh.id, access: pair.access.id, replaced: replaced.map(ids) })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_rule_does_what_the_contract_says(presentations in model::presentations()) {
        model::obeys(&mut Played::new(token(0)), token(0), &presentations)?;
    }

    #[test]
    fn no_honest_client_is_taken_for_a_thief(client in model::waves()) {
        model::serves_the_honest(&mut Played::new(token(0)), token(0), &client)?;
    }

    #[test]
    fn no_stolen_chain_lives_on_beside_an_honest_one(robbery in model::robberies()) {
        model::sees_a_stolen_chain(&mut Played::new(token(0)), token(0), &robbery)?;
    }

    #[test]
    fn one_chain_remains_whoever_came(presentations in model::presentations()) {
        model::leaves_one_chain(&Played::new(token(0)), token(0), &presentations)?;
    }
}

#[test]
fn what_a_thief_bought_once_dies_when_the_client_comes() {
    for before in 0..6 {
        model::takes_back_what_was_bought_once(&mut Played::new(token(0)), token(0), before).unwrap();
    }
}

/// What the contract accepts as unseen, so that nobody promises more.
#[test]
fn what_remains_unseen() {
    let late = |step: u64| model::START.plus(model::GRACE * u32::try_from(step).unwrap());
    // Two who never store successors.
    let mut both = Played::new(token(0));
    for step in 0..100 {
        assert_eq!(both.present(token(0), late(step)).unwrap().replaced, None);
    }
    // Who comes within the grace after the client, each time.
    let mut shadowed = Played::new(token(0));
    let mut newest = token(0);
    for step in 0..100 {
        let client = shadowed.present(newest, late(step)).unwrap();
        let just_within = late(step + 1).minus(Duration::from_millis(1));
        assert_eq!(shadowed.present(newest, just_within), Some(client));
        newest = client.refresh;
    }
}
