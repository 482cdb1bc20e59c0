//! The figures of a validation that have no closed-form interval, with intervals by drawing people again.

use rayon::prelude::*;

use super::bootstrap;
use super::decision::{Cut, Found, Ranking};
use super::interval::Estimate;

/// People as a validation sees them; one entry a person, in any order.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// A higher score means a higher risk.
    pub scores: &'a [i64],
    /// Empty where the score is no probability.
    pub probabilities: &'a [f64],
    pub events: &'a [bool],
    /// Days in hospital, or whatever a place on a list is to save.
    pub days: &'a [u32],
}

/// The figures, each with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    pub average_precision: Estimate,
    /// `None` where the score is no probability.
    pub brier: Option<Estimate>,
    pub scaled_brier: Option<Estimate>,
    pub calibration_error: Option<Estimate>,
    /// Net benefit at each threshold.
    pub net_benefit: Vec<Estimate>,
    /// Days a flagged person, at each cut.
    pub days_per_flagged: Vec<Estimate>,
}

/// Groups of equal size that the calibration error is taken over.
pub const GROUPS: usize = 20;

/// The sample in the order of its ranking, so that one repeat is one walk down it.
struct Walk {
    probabilities: Vec<f64>,
    events: Vec<bool>,
    days: Vec<u32>,
    /// Whether the next person has another score.
    ends_tie: Vec<bool>,
    /// Place after the last flagged, and whose it is; in order. Marks are the thresholds, then the cuts.
    by_place: Vec<(usize, usize)>,
    /// Number of people drawn at which a mark is reached, and whose it is; in order.
    by_drawn: Vec<(u64, usize)>,
    thresholds: Vec<f64>,
    marks: usize,
    /// Place after the last of each group that has anybody, in order.
    group_ends: Vec<usize>,
}

/// What has been drawn so far down the ranking.
#[derive(Clone, Copy, Default)]
struct Tally {
    people: u64,
    with: u64,
    days: u64,
}

/// The figures of a sample, with intervals from so many repeats.
///
/// # Shape
/// `cuts` are those that the ranking has people enough for; thresholds lie between 0 and 1.
pub fn resampled(
    sample: Sample,
    ranking: &Ranking,
    cuts: &[Cut],
    thresholds: &[f64],
    repeats: usize,
    seed: u64,
) -> Resampled {
    let walk = Walk::new(sample, ranking, cuts, thresholds);
    let people = ranking.people();
    let values = walk.figures(&vec![1; people]);
    let all = bootstrap::intervals(people, repeats, seed, &values, |times| walk.figures(times));
    let is_probability = !sample.probabilities.is_empty();
    let (net_benefit, days_per_flagged) = all[4..].split_at(thresholds.len());
    Resampled {
        average_precision: all[0],
        brier: is_probability.then_some(all[1]),
        scaled_brier: is_probability.then_some(all[2]),
        calibration_error: is_probability.then_some(all[3]),
        net_benefit: net_benefit.to_vec(),
        days_per_flagged: days_per_flagged.to_vec(),
    }
}

impl Walk {
    fn new(sample: Sample, ranking: &Ranking, cuts: &[Cut], thresholds: &[f64]) -> Walk {
        let order = &ranking.order;
        let probabilities: Vec<f64> =
            order.iter().filter_map(|&row| sample.probabilities.get(row as usize).copied()).collect();
        let score = |place: usize| sample.scores[order[place] as usize];
        let ends_tie = (0..order.len()).map(|place| place + 1 == order.len() || score(place) != score(place + 1));
        let above = |(mark, limit): (usize, &f64)| (probabilities.partition_point(|p| p >= limit), mark);
        let mut by_place: Vec<(usize, usize)> = thresholds.iter().enumerate().map(above).collect();
        let mut by_drawn = Vec::new();
        for (number, cut) in cuts.iter().enumerate() {
            let flagged = cut.flagged(ranking, sample.probabilities).expect("cuts that fit were given");
            match cut {
                Cut::Threshold(_) => by_place.push((flagged, thresholds.len() + number)),
                _ => by_drawn.push((flagged as u64, thresholds.len() + number)),
            }
        }
        by_place.sort_unstable();
        by_drawn.sort_unstable();
        let mut group_ends: Vec<usize> = (1..=GROUPS).map(|part| part * order.len() / GROUPS).collect();
        group_ends.dedup();
        group_ends.retain(|end| *end > 0);
        Walk {
            events: order.par_iter().map(|&row| sample.events[row as usize]).collect(),
            days: order.par_iter().map(|&row| sample.days[row as usize]).collect(),
            ends_tie: ends_tie.collect(),
            marks: thresholds.len() + cuts.len(),
            thresholds: thresholds.to_vec(),
            by_place,
            by_drawn,
            group_ends,
            probabilities,
        }
    }

    /// Average precision, Brier, scaled Brier, calibration error; then net benefit by threshold; then days a flagged
    /// person by cut.
    fn figures(&self, times: &[u8]) -> Vec<f64> {
        let mut sum = Tally::default();
        let mut at_mark: Vec<Option<Tally>> = vec![None; self.marks];
        let (mut by_place, mut by_drawn) = (self.by_place.iter().peekable(), self.by_drawn.iter().peekable());
        let mut group_ends = self.group_ends.iter().peekable();
        let (mut precision_sum, mut with_at_last_tie) = (0.0, 0u64);
        let (mut squared, mut expected, mut distance) = (0.0, 0.0, 0.0);
        // Outcomes and expected outcomes before the group.
        let (mut with_before, mut expected_before) = (0u64, 0.0);
        for (place, times) in times.iter().enumerate() {
            while let Some((_, mark)) = by_place.next_if(|(end, _)| *end <= place) {
                at_mark[*mark] = Some(sum);
            }
            while let Some((_, mark)) = by_drawn.next_if(|(limit, _)| *limit <= sum.people) {
                at_mark[*mark] = Some(sum);
            }
            let many = u64::from(*times);
            let event = u64::from(self.events[place]);
            sum.people += many;
            sum.with += many * event;
            sum.days += many * u64::from(self.days[place]);
            if let Some(p) = self.probabilities.get(place) {
                let off = p - event as f64;
                squared += many as f64 * off * off;
                expected += many as f64 * p;
            }
            if self.ends_tie[place] && sum.people > 0 {
                precision_sum += (sum.with - with_at_last_tie) as f64 * sum.with as f64 / sum.people as f64;
                with_at_last_tie = sum.with;
            }
            if group_ends.next_if_eq(&&(place + 1)).is_some() {
                distance += ((sum.with - with_before) as f64 - (expected - expected_before)).abs();
                (with_before, expected_before) = (sum.with, expected);
            }
        }
        let (people, with) = (sum.people as f64, sum.with as f64);
        let brier = squared / people;
        let scaled = super::calibration::scaled_brier(brier, with / people);
        let mut figures = vec![precision_sum / with, brier, scaled, distance / people];
        let (thresholds, cuts) = at_mark.split_at(self.thresholds.len());
        for (threshold, tally) in self.thresholds.iter().zip(thresholds) {
            let flagged = tally.unwrap_or(sum);
            let found = Found { people: sum.people, events: sum.with, flagged: flagged.people, found: flagged.with };
            figures.push(found.net_benefit(*threshold));
        }
        let of_flagged = cuts.iter().map(|tally| tally.unwrap_or(sum));
        figures.extend(of_flagged.map(|flagged| flagged.days as f64 / flagged.people as f64));
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::calibration::{ObservedExpected, brier, expected_calibration_error};
    use crate::estimate::decision::found_at;
    use crate::estimate::discrimination::average_precision;

    #[test]
    fn everybody_drawn_once_gives_the_figures_of_the_plain_functions() {
        let people = 237usize;
        let scores: Vec<i64> = (0..people as i64).map(|n| n * 7919 % 61).collect();
        let probabilities: Vec<f64> = scores.iter().map(|score| (*score as f64 + 1.0) / 64.0).collect();
        let events: Vec<bool> = (0..people).map(|n| n * 31 % 64 < scores[n] as usize).collect();
        let days: Vec<u32> = (0..people as u32).map(|n| n % 9).collect();
        let sample = Sample { scores: &scores, probabilities: &probabilities, events: &events, days: &days };
        let ranking = Ranking::new(&scores);
        let cuts = [Cut::Top(50), Cut::TopShare(200_000), Cut::Threshold(70)];
        let got = resampled(sample, &ranking, &cuts, &[0.2, 0.5], 60, 5);
        let near = |one: f64, two: f64| assert!((one - two).abs() < 1e-12, "{one} {two}");
        near(got.average_precision.value, average_precision(&scores, &events).unwrap());
        near(got.brier.unwrap().value, brier(&probabilities, &events));
        let groups: Vec<ObservedExpected> = (0..GROUPS)
            .map(|part| {
                ranking.part(part, GROUPS).iter().map(|&row| (probabilities[row as usize], events[row as usize]))
            })
            .map(ObservedExpected::of)
            .collect();
        near(got.calibration_error.unwrap().value, expected_calibration_error(&groups));
        for (number, cut) in cuts.iter().enumerate() {
            let flagged = cut.flagged(&ranking, &probabilities).unwrap();
            let sum: u32 = ranking.order[..flagged].iter().map(|&row| days[row as usize]).sum();
            near(got.days_per_flagged[number].value, f64::from(sum) / flagged as f64);
        }
        let half = found_at(Cut::Threshold(50), &ranking, &probabilities, &events).unwrap();
        near(got.net_benefit[1].value, half.net_benefit(0.5));
        let (low, high) = got.average_precision.interval.unwrap();
        assert!(low < got.average_precision.value && got.average_precision.value < high);
    }
}
