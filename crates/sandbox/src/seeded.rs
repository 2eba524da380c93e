//! Chance that is the same for the same seed: ids, seeded people, shuffles, fault probabilities.
//!
//! Not cryptographic, and quick in a debug build: a hundred thousand customers are made at start.

/// The odd constant of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finisher of splitmix64: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash of the seed and the parts; the boundaries between the parts count.
pub(crate) fn hash(seed: u64, parts: &[&str]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325 ^ mix(seed.wrapping_add(GOLDEN));
    for part in parts {
        for byte in part.bytes() {
            h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        h = mix(h ^ GOLDEN);
    }
    mix(h)
}

/// Sixteen hex digits of [`hash`].
pub(crate) fn id(seed: u64, parts: &[&str]) -> String {
    format!("{:016x}", hash(seed, parts))
}

/// A UUID (version 4 by its form) of [`hash`].
pub(crate) fn uuid(seed: u64, parts: &[&str]) -> String {
    let high = hash(seed, parts);
    let low = mix(high ^ GOLDEN);
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = (0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
}

/// A small generator (splitmix64).
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator for one purpose, named by its parts.
    pub(crate) fn new(seed: u64, parts: &[&str]) -> Self {
        Self(hash(seed, parts))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next().checked_rem(n).unwrap_or(0)
    }

    /// An index into something of this length; 0 when it is empty.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(len)).unwrap_or(0)
    }

    /// Puts the items into an order of chance.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.index(i + 1);
            items.swap(i, j);
        }
    }
}
