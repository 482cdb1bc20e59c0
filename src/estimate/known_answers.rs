//! The estimators against what established packages make of the same rows: `fixtures/estimate/`, whose first lines name
//! packages and versions.

use std::collections::BTreeMap;

use super::calibration::{brier, in_the_large, isotonic, line};
use super::discrimination::{auc, auc_difference, average_precision};
use super::interval::share;
use super::inverse_logit;

pub struct Rows {
    pub x: Vec<[f64; 6]>,
    pub events: Vec<bool>,
    pub score_a: Vec<i64>,
    pub score_b: Vec<i64>,
}

pub fn rows() -> Rows {
    let text = include_str!("../../fixtures/estimate/rows.csv");
    let mut rows = Rows { x: Vec::new(), events: Vec::new(), score_a: Vec::new(), score_b: Vec::new() };
    for line in text.lines().skip(2) {
        let cells: Vec<i64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        rows.x.push(std::array::from_fn(|place| cells[place] as f64));
        rows.events.push(cells[6] == 1);
        rows.score_a.push(cells[7]);
        rows.score_b.push(cells[8]);
    }
    assert_eq!(rows.x.len(), 600);
    rows
}

pub fn known() -> BTreeMap<String, f64> {
    let lines = include_str!("../../fixtures/estimate/known.csv").lines().skip(2);
    let pair = |line: &str| line.split_once(',').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.filter_map(pair).collect()
}

/// Panics where two figures differ by more than a tolerance.
pub fn near(name: &str, got: f64, tolerance: f64) {
    let expected = known()[name];
    assert!((got - expected).abs() <= tolerance, "{name}: got {got}, expected {expected}");
}

#[test]
fn areas_and_their_intervals_are_those_of_the_definition() {
    let rows = rows();
    let got = auc(&rows.score_a, &rows.events).unwrap();
    near("auc_a", got.estimate.value, 1e-12);
    near("auc_a_error", got.standard_error, 1e-12);
    let (low, high) = got.estimate.interval.unwrap();
    near("auc_a_low", low, 1e-9);
    near("auc_a_high", high, 1e-9);
    let difference = auc_difference(&rows.score_a, &rows.score_b, &rows.events).unwrap();
    near("auc_b", difference.second.value, 1e-12);
    near("auc_difference", difference.difference.value, 1e-12);
    near("auc_difference_low", difference.difference.interval.unwrap().0, 1e-9);
    near("auc_difference_p", difference.p_value, 1e-9);
    near("average_precision_a", average_precision(&rows.score_a, &rows.events).unwrap(), 1e-12);
}

#[test]
fn calibration_is_that_of_scikit_learn_and_statsmodels() {
    let rows = rows();
    let lps: Vec<f64> = rows.score_a.iter().map(|score| *score as f64 / 1e9).collect();
    let probabilities: Vec<f64> = lps.iter().map(|lp| inverse_logit(*lp)).collect();
    near("brier_a", brier(&probabilities, &rows.events), 1e-12);
    let line = line(&lps, &rows.events).unwrap();
    near("calibration_intercept", line.intercept, 1e-8);
    near("calibration_intercept_error", line.intercept_error, 1e-6);
    near("calibration_slope", line.slope, 1e-8);
    near("calibration_slope_error", line.slope_error, 1e-6);
    let large = in_the_large(&lps, &rows.events).unwrap();
    near("in_the_large", large.value, 1e-8);
    let (low, high) = large.interval.unwrap();
    near("in_the_large_error", (high - low) / 2.0 / super::interval::z_95(), 1e-6);
}

#[test]
fn isotonic_levels_are_those_of_scikit_learn() {
    let rows = rows();
    let levels = isotonic(&rows.score_a, &rows.events);
    let level = |score: i64| {
        let found = levels.iter().rev().find(|level| level.from_score <= score);
        found.expect("every score has a level").share()
    };
    for row in [0, 100, 200, 300, 400, 500] {
        near(&format!("isotonic_{row}"), level(rows.score_a[row]), 1e-9);
    }
    near("isotonic_sum_of_squares", rows.score_a.iter().map(|score| level(*score).powi(2)).sum(), 1e-6);
}

#[test]
fn shares_have_the_wilson_intervals_of_statsmodels() {
    for (part, whole) in [(81, 263), (0, 20), (1, 29), (20, 20)] {
        let (low, high) = share(part, whole).unwrap().interval.unwrap();
        near(&format!("wilson_{part}_{whole}_low"), low, 1e-9);
        near(&format!("wilson_{part}_{whole}_high"), high, 1e-9);
    }
}
