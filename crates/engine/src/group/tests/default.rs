//! When a default is set.

use super::*;

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
