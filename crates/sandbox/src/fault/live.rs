//! A plan at work: counts calls, decides, remembers what fired.

use super::{Fault, FaultPlan, Rule, RuleReport};
use crate::seeded;
use std::sync::Arc;

/// The plan in force with its counters.
#[derive(Debug)]
pub(crate) struct LivePlan {
    seed: u64,
    rules: Vec<LiveRule>,
}

#[derive(Debug)]
struct LiveRule {
    id: Arc<str>,
    rule: Rule,
    matched: u64,
    fired: u64,
}

/// A rule fired: this is to happen.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) id: Arc<str>,
    pub(crate) fault: Fault,
}

impl LivePlan {
    /// A plan that was checked.
    pub(crate) fn new(seed: u64, plan: FaultPlan) -> Self {
        let rules = plan
            .rules
            .into_iter()
            .enumerate()
            .map(|(i, rule)| LiveRule { id: rule.label(i).into(), rule, matched: 0, fired: 0 })
            .collect();
        Self { seed, rules }
    }

    /// The plan as data, each rule with the name it goes by.
    pub(crate) fn plan(&self) -> FaultPlan {
        let rules = self.rules.iter().map(|live| live.rule.clone().named(&live.id)).collect();
        FaultPlan { rules }
    }

    /// Appends rules; the counters of the others stay.
    pub(crate) fn append(&mut self, plan: FaultPlan) {
        let before = self.rules.len();
        let added = plan.rules.into_iter().enumerate().map(|(i, rule)| LiveRule {
            id: rule.label(before + i).into(),
            rule,
            matched: 0,
            fired: 0,
        });
        self.rules.extend(added);
    }

    /// Whether any rule asks for a customer's reference (only then is it worth looking up).
    pub(crate) fn asks_reference(&self) -> bool {
        self.rules.iter().any(|live| live.rule.on.reference.is_some())
    }

    /// Counts the call at each rule that it matches; answers the first that fires.
    pub(crate) fn decide(
        &mut self,
        endpoint: &str,
        method: &str,
        references: &[String],
    ) -> Option<Hit> {
        let mut hit = None;
        for live in &mut self.rules {
            if !live.matches(endpoint, method, references) {
                continue;
            }
            live.matched += 1;
            if hit.is_none() && live.is_due(self.seed) {
                live.fired += 1;
                hit = Some(Hit { id: live.id.clone(), fault: live.rule.fault.clone() });
            }
        }
        hit
    }

    /// The fault could not take effect (a wrong find in an account with one customer): not fired.
    pub(crate) fn had_no_effect(&mut self, hit: &Hit) {
        if let Some(live) = self.rules.iter_mut().find(|live| Arc::ptr_eq(&live.id, &hit.id)) {
            live.fired = live.fired.saturating_sub(1);
        }
    }

    /// What each rule has done.
    pub(crate) fn report(&self) -> Vec<RuleReport> {
        self.rules
            .iter()
            .map(|live| RuleReport {
                id: live.id.to_string(),
                fault: live.rule.fault.clone(),
                matched: live.matched,
                fired: live.fired,
            })
            .collect()
    }
}

impl LiveRule {
    fn matches(&self, endpoint: &str, method: &str, references: &[String]) -> bool {
        let on = &self.rule.on;
        on.endpoint.as_deref().is_none_or(|e| e == endpoint)
            && on.method.as_deref().is_none_or(|m| m == method)
            && on.reference.as_ref().is_none_or(|r| references.contains(r))
            && self.rule.fault.only_on().is_none_or(|only| only.contains(&endpoint))
    }

    fn is_due(&self, seed: u64) -> bool {
        let on = &self.rule.on;
        if self.rule.times.is_some_and(|times| self.fired >= times) {
            return false;
        }
        if let Some(nth) = on.nth {
            let window = self.rule.times.unwrap_or(1);
            return self.matched >= nth && self.matched < nth.saturating_add(window);
        }
        if let Some(every) = on.every {
            return self.matched.is_multiple_of(every);
        }
        if let Some(probability) = on.probability {
            let drawn = seeded::hash(seed, &["fault", &self.id, &self.matched.to_string()]);
            // 32 bits are exact in a float.
            let share = u32::try_from(drawn >> 32).map_or(0.0, f64::from) / f64::from(u32::MAX);
            return share < probability || probability >= 1.0;
        }
        true
    }
}
