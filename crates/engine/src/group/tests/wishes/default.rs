//! A default that a file states otherwise than the provider has it.

use super::*;

/// Two saved cards: the file wants the second to be the default.
fn second_wanted(before: [&[(&str, &str)]; 2], theirs: Option<usize>) -> Group {
    let mut rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881"))];
    rows[1].method.as_mut().expect("a card").default = Some(true);
    let methods = [("spm_1", card("4242")), ("spm_2", card("1881")), ("spm_3", card("0005"))];
    let mut group = there(rows, &methods);
    if let Some(place) = theirs {
        group.methods[place].default = Some(true);
    }
    group.links = vec![link("c1", 1, "spm_1"), link("c1", 2, "spm_2")];
    group.statements = vec![
        stated(None, &[("name", "Ada")]),
        stated(Some(fp(1)), before[0]),
        stated(Some(fp(2)), before[1]),
    ];
    group
}

const IS: &[(&str, &str)] = &[("default", "true")];
const IS_NOT: &[(&str, &str)] = &[("default", "false")];

#[test]
fn a_default_that_a_payer_chose_since_is_left_alone() {
    let mut work = work(second_wanted([IS, IS_NOT], Some(0)));
    // What the mirror says of the default may be old.
    assert_eq!(next(&mut work), Step::ReadMethods);
    work.methods_read = true;
    work.methods[0].default = Some(false);
    work.methods[2].default = Some(true);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None), rejected(Code::ChangedAtProvider)]);
    assert_eq!(said(&work, 1).field.as_deref(), Some("default"));
    let kept = remembered(&work);
    assert_eq!(kept[1].fields.get("default"), Some(&hash("default", "true")));
    assert_eq!(kept[2].fields.get("default"), Some(&hash("default", "false")));
}

#[test]
fn a_default_is_sent_where_nobody_else_chose_one() {
    // The provider has what the file stated, or none, or the file never stated one.
    for (before, theirs) in
        [([IS, IS_NOT], Some(0)), ([IS, IS_NOT], None), ([&[][..], &[][..]], Some(2))]
    {
        let mut work = work(second_wanted(before, theirs));
        work.methods_read = true;
        let step = Step::SetDefault { row: 1, method: method_id("spm_2") };
        assert_eq!(next(&mut work), step, "{before:?} {theirs:?}");
        work.rows[1].done.push(EffectKind::SetDefault);
        assert_eq!(next(&mut work), Step::Finished);
        // One default is stated, so that it can be moved back.
        let kept = remembered(&work);
        assert_eq!(kept[2].fields.get("default"), Some(&hash("default", "true")));
        assert_ne!(kept[1].fields.get("default"), Some(&hash("default", "true")));
    }
}

#[test]
fn a_default_that_is_there_already_is_no_wish() {
    let mut work = work(second_wanted([IS, IS_NOT], Some(1)));
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None); 2]);
}

#[test]
fn a_default_stated_of_a_method_that_is_not_in_this_file_is_stated_no_more() {
    let mut group = second_wanted([IS, IS_NOT], Some(0));
    group.rows.remove(0);
    let mut work = work(group);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::SetDefault { row: 0, method: method_id("spm_2") });
    work.rows[0].done.push(EffectKind::SetDefault);
    let kept = remembered(&work);
    let of = |token: u8| kept.iter().find(|s| s.fp == Some(fp(token))).expect("kept");
    assert_eq!(of(1).fields.get("default"), Some(&hash("default", "false")));
    assert_eq!(of(2).fields.get("default"), Some(&hash("default", "true")));
}

#[test]
fn a_wish_that_cannot_be_does_not_keep_a_default_from_being_set() {
    let mut group = second_wanted([IS, IS_NOT], Some(0));
    group.rows.remove(0);
    group.rows[0].profile.name = Some("Anna".into());
    let mut work = work(group);
    work.read(profile("Ada", ""), None);
    work.methods_read = true;
    assert_eq!(next(&mut work), Step::SetDefault { row: 0, method: method_id("spm_2") });
    work.rows[0].done.push(EffectKind::SetDefault);
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [rejected(Code::NotUpdatable)]);
    assert_eq!(work.results(NOW)[0].done.as_deref(), Some("set_default"));
}

/// A saved card that no token is tied to; the file wants it to be the default.
fn unlinked_wanted(statements: Vec<Statement>, theirs: Option<&str>) -> Group {
    let mut wanted = row(2, 1, card("4242"));
    wanted.method.as_mut().expect("a card").default = Some(true);
    let mut group = there(vec![wanted], &[("spm_1", card("4242")), ("spm_9", card("1881"))]);
    for method in &mut group.methods {
        method.default = Some(Some(method.id.as_str()) == theirs);
    }
    group.statements = statements;
    group
}

fn decided_at(group: Group, policy: Policy) -> (Work, Step) {
    let mut work = Work::new(group, &RunId::new("run").expect("valid"), &CAPABILITIES);
    work.methods_read = true;
    let step = decide(&mut work, policy, false);
    (work, step)
}

#[test]
fn a_default_of_what_was_there_is_listed_while_it_differs() {
    let linked = (Outcome::Linked, Some(Code::MatchedByFacts));
    for theirs in [Some("spm_9"), None] {
        let (first, step) = decided_at(unlinked_wanted(Vec::new(), theirs), Policy::default());
        assert_eq!((step, verdicts(&first)), (Step::Finished, vec![linked]), "{theirs:?}");
        assert!(message(&first).ends_with("; differs: default"), "{}", message(&first));
        let after = |theirs, policy| {
            let mut again = unlinked_wanted(remembered(&first), theirs);
            again.links = vec![link("c1", 1, "spm_1")];
            decided_at(again, policy)
        };
        // It differs still, whatever the provider has by now.
        for theirs in [Some("spm_9"), None] {
            let (again, step) = after(theirs, Policy::default());
            let unchanged = (Outcome::Unchanged, Some(Code::AlreadyThere));
            assert_eq!((step, verdicts(&again)), (Step::Finished, vec![unchanged]));
            assert!(message(&again).ends_with("; differs: default"), "{}", message(&again));
        }
        // Agreed upon: the file has stated it from now on, and a payer who chooses otherwise is
        // left alone.
        let (agreed, step) = after(Some("spm_1"), Policy::default());
        assert_eq!((step, verdicts(&agreed)), (Step::Finished, vec![(Outcome::Unchanged, None)]));
        let kept = remembered(&agreed);
        assert_eq!(kept[1].fields.get("default"), Some(&hash("default", "true")));
        // Sent once it is asked for, then or later.
        let wanted = Step::SetDefault { row: 0, method: method_id("spm_1") };
        let at_once = decided_at(unlinked_wanted(Vec::new(), theirs), EXISTING);
        for (mut sent, step) in [at_once, after(theirs, EXISTING)] {
            assert_eq!(step, wanted);
            sent.rows[0].under_way = false;
            sent.rows[0].done.push(EffectKind::SetDefault);
            assert_eq!(decide(&mut sent, EXISTING, false), Step::Finished);
            assert_eq!(verdicts(&sent), [(Outcome::Updated, None)]);
            let kept = sent.stated(&rules(EXISTING));
            assert_eq!(kept[1].fields.get("default"), Some(&hash("default", "true")));
        }
    }
}

#[test]
fn a_default_that_the_file_moves_to_what_was_there_is_a_wish() {
    let wanted = Step::SetDefault { row: 0, method: method_id("spm_1") };
    let group = |theirs, before: &[(&str, &str)]| {
        let statements = vec![stated(None, &[("name", "Ada")]), stated(Some(fp(9)), before)];
        let mut group = unlinked_wanted(statements, theirs);
        group.links = vec![link("c1", 9, "spm_9")];
        group
    };
    // From the one that it stated, or where there is none.
    for (theirs, before) in [(Some("spm_9"), IS), (None, IS), (None, IS_NOT)] {
        let (_, step) = decided_at(group(theirs, before), Policy::default());
        assert_eq!(step, wanted, "{theirs:?} {before:?}");
    }
    // Of a customer that has one that no file stated, it is listed.
    let (listed, step) = decided_at(group(Some("spm_9"), IS_NOT), Policy::default());
    assert_eq!(step, Step::Finished);
    assert!(message(&listed).ends_with("; differs: default"), "{}", message(&listed));
    // A payer has chosen a third since.
    let mut moved = group(None, IS);
    moved.methods.push(KnownMethod {
        id: method_id("spm_7"),
        default: Some(true),
        facts: card("0005"),
        ..moved.methods[0].clone()
    });
    let (moved, step) = decided_at(moved, Policy::default());
    assert_eq!((step, verdicts(&moved)), (Step::Finished, vec![rejected(Code::ChangedAtProvider)]));
}

#[test]
fn a_row_is_open_while_its_default_is_wanted() {
    let mut group = second_wanted([IS, IS_NOT], Some(0));
    group.rows.remove(0);
    group.rows[0].profile.name = Some("Anna".into());
    let mut work = work(group);
    let rules = rules(Policy::default());
    work.read(profile("Ada", ""), None);
    work.methods_read = true;
    let line = work.rows[0].staged.line;
    assert_eq!(next(&mut work), Step::SetDefault { row: 0, method: method_id("spm_2") });
    assert_eq!(work.rows[0].also.as_ref().and_then(|v| v.code), Some(Code::NotUpdatable));
    assert_eq!(decided(&work, &rules), [0_u64; 0]);
    work.rows[0].under_way = false;
    work.rows[0].done.push(EffectKind::SetDefault);
    assert_eq!(decided(&work, &rules), [line]);
}
