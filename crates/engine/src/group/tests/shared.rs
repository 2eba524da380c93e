//! One token under two references.

use super::*;

fn shared(lines: &[(u64, Option<u64>)]) -> BTreeMap<u64, Option<u64>> {
    lines.iter().copied().collect()
}

fn single_use(line: u64, token: u8) -> StagedRow {
    let mut row = row(line, token, card("4242"));
    row.method.as_mut().and_then(|m| m.sealed.as_mut()).expect("a token").kind =
        TokenKind::Proxynized;
    row
}

fn created(group: Group) -> Work {
    let mut work = work(group);
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    work
}

#[test]
fn a_shared_token_is_imported_and_said() {
    let lines = shared(&[(2, Some(1))]);
    let rules = Rules { shared: &lines, ..rules(Policy::default()) };
    let mut later = created(group(vec![row(2, 1, card("4242"))]));
    later.compare(&rules);
    assert_eq!(later.next(&rules, false), Step::Save(vec![bulk(0)]));
    later.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(verdicts(&later), [(Outcome::Created, Some(Code::TokenShared))]);
    let message = said(&later, 0).message.expect("there");
    assert!(!message.contains(&fp(1).to_hex()), "{message}");
    assert_eq!(message, "the same token stands under another reference on line 1");

    // Tied by its facts: the finding is said, and the other beside it.
    later.rows[0].fate = Fate::Tied(method_id("spm_1"), super::super::BY_FACTS);
    assert_eq!(verdicts(&later), [(Outcome::Linked, Some(Code::TokenShared))]);
    let message = said(&later, 0).message.expect("there");
    assert!(message.contains("agrees in every fact"), "{message}");
}

#[test]
fn the_first_line_of_a_shared_token_is_an_ordinary_one() {
    let lines = shared(&[(2, None)]);
    let rules = Rules { shared: &lines, ..rules(Policy::default()) };
    // Even when another reference of this run was served before it.
    let mut group = group(vec![row(2, 1, card("4242"))]);
    group.links = vec![link("a later line", 1, "spm_9")];
    let mut first = created(group);
    first.compare(&rules);
    assert_eq!(first.next(&rules, false), Step::Save(vec![bulk(0)]));
    first.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(verdicts(&first), [(Outcome::Created, None)]);
}

#[test]
fn a_token_of_an_earlier_import_under_another_reference_is_said() {
    let mut group = group(vec![row(2, 1, card("4242"))]);
    group.links = vec![link("somebody else", 1, "spm_9")];
    let mut work = created(group);
    assert_eq!(next(&mut work), Step::Save(vec![bulk(0)]));
    work.rows[0].fate = Fate::Saved(method_id("spm_1"));
    assert_eq!(verdicts(&work), [(Outcome::Created, Some(Code::TokenShared))]);
    let message = said(&work, 0).message.expect("there");
    assert_eq!(message, "the same token was imported under another reference");
}

#[test]
fn what_is_known_for_this_reference_is_kept_and_nothing_is_said() {
    let lines = shared(&[(2, Some(1))]);
    let rules = Rules { shared: &lines, ..rules(Policy::default()) };
    let mut group = there(vec![row(2, 1, card("4242"))], &[("spm_1", card("4242"))]);
    group.links = vec![link("c1", 1, "spm_1"), link("somebody else", 1, "spm_9")];
    let mut work = work(group);
    work.compare(&rules);
    assert_eq!(work.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None)]);
}

#[test]
fn a_single_use_token_is_the_first_lines() {
    let lines = shared(&[(2, None), (3, Some(2))]);
    let rules = Rules { shared: &lines, ..rules(Policy::default()) };
    let mut work = created(group(vec![single_use(2, 1)]));
    work.compare(&rules);
    assert!(matches!(work.next(&rules, false), Step::Save(_)));

    let mut later = self::work(group(vec![single_use(3, 1)]));
    later.compare(&rules);
    assert_eq!(later.next(&rules, true), Step::Finished);
    assert_eq!(verdicts(&later), [rejected(Code::TokenReused)]);
    assert_eq!(said(&later, 0).field.as_deref(), Some("token"));
    let message = said(&later, 0).message.expect("there");
    assert!(message.contains("on line 2, expected a new one"), "{message}");

    // Used in an earlier import under another reference: not the first line's either.
    let mut used = group(vec![single_use(2, 1)]);
    used.links = vec![link("somebody else", 1, "spm_9")];
    let mut used = self::work(used);
    used.compare(&rules);
    assert_eq!(used.next(&rules, false), Step::Finished);
    assert_eq!(verdicts(&used), [rejected(Code::TokenReused)]);
}
