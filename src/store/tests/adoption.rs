use super::*;

fn adoption(user: &UserId, token: TokenId, issued_at: Option<Timestamp>) -> Adoption {
    let session = NewSession { refresh: token, ..new_session(T0) };
    Adoption { user: user.clone(), issued_at, session }
}

#[tokio::test]
async fn a_token_without_session_opens_one_once() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let token = TokenId::random();
    let adopt = || bench.store.adopt_session(adoption(&ada, token, Some(T0)), T0);
    let session = adopt().await.unwrap().session;
    assert_eq!(adopt().await.unwrap().session, session);
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
