//! What becomes of the customer itself.

use super::*;

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

#[test]
fn a_customer_with_another_name_and_address_is_somebody_else() {
    let mut mine = row(2, 1, card("4242"));
    *mine.profile = Profile {
        name: Some("Zack Mine".into()),
        email: Some("zack@mine.example".into()),
        ..Profile::default()
    };
    let mut more = row(3, 2, card("1881"));
    more.profile.clone_from(&mine.profile);
    let theirs = |name: &str, email: Option<&str>| {
        let mut group = there(vec![mine.clone(), more.clone()], &[]);
        group.customers[0].profile = Profile {
            name: Some(name.into()),
            email: email.map(str::to_owned),
            ..Profile::default()
        };
        group
    };
    let dora = || theirs("Dora Other", Some("dora@other.example"));
    // Nothing is saved there, whatever is asked for; and it stays so.
    let mut update = work(dora());
    let asked = Policy { update_existing: true, ..Policy::default() };
    assert_eq!(decide(&mut update, asked, false), Step::Finished);
    assert_eq!(
        verdicts(&update),
        [rejected(Code::AmbiguousMatch), (Outcome::NotAttempted, Some(Code::CustomerFailed))]
    );
    let mut again = dora();
    again.statements = remembered(&update);
    let mut again = work(again);
    assert_eq!(next(&mut again), Step::Finished);
    assert_eq!(verdicts(&again)[0], rejected(Code::AmbiguousMatch));
    // One that was found by its reference is looked at in the same way.
    let mut found = work(group(vec![mine.clone()]));
    found.customer = CustomerNow::Present { id: customer_id(), how: Presence::Found };
    found.read(dora().customers[0].profile.clone(), None);
    assert_eq!(next(&mut found), Step::Finished);
    assert_eq!(verdicts(&found), [rejected(Code::AmbiguousMatch)]);
    // A married name, a new address, or none to compare with: the same person for all we know.
    for (name, email) in [
        ("Zack Mine", Some("zack@old.example")),
        ("Zack Married", Some("ZACK@mine.example")),
        ("Dora Other", None),
    ] {
        assert_eq!(next(&mut work(theirs(name, email))), Step::ReadMethods, "{name}");
    }
    // A person has said who it is; or the file has stated it before.
    let mut linked = dora();
    linked.customers[0].by_person = true;
    assert_ne!(next(&mut work(linked)), Step::Finished);
    let mut stated_before = dora();
    stated_before.statements = vec![stated(None, &[("name", "Dora Other")])];
    assert_ne!(next(&mut work(stated_before)), Step::Finished);
}
