//! The estimators against what established packages make of the same rows: `fixtures/estimate/`, whose first lines name
//! packages and versions.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::calibration::{brier, in_the_large, isotonic, line};
use super::design::Design;
use super::discrimination::{auc, auc_difference, average_precision};
use super::fit::{Column, Fitting, NoFit, Penalty, cross_validate, lambdas};
use super::interval::share;
use super::inverse_logit;
use super::sample::Grouped;

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

fn design(rows: &Rows) -> Design {
    let mut design = Design::new(6);
    rows.x.iter().for_each(|row| design.push(row.iter().copied().enumerate()));
    design
}

#[test]
fn coefficients_and_standard_errors_are_those_of_statsmodels() {
    let rows = rows();
    let grouped = Grouped::new(&design(&rows), &rows.events, &vec![0; 600]);
    let fit = Fitting::new(&grouped).fit(Penalty::NONE, None).unwrap();
    near("fit_0", fit.intercept, 1e-6);
    near("fit_0_error", fit.standard_errors[0], 1e-6);
    for (place, coefficient) in fit.coefficients.iter().enumerate() {
        near(&format!("fit_{}", place + 1), *coefficient, 1e-6);
        near(&format!("fit_{}_error", place + 1), fit.standard_errors[place + 1], 1e-6);
    }
    // Rows that are alike and in several folds are several rows; the fit does not notice.
    let folds: Vec<u8> = (0..600u32).map(|row| (row % 5) as u8).collect();
    let parted = Grouped::new(&design(&rows), &rows.events, &folds);
    assert!(parted.rows() > grouped.rows());
    let again = Fitting::new(&parted).fit(Penalty::NONE, None).unwrap();
    assert!(again.coefficients.iter().zip(&fit.coefficients).all(|(one, two)| (one - two).abs() < 1e-10));
}

#[test]
fn ridge_and_lasso_paths_are_those_of_scikit_learn() {
    let rows = rows();
    let grouped = Grouped::new(&design(&rows), &rows.events, &vec![0; 600]);
    let fitting = Fitting::new(&grouped);
    let mut last = None;
    for lambda in ["0.05", "0.02", "0.008", "0.003", "0.001"] {
        let number: f64 = lambda.parse().unwrap();
        let ridge = fitting.fit(Penalty { ridge: number, lasso: 0.0 }, None).unwrap();
        let lasso = fitting.fit(Penalty { ridge: 0.0, lasso: number }, last.as_ref()).unwrap();
        near(&format!("ridge_{lambda}_0"), ridge.intercept, 1e-6);
        near(&format!("lasso_{lambda}_0"), lasso.intercept, 1e-5);
        for place in 0..6 {
            near(&format!("ridge_{lambda}_{}", place + 1), ridge.coefficients[place], 1e-6);
            near(&format!("lasso_{lambda}_{}", place + 1), lasso.coefficients[place], 1e-5);
        }
        last = Some(lasso);
    }
    let largest = fitting.largest_lambda().unwrap();
    let nothing = fitting.fit(Penalty { ridge: 0.0, lasso: largest * 1.0001 }, None).unwrap();
    assert!(nothing.coefficients.iter().all(|coefficient| *coefficient == 0.0));
    let something = fitting.fit(Penalty { ridge: 0.0, lasso: largest * 0.999 }, None).unwrap();
    assert_eq!(something.coefficients.iter().filter(|coefficient| **coefficient != 0.0).count(), 1);
}

/// People whose outcome is drawn from coefficients that are known.
fn drawn(random: &mut ChaCha8Rng, people: usize, intercept: f64, coefficients: &[f64]) -> (Design, Vec<bool>) {
    let mut design = Design::new(coefficients.len());
    let mut events = Vec::new();
    for _ in 0..people {
        let row: Vec<f64> = (0..coefficients.len())
            .map(|column| match column {
                0 => f64::from(random.random_range(18..95)) / 10.0,
                1 => f64::from(random.random_range(0..4u8)),
                column => f64::from(u8::from(random.random_bool(0.5 / column as f64))),
            })
            .collect();
        design.push(row.iter().copied().enumerate());
        let lp = design.predict(design.rows() - 1, intercept, coefficients);
        events.push(random.random_bool(inverse_logit(lp)));
    }
    (design, events)
}

#[test]
fn planted_coefficients_lie_in_their_intervals_in_about_95_of_100_repeats() {
    let (intercept, planted) = (-3.0, [0.2, 0.35, 0.8, -0.5, 0.0, 1.2]);
    let mut random = ChaCha8Rng::seed_from_u64(20_160_401);
    let mut inside = [0u32; 7];
    for _ in 0..100 {
        let (design, events) = drawn(&mut random, 3_000, intercept, &planted);
        let grouped = Grouped::new(&design, &events, &vec![0; events.len()]);
        let fit = Fitting::new(&grouped).fit(Penalty::NONE, None).unwrap();
        let estimates = std::iter::once(fit.intercept).chain(fit.coefficients);
        let truths = std::iter::once(intercept).chain(planted);
        for (place, ((estimate, truth), error)) in estimates.zip(truths).zip(fit.standard_errors).enumerate() {
            inside[place] += u32::from((estimate - truth).abs() <= super::interval::z_95() * error);
        }
    }
    // Of a binomial number with 100 trials at 0.95, fewer than 88 happen 1 time in 1,000; of 700 in all the standard
    // deviation is 0.8 in a hundred, were they independent.
    assert!(inside.iter().all(|inside| *inside >= 88), "{inside:?}");
    let share = f64::from(inside.iter().sum::<u32>()) / 700.0;
    assert!((0.925..=0.975).contains(&share), "{inside:?}");
}

#[test]
fn columns_that_cannot_have_a_coefficient_are_named() {
    let mut design = Design::new(7);
    let mut events = Vec::new();
    for row in 0..400u32 {
        let (one, two) = (f64::from(row % 2), f64::from(row / 2 % 2));
        let never = f64::from(u8::from(row % 40 == 0));
        // Empty; one; two; their sum; constant; nobody has the outcome; the opposite of the first.
        design.push([0.0, one, two, one + two, 3.0, never, 1.0 - one].into_iter().enumerate());
        events.push(row % 40 != 0 && (row * 7919) % 10 < 3 + 2 * (row % 2));
    }
    let grouped = Grouped::new(&design, &events, &vec![0; 400]);
    let states = Fitting::new(&grouped).screen(1);
    assert_eq!(states[0], Column::Empty);
    assert_eq!((&states[1], &states[2]), (&Column::Fitted, &Column::Fitted));
    let Column::Collinear(of) = &states[3] else { panic!("{:?}", states[3]) };
    assert_eq!(of.iter().map(|(column, _)| *column).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(states[4], Column::Constant);
    assert_eq!(states[5], Column::Few { people: 10, with: 0 });
    assert!(matches!(&states[6], Column::Collinear(of) if of.len() == 1 && of[0].0 == 1), "{:?}", states[6]);
}

#[test]
fn perfect_separation_is_told_with_the_columns_that_do_it_and_a_penalty_gets_through() {
    let mut design = Design::new(2);
    let mut events = Vec::new();
    for row in 0..200u32 {
        design.push([f64::from(row), f64::from(row % 3)].into_iter().enumerate());
        events.push(row >= 120);
    }
    let grouped = Grouped::new(&design, &events, &[0; 200]);
    let fitting = Fitting::new(&grouped);
    let Err(NoFit::Separated(columns)) = fitting.fit(Penalty::NONE, None) else { panic!("separated") };
    assert!(columns.contains(&0), "{columns:?}");
    let ridge = fitting.fit(Penalty { ridge: 0.01, lasso: 0.0 }, None).unwrap();
    assert!(ridge.coefficients[0] > 0.0 && ridge.coefficients[0].is_finite());
    let none = Grouped::new(&design, &[false; 200], &[0; 200]);
    assert_eq!(Fitting::new(&none).fit(Penalty::NONE, None), Err(NoFit::OneClass));
}

#[test]
fn held_coefficients_are_offsets() {
    let rows = rows();
    let grouped = Grouped::new(&design(&rows), &rows.events, &vec![0; 600]);
    let whole = Fitting::new(&grouped).fit(Penalty::NONE, None).unwrap();
    // The last column held at its own estimate: the others come out the same.
    let mut narrow = grouped.clone();
    narrow.design = Design::new(5);
    let mut offsets = Vec::new();
    for row in 0..grouped.rows() {
        let (columns, values) = grouped.design.row(row);
        let cells = columns.iter().map(|column| usize::from(*column)).zip(values.iter().copied());
        let (kept, held): (Vec<_>, Vec<_>) = cells.partition(|(column, _)| *column < 5);
        narrow.design.push(kept);
        offsets.push(held.iter().map(|(_, value)| value * whole.coefficients[5]).sum());
    }
    let fit = Fitting::new(&narrow).with_offsets(offsets).fit(Penalty::NONE, None).unwrap();
    assert!(fit.coefficients.iter().zip(&whole.coefficients).all(|(one, two)| (one - two).abs() < 1e-8));
}

#[test]
fn cross_validation_drops_columns_that_say_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let planted = [0.3, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let (design, events) = drawn(&mut random, 4_000, -3.0, &planted);
    let folds: Vec<u8> = (0..4_000u32).map(|row| (row % 5) as u8).collect();
    let grouped = Grouped::new(&design, &events, &folds);
    let fitting = Fitting::new(&grouped);
    let path = lambdas(fitting.largest_lambda().unwrap(), 20);
    let lasso = |lambda| Penalty { ridge: 0.0, lasso: lambda };
    let (best, points) = cross_validate(&grouped, &[], 5, &path, lasso).unwrap();
    assert!(points.len() == 20 && best < path[0] && best > path[19], "{best}");
    let fit = fitting.fit(lasso(best), None).unwrap();
    let size = |column: usize| fit.coefficients[column].abs();
    assert!(size(0) > 0.2 && size(1) > 0.35 && (2..8).all(|column| size(column) < 0.2), "{:?}", fit.coefficients);
}

#[test]
fn estimates_do_not_depend_on_the_number_of_threads() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let (design, events) = drawn(&mut random, 30_000, -3.0, &[0.2, 0.35, 0.8, -0.5, 0.0, 1.2]);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let grouped = Grouped::new(&design, &events, &vec![0; events.len()]);
            let fitting = Fitting::new(&grouped);
            let fit = fitting.fit(Penalty::NONE, None).unwrap();
            let lasso = fitting.fit(Penalty { ridge: 0.0, lasso: 0.003 }, None).unwrap();
            let lps: Vec<f64> = (0..events.len()).map(|row| design.predict(row, -2.0, &[0.1; 6])).collect();
            (fit, lasso, line(&lps, &events).unwrap())
        })
    };
    assert_eq!(on(1), on(7));
}
