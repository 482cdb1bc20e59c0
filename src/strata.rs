//! Ranks and bands.
//!
//! People are ranked by linear predictor from the highest down; ties go by pseudonym. Ranks and cut points are whole
//! numbers, so a band does not depend on how a share was rounded.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::model::{Bands, Model};
use crate::number::Nano;
use crate::score::predictor::Predictor;
use crate::score::threshold_band;

/// The rank and band of everybody, in spine order; `None` for those without a score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strata {
    /// 1 is the highest risk.
    pub ranks: Vec<Option<NonZeroU32>>,
    /// Place among the model's bands.
    pub bands: Vec<Option<u8>>,
    /// Those who have a score, in spine order.
    pub scored: Vec<u32>,
    /// How many people are in each of the model's bands.
    pub in_bands: Vec<u64>,
    /// Where few scores differ.
    pub steps: Option<Steps>,
}

/// Scores of which few differ, as points are: each once, and whose is which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// From the highest down.
    pub linear_predictors: Vec<Nano>,
    /// The place of each person's among them, in spine order; 0 for those without a score.
    pub places: Vec<u16>,
}

/// Ranks and bands of one model's scores.
///
/// # Boundaries
/// The person at rank r of n is in the top share s where (r - 1) / n < s: the first person is at 0 %, and at least one
/// person is in every share that is above nothing.
/// # Source
/// Combined Predictive Model: bands are shares of the whole area's ranking, not of each practice's.
pub fn strata(model: &Model, linear_predictors: &[Predictor]) -> Strata {
    let mut scored = Vec::with_capacity(linear_predictors.len());
    scored.extend((0..).zip(linear_predictors).filter(|(_, score)| score.is_scored()).map(|(person, _)| person));
    let ends = match &model.bands {
        Bands::TopShare(shares) => share_ends(shares, scored.len() as u64),
        _ => Vec::new(),
    };
    let band = |above: u32, linear_predictor: Nano| match &model.bands {
        Bands::None => None,
        Bands::TopShare(_) => ends.iter().position(|end| u64::from(above) < *end),
        Bands::Threshold(_) => threshold_band(model, linear_predictor),
    };
    placed(linear_predictors, scored, model.bands.names().len(), band)
}

/// Ranks, and the bands that `band` says by how many people stand above and by the score.
fn placed(
    linear_predictors: &[Predictor],
    scored: Vec<u32>,
    bands: usize,
    band: impl Fn(u32, Nano) -> Option<usize>,
) -> Strata {
    let people = linear_predictors.len();
    let score = |person: u32| linear_predictors[person as usize].get().expect("it is one of those who have a score").0;
    let steps = Steps::of(&scored, score, people);
    let (ranks, bands, in_bands) = (vec![None; people], vec![None; people], vec![0; bands]);
    let mut strata = Strata { ranks, bands, scored, in_bands, steps };
    let Strata { ranks, bands, in_bands, scored, steps } = &mut strata;
    let mut put = |person: u32, above: u32, linear_predictor: Nano| {
        ranks[person as usize] = NonZeroU32::new(above + 1);
        if let Some(band) = band(above, linear_predictor) {
            bands[person as usize] = Some(band as u8);
            in_bands[band] += 1;
        }
    };
    match steps {
        Some(steps) => {
            let mut above = steps.above(scored);
            for &person in &*scored {
                let place = usize::from(steps.places[person as usize]);
                put(person, above[place], steps.linear_predictors[place]);
                above[place] += 1;
            }
        }
        None => ranked(scored, score, people).into_iter().zip(0..).for_each(|((person, linear_predictor), above)| {
            put(person, above, linear_predictor);
        }),
    }
    strata
}

impl Strata {
    /// Those of some people who have a score.
    pub fn scored_among(&self, people: Range<usize>) -> &[u32] {
        let before = |end: usize| self.scored.partition_point(|person| (*person as usize) < end);
        &self.scored[before(people.start)..before(people.end)]
    }
}

impl Steps {
    /// More than this are not few.
    const MOST: usize = 1 << 12;

    fn of(scored: &[u32], score: impl Fn(u32) -> i64, people: usize) -> Option<Steps> {
        // Numbered as they are met; a table that is only asked, never walked.
        let mut known: hashbrown::HashMap<i64, u16> = hashbrown::HashMap::new();
        let mut met: Vec<(i64, u16)> = Vec::new();
        let mut places = vec![0; people];
        for &person in scored {
            let linear_predictor = score(person);
            let place = *known.entry(linear_predictor).or_insert(met.len() as u16);
            if usize::from(place) == met.len() {
                met.push((linear_predictor, place));
                if met.len() > Steps::MOST {
                    return None;
                }
            }
            places[person as usize] = place;
        }
        met.sort_unstable_by_key(|(linear_predictor, _)| std::cmp::Reverse(*linear_predictor));
        let mut sorted = vec![0; met.len()];
        for ((_, place), new) in met.iter().zip(0..) {
            sorted[usize::from(*place)] = new;
        }
        for person in scored {
            let place = &mut places[*person as usize];
            *place = sorted[usize::from(*place)];
        }
        let linear_predictors = met.into_iter().map(|(linear_predictor, _)| Nano(linear_predictor)).collect();
        Some(Steps { linear_predictors, places })
    }

    /// By step: how many people have a higher score.
    fn above(&self, scored: &[u32]) -> Vec<u32> {
        let mut people = vec![0; self.linear_predictors.len()];
        scored.iter().for_each(|person| people[usize::from(self.places[*person as usize])] += 1);
        let mut all = 0;
        for above in &mut people {
            all += std::mem::replace(above, all);
        }
        people
    }
}

/// People with their scores from the highest down, ties in their own order.
fn ranked(scored: &[u32], score: impl Fn(u32) -> i64, people: usize) -> Vec<(u32, Nano)> {
    let scores = scored.iter().map(|&person| score(person));
    let (lowest, highest) = scores.clone().fold((i64::MAX, i64::MIN), |(low, high), lp| (low.min(lp), high.max(lp)));
    let people_bits = u32::BITS - (people as u32).leading_zeros();
    let span_bits = if scored.is_empty() { 0 } else { u64::BITS - highest.abs_diff(lowest).leading_zeros() };
    if people_bits + span_bits > u64::BITS {
        let mut ranked: Vec<(u32, Nano)> = scored.iter().copied().zip(scores.map(Nano)).collect();
        ranked.sort_unstable_by_key(|(person, lp)| (std::cmp::Reverse(lp.0), *person));
        return ranked;
    }
    // How far below the highest, and then the person, in one number each.
    let key = |(lp, person): (i64, &u32)| highest.abs_diff(lp) << people_bits | u64::from(*person);
    let keys = scores.zip(scored).map(key).collect();
    let sorted = sorted_above(keys, people_bits, people_bits + span_bits);
    let person = (1u64 << people_bits) - 1;
    let taken_apart = |key: u64| ((key & person) as u32, Nano(highest.wrapping_sub_unsigned(key >> people_bits)));
    sorted.into_iter().map(taken_apart).collect()
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

/// By share, in millionths of the people ranked: how many people stand above its end.
fn share_ends(shares: &[(String, u32)], ranked: u64) -> Vec<u64> {
    shares.iter().map(|(_, share)| (u64::from(*share) * ranked).div_ceil(1_000_000)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::score::people::Reason;

    #[test]
    fn the_highest_come_first_and_ties_go_by_person_however_far_scores_lie_apart() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let ranges = [(0, 0), (-3, 3), (-5_000_000_000, 4_000_000_000), (0, 1 << 45), (i64::MIN, i64::MAX)];
        for (lowest, highest) in ranges {
            for people in [0usize, 1, 2, 700, 9_000] {
                let score = |_| (!rng.random_bool(0.2)).then(|| Nano(rng.random_range(lowest..=highest)));
                let scores: Vec<Result<Nano, Reason>> =
                    (0..people).map(score).map(|lp| lp.ok_or(Reason::Age)).collect();
                let mut expected: Vec<u32> =
                    (0..people as u32).filter(|&person| scores[person as usize].is_ok()).collect();
                expected.sort_by_key(|&person| (std::cmp::Reverse(scores[person as usize].unwrap()), person));
                let mut scored = expected.clone();
                scored.sort_unstable();
                let score = |person: u32| scores[person as usize].unwrap().0;
                let what = format!("{people} people from {lowest} to {highest}");
                let in_order: Vec<(u32, Nano)> =
                    expected.iter().map(|&person| (person, scores[person as usize].unwrap())).collect();
                assert_eq!(ranked(&scored, score, people), in_order, "{what}");
                let packed: Vec<Predictor> = scores.iter().map(|score| Predictor::new(*score)).collect();
                let strata = placed(&packed, scored.clone(), 0, |_, _| None);
                let mut by_rank = strata.scored.clone();
                by_rank.sort_by_key(|person| strata.ranks[*person as usize]);
                assert_eq!(by_rank, expected, "{what}");
                let Some(steps) = strata.steps else {
                    assert!(scored.len() > Steps::MOST, "{what}");
                    continue;
                };
                let of_steps = |person: u32| steps.linear_predictors[usize::from(steps.places[person as usize])].0;
                assert!(scored.iter().all(|person| of_steps(*person) == score(*person)), "{what}");
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
            let ends = share_ends(&shares(), all);
            (0..all).for_each(|above| counts[ends.iter().position(|end| above < *end).unwrap()] += 1);
            counts
        };
        assert_eq!(counts(1_000), [5, 45, 150, 800]);
        // 0.5 % of 100 is half a person: the first is in the top share, since nobody ranks above.
        assert_eq!(counts(100), [1, 4, 15, 80]);
        assert_eq!(counts(1), [1, 0, 0, 0]);
        assert_eq!(counts(201), [2, 9, 30, 160]);
    }
}
