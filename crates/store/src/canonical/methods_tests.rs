use std::collections::BTreeMap;
use std::collections::HashSet;

use model::{AccountName, CardFacts, Expiry, Last4, RunId};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

fn context(account: &str, rank: u32, guard: Guard) -> Context {
    Context {
        account: AccountName::new(account).expect("an id"),
        namespace: "default".into(),
        match_by_email: false,
        rank,
        file_rank: u32::MAX,
        cause: "pull".into(),
        run: Some(RunId::generate()),
        now: at(1000),
        guard,
    }
}

fn customer() -> RemoteCustomerId {
    RemoteCustomerId::new("1").expect("an id")
}

fn method(id: &str) -> RemoteMethodId {
    RemoteMethodId::new(id).expect("an id")
}

fn card(id: &str, last4: &str, month: u32, default: Option<bool>) -> MethodNews {
    MethodNews::Seen(Box::new(RemoteMethod {
        id: method(id),
        facts: MethodFacts::Card(CardFacts {
            last4: Last4::new(last4).ok(),
            expiry: Expiry::new(month, 2030).ok(),
            ..CardFacts::default()
        }),
        default,
        created_at: None,
        attributes: BTreeMap::new(),
        credential: None,
    }))
}

/// The tables that a plan is about, for one canonical customer.
struct Tables {
    ours: CustomerId,
    mirror: HashMap<(String, Key), (u32, MirrorMethod)>,
    methods: HashMap<MethodId, MethodRow>,
}

impl Tables {
    fn new() -> Self {
        let ours = CustomerId::generate();
        Self { ours, mirror: HashMap::new(), methods: HashMap::new() }
    }

    fn write(&mut self, context: &Context, second: i64, news: Vec<MethodNews>) -> MethodPlan {
        let account = context.account.as_str().to_owned();
        let as_of = at(second);
        let news = news.into_iter().map(|what| NewsOfMethod { customer: customer(), as_of, what });
        let customers = HashMap::from([(customer(), Some(self.ours.clone()))]);
        let planner = MethodPlanner::new(news.collect(), customers, context.guard);
        let mirror: HashMap<_, _> = self
            .mirror
            .iter()
            .filter(|((whose, _), _)| *whose == account)
            .map(|((_, key), (_, row))| (key.clone(), row.clone()))
            .collect();
        let needs = planner.needs(&mirror, &HashSet::new()).expect("attributes");
        let known = self.methods.values().filter(|m| needs.contains(&m.customer));
        let canonical = known.map(|m| self.canonical(m)).collect();
        let plan = planner.plan(context, mirror, canonical).expect("planned");
        for row in &plan.methods {
            self.methods.insert(row.id.clone(), row.clone());
        }
        for row in &plan.mirrors {
            let key = (account.clone(), key_of(&row.customer, &row.id));
            self.mirror.insert(key, (context.rank, row.clone()));
        }
        plan
    }

    fn canonical(&self, method: &MethodRow) -> CanonicalMethod {
        let votes = self
            .mirror
            .iter()
            .filter(|(_, (_, row))| {
                row.method.as_ref() == Some(&method.id) && row.state == MirrorState::Live
            })
            .map(|((account, key), (rank, row))| Vote {
                rank: *rank,
                account: AccountName::new(account.as_str()).expect("an id"),
                customer: key.0.clone(),
                method: key.1.as_str().to_owned(),
                as_of: row.as_of,
                content: from_json("facts", &row.facts).expect("facts"),
            })
            .collect();
        CanonicalMethod {
            id: method.id.clone(),
            customer: method.customer.clone(),
            facts: from_json("facts", &method.facts).expect("facts"),
            sources: method.sources.clone(),
            hash: method.hash,
            votes,
        }
    }

    fn row(&self, account: &str, id: &str) -> &MirrorMethod {
        &self.mirror[&(account.to_owned(), key_of(&customer(), &method(id)))].1
    }
}

#[test]
fn facts_link_once_and_only_when_exactly_one_agrees() {
    let mut tables = Tables::new();
    let (a, b) = (context("a", 0, Guard::Read), context("b", 1, Guard::Read));
    tables.write(&a, 1, vec![card("x", "4242", 1, None), card("y", "1111", 2, None)]);
    tables.write(&b, 1, vec![card("p", "4242", 1, None), card("q", "9999", 2, None)]);
    assert_eq!(tables.row("a", "x").method, tables.row("b", "p").method);
    assert_ne!(tables.row("a", "y").method, tables.row("b", "q").method);
    // One account never ties two of its own to one record, alike as they are.
    tables.write(&a, 2, vec![card("z", "4242", 1, None)]);
    assert_ne!(tables.row("a", "z").method, tables.row("a", "x").method);
    // Two agree now, so neither is taken.
    let c = context("c", 2, Guard::Read);
    tables.write(&c, 1, vec![card("s", "4242", 1, None)]);
    assert_ne!(tables.row("c", "s").method, tables.row("a", "x").method);
    assert_ne!(tables.row("c", "s").method, tables.row("a", "z").method);
    // Facts may drift: the link stays.
    let linked = tables.row("b", "p").method.clone();
    let plan = tables.write(&b, 2, vec![card("p", "4242", 7, None)]);
    assert_eq!(tables.row("b", "p").method, linked);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].field, "expiry");
}

/// A card with attributes.
fn saying(id: &str, attributes: &[(&str, &str)]) -> MethodNews {
    let MethodNews::Seen(mut method) = card(id, "4242", 1, None) else { unreachable!() };
    method.attributes =
        attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    MethodNews::Seen(method)
}

/// What a plan changes: field, before, after.
fn changed(plan: &MethodPlan) -> Vec<(&str, Option<&str>, Option<&str>)> {
    plan.changes
        .iter()
        .map(|one| (one.field.as_str(), one.before.as_deref(), one.after.as_deref()))
        .collect()
}

#[test]
fn a_read_shows_all_attributes() {
    let mut tables = Tables::new();
    let a = context("a", 0, Guard::Read);
    let first = tables.write(&a, 1, vec![saying("x", &[("keep_until", "1"), ("status", "ok")])]);
    assert_eq!((first.counts.created, changed(&first)), (1, vec![]));
    assert_eq!(
        tables.row("a", "x").attributes.as_deref(),
        Some(r#"{"keep_until":"1","status":"ok"}"#)
    );
    let same = tables.write(&a, 2, vec![saying("x", &[("status", "ok"), ("keep_until", "1")])]);
    assert_eq!((same.counts.unchanged, same.mirrors.len()), (1, 0));
    let other = tables.write(&a, 3, vec![saying("x", &[("keep_until", "2"), ("chain", "c")])]);
    assert_eq!(other.counts.updated, 1);
    let expected = [
        ("attributes.chain", None, Some("c")),
        ("attributes.keep_until", Some("1"), Some("2")),
        ("attributes.status", Some("ok"), None),
    ];
    assert_eq!(changed(&other), expected);
    let none = tables.write(&a, 4, vec![saying("x", &[])]);
    let expected =
        [("attributes.chain", Some("c"), None), ("attributes.keep_until", Some("2"), None)];
    assert_eq!((none.counts.updated, changed(&none)), (1, expected.to_vec()));
    assert_eq!(tables.row("a", "x").attributes, None);
    // The record of ours is about the facts alone.
    let record = tables.row("a", "x").method.clone().expect("linked");
    assert_eq!(tables.methods[&record].hash, tables.row("a", "x").hash);
}

#[test]
fn an_answer_says_nothing_of_the_attributes_that_it_leaves_out() {
    let mut tables = Tables::new();
    let answer = context("a", 0, Guard::Answer);
    tables.write(&answer, 1, vec![saying("x", &[("keep_until", "1"), ("status", "ok")])]);
    let none = tables.write(&answer, 2, vec![saying("x", &[])]);
    assert_eq!((none.counts.unchanged, changed(&none)), (1, vec![]));
    let renewed = tables.write(&answer, 3, vec![card("x", "4242", 2, None)]);
    assert_eq!(changed(&renewed), [("expiry", Some("01/2030"), Some("02/2030"))]);
    let some = tables.write(
        &answer,
        4,
        // One after the other: the second is about what the first left.
        vec![saying("x", &[("keep_until", "2")]), saying("x", &[])],
    );
    assert_eq!((some.counts.updated, some.counts.unchanged), (1, 1));
    let kept = |tables: &Tables| tables.row("a", "x").attributes.clone();
    assert_eq!(kept(&tables).as_deref(), Some(r#"{"keep_until":"2","status":"ok"}"#));
    for what in [MethodNews::MadeDefault(method("x")), MethodNews::Removed(method("x"))] {
        let before = kept(&tables);
        tables.write(&answer, 5, vec![what]);
        assert_eq!(kept(&tables), before);
    }
    // A read that shows none means that there are none.
    let read = context("a", 0, Guard::Read);
    tables.write(&read, 6, vec![saying("x", &[])]);
    assert_eq!(kept(&tables), None);
}

#[test]
fn reads_are_guarded_and_repeats_count_once() {
    let mut tables = Tables::new();
    let a = context("a", 0, Guard::Read);
    let plan =
        tables.write(&a, 5, vec![card("x", "4242", 1, Some(true)), card("x", "4242", 2, None)]);
    assert_eq!((plan.counts.seen, plan.counts.created), (1, 1));
    for (second, month, stale, unchanged) in
        [(4, 2, 1, 0), (5, 3, 1, 0), (5, 2, 0, 1), (6, 2, 0, 1)]
    {
        let plan = tables.write(&a, second, vec![card("x", "4242", month, None)]);
        assert_eq!((plan.counts.stale, plan.counts.unchanged), (stale, unchanged), "{second}");
        assert!(plan.mirrors.is_empty() && plan.changes.is_empty());
        assert_eq!(plan.links.len(), 1);
    }
}

#[test]
fn one_default_at_a_time_after_an_answer() {
    let mut tables = Tables::new();
    let answer = context("a", 0, Guard::Answer);
    let news = vec![
        card("x", "4242", 1, Some(true)),
        card("y", "1111", 1, Some(false)),
        MethodNews::MadeDefault(method("y")),
    ];
    tables.write(&answer, 1, news);
    assert_eq!(tables.row("a", "x").default, Some(false));
    assert_eq!(tables.row("a", "y").default, Some(true));
    let plan = tables.write(&answer, 2, vec![card("z", "2222", 1, Some(true))]);
    assert_eq!(tables.row("a", "y").default, Some(false));
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].field, "default");
    assert_eq!(plan.changes[0].after.as_deref(), Some("false"));
}

#[test]
fn a_removed_method_leaves_the_record_and_frees_its_account() {
    let mut tables = Tables::new();
    let (a, b) = (context("a", 0, Guard::Answer), context("b", 1, Guard::Answer));
    tables.write(&a, 1, vec![card("x", "4242", 1, Some(true))]);
    tables.write(&b, 1, vec![card("p", "4242", 1, None)]);
    let record = tables.row("a", "x").method.clone().expect("linked");
    let plan = tables.write(&a, 2, vec![MethodNews::Removed(method("x"))]);
    assert_eq!(plan.changes[0].field, "state");
    assert_eq!(tables.row("a", "x").state, MirrorState::Removed);
    assert!(tables.methods[&record].sources.contains("\"b\""));
    let again = tables.write(&a, 3, vec![MethodNews::Removed(method("x"))]);
    assert_eq!((again.counts.unchanged, again.mirrors.len()), (1, 0));
    // The same card under a new id is the same payment method of ours.
    tables.write(&a, 4, vec![card("x2", "4242", 1, None)]);
    assert_eq!(tables.row("a", "x2").method, Some(record));
    let unknown = tables.write(&a, 5, vec![MethodNews::Removed(method("never seen"))]);
    assert_eq!(unknown.counts.stale, 1);
}
