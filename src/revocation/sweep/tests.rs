use tempfile::TempDir;

use super::*;
use crate::{
    id::TokenId,
    metrics::Metrics,
    store::{Revocation, Settings},
};

const T0: Timestamp = Timestamp::from_seconds(1_800_000_000);

#[test]
fn a_clock_is_believed_when_it_has_gone_right_for_a_while() {
    let begun = Stopwatch::start();
    let mut times = Times::new(STEADY);
    // Each look a minute after the last one, by a clock that is `ahead`.
    let mut minutes = 0;
    let mut look = |ahead: Duration| {
        let passed = Duration::from_mins(minutes);
        minutes += 1;
        let wall = T0.plus(passed).plus(ahead);
        (times.ended(wall, begun.later(passed)).is_some(), wall)
    };
    let years = Duration::from_hours(24 * 365 * 3);
    for _ in 0..10 {
        assert!(!look(years).0);
    }
    // It is set right just before it would have been believed, and nine minutes pass.
    for _ in 0..10 {
        assert!(!look(Duration::ZERO).0);
    }
    for adjusted in [0, 3, 6, 9] {
        assert!(look(Duration::from_secs(adjusted)).0);
    }
    // Set ahead, and set back again.
    for _ in 0..10 {
        assert!(!look(Duration::from_hours(1)).0);
    }
    for _ in 0..10 {
        assert!(!look(Duration::ZERO).0);
    }
    assert!(look(Duration::ZERO).0);
}

#[test]
fn a_clock_that_takes_local_time_for_another_forgets_nothing_too_early() {
    let begun = Stopwatch::start();
    let mut times = Times::new(STEADY);
    let wall = T0.plus(Duration::from_hours(14));
    assert_eq!(times.ended(wall, begun), None);
    let later = times.ended(wall.plus(STEADY), begun.later(STEADY)).unwrap();
    assert!(later < T0);
}

#[tokio::test]
async fn what_has_ended_a_day_ago_goes_from_memory_and_store() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&Settings::Sqlite { path: folder.path().join("portcullis.db") }).unwrap();
    let list = RevocationList::new(Metrics::new(Vec::new()));
    let clock = Clock::manual(T0);
    let revoked = store.revoke_token(TokenId::random(), T0).await.unwrap();
    revoked.iter().for_each(|revocation| list.apply(revocation));
    for (passes, left) in [(Revocation::SLACK + MARGIN, 1), (Duration::from_secs(2), 0)] {
        clock.advance(passes);
        let sweeping = sweep(store.clone(), list.clone(), clock.clone(), Duration::ZERO);
        let looking = async {
            let rows = async || store.log_after(0, 1).await.unwrap().entries.len();
            while list.next_expiry().is_none() && left == 1 || list.len() > left || rows().await > left {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = sweeping => {}
            () = looking => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing is swept"),
        }
        assert_eq!(list.len(), left);
    }
}
