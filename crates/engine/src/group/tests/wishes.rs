//! What the file states otherwise than before, against what the provider has by now.

use model::{RemoteCustomer, RemoteStatus};

use super::*;

mod default;

/// A provider that can change a customer's fields.
const UPDATES: Capabilities = Capabilities {
    update_customer: true,
    fields: &[
        FieldRule { field: FieldName::Name, min: 0, max: None, required: false },
        FieldRule { field: FieldName::Email, min: 0, max: None, required: false },
        FieldRule { field: FieldName::Metadata, min: 0, max: None, required: false },
    ],
    ..CAPABILITIES
};

const EXISTING: Policy = Policy {
    update_existing: true,
    reject_expired: false,
    restore_removed: false,
    add_changed_tokens: false,
};

fn at<'a>(capabilities: &'a Capabilities, policy: Policy) -> Rules<'a> {
    Rules { capabilities, ..rules(policy) }
}

fn profile(name: &str, email: &str) -> Profile {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Profile { name: text(name), email: text(email), ..Profile::default() }
}

/// A customer alone: what its file states, what it stated before, what the provider has.
fn three(file: &Profile, before: Option<&[(&str, &str)]>, theirs: &Profile) -> Group {
    let mut row = alone(2);
    *row.profile = file.clone();
    let mut group = there(vec![row], &[]);
    group.customers[0].profile = theirs.clone();
    group.statements = before.map(|fields| stated(None, fields)).into_iter().collect();
    group
}

fn message(work: &Work) -> String {
    said(work, 0).message.unwrap_or_default()
}

fn field(work: &Work) -> Option<String> {
    said(work, 0).field
}

const BEFORE: &[(&str, &str)] = &[("name", "Ada"), ("email", "a@b.c")];

/// The row and the fields of an update.
fn updated(step: &Step) -> Option<(usize, Profile)> {
    match step {
        Step::Update { row, update } => Some((*row, update.changes.clone())),
        _ => None,
    }
}

fn theirs_with(profile: Profile) -> RemoteCustomer {
    RemoteCustomer {
        id: customer_id(),
        reference: Some("c1".into()),
        profile,
        metadata: None,
        status: RemoteStatus::Live,
        created_at: None,
        methods: None,
    }
}

#[test]
fn a_wish_is_decided_on_what_the_provider_has_now() {
    // The mirror has what the file stated; the payer has changed it since the mirror was read.
    let file = profile("Ada", "new@b.c");
    let mut work = work(three(&file, Some(BEFORE), &profile("Ada", "a@b.c")));
    assert_eq!(next(&mut work), Step::ReadCustomer);
    work.read(profile("Ada", "payer@b.c"), None);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::ChangedAtProvider)]);
    assert_eq!(field(&work).as_deref(), Some("email"));
    // What was stated before stays: the same file says so the next time, too.
    let kept = remembered(&work);
    assert_eq!(kept[0].fields.get("email"), Some(&hash("email", "a@b.c")));
    assert_eq!(kept[0].fields.get("name"), Some(&hash("name", "Ada")));
}

#[test]
fn a_plan_takes_the_mirror_and_says_that_it_is_looked_at_again() {
    let file = profile("Ada", "new@b.c");
    for (theirs, code) in [("a@b.c", Code::NotUpdatable), ("payer@b.c", Code::ChangedAtProvider)] {
        let mut work = work(three(&file, Some(BEFORE), &profile("Ada", theirs)));
        assert_eq!(decide(&mut work, Policy::default(), true), Step::Finished);
        assert_eq!(verdicts(&work), [rejected(code)]);
        assert!(work.looks_again(&rules(Policy::default())));
    }
    let blind = Capabilities { get_customer: false, ..CAPABILITIES };
    let mut work = work(three(&file, Some(BEFORE), &profile("Ada", "payer@b.c")));
    let rules = at(&blind, Policy::default());
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::ChangedAtProvider)]);
    assert!(!work.looks_again(&rules));
}

#[test]
fn changed_there_outranks_not_updatable() {
    let file = profile("Anna", "new@b.c");
    let theirs = profile("Ada", "payer@b.c");
    let mut group = three(&file, Some(BEFORE), &theirs);
    let mut saved = row(2, 1, card("4242"));
    *saved.profile = file;
    group.rows = vec![saved];
    group.methods = there(Vec::new(), &[("spm_1", card("4242"))]).methods;
    group.links = vec![link("c1", 1, "spm_1")];
    group.statements.push(stated(Some(fp(1)), &[("exp_year", "2029")]));
    let mut work = work(group);
    work.read(theirs, None);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::ChangedAtProvider)]);
    assert_eq!(field(&work).as_deref(), Some("email"));
}

#[test]
fn a_payers_change_is_left_alone_while_the_file_says_what_it_said() {
    let file = profile("Ada", "a@b.c");
    let mut work = work(three(&file, Some(BEFORE), &profile("Ada P.", "payer@b.c")));
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None)]);
}

#[test]
fn a_value_that_was_taken_away_there_was_changed_there() {
    let file = profile("Ada", "new@b.c");
    let mut work = work(three(&file, Some(BEFORE), &profile("Ada", "")));
    work.read(profile("Ada", ""), None);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::ChangedAtProvider)]);
}

#[test]
fn what_only_looks_different_is_neither_a_wish_nor_moved() {
    // Written otherwise in the file.
    let mut same =
        work(three(&profile("Ada ", "A@B.C"), Some(BEFORE), &profile("Ada P.", "payer@b.c")));
    assert_eq!(next(&mut same), Step::Finished);
    assert_eq!(verdicts(&same), [(Outcome::Unchanged, None)]);
    // Written otherwise by the provider: it has not moved.
    let mut moved = work(three(&profile("Ada", "new@b.c"), Some(BEFORE), &profile("Ada", "A@B.c")));
    moved.read(profile("Ada", "A@B.c"), None);
    assert_eq!(next(&mut moved), Step::Finished);
    assert_eq!(verdicts(&moved), [rejected(Code::NotUpdatable)]);
}

#[test]
fn where_fields_can_be_changed_the_unmoved_ones_are() {
    let file = profile("Anna", "new@b.c");
    let theirs = profile("Ada", "payer@b.c");
    let rules = at(&UPDATES, Policy::default());
    let mut work = work(three(&file, Some(BEFORE), &theirs));
    work.read(theirs, None);
    let changes = Box::new(profile("Anna", ""));
    assert_eq!(updated(&work.next(&rules, false)), Some((0, *changes)));
    // Until it is done it is not stated.
    assert_eq!(work.stated(&rules)[0].fields.get("name"), Some(&hash("name", "Ada")));
    work.rows[0].done.push(EffectKind::UpdateCustomer);
    work.updated();
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::ChangedAtProvider)]);
    assert_eq!(work.results(NOW)[0].done.as_deref(), Some("update_customer"));
    let kept = work.stated(&rules);
    assert_eq!(kept[0].fields.get("name"), Some(&hash("name", "Anna")));
    assert_eq!(kept[0].fields.get("email"), Some(&hash("email", "a@b.c")));
}

#[test]
fn a_row_is_open_while_its_update_is_on_its_way() {
    let rules = at(&UPDATES, Policy::default());
    let theirs = profile("Ada", "payer@b.c");
    // Beside a wish that can be there is one that cannot; and behind it, a customer's second row.
    let mut group = three(&profile("Anna", "new@b.c"), Some(BEFORE), &theirs);
    group.rows[0].method = row(2, 1, card("4242")).method;
    group.rows.push(row(3, 2, card("1881")));
    group.rows[1].profile = group.rows[0].profile.clone();
    group.methods = there(Vec::new(), &[("spm_1", card("4242")), ("spm_2", card("1881"))]).methods;
    group.links = vec![link("c1", 1, "spm_1"), link("c1", 2, "spm_2")];
    let mut work = Work::new(group, &RunId::new("run").expect("valid"), &CAPABILITIES);
    assert_eq!(decided(&work, &rules), [0_u64; 0]);
    assert_eq!(work.next(&rules, false), Step::ReadCustomer);
    assert_eq!(decided(&work, &rules), [0_u64; 0], "which row is the first is not known");
    work.read(theirs, None);
    assert!(matches!(work.next(&rules, false), Step::Update { row: 0, .. }));
    assert_eq!(work.rows[0].also.as_ref().and_then(|v| v.code), Some(Code::ChangedAtProvider));
    assert_eq!(decided(&work, &rules), [3]);
    work.rows[0].under_way = false;
    work.updated();
    assert_eq!(decided(&work, &rules), [2, 3]);
}

#[test]
fn an_update_that_took_place_is_an_outcome_and_is_not_repeated() {
    let theirs = profile("Ada", "a@b.c");
    let rules = at(&UPDATES, Policy::default());
    let mut work = work(three(&profile("Ada", "new@b.c"), Some(BEFORE), &theirs));
    work.read(theirs, None);
    let changes = Box::new(profile("", "new@b.c"));
    assert_eq!(updated(&work.next(&rules, false)), Some((0, *changes)));
    work.rows[0].done.push(EffectKind::UpdateCustomer);
    work.updated();
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Updated, None)]);
    assert_eq!(work.stated(&rules)[0].fields.get("email"), Some(&hash("email", "new@b.c")));
}

#[test]
fn a_blocked_customer_is_not_changed() {
    let mut group = three(&profile("Ada", "new@b.c"), Some(BEFORE), &profile("Ada", "a@b.c"));
    group.effects = vec![effect(EffectKind::SetDefault, EffectState::Unresolved, "earlier", None)];
    let mut work = work(group);
    assert_eq!(work.next(&at(&UPDATES, Policy::default()), false), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::NotAttempted, Some(Code::CustomerBlocked))]);
}

#[test]
fn what_was_there_is_linked_and_its_differences_are_listed_while_they_stand() {
    let file = profile("Ada", "A@b.c");
    let mut alike = work(three(&file, None, &profile("Ada", "a@b.c")));
    assert_eq!(next(&mut alike), Step::Finished);
    assert_eq!(verdicts(&alike), [(Outcome::Linked, Some(Code::AlreadyThere))]);
    assert!(!message(&alike).contains("differs"), "{}", message(&alike));

    let theirs = profile("Eve", "");
    let mut other = work(three(&file, None, &theirs));
    assert_eq!(next(&mut other), Step::Finished);
    assert_eq!(verdicts(&other), [(Outcome::Linked, Some(Code::AlreadyThere))]);
    assert!(message(&other).ends_with("; differs: name, email"), "{}", message(&other));
    let after = |file: &Profile, theirs: &Profile| {
        let mut again = three(file, None, theirs);
        again.statements = remembered(&other);
        work(again)
    };
    // It differs still, and where the provider has nothing it is not sent either.
    let mut again = after(&file, &theirs);
    assert_eq!(next(&mut again), Step::Finished);
    assert_eq!(verdicts(&again), [(Outcome::Unchanged, Some(Code::AlreadyThere))]);
    assert!(message(&again).ends_with("; differs: name, email"), "{}", message(&again));
    assert_eq!(remembered(&again), remembered(&other));
    // Agreed upon: the file has stated it from now on.
    let mut agreed = after(&file, &file);
    assert_eq!(next(&mut agreed), Step::Finished);
    assert_eq!(verdicts(&agreed), [(Outcome::Unchanged, None)]);
    assert_eq!(remembered(&agreed)[0].fields.get("name"), Some(&hash("name", "Ada")));
}

#[test]
fn a_difference_that_was_listed_is_sent_once_it_is_asked_for() {
    let (file, theirs) = (profile("Ada", "a@b.c"), profile("Eve", ""));
    let mut first = work(three(&file, None, &theirs));
    assert_eq!(next(&mut first), Step::Finished);
    let again = |file: &Profile, theirs: &Profile, rules: &Rules<'_>| {
        let mut again = three(file, None, theirs);
        again.statements = remembered(&first);
        let mut again = work(again);
        again.compare(rules);
        again.read(theirs.clone(), None);
        let step = again.next(rules, false);
        (again, step)
    };
    let asked = at(&UPDATES, EXISTING);
    let update = |changes| Some((0, changes));
    let (mut sent, step) = again(&file, &theirs, &asked);
    assert_eq!(updated(&step), update(file.clone()));
    sent.rows[0].done.push(EffectKind::UpdateCustomer);
    sent.updated();
    assert_eq!(sent.stated(&asked)[0].fields.get("name"), Some(&hash("name", "Ada")));
    // Whatever the provider has by then.
    let (_, step) = again(&file, &profile("Eva", ""), &asked);
    assert_eq!(updated(&step), update(file.clone()));
    // Where it cannot be sent, it is said; it is not sent as long as nobody asks.
    let (declined, step) = again(&file, &theirs, &rules(EXISTING));
    assert_eq!((step, verdicts(&declined)), (Step::Finished, vec![rejected(Code::NotUpdatable)]));
    assert_eq!(declined.stated(&rules(EXISTING)), remembered(&first));
    let plain = at(&UPDATES, Policy::default());
    let (_, step) = again(&file, &theirs, &plain);
    assert_eq!(step, Step::Finished);
    // A value that the file has changed since is a wish, unless the provider has moved too.
    let (_, step) = again(&profile("Ada", "new@b.c"), &theirs, &plain);
    assert_eq!(updated(&step), update(profile("", "new@b.c")));
    let (moved, step) = again(&profile("Anna", "a@b.c"), &profile("Eva", ""), &plain);
    assert_eq!((step, verdicts(&moved)), (Step::Finished, vec![rejected(Code::ChangedAtProvider)]));
}

#[test]
fn differences_that_were_listed_before_a_stop_are_not_listed_on_the_next_row() {
    let mut group = there(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))], &[]);
    group.customers[0].profile = profile("Eve", "");
    group.rows[0].outcome = Some(Outcome::Linked);
    let mut work = work(group);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Save(vec![bulk(1)]));
    work.rows[1].fate = Fate::Saved(method_id("spm_2"));
    assert_eq!(verdicts(&work)[1], (Outcome::Created, None));
}

#[test]
fn differences_are_listed_on_the_first_row_whatever_its_own_outcome() {
    let mut group = there(vec![row(2, 1, card("4242")), row(3, 2, card("1881"))], &[]);
    group.customers[0].profile = profile("Eve", "");
    group.methods = there(Vec::new(), &[("spm_1", card("4242"))]).methods;
    let mut work = work(group);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Save(vec![bulk(1)]));
    work.rows[1].fate = Fate::Saved(method_id("spm_2"));
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(
        verdicts(&work),
        [(Outcome::Linked, Some(Code::MatchedByFacts)), (Outcome::Created, None)]
    );
    assert!(message(&work).ends_with("; differs: name"), "{}", message(&work));
}

#[test]
fn a_customer_found_by_a_conflict_is_compared_with_what_was_found() {
    let mut group = three(&profile("Ada", "a@b.c"), None, &profile("Ada", "a@b.c"));
    group.customers.clear();
    let mut found = work(group.clone());
    assert_eq!(next(&mut found), Step::Create { row: 0 });
    found.found(theirs_with(profile("Ada", "other@b.c")));
    assert_eq!(next(&mut found), Step::Finished);
    assert!(message(&found).ends_with("; differs: email"), "{}", message(&found));
    // Nothing was sent of it: it is not settled.
    let email = format!("~{}~{}", hash("email", "other@b.c"), hash("email", "a@b.c"));
    assert_eq!(remembered(&found)[0].fields.get("email"), Some(&email));
    assert_eq!(remembered(&found)[0].fields.get("name"), Some(&hash("name", "Ada")));

    let mut wanted = work(group);
    wanted.found(theirs_with(profile("Ada", "other@b.c")));
    // A run that stops here has not looked at it: nothing is said, nothing is remembered.
    assert_eq!(decided(&wanted, &rules(EXISTING)), [0_u64; 0]);
    assert!(remembered(&wanted).is_empty());
    // What was found a moment ago is not read again.
    assert_eq!(decide(&mut wanted, EXISTING, false), Step::Finished);
    assert_eq!(verdicts(&wanted), [rejected(Code::NotUpdatable)]);
}

#[test]
fn existing_customers_are_changed_only_if_asked_for() {
    let file = profile("Ada", "a@b.c");
    let theirs = profile("Eve", "a@b.c");
    let mut declined = work(three(&file, None, &theirs));
    declined.compare(&rules(EXISTING));
    assert_eq!(decide(&mut declined, EXISTING, false), Step::ReadCustomer);
    declined.read(theirs.clone(), None);
    assert_eq!(decide(&mut declined, EXISTING, false), Step::Finished);
    assert_eq!(verdicts(&declined), [rejected(Code::NotUpdatable)]);
    assert_eq!(field(&declined).as_deref(), Some("name"));
    let kept = declined.stated(&rules(EXISTING));
    assert_eq!(kept[0].fields.get("name"), None);
    assert_eq!(kept[0].fields.get("email"), Some(&hash("email", "a@b.c")));

    let rules = at(&UPDATES, EXISTING);
    let mut changed = work(three(&file, None, &theirs));
    changed.read(theirs, None);
    let changes = Box::new(profile("Ada", ""));
    assert_eq!(updated(&changed.next(&rules, false)), Some((0, *changes)));
}

#[test]
fn a_column_that_is_new_is_a_wish_where_the_provider_has_nothing() {
    let before: &[(&str, &str)] = &[("name", "Ada")];
    let file = profile("Ada", "a@b.c");
    let mut empty = work(three(&file, Some(before), &profile("Ada", "")));
    empty.read(profile("Ada", ""), None);
    assert_eq!(next(&mut empty), Step::Finished);
    assert_eq!(verdicts(&empty), [rejected(Code::NotUpdatable)]);

    let mut taken = work(three(&file, Some(before), &profile("Ada", "payer@b.c")));
    assert_eq!(next(&mut taken), Step::Finished);
    assert_eq!(verdicts(&taken), [(Outcome::Unchanged, Some(Code::AlreadyThere))]);
    assert!(message(&taken).ends_with("; differs: email"), "{}", message(&taken));
}

#[test]
fn metadata_is_compared_key_by_key() {
    let tier = |value: &str| {
        let mut profile = profile("Ada", "");
        profile.metadata.insert("tier".into(), value.into());
        profile
    };
    let before: &[(&str, &str)] = &[("name", "Ada"), ("metadata.tier", "gold")];
    // Where metadata is not held, a change of it is kept in our store only.
    let mut kept = work(three(&tier("lead"), Some(before), &profile("Ada", "")));
    assert_eq!(next(&mut kept), Step::Finished);
    assert_eq!(verdicts(&kept), [(Outcome::Unchanged, None)]);
    assert_eq!(
        remembered(&kept)[0].fields.get("metadata.tier"),
        Some(&hash("metadata.tier", "lead"))
    );

    // Where it is held and cannot be changed, it is said.
    let fixed = Capabilities { update_customer: false, ..UPDATES };
    let rules = at(&fixed, Policy::default());
    let mut declined = work(three(&tier("lead"), Some(before), &tier("gold")));
    declined.compare(&rules);
    declined.read(tier("gold"), None);
    assert_eq!(declined.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&declined), [rejected(Code::NotUpdatable)]);
    assert_eq!(field(&declined).as_deref(), Some("metadata.tier"));
    let kept = declined.stated(&rules);
    assert_eq!(kept[0].fields.get("metadata.tier"), Some(&hash("metadata.tier", "gold")));

    let mut moved = work(three(&tier("lead"), Some(before), &tier("tin")));
    moved.read(tier("tin"), None);
    assert_eq!(moved.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&moved), [rejected(Code::ChangedAtProvider)]);

    let mut changed = work(three(&tier("lead"), Some(before), &tier("gold")));
    changed.read(tier("gold"), None);
    let step = changed.next(&at(&UPDATES, Policy::default()), false);
    let Some((_, changes)) = updated(&step) else { panic!("{step:?}") };
    assert_eq!(changes.metadata.get("tier").map(String::as_str), Some("lead"));
    assert_eq!(changes.name, None);
}

#[test]
fn a_whole_name_is_compared_with_its_parts_where_only_they_are_held() {
    let parts = Capabilities {
        fields: &[
            FieldRule { field: FieldName::FirstName, min: 0, max: None, required: false },
            FieldRule { field: FieldName::LastName, min: 0, max: None, required: false },
        ],
        ..CAPABILITIES
    };
    let theirs = Profile {
        first_name: Some("Ada B.".into()),
        last_name: Some("King".into()),
        ..Profile::default()
    };
    let rules = at(&parts, Policy::default());
    let mut work = work(three(&profile("Ada B. King", ""), None, &theirs));
    work.compare(&rules);
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert!(!message(&work).contains("differs"), "{}", message(&work));
}

#[test]
fn where_metadata_is_replaced_the_providers_own_goes_with_the_change() {
    let rules = at(&UPDATES, Policy::default());
    let tier = |tier: &str| Profile {
        metadata: [("tier".to_owned(), tier.to_owned())].into(),
        ..profile("Ada", "a@b.c")
    };
    let theirs = r#"{"tier":"silver","seats":5}"#;
    let before = &[("name", "Ada"), ("email", "a@b.c"), ("metadata.tier", "silver")];
    let mut changed = work(three(&tier("gold"), Some(before), &tier("silver")));
    changed.compare(&rules);
    assert_eq!(changed.next(&rules, false), Step::ReadCustomer);
    changed.read(tier("silver"), Some(theirs.into()));
    let Step::Update { update, .. } = changed.next(&rules, false) else {
        panic!("an update was expected");
    };
    assert_eq!(update.changes.metadata, tier("gold").metadata);
    assert_eq!(update.metadata.as_deref(), Some(theirs));
    let hashed = |value: &str| hash("metadata.tier", value);
    let [change] = update.hashes.as_slice() else { panic!("{:?}", update.hashes) };
    assert_eq!((&*change.field, &change.after), ("metadata.tier", &hashed("gold")));
    assert_eq!(change.before, Some(hashed("silver")));
    // A change of another field touches no metadata.
    let file = Profile { email: Some("new@b.c".into()), ..tier("silver") };
    let mut changed = work(three(&file, Some(before), &tier("silver")));
    changed.read(tier("silver"), Some(theirs.into()));
    let Step::Update { update, .. } = changed.next(&rules, false) else {
        panic!("an update was expected");
    };
    assert_eq!(update.metadata, None);
}

#[test]
fn the_answer_to_a_repeat_may_be_that_to_what_was_stated_before() {
    let rules = at(&UPDATES, EXISTING);
    let mut group = three(&profile("Ada", "new@b.c"), None, &profile("", ""));
    group.customers.clear();
    for (shown, update) in [("new@b.c", None), ("old@b.c", Some((0, profile("", "new@b.c"))))] {
        let mut sent = work(group.clone());
        assert_eq!(sent.next(&rules, false), Step::Create { row: 0 });
        sent.repeated(theirs_with(profile("Ada", shown)), &UPDATES);
        assert_eq!(updated(&sent.next(&rules, false)), update, "{shown}");
    }
}

#[test]
fn a_part_that_a_file_leaves_out_is_not_cleared() {
    const JOINS: Capabilities = Capabilities {
        fields: &[
            FieldRule { field: FieldName::Name, min: 0, max: None, required: false },
            FieldRule { field: FieldName::Line1, min: 0, max: None, required: false },
        ],
        ..UPDATES
    };
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let of = |first: &str, last: &str, line1: &str, line2: &str| {
        let mut profile =
            Profile { first_name: text(first), last_name: text(last), ..Profile::default() };
        (profile.address.line1, profile.address.line2) = (text(line1), text(line2));
        profile
    };
    let whole = of("Ada", "King", "1 Elm", "Apt 2");
    let theirs = JOINS.as_held(&whole);
    let remembered = {
        let rules = at(&JOINS, EXISTING);
        let mut group = three(&whole, None, &theirs);
        group.statements.clear();
        let mut first = work(group);
        first.compare(&rules);
        first.read(theirs.clone(), None);
        assert_eq!(first.next(&rules, false), Step::Finished);
        first.stated(&rules)
    };
    let step = |file: &Profile, stated: &[Statement], policy| {
        let rules = at(&JOINS, policy);
        let mut group = three(file, None, &theirs);
        group.statements = stated.to_vec();
        let mut again = work(group);
        again.compare(&rules);
        again.read(theirs.clone(), None);
        let step = again.next(&rules, false);
        (updated(&step).map(|(_, changes)| changes), again.stated(&rules))
    };
    for part in [
        of("Ada", "", "1 Elm", ""),
        of("", "King", "", "Apt 2"),
        of("Ada", "", "", ""),
        of("", "", "", "Apt 3"),
    ] {
        // As it was stated before, and where nothing was.
        for (stated, policy) in
            [(&remembered[..], Policy::default()), (&remembered[..], EXISTING), (&[], EXISTING)]
        {
            let (update, now) = step(&part, stated, policy);
            assert_eq!(update, None, "{part:?}");
            if !stated.is_empty() {
                assert_eq!(now, remembered, "{part:?}");
            }
        }
    }
    // Every part is stated: that is a wish.
    let (update, _) = step(&of("Ada", "Byron", "1 Elm", "Apt 3"), &remembered, Policy::default());
    let update = update.expect("an update");
    assert_eq!(update.name.as_deref(), Some("Ada Byron"));
    assert_eq!(update.address.line1.as_deref(), Some("1 Elm, Apt 3"));
}
