//! What becomes of a row's payment method.

use super::*;

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
fn beside_a_method_that_cannot_be_read_nothing_is_added() {
    let mut work = work(there(vec![row(2, 1, card("4242"))], &[]));
    work.methods_read = true;
    work.unreadable = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::FactsNeeded)]);
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
