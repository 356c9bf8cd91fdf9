use super::*;

#[tokio::test]
async fn a_refresh_hands_out_tokens_that_end_with_their_lifetimes() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let refreshed = bench.refresh(&ada, session, token, seconds(60)).await.unwrap();
    assert_eq!(refreshed.user.id, ada);
    assert_eq!(refreshed.session, session);
    assert_eq!(refreshed.refresh.issued_at, seconds(60));
    assert_eq!(refreshed.refresh.expires_at, seconds(60).plus(REFRESH));
    assert_eq!(refreshed.access.issued_at, seconds(60));
    assert_eq!(refreshed.access.expires_at, seconds(60).plus(ACCESS));
    assert_ne!(refreshed.refresh.id, refreshed.access.id);
    assert_eq!((refreshed.event, refreshed.revoked), (None, Vec::new()));
    let listed = bench.store.sessions_of(&ada, seconds(60), 10).await.unwrap();
    assert_eq!(listed[0].refreshed_at, seconds(60));
}

#[tokio::test]
async fn a_repetition_gets_the_same_answer_to_the_byte() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let first = bench.refresh(&ada, session, token, seconds(60)).await.unwrap();
    assert_eq!(bench.refresh(&ada, session, token, seconds(69)).await.unwrap(), first);
    let second = bench.refresh(&ada, session, first.refresh.id, seconds(69)).await.unwrap();
    // The first tab lags behind.
    assert_eq!(bench.refresh(&ada, session, token, seconds(70)).await.unwrap(), second);
}

#[tokio::test]
async fn nothing_outlives_the_sessions_end() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let end = T0.plus(REFRESH);
    let new = NewSession { ends_at: end, ..new_session(T0) };
    let token = new.refresh;
    let session = bench.store.open_session(&ada, HASH, new, T0).await.unwrap().session;
    let just_before = end.minus(Duration::from_secs(1));
    let refreshed = bench.refresh(&ada, session, token, just_before).await.unwrap();
    assert_eq!((refreshed.refresh.expires_at, refreshed.access.expires_at), (end, end));
    let late = bench.refresh(&ada, session, refreshed.refresh.id, end).await;
    assert_eq!(late, Err(RefreshError::Ended));
}

#[tokio::test]
async fn a_theft_ends_the_session_for_good() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let first = bench.refresh(&ada, session, token, seconds(60)).await.unwrap();
    let second = bench.refresh(&ada, session, first.refresh.id, seconds(120)).await.unwrap();
    let stolen = bench.refresh(&ada, session, token, seconds(180)).await;
    let revoked = bench.log().await;
    assert_eq!(stolen, Err(RefreshError::Theft { user: ada.clone(), revoked: revoked.clone() }));
    let until = second.refresh.expires_at.plus(Revocation::SLACK);
    assert_eq!(what_until(&revoked), [(Revoked::Session(session), until)]);

    let bench = bench.reopened().await;
    let next = bench.refresh(&ada, session, second.refresh.id, seconds(181)).await;
    assert_eq!(next, Err(RefreshError::UnknownSession));
    assert_eq!(bench.log().await, revoked);
}

#[tokio::test]
async fn a_rotating_client_that_leaves_a_successor_unused_loses_its_access_token() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let first = bench.refresh(&ada, session, token, seconds(60)).await.unwrap();
    let unused = bench.refresh(&ada, session, first.refresh.id, seconds(120)).await.unwrap();
    let present = bench.refresh(&ada, session, first.refresh.id, seconds(180)).await.unwrap();
    let replaced = Replaced { refresh: unused.refresh.id, access: unused.access.id };
    assert_eq!(present.event, Some(replaced));
    let until = unused.access.expires_at.plus(Revocation::SLACK);
    assert_eq!(what_until(&present.revoked), [(Revoked::Token(unused.access.id), until)]);
    assert_eq!(bench.log().await, present.revoked);
    // Whoever has it still holds a token of this session for a while, and then shows himself.
    let lagging = bench.refresh(&ada, session, unused.refresh.id, seconds(189)).await.unwrap();
    assert_eq!(lagging.refresh, present.refresh);
    let thief = bench.refresh(&ada, session, unused.refresh.id, seconds(190)).await;
    assert!(matches!(thief, Err(RefreshError::Theft { .. })));
}

#[tokio::test]
async fn a_client_that_never_stores_a_successor_is_served_until_its_token_expires() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    for hour in 1..24 {
        let refreshed = bench.refresh(&ada, session, token, seconds(hour * 3600)).await.unwrap();
        assert_eq!(refreshed.event, None);
    }
    assert_eq!(bench.log().await, []);
}

#[tokio::test]
async fn however_many_refresh_at_once_one_chain_remains() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let elsewhere = bench.elsewhere();
    let attempts: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { bench.store.clone() } else { elsewhere.clone() };
            let request = request(&ada, session, token);
            tokio::spawn(async move { store.refresh(request, seconds(60)).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for attempt in attempts {
        answers.push(attempt.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    bench.refresh(&ada, session, answers[0].refresh.id, seconds(61)).await.unwrap();
}

#[tokio::test]
async fn another_users_name_or_another_session_buys_nothing_and_harms_nobody() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    let (session, token) = bench.session(&ada, T0).await;
    let (other, _) = bench.session(&eve, T0).await;
    assert_eq!(bench.refresh(&eve, session, token, T0).await, Err(RefreshError::UnknownSession));
    assert_eq!(bench.refresh(&ada, other, token, T0).await, Err(RefreshError::UnknownSession));
    let unknown = SessionId::opened_at(0);
    assert_eq!(bench.refresh(&ada, unknown, token, T0).await, Err(RefreshError::UnknownSession));
    bench.refresh(&ada, session, token, T0).await.unwrap();
}

#[tokio::test]
async fn a_chain_survives_many_steps_and_many_reopenings() {
    let mut bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, first) = bench.session(&ada, T0).await;
    let mut tokens = vec![first];
    for step in 1..9 {
        let presented = *tokens.last().unwrap();
        let refreshed = bench.refresh(&ada, session, presented, seconds(step)).await.unwrap();
        tokens.push(refreshed.refresh.id);
        bench = bench.reopened().await;
    }
    // Base and successor are the last two; before them the last four are remembered.
    let present = bench.refresh(&ada, session, tokens[3], seconds(9)).await.unwrap();
    assert_eq!(present.refresh.id, tokens[8]);
    let forgotten = bench.refresh(&ada, session, tokens[2], seconds(9)).await;
    assert!(matches!(forgotten, Err(RefreshError::Theft { .. })));
}
