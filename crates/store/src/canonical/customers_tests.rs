use model::{AccountName, RunId};

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

fn customer(id: &str, reference: Option<&str>, email: &str) -> RemoteCustomer {
    RemoteCustomer {
        id: RemoteCustomerId::new(id).expect("an id"),
        reference: reference.map(str::to_owned),
        profile: Profile { email: Some(email.into()), ..Profile::default() },
        status: RemoteStatus::Live,
        created_at: None,
        metadata: None,
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
        let needs = planner.needs(context, &mirror);
        let known = self.customers.values().filter(|c| {
            needs.ids.contains(&c.id)
                || c.reference.as_ref().is_some_and(|r| needs.references.contains(r))
                || c.email_key.as_ref().is_some_and(|e| needs.emails.contains(e))
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
            email_key: customer.email_key.clone(),
            profile: customer.profile.clone(),
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

/// A customer with a name too.
fn named(id: &str, reference: Option<&str>, name: &str, email: &str) -> RemoteCustomer {
    let mut customer = customer(id, reference, email);
    customer.profile.name = Some(name.into());
    customer
}

fn by(plan: &CustomerPlan, id: &str) -> Option<&'static str> {
    plan.mirrors.iter().find(|row| row.id.as_str() == id).and_then(|row| row.linked_by)
}

#[test]
fn a_reference_does_not_link_who_is_somebody_else() {
    let (a, b) = (context("a", 0, Guard::Read), context("b", 1, Guard::Read));
    for (name, email, expected) in [
        ("Bo Berg", "bo@x", "ambiguous"),
        // One of the two agrees, however it is written, or is not known.
        ("Ada  Lee ", "bo@x", "reference"),
        ("Bo Berg", " ADA@x", "reference"),
        ("Bo Berg", "", "reference"),
        ("", "bo@x", "reference"),
    ] {
        let mut tables = Tables::default();
        tables.write(&a, 1, vec![named("1", Some("r"), "Ada Lee", "ada@x")]);
        let plan = tables.write(&b, 1, vec![named("9", Some("r"), name, email)]);
        assert_eq!(by(&plan, "9"), Some(expected), "{name} <{email}>");
        let same = tables.link("a", "1") == tables.link("b", "9");
        assert_eq!(same, expected == "reference", "{name} <{email}>");
        let own = tables.link("b", "9").expect("linked");
        assert_eq!(tables.customers[&own].reference.is_some(), same, "{name} <{email}>");
        // Once is enough: what it says later moves nothing.
        tables.write(&b, 2, vec![named("9", Some("r"), "Ada Lee", "ada@x")]);
        assert_eq!(tables.link("b", "9"), Some(own));
    }
}

#[test]
fn a_split_name_is_the_same_name() {
    let mut tables = Tables::default();
    let (a, b) = (context("a", 0, Guard::Read), context("b", 1, Guard::Read));
    tables.write(&a, 1, vec![named("1", Some("r"), "Ada Lee", "ada@x")]);
    let mut split = customer("9", Some("r"), "other@x");
    split.profile.first_name = Some("Ada".into());
    split.profile.last_name = Some("Lee".into());
    tables.write(&b, 1, vec![split]);
    assert_eq!(tables.link("a", "1"), tables.link("b", "9"));
}

#[test]
fn an_email_links_only_where_the_account_says_so_and_one_alone_fits() {
    let off = context("b", 1, Guard::Read);
    let on = Context { match_by_email: true, ..off.clone() };
    let a = context("a", 0, Guard::Read);
    let people = || {
        vec![
            customer("1", Some("r1"), "Ada@X"),
            customer("2", Some("r2"), "two@x"),
            customer("3", None, "two@x"),
            customer("4", None, "bo@x"),
        ]
    };
    let case = |context: &Context, reference: Option<&str>, email: &str, expected: &str| {
        let mut tables = Tables::default();
        tables.write(&a, 1, people());
        let plan = tables.write(context, 1, vec![customer("9", reference, email)]);
        assert_eq!(by(&plan, "9"), Some(expected), "{reference:?} {email}");
        let to = ["1", "2", "3", "4"]
            .into_iter()
            .find(|id| tables.link("a", id) == tables.link("b", "9"));
        (to, tables)
    };
    assert_eq!(case(&off, None, "ada@x", "no_reference").0, None);
    assert_eq!(case(&on, None, " ada@x", "email").0, Some("1"));
    assert_eq!(case(&on, None, "two@x", "ambiguous").0, None);
    assert_eq!(case(&on, None, "new@x", "no_reference").0, None);
    assert_eq!(case(&on, None, "", "no_reference").0, None);
    // A known reference goes first, another reference is another customer.
    assert_eq!(case(&on, Some("r2"), "ada@x", "reference").0, Some("2"));
    assert_eq!(case(&on, Some("r9"), "ada@x", "reference").0, None);
    // A record without a reference takes the customer's on: the next one with it goes there too.
    let (to, mut tables) = case(&on, Some("r9"), "bo@x", "email");
    assert_eq!(to, Some("4"));
    let record = tables.link("b", "9").expect("linked");
    assert_eq!(tables.customers[&record].reference.as_deref(), Some("r9"));
    let c = context("c", 2, Guard::Read);
    tables.write(&c, 1, vec![customer("7", Some("r9"), "elsewhere@x")]);
    assert_eq!(tables.link("c", "7"), Some(record));
}

#[test]
fn one_account_has_one_customer_of_an_email() {
    let a = context("a", 0, Guard::Read);
    let on = Context { match_by_email: true, ..context("b", 1, Guard::Read) };
    for together in [true, false] {
        let mut tables = Tables::default();
        tables.write(&a, 1, vec![customer("1", Some("r1"), "ada@x")]);
        let two = vec![customer("8", None, "ada@x"), customer("9", None, "ada@x")];
        if together {
            tables.write(&on, 1, two);
        } else {
            for one in two {
                tables.write(&on, 1, vec![one]);
            }
        }
        assert_eq!(tables.link("b", "8"), tables.link("a", "1"), "{together}");
        assert_ne!(tables.link("b", "9"), tables.link("a", "1"), "{together}");
    }
}
