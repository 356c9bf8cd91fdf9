use proptest::prelude::*;

use super::*;

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
fn without_grace_nothing_is_repeated() {
    let chain = Chain { base: token(0), handed: None };
    let Ok(Grant { next: Some(chain), .. }) = decide(&chain, token(0), pair(1, at(0)), at(0), Duration::ZERO)
    else {
        panic!("the base is good")
    };
    let again = decide(&chain, token(0), pair(2, at(0)), at(0), Duration::ZERO);
    assert!(matches!(again, Ok(Grant { pair: handed, .. }) if handed == pair(2, at(0))));
}

/// The rule of the module's head read aloud over the whole history of a session, with nothing summed up.
#[derive(Default)]
struct History {
    made: Vec<(u8, u8, u64)>,
    used: Vec<u8>,
    retired: Vec<(u8, u64)>,
}

impl History {
    fn base(&self) -> u8 {
        self.used.last().copied().unwrap_or(0)
    }

    fn successor(&self) -> Option<(u8, u64)> {
        let base = self.base();
        self.made.iter().rev().find(|made| made.1 == base).map(|made| (made.0, made.2))
    }

    fn present(&mut self, presented: u8, number: u8, now: u64) -> Bought {
        let grace = GRACE.as_millis() as u64;
        let base = self.base();
        let successor = self.successor();
        if presented == base {
            match successor {
                Some((successor, made)) if now - made < grace => return Bought::Pair(successor),
                Some((old, _)) => {
                    self.retired.push((old, now));
                    self.made.push((number, base, now));
                    return match self.used.is_empty() {
                        true => Bought::Pair(number),
                        false => Bought::PairReplacing(number, old),
                    };
                }
                None => {
                    self.made.push((number, base, now));
                    return Bought::Pair(number);
                }
            }
        }
        let Some((successor, _)) = successor else { return Bought::Theft };
        if presented == successor {
            self.retired.push((base, now));
            self.used.push(successor);
            self.made.push((number, successor, now));
            return Bought::Pair(number);
        }
        let remembered = self.retired.iter().rev().take(4);
        match remembered.into_iter().any(|(token, since)| *token == presented && now - since < grace) {
            true => Bought::Pair(successor),
            false => Bought::Theft,
        }
    }
}

proptest! {
    #[test]
    fn the_rule_agrees_with_the_contract_read_over_the_whole_history(
        steps in prop::collection::vec((0_u8..6, prop_oneof![0_u64..3, 0_u64..4_000, 9_990_u64..10_010]), 1..60)
    ) {
        let mut client = Client::new();
        let mut history = History::default();
        let mut now = 0;
        for (back, pause) in steps {
            now += pause;
            // Mostly tokens that were handed out lately, the first ones among them, and at times none of ours.
            let presented = match back {
                5 => 120,
                back => client.offers.saturating_sub(back),
            };
            let expected = history.present(presented, client.offers + 1, now);
            let bought = client.present(presented, now);
            prop_assert_eq!(&bought, &expected);
            let handed = client.chain.handed.as_ref();
            prop_assert!(handed.is_none_or(|handed| handed.former.len() <= REMEMBERED));
            if bought == Bought::Theft && presented != 120 {
                break;
            }
        }
    }
}
