//! Whether a probability means what it says: calibration in the large, slope, observed over expected, Brier score, and
//! the isotonic map from score to share.

use super::interval::{Estimate, share};
use super::{CHUNK, inverse_logit, sum_of};
use rayon::prelude::*;

/// A straight line from one linear predictor to a better one: intercept + slope x linear predictor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub intercept: f64,
    pub slope: f64,
    pub intercept_error: f64,
    pub slope_error: f64,
}

/// Why there is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLine {
    /// Nobody has the outcome, or everybody.
    OneClass,
    /// The score tells people with the outcome from those without it without a fault.
    Separated,
    /// The linear predictor is the same for everybody.
    NoSpread,
}

impl NoLine {
    pub fn words(self) -> &'static str {
        match self {
            NoLine::OneClass => "nobody has the outcome, or everybody has it",
            NoLine::Separated => "the score tells people with and without the outcome apart without a fault",
            NoLine::NoSpread => "the score is the same for everybody",
        }
    }
}

/// Steps of Newton's method after which a fit is given up.
const STEPS: usize = 50;

/// Calibration intercept and slope: the logistic regression of the outcome on the linear predictor.
///
/// # Errors
/// Where the data has no such line.
pub fn line(linear_predictors: &[f64], events: &[bool]) -> Result<Line, NoLine> {
    both_classes(events)?;
    let first = linear_predictors[0];
    if linear_predictors.iter().all(|lp| *lp == first) {
        return Err(NoLine::NoSpread);
    }
    // Centred, so that the two columns are far from collinear.
    let centre = sum_of(events.len(), |row| linear_predictors[row]) / events.len() as f64;
    let (mut intercept, mut slope) = (0.0, 1.0);
    for _ in 0..STEPS {
        let sums = newton_sums(linear_predictors, events, centre, intercept, slope);
        let [gradient_0, gradient_1, h00, h01, h11] = sums;
        let determinant = h00 * h11 - h01 * h01;
        // NaN and infinities land here too.
        if !(determinant > h00 * h11 * 1e-14 && slope.abs() < 1e4) {
            return Err(NoLine::Separated);
        }
        let step_0 = (h11 * gradient_0 - h01 * gradient_1) / determinant;
        let step_1 = (h00 * gradient_1 - h01 * gradient_0) / determinant;
        intercept += step_0;
        slope += step_1;
        if step_0.abs() < 1e-10 * (1.0 + intercept.abs()) && step_1.abs() < 1e-10 * (1.0 + slope.abs()) {
            let [_, _, h00, h01, h11] = newton_sums(linear_predictors, events, centre, intercept, slope);
            let determinant = h00 * h11 - h01 * h01;
            let (v00, v01, v11) = (h11 / determinant, -h01 / determinant, h00 / determinant);
            return Ok(Line {
                intercept: intercept - slope * centre,
                slope,
                intercept_error: (v00 - 2.0 * centre * v01 + centre * centre * v11).max(0.0).sqrt(),
                slope_error: v11.sqrt(),
            });
        }
    }
    Err(NoLine::Separated)
}

/// Calibration in the large: the constant that, added to every linear predictor, makes as many outcomes expected as
/// there were. Positive: the score is too low.
///
/// # Errors
/// Where nobody has the outcome, or everybody.
pub fn in_the_large(linear_predictors: &[f64], events: &[bool]) -> Result<Estimate, NoLine> {
    both_classes(events)?;
    let mut shift = 0.0;
    for _ in 0..200 {
        let [gradient, _, information, _, _] = newton_sums(linear_predictors, events, 0.0, shift, 1.0);
        // Far from the answer the information all but vanishes; a bounded step still gets there.
        let step = (gradient / information.max(1e-12)).clamp(-2.0, 2.0);
        shift += step;
        if step.abs() < 1e-11 {
            return Ok(Estimate::normal(shift, 1.0 / information.sqrt()));
        }
    }
    Err(NoLine::Separated)
}

fn both_classes(events: &[bool]) -> Result<(), NoLine> {
    let with = events.iter().filter(|event| **event).count();
    if with == 0 || with == events.len() { Err(NoLine::OneClass) } else { Ok(()) }
}

/// Gradient (intercept, slope) and information (00, 01, 11) of a logistic line on a centred linear predictor.
fn newton_sums(linear_predictors: &[f64], events: &[bool], centre: f64, intercept: f64, slope: f64) -> [f64; 5] {
    let rows = events.len();
    let chunks: Vec<[f64; 5]> = (0..rows.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut sums = [0.0; 5];
            for row in chunk * CHUNK..((chunk + 1) * CHUNK).min(rows) {
                let x = linear_predictors[row] - centre;
                let p = inverse_logit(intercept + slope * x);
                let (residual, weight) = (f64::from(u8::from(events[row])) - p, p * (1.0 - p));
                for (sum, part) in sums.iter_mut().zip([residual, residual * x, weight, weight * x, weight * x * x]) {
                    *sum += part;
                }
            }
            sums
        })
        .collect();
    chunks.iter().fold([0.0; 5], |mut all, chunk| {
        all.iter_mut().zip(chunk).for_each(|(all, part)| *all += part);
        all
    })
}

/// How many people had the outcome, and how many were expected to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObservedExpected {
    pub people: u64,
    pub observed: u64,
    pub expected: f64,
}

impl ObservedExpected {
    pub fn of(people: impl Iterator<Item = (f64, bool)>) -> ObservedExpected {
        let none = ObservedExpected { people: 0, observed: 0, expected: 0.0 };
        people.fold(none, |sum, (probability, event)| ObservedExpected {
            people: sum.people + 1,
            observed: sum.observed + u64::from(event),
            expected: sum.expected + probability,
        })
    }

    /// Observed over expected, with the Wilson interval of the observed share; `None` where none were expected.
    pub fn ratio(&self) -> Option<Estimate> {
        if self.expected <= 0.0 {
            return None;
        }
        let scale = self.people as f64 / self.expected;
        let observed = share(self.observed, self.people)?;
        let interval = observed.interval.map(|(low, high)| (low * scale, high * scale));
        Some(Estimate { value: observed.value * scale, interval })
    }
}

/// The mean squared distance of the probability from what came; 0 is best.
pub fn brier(probabilities: &[f64], events: &[bool]) -> f64 {
    let squared = |row: usize| {
        let distance = probabilities[row] - f64::from(u8::from(events[row]));
        distance * distance
    };
    sum_of(events.len(), squared) / events.len() as f64
}

/// One less the Brier score over that of the mean outcome for everybody: 1 is best, 0 no better than the mean.
pub fn scaled_brier(brier: f64, event_share: f64) -> f64 {
    1.0 - brier / (event_share * (1.0 - event_share))
}

/// The mean distance between observed and expected share over groups, by people: the expected calibration error.
pub fn expected_calibration_error(groups: &[ObservedExpected]) -> f64 {
    let people: u64 = groups.iter().map(|group| group.people).sum();
    groups.iter().map(|group| (group.observed as f64 - group.expected).abs()).sum::<f64>() / people.max(1) as f64
}

/// One level of the isotonic map: people whose score is at least this have the outcome in this share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    pub from_score: i64,
    /// The highest score of those who made the level.
    pub to_score: i64,
    pub people: u64,
    pub events: u64,
}

impl Level {
    pub fn share(&self) -> f64 {
        self.events as f64 / self.people as f64
    }
}

/// The shares that rise with the score and are nearest to what came, from the lowest score up: pool adjacent violators.
pub fn isotonic(scores: &[i64], events: &[bool]) -> Vec<Level> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.par_sort_unstable_by_key(|&person| (scores[person as usize], person));
    let mut levels: Vec<Level> = Vec::new();
    for tied in order.chunk_by(|&one, &two| scores[one as usize] == scores[two as usize]) {
        let score = scores[tied[0] as usize];
        let with = tied.iter().filter(|&&person| events[person as usize]).count() as u64;
        let mut level = Level { from_score: score, to_score: score, people: tied.len() as u64, events: with };
        // Shares compared as products of whole numbers, so that pooling does not hang on rounding.
        while let Some(below) = levels.last().filter(|below| {
            u128::from(below.events) * u128::from(level.people) >= u128::from(level.events) * u128::from(below.people)
        }) {
            level = Level {
                from_score: below.from_score,
                to_score: level.to_score,
                people: below.people + level.people,
                events: below.events + level.events,
            };
            levels.pop();
        }
        levels.push(level);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_means_what_it_says_has_slope_one_and_intercept_nothing() {
        // Of 10 at each of three probabilities: 2, 5 and 8 with the outcome.
        let mut lps = Vec::new();
        let mut events = Vec::new();
        for (share, with) in [(0.2f64, 2), (0.5, 5), (0.8, 8)] {
            for person in 0..10 {
                lps.push((share / (1.0 - share)).ln());
                events.push(person < with);
            }
        }
        let line = line(&lps, &events).unwrap();
        assert!(line.intercept.abs() < 1e-9 && (line.slope - 1.0).abs() < 1e-9, "{line:?}");
        assert!(in_the_large(&lps, &events).unwrap().value.abs() < 1e-9);
        let shifted: Vec<f64> = lps.iter().map(|lp| 2.0 * lp - 1.0).collect();
        let line = super::line(&shifted, &events).unwrap();
        assert!((line.slope - 0.5).abs() < 1e-9 && (line.intercept - 0.5).abs() < 1e-9, "{line:?}");
    }

    #[test]
    fn there_is_no_line_through_one_class_or_two_that_do_not_meet() {
        assert_eq!(line(&[1.0, 2.0], &[false, false]), Err(NoLine::OneClass));
        assert_eq!(line(&[1.0, 1.0], &[true, false]), Err(NoLine::NoSpread));
        assert_eq!(line(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]), Err(NoLine::Separated));
        assert_eq!(in_the_large(&[1.0], &[true]), Err(NoLine::OneClass));
    }

    #[test]
    fn a_shift_is_found_from_far_away() {
        let found = in_the_large(&[-30.0; 4], &[true, false, false, false]).unwrap();
        assert!((found.value - (30.0 - 3.0f64.ln())).abs() < 1e-8, "{found:?}");
    }

    #[test]
    fn brier_and_its_scaled_form() {
        let (p, events) = ([0.5, 0.5, 1.0, 0.0], [true, false, true, false]);
        assert_eq!(brier(&p, &events), 0.125);
        assert_eq!(scaled_brier(0.125, 0.5), 0.5);
    }

    #[test]
    fn violators_are_pooled() {
        // Scores 1 to 4 with shares 0, 1, 0, 1: 2 and 3 are pooled.
        let levels = isotonic(&[4, 3, 2, 1], &[true, false, true, false]);
        let got: Vec<_> =
            levels.iter().map(|level| (level.from_score, level.to_score, level.people, level.events)).collect();
        assert_eq!(got, [(1, 1, 1, 0), (2, 3, 2, 1), (4, 4, 1, 1)]);
        assert_eq!(isotonic(&[1, 2], &[true, false]).len(), 1);
    }

    #[test]
    fn observed_over_expected_has_the_interval_of_the_observed_share() {
        let group = ObservedExpected { people: 20, observed: 10, expected: 5.0 };
        let ratio = group.ratio().unwrap();
        let (low, high) = share(10, 20).unwrap().interval.unwrap();
        assert_eq!((ratio.value, ratio.interval), (2.0, Some((low * 4.0, high * 4.0))));
    }
}
