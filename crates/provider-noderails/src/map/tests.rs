use backend::NewMethod;
use model::{CardFacts, Reference, Timestamp, TokenKind};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

mod outcomes;

const APP: &str = "0b54a9b4-52a3-4a5f-8f1b-1f0b2f6a9c11";
const EVM: &str = "0x52908400098527886E0F7030069857D2E4169EE7";
const EVM_STORED: &str = "0x52908400098527886e0f7030069857d2e4169ee7";
const SOLANA: &str = "7EqQdEULxWcraVx3mXKFjc84LhCkMGZCkRuDpvcMwJeK";

fn cus(id: &str) -> RemoteCustomerId {
    RemoteCustomerId::new(id).expect("an id")
}

fn wal(id: &str) -> RemoteMethodId {
    RemoteMethodId::new(id).expect("an id")
}

fn create(profile: Profile) -> Effect {
    Effect::CreateCustomer { reference: Reference::new("R-CANARY").expect("valid"), profile }
}

fn update(changes: Profile, metadata: Option<&str>) -> Effect {
    let metadata = metadata.map(str::to_owned);
    Effect::UpdateCustomer { customer: cus("c1"), changes, metadata }
}

fn facts(chain_id: u64, address: &str) -> MethodFacts {
    MethodFacts::CryptoWallet(WalletFacts::new(chain_id, address))
}

fn add(facts: MethodFacts) -> Effect {
    Effect::AddMethod(NewMethod {
        customer: cus("c1"),
        facts,
        token: None,
        billing: model::Address::default(),
        default: true,
    })
}

fn full() -> Profile {
    let mut profile = Profile {
        metadata: [("tier".to_owned(), "go\"ld".to_owned())].into(),
        phone: Some("1".into()),
        ..Profile::default()
    };
    for (field, value) in [
        (FieldName::Email, "ada-canary@example.com"),
        (FieldName::Name, "Ada Kovač"),
        (FieldName::Line1, "1 Elm, Apt 2"),
        (FieldName::City, "Zagreb"),
        (FieldName::State, "ZG"),
        (FieldName::Country, "HR"),
        (FieldName::PostalCode, "10000"),
    ] {
        profile.set(field, Some(value.to_owned()));
    }
    profile
}

fn body(prepared: &Prepared) -> &str {
    std::str::from_utf8(prepared.body.expose_secret()).expect("UTF-8")
}

fn sent(effect: &Effect) -> Prepared {
    prepare(effect, APP).expect("it can be sent")
}

#[test]
fn requests_are_exact_and_hold_no_null() {
    let email = Profile { email: Some("b@example.com".into()), ..Profile::default() };
    let tier = |value: &str| Profile {
        metadata: [("tier".to_owned(), value.to_owned())].into(),
        ..Profile::default()
    };
    let theirs =
        r#"{ "seen" : 1.0, "tier":"silver","big":12345678901234567890123, "n":{"a":[null]}}"#;
    let remove = Effect::RemoveMethod { customer: cus("c1"), method: wal("w 1") };
    let full_text = r#""email":"ada-canary@example.com","name":"Ada Kovač","address":"1 Elm, Apt 2","city":"Zagreb","state":"ZG","country":"HR","postalCode":"10000","metadata":{"tier":"go\"ld"}"#;
    let wallet =
        |chain: u64, address: &str| format!(r#"{{"chainId":{chain},"walletAddress":"{address}"}}"#);
    let sui = format!("0x00{}", "A".repeat(62));
    for (effect, line, text) in [
        (
            create(full()),
            "POST /customers",
            format!(r#"{{"appId":"{APP}","externalId":"R-CANARY",{full_text}}}"#),
        ),
        (
            create(Profile::default()),
            "POST /customers",
            format!(r#"{{"appId":"{APP}","externalId":"R-CANARY"}}"#),
        ),
        (update(full(), Some("{}")), "PUT /customers/c1", format!("{{{full_text}}}")),
        (
            // What is not changed is not sent: metadata neither, though it was read.
            update(email, Some(theirs)),
            "PUT /customers/c1",
            r#"{"email":"b@example.com"}"#.to_owned(),
        ),
        (
            update(tier("gold"), Some(theirs)),
            "PUT /customers/c1",
            r#"{"metadata":{"big":12345678901234567890123,"n":{"a":[null]},"seen":1.0,"tier":"gold"}}"#
                .to_owned(),
        ),
        (add(facts(1, EVM)), "POST /customers/c1/wallets", wallet(1, EVM_STORED)),
        (add(facts(103, SOLANA)), "POST /customers/c1/wallets", wallet(103, SOLANA)),
        (
            add(facts(203, &sui)),
            "POST /customers/c1/wallets",
            wallet(203, &sui.to_ascii_lowercase()),
        ),
        (remove, "DELETE /customers/c1/wallets/w%201", String::new()),
    ] {
        let prepared = sent(&effect);
        assert_eq!(format!("{} {}", prepared.verb.as_str(), prepared.path), line);
        assert_eq!(body(&prepared), text);
        assert_eq!((prepared.kind, prepared.items), (effect.kind(), 1));
        assert!(!format!("{prepared:?}").to_lowercase().contains("canary"));
    }
}

#[test]
fn a_field_has_the_length_that_the_provider_takes() {
    for (field, most) in [
        (FieldName::Name, 255),
        (FieldName::Email, 255),
        (FieldName::Line1, 500),
        (FieldName::City, 255),
        (FieldName::State, 255),
        (FieldName::Country, 255),
        (FieldName::PostalCode, 50),
    ] {
        let of = |length: usize| {
            let mut profile = Profile::default();
            profile.set(field, Some("č".repeat(length)));
            profile
        };
        for effect in [create(of(most)), update(of(most), None)] {
            assert!(prepare(&effect, APP).is_ok(), "{field:?}");
        }
        for effect in [create(of(most + 1)), update(of(most + 1), None)] {
            let rejection = prepare(&effect, APP).expect_err("too long");
            assert_eq!((rejection.code, rejection.field), (Code::FieldLength, Some(field)));
            for number in [most + 1, most] {
                assert!(rejection.message.contains(&number.to_string()), "{rejection}");
            }
        }
    }
}

#[test]
fn what_cannot_be_sent_is_rejected_with_its_reason() {
    let with = |field, value: &str| {
        let mut profile = Profile::default();
        profile.set(field, Some(value.to_owned()));
        profile
    };
    let metadata = |key: &str, value: &str| Profile {
        metadata: [(key.to_owned(), value.to_owned())].into(),
        ..Profile::default()
    };
    let tier = metadata("tier", "gold");
    let token = Token { kind: TokenKind::Gateway, value: "CANARY".into(), created_at: None };
    let with_token = NewMethod {
        customer: cus("c1"),
        facts: facts(1, EVM),
        token: Some(token),
        billing: model::Address::default(),
        default: false,
    };
    let dots = |customer: &str, method: &str| Effect::RemoveMethod {
        customer: cus(customer),
        method: wal(method),
    };
    let set_default = Effect::SetDefault { customer: cus("c1"), method: wal("w1") };
    let (name, meta) = (Some(FieldName::Name), Some(FieldName::Metadata));
    for (effect, code, field, says) in [
        (create(with(FieldName::Name, "a\0b")), Code::FieldCharset, name, "NUL"),
        (create(metadata("tier", "\0")), Code::FieldCharset, meta, "NUL"),
        (update(metadata("\0", "x"), Some("{}")), Code::FieldCharset, meta, "NUL"),
        (update(tier.clone(), None), Code::NotUpdatable, meta, "replaces"),
        (update(tier.clone(), Some("[]")), Code::NotUpdatable, meta, "replaces"),
        (update(tier, Some("")), Code::NotUpdatable, meta, "replaces"),
        (
            add(MethodFacts::Card(CardFacts::default())),
            Code::MethodKindUnsupported,
            None,
            "wallets",
        ),
        (Effect::AddMethod(with_token.clone()), Code::TokenKindUnsupported, None, "no token"),
        (add(facts(0, EVM)), Code::BadValue, None, "`chain_id`"),
        (Effect::ImportMethods(vec![with_token]), Code::NotUpdatable, None, "one wallet"),
        (set_default, Code::NotUpdatable, None, "default"),
        (Effect::DeleteCustomer { customer: cus("c1") }, Code::NotUpdatable, None, "delete"),
        (dots("c1", ".."), Code::BadValue, None, "path"),
        (dots(".", "w1"), Code::BadValue, None, "path"),
    ] {
        let rejection = prepare(&effect, APP).expect_err("it cannot be sent");
        assert_eq!((rejection.code, rejection.field), (code, field), "{rejection}");
        assert!(rejection.message.contains(says), "{rejection}");
        assert!(!rejection.message.contains("CANARY"));
        // Staging asks without a request, and must hear the same of the row.
        let tried = match &effect {
            Effect::AddMethod(new) => Some((TokenRoute::Add, new)),
            Effect::ImportMethods(all) => all.first().map(|new| (TokenRoute::Bulk, new)),
            _ => None,
        };
        if let Some((route, new)) = tried {
            assert_eq!(accepts(route, &new.facts, new.token.as_ref()), Err(rejection));
        }
    }
}

#[test]
fn an_address_is_of_the_form_of_a_chain() {
    let sui = |digits: usize| format!("0x{}", "f".repeat(digits));
    let base58 = |length: usize| "z".repeat(length);
    let upper = EVM.to_uppercase();
    for right in [EVM.into(), upper, SOLANA.into(), sui(1), sui(64), base58(32), base58(44)] {
        assert!(accepts(TokenRoute::Add, &facts(1, &right), None).is_ok(), "{right}");
    }
    let wrong = [
        String::new(),
        "0x".to_owned(),
        sui(65),
        format!("0x{}g", "f".repeat(39)),
        format!(" {EVM}"),
        base58(31),
        base58(45),
        SOLANA.replace('7', "0"),
        SOLANA.replace('7', "O"),
        SOLANA.replace('7', "I"),
        SOLANA.replace('7', "l"),
        SOLANA.replace('7', "é"),
    ];
    for wrong in wrong {
        let rejection =
            accepts(TokenRoute::Add, &facts(1, &wrong), None).expect_err("no chain's address");
        assert_eq!(rejection.code, Code::BadValue, "{wrong}");
        assert!(rejection.message.starts_with("`wallet_address`"), "{rejection}");
        assert!(wrong.len() < 10 || !rejection.message.contains(&wrong), "{rejection}");
    }
}

fn wallet_row() -> Value {
    json!({
        "id": "4f5fd1a1-2f0a-4a0e-9a5b-2c9f2a3b4c5d", "customerAccountId": "c1", "chainId": 8453,
        "walletAddress": EVM, "hasActiveAuthorization": true, "authorizationType": "PERMIT",
        "authorizationTxHash": format!("0x{}", "4111".repeat(16)),
        "authorizedAt": "2026-01-02T03:04:05.678Z", "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z", "chain": {"chainId": 8453, "name": "Base"},
    })
}

fn customer_row() -> Value {
    json!({
        "id": "8d0f3f2e-7a60-4a54-b8a5-0b6a6f6a7c01", "appId": APP, "externalId": "R-1",
        "email": "ada@example.com", "name": "Ada", "address": "1 Elm", "city": "Zagreb",
        "state": "ZG", "country": "HR", "postalCode": "10000",
        "metadata": {"tier": "gold", "seen": 1, "tags": ["a", {"b": null}], "none": null},
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
        "wallets": [wallet_row()],
        // What a list and a get have beside it.
        "_count": {"paymentIntents": 1, "subscriptions": 0, "invoices": 0},
        "app": {"id": APP, "name": "Shop"}, "paymentIntents": [{"id": "p1"}], "invoices": [],
    })
}

#[test]
fn a_customer_is_read_with_its_wallets() {
    let row = customer_row();
    let id = row["id"].as_str().expect("a text").to_owned();
    let verbatim = HashMap::from([(id.clone(), "{ }".to_owned())]);
    let read = customer_read(&row, &verbatim).expect("readable");
    assert_eq!((read.id.as_str(), read.reference.as_deref()), (id.as_str(), Some("R-1")));
    assert_eq!((read.metadata.as_deref(), read.status), (Some("{ }"), RemoteStatus::Live));
    assert_eq!(read.created_at, Timestamp::parse_rfc3339("2026-01-01T00:00:00Z"));
    let profile = |field| read.profile.get(field).unwrap_or("-");
    let texts: Vec<_> = FIELDS.iter().map(|rule| profile(rule.field)).collect();
    assert_eq!(texts, ["Ada", "ada@example.com", "1 Elm", "Zagreb", "ZG", "10000", "HR", "-"]);
    let metadata: Vec<_> = read.profile.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(metadata, ["seen=1", r#"tags=["a",{"b":null}]"#, "tier=gold"]);
    let wallets = read.methods.expect("inline");
    let [wallet] = wallets.as_slice() else { panic!("one") };
    assert_eq!(wallet.id.as_str(), "4f5fd1a1-2f0a-4a0e-9a5b-2c9f2a3b4c5d");
    assert_eq!(wallet.facts, facts(8453, EVM_STORED));
    assert_eq!((wallet.default, wallet.created_at), (None, read.created_at));
    let attributes: Vec<_> = wallet.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        attributes,
        [
            "authorization=active".to_owned(),
            format!("authorization_tx_hash=0x{}", "4111".repeat(16)),
            "authorization_type=PERMIT".to_owned(),
            "authorized_at=2026-01-02T03:04:05.678Z".to_owned(),
        ]
    );
}

#[test]
fn what_is_not_stated_is_not_known() {
    let bare = json!({
        "id": "cust_abc123", "externalId": null, "email": "", "name": null, "metadata": null,
        "wallets": [
            {"id": 7, "chainId": "103", "walletAddress": SOLANA, "hasActiveAuthorization": false,
             "authorizationType": null, "authorizationTxHash": null, "authorizedAt": null,
             "createdAt": "soon", "chain": null},
            {"id": "w2", "chainId": 203, "walletAddress": "0x0ABC"},
        ],
    });
    let read = customer_read(&bare, &HashMap::new()).expect("readable");
    assert_eq!((read.reference, read.metadata, read.created_at), (None, None, None));
    assert_eq!(read.profile, Profile::default());
    let wallets = read.methods.expect("inline");
    let read: Vec<_> = wallets.iter().map(|w| (w.id.as_str(), &w.facts)).collect();
    assert_eq!(read, [("7", &facts(103, SOLANA)), ("w2", &facts(203, "0x0abc"))]);
    let attributes: Vec<_> = wallets.iter().map(|w| w.attributes.clone()).collect();
    let none = BTreeMap::from([("authorization".to_owned(), "none".to_owned())]);
    assert_eq!(attributes, [none, BTreeMap::new()]);
}

#[test]
fn a_customer_that_cannot_be_read_whole_is_not_read() {
    let without = |name: &str| {
        let mut row = customer_row();
        row.as_object_mut().expect("an object").remove(name);
        row
    };
    let with = |name: &str, value: Value| {
        let mut row = customer_row();
        row[name] = value;
        row
    };
    let wallet = |name: &str, value: Value| {
        let mut wallet = wallet_row();
        wallet[name] = value;
        with("wallets", json!([wallet_row(), wallet]))
    };
    for (row, why) in [
        (json!("secret"), "not an object"),
        (without("id"), "no id"),
        (with("id", json!("")), "no id"),
        (with("id", json!("x".repeat(256))), "too long"),
        (with("email", json!(["secret"])), "`email`"),
        // One that does not show its wallets would seem to have none.
        (without("wallets"), "does not show its wallets"),
        (with("wallets", Value::Null), "does not show its wallets"),
        (with("wallets", json!({})), "not a list"),
        (with("wallets", json!(["secret"])), "not an object"),
        (wallet("id", Value::Null), "a wallet has no id"),
        (wallet("chainId", Value::Null), "a wallet has no chain"),
        (wallet("chainId", json!("secret")), "a wallet has no chain"),
        (wallet("chainId", json!(-1)), "a wallet has no chain"),
        (wallet("walletAddress", Value::Null), "a wallet has no address"),
        // One page of the documentation calls it `address`: wrong.
        (with("wallets", json!([{"id": "w", "chainId": 1, "address": EVM}])), "no address"),
    ] {
        let unfit = customer_read(&row, &HashMap::new()).expect_err(why);
        assert!(unfit.0.contains(why) && !unfit.0.contains("secret"), "{why}: {}", unfit.0);
    }
}

#[test]
fn a_card_number_in_metadata_is_not_taken() {
    let mut row = customer_row();
    row["metadata"] = json!({"note": "4111 1111 1111 1111", "4111111111111111": "x", "a": "b"});
    let body = json!({"success": true, "data": row}).to_string();
    let (row, at) = wire::object(body.as_bytes()).expect("an object");
    let read = customer_read(&row, &wire::metadata(body.as_bytes())).expect("readable");
    assert_eq!(read.profile.metadata, [("a".to_owned(), "b".to_owned())].into());
    assert_eq!((at, read.metadata), (vec!["data.metadata.note".to_owned()], None));
}

/// Reads a list of `rows` rows as the scan does, from the vendor's numbered pages of at most `most`
/// rows: which rows were met, at how many calls.
fn read_all(rows: u64, size: u64, most: u64, from: u64) -> (Vec<u64>, usize) {
    let (mut met, mut calls, mut offset, mut size) = (Vec::new(), 0, from, size);
    let mut short = None;
    loop {
        let number = page_at(offset, size);
        let given = size.min(most);
        let start = ((number - 1) * given).min(rows);
        let page: Vec<u64> = (start..(start + given).min(rows)).collect();
        let received = u64::try_from(page.len()).expect("few");
        let shown = Pagination { total: rows, page: Some(number), size: Some(given) };
        met.extend(page);
        calls += 1;
        assert!(calls < 1000, "{rows} rows by {size}: no end");
        let next = next_page(number, size, received, &shown);
        let Some(Cursor::Offset(next)) = next else {
            return (met, calls);
        };
        // A page that is short twice alike is what the vendor gives.
        if received < size && short == Some(received) && received >= 10 {
            size = received;
        }
        short = (received < size).then_some(received);
        offset = next;
    }
}

#[test]
fn no_row_is_skipped_whatever_the_pages() {
    for rows in [0, 1, 9, 10, 57, 99, 100, 101, 199, 200, 257, 1000] {
        for size in [100, 90] {
            for from in [0, 1, 57, 90, 100, 150] {
                for most in [100, 50, 33] {
                    let (met, _) = read_all(rows, size, most, from);
                    let missing = (from..rows).find(|row| !met.contains(row));
                    assert_eq!(missing, None, "{rows} by {size}, at most {most}, from {from}");
                }
            }
        }
    }
    // A last page that is not full needs no other behind it.
    assert_eq!(read_all(257, 100, 100, 0), ((0..257).collect(), 3));
    assert_eq!(read_all(200, 100, 100, 0), ((0..200).collect(), 3));
}

#[test]
fn a_page_that_is_not_full_is_the_end_only_if_the_total_says_so() {
    let shown = |total| Pagination { total, page: None, size: None };
    for (received, total, next) in [
        (100, 300, Some(300)),
        (100, 0, Some(300)),
        (57, 257, None),
        (57, 300, None),
        (57, 301, Some(300)),
        (0, 200, None),
        (0, 0, None),
    ] {
        assert_eq!(next_page(3, 100, received, &shown(total)), next.map(Cursor::Offset));
    }
    // Rows 201 and on would stand on it: the list ends, and shows fewer rows than its total.
    for total in [201, 1000] {
        assert_eq!(next_page(3, 100, 0, &shown(total)), None, "{total}");
    }
}
