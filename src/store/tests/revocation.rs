use super::*;

fn what(revoked: &[Revocation]) -> Vec<Revoked> {
    revoked.iter().map(|revocation| revocation.what.clone()).collect()
}

#[tokio::test]
async fn a_session_ends_once() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let ended = bench.store.end_session(session, None).await.unwrap();
    let until = T0.plus(REFRESH).plus(Revocation::SLACK);
    assert_eq!(what_until(&ended), [(Revoked::Session(session), until)]);
    assert_eq!(bench.store.end_session(session, None).await.unwrap(), []);
    // Whoever asks again must refuse it as well, and may not have read the log yet.
    assert_eq!(bench.store.end_session(session, Some(until)).await.unwrap(), ended);
    assert_eq!(bench.log().await, ended);
    assert_eq!(bench.refresh(&ada, session, token, T0).await, Err(RefreshError::UnknownSession));
}

#[tokio::test]
async fn a_session_unknown_here_is_revoked_where_a_token_of_it_was_shown() {
    let bench = Bench::new();
    let unknown = SessionId::opened_at(0);
    assert_eq!(bench.store.end_session(unknown, None).await.unwrap(), []);
    let revoked = bench.store.end_session(unknown, Some(seconds(60))).await.unwrap();
    assert_eq!(what(&revoked), [Revoked::Session(unknown)]);
    assert_eq!(bench.store.end_session(unknown, Some(seconds(60))).await.unwrap(), revoked);
    assert_eq!(bench.store.end_session(unknown, Some(seconds(61))).await.unwrap()[0].until, seconds(61));
}

#[tokio::test]
async fn a_session_of_a_password_change_is_younger_than_the_change() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (old, _) = bench.session(&ada, T0).await;
    let (session, revoked) =
        bench.store.change_password(&ada, Some(HASH), "new", Some(new_session(T0)), T0, T0).await.unwrap();
    assert_eq!(what(&revoked), [Revoked::UserInstant { user: ada.clone(), at: T0 }]);
    assert!(old.sequence().unwrap() < revoked[0].sequence);
    assert!(session.unwrap().sequence().unwrap() >= revoked[0].sequence);
    // As long as the longest token of the old session, whatever the caller believes.
    assert_eq!(revoked[0].until, T0.plus(REFRESH).plus(Revocation::SLACK));
    let again = bench.store.change_password(&ada, Some(HASH), "third", None, T0, T0).await;
    assert_eq!(again, Err(ChangePasswordError::AccountChanged));
}

#[tokio::test]
async fn a_store_restored_from_a_backup_ends_the_sessions_that_it_has_lost_as_well() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let mut backup = None;
    let bench = bench
        .restarted(|place| {
            backup = Some(TheKind::backup(&place));
            place
        })
        .await;
    for _ in 0..3 {
        bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    }
    let (lost, _) = bench.session(&ada, T0).await;

    let bench = bench.restarted(|_| backup.unwrap()).await;
    let everything = bench.store.end_sessions_of(&ada, T0, T0).await.unwrap();
    assert!(lost.sequence().unwrap() < everything[0].sequence, "{lost} {everything:?}");
    let (new, _) = bench.session(&ada, T0).await;
    assert!(new.sequence().unwrap() >= everything[0].sequence);
}

#[tokio::test]
async fn an_operator_may_set_a_disabled_users_password_but_open_no_session() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.store.block_user(&ada, T0, T0).await.unwrap();
    let change = |expected, session| bench.store.change_password(&ada, expected, "new", session, T0, T0);
    assert_eq!(change(Some(HASH), None).await, Err(ChangePasswordError::AccountChanged));
    assert_eq!(change(None, Some(new_session(T0))).await, Err(ChangePasswordError::AccountChanged));
    assert_eq!(change(None, None).await.unwrap().0, None);
    bench.store.delete_user(&ada, T0, T0).await.unwrap();
    assert_eq!(change(None, None).await, Err(ChangePasswordError::AccountChanged));
}

#[tokio::test]
async fn every_session_of_a_user_ends_and_the_floor_is_kept() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    let (session, token) = bench.session(&ada, T0).await;
    bench.session(&eve, T0).await;
    let floor = T0.plus(SESSION);
    let revoked = bench.store.end_sessions_of(&ada, floor, seconds(5)).await.unwrap();
    let instant = Revoked::UserInstant { user: ada.clone(), at: seconds(5) };
    assert_eq!(what_until(&revoked), [(instant, floor)]);
    assert_eq!(bench.refresh(&ada, session, token, seconds(6)).await, Err(RefreshError::UnknownSession));
    assert_eq!(bench.store.sessions_of(&eve, seconds(6), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_is_blocked_and_unblocked_and_the_log_keeps_the_last_word() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let (session, token) = bench.session(&ada, T0).await;
    let blocked = bench.store.block_user(&ada, T0, T0).await.unwrap();
    let instant = Revoked::UserInstant { user: ada.clone(), at: T0 };
    assert_eq!(what(&blocked), [Revoked::UserBlocked(ada.clone()), instant.clone()]);
    assert_eq!(blocked[0].until, Timestamp::FOREVER);
    assert!(bench.store.user(&ada).await.unwrap().unwrap().disabled);

    let unblocked = bench.store.unblock_user(&ada, T0).await.unwrap();
    assert_eq!(what(&unblocked), [Revoked::UserUnblocked(ada.clone())]);
    assert!(!bench.store.user(&ada).await.unwrap().unwrap().disabled);
    // A gateway that believes otherwise, by a word that the log has lost since, is told again.
    let again = bench.store.unblock_user(&ada, T0).await.unwrap();
    assert!(again[0].sequence > unblocked[0].sequence);
    assert_eq!(bench.log().await.last(), again.last());
    assert_eq!(what(&bench.log().await), [instant, Revoked::UserUnblocked(ada.clone())]);
    assert_eq!(bench.refresh(&ada, session, token, T0).await, Err(RefreshError::UnknownSession));
}

#[tokio::test]
async fn a_foreign_user_can_be_blocked_and_unblocked_too() {
    let bench = Bench::new();
    let foreign: UserId = "idp:eve".parse().unwrap();
    bench.store.block_user(&foreign, T0, T0).await.unwrap();
    let unblocked = bench.store.unblock_user(&foreign, T0).await.unwrap();
    assert_eq!(what(&unblocked), [Revoked::UserUnblocked(foreign)]);
}

#[tokio::test]
async fn a_deleted_user_stays_blocked() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.session(&ada, T0).await;
    let deleted = bench.store.delete_user(&ada, T0, T0).await.unwrap();
    assert_eq!(what(&deleted)[0], Revoked::UserBlocked(ada.clone()));
    assert_eq!(bench.store.delete_user(&ada, T0, T0).await.unwrap(), []);
    assert_eq!(bench.store.unblock_user(&ada, T0).await.unwrap(), []);
    assert_eq!(bench.store.sessions_of(&ada, T0, 10).await.unwrap(), []);
    assert_eq!(bench.log().await, deleted);
}

#[tokio::test]
async fn a_token_is_revoked_for_its_life_and_the_largest_leeway() {
    let bench = Bench::new();
    let token = TokenId::random();
    let revoked = bench.store.revoke_token(token, T0).await.unwrap();
    assert_eq!(what_until(&revoked), [(Revoked::Token(token), T0.plus(Revocation::SLACK))]);
    let never = bench.store.revoke_token(token, Timestamp::FOREVER).await.unwrap();
    assert_eq!(never[0].until, Timestamp::FOREVER);
    assert_eq!(bench.log().await[1], never[0]);
}
