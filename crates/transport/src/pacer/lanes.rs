//! A queue for each lane, and whose turn it is.

use std::collections::VecDeque;

use backend::Lane;

/// Every so many turns that are contested, one goes to a lane that is not the highest.
const GUARD: u32 = 8;

#[derive(Debug)]
pub(super) struct Lanes<T> {
    queues: [VecDeque<T>; 4],
    contested: u32,
    guarded: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { queues: Default::default(), contested: 0, guarded: 0 }
    }
}

impl<T> Lanes<T> {
    pub(super) fn push(&mut self, lane: Lane, waiter: T) {
        if let Some(at) = Lane::ALL.iter().position(|each| *each == lane)
            && let Some(queue) = self.queues.get_mut(at)
        {
            queue.push_back(waiter);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for queue in &mut self.queues {
            queue.retain(&keep);
        }
    }

    pub(super) fn drain(&mut self) -> Vec<T> {
        self.queues.iter_mut().flat_map(std::mem::take).collect()
    }

    /// Who is next: the highest lane that waits, the longest-waiting of it. Every eighth turn
    /// that more than one lane wants goes to the lower lanes, one after the other.
    pub(super) fn pick(&mut self) -> Option<T> {
        let waits = |at: &usize| self.queues.get(*at).is_some_and(|queue| !queue.is_empty());
        let highest = (0..4).find(waits)?;
        let lower =
            (1..=4).map(|step| (self.guarded + step) % 4).find(|at| *at > highest && waits(at));
        let mut turn = highest;
        if let Some(lower) = lower {
            self.contested += 1;
            if self.contested.is_multiple_of(GUARD) {
                self.guarded = lower;
                turn = lower;
            }
        }
        self.queues.get_mut(turn)?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_lane_first_and_in_order() {
        let mut lanes = Lanes::default();
        for (n, lane) in [Lane::Bulk, Lane::Event, Lane::Scheduled, Lane::Interactive, Lane::Event]
            .into_iter()
            .enumerate()
        {
            lanes.push(lane, n);
        }
        let order: Vec<usize> = std::iter::from_fn(|| lanes.pick()).collect();
        assert_eq!(order, [1, 4, 3, 2, 0]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn no_lane_starves() {
        let mut lanes = Lanes::default();
        for lane in Lane::ALL {
            for _ in 0..1000 {
                lanes.push(lane, lane);
            }
        }
        let picked: Vec<Lane> = (0..240).filter_map(|_| lanes.pick()).collect();
        let count = |lane| picked.iter().filter(|each| **each == lane).count();
        assert_eq!(count(Lane::Event), 210);
        assert_eq!(
            (count(Lane::Interactive), count(Lane::Scheduled), count(Lane::Bulk)),
            (10, 10, 10)
        );
    }
}
