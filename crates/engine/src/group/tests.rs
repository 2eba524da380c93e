//! Rule 4, case by case: what is known goes in, the next step comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use backend::{
    Capabilities, Endpoint, Endpoints, EventStyle, FieldRule, FindBy, ListOrder, MethodListing,
    SettleCreate, TokenRoute, TokenRule, Verb,
};
use model::{
    Address, CardFacts, Code, ContentHash, EffectId, EffectKind, Expiry, FieldName, Last4,
    MethodFacts, MethodKind, Origin, Outcome, Profile, Reference, RemoteCustomerId, RemoteMethodId,
    RunId, Timestamp, TokenKind,
};
use store::{
    EffectRow, EffectState, Group, KnownCustomer, KnownMethod, SealedToken, StagedMethod,
    StagedRow, Statement, TokenFp, TokenLink, Verdict,
};

mod full;
mod kept;
mod omitted;
mod shared;
mod wishes;

use super::{Add, CustomerNow, DUPLICATE, Fate, Policy, Presence, Rules, Step, Work};

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    kind: "test",
    create_customer: true,
    get_customer: true,
    update_customer: false,
    delete_customer: false,
    shows_deleted: false,
    find: FindBy::UniqueReference,
    customers_page: 100,
    customers_order: ListOrder::Unspecified,
    customers_total: false,
    methods: MethodListing::PerCustomer,
    methods_page: None,
    method_kinds: &[MethodKind::Card],
    tokens: &[
        TokenRule {
            kind: TokenKind::Processor,
            route: TokenRoute::Bulk,
            max_age: None,
            single_use: false,
            with_default: true,
        },
        TokenRule {
            kind: TokenKind::Proxynized,
            route: TokenRoute::Add,
            max_age: Some(Duration::from_secs(900)),
            single_use: true,
            with_default: false,
        },
    ],
    add_method: true,
    import_batch: Some(100),
    import_dedupes: false,
    set_default: true,
    default_readable: true,
    account_type_readable: true,
    remove_method: true,
    methods_per_customer: None,
    idempotency_keys: false,
    settle_create: SettleCreate::UniqueReference,
    fields: &[
        FieldRule { field: FieldName::Name, min: 0, max: None, required: false },
        FieldRule { field: FieldName::Email, min: 0, max: None, required: false },
    ],
    transliterated: &[],
    metadata_replaced: false,
    events: EventStyle::None,
    endpoints: Endpoints {
        list_customers: Endpoint::new(Verb::Get, "/customers"),
        get_customer: Some(Endpoint::new(Verb::Get, "/customers/{id}")),
        find_customer: Some(Endpoint::new(Verb::Get, "/customers?reference")),
        list_methods: Some(Endpoint::new(Verb::Get, "/customers/{id}/methods")),
        create_customer: Some(Endpoint::new(Verb::Post, "/customers")),
        update_customer: Some(Endpoint::new(Verb::Put, "/customers/{id}")),
        add_method: Some(Endpoint::new(Verb::Post, "/customers/{id}/methods")),
        import_methods: Some(Endpoint::new(Verb::Post, "/import")),
        set_default: Some(Endpoint::new(Verb::Put, "/customers/{id}/default")),
        credentials: Some(Endpoint::new(Verb::Post, "/token")),
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn reference() -> Reference {
    Reference::new("c1").expect("valid")
}

fn customer_id() -> RemoteCustomerId {
    RemoteCustomerId::new("cus_1").expect("valid")
}

fn method_id(text: &str) -> RemoteMethodId {
    RemoteMethodId::new(text).expect("valid")
}

fn fp(token: u8) -> TokenFp {
    TokenFp::from_bytes(&[token; 32]).expect("32 bytes")
}

fn card(last4: &str) -> MethodFacts {
    MethodFacts::Card(CardFacts {
        last4: Some(Last4::new(last4).expect("digits")),
        expiry: Some(Expiry::new(12, 2030).expect("in range")),
        ..CardFacts::default()
    })
}

fn row(line: u64, token: u8, facts: MethodFacts) -> StagedRow {
    StagedRow {
        method: Some(Box::new(StagedMethod {
            facts,
            billing: Address::default(),
            default: None,
            token: None,
            sealed: Some(SealedToken {
                kind: TokenKind::Processor,
                sealed: Vec::new(),
                fp: fp(token),
                created_at: None,
            }),
        })),
        ..alone(line)
    }
}

fn alone(line: u64) -> StagedRow {
    StagedRow {
        line,
        part: 0,
        head: line,
        tail: line,
        row_id: line.to_string(),
        reference: Some(reference()),
        profile: Box::new(Profile { name: Some("Ada".into()), ..Profile::default() }),
        method: None,
        unfit: None,
        plan: None,
        outcome: None,
        code: None,
        message: None,
        field: None,
    }
}

fn group(rows: Vec<StagedRow>) -> Group {
    Group {
        reference: reference(),
        rows,
        customers: Vec::new(),
        methods: Vec::new(),
        links: Vec::new(),
        statements: Vec::new(),
        effects: Vec::new(),
    }
}

fn there(rows: Vec<StagedRow>, methods: &[(&str, MethodFacts)]) -> Group {
    Group {
        customers: vec![KnownCustomer {
            id: customer_id(),
            customer: None,
            profile: Profile { name: Some("Ada".into()), ..Profile::default() },
            hash: ContentHash::from_bytes(&[0; 16]).expect("16 bytes"),
            as_of: NOW,
            methods_read_at: None,
        }],
        methods: methods
            .iter()
            .map(|(id, facts)| KnownMethod {
                customer: customer_id(),
                id: method_id(id),
                method: None,
                facts: facts.clone(),
                default: None,
                as_of: NOW,
            })
            .collect(),
        ..group(rows)
    }
}

fn link(reference: &str, token: u8, method: &str) -> TokenLink {
    TokenLink {
        reference: Reference::new(reference).expect("valid"),
        fp: fp(token),
        remote_customer: customer_id(),
        remote_method: method_id(method),
        how: "created".into(),
    }
}

/// The lines that have an outcome if the run ends here.
fn decided(work: &Work, rules: &Rules<'_>) -> Vec<u64> {
    let results = work.results_so_far(rules);
    results.iter().filter(|r| r.verdict.is_some()).map(|r| r.line).collect()
}

/// A stand-in for the store's keyed hash.
fn hash(field: &str, value: &str) -> String {
    format!("{field}={value}")
}

fn stated(fp: Option<TokenFp>, fields: &[(&str, &str)]) -> Statement {
    Statement {
        reference: reference(),
        fp,
        fields: fields.iter().map(|(f, v)| ((*f).to_owned(), hash(f, v))).collect(),
    }
}

fn work(group: Group) -> Work {
    let mut work = Work::new(group, &RunId::new("run").expect("valid"), &CAPABILITIES);
    work.settle_conflicts();
    work.compare(&rules(Policy::default()));
    work
}

fn rules(policy: Policy) -> Rules<'static> {
    Rules {
        capabilities: &CAPABILITIES,
        policy,
        now: NOW,
        hash: &hash,
        shared: const { &BTreeMap::new() },
        customer_fits: &|_, _| Ok(Vec::new()),
    }
}

fn decide(work: &mut Work, policy: Policy, planning: bool) -> Step {
    work.next(&rules(policy), planning)
}

fn remembered(work: &Work) -> Vec<Statement> {
    work.stated(&rules(Policy::default()))
}

fn next(work: &mut Work) -> Step {
    decide(work, Policy::default(), false)
}

fn verdicts(work: &Work) -> Vec<(Outcome, Option<Code>)> {
    let results = work.results(NOW).into_iter();
    results.map(|r| r.verdict.expect("finished")).map(|v| (v.outcome, v.code)).collect()
}

/// What is said of a row.
fn said(work: &Work, row: usize) -> Verdict {
    work.results(NOW)[row].verdict.clone().expect("finished")
}

fn bulk(row: usize) -> Add {
    Add { row, route: TokenRoute::Bulk }
}

fn rejected(code: Code) -> (Outcome, Option<Code>) {
    (Outcome::Rejected, Some(code))
}

#[test]
fn a_new_customer_is_created_before_its_methods_and_is_not_read() {
    let mut work = work(group(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))]));
    assert_eq!(next(&mut work), Step::Create { row: 0 });
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    assert_eq!(next(&mut work), Step::Save(vec![bulk(0), bulk(1)]));
}

#[test]
fn a_customer_that_was_there_is_read_before_the_first_add() {
    let mut work = work(there(vec![row(2, 1, card("4242"))], &[]));
    assert_eq!(next(&mut work), Step::ReadMethods);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Save(vec![bulk(0)]));
    let mut found = self::work(group(vec![row(2, 1, card("4242"))]));
    found.customer = CustomerNow::Present { id: customer_id(), how: Presence::Found };
    assert_eq!(next(&mut found), Step::ReadMethods);
}

#[test]
fn a_token_that_was_imported_before_is_kept_without_a_call() {
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None)]);
}

#[test]
fn what_was_imported_before_and_is_gone_stays_gone_unless_asked_for() {
    let mut group = there(vec![row(2, 1, card("4242"))], &[]);
    group.links = vec![link("c1", 1, "spm_1")];
    let mut work = work(group.clone());
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::RemovedAtProvider)]);

    let mut work = self::work(group);
    work.methods_read = true;
    let policy = Policy { restore_removed: true, ..Policy::default() };
    assert_eq!(decide(&mut work, policy, false), Step::Save(vec![bulk(0)]));
}

#[test]
fn a_customer_that_was_imported_before_and_is_gone_is_not_created_again() {
    let mut group = group(vec![alone(2)]);
    group.statements = vec![stated(None, &[("name", "Ada")])];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::RemovedAtProvider)]);
}

#[test]
fn a_customer_that_this_run_saw_gone_is_made_anew_if_that_is_asked_for() {
    let restore = Policy { restore_removed: true, ..Policy::default() };
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881"))];
    let mut group = there(rows, &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.statements = vec![stated(None, &[("name", "Ada")]), stated(Some(fp(1)), &[])];
    let gone = |policy| {
        let mut work = work(group.clone());
        assert_eq!(decide(&mut work, policy, false), Step::ReadMethods);
        assert!(matches!(work.rows[0].fate, Fate::Kept(_)));
        work.gone();
        let step = decide(&mut work, policy, false);
        (work, step)
    };
    let (left, step) = gone(Policy::default());
    assert_eq!(step, Step::Finished);
    assert_eq!(verdicts(&left), [rejected(Code::RemovedAtProvider); 2]);
    let (mut anew, step) = gone(restore);
    assert_eq!(step, Step::Create { row: 0 });
    anew.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    assert_eq!(decide(&mut anew, restore, false), Step::Save(vec![bulk(0), bulk(1)]));
}

#[test]
fn facts_tie_a_new_token_to_the_one_method_that_agrees() {
    let mut work = work(there(
        vec![row(2, 1, card("4242"))],
        &[("spm_1", card("4242")), ("spm_2", card("1881"))],
    ));
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Linked, Some(Code::MatchedByFacts))]);
    assert_eq!(work.ties().len(), 1);
}

#[test]
fn a_new_token_for_a_tied_method_is_declined_unless_asked_for() {
    let mut group = there(vec![row(2, 9, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    let mut work = work(group.clone());
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::TokenChanged)]);

    let mut work = self::work(group);
    work.methods_read = true;
    let policy = Policy { add_changed_tokens: true, ..Policy::default() };
    assert_eq!(decide(&mut work, policy, false), Step::Save(vec![bulk(0)]));
}

#[test]
fn too_few_facts_beside_existing_methods_are_declined() {
    let vague = MethodFacts::Card(CardFacts::default());
    let mut work = work(there(vec![row(2, 1, vague)], &[("spm_1", card("4242"))]));
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::FactsNeeded)]);
}

#[test]
fn two_adds_that_are_alike_are_never_under_way_together() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("4242"))];
    let mut work = work(group(rows));
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    assert_eq!(next(&mut work), Step::Save(vec![bulk(0)]));
    // Once the first is saved, the second is another token for the same card.
    work.rows[0].fate = Fate::Saved(method_id("spm_1"));
    work.methods = vec![KnownMethod {
        customer: customer_id(),
        id: method_id("spm_1"),
        method: None,
        facts: card("4242"),
        default: None,
        as_of: NOW,
    }];
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Created, None), rejected(Code::TokenChanged)]);
}

#[test]
fn a_plan_says_the_same_without_reading() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("4242")), row(4, 3, card("1881"))];
    let mut work = work(there(rows, &[]));
    assert_eq!(decide(&mut work, Policy::default(), true), Step::Save(vec![bulk(0), bulk(2)]));
    assert_eq!(
        work.rows[1].fate,
        Fate::Ended(Verdict {
            field: Some("token".into()),
            ..Verdict::with(
                Outcome::Rejected,
                Code::TokenChanged,
                "a payment method with these facts came from another token, earlier or in this \
                 file; --on-token-change add saves this one as well"
            )
        })
    );
}

#[test]
fn rows_that_contradict_each_other_are_all_declined() {
    let mut other = alone(3);
    other.profile.name = Some("Eve".into());
    let work = work(group(vec![row(2, 1, card("4242")), other]));
    assert_eq!(verdicts(&work), [rejected(Code::ConflictingRows); 2]);
    assert_eq!(said(&work, 0).field.as_deref(), Some("name"));
}

#[test]
fn two_defaults_contradict_each_other() {
    let mut rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881"))];
    for row in &mut rows {
        row.method.as_mut().expect("a card").default = Some(true);
    }
    let work = work(group(rows));
    assert_eq!(verdicts(&work), [rejected(Code::ConflictingRows); 2]);
    assert_eq!(said(&work, 0).field.as_deref(), Some("default"));
}

#[test]
fn an_exact_repeat_is_a_duplicate_row() {
    let mut rows = vec![row(2, 1, card("4242")), row(3, 1, card("4242"))];
    for row in &mut rows {
        row.method.as_mut().expect("a card").default = Some(true);
    }
    let mut work = work(group(rows));
    assert_eq!(next(&mut work), Step::Create { row: 0 });
    assert_eq!(verdicts(&work)[1], rejected(Code::DuplicateRow));
}

#[test]
fn an_old_token_is_declined_but_not_one_that_was_imported_before() {
    let mut old = row(2, 1, card("4242"));
    let sealed = old.method.as_mut().and_then(|m| m.sealed.as_mut()).expect("a token");
    sealed.kind = TokenKind::Proxynized;
    sealed.created_at = Some(Timestamp::from_seconds(1_800_000_000 - 901));
    let mut fresh = work(group(vec![old.clone()]));
    assert_eq!(next(&mut fresh), Step::Finished);
    assert_eq!(verdicts(&fresh), [rejected(Code::TokenExpired)]);

    let mut before = there(vec![old], &[("spm_1", card("4242"))]);
    before.links = vec![link("c1", 1, "spm_1")];
    let mut before = work(before);
    assert_eq!(next(&mut before), Step::Finished);
    assert_eq!(verdicts(&before), [(Outcome::Unchanged, None)]);
}

#[test]
fn a_single_use_token_of_another_customer_is_declined() {
    let mut used = row(2, 1, card("4242"));
    used.method.as_mut().and_then(|m| m.sealed.as_mut()).expect("a token").kind =
        TokenKind::Proxynized;
    let mut group = group(vec![used]);
    group.links = vec![link("somebody else", 1, "spm_9")];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::TokenReused)]);
}

#[test]
fn a_customer_alone_is_linked_the_first_time_and_unchanged_after() {
    let mut first = work(there(vec![alone(2)], &[]));
    assert_eq!(next(&mut first), Step::Finished);
    assert_eq!(verdicts(&first), [(Outcome::Linked, Some(Code::AlreadyThere))]);

    let mut again = there(vec![alone(2)], &[]);
    again.statements = remembered(&first);
    let mut again = work(again);
    assert_eq!(next(&mut again), Step::Finished);
    assert_eq!(verdicts(&again), [(Outcome::Unchanged, None)]);
}

#[test]
fn a_changed_name_is_a_wish_that_this_provider_cannot_take() {
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.statements = vec![stated(None, &[("name", "Eve")]), stated(Some(fp(1)), &[])];
    group.customers[0].profile.name = Some("Eve".into());
    let mut work = work(group);
    work.read(Profile { name: Some("Eve".into()), ..Profile::default() }, None);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::NotUpdatable)]);
    assert_eq!(said(&work, 0).field.as_deref(), Some("name"));
    // It was not taken, so what was stated before stays: the same file says so again the next
    // time, and the file of before is unchanged.
    let kept = remembered(&work);
    assert_eq!(kept[0].fields.get("name"), Some(&hash("name", "Eve")));
}

#[test]
fn an_unknown_outcome_outranks_a_wish_that_cannot_be() {
    let mut group = there(vec![row(2, 1, card("4242"))], &[]);
    group.statements = vec![stated(None, &[("name", "Eve")])];
    let mut work = work(group);
    work.read(Profile { name: Some("Eve".into()), ..Profile::default() }, None);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Save(vec![bulk(0)]));
    work.rows[0].fate =
        Fate::Ended(Verdict::with(Outcome::Unresolved, Code::OutcomeUnknown, "lost"));
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unresolved, Some(Code::OutcomeUnknown))]);
}

#[test]
fn every_changed_field_that_the_provider_holds_is_a_wish() {
    let mut row = alone(2);
    *row.profile = Profile {
        first_name: Some("Ann".into()),
        last_name: Some("Lee".into()),
        email: Some("new@b.c".into()),
        ..Profile::default()
    };
    let mut group = there(vec![row], &[]);
    group.statements = vec![stated(
        None,
        &[("name", "Anna Lee"), ("first_name", "Anna"), ("last_name", "Lee"), ("email", "a@b.c")],
    )];
    let mut work = work(group);
    let theirs = Profile { name: Some("Anna Lee".into()), ..Profile::default() };
    work.read(Profile { email: Some("a@b.c".into()), ..theirs }, None);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::NotUpdatable)]);
    let message = said(&work, 0).message.expect("there");
    assert!(message.starts_with("the file states another `name`, `email`, "), "{message}");
    let kept = remembered(&work);
    assert_eq!(kept[0].fields.get("name"), Some(&hash("name", "Anna Lee")));
    assert_eq!(kept[0].fields.get("email"), Some(&hash("email", "a@b.c")));
}

#[test]
fn beside_a_method_that_cannot_be_read_nothing_is_added() {
    let mut work = work(there(vec![row(2, 1, card("4242"))], &[]));
    work.methods_read = true;
    work.unreadable = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::FactsNeeded)]);
}

#[test]
fn a_default_whose_effect_was_cut_off_is_set_by_the_next_run() {
    let mut wanted = row(2, 1, card("4242"));
    wanted.method.as_mut().expect("a card").default = Some(true);
    let mut group = there(vec![wanted], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    let mut work = work(group);
    work.methods_read = true;
    let step = Step::SetDefault { row: 0, method: method_id("spm_1") };
    assert_eq!(next(&mut work), step);
    // While it is not done, it is not stated.
    let of_token = |work: &Work| remembered(work).into_iter().find(|s| s.fp.is_some());
    assert!(!of_token(&work).expect("kept").fields.contains_key("default"));
    work.rows[0].done.push(EffectKind::SetDefault);
    assert!(of_token(&work).expect("kept").fields.contains_key("default"));
}

#[test]
fn what_the_provider_has_is_no_wish() {
    let mut group = there(vec![alone(2)], &[]);
    group.customers[0].profile.name = Some("Ada".into());
    group.statements = vec![stated(None, &[("name", "Eve"), ("email", "e@b.c")])];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None)]);
    // An empty cell says nothing: what was stated of the e-mail stays.
    let kept = remembered(&work);
    assert_eq!(kept[0].fields.get("name"), Some(&hash("name", "Ada")));
    assert_eq!(kept[0].fields.get("email"), Some(&hash("email", "e@b.c")));
}

/// A card of this last 4 that the provider has with another expiry.
fn ending_in(last4: &str, year: u32) -> MethodFacts {
    let MethodFacts::Card(known) = card(last4) else { unreachable!("it is a card") };
    MethodFacts::Card(CardFacts { expiry: Some(Expiry::new(12, year).expect("valid")), ..known })
}

#[test]
fn a_changed_fact_of_a_saved_card_is_said() {
    let stated_in = |year: &str, theirs: u32| {
        let row = row(2, 1, card("4242"));
        let mut group = there(vec![row], &[("spm_1", ending_in("4242", theirs))]);
        group.links = vec![link("c1", 1, "spm_1")];
        let facts = [("last4", "4242"), ("exp_month", "12"), ("exp_year", year)];
        group.statements = vec![stated(None, &[("name", "Ada")]), stated(Some(fp(1)), &facts)];
        let mut work = work(group);
        assert_eq!(next(&mut work), Step::Finished);
        let kept = remembered(&work)[1].fields.get("exp_year").cloned();
        (verdicts(&work), said(&work, 0).field, kept)
    };
    // The file says 2030 by now.
    let field = Some("exp_year".to_owned());
    let before = Some(hash("exp_year", "2029"));
    let wish = vec![rejected(Code::NotUpdatable)];
    assert_eq!(stated_in("2029", 2029), (wish, field.clone(), before.clone()));
    let moved = vec![rejected(Code::ChangedAtProvider)];
    assert_eq!(stated_in("2029", 2031), (moved, field, before));
    // Renewed there as well: nothing is left to wish.
    let agreed = vec![(Outcome::Unchanged, None)];
    assert_eq!(stated_in("2029", 2030), (agreed, None, Some(hash("exp_year", "2030"))));
}

#[test]
fn a_method_that_this_run_saw_gone_is_not_kept() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881"))];
    let mut group = there(rows, &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.statements = vec![stated(None, &[("name", "Ada")])];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::ReadMethods);
    work.listed(Vec::new(), &rules(Policy::default()));
    let Step::Save(adds) = next(&mut work) else { panic!("the new card is saved") };
    assert_eq!(adds.iter().map(|add| add.row).collect::<Vec<_>>(), [1]);
    assert_eq!(verdicts(&work)[0], rejected(Code::RemovedAtProvider));
}

#[test]
fn a_run_that_stops_says_what_is_decided_and_what_was_done_for_the_rest() {
    let mut work = work(group(vec![row(2, 1, card("4242")), row(3, 2, card("1881")), alone(4)]));
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    work.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(decided(&work, &rules(Policy::default())), [2, 4]);
    assert_eq!(remembered(&work).len(), 2, "the customer and the saved card");
    // Its customer is there; its card is not.
    let so_far = work.results_so_far(&rules(Policy::default()));
    let open = so_far.iter().find(|result| result.line == 3).expect("its customer was made");
    assert_eq!((&open.remote_customer, &open.remote_method), (&Some(customer_id()), &None));
    work.rows[1].done.push(EffectKind::CreateCustomer);
    let so_far = work.results_so_far(&rules(Policy::default()));
    assert_eq!(so_far[1].done.as_deref(), Some("create_customer"));
}

#[test]
fn a_default_is_set_only_when_its_flag_has_changed() {
    let mut wanted = row(2, 1, card("4242"));
    wanted.method.as_mut().expect("a card").default = Some(true);
    let mut group = there(vec![wanted], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    let customer = stated(None, &[("name", "Ada")]);

    group.statements = vec![customer.clone(), stated(Some(fp(1)), &[("default", "false")])];
    let mut changed = work(group.clone());
    assert_eq!(next(&mut changed), Step::ReadMethods);
    changed.methods_read = true;
    let step = Step::SetDefault { row: 0, method: method_id("spm_1") };
    assert_eq!(next(&mut changed), step);

    // The file says what it said before; a payer who chose otherwise since is left alone.
    group.statements = vec![customer, stated(Some(fp(1)), &[("default", "true")])];
    let mut same = work(group);
    assert_eq!(next(&mut same), Step::Finished);
    assert_eq!(verdicts(&same), [(Outcome::Unchanged, None)]);
}

#[test]
fn a_default_that_the_save_cannot_carry_is_set_afterwards() {
    for (kind, wants) in [(TokenKind::Processor, false), (TokenKind::Proxynized, true)] {
        let mut wanted = row(2, 1, card("4242"));
        let method = wanted.method.as_mut().expect("a card");
        method.default = Some(true);
        method.sealed.as_mut().expect("a token").kind = kind;
        let mut work = work(group(vec![wanted]));
        work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
        work.rows[0].fate = Fate::Saved(method_id("spm_1"));
        let step = Step::SetDefault { row: 0, method: method_id("spm_1") };
        assert_eq!(next(&mut work), if wants { step } else { Step::Finished }, "{kind:?}");
        work.rows[0].done.push(EffectKind::SetDefault);
        assert_eq!(next(&mut work), Step::Finished);
    }
}

fn effect(kind: EffectKind, state: EffectState, run: &str, fp: Option<TokenFp>) -> EffectRow {
    EffectRow {
        id: EffectId::generate(),
        run: RunId::new(run).expect("valid"),
        kind,
        subject: "c1".into(),
        reference: Some(reference()),
        fp,
        line: Some(2),
        state,
        attempt: 1,
        origin: (state == EffectState::Done).then_some(Origin::Answered),
        remote_customer: Some(customer_id()),
        remote_method: Some(method_id("spm_1")),
        code: None,
        message: None,
    }
}

#[test]
fn what_a_person_must_settle_blocks_every_later_effect_of_its_customer() {
    let mut group = there(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))], &[]);
    let state = EffectState::Unresolved;
    group.effects = vec![effect(EffectKind::ImportMethod, state, "earlier", Some(fp(1)))];
    let mut work = work(group);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(
        verdicts(&work),
        [
            (Outcome::Unresolved, Some(Code::OutcomeUnknown)),
            (Outcome::NotAttempted, Some(Code::CustomerBlocked))
        ]
    );
}

#[test]
fn what_a_person_must_settle_is_said_by_every_later_import() {
    let unresolved = (Outcome::Unresolved, Some(Code::ChangedByOther));
    let unchanged = (Outcome::Unchanged, None);
    let lost = |kind| EffectRow {
        code: Some(Code::ChangedByOther.as_str().to_owned()),
        remote_method: Some(method_id("spm_2")),
        ..effect(kind, EffectState::Unresolved, "earlier", None)
    };
    // A default is said on the row of its payment method, a change of the customer on the first.
    for (kind, said_on) in [(EffectKind::SetDefault, 1), (EffectKind::UpdateCustomer, 0)] {
        let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881"))];
        let mut group = there(rows, &[("spm_1", card("4242")), ("spm_2", card("1881"))]);
        group.links = vec![link("c1", 1, "spm_1"), link("c1", 2, "spm_2")];
        group.effects = vec![lost(kind)];
        let id = group.effects[0].id.clone();
        for planning in [true, false] {
            let mut work = work(group.clone());
            assert_eq!(decide(&mut work, Policy::default(), planning), Step::Finished);
            let mut expected = [unchanged; 2];
            expected[said_on] = unresolved;
            assert_eq!(verdicts(&work), expected, "{kind:?}");
            let message = said(&work, said_on).message.unwrap_or_default();
            assert!(message.contains(id.as_str()), "{message}");
        }
    }
    // Of one that is not in this file, the row that wants to be the default says it.
    let mut wanted = row(2, 1, card("4242"));
    wanted.method.as_mut().expect("a card").default = Some(true);
    let mut group = there(vec![wanted], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.effects = vec![lost(EffectKind::SetDefault)];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [unresolved]);
}

#[test]
fn what_is_not_heard_of_leaves_every_row_of_its_customer_open() {
    for (state, run) in [
        (EffectState::Unknown, "earlier"),
        (EffectState::Unknown, "run"),
        (EffectState::Sending, "earlier"),
    ] {
        let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881")), row(4, 3, card("0005"))];
        let mut group = there(rows, &[("spm_3", card("0005"))]);
        group.links = vec![link("c1", 3, "spm_3")];
        group.effects = vec![effect(EffectKind::ImportMethod, state, run, Some(fp(1)))];
        let mut work = work(group);
        assert_eq!(next(&mut work), Step::Wait);
        assert_eq!(work.results_so_far(&rules(Policy::default())).len(), 0);
        // A plan says that nothing is sent for it now.
        assert_eq!(work.next(&rules(Policy::default()), true), Step::Finished);
        assert_eq!(work.rows[0].fate, Fate::Ended(super::decide::blocked()));
        assert_eq!(work.rows[2].fate, Fate::Kept(method_id("spm_3")));
    }
    // Heard of no more on the way: the rows that are decided are open again as well.
    let mut group = there(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))], &[]);
    group.links = vec![link("c1", 2, "spm_2")];
    let mut work = work(group);
    work.methods_read = true;
    assert!(matches!(next(&mut work), Step::Save(_)));
    work.rows[0].fate = Fate::Saved(method_id("spm_1"));
    work.waits();
    assert_eq!(next(&mut work), Step::Wait);
    assert!(work.results_so_far(&rules(Policy::default())).iter().all(|result| result.line == 3));
}

#[test]
fn what_was_found_after_a_lost_answer_is_this_runs_doing() {
    let later = |kind, fp| {
        let code = Some(Code::FoundLater.as_str().to_owned());
        EffectRow {
            origin: Some(Origin::Found),
            code,
            ..effect(kind, EffectState::Done, "run", fp)
        }
    };
    let found = (Outcome::Created, Some(Code::FoundLater));
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.effects = vec![later(EffectKind::ImportMethod, Some(fp(1)))];
    let mut method = work(group);
    assert_eq!(next(&mut method), Step::Finished);
    assert_eq!(verdicts(&method), [found]);
    // A customer is ours if it is as the file states it; its methods are listed all the same.
    let mut group = there(vec![alone(2), row(3, 1, card("4242"))], &[]);
    group.effects = vec![later(EffectKind::CreateCustomer, None)];
    let mut customer = work(group.clone());
    assert_eq!(next(&mut customer), Step::ReadMethods);
    assert!(customer.customer.is_created());
    // One that somebody else made meanwhile is not.
    group.customers[0].profile.name = Some("Somebody Else".into());
    group.rows[0].profile.name = Some("Ada".into());
    assert!(!work(group).customer.is_created());
}

#[test]
fn what_was_refused_before_its_row_was_written_is_not_sent_again() {
    let refused = |kind| {
        let code = Some(Code::NeverAnswered.as_str().to_owned());
        EffectRow { code, ..effect(kind, EffectState::Refused, "run", Some(fp(1))) }
    };
    let said = (Outcome::Refused, Some(Code::NeverAnswered));
    let mut method = there(vec![row(2, 1, card("4242"))], &[]);
    method.effects = vec![refused(EffectKind::ImportMethod)];
    let mut method = work(method);
    assert_eq!(next(&mut method), Step::Finished);
    assert_eq!(verdicts(&method), [said]);
    let mut customer = group(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))]);
    customer.effects = vec![refused(EffectKind::CreateCustomer)];
    let mut customer = work(customer);
    assert_eq!(next(&mut customer), Step::Finished);
    let failed = (Outcome::NotAttempted, Some(Code::CustomerFailed));
    assert_eq!(verdicts(&customer), [said, failed]);
}

#[test]
fn a_resumed_run_counts_what_it_did_before() {
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1")];
    group.effects = vec![
        effect(EffectKind::CreateCustomer, EffectState::Done, "run", None),
        effect(EffectKind::ImportMethod, EffectState::Done, "run", Some(fp(1))),
    ];
    let mut work = work(group);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Created, None)]);
    assert_eq!(work.results(NOW)[0].done.as_deref(), Some("create_customer+import_method"));
}

#[test]
fn what_this_run_sent_and_a_person_must_settle_is_unresolved_on_its_row() {
    let unresolved = (Outcome::Unresolved, Some(Code::OutcomeUnknown));
    let blocked = (Outcome::NotAttempted, Some(Code::CustomerBlocked));
    let state = EffectState::Unresolved;
    // A create: the customer is not known to be there.
    let mut lost = group(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))]);
    lost.effects = vec![effect(EffectKind::CreateCustomer, state, "run", None)];
    let mut lost = work(lost);
    assert_eq!(next(&mut lost), Step::Finished);
    assert_eq!(verdicts(&lost), [unresolved, blocked]);
    // A payment method that comes without a token.
    let mut wallet = row(2, 1, card("4242"));
    wallet.method.as_mut().expect("a method").sealed = None;
    let mut lost = there(vec![wallet], &[]);
    lost.effects = vec![effect(EffectKind::AddMethod, state, "run", None)];
    let mut lost = work(lost);
    assert_eq!(next(&mut lost), Step::Finished);
    assert_eq!(verdicts(&lost), [unresolved]);
    // Beside a payment method that is there.
    for kind in [EffectKind::UpdateCustomer, EffectKind::SetDefault] {
        let mut lost = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
        lost.links = vec![link("c1", 1, "spm_1")];
        lost.effects = vec![effect(kind, state, "run", None)];
        let mut lost = work(lost);
        assert_eq!(next(&mut lost), Step::Finished);
        assert_eq!(verdicts(&lost), [unresolved]);
    }
}

#[test]
fn what_is_said_of_a_row_stays_whatever_it_did() {
    let mut said = row(2, 1, card("4242"));
    said.outcome = Some(Outcome::Refused);
    said.code = Some(Code::ProviderRefused);
    let mut group = there(vec![said, row(3, 2, card("1881"))], &[("spm_1", card("4242"))]);
    group.effects = vec![effect(EffectKind::AddMethod, EffectState::Done, "run", Some(fp(1)))];
    // Nor is what it saved another row's, though no token ties it.
    group.rows[1].method.as_mut().expect("a card").facts = card("4242");
    let mut work = work(group);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    let said = (Outcome::Refused, Some(Code::ProviderRefused));
    assert_eq!(verdicts(&work), [said, rejected(Code::TokenChanged)]);
}

#[test]
fn what_a_resumed_run_found_is_not_its_doing() {
    let mut found = effect(EffectKind::ImportMethod, EffectState::Done, "run", Some(fp(1)));
    found.origin = Some(Origin::Found);
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.effects = vec![found];
    let mut method = work(group);
    assert_eq!(method.rows[0].fate, Fate::Tied(method_id("spm_1"), DUPLICATE));
    assert_eq!(next(&mut method), Step::Finished);
    assert_eq!(verdicts(&method), [(Outcome::Linked, Some(Code::AlreadyThere))]);

    let mut found = effect(EffectKind::CreateCustomer, EffectState::Done, "run", None);
    (found.origin, found.remote_method) = (Some(Origin::Found), None);
    let mut group = there(vec![alone(2)], &[]);
    group.effects = vec![found];
    let mut customer = work(group);
    assert_eq!(next(&mut customer), Step::Finished);
    assert_eq!(verdicts(&customer), [(Outcome::Linked, Some(Code::AlreadyThere))]);
    assert_eq!(customer.results(NOW)[0].done, None);
}

#[test]
fn rows_behind_a_customer_that_failed_are_not_attempted() {
    let mut work = work(group(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))]));
    work.customer =
        CustomerNow::Failed(Verdict::with(Outcome::Refused, Code::ProviderRefused, "no"));
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(
        verdicts(&work),
        [
            (Outcome::Refused, Some(Code::ProviderRefused)),
            (Outcome::NotAttempted, Some(Code::CustomerFailed))
        ]
    );
}

#[test]
fn an_expired_card_is_imported_with_its_code_or_declined_if_asked() {
    let old = MethodFacts::Card(CardFacts {
        last4: Some(Last4::new("4242").expect("digits")),
        expiry: Some(Expiry::new(1, 2020).expect("in range")),
        ..CardFacts::default()
    });
    let rows = vec![row(2, 1, old)];
    let mut taken = work(group(rows.clone()));
    taken.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    taken.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(verdicts(&taken), [(Outcome::Created, Some(Code::CardExpired))]);

    let mut declined = work(group(rows));
    let policy = Policy { reject_expired: true, ..Policy::default() };
    assert_eq!(decide(&mut declined, policy, false), Step::Finished);
    assert_eq!(verdicts(&declined), [rejected(Code::CardExpired)]);
}

#[test]
fn planning_after_applying_finds_nothing_to_do() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881")), alone(4)];
    let mut first = work(group(rows.clone()));
    assert_eq!(next(&mut first), Step::Create { row: 0 });
    first.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    let Step::Save(adds) = next(&mut first) else { panic!("expected adds") };
    let mut after = there(rows, &[("spm_0", card("4242")), ("spm_1", card("1881"))]);
    for add in adds {
        let id = format!("spm_{}", add.row);
        after.links.push(TokenLink {
            fp: first.rows[add.row].fp().expect("a token"),
            ..link("c1", 0, &id)
        });
        first.rows[add.row].fate = Fate::Saved(method_id(&id));
    }
    assert_eq!(next(&mut first), Step::Finished);
    after.statements = remembered(&first);
    let mut again = work(after);
    assert_eq!(decide(&mut again, Policy::default(), true), Step::Finished);
    assert_eq!(verdicts(&again), [(Outcome::Unchanged, None); 3]);
    assert_eq!(BTreeMap::from_iter(again.ties().into_iter().map(|t| (t.fp, t.how))).len(), 0);
}

#[test]
fn planning_tells_what_applying_reads() {
    let reads = |mut work: Work| {
        decide(&mut work, Policy::default(), true);
        work.reads(&rules(Policy::default()))
    };
    let fresh = || row(2, 1, card("4242"));
    // Nobody there: nothing is read.
    assert_eq!(reads(work(group(vec![fresh()]))), (false, false));
    // A method that may be there already is looked for.
    assert_eq!(reads(work(there(vec![fresh()], &[]))), (false, true));
    // One that was imported before is not.
    let mut kept = there(vec![fresh()], &[("m1", card("4242"))]);
    kept.links.push(link("c1", 1, "m1"));
    assert_eq!(reads(work(kept.clone())), (false, false));
    // A field that the file states otherwise than before is looked at.
    kept.statements.push(stated(None, &[("name", "Eve")]));
    let mut wished = alone(3);
    wished.profile.name = Some("Eva".into());
    kept.rows = vec![wished];
    assert_eq!(reads(work(kept)), (true, false));
}
