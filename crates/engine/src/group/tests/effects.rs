//! What effects say that took place, or may have, before the work is taken up.

use super::*;

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
        assert_eq!(work.rows[0].fate, Fate::Ended(super::super::decide::blocked()));
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
