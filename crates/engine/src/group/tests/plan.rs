//! What a plan says is what applying does.

use super::*;

#[test]
fn a_plan_says_the_same_without_reading() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("4242")), row(4, 3, card("1881"))];
    let mut work = work(there(rows, &[]));
    assert_eq!(decide(&mut work, Policy::default(), true), Step::Save(vec![bulk(0), bulk(2)]));
    assert_eq!(
        work.rows[1].fate,
        Fate::Ended(Verdict {
            field: Some("token".into()),
            ..Verdict::with(
                Outcome::Rejected,
                Code::TokenChanged,
                "a payment method with these facts came from another token, earlier or in this \
                 file; --on-token-change add saves this one as well"
            )
        })
    );
}

#[test]
fn planning_after_applying_finds_nothing_to_do() {
    let rows = vec![row(2, 1, card("4242")), row(3, 2, card("1881")), alone(4)];
    let mut first = work(group(rows.clone()));
    assert_eq!(next(&mut first), Step::Create { row: 0 });
    first.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
    let Step::Save(adds) = next(&mut first) else { panic!("expected adds") };
    let mut after = there(rows, &[("spm_0", card("4242")), ("spm_1", card("1881"))]);
    for add in adds {
        let id = format!("spm_{}", add.row);
        after.links.push(TokenLink {
            fp: first.rows[add.row].fp().expect("a token"),
            ..link("c1", 0, &id)
        });
        first.rows[add.row].fate = Fate::Saved(method_id(&id));
    }
    assert_eq!(next(&mut first), Step::Finished);
    after.statements = remembered(&first);
    let mut again = work(after);
    assert_eq!(decide(&mut again, Policy::default(), true), Step::Finished);
    assert_eq!(verdicts(&again), [(Outcome::Unchanged, None); 3]);
    assert_eq!(BTreeMap::from_iter(again.ties().into_iter().map(|t| (t.fp, t.how))).len(), 0);
}

#[test]
fn planning_tells_what_applying_reads() {
    let reads = |mut work: Work| {
        decide(&mut work, Policy::default(), true);
        work.reads(&rules(Policy::default()))
    };
    let fresh = || row(2, 1, card("4242"));
    // Nobody there: nothing is read.
    assert_eq!(reads(work(group(vec![fresh()]))), (false, false));
    // A method that may be there already is looked for.
    assert_eq!(reads(work(there(vec![fresh()], &[]))), (false, true));
    // One that was imported before is not.
    let mut kept = there(vec![fresh()], &[("m1", card("4242"))]);
    kept.links.push(link("c1", 1, "m1"));
    assert_eq!(reads(work(kept.clone())), (false, false));
    // A field that the file states otherwise than before is looked at.
    kept.statements.push(stated(None, &[("name", "Eve")]));
    let mut wished = alone(3);
    wished.profile.name = Some("Eva".into());
    kept.rows = vec![wished];
    assert_eq!(reads(work(kept)), (true, false));
}
