//! Fields that the provider cannot hold.

use super::*;

fn rich(row: StagedRow) -> StagedRow {
    let mut row = row;
    *row.profile = Profile {
        first_name: Some("Ada".into()),
        last_name: Some("Lee".into()),
        company: Some("Analytical".into()),
        email: Some("a@b.c".into()),
        ..Profile::default()
    };
    row.profile.metadata.insert("tier".into(), "gold".into());
    row
}

#[test]
fn what_the_provider_cannot_hold_is_kept_once() {
    let rules = rules(Policy::default());
    let mut work = work(group(vec![rich(alone(2))]));
    assert_eq!(next(&mut work), Step::Create { row: 0 });
    // Nothing is kept of a customer that is not there, and what will be is known.
    assert!(work.kept(&rules).is_none());
    // The parts of a name are held where the whole is.
    assert_eq!(work.only_ours(&rules), ["company", "metadata.tier"]);
    work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    assert_eq!(next(&mut work), Step::Finished);
    let kept = work.kept(&rules).expect("kept");
    assert_eq!(kept.customer, customer_id());
    let mut wanted = Profile { company: Some("Analytical".into()), ..Profile::default() };
    wanted.metadata.insert("tier".into(), "gold".into());
    assert_eq!(kept.fields, wanted);

    let mut again = there(vec![rich(alone(2))], &[]);
    again.statements = remembered(&work);
    let mut again = self::work(again);
    assert_eq!(next(&mut again), Step::Finished);
    assert_eq!(verdicts(&again), [(Outcome::Unchanged, None)]);
    assert!(again.kept(&rules).is_none());
    assert_eq!(again.only_ours(&rules).len(), 2);
}

#[test]
fn only_what_the_file_states_otherwise_is_kept_again() {
    let rules = rules(Policy::default());
    let mut group = there(vec![rich(alone(2))], &[]);
    group.statements = vec![stated(None, &[("company", "Analytical"), ("metadata.tier", "tin")])];
    let mut work = work(group);
    work.compare(&rules);
    let kept = work.kept(&rules).expect("kept").fields;
    assert_eq!(kept.company, None);
    assert_eq!(kept.metadata.get("tier").map(String::as_str), Some("gold"));
    // Nothing is sent of it, and it is said.
    work.read(Profile { email: Some("a@b.c".into()), ..Profile::default() }, None);
    work.rows[0].staged.profile.first_name = None;
    work.rows[0].staged.profile.last_name = None;
    assert_eq!(next(&mut work), Step::Finished);
    assert_eq!(verdicts(&work), [(Outcome::Unchanged, None)]);
    let said = said(&work, 0);
    assert_eq!(said.message.as_deref(), Some("kept in our store only: metadata.tier"));
    assert_eq!(said.field.as_deref(), Some("metadata.tier"));
    assert_eq!(work.results(NOW)[0].done.as_deref(), Some("kept"));
}
