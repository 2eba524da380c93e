//! What goes wrong at the provider, by endpoint.

use super::seed::{LATEST, Rng};
use super::target::Target;

/// About one call in ten goes wrong, at each endpoint by four of these.
pub fn draw(rng: &mut Rng, target: &Target) -> String {
    let (reads, writes) = (target.reads(), target.writes());
    let mut rules = Vec::new();
    for endpoint in reads.iter().chain(&writes) {
        let mut kinds: Vec<String> = [
            "drop_before",
            "drop_after",
            "cut_body",
            "status(500)",
            "status(503)",
            "status(502,html)",
            "garbage_body",
            "throttle",
        ]
        .map(str::to_owned)
        .to_vec();
        kinds.push(format!("delay_ms({})", rng.one(&[20, 150, LATEST])));
        kinds.push(format!("delay_after_ms({})", rng.one(&[20, 150, 400])));
        if writes.contains(endpoint) {
            kinds.push("status_after(500)".into());
            kinds.push("status_after(503)".into());
            for _ in 0..3 {
                kinds.push(format!("late_execution_ms({})", rng.between(20, LATEST)));
            }
        }
        match *endpoint {
            "bulk_import" => {
                kinds.extend(["missing_index", "repeat_index", "foreign_index"].map(str::to_owned));
            }
            "list_customers" => {
                kinds.extend(["repeat_page", "short_page", "short_page"].map(str::to_owned));
            }
            _ => {}
        }
        // There are few of some calls, and a page more or less is much of a list.
        let share = match *endpoint {
            "list_customers" => "5",
            "token" | "get_customer" => "8",
            _ => "2.5",
        };
        for no in 0..4 {
            let at = usize::try_from(rng.below(kinds.len() as u64)).unwrap_or(0);
            let kind = kinds.swap_remove(at);
            rules.push(format!("{endpoint}-{no}@{endpoint}:{share}%={kind}"));
        }
    }
    rules.join(",")
}
