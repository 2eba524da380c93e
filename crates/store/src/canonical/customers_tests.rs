use model::{AccountName, RunId};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

fn context(account: &str, rank: u32, guard: Guard) -> Context {
    Context {
        account: AccountName::new(account).expect("an id"),
        namespace: "default".into(),
        rank,
        file_rank: u32::MAX,
        cause: "pull".into(),
        run: RunId::generate(),
        now: at(1000),
        guard,
    }
}

fn customer(id: &str, reference: Option<&str>, email: &str) -> RemoteCustomer {
    RemoteCustomer {
        id: RemoteCustomerId::new(id).expect("an id"),
        reference: reference.map(str::to_owned),
        profile: Profile { email: Some(email.into()), ..Profile::default() },
        status: RemoteStatus::Live,
        created_at: None,
        methods: None,
    }
}

fn deleted(id: &str) -> RemoteCustomer {
    RemoteCustomer { status: RemoteStatus::Deleted, ..customer(id, None, "") }
}

/// The tables that a plan is about, so that plans can follow each other.
#[derive(Default)]
struct Tables {
    mirror: HashMap<(String, RemoteCustomerId), (u32, MirrorCustomer)>,
    customers: HashMap<CustomerId, CustomerRow>,
}

impl Tables {
    fn write(
        &mut self,
        context: &Context,
        second: i64,
        customers: Vec<RemoteCustomer>,
    ) -> CustomerPlan {
        let (planner, _) = CustomerPlanner::new(customers, at(second), context.guard);
        let account = context.account.as_str().to_owned();
        let mirror: HashMap<_, _> = planner
            .ids()
            .filter_map(|id| {
                let (_, row) = self.mirror.get(&(account.clone(), id.clone()))?;
                Some((id.clone(), row.clone()))
            })
            .collect();
        let needs = planner.needs(&mirror);
        let known = self.customers.values().filter(|c| {
            needs.ids.contains(&c.id)
                || c.reference.as_ref().is_some_and(|r| needs.references.contains(r))
        });
        let canonical = known.map(|c| self.canonical(c)).collect();
        let plan = planner.plan(context, &mirror, canonical).expect("planned");
        for row in &plan.customers {
            let before = self.customers.get(&row.id).and_then(|c| c.reference.clone());
            let reference = row.reference.clone().or(before);
            self.customers.insert(row.id.clone(), CustomerRow { reference, ..row.clone() });
        }
        for row in &plan.mirrors {
            let written = MirrorCustomer {
                seen: false,
                reference: row.reference.clone(),
                profile: row.profile.clone(),
                hash: row.hash,
                state: row.state,
                as_of: row.as_of,
                customer: row.customer.clone(),
            };
            self.mirror.insert((account.clone(), row.id.clone()), (context.rank, written));
        }
        for id in &plan.touches {
            if let Some((_, row)) = self.mirror.get_mut(&(account.clone(), id.clone())) {
                row.as_of = at(second);
            }
        }
        plan
    }

    fn canonical(&self, customer: &CustomerRow) -> CanonicalCustomer {
        let votes = self
            .mirror
            .iter()
            .filter(|(_, (_, row))| {
                row.customer.as_ref() == Some(&customer.id) && row.state == MirrorState::Live
            })
            .map(|((account, id), (rank, row))| Vote {
                rank: *rank,
                account: AccountName::new(account.as_str()).expect("an id"),
                customer: id.clone(),
                method: String::new(),
                as_of: row.as_of,
                content: from_json("a profile", &row.profile).expect("a profile"),
            })
            .collect();
        CanonicalCustomer {
            id: customer.id.clone(),
            reference: customer.reference.clone(),
            sources: customer.sources.clone(),
            hash: customer.hash,
            votes,
        }
    }

    fn email_of(&self, id: &CustomerId) -> Option<String> {
        from_json::<Profile>("a profile", &self.customers[id].profile).expect("a profile").email
    }

    fn link(&self, account: &str, id: &str) -> Option<CustomerId> {
        let key = (account.to_owned(), RemoteCustomerId::new(id).expect("an id"));
        self.mirror.get(&key).and_then(|(_, row)| row.customer.clone())
    }
}

#[test]
fn first_sight_links_by_reference_and_writes_no_change() {
    let mut tables = Tables::default();
    let (a, b) = (context("a", 0, Guard::Read), context("b", 1, Guard::Read));
    let plan = tables.write(&a, 1, vec![customer("1", Some(" r1 "), "X@Y")]);
    assert_eq!((plan.counts.seen, plan.counts.created), (1, 1));
    assert!(plan.changes.is_empty());
    assert_eq!(plan.customers[0].reference.as_deref(), Some("r1"));
    assert_eq!(plan.customers[0].email_key.as_deref(), Some("x@y"));
    assert_eq!(plan.mirrors[0].reference.as_deref(), Some("r1"));

    let plan =
        tables.write(&b, 1, vec![customer("9", Some("r1"), "other"), customer("8", None, "")]);
    assert!(plan.changes.is_empty());
    assert_eq!(tables.link("a", "1"), tables.link("b", "9"));
    assert_ne!(tables.link("a", "1"), tables.link("b", "8"));
    // The account of the better rank still decides.
    let shared = tables.link("a", "1").expect("linked");
    assert_eq!(tables.email_of(&shared).as_deref(), Some("X@Y"));
    assert_eq!(tables.customers.len(), 2);
}

#[test]
fn two_customers_of_one_reference_do_not_share_a_record() {
    let a = context("a", 0, Guard::Read);
    let two = || vec![customer("1", Some("r"), "x"), customer("2", Some("r"), "y")];
    let mut together = Tables::default();
    together.write(&a, 1, two());
    let mut apart = Tables::default();
    for one in two() {
        apart.write(&a, 1, vec![one]);
    }
    for tables in [together, apart] {
        assert_ne!(tables.link("a", "1"), tables.link("a", "2"));
        let first = tables.link("a", "1").expect("linked");
        let second = tables.link("a", "2").expect("linked");
        assert_eq!(tables.customers[&first].reference.as_deref(), Some("r"));
        assert_eq!(tables.customers[&second].reference, None);
    }
}

#[test]
fn a_change_is_written_with_both_values_and_recomputes_the_record() {
    let mut tables = Tables::default();
    let a = context("a", 0, Guard::Read);
    tables.write(&a, 1, vec![customer("1", Some("r"), "old")]);
    let plan = tables.write(&a, 2, vec![customer("1", Some("other"), "new")]);
    assert_eq!(plan.counts.updated, 1);
    let fields: Vec<_> = plan.changes.iter().map(|c| c.field.as_str()).collect();
    assert_eq!(fields, ["reference", "email"]);
    assert_eq!(plan.changes[1].before.as_deref(), Some("old"));
    assert_eq!(plan.changes[1].after.as_deref(), Some("new"));
    let linked = tables.link("a", "1").expect("the link stays");
    assert_eq!(tables.email_of(&linked).as_deref(), Some("new"));
    assert_eq!(tables.customers[&linked].reference.as_deref(), Some("r"));
}

#[test]
fn what_is_not_newer_changes_nothing() {
    let mut tables = Tables::default();
    let a = context("a", 0, Guard::Read);
    tables.write(&a, 5, vec![customer("1", Some("r"), "x")]);
    for (second, email, stale, unchanged) in
        [(4, "y", 1, 0), (5, "y", 1, 0), (4, "x", 1, 0), (5, "x", 0, 1), (6, "x", 0, 1)]
    {
        let plan = tables.write(&a, second, vec![customer("1", Some("r"), email)]);
        assert_eq!((plan.counts.stale, plan.counts.unchanged), (stale, unchanged), "{second}");
        assert!(plan.mirrors.is_empty() && plan.changes.is_empty());
        assert!(!plan.links.is_empty());
    }
    // An effect's answer is written whatever the clock says, and moves nothing back.
    let answer = context("a", 0, Guard::Answer);
    let plan = tables.write(&answer, 1, vec![customer("1", Some("r"), "z")]);
    assert_eq!(plan.counts.updated, 1);
    assert_eq!(plan.mirrors[0].as_of, at(6));
}

#[test]
fn repeats_count_once_and_the_last_one_holds() {
    let mut tables = Tables::default();
    let a = context("a", 0, Guard::Read);
    let plan = tables.write(&a, 1, vec![customer("1", None, "x"), customer("1", None, "y")]);
    assert_eq!((plan.counts.seen, plan.counts.created), (1, 1));
    let linked = tables.link("a", "1").expect("linked");
    assert_eq!(tables.email_of(&linked).as_deref(), Some("y"));
}

#[test]
fn the_deleted_keep_what_was_known_and_free_their_reference() {
    let mut tables = Tables::default();
    let a = context("a", 0, Guard::Read);
    // Never seen alive: says nothing of anybody.
    let plan = tables.write(&a, 1, vec![deleted("7")]);
    assert!(plan.customers.is_empty());
    assert_eq!(tables.link("a", "7"), None);

    tables.write(&a, 1, vec![customer("1", Some("r"), "x")]);
    let record = tables.link("a", "1").expect("linked");
    // The new customer stands before the deleted one, and still gets its reference.
    let plan = tables.write(&a, 2, vec![customer("0", Some("r"), "y"), deleted("1")]);
    assert_eq!(plan.removed.len(), 1);
    assert_eq!(plan.changes[0].field, "state");
    let row = plan.mirrors.iter().find(|row| row.id.as_str() == "1").expect("written");
    assert!(row.profile.contains('x') && row.removed_at.is_some());
    assert_eq!(tables.link("a", "0"), Some(record.clone()));
    assert_eq!(tables.email_of(&record).as_deref(), Some("y"));

    let again = tables.write(&a, 3, vec![deleted("1")]);
    assert_eq!((again.counts.unchanged, again.removed.len()), (1, 0));
    let back = tables.write(&a, 4, vec![customer("7", None, "z")]);
    assert_eq!(back.counts.updated, 1);
    assert!(tables.link("a", "7").is_some());
}
