//! Random draws for one person and one subject.
//!
//! Every person has an own stream for every subject, so a person's hospital record stays the same when the GP record is
//! made longer, and the order in which people are made does not matter.

use std::convert::Infallible;

use rand::rand_core::TryRng;
use rand_distr::{Distribution, Gamma, Poisson, StandardNormal};

/// What a stream of draws is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Identity = 0,
    Person = 1,
    Conditions = 2,
    Hospital = 3,
    Outpatients = 4,
    Emergency = 5,
    Gp = 6,
    Prescriptions = 7,
    SocialCare = 8,
    Places = 9,
    Community = 10,
    MentalHealth = 11,
    Ambulance = 12,
    Hospice = 13,
    Defects = 14,
    FurtherDiagnoses = 15,
}

/// A stream of random draws.
pub struct Draw(Xoshiro);

/// The generator xoshiro256++ of Blackman and Vigna: here rather than from a crate, so that a seed means the same for ever,
/// and because a stream starts in a few instructions.
struct Xoshiro([u64; 4]);

impl Xoshiro {
    /// Fills the state from a number by splitmix64, as its authors advise.
    fn from_number(number: u64) -> Xoshiro {
        let mut at = number;
        Xoshiro(std::array::from_fn(|_| {
            at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed(at)
        }))
    }

    fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let drawn = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        drawn
    }
}

/// The finish of splitmix64: neighbouring numbers become unlike ones.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl TryRng for Xoshiro {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            part.copy_from_slice(&drawn[..part.len()]);
        }
        Ok(())
    }
}

impl Draw {
    pub fn new(seed: u64, person: u32, subject: Subject) -> Draw {
        let stream = (u64::from(person) << 8) | subject as u64;
        Draw(Xoshiro::from_number(mixed(mixed(seed.wrapping_add(0x5851_f42d_4c95_7f2d)) ^ stream)))
    }

    pub fn bits(&mut self) -> u32 {
        (self.0.next() >> 32) as u32
    }

    pub fn long_bits(&mut self) -> u64 {
        self.0.next()
    }

    /// At least 0, below 1.
    pub fn unit(&mut self) -> f64 {
        (self.long_bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from 0 up to, but not including, `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(end)) >> 32) as u32
    }

    /// A whole number from `first` to `last`, both included; `first` where they are the wrong way round.
    pub fn between(&mut self, first: i32, last: i32) -> i32 {
        if last <= first { first } else { first + self.below((last - first) as u32 + 1) as i32 }
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }

    pub fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u32) as usize]
    }

    /// A word from a list with weights.
    pub fn weighted_word(&mut self, words: &[(&'static str, f64)]) -> &'static str {
        words[self.weighted(words.iter().map(|&(_, weight)| weight))].0
    }

    pub fn pick_some<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { Some(self.pick(items)) }
    }

    /// The first index whose running total passes a draw below the last of them.
    pub fn cumulative(&mut self, running_totals: &[f64]) -> usize {
        let total = running_totals.last().copied().unwrap_or(0.0);
        let at = self.unit() * total;
        running_totals.partition_point(|&sum| sum <= at).min(running_totals.len().saturating_sub(1))
    }

    pub fn poisson(&mut self, mean: f64) -> u32 {
        if mean <= 0.0 {
            return 0;
        }
        if mean < 12.0 {
            let limit = (-mean).exp();
            let (mut product, mut count) = (self.unit(), 0);
            while product > limit {
                product *= self.unit();
                count += 1;
            }
            return count;
        }
        Poisson::new(mean).map_or(0, |poisson| poisson.sample(&mut self.0) as u32)
    }

    /// Gamma with mean `scale` × shape.
    pub fn gamma(&mut self, shape: f64, scale: f64) -> f64 {
        Gamma::new(shape, scale).map_or(1.0, |gamma| gamma.sample(&mut self.0))
    }

    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let standard: f64 = StandardNormal.sample(&mut self.0);
        mean + deviation * standard
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// An index drawn by its weight: for short lists that differ from person to person.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().sum();
        let mut left = self.unit() * total;
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = index;
                if left < weight {
                    return index;
                }
            }
            left -= weight;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_two_people_differ_and_repeat() {
        let first: Vec<u32> = (0..4).map(|person| Draw::new(7, person, Subject::Person).bits()).collect();
        let again: Vec<u32> = (0..4).map(|person| Draw::new(7, person, Subject::Person).bits()).collect();
        assert_eq!(first, again);
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn draws_have_the_means_asked_for() {
        let mut draw = Draw::new(1, 1, Subject::Gp);
        let poisson: u32 = (0..20_000).map(|_| draw.poisson(2.5)).sum();
        let gamma: f64 = (0..20_000).map(|_| draw.gamma(0.5, 2.0)).sum();
        assert!((f64::from(poisson) / 20_000.0 - 2.5).abs() < 0.06);
        assert!((gamma / 20_000.0 - 1.0).abs() < 0.06);
    }

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut generator = Xoshiro([1, 2, 3, 4]);
        let drawn: Vec<u64> = (0..4).map(|_| generator.next()).collect();
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn() {
        let mut draw = Draw::new(1, 2, Subject::Gp);
        assert!((0..1_000).all(|_| draw.weighted([0.0, 1.0, 0.0].into_iter()) == 1));
    }
}
