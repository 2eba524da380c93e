//! What an import states and its account cannot hold: in the canonical record, whoever is pulled
//! afterwards.

use model::{Profile, RemoteCustomer};
use serde_json::Value;
use store::{FinishRows, KeptFields};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, customer, name, remote};

cases![
    a_pull_does_not_lose_what_the_file_states,
    the_file_votes_where_precedence_puts_it,
    what_is_kept_of_nobody_is_left_out,
];

/// An import keeps a company of a customer at `alpha`.
async fn keep(cx: &Cx, id: &str, company: &str) -> anyhow::Result<()> {
    let fields = Profile { company: Some(company.into()), ..Profile::default() };
    let kept = vec![KeptFields { customer: remote(id)?, line: Some(7), fields }];
    let fence = cx.fence("alpha").await?;
    let finish = FinishRows { kept, ..FinishRows::default() };
    Ok(cx.store().finish_rows(&fence, &name("alpha")?, finish).await?)
}

/// The canonical company of a reference, and the account it comes from.
async fn company(cx: &Cx, who: &str) -> anyhow::Result<(Option<String>, Option<String>)> {
    let sql = format!("SELECT profile, sources FROM customers WHERE reference = '{who}'");
    let rows = cx.texts(&sql).await?;
    assert_eq!(rows.len(), 1, "{who}");
    let cell = |n: usize| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(rows[0][n].as_deref().unwrap_or("null"))?)
    };
    let (profile, sources) = (cell(0)?, cell(1)?);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let source = sources.pointer("/company/account").or_else(|| sources.pointer("/*/account"));
    Ok((text(profile.get("company")), text(source)))
}

/// The same customer, who has a company there.
fn at_company(id: &str, who: &str, company: Option<&str>) -> anyhow::Result<RemoteCustomer> {
    let mut there = customer(id, Some(who), "Ada")?;
    there.profile.company = company.map(str::to_owned);
    there.profile.email = Some("cus_1@example.com".into());
    Ok(there)
}

fn of(company: &str, source: &str) -> (Option<String>, Option<String>) {
    (Some(company.to_owned()), Some(source.to_owned()))
}

async fn a_pull_does_not_lose_what_the_file_states(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.pull(&fence, "alpha", 10, vec![customer("cus_1", Some("r1"), "Ada")?]).await?;
    keep(cx, "cus_1", "Analytical").await?;
    assert_eq!(company(cx, "r1").await?, of("Analytical", "file"));
    let changes = cx.rows_in("changes").await?;
    // The account says something else, of another field.
    cx.pull(&fence, "alpha", 20, vec![customer("cus_1", Some("r1"), "Ada Lovelace")?]).await?;
    assert_eq!(company(cx, "r1").await?, of("Analytical", "file"));
    // Another account has a company of its own for a while.
    let beta = cx.fence("beta").await?;
    cx.pull(&beta, "beta", 30, vec![at_company("b_1", "r1", Some("Theirs"))?]).await?;
    assert_eq!(company(cx, "r1").await?, of("Theirs", "beta"));
    keep(cx, "cus_1", "Engines").await?;
    assert_eq!(company(cx, "r1").await?, of("Theirs", "beta"));
    cx.pull(&beta, "beta", 40, vec![at_company("b_1", "r1", None)?]).await?;
    assert_eq!(company(cx, "r1").await?, of("Engines", "file"));
    // A second value of the file is a change; the first was none.
    let sql = "SELECT before, after, CAST(line AS TEXT) FROM changes WHERE field = 'company' \
               AND cause = 'pull' AND account = 'alpha'";
    let told = cx.texts(sql).await?;
    assert_eq!(told, [["Analytical", "Engines", "7"].map(|text| Some(text.to_owned()))]);
    assert!(cx.rows_in("changes").await? > changes);
    Ok(())
}

async fn the_file_votes_where_precedence_puts_it(cx: &Cx) -> anyhow::Result<()> {
    let beta = cx.fence("beta").await?;
    cx.pull(&beta, "beta", 10, vec![at_company("b_1", "r1", Some("Theirs"))?]).await?;
    let alpha = cx.fence("alpha").await?;
    cx.pull(&alpha, "alpha", 10, vec![customer("cus_1", Some("r1"), "Ada")?]).await?;
    keep(cx, "cus_1", "Ours").await?;
    assert_eq!(company(cx, "r1").await?, of("Theirs", "beta"));
    // Before both accounts; it counts from the next write on, and is written any number of times.
    for _ in 0..2 {
        cx.store().rank_file(0).await?;
    }
    cx.pull(&alpha, "alpha", 20, vec![customer("cus_1", Some("r1"), "Ada L.")?]).await?;
    assert_eq!(company(cx, "r1").await?, of("Ours", "file"));
    cx.store().rank_file(7).await?;
    cx.pull(&alpha, "alpha", 30, vec![customer("cus_1", Some("r1"), "Ada")?]).await?;
    assert_eq!(company(cx, "r1").await?, of("Theirs", "beta"));
    Ok(())
}

async fn what_is_kept_of_nobody_is_left_out(cx: &Cx) -> anyhow::Result<()> {
    keep(cx, "cus_9", "Analytical").await?;
    assert_eq!(cx.rows_in("customers").await?, 0);
    Ok(())
}
