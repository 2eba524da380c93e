//! Which keys open a store.

use store::StoreError;

use crate::env::open_with;
use crate::store_suite::cases;
use crate::store_suite::support::{Cx, name, staged};

cases![
    a_wrong_key_touches_nothing,
    no_key_opens_nothing,
    a_key_that_is_added_opens_it_alone,
    the_stores_own_keys_are_not_at_rest_in_the_clear,
];

async fn a_wrong_key_touches_nothing(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("tok"))?]).await?;
    // If a migration were still to come, it must not run either.
    let before = cx.dump().await?;
    for keys in [&[("k1", 9)][..], &[("k2", 1)], &[("k2", 2), ("k3", 3)]] {
        match open_with(&cx.db, keys).await {
            Err(StoreError::WrongKey { configured }) => {
                assert!(configured.iter().map(String::as_str).eq(keys.iter().map(|(id, _)| *id)));
            }
            other => panic!("{keys:?}: {other:?}"),
        }
        assert_eq!(cx.dump().await?, before, "{keys:?}: something was written");
    }
    Ok(())
}

async fn no_key_opens_nothing(cx: &Cx) -> anyhow::Result<()> {
    let before = cx.dump().await?;
    let answer = open_with(&cx.db, &[]).await;
    assert!(matches!(answer, Err(StoreError::NoKey)), "{answer:?}");
    assert_eq!(cx.dump().await?, before);
    Ok(())
}

async fn a_key_that_is_added_opens_it_alone(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("tok"))?]).await?;
    assert_eq!(cx.rows_in("keys").await?, 2);
    open_with(&cx.db, &[("k2", 2), ("k1", 1)]).await?.close().await;
    assert_eq!(cx.rows_in("keys").await?, 4);
    let later = open_with(&cx.db, &[("k2", 2)]).await?;
    let groups =
        later.load_groups(&fence, &name("alpha")?, 0, store::Which::Open, 10).await?.groups;
    let row = groups.first().and_then(|group| group.rows.first()).expect("it was staged");
    let sealed = row.method.as_ref().and_then(|m| m.sealed.as_ref()).expect("it has a token");
    assert!(later.keys().open_token(&fence.run, 1, sealed).is_ok());
    let (one, two) = (cx.store().keys(), later.keys());
    assert_eq!(one.statement_hash("field", "value"), two.statement_hash("field", "value"));
    later.close().await;
    // The first key opens it still, and adding nothing writes nothing.
    cx.another().await?.close().await;
    assert_eq!(cx.rows_in("keys").await?, 4);
    Ok(())
}

async fn the_stores_own_keys_are_not_at_rest_in_the_clear(cx: &Cx) -> anyhow::Result<()> {
    let wrapped = cx.number("SELECT min(length(wrapped)) FROM keys").await?;
    // A nonce, the key and a tag.
    assert!(wrapped >= 24 + 32 + 16, "{wrapped}");
    assert_eq!(cx.number("SELECT count(DISTINCT wrapped) FROM keys").await?, 2);
    Ok(())
}
