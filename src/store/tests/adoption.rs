use super::*;

fn adoption(user: &UserId, token: TokenId, issued_at: Option<Timestamp>) -> Adoption {
    let session = NewSession { refresh: token, ..new_session(T0) };
    Adoption { user: user.clone(), issued_at, login_at: issued_at.unwrap_or(T0), session }
}

#[tokio::test]
async fn a_token_without_session_opens_one_once() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let token = TokenId::random();
    // A minute after the login elsewhere.
    let adopt = || bench.store.adopt_session(adoption(&ada, token, Some(T0)), seconds(60));
    let session = adopt().await.unwrap().session;
    assert_eq!(adopt().await.unwrap().session, session);
    let opened_at = |sessions: Vec<Session>| sessions[0].opened_at;
    assert_eq!(opened_at(bench.store.sessions_of(&ada, T0, 10).await.unwrap()), T0);
    let first = bench.refresh(&ada, session, token, seconds(1)).await.unwrap();
    bench.refresh(&ada, session, first.refresh.id, seconds(2)).await.unwrap();
    // The token that opened the session is one of its tokens, and no key to a second one.
    assert_eq!(adopt().await.unwrap().session, session);
    let late = bench.refresh(&ada, session, token, seconds(60)).await;
    assert!(matches!(late, Err(RefreshError::Theft { .. })));
    assert_eq!(adopt().await.unwrap().session, session);
    assert_eq!(bench.refresh(&ada, session, token, seconds(61)).await, Err(RefreshError::UnknownSession));
}

#[tokio::test]
async fn a_token_that_was_revoked_meanwhile_opens_nothing() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let token = TokenId::random();
    bench.store.revoke_token(token, T0.plus(REFRESH)).await.unwrap();
    let adopt = |token, issued_at| bench.store.adopt_session(adoption(&ada, token, issued_at), seconds(20));
    assert_eq!(adopt(token, Some(T0)).await, Err(OpenSessionError::AccountChanged));

    bench.store.end_sessions_of(&ada, T0, T0).await.unwrap();
    assert_eq!(adopt(TokenId::random(), None).await, Err(OpenSessionError::AccountChanged));
    assert_eq!(adopt(TokenId::random(), Some(seconds(10))).await, Err(OpenSessionError::AccountChanged));
    adopt(TokenId::random(), Some(seconds(11))).await.unwrap();

    bench.store.block_user(&ada, T0, T0).await.unwrap();
    assert_eq!(adopt(TokenId::random(), Some(seconds(11))).await, Err(OpenSessionError::AccountChanged));
}

#[tokio::test]
async fn a_token_ends_the_session_that_it_has_opened() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    let token = TokenId::random();
    assert_eq!(bench.store.adopted_session(token, &ada).await.unwrap(), None);
    let adopted = bench.store.adopt_session(adoption(&ada, token, Some(T0)), T0).await.unwrap().session;
    assert_eq!(bench.store.adopted_session(token, &ada).await.unwrap(), Some(adopted));
    assert_eq!(bench.store.adopted_session(token, &eve).await.unwrap(), None);

    let revoked = bench.store.revoke_token(token, T0.plus(REFRESH)).await.unwrap();
    let what: Vec<_> = revoked.iter().map(|revocation| revocation.what.clone()).collect();
    assert_eq!(what, [Revoked::Token(token), Revoked::Session(adopted)]);
    assert_eq!(bench.log().await, revoked);
    assert_eq!(bench.refresh(&ada, adopted, token, seconds(1)).await, Err(RefreshError::UnknownSession));
    assert_eq!(
        bench.store.adopt_session(adoption(&ada, token, Some(T0)), T0).await.unwrap().session,
        adopted
    );
}

#[tokio::test]
async fn two_users_tokens_of_one_name_are_not_one() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    let token = TokenId::random();
    bench.store.adopt_session(adoption(&ada, token, Some(T0)), T0).await.unwrap();
    let second = bench.store.adopt_session(adoption(&eve, token, Some(T0)), T0).await;
    assert_eq!(second, Err(OpenSessionError::AccountChanged));
}

#[tokio::test]
async fn a_token_of_nobody_opens_nothing() {
    let bench = Bench::new();
    let nobody: UserId = "nobody".parse().unwrap();
    let adopted = bench.store.adopt_session(adoption(&nobody, TokenId::random(), Some(T0)), T0).await;
    assert_eq!(adopted, Err(OpenSessionError::AccountChanged));
}

#[tokio::test]
async fn first_uses_at_once_open_one_session() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let elsewhere = bench.elsewhere();
    let token = TokenId::random();
    let attempts: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { bench.store.clone() } else { elsewhere.clone() };
            let adoption = adoption(&ada, token, None);
            tokio::spawn(async move { store.adopt_session(adoption, T0).await.unwrap().session })
        })
        .collect();
    let mut sessions = Vec::new();
    for attempt in attempts {
        sessions.push(attempt.await.unwrap());
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
    assert_eq!(bench.store.sessions_of(&ada, T0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_is_remembered_for_as_long_as_its_token_lives() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let token = TokenId::random();
    let adopted = bench.store.adopt_session(adoption(&ada, token, Some(T0)), T0).await.unwrap().session;
    bench.store.end_session(adopted, None).await.unwrap();
    let under_every_leeway = T0.plus(REFRESH).plus(Revocation::SLACK);
    bench.store.sweep(under_every_leeway, 100).await.unwrap();
    assert_eq!(bench.store.adopted_session(token, &ada).await.unwrap(), Some(adopted));
    bench.store.sweep(under_every_leeway.plus(Duration::from_mins(1)), 100).await.unwrap();
    assert_eq!(bench.store.adopted_session(token, &ada).await.unwrap(), None);
}
