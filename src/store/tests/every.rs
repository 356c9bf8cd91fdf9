use super::*;

#[path = "adoption.rs"]
mod adoption;
#[path = "feed.rs"]
mod feed;
#[path = "refresh.rs"]
mod refresh;
#[path = "refresh_model.rs"]
mod refresh_model;
#[path = "revocation.rs"]
mod revocation;
#[path = "sessions.rs"]
mod sessions;
#[path = "users.rs"]
mod users;

#[tokio::test]
async fn everything_outlives_the_process() {
    let bench = Bench::new();
    let (session, first) = {
        let user = bench.user("ada").await;
        bench.session(&user, T0).await
    };
    let user = bench.store.users(None, 10).await.unwrap().remove(0);
    let handed = bench.refresh(&user.id, session, first, seconds(60)).await.unwrap();
    bench.store.revoke_token(first, T0).await.unwrap();

    let bench = bench.reopened().await;
    assert_eq!(bench.store.users(None, 10).await.unwrap(), std::slice::from_ref(&user));
    assert_eq!(bench.log().await.len(), 1);
    let again = bench.refresh(&user.id, session, first, seconds(69)).await.unwrap();
    assert_eq!(again, handed);
}

#[tokio::test]
async fn what_was_begun_is_done_though_nobody_waits_for_it() {
    let bench = Bench::new();
    let mut begun = Box::pin(bench.store.revoke_token(TokenId::random(), T0));
    assert!(begun.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    drop(begun);
    // A store that is closed has done what waited.
    let bench = bench.reopened().await;
    assert_eq!(bench.log().await.len(), 1);
}

#[tokio::test]
async fn a_closed_store_answers_nobody() {
    let bench = Bench::new();
    bench.user("ada").await;
    let handle = bench.store.clone();
    let store = bench.store;
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    assert!(matches!(handle.users(None, 1).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(handle.log_head().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        handle.create_user(new_user("eve"), None, T0).await,
        Err(CreateUserError::Store(StoreError::Unavailable(_)))
    ));
}

#[tokio::test]
async fn an_entry_tells_how_old_it_is() {
    let bench = Bench::new();
    bench.store.revoke_token(TokenId::random(), T0).await.unwrap();
    let age = bench.store.log_after(0, 1).await.unwrap().entries[0].age.unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
}
