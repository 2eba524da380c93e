//! Search for a part of a text in very many texts, without regard to case.
//!
//! Every three bytes in a row of a text put its number into one of 65,536 buckets. A search looks
//! at the smallest bucket of its words' triples and compares what is in there. Buckets are never
//! cleaned: the comparison is what counts.

/// The buckets: none until the first text is added.
#[derive(Debug, Default)]
pub(super) struct Search {
    buckets: Vec<Vec<usize>>,
}

const BUCKETS: usize = 1 << 16;

fn triples(text: &str) -> impl Iterator<Item = usize> {
    text.as_bytes().windows(3).map(|triple| match *triple {
        [a, b, c] => bucket(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)),
        _ => 0,
    })
}

/// The bucket of a triple's 24 bits. Multiplied, what tells the triples apart stands in the middle.
fn bucket(triple: usize) -> usize {
    (triple.wrapping_mul(0x9e37_79b1) >> 12) % BUCKETS
}

impl Search {
    /// Adds a text, already in lower case, under this number.
    pub(super) fn add(&mut self, number: usize, text: &str) {
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, Vec::new);
        }
        for at in triples(text) {
            if let Some(bucket) = self.buckets.get_mut(at)
                && bucket.last() != Some(&number)
            {
                bucket.push(number);
            }
        }
    }

    /// The numbers of all texts that may contain this one, newest first; none if it is too short to
    /// tell, and all have to be looked at.
    pub(super) fn candidates(&self, part: &str) -> Option<Vec<usize>> {
        let smallest = triples(part)
            .map(|at| self.buckets.get(at).map(Vec::as_slice).unwrap_or_default())
            .min_by_key(|bucket| bucket.len())?;
        let mut found = smallest.to_vec();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_contains_the_part_is_missed() {
        let mut search = Search::default();
        assert_eq!(search.candidates("abc"), Some(Vec::new()));
        for (number, text) in ["c-000001", "xc-000001x", "zoë@example.com", "ab"].iter().enumerate()
        {
            search.add(number, text);
        }
        assert_eq!(search.candidates("c-000001"), Some(vec![1, 0]));
        assert_eq!(search.candidates("oë@"), Some(vec![2]));
        assert_eq!(search.candidates("ab"), None);
        search.add(0, "now elsewhere");
        assert_eq!(search.candidates("elsewhere"), Some(vec![0]));
    }
}
