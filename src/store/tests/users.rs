use super::*;

/// Ids are counted; a store that was restored from a backup counts some of them again.
#[tokio::test]
async fn what_somebody_had_with_a_new_users_id_is_revoked_first() {
    let bench = Bench::new();
    let new = NewUser { former_until: Some(seconds(60)), ..new_user("ada") };
    let created = bench.store.create_user(new, Some(new_session(T0)), T0).await.unwrap();
    let [revocation] = &created.revoked[..] else { panic!("{created:?}") };
    let Revoked::UserInstant { user, at } = &revocation.what else { panic!("{revocation:?}") };
    assert_eq!((user, revocation.until), (&created.user.id, seconds(60)));
    assert!(created.session.unwrap().sequence().unwrap() >= revocation.sequence);
    // A backend's tokens for the new user are good at once, those without `iat` too.
    assert!(!Revoked::older_than(Some(0), *at) && !Revoked::older_than(None, *at));
    assert_eq!(bench.log().await, created.revoked);
}

#[tokio::test]
async fn a_user_is_found_as_they_were_made() {
    let bench = Bench::new();
    let new = NewUser {
        email: Some(name("Ada@Example.com")),
        roles: vec!["admin".to_owned(), "a, \"quoted\" one".to_owned()],
        attributes: BTreeMap::from([("team".to_owned(), "zoë".to_owned())]),
        ..new_user("Ada")
    };
    let Created { user, session, .. } =
        bench.store.create_user(new, Some(new_session(T0)), T0).await.unwrap();
    assert_eq!(user.id.as_str(), "1");
    assert_eq!(session.unwrap().sequence(), Some(0));
    assert_eq!(bench.store.user(&user.id).await.unwrap(), Some(user.clone()));
    let account = bench.store.account(&user.id).await.unwrap().unwrap();
    assert_eq!(account, Account { user: user.clone(), password_hash: HASH.to_owned() });
    assert!(!format!("{account:?}").contains(HASH));
    for given in ["Ada", "ADA", "ada@example.COM"] {
        let found = bench.store.account_by_name(&name(given), true, true).await.unwrap();
        assert_eq!(found.as_ref(), Some(&account), "{given}");
    }
    assert_eq!(bench.store.account_by_name(&name("ada"), false, true).await.unwrap(), None);
    assert_eq!(bench.store.account_by_name(&name("ada@example.com"), true, false).await.unwrap(), None);
    assert_eq!(bench.store.account_by_name(&name("eve"), true, true).await.unwrap(), None);
}

#[tokio::test]
async fn of_thirty_who_want_one_name_at_once_exactly_one_gets_it() {
    let bench = Bench::new();
    let elsewhere = bench.elsewhere();
    let attempts: Vec<_> = (0..30)
        .map(|n| {
            let store = if n % 2 == 0 { bench.store.clone() } else { elsewhere.clone() };
            let username = if n % 3 == 0 { "ada" } else { "ADA" };
            tokio::spawn(async move { store.create_user(new_user(username), None, T0).await })
        })
        .collect();
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error, CreateUserError::NameTaken),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(bench.store.users(None, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_and_addresses_share_one_space() {
    let bench = Bench::new();
    let with_email = |username, email| NewUser { email: Some(name(email)), ..new_user(username) };
    let create = |new| bench.store.create_user(new, None, T0);
    create(with_email("ada", "ada@example.com")).await.unwrap();
    assert_eq!(create(new_user("Ada@Example.com")).await, Err(CreateUserError::NameTaken));
    assert_eq!(create(with_email("eve", "ADA")).await, Err(CreateUserError::EmailTaken));
    assert_eq!(create(with_email("eve", "ADA@example.com")).await, Err(CreateUserError::EmailTaken));
    // One's own name may be one's address.
    create(with_email("eve@example.com", "eve@example.com")).await.unwrap();
    // A refused user has left nothing behind.
    create(new_user("eve")).await.unwrap();
}

#[tokio::test]
async fn a_deleted_users_name_is_given_to_nobody_unless_an_operator_says_so() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    bench.store.delete_user(&ada, T0, T0).await.unwrap();
    assert_eq!(bench.store.user(&ada).await.unwrap(), None);
    assert_eq!(bench.store.users(None, 10).await.unwrap(), []);
    assert_eq!(bench.store.account_by_name(&name("ada"), true, true).await.unwrap(), None);
    assert_eq!(bench.store.create_user(new_user("Ada"), None, T0).await, Err(CreateUserError::NameTaken));
    let restored = NewUser { restore: true, ..new_user("Ada") };
    let user = bench.store.create_user(restored.clone(), None, T0).await.unwrap().user;
    assert_ne!(user.id, ada);
    let found = bench.store.account_by_name(&name("ada"), true, true).await.unwrap();
    assert_eq!(found.unwrap().user, user);
    assert_eq!(bench.store.create_user(restored, None, T0).await, Err(CreateUserError::NameTaken));
}

#[tokio::test]
async fn ids_are_never_given_twice() {
    let bench = Bench::new();
    let first = bench.user("ada").await;
    bench.store.delete_user(&first, T0, T0).await.unwrap();
    let bench = bench.reopened().await;
    assert_eq!(bench.user("eve").await.as_str(), "2");
}

#[tokio::test]
async fn users_come_page_by_page_in_the_order_they_were_made() {
    let bench = Bench::new();
    let mut all = Vec::new();
    for n in 0..12 {
        all.push(bench.user(&format!("user-{n}")).await);
    }
    let mut listed = Vec::new();
    loop {
        let page = bench.store.users(listed.last().cloned(), 5).await.unwrap();
        listed.extend(page.iter().map(|user| user.id.clone()));
        if page.len() < 5 {
            break;
        }
    }
    assert_eq!(listed, all);
    assert_eq!(bench.store.users(Some("nobody".parse().unwrap()), 5).await.unwrap(), []);
}

#[tokio::test]
async fn a_change_touches_what_it_names() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    let eve = bench.user("eve").await;
    let attribute = |value: Option<&str>| BTreeMap::from([("team".to_owned(), value.map(str::to_owned))]);
    let changed = bench
        .store
        .update_user(
            &ada,
            UserChanges {
                email: Some(Some(name("ada@example.com"))),
                roles: Some(vec!["admin".to_owned()]),
                attributes: attribute(Some("red")),
            },
        )
        .await
        .unwrap();
    assert_eq!(bench.store.user(&ada).await.unwrap(), Some(changed.clone()));
    assert_eq!(changed.email.as_deref(), Some("ada@example.com"));
    assert_eq!(changed.attributes.get("team").map(String::as_str), Some("red"));

    let without = UserChanges { email: Some(None), attributes: attribute(None), ..UserChanges::default() };
    let changed = bench.store.update_user(&ada, without).await.unwrap();
    assert_eq!((changed.email, changed.attributes.len()), (None, 0));
    assert_eq!(changed.roles, ["admin"]);

    let taken = UserChanges { email: Some(Some(name("ADA"))), ..UserChanges::default() };
    assert_eq!(bench.store.update_user(&eve, taken.clone()).await, Err(UpdateUserError::EmailTaken));
    bench.store.update_user(&ada, taken).await.unwrap();
    bench.store.delete_user(&eve, T0, T0).await.unwrap();
    let nothing = UserChanges::default();
    assert_eq!(bench.store.update_user(&eve, nothing).await, Err(UpdateUserError::UnknownUser));
}

#[tokio::test]
async fn a_hash_is_replaced_only_while_it_is_the_one_that_was_verified() {
    let bench = Bench::new();
    let ada = bench.user("ada").await;
    assert!(bench.store.rehash(&ada, HASH, "better").await.unwrap());
    assert!(!bench.store.rehash(&ada, HASH, "late").await.unwrap());
    let account = bench.store.account(&ada).await.unwrap().unwrap();
    assert_eq!(account.password_hash, "better");
}
