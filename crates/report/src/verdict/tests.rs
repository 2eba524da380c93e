use std::collections::BTreeSet;

use model::{AccountName, Coverage, RunId};

use super::*;

const RUN: &str = "01M7ZMS3DBJ6HHV33820EBCHQF";

/// A run's row in the store, in this state.
pub(crate) fn record(job: &str, state: RunState) -> RunRecord {
    RunRecord {
        id: RunId::new(RUN).expect("an id"),
        job: job.into(),
        account: AccountName::new("gov").expect("a name"),
        cause: "person".into(),
        state,
        args: "{}".into(),
        input_name: (job == "import").then(|| "customers.csv".into()),
        input_hash: None,
        config_hash: None,
        summary: None,
        error: None,
        created_at: model::Timestamp::from_micros(0),
        ended_at: None,
    }
}

fn import(rows: Ledger) -> Summary {
    Summary {
        run: RUN.into(),
        job: "import".into(),
        account: "gov".into(),
        rows: Some(rows),
        ..Summary::default()
    }
}

/// Its sentences and its command.
fn told(summary: &Summary, state: RunState) -> (Level, String, String) {
    let hidden = BTreeSet::new();
    let record = record(&summary.job, state);
    let verdict = of(summary, &record, Mask::new(Some(&hidden)));
    let said = [vec![verdict.sentence], verdict.more].concat().join(" ");
    (verdict.level, said, verdict.next.map(|(command, _)| command).unwrap_or_default())
}

fn planned<const N: usize>(all: [(&str, u64); N]) -> std::collections::BTreeMap<String, u64> {
    all.map(|(plan, rows)| (plan.to_owned(), rows)).into()
}

#[test]
fn what_went_well_needs_nobody() {
    let rows = Ledger { read: 1200, created: 1000, unchanged: 200, ..Ledger::default() };
    let (level, said, next) = told(&import(rows), RunState::Done);
    assert_eq!(level, Level::Fine);
    assert_eq!(
        (said.as_str(), next.as_str()),
        ("All 1,200 rows are in place at gov. 1,000 created, 200 unchanged.", "")
    );
    // What a row says all the same is said.
    let findings = planned([("token_shared", 2)]);
    let (level, said, _) = told(&Summary { findings, ..import(rows) }, RunState::Done);
    assert_eq!(level, Level::Needs);
    assert!(said.ends_with("2 rows say something that somebody should look at: see the findings."));
    let (level, said, next) = told(&import(Ledger::default()), RunState::Done);
    assert_eq!((level, next.as_str()), (Level::Needs, "onfile import gov customers.csv"));
    assert!(said.starts_with("The file has no rows"), "{said}");
}

#[test]
fn what_may_have_taken_effect_comes_first() {
    let rows = Ledger { read: 10, created: 6, rejected: 2, unresolved: 2, ..Ledger::default() };
    let effects = planned([("done", 6), ("unresolved", 2)]);
    let open = Summary { effects, unsettled: 2, ..import(rows) };
    let (level, said, next) = told(&open, RunState::Done);
    assert_eq!(level, Level::Needs);
    assert_eq!(
        said,
        "6 of 10 rows are in place at gov; 4 need a person. 2 unresolved, 2 rejected."
    );
    assert_eq!(next, format!("onfile effects list --run {RUN}"));
    // What nobody has asked the provider about yet is asked first.
    let effects = planned([("unknown", 2)]);
    let (_, _, next) = told(&Summary { effects, ..open.clone() }, RunState::Done);
    assert_eq!(next, "onfile effects settle gov");
    // A person has said since what became of them.
    let (_, _, next) =
        told(&Summary { unsettled: 0, effects: planned([]), ..open }, RunState::Done);
    assert_eq!(next, "onfile import gov customers.csv");
}

#[test]
fn a_run_that_rests_says_what_goes_on_with_it() {
    let rows = Ledger { read: 10, created: 3, not_attempted: 7, ..Ledger::default() };
    let plans = planned([("import_method", 6), ("nothing", 1)]);
    let rests = Summary { planned: plans, ..import(rows) };
    let (level, said, next) = told(&rests, RunState::AwaitingApproval);
    assert_eq!(level, Level::Needs);
    assert!(
        said.starts_with(
            "The canary went well at gov and was read back; 6 rows wait for approval."
        )
    );
    assert_eq!(next, format!("onfile runs approve {RUN}"));
    let error = Some("account gov: the provider does not accept the credentials: no".to_owned());
    let (_, said, next) = told(&Summary { error, ..rests.clone() }, RunState::Paused);
    assert_eq!(
        said,
        "The import into gov is paused with 7 rows still to come: account gov: the provider does \
         not accept the credentials: no."
    );
    assert_eq!(next, format!("onfile runs resume {RUN}"));
    let at_work = Summary { lease_seconds: Some(40), ..rests.clone() };
    let (level, said, next) = told(&at_work, RunState::Running);
    assert_eq!(level, Level::AtWork);
    assert_eq!(said, "The import of gov is at work, and 3 of 10 rows have an outcome so far.");
    assert_eq!(next, format!("onfile runs show {RUN}"));
    let (level, said, next) = told(&rests, RunState::Running);
    assert_eq!((level, next), (Level::Needs, format!("onfile runs resume {RUN}")));
    assert!(said.starts_with("Nobody works at this import of gov any more"), "{said}");
    let (_, said, next) = told(&Summary { planned: planned([]), ..rests }, RunState::Cancelled);
    assert_eq!(
        said,
        "The import was cancelled: 3 rows are in place at gov, 7 rows were not attempted."
    );
    assert_eq!(next, "onfile import gov customers.csv");
}

#[test]
fn a_failed_import_says_whether_anything_was_sent() {
    let rows = Ledger { read: 10, rejected: 4, not_attempted: 6, ..Ledger::default() };
    let failed = Summary {
        error: Some("4 of 10 rows are rejected, more than --max-rejected allows".into()),
        error_code: Some("too_many_rejected".into()),
        ..import(rows)
    };
    let (level, said, next) = told(&failed, RunState::Failed);
    assert_eq!(level, Level::Failed);
    assert_eq!(
        said,
        "The import failed, and nothing was sent: 4 of 10 rows are rejected, more than \
         --max-rejected allows."
    );
    assert_eq!(next, "onfile import gov customers.csv");
    let dry = Summary { dry_run: true, ..failed.clone() };
    let (_, said, next) = told(&dry, RunState::Failed);
    assert!(said.starts_with("The dry run found that the import would stop: 4 of 10"), "{said}");
    assert_eq!(next, "onfile import gov customers.csv --dry-run");
    let sent = Summary { effects: planned([("done", 1)]), ..failed };
    assert!(told(&sent, RunState::Failed).1.starts_with("The import failed on its way: "));
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let rows = Ledger { read: 10, rejected: 1, not_attempted: 9, ..Ledger::default() };
    let plans = planned([
        ("create_customer+import_method+card_expired", 5),
        ("nothing", 3),
        ("update_customer+not_updatable", 1),
    ]);
    let dry = Summary { dry_run: true, planned: plans, unverified: Some(9), ..import(rows) };
    let (level, said, next) = told(&dry, RunState::Done);
    assert_eq!(level, Level::Needs);
    assert_eq!(
        said,
        "Of 10 rows, 5 would be sent, 3 would stay as they are, 2 would be rejected. This was a dry \
         run: nothing was sent."
    );
    assert_eq!(next, "onfile import gov customers.csv --dry-run");
    let rows = Ledger { read: 9, not_attempted: 9, ..Ledger::default() };
    let plans = planned([("import_method", 9)]);
    let dry = Summary { planned: plans, rows: Some(rows), ..dry };
    assert_eq!(told(&dry, RunState::Done).2, "onfile import gov customers.csv --dry-run --observe");
    let looked = Summary { observed: true, ..dry.clone() };
    assert_eq!(told(&looked, RunState::Done).2, "onfile import gov customers.csv");
    let done = Summary { planned: planned([("nothing", 9)]), ..dry };
    assert_eq!(told(&done, RunState::Done).0, Level::Fine);
}

#[test]
fn a_pull_says_what_was_read_and_what_moved() {
    let pull = Summary {
        run: RUN.into(),
        job: "pull".into(),
        account: "gov".into(),
        customers: Some(Counts { seen: 1, created: 1, ..Counts::default() }),
        methods: Some(Counts { seen: 2, created: 1, removed: 1, ..Counts::default() }),
        coverage: Some(Coverage { complete: true, ..Coverage::default() }),
        ..Summary::default()
    };
    let (level, said, next) = told(&pull, RunState::Done);
    assert_eq!((level, next.as_str()), (Level::Fine, ""));
    assert_eq!(
        said,
        "The pull read all of gov: 1 customer with 2 payment methods. 1 customer and 1 payment \
         method new; 1 payment method removed."
    );
    let gaps = Coverage { complete: true, gaps: vec!["3 customers".into()], ..Coverage::default() };
    let (level, said, next) =
        told(&Summary { coverage: Some(gaps), ..pull.clone() }, RunState::Done);
    assert_eq!((level, next.as_str()), (Level::Needs, "onfile pull gov"));
    assert!(said.starts_with("The pull did not read all of gov"), "{said}");
    let error = Some("boom".to_owned());
    let gone = Some("150 customers are not there any more".to_owned());
    let waits = Summary { error: gone, run: RUN.into(), ..pull.clone() };
    let (level, said, next) = told(&waits, RunState::AwaitingApproval);
    assert_eq!((level, next), (Level::Needs, format!("onfile runs approve {RUN}")));
    assert!(said.starts_with("Much is gone at gov, and waits for you: 150 customers"), "{said}");
    let (_, _, next) = told(&waits, RunState::Paused);
    assert_eq!(next, format!("onfile runs resume {RUN}"));
    let (level, said, next) = told(&Summary { error, ..pull.clone() }, RunState::Failed);
    assert_eq!((level, next.as_str()), (Level::Failed, "onfile pull gov"));
    assert!(said.starts_with("The pull of gov failed: boom."), "{said}");
}

#[test]
fn a_ledger_that_does_not_balance_comes_before_all() {
    let rows = Ledger { read: 3, created: 2, ..Ledger::default() };
    let (level, said, next) = told(&import(rows), RunState::Done);
    assert_eq!((level, next.as_str()), (Level::Failed, ""));
    assert!(said.starts_with("The ledger does not balance: 3 rows were read, 2 accounted for."));
}

#[test]
fn the_command_can_be_copied_or_says_file() {
    let again = |name: &str| {
        let record =
            RunRecord { input_name: Some(name.into()), ..record("import", RunState::Done) };
        let hidden = BTreeSet::new();
        again(&import(Ledger::default()), &record, Mask::new(Some(&hidden)))
    };
    assert_eq!(again("customers-1.csv.gz"), "onfile import gov customers-1.csv.gz");
    for name in ["-", "a b.csv", "$(rm).csv", "--dry-run", "ada@example.com"] {
        assert_eq!(again(name), "onfile import gov FILE", "{name}");
    }
}
