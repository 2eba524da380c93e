//! Accounts and what is known of their mirrors.

use model::RemoteStatus;
use store::StoreError;

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, account_row, at, card, customer, name};

cases![
    binding_again_changes_nothing,
    namespace_and_rank_may_change,
    a_changed_identity_is_refused_once_there_is_data,
    an_account_without_data_may_change,
    mirror_stats_count_what_is_live,
    live_ids_are_spread_over_the_latest_read,
];

async fn binding_again_changes_nothing(cx: &Cx) -> anyhow::Result<()> {
    let before = cx.dump().await?;
    cx.store().bind_accounts(&[account_row("alpha", 0)?, account_row("beta", 1)?]).await?;
    assert_eq!(cx.dump().await?, before);
    assert_eq!(cx.rows_in("accounts").await?, 2);
    cx.store().bind_accounts(&[]).await?;
    Ok(())
}

async fn namespace_and_rank_may_change(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 0, vec![customer("1", Some("r1"), "Ada")?]).await?;
    let mut row = account_row("alpha", 7)?;
    row.namespace = "shop".into();
    cx.store().bind_accounts(&[row]).await?;
    let now = cx.text("SELECT namespace || rank FROM accounts WHERE name = 'alpha'").await?;
    assert_eq!(now.as_deref(), Some("shop7"));
    Ok(())
}

async fn a_changed_identity_is_refused_once_there_is_data(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 0, vec![customer("1", Some("r1"), "Ada")?]).await?;
    let before = cx.dump().await?;
    for field in ["kind", "host", "merchant", "environment"] {
        let mut row = account_row("alpha", 0)?;
        match field {
            "kind" => row.kind = "ecrypt".into(),
            "host" => row.host = "elsewhere.example".into(),
            "merchant" => row.merchant = "another".into(),
            _ => row.environment = "live".into(),
        }
        // The account beside it would be written if this were not one transaction.
        let mut beside = account_row("beta", 1)?;
        beside.rank = 40;
        match cx.store().bind_accounts(&[beside, row]).await {
            Err(StoreError::AccountChanged { account, what, before, now }) => {
                assert_eq!(account, name("alpha")?);
                assert_eq!(what, field);
                assert_ne!(before, now);
            }
            other => panic!("{field}: {other:?}"),
        }
        assert_eq!(cx.dump().await?, before, "{field}: something was written");
    }
    Ok(())
}

async fn an_account_without_data_may_change(cx: &Cx) -> anyhow::Result<()> {
    let mut row = account_row("beta", 1)?;
    row.host = "elsewhere.example".into();
    cx.store().bind_accounts(&[row]).await?;
    let now = cx.text("SELECT host FROM accounts WHERE name = 'beta'").await?;
    assert_eq!(now.as_deref(), Some("elsewhere.example"));
    Ok(())
}

async fn mirror_stats_count_what_is_live(cx: &Cx) -> anyhow::Result<()> {
    let alpha = name("alpha")?;
    let none = cx.store().mirror_stats(&alpha).await?;
    assert_eq!((none.customers, none.methods, none.oldest, none.newest), (0, 0, None, None));

    let fence = cx.fence("alpha").await?;
    let mut one = customer("1", Some("r1"), "Ada")?;
    one.methods = Some(vec![card("m1", "4242")?, card("m2", "1111")?]);
    cx.pull(&fence, "alpha", 10, vec![one]).await?;
    cx.pull(&fence, "alpha", 20, vec![customer("2", None, "Bo")?]).await?;
    let mut gone = customer("3", Some("r3"), "Cy")?;
    gone.status = RemoteStatus::Deleted;
    cx.pull(&fence, "alpha", 30, vec![gone]).await?;

    let stats = cx.store().mirror_stats(&alpha).await?;
    assert_eq!((stats.customers, stats.methods), (2, 2));
    assert_eq!((stats.oldest, stats.newest), (Some(at(10)), Some(at(20))));
    assert_eq!(cx.store().mirror_stats(&name("beta")?).await?.customers, 0);
    Ok(())
}

async fn live_ids_are_spread_over_the_latest_read(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    for (seconds, id) in [(30, "c"), (10, "a"), (20, "b")] {
        cx.pull(&fence, "alpha", seconds, vec![customer(id, None, "x")?]).await?;
    }
    let mut gone = customer("d", None, "x")?;
    gone.status = RemoteStatus::Deleted;
    cx.pull(&fence, "alpha", 40, vec![gone]).await?;
    let ids = cx.store().live_customer_ids(&name("alpha")?, 2).await?;
    assert_eq!(ids.iter().map(model::RemoteCustomerId::as_str).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(cx.store().live_customer_ids(&name("alpha")?, 9).await?.len(), 3);
    assert!(cx.store().live_customer_ids(&name("beta")?, 9).await?.is_empty());
    Ok(())
}
