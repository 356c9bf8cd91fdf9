use super::*;

#[tokio::test]
async fn a_session_shows_what_its_client_said() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let new = NewSession {
        address: Some("2001:db8::1".parse().unwrap()),
        agent: "ë".repeat(200),
        ..new_session(T0)
    };
    let session = bench.store.open_session(&ada, HASH, new, T0).await.unwrap().session;
    let listed = bench.store.sessions_of(&ada, T0, 10).await.unwrap();
    assert_eq!(
        listed,
        [Session {
            id: session,
            opened_at: T0,
            refreshed_at: T0,
            ends_at: T0.plus(SESSION),
            address: Some("2001:db8::1".parse().unwrap()),
            agent: "ë".repeat(128),
        }]
    );
    assert_eq!(bench.store.sessions_of(&ada, T0.plus(REFRESH), 10).await.unwrap(), []);
}

#[tokio::test]
async fn the_least_recently_refreshed_sessions_go() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    bench.session(&eve, T0).await;
    let (oldest, token) = bench.session(&ada, seconds(1)).await;
    let (second, _) = bench.session(&ada, seconds(2)).await;
    let (third, _) = bench.session(&ada, seconds(3)).await;
    bench.refresh(&ada, oldest, token, seconds(4)).await.unwrap();

    let new = NewSession { per_user: 2, ..new_session(seconds(5)) };
    let opened = bench.store.open_session(&ada, HASH, new, seconds(5)).await.unwrap();
    let ended: Vec<_> = opened.revoked.iter().map(|revocation| revocation.what.clone()).collect();
    assert_eq!(ended, [Revoked::Session(third), Revoked::Session(second)]);
    assert_eq!(opened.revoked[0].until, seconds(3).plus(REFRESH).plus(Revocation::SLACK));
    assert_eq!(bench.log().await, opened.revoked);
    let left = bench.store.sessions_of(&ada, seconds(5), 10).await.unwrap();
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [opened.session, oldest]);
    assert_eq!(bench.store.sessions_of(&eve, seconds(5), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_login_that_verified_the_old_password_opens_nothing_after_the_change() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.store.change_password(&ada, Some(HASH), "new", None, T0, T0).await.unwrap();
    let late = bench.store.open_session(&ada, HASH, new_session(T0), T0).await;
    assert_eq!(late, Err(OpenSessionError::AccountChanged));
    bench.store.open_session(&ada, "new", new_session(T0), T0).await.unwrap();
}

#[tokio::test]
async fn logins_and_a_password_change_at_once_leave_no_old_session_alive() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let logins: Vec<_> = (0..40)
        .map(|_| {
            let (store, ada) = (bench.store.clone(), ada.clone());
            tokio::spawn(async move { store.open_session(&ada, HASH, new_session(T0), T0).await })
        })
        .collect();
    let (fresh, revoked) =
        bench.store.change_password(&ada, Some(HASH), "new", Some(new_session(T0)), T0, T0).await.unwrap();
    let instant = revoked[0].sequence;
    for login in logins {
        match login.await.unwrap() {
            Ok(opened) => assert!(opened.session.sequence().unwrap() < instant),
            Err(error) => assert_eq!(error, OpenSessionError::AccountChanged),
        }
    }
    let left = bench.store.sessions_of(&ada, T0, 100).await.unwrap();
    assert_eq!(left.iter().map(|session| Some(session.id)).collect::<Vec<_>>(), [fresh]);
}

#[tokio::test]
async fn nobody_disabled_or_gone_gets_a_session() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.store.block_user(&ada, T0, T0).await.unwrap();
    let open = || bench.store.open_session(&ada, HASH, new_session(T0), T0);
    assert_eq!(open().await, Err(OpenSessionError::AccountChanged));
    bench.store.unblock_user(&ada, T0).await.unwrap();
    open().await.unwrap();
    bench.store.delete_user(&ada, T0, T0).await.unwrap();
    assert_eq!(open().await, Err(OpenSessionError::AccountChanged));
    let deleted = bench.store.open_session(&ada, "", new_session(T0), T0).await;
    assert_eq!(deleted, Err(OpenSessionError::AccountChanged));
    let nobody = "nobody".parse().unwrap();
    let unknown = bench.store.open_session(&nobody, HASH, new_session(T0), T0).await;
    assert_eq!(unknown, Err(OpenSessionError::AccountChanged));
}

#[tokio::test]
async fn sessions_of_all_users_come_page_by_page_and_the_dead_do_not() {
    let bench = Bench::new();
    let (ada, eve) = (bench.user("ada").await, bench.user("eve").await);
    let (gone, _) = bench.session(&ada, T0).await;
    bench.store.end_session(gone, None).await.unwrap();
    let mut opened = vec![(ada.clone(), bench.session(&ada, T0).await.0)];
    for user in [&eve, &ada] {
        opened.push((user.clone(), bench.session(user, seconds(1)).await.0));
    }
    opened.sort_unstable_by_key(|(_, session)| *session);
    let first = bench.store.sessions(None, seconds(1), 2).await.unwrap();
    let rest = bench.store.sessions(Some(first[1].1.id), seconds(1), 2).await.unwrap();
    let listed: Vec<_> =
        first.iter().chain(&rest).map(|(user, session)| (user.clone(), session.id)).collect();
    assert_eq!(listed, opened);
    assert_eq!(bench.store.sessions(None, T0.plus(REFRESH), 10).await.unwrap().len(), 2);
}
