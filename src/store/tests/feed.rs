use super::*;

#[tokio::test]
async fn the_log_is_read_in_order_and_by_the_page() {
    let bench = Bench::new();
    let mut given = Vec::new();
    for _ in 0..7 {
        given.push(bench.store.revoke_token(TokenId::random(), T0).await.unwrap()[0].sequence);
    }
    assert!(given.is_sorted_by(|earlier, later| earlier < later), "{given:?}");
    let numbers = |entries: Vec<Revocation>| entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(bench.log_after(0, 3).await), given[..3]);
    assert_eq!(numbers(bench.log_after(given[2], 100).await), given[3..]);
    assert!(bench.log_after(given[6], 100).await.is_empty());
    assert!(bench.log_after(u64::MAX, 100).await.is_empty());
    assert_eq!(bench.store.log_head().await.unwrap(), given[6]);
}

#[tokio::test]
async fn what_concerns_a_token_is_found_among_all_else() {
    let bench = Bench::new();
    let (ada, bob) = (bench.user("ada").await, bench.user("bob").await);
    let ((session, token), (other, another)) = (bench.session(&ada, T0).await, bench.session(&bob, T0).await);
    bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    bench.store.revoke_token(token, T0).await.unwrap();
    bench.store.end_sessions_of(&bob, T0, T0).await.unwrap();
    bench.store.end_session(session, Some(T0)).await.unwrap();
    bench.store.block_user(&ada, T0, T0).await.unwrap();
    let log = bench.log().await;
    let about = async |token, session, user, limit| {
        let entries = bench.store.log_about(token, session, user, limit).await.unwrap();
        let mut entries: Vec<_> = entries.into_iter().map(|entry| entry.revocation).collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    };
    let of = |is: &dyn Fn(&Revoked) -> bool| {
        log.iter().filter(|entry| is(&entry.what)).cloned().collect::<Vec<_>>()
    };
    let is_adas = |what: &Revoked| match what {
        Revoked::Session(ended) => *ended == session,
        Revoked::Token(revoked) => *revoked == token,
        Revoked::UserBlocked(user) | Revoked::UserInstant { user, .. } | Revoked::UserUnblocked(user) => {
            *user == ada
        }
    };
    let adas = of(&is_adas);
    assert!(adas.len() >= 3 && adas.len() < log.len(), "{log:?}");
    assert_eq!(about(token, Some(session), &ada, 100).await, adas);
    assert_eq!(about(token, Some(session), &ada, 2).await.len(), 2);
    let of_token = of(&|what| *what == Revoked::Token(token));
    let nobody = "nobody".parse().unwrap();
    assert_eq!(about(token, None, &nobody, 100).await, of_token);
    assert_eq!(about(another, Some(other), &nobody, 100).await, of(&|what| *what == Revoked::Session(other)));
    assert_eq!(about(TokenId::random(), None, &nobody, 100).await, []);
}

#[tokio::test]
async fn the_marker_moves_with_commits_of_this_and_any_other_process() {
    let bench = Bench::new();
    let elsewhere = bench.elsewhere();
    let first = bench.store.change_marker().await.unwrap();
    assert_eq!(bench.store.change_marker().await.unwrap(), first);
    bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    let second = bench.store.change_marker().await.unwrap();
    assert_ne!(second, first);
    elsewhere.revoke_token(TokenId::random(), T0).await.unwrap();
    let third = bench.store.change_marker().await.unwrap();
    assert_ne!(third, second);
    bench.store.users(None, 1).await.unwrap();
    assert_eq!(bench.store.change_marker().await.unwrap(), third);
}

#[tokio::test]
async fn a_sweep_takes_what_has_passed_and_no_number_is_used_again() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    let last = bench.store.revoke_token(TokenId::random(), seconds(1)).await.unwrap()[0].sequence;
    // The last instants included.
    let until = |second| seconds(second).plus(Revocation::SLACK);
    assert_eq!(bench.store.sweep(until(0), 10).await.unwrap(), 0);
    assert_eq!(bench.store.sweep(until(1), 10).await.unwrap(), 1);
    assert_eq!(bench.store.sweep(until(2), 10).await.unwrap(), 1);
    assert_eq!(bench.log().await, []);
    let bench = bench.reopened().await;
    assert_eq!(bench.store.log_head().await.unwrap(), last);
    let (session, _) = bench.session(&ada, T0).await;
    assert_eq!(session.sequence(), Some(last));
    assert!(bench.store.revoke_token(TokenId::random(), T0).await.unwrap()[0].sequence > last);
}

#[tokio::test]
async fn a_sweep_takes_small_steps() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    for _ in 0..5 {
        bench.session(&ada, T0).await;
        bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    }
    let late = T0.plus(SESSION);
    assert_eq!(bench.store.sweep(late, 4).await.unwrap(), 4);
    assert_eq!(bench.store.sweep(late, 4).await.unwrap(), 4);
    assert_eq!(bench.store.sweep(late, 4).await.unwrap(), 2);
    assert_eq!(bench.store.sweep(late, 4).await.unwrap(), 0);
}

#[tokio::test]
async fn a_sweep_leaves_the_living_and_the_blocked() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    bench.store.block_user(&eve, T0, T0).await.unwrap();
    let (idle, _) = bench.session(&ada, T0).await;
    let (busy, token) = bench.session(&ada, T0).await;
    let expiry = T0.plus(REFRESH);
    bench.refresh(&ada, busy, token, expiry.minus(GRACE)).await.unwrap();

    // The last token of the idle one may still be taken under the largest leeway.
    let last_moment = expiry.plus(Revocation::SLACK);
    bench.store.sweep(last_moment, 100).await.unwrap();
    let kept = bench.store.end_session(idle, None).await.unwrap();
    assert_eq!(kept.len(), 1);

    bench.store.sweep(last_moment.plus(Duration::from_millis(1)), 100).await.unwrap();
    let left: Vec<_> = bench.log().await.into_iter().map(|entry| entry.what).collect();
    assert_eq!(left, [Revoked::UserBlocked(eve.clone())]);
    assert_eq!(bench.store.sessions_of(&ada, last_moment, 10).await.unwrap().len(), 1);

    // Months later, and once unblocked, nothing is left of it.
    bench.store.unblock_user(&eve, T0).await.unwrap();
    bench.store.sweep(T0.plus(SESSION).plus(SESSION), 100).await.unwrap();
    assert_eq!(bench.log().await, []);
}
