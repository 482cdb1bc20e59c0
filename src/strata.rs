//! Ranks and bands.
//!
//! People are ranked by linear predictor from the highest down; ties go by pseudonym. Ranks and cut points are whole
//! numbers, so a band does not depend on how a share was rounded.

use std::num::NonZeroU32;

use crate::model::{Bands, Model};
use crate::number::Nano;
use crate::score::people::Reason;
use crate::score::threshold_band;

/// The rank and band of everybody, in spine order; `None` for those without a score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strata {
    /// 1 is the highest risk.
    pub ranks: Vec<Option<NonZeroU32>>,
    /// Place among the model's bands.
    pub bands: Vec<Option<u8>>,
    pub ranked: u32,
}

/// Ranks and bands of one model's scores.
///
/// # Boundaries
/// The person at rank r of n is in the top share s where (r - 1) / n < s: the first person is at 0 %, and at least one
/// person is in every share that is above nothing.
/// # Source
/// Combined Predictive Model: bands are shares of the whole area's ranking, not of each practice's.
pub fn strata(model: &Model, linear_predictors: &[Result<Nano, Reason>]) -> Strata {
    let order = ranked(linear_predictors);
    let mut strata = Strata {
        ranks: vec![None; linear_predictors.len()],
        bands: vec![None; linear_predictors.len()],
        ranked: order.len() as u32,
    };
    for (&person, rank) in order.iter().zip(1..) {
        let place = person as usize;
        strata.ranks[place] = NonZeroU32::new(rank);
        let band = match &model.bands {
            Bands::None => continue,
            Bands::TopShare(shares) => share_band(shares, u64::from(rank) - 1, order.len() as u64),
            Bands::Threshold(_) => linear_predictors[place].ok().and_then(|lp| threshold_band(model, lp)),
        };
        strata.bands[place] = band.map(|band| band as u8);
    }
    strata
}

/// People with a score by linear predictor from the highest down, ties in their own order.
fn ranked(linear_predictors: &[Result<Nano, Reason>]) -> Vec<u32> {
    let scored = linear_predictors.iter().zip(0u32..).filter_map(|(lp, person)| Some((lp.ok()?.0, person)));
    let scored: Vec<(i64, u32)> = scored.collect();
    let (lowest, highest) =
        scored.iter().fold((i64::MAX, i64::MIN), |(low, high), (lp, _)| (low.min(*lp), high.max(*lp)));
    let people_bits = u32::BITS - (linear_predictors.len() as u32).leading_zeros();
    let span_bits = if scored.is_empty() { 0 } else { u64::BITS - highest.abs_diff(lowest).leading_zeros() };
    if people_bits + span_bits > u64::BITS {
        let mut scored = scored;
        scored.sort_unstable_by_key(|(lp, person)| (std::cmp::Reverse(*lp), *person));
        return scored.into_iter().map(|(_, person)| person).collect();
    }
    // How far below the highest, and then the person, in one number each.
    let key = |(lp, person): (i64, u32)| highest.abs_diff(lp) << people_bits | u64::from(person);
    let keys = scored.into_iter().map(key).collect();
    let sorted = sorted_above(keys, people_bits, people_bits + span_bits);
    let person = (1u64 << people_bits) - 1;
    sorted.into_iter().map(|key| (key & person) as u32).collect()
}

/// Numbers in order of their bits from the first to before the end; those that are alike there stay in their order.
fn sorted_above(mut numbers: Vec<u64>, first: u32, end: u32) -> Vec<u64> {
    const DIGIT: u32 = 11;
    let mut other = vec![0; numbers.len()];
    for shift in (first..end).step_by(DIGIT as usize) {
        let digit = |number: u64| (number >> shift) as usize & ((1 << DIGIT) - 1);
        let mut starts = [0u32; 1 << DIGIT];
        numbers.iter().for_each(|number| starts[digit(*number)] += 1);
        let mut all = 0;
        for start in &mut starts {
            all += std::mem::replace(start, all);
        }
        for &number in &numbers {
            let start = &mut starts[digit(number)];
            other[*start as usize] = number;
            *start += 1;
        }
        std::mem::swap(&mut numbers, &mut other);
    }
    numbers
}

/// The band of the person with `above` people ranked higher, of `all`; shares are in millionths.
fn share_band(shares: &[(String, u32)], above: u64, all: u64) -> Option<usize> {
    shares.iter().position(|(_, share)| above * 1_000_000 < u64::from(*share) * all)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_highest_come_first_and_ties_go_by_person_however_far_scores_lie_apart() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let ranges = [(0, 0), (-3, 3), (-5_000_000_000, 4_000_000_000), (0, 1 << 45), (i64::MIN, i64::MAX)];
        for (lowest, highest) in ranges {
            for people in [0usize, 1, 2, 700, 3_000] {
                let score = |_| (!rng.random_bool(0.2)).then(|| Nano(rng.random_range(lowest..=highest)));
                let scores: Vec<Result<Nano, Reason>> =
                    (0..people).map(score).map(|lp| lp.ok_or(Reason::Age)).collect();
                let mut expected: Vec<u32> =
                    (0..people as u32).filter(|&person| scores[person as usize].is_ok()).collect();
                expected.sort_by_key(|&person| (std::cmp::Reverse(scores[person as usize].unwrap()), person));
                assert_eq!(ranked(&scores), expected, "{people} people from {lowest} to {highest}");
            }
        }
    }

    fn shares() -> Vec<(String, u32)> {
        [("very_high", 5_000), ("high", 50_000), ("moderate", 200_000), ("low", 1_000_000)]
            .map(|(n, s)| (n.to_owned(), s))
            .into()
    }

    #[test]
    fn of_a_thousand_people_five_are_very_high_and_fifty_high_or_more() {
        let counts = |all: u64| {
            let mut counts = [0; 4];
            (0..all).for_each(|above| counts[share_band(&shares(), above, all).unwrap()] += 1);
            counts
        };
        assert_eq!(counts(1_000), [5, 45, 150, 800]);
        // 0.5 % of 100 is half a person: the first is in the top share, since nobody ranks above.
        assert_eq!(counts(100), [1, 4, 15, 80]);
        assert_eq!(counts(1), [1, 0, 0, 0]);
        assert_eq!(counts(201), [2, 9, 30, 160]);
    }
}
