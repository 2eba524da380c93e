//! A provider that holds so many payment methods for a customer and no more.

use super::*;

const TWO: Capabilities = Capabilities { methods_per_customer: Some(2), ..CAPABILITIES };

fn at_most_two() -> Rules<'static> {
    Rules { capabilities: &TWO, ..rules(Policy::default()) }
}

fn wanted_as_default(mut row: StagedRow) -> StagedRow {
    row.method.as_mut().expect("a payment method").default = Some(true);
    row
}

#[test]
fn the_default_comes_first_then_the_files_order() {
    let rows = vec![
        row(2, 1, card("0001")),
        row(3, 2, card("0002")),
        wanted_as_default(row(4, 3, card("0003"))),
        row(5, 4, card("0004")),
    ];
    for planning in [true, false] {
        let mut work = work(group(rows.clone()));
        work.customer = CustomerNow::Present { id: customer_id(), how: Presence::Created };
        assert_eq!(work.next(&at_most_two(), planning), Step::Save(vec![bulk(0), bulk(2)]));
        let declined: Vec<usize> = (0..4)
            .filter(|row| {
                let full = |verdict: &Verdict| verdict.code == Some(Code::WalletFull);
                matches!(&work.rows[*row].fate, Fate::Ended(verdict) if full(verdict))
            })
            .collect();
        assert_eq!(declined, [1, 3], "planning: {planning}");
    }
}

#[test]
fn what_is_there_counts_and_what_is_tied_needs_no_room() {
    let rows = vec![row(2, 1, card("0001")), row(3, 2, card("0002")), row(4, 3, card("0003"))];
    let mut work = work(there(rows, &[("spm_1", card("0001"))]));
    work.methods_read = true;
    assert_eq!(work.next(&at_most_two(), false), Step::Save(vec![bulk(1)]));
    assert!(matches!(work.rows[0].fate, Fate::Tied(..)));
    assert!(matches!(&work.rows[2].fate, Fate::Ended(v) if v.code == Some(Code::WalletFull)));
}
