use model::{CardFacts, Expiry, Last4, MethodKind, Profile, Timestamp, digest};

use super::super::merge::{merge_facts, merge_profiles};
use super::super::{Guard, to_json};
use super::*;

fn context() -> Context {
    Context {
        account: AccountName::new("b").expect("a name"),
        namespace: "default".into(),
        match_by_email: false,
        rank: 1,
        file_rank: u32::MAX,
        cause: "person".into(),
        run: None,
        now: Timestamp::from_seconds(9),
        guard: Guard::Answer,
    }
}

fn remote(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn vote<T>(account: &str, rank: u32, customer: &str, method: &str, content: T) -> Vote<T> {
    Vote {
        rank,
        account: AccountName::new(account).expect("a name"),
        customer: remote(customer),
        method: method.to_owned(),
        as_of: Timestamp::from_seconds(1),
        content,
    }
}

fn named(name: &str) -> Profile {
    Profile { name: Some(name.into()), ..Profile::default() }
}

fn card(last4: &str) -> MethodFacts {
    MethodFacts::Card(CardFacts {
        last4: Last4::new(last4).ok(),
        expiry: Expiry::new(1, 2031).ok(),
        ..CardFacts::default()
    })
}

/// A record of these votes.
fn record(reference: Option<&str>, votes: Vec<Vote<Profile>>) -> CanonicalCustomer {
    let (profile, sources) = merge_profiles(&votes);
    CanonicalCustomer {
        id: CustomerId::generate(),
        reference: reference.map(str::to_owned),
        email_key: None,
        profile: to_json(&profile),
        sources: sources.to_json(),
        hash: digest(&profile),
        votes,
    }
}

fn method_record(customer: &CustomerId, votes: Vec<Vote<MethodFacts>>) -> CanonicalMethod {
    let (facts, sources) = merge_facts(&votes).expect("there are votes");
    CanonicalMethod {
        id: MethodId::generate(),
        customer: customer.clone(),
        hash: digest(&facts),
        facts,
        sources: sources.to_json(),
        votes,
    }
}

/// Two accounts on one record, each with the same card; `b` has another card and another customer,
/// with a record of its own.
fn shared() -> (LinkRows, CustomerId, CustomerId) {
    let both = record(
        Some("r"),
        vec![vote("a", 0, "1", "", named("A")), vote("b", 1, "9", "", named("B"))],
    );
    let other = record(None, vec![vote("b", 1, "8", "", named("C"))]);
    let (shared, elsewhere) = (both.id.clone(), other.id.clone());
    let card1 = method_record(
        &shared,
        vec![vote("a", 0, "1", "m1", card("1111")), vote("b", 1, "9", "x1", card("1111"))],
    );
    let card2 = method_record(&shared, vec![vote("b", 1, "9", "x2", card("2222"))]);
    let b = AccountName::new("b").expect("a name");
    let a = AccountName::new("a").expect("a name");
    let mut rows = LinkRows::default();
    for (id, of, name) in [("9", &both, "B"), ("8", &other, "C")] {
        let row = MirrorCustomer {
            reference: None,
            profile: to_json(&named(name)),
            hash: digest(&named(name)),
            state: MirrorState::Live,
            as_of: Timestamp::from_seconds(1),
            customer: Some(of.id.clone()),
        };
        rows.mirror.insert(remote(id), row);
        rows.near.insert(of.id.clone());
    }
    rows.linked = HashMap::from([(shared.clone(), 2), (elsewhere.clone(), 1)]);
    for (id, of, facts) in [("x1", &card1, card("1111")), ("x2", &card2, card("2222"))] {
        let key = (remote("9"), RemoteMethodId::new(id).expect("an id"));
        let row = MirrorMethod {
            expires: None,
            attributes: None,
            customer: key.0.clone(),
            id: key.1.clone(),
            kind: MethodKind::Card,
            facts: to_json(&facts),
            default: None,
            hash: digest(&facts),
            state: MirrorState::Live,
            as_of: Timestamp::from_seconds(1),
            remote_created_at: None,
            removed_at: None,
            credential: None,
            method: Some(of.id.clone()),
        };
        rows.methods.insert(key, row);
    }
    let owner = |account: &AccountName, id: &str| (account.clone(), remote(id));
    rows.method_owners.insert(card1.id.clone(), [owner(&a, "1"), owner(&b, "9")].into());
    rows.method_owners.insert(card2.id.clone(), [owner(&b, "9")].into());
    rows.method_records = vec![card1, card2];
    rows.records = vec![both, other];
    (rows, shared, elsewhere)
}

fn to(id: &str, to: LinkTo) -> LinkMove {
    LinkMove { remote_customer: remote(id), to, methods: Vec::new() }
}

#[test]
fn an_unlinked_customer_takes_along_what_is_its_own() {
    let (rows, shared, _) = shared();
    let own = rows.method_records[1].id.clone();
    let (plan, answers) = link(&context(), rows, vec![to("9", LinkTo::Own)]).expect("planned");
    let moved = answers[0].as_ref().expect("moved");
    assert_eq!(moved.before.as_ref(), Some(&shared));
    assert_ne!(moved.after, shared);
    // A record of its own, and the other one as the other account has it.
    let made = plan.customers.iter().find(|row| row.id == moved.after).expect("made");
    assert_eq!((made.reference.as_deref(), made.profile.as_str()), (None, r#"{"name":"B"}"#));
    let left = plan.customers.iter().find(|row| row.id == shared);
    assert!(left.is_none(), "the first account's values were the record's before: {left:?}");
    // The shared card gets a record of its own, the other's record goes along.
    assert_eq!(plan.along, [(own.clone(), moved.after.clone())]);
    assert_eq!(plan.methods.len(), 1);
    assert_eq!(plan.methods[0].customer, moved.after);
    let fields: Vec<_> = plan.changes.iter().map(|c| (c.subject, c.field.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("method", "link.x1"),
            ("method", "link.x1"),
            ("method", "customer"),
            ("customer", "link.9"),
            ("customer", "link.9"),
        ]
    );
}

#[test]
fn who_is_alone_is_its_own_already() {
    let (rows, _, elsewhere) = shared();
    let (plan, answers) = link(&context(), rows, vec![to("8", LinkTo::Own)]).expect("planned");
    let moved = answers[0].as_ref().expect("answered");
    assert_eq!((moved.before.as_ref(), &moved.after), (Some(&elsewhere), &elsewhere));
    assert!(plan.customers.is_empty() && plan.changes.is_empty());
    // A person has said so from now on.
    assert_eq!(plan.links, [(remote("8"), elsewhere)]);
}

#[test]
fn one_account_has_one_customer_for_a_record() {
    let (rows, shared_id, elsewhere) = shared();
    let reference = LinkTo::Reference(model::Reference::new("r").expect("a reference"));
    let moves = vec![to("8", reference), to("9", LinkTo::Customer(elsewhere.clone()))];
    // Not even where the other one leaves: the links as they are decide, in whatever order.
    let (plan, answers) = link(&context(), rows, moves).expect("planned");
    for (answer, customer, by) in [(&answers[0], &shared_id, "9"), (&answers[1], &elsewhere, "8")] {
        let refused = LinkRefused::Taken {
            account: AccountName::new("b").expect("a name"),
            customer: customer.clone(),
            by: remote(by),
        };
        assert_eq!(answer.as_ref(), Err(&refused));
    }
    assert!(plan.links.is_empty() && plan.changes.is_empty());
    let (rows, ..) = shared();
    let strange = LinkTo::Customer(CustomerId::generate());
    let (_, answers) =
        link(&context(), rows, vec![to("8", strange), to("7", LinkTo::Own)]).expect("planned");
    assert!(matches!(answers[0], Err(LinkRefused::NoSuchCustomer { .. })), "{answers:?}");
    assert!(matches!(answers[1], Err(LinkRefused::NoSuchRemote { .. })), "{answers:?}");
}

#[test]
fn methods_go_where_facts_or_a_person_say() {
    let (mut rows, shared_id, elsewhere) = shared();
    // The other record, from another account, has the shared card and one like nothing of ours.
    for record in &mut rows.records {
        if record.id == elsewhere {
            record.votes = vec![vote("a", 0, "5", "", named("C"))];
        }
    }
    rows.mirror.remove(&remote("8"));
    let same = method_record(&elsewhere, vec![vote("a", 0, "5", "m5", card("1111"))]);
    let renewed = method_record(&elsewhere, vec![vote("a", 0, "5", "m6", card("3333"))]);
    let (same_id, renewed_id) = (same.id.clone(), renewed.id.clone());
    let old = rows.method_records.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    rows.method_records.extend([same, renewed]);
    let mut one = to("9", LinkTo::Customer(elsewhere.clone()));
    let x2 = RemoteMethodId::new("x2").expect("an id");
    one.methods = vec![(x2.clone(), renewed_id.clone())];
    let (plan, answers) = link(&context(), rows, vec![one]).expect("planned");
    let moved = answers[0].as_ref().expect("moved");
    assert_eq!((moved.before.as_ref(), &moved.after), (Some(&shared_id), &elsewhere));
    let went: Vec<_> = moved.methods.iter().map(|m| (m.before.clone(), m.after.clone())).collect();
    assert_eq!(
        went,
        [(Some(old[0].clone()), Some(same_id)), (Some(old[1].clone()), Some(renewed_id))]
    );
    assert!(plan.along.is_empty());
    // A method that the record does not have, or that is not the customer's, refuses the move.
    for (method, to_method) in [("x2", MethodId::generate()), ("x9", MethodId::generate())] {
        let (rows, shared_id, _) = shared();
        let mut one = to("9", LinkTo::Customer(shared_id));
        one.methods = vec![(RemoteMethodId::new(method).expect("an id"), to_method)];
        let (_, answers) = link(&context(), rows, vec![one]).expect("planned");
        let refused = answers[0].as_ref().expect_err("refused");
        assert_eq!(refused.code(), model::Code::NoSuchMethod, "{refused:?}");
    }
}
