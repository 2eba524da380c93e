//! Fields that the provider does not take as they are.

use super::*;

const HOLDS_CITY: Capabilities = Capabilities {
    fields: &[
        FieldRule { field: FieldName::Name, min: 0, max: None, required: false },
        FieldRule { field: FieldName::City, min: 3, max: None, required: false },
    ],
    ..CAPABILITIES
};

fn rules_of_short_cities() -> Rules<'static> {
    let fits = &|_: &Reference, profile: &Profile| {
        let city = profile.address.city.as_deref();
        let short = city.is_some_and(|city| city.chars().count() < 3);
        Ok(short.then_some(FieldName::City).into_iter().collect())
    };
    Rules { capabilities: &HOLDS_CITY, customer_fits: fits, ..rules(Policy::default()) }
}

fn of(city: &str, method: Option<MethodFacts>) -> StagedRow {
    let mut row = match method {
        Some(facts) => row(2, 1, facts),
        None => alone(2),
    };
    row.profile.address.city = Some(city.into());
    row
}

fn created(row: StagedRow) -> Work {
    let rules = rules_of_short_cities();
    let mut work = work(group(vec![row]));
    assert_eq!(work.next(&rules, false), Step::Create { row: 0 });
    assert_eq!(work.sent_profile(&HOLDS_CITY).address.city, None);
    assert_eq!(work.sent_profile(&HOLDS_CITY).name.as_deref(), Some("Ada"));
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    work.rows[0].done.push(EffectKind::CreateCustomer);
    work
}

#[test]
fn a_field_is_left_out_said_and_kept() {
    let rules = rules_of_short_cities();
    let mut work = created(of("Ub", None));
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Created, Some(Code::FieldOmitted))]);
    let verdict = said(&work, 0);
    assert_eq!(verdict.field.as_deref(), Some("city"));
    let message = verdict.message.expect("there");
    assert!(message.contains("`city`") && !message.contains("Ub"), "{message}");
    let kept = work.kept(&rules).expect("kept").fields;
    assert_eq!(kept.address.city.as_deref(), Some("Ub"));
    assert_eq!(kept.name, None);
    assert_eq!(work.only_ours(&rules), ["city"]);
}

#[test]
fn a_saved_card_says_it_too() {
    let mut work = created(of("Ub", Some(card("4242"))));
    work.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(verdicts(&work), [(Outcome::Created, Some(Code::FieldOmitted))]);
}

#[test]
fn what_was_left_out_is_no_wish_and_has_not_moved() {
    let rules = rules_of_short_cities();
    let mut first = created(of("Ub", None));
    assert_eq!(first.next(&rules, false), Step::Finished);
    let statements = first.stated(&rules);

    let mut same = there(vec![of("Ub", None)], &[]);
    same.statements = statements.clone();
    let mut same = work(same);
    same.compare(&rules);
    assert_eq!(same.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&same), [(Outcome::Unchanged, None)]);
    assert!(same.kept(&rules).is_none());
    assert_eq!(same.only_ours(&rules), ["city"]);
    assert_eq!(same.stated(&rules), statements);

    // Another value is a wish like any other: nobody put one there.
    let mut longer = there(vec![of("Belgrade", None)], &[]);
    longer.statements = statements.clone();
    let theirs = longer.customers[0].profile.clone();
    let mut longer = work(longer);
    longer.compare(&rules);
    longer.read(theirs.clone(), None);
    assert_eq!(longer.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&longer), [rejected(Code::NotUpdatable)]);

    // Or somebody did.
    let mut moved = there(vec![of("Belgrade", None)], &[]);
    moved.statements = statements;
    let mut moved = work(moved);
    let mut theirs = theirs;
    theirs.address.city = Some("Novi Sad".into());
    moved.read(theirs, None);
    assert_eq!(moved.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&moved), [rejected(Code::ChangedAtProvider)]);
}

#[test]
fn a_run_taken_up_again_says_what_was_left_out() {
    let mut group = there(vec![of("Ub", None)], &[]);
    group.effects = vec![effect(EffectKind::CreateCustomer, EffectState::Done, "run", None)];
    let mut work = work(group);
    let rules = rules_of_short_cities();
    work.compare(&rules);
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Created, Some(Code::FieldOmitted))]);
}

#[test]
fn a_customer_that_does_not_fit_at_all_is_rejected() {
    let fits = &|_: &Reference, _: &Profile| {
        Err(Verdict::with(Outcome::Rejected, Code::FieldLength, "too short"))
    };
    let rules = Rules { customer_fits: fits, ..rules(Policy::default()) };
    let mut work = work(group(vec![of("Ub", None)]));
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::FieldLength)]);
}
