use super::*;

/// Keys on every database there is.
async fn everywhere() -> Vec<(testkit::TestDatabase, Keys)> {
    let mut all = Vec::new();
    for database in testkit::TestDatabase::each().await.unwrap() {
        let keys = keys(database.url()).await;
        all.push((database, keys));
    }
    all
}

async fn keys(url: &str) -> Keys {
    let records = Records::open(url).await.unwrap();
    records.migrate(&Keys::migrations(), Timestamp::from_secs(0)).await.unwrap();
    let configured =
        ConfiguredKey::parse_list("grafana:viewer:0123456789abcdef,fedcba9876543210").unwrap();
    Keys::new(records, kernel::SystemClock::shared(), configured)
}

#[tokio::test]
async fn a_key_is_known_until_it_is_revoked() {
    for (_database, keys) in everywhere().await {
        let made = keys.create("ines", Role::Operator, None).await.unwrap();
        assert!(made.secret.starts_with(&format!("pv_{}_", made.key.prefix)));
        let caller = keys.verify(&made.secret).await.unwrap().unwrap();
        assert_eq!(caller, Caller { name: "ines".to_owned(), role: Some(Role::Operator) });
        let stored =
            format!("{:?}", records::by_prefix(&keys.0.records, &made.key.prefix).await.unwrap());
        assert!(!stored.contains(&made.secret));

        let taken = keys.create("ines", Role::Viewer, None).await.unwrap_err();
        assert!(matches!(taken, WebError::KeyNameTaken { .. }));
        keys.revoke("ines").await.unwrap().unwrap();
        assert_eq!(keys.verify(&made.secret).await.unwrap(), None);
        assert!(keys.revoke("ines").await.unwrap().is_none());
        assert!(keys.create("ines", Role::Viewer, None).await.is_ok());
        assert_eq!(keys.list().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn wrong_and_expired_keys_are_refused() {
    for (_database, keys) in everywhere().await {
        let past = Timestamp::from_secs(1);
        let expired = keys.create("old", Role::Admin, Some(past)).await.unwrap();
        let living = keys.create("new", Role::Admin, None).await.unwrap();
        let mut altered = living.secret.clone();
        altered.pop();
        for wrong in [expired.secret.as_str(), &altered, "", "pv_", "pv_a_b", "é"] {
            assert_eq!(keys.verify(wrong).await.unwrap(), None, "{wrong}");
        }
    }
}

#[tokio::test]
async fn configured_keys_have_their_role() {
    for (_database, keys) in everywhere().await {
        let role = |caller: Option<Caller>| caller.and_then(|caller| caller.role);
        assert_eq!(role(keys.verify("0123456789abcdef").await.unwrap()), Some(Role::Viewer));
        assert_eq!(role(keys.verify("fedcba9876543210").await.unwrap()), Some(Role::Operator));
        for bad in ["short", "a:b", "a:chief:0123456789abcdef", "b c:viewer:0123456789abcdef"] {
            let error = ConfiguredKey::parse_list(bad).unwrap_err();
            assert!(!error.to_string().contains("0123456789"), "{error}");
        }
    }
}
