use model::{Calls, Counts, Coverage, MirrorAge, Unread};
use store::RunState;

use super::*;
use crate::verdict::tests::record;

fn summary(rows: Option<Ledger>) -> Summary {
    Summary {
        run: "01M7ZMS3DBJ6HHV33820EBCHQF".into(),
        job: "import".into(),
        account: "gov".into(),
        state: "done".into(),
        started_at: "2026-01-31T10:00:00.250Z".into(),
        ended_at: "2026-01-31T11:02:03.500Z".into(),
        rows,
        ..Summary::default()
    }
}

fn page(summary: &Summary, rows: &[RowRecord], hidden: Option<&BTreeSet<String>>) -> String {
    let state = RunState::parse(&summary.state).expect("a state");
    let record = record(&summary.job, state);
    let now = Timestamp::from_seconds(1_769_860_000);
    let (changes, more_changes) = (&[][..], false);
    let report = Report { summary, record: &record, rows, changes, more_changes, hidden, now };
    html(&report).expect("a page")
}

fn refused(reference: &str, message: &str) -> RowRecord {
    RowRecord {
        line: 1002,
        row_id: "r&d".into(),
        reference: Some(reference.into()),
        outcome: Some(Outcome::Refused),
        code: Some("provider_refused".into()),
        message: Some(message.into()),
        field: Some("email".into()),
        ..RowRecord::default()
    }
}

/// The page's text: without its style and its tags, and with single spaces.
fn text(page: &str) -> String {
    let body = page.split_once("<body>").map_or(page, |(_, body)| body);
    let words = body.split('<').filter_map(|part| part.split_once('>')).map(|(_, words)| words);
    words.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_of_a_row_is_markup() {
    let rows = [refused("<script>alert(1)</script>", "\"><img src=x onerror='a()'> & more")];
    let ledger = Ledger { read: 1, refused: 1, ..Ledger::default() };
    for hidden in [Some(&BTreeSet::new()), None] {
        let page = page(&summary(Some(ledger)), &rows, hidden);
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{page}");
        assert!(page.contains("row r&#38;d"), "{page}");
    }
}

#[test]
fn a_page_asks_for_nothing_but_its_own_style() {
    let page = page(&summary(None), &[], None);
    let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").expect("a policy");
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let wanted = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">"
    );
    assert!(policy.starts_with(&wanted), "{policy}");
    assert!(page.contains(&format!("<style>{STYLE}</style>")), "another style is hashed");
    for loud in ["http:", "https:", "url(", "@import", "<script", "<link", "style=", " src="] {
        assert!(!page.contains(loud), "{loud}");
    }
}

#[test]
fn people_s_values_are_shown_to_who_asks_for_them() {
    let message = "no such street: 1 Elm St; ada@example.com is taken";
    let rows = [refused("ada@example.com", message)];
    let ledger = Ledger { read: 1, refused: 1, ..Ledger::default() };
    let mut summary = summary(Some(ledger));
    summary.kept_in_store = [("metadata.bob@example.com".to_owned(), 1)].into();
    summary.error = Some("bob@example.com is not known".into());
    let hidden = ["1 Elm St".to_owned()].into();
    let masked = page(&summary, &rows, Some(&hidden));
    for value in ["ada@", "Elm", "bob@"] {
        assert!(!masked.contains(value), "{value}: {masked}");
    }
    assert!(masked.contains("no such street: •••; ••• is taken"), "{masked}");
    assert!(masked.contains("are masked (•••)"), "{masked}");
    let open = page(&summary, &rows, None);
    for value in
        ["ada@example.com is taken", "1 Elm St", "metadata.bob@example.com", "as they stand"]
    {
        assert!(open.contains(value), "{value}: {open}");
    }
}

#[test]
fn the_ledger_says_its_sum_and_whether_it_holds() {
    let rows =
        Ledger { read: 1200, created: 1197, rejected: 2, unresolved: 1, ..Ledger::default() };
    let shown = text(&page(&summary(Some(rows)), &[], None));
    for said in [
        "created 1,197 99.8 % linked 0 – updated 0 –",
        "unresolved 1 0.1 %",
        "sum 1,200 rows read 1,200 balanced: every row has one outcome",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let broken = Ledger { created: 1100, ..rows };
    let broken = page(&summary(Some(broken)), &[], None);
    assert!(
        broken.contains("<p class=\"broken\">NOT BALANCED: please report this</p>"),
        "{broken}"
    );
    let shown = text(&broken);
    assert!(shown.contains("Failed The ledger does not balance: 1,200 rows were read"), "{shown}");
}

#[test]
fn a_bar_shows_the_least_part_and_is_full() {
    let rows = Ledger { read: 1_000_001, created: 1_000_000, refused: 1, ..Ledger::default() };
    let parts: Vec<(u64, u64)> =
        sums(&rows).outcomes.iter().filter(|p| p.width > 0).map(|p| (p.x, p.width)).collect();
    assert_eq!(parts, [(0, 994), (994, 6)]);
    let third = Ledger { read: 3, created: 1, linked: 1, updated: 1, ..Ledger::default() };
    assert_eq!(sums(&third).outcomes.iter().map(|part| part.width).sum::<u64>(), BAR);
    assert!(sums(&Ledger::default()).outcomes.iter().all(|part| part.width == 0));
    assert_eq!([share(1, 1_000_001), share(1_000_000, 1_000_001)], ["< 0.1 %", "> 99.9 %"]);
    assert_eq!([share(0, 1), share(1, 3), share(3, 3)], ["–", "33.3 %", "100.0 %"]);
}

#[test]
fn an_import_of_nothing_is_a_page() {
    let shown = text(&page(&summary(Some(Ledger::default())), &[], None));
    assert!(shown.contains("Needs a person The file has no rows"), "{shown}");
    assert!(shown.contains("Next onfile import gov customers.csv"), "{shown}");
    assert!(shown.contains("sum 0 rows read 0 balanced"), "{shown}");
    assert!(!shown.contains("Rows that need a person"), "{shown}");
}

#[test]
fn times_are_of_a_zone_that_is_said() {
    let shown = text(&page(&summary(None), &[], None));
    assert!(shown.contains("Began 2026-01-31 10:00:00 UTC"), "{shown}");
    assert!(shown.contains("Came to rest 2026-01-31 11:02:03 UTC Took 1 h 2 min"), "{shown}");
    assert_eq!(utc("2026-01-31T12:00:00+02:00"), "2026-01-31 10:00:00 UTC");
    assert_eq!(utc("never"), "never");
}

#[test]
fn each_part_says_what_the_terminal_says() {
    let count = |name: &str, n: u64| [(name.to_owned(), n)].into();
    let summary = Summary {
        dry_run: true,
        customers: Some(Counts { seen: 2000, created: 1, ..Counts::default() }),
        methods: Some(Counts { seen: 7, removed: 3, ..Counts::default() }),
        effects: count("unknown", 2),
        unsettled: 2,
        findings: count("token_shared", 4),
        kept_in_store: count("phone", 5),
        codes: count("card_expired", 1),
        planned: count("create_customer+card_expired", 1),
        mirror: Some(MirrorAge::default()),
        unverified: Some(0),
        canary: Some(vec![4]),
        forecast: Some(model::Forecast::default()),
        calls: Calls {
            total: 1234,
            throttled: 5,
            lost: true,
            by_endpoint: count("GET /x", 1234),
            ..Calls::default()
        },
        coverage: Some(Coverage {
            complete: true,
            gaps: vec!["3 customers could not be read".into()],
            notes: vec!["the order is not specified".into()],
            methods_unread: Some(Unread { customers: 9, of: 10, oldest: None }),
            ..Coverage::default()
        }),
        ..summary(Some(Ledger { read: 1, not_attempted: 1, ..Ledger::default() }))
    };
    let shown = text(&page(&summary, &[], None));
    for said in [
        "seen 2,000 7 new 1 0 changed 0 0 unchanged 0 0 removed 0 3",
        "2 unknown 2 effects are not settled yet: onfile effects list --run 01M7",
        "read to the end, unconfirmed by a second pass",
        "Not read 3 customers could not be read",
        "not read on purpose: the payment methods of 9 of 10 customers, some of them never read",
        "the order is not specified",
        "token_shared 4 Imported, although the same token stands under another reference.",
        "5 phone",
        "1,234 in all, 0 of them changing something; 5 throttled, 0 reads repeated.",
        "those of a process of this run that died are not counted",
        "1,234 GET /x",
        "1 create_customer; card_expired",
        "never read; no row is unverified",
        "the customer of line 4 would go first",
        "Would make no calls",
        "card_expired 1 The card has expired",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn rows_say_what_to_do_and_how_many_more_there_are() {
    let rows = [refused("C-1", "no such token")];
    let ledger = Ledger { read: 1500, created: 200, refused: 1300, ..Ledger::default() };
    let shown = text(&page(&summary(Some(ledger)), &rows, None));
    for said in [
        "1002 C-1 row r&#38;d refused provider_refused email no such token mend what the provider",
        "and 1,299 more in rows.csv",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}
