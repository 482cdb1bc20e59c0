//! How well a score puts people with the outcome above people without it.
//!
//! Scores are whole numbers, so ties are exact and counts of pairs are whole numbers too: the area under the curve has
//! one value, whatever the order of rows or the number of threads. Each tie counts half.

use rayon::prelude::*;

use super::interval::{Estimate, p_value};

/// The area under the receiver operating characteristic, with its DeLong interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Auc {
    pub estimate: Estimate,
    pub standard_error: f64,
    pub events: u64,
    pub people: u64,
}

/// The area under the curve, or `None` where one of the two classes has nobody.
///
/// # Shape
/// One score and one outcome a person, in any order; a higher score means a higher risk.
/// # Source
/// DeLong ER et al, Biometrics 1988;44:837-45, with the midranks of Sun and Xu, IEEE Signal Proc Lett 2014;21:1389-93.
pub fn auc<S: Ord + Copy + Send + Sync>(scores: &[S], events: &[bool]) -> Option<Auc> {
    assert_eq!(scores.len(), events.len(), "one outcome a score");
    let placements = Placements::new(scores, events)?;
    let variance = placements.variance();
    let standard_error = variance.sqrt();
    Some(Auc {
        estimate: Estimate::normal(placements.area(), standard_error).within(0.0, 1.0),
        standard_error,
        events: placements.with_event.len() as u64,
        people: scores.len() as u64,
    })
}

/// Two scores of the same people held against the same outcomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucDifference {
    pub first: Estimate,
    pub second: Estimate,
    /// Second less first.
    pub difference: Estimate,
    pub p_value: f64,
}

/// The paired DeLong comparison; `None` where one of the two classes has nobody.
pub fn auc_difference<S: Ord + Copy + Send + Sync>(
    first: &[S],
    second: &[S],
    events: &[bool],
) -> Option<AucDifference> {
    assert_eq!(first.len(), second.len(), "the same people");
    let (one, two) = (Placements::new(first, events)?, Placements::new(second, events)?);
    let (variance_one, variance_two) = (one.variance(), two.variance());
    // Rounding may leave a hair less than nothing where both scores are the same.
    let variance = (variance_one + variance_two - 2.0 * one.covariance(&two)).max(0.0);
    let difference = two.area() - one.area();
    let p_value = match variance > 0.0 {
        true => p_value(difference / variance.sqrt()),
        false => 1.0,
    };
    Some(AucDifference {
        first: Estimate::normal(one.area(), variance_one.sqrt()).within(0.0, 1.0),
        second: Estimate::normal(two.area(), variance_two.sqrt()).within(0.0, 1.0),
        difference: Estimate::normal(difference, variance.sqrt()).within(-1.0, 1.0),
        p_value,
    })
}

/// For everybody, twice the number of people of the other class that the score puts them on the right side of; a tie
/// counts once.
struct Placements {
    with_event: Vec<u64>,
    without: Vec<u64>,
}

impl Placements {
    fn new<S: Ord + Copy + Send + Sync>(scores: &[S], events: &[bool]) -> Option<Placements> {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.par_sort_unstable_by_key(|&person| (scores[person as usize], person));
        let all_with = events.iter().filter(|event| **event).count() as u64;
        let all_without = events.len() as u64 - all_with;
        if all_with == 0 || all_without == 0 {
            return None;
        }
        let mut placed = vec![0u64; scores.len()];
        let (mut with_below, mut without_below) = (0u64, 0u64);
        for tied in order.chunk_by(|&one, &two| scores[one as usize] == scores[two as usize]) {
            let with = tied.iter().filter(|&&person| events[person as usize]).count() as u64;
            let without = tied.len() as u64 - with;
            for &person in tied {
                placed[person as usize] = match events[person as usize] {
                    true => 2 * without_below + without,
                    false => 2 * (all_with - with_below - with) + with,
                };
            }
            with_below += with;
            without_below += without;
        }
        let of =
            |wanted: bool| placed.iter().zip(events).filter(|(_, event)| **event == wanted).map(|(p, _)| *p).collect();
        Some(Placements { with_event: of(true), without: of(false) })
    }

    fn area(&self) -> f64 {
        let halves: u128 = self.with_event.iter().map(|&placed| u128::from(placed)).sum();
        halves as f64 / (2.0 * self.with_event.len() as f64 * self.without.len() as f64)
    }

    fn variance(&self) -> f64 {
        self.covariance(self)
    }

    fn covariance(&self, other: &Placements) -> f64 {
        // A placement is twice a share of the other class.
        let share_with = 2.0 * self.without.len() as f64;
        let share_without = 2.0 * self.with_event.len() as f64;
        covariance(&self.with_event, &other.with_event) / (share_with * share_with) / self.with_event.len() as f64
            + covariance(&self.without, &other.without) / (share_without * share_without) / self.without.len() as f64
    }
}

/// The sample covariance of two lists of whole numbers, worked out in whole numbers; nothing for fewer than two.
fn covariance(one: &[u64], two: &[u64]) -> f64 {
    let n = one.len() as u128;
    if n < 2 {
        return 0.0;
    }
    let (mut sum_one, mut sum_two, mut products) = (0u128, 0u128, 0u128);
    for (&a, &b) in one.iter().zip(two) {
        sum_one += u128::from(a);
        sum_two += u128::from(b);
        products += u128::from(a) * u128::from(b);
    }
    let scaled = (n * products) as i128 - (sum_one * sum_two) as i128;
    scaled as f64 / (n as f64 * (n - 1) as f64)
}

/// The mean of the precision over everybody who has the outcome, down the ranking; people who are tied come together.
/// `None` where nobody has it.
///
/// # Source
/// The sum of precision times the gain in recall, without interpolation, as scikit-learn's `average_precision_score`.
pub fn average_precision<S: Ord + Copy + Send + Sync>(scores: &[S], events: &[bool]) -> Option<f64> {
    let all = events.iter().filter(|event| **event).count();
    if all == 0 {
        return None;
    }
    let mut sum = 0.0;
    let (mut people, mut found) = (0usize, 0usize);
    for (tied, with) in down_the_ranking(scores, events) {
        people += tied;
        found += with;
        sum += with as f64 * found as f64 / people as f64;
    }
    Some(sum / all as f64)
}

/// A point of the curve: of those without and with the outcome, the shares whose score is at least some number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
}

/// The curve at no more than `points` places, from nobody to everybody; empty where one class has nobody.
pub fn roc<S: Ord + Copy + Send + Sync>(scores: &[S], events: &[bool], points: usize) -> Vec<RocPoint> {
    let with = events.iter().filter(|event| **event).count();
    let without = events.len() - with;
    if with == 0 || without == 0 {
        return Vec::new();
    }
    let steps = down_the_ranking(scores, events);
    let every = events.len().div_ceil(points.max(2) - 1);
    let mut curve = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    let (mut people, mut found, mut drawn) = (0usize, 0usize, 0usize);
    for (tied, of_them) in steps {
        people += tied;
        found += of_them;
        if people >= drawn + every || people == events.len() {
            drawn = people;
            curve.push(RocPoint {
                false_positive_rate: (people - found) as f64 / without as f64,
                true_positive_rate: found as f64 / with as f64,
            });
        }
    }
    curve
}

/// For each distinct score from the highest down: how many people have it, and how many of them the outcome.
fn down_the_ranking<S: Ord + Copy + Send + Sync>(scores: &[S], events: &[bool]) -> Vec<(usize, usize)> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.par_sort_unstable_by_key(|&person| (std::cmp::Reverse(scores[person as usize]), person));
    let tied = order.chunk_by(|&one, &two| scores[one as usize] == scores[two as usize]);
    tied.map(|tied| (tied.len(), tied.iter().filter(|&&person| events[person as usize]).count())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs_and_half_of_ties() {
        // With the outcome: 3, 2; without: 2, 1, 0. Pairs won: 3 and 2.5 of 3 each, 5.5 of 6.
        let auc = auc(&[3, 2, 2, 1, 0], &[true, true, false, false, false]).unwrap();
        assert!((auc.estimate.value - 5.5 / 6.0).abs() < 1e-15);
        // Placements with: 1, 5/6, variance 1/72; without: 3/4, 1, 1, variance 1/48: 1/72/2 + 1/48/3 = 1/72.
        assert!((auc.standard_error - (1.0f64 / 72.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn one_class_alone_has_no_area() {
        assert_eq!(auc(&[1, 2], &[true, true]), None);
        assert_eq!(auc(&[1, 2], &[false, false]), None);
        assert_eq!(auc::<i64>(&[], &[]), None);
        assert_eq!(average_precision(&[1, 2], &[false, false]), None);
    }

    #[test]
    fn a_score_against_itself_differs_by_nothing() {
        let (scores, events) = ([5, 3, 4, 1, 2, 9], [true, false, true, false, true, false]);
        let same = auc_difference(&scores, &scores, &events).unwrap();
        assert_eq!((same.difference.value, same.difference.interval, same.p_value), (0.0, Some((0.0, 0.0)), 1.0));
    }

    #[test]
    fn the_curve_runs_from_nobody_to_everybody() {
        let curve = roc(&[3, 2, 2, 1, 0], &[true, true, false, false, false], 100);
        let expected = [(0.0, 0.0), (0.0, 0.5), (1.0 / 3.0, 1.0), (2.0 / 3.0, 1.0), (1.0, 1.0)];
        assert_eq!(curve.len(), expected.len());
        for (point, (fpr, tpr)) in curve.iter().zip(expected) {
            assert!((point.false_positive_rate - fpr).abs() < 1e-15 && (point.true_positive_rate - tpr).abs() < 1e-15);
        }
        assert!(roc(&[1; 10_000], &[[true, false]; 5_000].concat(), 50).len() == 2, "all tied: one step");
    }

    #[test]
    fn precision_is_averaged_over_those_with_the_outcome() {
        // 3: 1/1; 2 and 2 tied: 2/3. (1 + 2/3) / 2.
        let got = average_precision(&[3, 2, 2, 1, 0], &[true, true, false, false, false]).unwrap();
        assert!((got - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
    }
}
