//! Staged rows: what goes in comes out, sealed.

use model::{Outcome, RunId};
use secrecy::ExposeSecret as _;
use store::{Group, StagedRow, Verdict, Which};

use crate::store_suite::cases;
use crate::store_suite::support::{Cx, LEASE, at, customer, name, new_run, owner, staged};

cases![
    a_staged_row_reads_back,
    tokens_are_sealed_at_rest,
    a_sealed_token_is_bound_to_its_row,
    a_token_has_one_fingerprint_at_an_account,
    staging_rows_of_no_number_does_nothing,
    staging_the_same_rows_again_keeps_them_once,
    many_rows_are_staged_in_one_write,
    references_come_in_the_file_s_order,
    clusters_join_by_their_whole_reference,
    what_is_known_is_known_of_rows_at_hand,
    groups_stay_in_their_part,
    only_open_groups,
    a_token_under_two_references_is_told,
    tokens_are_shared_within_a_run_alone,
    rows_come_by_line,
    rows_that_did_not_go_well,
    personal_values_are_those_of_the_references,
    the_ledger_counts_rows_alone,
];

/// All references of a fence's part at `alpha`, two at a time.
async fn groups(cx: &Cx, fence: &store::Fence, which: Which) -> anyhow::Result<Vec<Group>> {
    let (mut all, mut after): (Vec<Group>, u64) = (Vec::new(), 0);
    loop {
        let page = cx.store().load_groups(fence, &name("alpha")?, after, which, 2).await?;
        assert!(page.groups.len() <= 2);
        if page.groups.is_empty() {
            return Ok(all);
        }
        assert!(page.upto > after, "the walk stands still");
        after = page.upto;
        all.extend(page.groups);
    }
}

fn same(a: &StagedRow, b: &StagedRow) {
    assert_eq!((a.line, a.part, &a.row_id), (b.line, b.part, &b.row_id));
    assert_eq!((&a.reference, &a.profile), (&b.reference, &b.profile));
    assert_eq!((&a.plan, a.outcome, a.code), (&b.plan, b.outcome, b.code));
    assert_eq!((&a.message, &a.field), (&b.message, &b.field));
}

async fn a_staged_row_reads_back(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut decided = staged(1, "r1", Some("tok-one"))?;
    decided.plan = Some("create_customer".into());
    decided.outcome = Some(Outcome::Rejected);
    decided.code = Some(model::Code::BadValue);
    decided.message = Some("an expiry of month 13".into());
    decided.field = Some("expiry_month".into());
    decided.profile.metadata.insert("tier".into(), "gold \"ä\" \u{1f600}".into());
    let mut plain = staged(2, "r1", None)?;
    plain.profile.address.city = Some("Ub".into());
    let mut bare = staged(3, "r1", Some("x"))?;
    if let Some(method) = &mut bare.method {
        method.token = None;
        method.default = None;
        method.billing = model::Address::default();
    }
    let rows = vec![decided, plain, bare];
    cx.stage(&fence, rows.clone()).await?;

    let found = groups(cx, &fence, Which::Open).await?;
    let [group] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(group.rows.len(), 3);
    for (a, b) in rows.iter().zip(&group.rows) {
        same(a, b);
    }
    let [first, second, third] = group.rows.as_slice() else { panic!("{:?}", group.rows) };
    assert!(second.method.is_none());
    let (stated, back) = (rows.first().and_then(|r| r.method.as_ref()), first.method.as_ref());
    let (stated, back) = (stated.expect("staged so"), back.expect("it has a method"));
    assert_eq!((&stated.facts, &stated.billing), (&back.facts, &back.billing));
    assert_eq!(back.default, Some(true));
    assert!(back.token.is_none(), "the token came out in the clear");
    let sealed = back.sealed.as_ref().expect("it has a token");
    assert_eq!((sealed.kind, sealed.created_at), (model::TokenKind::Processor, Some(at(5))));
    let opened = cx.store().keys().open_token(&fence.run, 1, sealed)?;
    assert_eq!(opened.value.expose_secret(), "tok-one");
    let third = third.method.as_ref().expect("it has a method");
    assert!(third.sealed.is_none() && third.default.is_none() && third.billing.is_empty());
    Ok(())
}

async fn tokens_are_sealed_at_rest(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let canary = "tok-CANARY-8c1f0b7e";
    let rows = (1..40).map(|n| staged(n, "r1", Some(canary))).collect::<Result<_, _>>()?;
    cx.stage(&fence, rows).await?;
    assert!(cx.is_at_rest("Name of r1").await?, "the look at the database finds nothing at all");
    assert!(!cx.is_at_rest(canary).await?);
    // Two rows with one token do not look alike.
    let seals = cx.number("SELECT count(DISTINCT token) FROM staged_rows").await?;
    assert_eq!(seals, 39);
    let fps = cx.number("SELECT count(DISTINCT token_fp) FROM staged_rows").await?;
    assert_eq!(fps, 1);
    Ok(())
}

async fn a_sealed_token_is_bound_to_its_row(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", Some("tok-one"))?]).await?;
    let found = groups(cx, &fence, Which::Open).await?;
    let sealed = found
        .first()
        .and_then(|group| group.rows.first())
        .and_then(|row| row.method.as_ref())
        .and_then(|method| method.sealed.clone())
        .expect("it has a token");
    let keys = cx.store().keys();
    assert!(keys.open_token(&fence.run, 1, &sealed).is_ok());
    assert!(keys.open_token(&fence.run, 2, &sealed).is_err(), "opened for another line");
    assert!(keys.open_token(&RunId::generate(), 1, &sealed).is_err(), "opened for another run");
    let mut bent = sealed.clone();
    if let Some(byte) = bent.sealed.last_mut() {
        *byte ^= 1;
    }
    assert!(keys.open_token(&fence.run, 1, &bent).is_err(), "opened although it was bent");
    bent.sealed.clear();
    assert!(keys.open_token(&fence.run, 1, &bent).is_err(), "opened although it is empty");
    Ok(())
}

async fn a_token_has_one_fingerprint_at_an_account(cx: &Cx) -> anyhow::Result<()> {
    for account in ["alpha", "alpha", "beta"] {
        let fence = cx.fence(account).await?;
        cx.stage_at(account, &fence, vec![staged(1, "r1", Some("tok-one"))?]).await?;
    }
    let by_account = cx
        .texts(
            "SELECT r.account || count(DISTINCT s.token_fp) FROM staged_rows s \
             JOIN runs r ON r.id = s.run GROUP BY r.account ORDER BY r.account",
        )
        .await?;
    let by_account: Vec<_> = by_account.into_iter().flatten().flatten().collect();
    assert_eq!(by_account, ["alpha1", "beta1"]);
    assert_eq!(cx.number("SELECT count(DISTINCT token_fp) FROM staged_rows").await?, 2);
    Ok(())
}

async fn staging_rows_of_no_number_does_nothing(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, Vec::new()).await?;
    assert_eq!(cx.rows_in("staged_rows").await?, 0);
    assert!(groups(cx, &fence, Which::Open).await?.is_empty());
    Ok(())
}

async fn staging_the_same_rows_again_keeps_them_once(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let rows = vec![staged(1, "r1", Some("tok-one"))?, staged(2, "r2", None)?];
    cx.stage(&fence, rows.clone()).await?;
    cx.stage(&fence, rows).await?;
    assert_eq!(cx.rows_in("staged_rows").await?, 2);
    Ok(())
}

async fn many_rows_are_staged_in_one_write(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    // Not a multiple of anything that a statement might be cut by.
    let rows: Vec<_> = (1..=2_503_u64)
        .map(|n| staged(n, &format!("r{}", n / 2), (n % 3 == 0).then_some("tok")))
        .collect::<Result<_, _>>()?;
    cx.stage(&fence, rows).await?;
    assert_eq!(cx.rows_in("staged_rows").await?, 2_503);
    assert_eq!(cx.number("SELECT count(*) FROM staged_rows WHERE token IS NOT NULL").await?, 834);
    let page = cx.open_groups(&fence).await?;
    assert_eq!(page.len(), 1_252);
    assert_eq!(page.iter().map(|group| group.rows.len()).sum::<usize>(), 2_503);
    Ok(())
}

async fn references_come_in_the_file_s_order(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let references =
        ["b", "a", "B", "a-1", "a1", "é", "Z", "z", "_x", "10", "9", "\u{1f600}", "ﬀ", "a b"];
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(references) {
        // Two together, with a line between them that is nobody's, and one far behind.
        rows.push(staged(line * 10, text, None)?);
        let mut lost = staged(line * 10 + 1, "x", None)?;
        lost.reference = None;
        lost.outcome = Some(Outcome::Rejected);
        rows.push(staged(line * 10 + 2, text, None)?);
        rows.push(staged(line + 1_000, text, None)?);
        rows.push(lost);
    }
    cx.stage(&fence, rows).await?;
    for which in [Which::Open, Which::Joined] {
        let mut seen: Vec<&str> = Vec::new();
        let found = groups(cx, &fence, which).await?;
        for group in &found {
            let lines: Vec<u64> = group.rows.iter().map(|row| row.line).collect();
            let [a, b, c] = lines.as_slice() else { panic!("{lines:?}") };
            assert_eq!((a + 2, a / 10 + 1_000), (*b, *c), "a row is missing or in another place");
            if !seen.contains(&group.reference.as_str()) {
                seen.push(group.reference.as_str());
            }
        }
        assert_eq!(seen, references, "{which:?}");
    }
    Ok(())
}

async fn clusters_join_by_their_whole_reference(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    cx.stage(&fence, vec![staged(1, "r1", None)?, staged(2, "r2", None)?, staged(3, "r1", None)?])
        .await?;
    // Line 2 is said to belong to line 1, as a hash of the references might; it does not.
    let wrong = vec![store::Join { first: 2, head: 1 }, store::Join { first: 9, head: 1 }];
    cx.store().join_rows(&fence, wrong).await?;
    assert_eq!(cx.rows_in("staged_joins").await?, 1);
    let found = groups(cx, &fence, Which::Joined).await?;
    let [group] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(group.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3]);
    Ok(())
}

async fn what_is_known_is_known_of_rows_at_hand(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let seen = customer("9", Some("r2"), "Ada")?;
    cx.pull(&fence, "alpha", 1, vec![seen]).await?;
    let rows = vec![staged(1, "r1", Some("tok"))?, staged(2, "r2", None)?, staged(3, "r1", None)?];
    let found = cx.store().know(&fence, &name("alpha")?, rows).await?;
    let [one, two] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.reference.as_str(), one.rows.len(), one.customers.len()), ("r1", 2, 0));
    assert_eq!((two.reference.as_str(), two.rows.len(), two.customers.len()), ("r2", 1, 1));
    assert_eq!(cx.rows_in("staged_rows").await?, 0, "nothing is written");
    Ok(())
}

async fn groups_stay_in_their_part(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", false, 2).await?;
    let (one, two) = (cx.claim(&run).await?, cx.claim(&run).await?);
    let mut rows = Vec::new();
    for line in 1..=6 {
        let mut row = staged(line, &format!("r{line}"), None)?;
        row.part = u32::try_from(line % 2)?;
        rows.push(row);
    }
    cx.stage(&one, rows).await?;
    for fence in [one, two] {
        for group in groups(cx, &fence, Which::Open).await? {
            assert!(group.rows.iter().all(|row| row.part == fence.part), "{group:?}");
        }
        assert_eq!(groups(cx, &fence, Which::Open).await?.len(), 3);
    }
    Ok(())
}

async fn only_open_groups(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut rows = Vec::new();
    for line in 1..=6_u64 {
        let mut row = staged(line, &format!("r{}", line.div_ceil(2)), None)?;
        // r1 has both, r2 one, r3 none.
        row.outcome = (line <= 3).then_some(Outcome::Unchanged);
        rows.push(row);
    }
    cx.stage(&fence, rows).await?;
    let open = groups(cx, &fence, Which::Open).await?;
    assert_eq!(open.iter().map(|g| g.reference.as_str()).collect::<Vec<_>>(), ["r2", "r3"]);
    assert!(open.iter().all(|group| group.rows.len() == 2), "a group came without all its rows");
    Ok(())
}

async fn rows_come_by_line(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut rows = Vec::new();
    for line in [30, 4, 100, 2] {
        rows.push(staged(line, "r1", None)?);
    }
    cx.stage(&fence, rows).await?;
    let page = cx.store().rows(&fence.run, 0, 3).await?;
    assert_eq!(page.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4, 30]);
    assert_eq!(page.first().map(|row| row.row_id.as_str()), Some("row-2"));
    assert_eq!(page.first().and_then(|row| row.reference.as_deref()), Some("r1"));
    let page = cx.store().rows(&fence.run, 30, 3).await?;
    assert_eq!(page.iter().map(|row| row.line).collect::<Vec<_>>(), [100]);
    assert!(cx.store().rows(&RunId::generate(), 0, 3).await?.is_empty());
    Ok(())
}

async fn rows_that_did_not_go_well(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut rows = Vec::new();
    for (line, outcome) in (1..).zip(Outcome::ALL.into_iter().chain(Outcome::ALL)) {
        let mut row = staged(line, "r1", None)?;
        row.outcome = Some(outcome);
        rows.push(row);
    }
    rows.push(staged(100, "r2", None)?);
    cx.stage(&fence, rows).await?;
    let bad = cx.store().bad_rows(&fence.run, 10).await?;
    let bad: Vec<_> = bad.iter().map(|row| (row.line, row.outcome)).collect();
    let by_urgency =
        [Outcome::Unresolved, Outcome::Refused, Outcome::Rejected, Outcome::NotAttempted];
    let lines = [7, 15, 6, 14, 5, 13, 8, 16].into_iter();
    let outcomes = by_urgency.into_iter().flat_map(|outcome| [Some(outcome), Some(outcome)]);
    assert_eq!(bad, lines.zip(outcomes).collect::<Vec<_>>());
    assert_eq!(cx.store().bad_rows(&fence.run, 1).await?.len(), 1);
    Ok(())
}

async fn personal_values_are_those_of_the_references(cx: &Cx) -> anyhow::Result<()> {
    let fence = cx.fence("alpha").await?;
    let mut ours = staged(1, "r1", None)?;
    ours.profile.email = Some("ada@example.com".into());
    ours.profile.phone = Some("+1 555 010 9999".into());
    ours.profile.address = model::Address {
        line1: Some("1 Main St".into()),
        line2: Some("Floor 2".into()),
        city: Some("Denver".into()),
        state: Some("Colorado".into()),
        postal_code: Some("80014".into()),
        country: Some("US".into()),
    };
    // Another row of the same reference has a billing address; another reference is not asked for.
    let mut other = staged(3, "r2", None)?;
    other.profile.email = Some("ben@example.com".into());
    cx.stage(&fence, vec![ours, staged(2, "r1", Some("tok"))?, other]).await?;
    let asked = ["r1".to_owned(), "r9".to_owned()].into();
    let values = cx.store().personal_values(&fence.run, &asked).await?;
    let wanted = [
        "+1 555 010 9999",
        "1 Main St",
        "80014",
        "Colorado",
        "Denver",
        "Floor 2",
        "Riga",
        "ada@example.com",
    ];
    assert_eq!(values.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert!(cx.store().personal_values(&RunId::generate(), &asked).await?.is_empty());
    assert!(cx.store().personal_values(&fence.run, &Default::default()).await?.is_empty());
    Ok(())
}

async fn the_ledger_counts_rows_alone(cx: &Cx) -> anyhow::Result<()> {
    let run = new_run("alpha", false, 1)?;
    cx.store().begin_run(&run, &owner("w1"), LEASE).await?;
    let fence = cx.claim(&run.id).await?;
    assert_eq!(cx.store().tally(&run.id).await?.ledger, model::Ledger::default());
    let mut rows = Vec::new();
    for (line, outcome) in (1..).zip(Outcome::ALL) {
        for copy in 0..line {
            let mut row = staged(line * 100 + copy, "r1", None)?;
            row.outcome = Some(outcome);
            rows.push(row);
        }
    }
    rows.push(staged(9_000, "r2", None)?);
    cx.stage(&fence, rows).await?;
    let ledger = cx.store().tally(&run.id).await?.ledger;
    for (rows, outcome) in (1..).zip(Outcome::ALL) {
        let open = u64::from(outcome == Outcome::NotAttempted);
        assert_eq!(ledger.of(outcome), rows + open, "{outcome}");
    }
    assert_eq!(ledger.read, 37);
    assert!(ledger.balances());
    // Verdicts move rows from one count to another and never change their sum.
    let verdict = Some(Verdict::plain(Outcome::Linked));
    let plan = vec![store::RowPlan { line: 9_000, plan: None, verdict }];
    cx.store().commit_plan(&fence, plan).await?;
    let after = cx.store().tally(&run.id).await?.ledger;
    assert_eq!((after.linked, after.not_attempted), (ledger.linked + 1, ledger.not_attempted - 1));
    assert!(after.balances());
    Ok(())
}

fn shared(rows: &[(u64, u64, Option<u64>)]) -> Vec<store::SharedToken> {
    let told = |(line, head, other): &(u64, u64, Option<u64>)| store::SharedToken {
        line: *line,
        head: *head,
        other: *other,
    };
    rows.iter().map(told).collect()
}

async fn a_token_under_two_references_is_told(cx: &Cx) -> anyhow::Result<()> {
    let run = cx.begin("alpha", true, 2).await?;
    let fence = cx.claim(&run).await?;
    assert_eq!(cx.store().shared_tokens(&fence).await?, []);
    let mut elsewhere = staged(6, "r0", Some("both"))?;
    elsewhere.part = 1;
    let rows = vec![
        staged(2, "r1", Some("own"))?,
        staged(3, "r2", Some("both"))?,
        staged(4, "r1", Some("both"))?,
        staged(5, "r2", Some("both"))?,
        elsewhere,
        staged(7, "r3", None)?,
        staged(8, "r4", None)?,
        // Of another reference in another case.
        staged(9, "R5", Some("case"))?,
        staged(10, "r5", Some("case"))?,
    ];
    cx.stage(&fence, rows).await?;
    // The first line keeps it, not the first reference; a part sees the whole run.
    let told = cx.store().shared_tokens(&fence).await?;
    let wanted = [
        (3, 3, None),
        (4, 2, Some(3)),
        (5, 3, None),
        (6, 6, Some(3)),
        (9, 9, None),
        (10, 10, Some(9)),
    ];
    assert_eq!(told, shared(&wanted));
    Ok(())
}

async fn tokens_are_shared_within_a_run_alone(cx: &Cx) -> anyhow::Result<()> {
    let first = cx.fence("alpha").await?;
    cx.stage(&first, vec![staged(2, "r1", Some("tok"))?]).await?;
    let second = cx.fence("alpha").await?;
    cx.stage(&second, vec![staged(2, "r2", Some("tok"))?, staged(3, "r2", Some("tok"))?]).await?;
    assert_eq!(cx.store().shared_tokens(&first).await?, []);
    assert_eq!(cx.store().shared_tokens(&second).await?, []);
    Ok(())
}
