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

mod customer;
mod default;
mod effects;
mod full;
mod kept;
mod method;
mod omitted;
mod plan;
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
            by_person: false,
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
