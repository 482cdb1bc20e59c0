//! How long a fit and a validation take on a made-up matrix as large as Kent: `cargo bench --bench estimate`.
//!
//! `ESTIMATE_PEOPLE` (1,500,000), `ESTIMATE_RUNS` (3). With `ESTIMATE_WRITE=DIR` the matrix and our coefficients are
//! written there too, for `scripts/rival_fits.py` to fit the same with scikit-learn and glum.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use riskstrat::estimate::decision::{Cut, Ranking};
use riskstrat::estimate::design::Design;
use riskstrat::estimate::discrimination::auc;
use riskstrat::estimate::fit::{Fit, Fitting, Penalty};
use riskstrat::estimate::inverse_logit;
use riskstrat::estimate::resample::{Sample, resampled};
use riskstrat::estimate::sample::Grouped;

/// As many columns as the Combined Predictive Model has terms: age groups, levels that exclude each other, flags.
const WIDTH: usize = 69;
const AGE_GROUPS: usize = 14;
const LEVELS: usize = 4;
const LEVELLED: usize = 10;

fn main() {
    let number =
        |name: &str, otherwise: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (people, runs) = (number("ESTIMATE_PEOPLE", 1_500_000), number("ESTIMATE_RUNS", 3));
    let (design, events) = made_up(people);
    println!(
        "{people} people, {WIDTH} columns, {} values that are not 0, {} with the outcome; {} threads",
        design.values.len(),
        events.iter().filter(|event| **event).count(),
        rayon::current_num_threads()
    );
    let folds = vec![0u8; people];
    let mut fits: Vec<(Duration, Fit)> = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        let grouped = Grouped::new(&design, &events, &folds);
        let alike = start.elapsed();
        let fit = Fitting::new(&grouped).fit(Penalty::NONE, None).expect("the matrix has a fit");
        println!(
            "fit {:.2} s, of which bringing rows together {:.2} s ({} distinct rows); {} steps",
            start.elapsed().as_secs_f64(),
            alike.as_secs_f64(),
            grouped.rows(),
            fit.steps
        );
        fits.push((start.elapsed(), fit));
    }
    validation(&design, &events, &fits[0].1, runs);
    if let Ok(folder) = std::env::var("ESTIMATE_WRITE") {
        write(Path::new(&folder), &design, &events, &fits[0].1).expect("the folder can be written");
    }
}

fn made_up(people: usize) -> (Design, Vec<bool>) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let coefficients: Vec<f64> = (0..WIDTH).map(|column| (column * 37 % 23) as f64 / 20.0 - 0.3).collect();
    let mut design = Design::new(WIDTH);
    let mut events = Vec::with_capacity(people);
    let mut row: Vec<(usize, f64)> = Vec::new();
    for _ in 0..people {
        row.clear();
        let age = random.random_range(0..=AGE_GROUPS);
        if age < AGE_GROUPS {
            row.push((age, 1.0));
        }
        // Whoever has one has others more often.
        let ill: f64 = if random.random_bool(0.25) { 0.35 } else { 0.04 };
        for group in 0..LEVELLED {
            if random.random_bool(ill) {
                row.push((AGE_GROUPS + group * LEVELS + random.random_range(0..LEVELS), 1.0));
            }
        }
        for flag in AGE_GROUPS + LEVELLED * LEVELS..WIDTH {
            if random.random_bool(ill / (1.0 + (flag % 7) as f64)) {
                row.push((flag, 1.0));
            }
        }
        design.push(row.iter().copied());
        events.push(random.random_bool(inverse_logit(design.predict(design.rows() - 1, -3.6, &coefficients))));
    }
    (design, events)
}

/// The figures of a validation table with 200 repeats.
fn validation(design: &Design, events: &[bool], fit: &Fit, runs: usize) {
    let lps: Vec<f64> = (0..events.len()).map(|row| design.predict(row, fit.intercept, &fit.coefficients)).collect();
    let scores: Vec<i64> = lps.iter().map(|lp| (lp * 1e9).round() as i64).collect();
    let probabilities: Vec<f64> = lps.iter().map(|lp| inverse_logit(*lp)).collect();
    let days: Vec<u32> = events.iter().map(|event| if *event { 6 } else { 0 }).collect();
    let sample = Sample { scores: &scores, probabilities: &probabilities, events, days: &days };
    for _ in 0..runs {
        let start = Instant::now();
        let ranking = Ranking::new(&scores);
        let area = auc(&scores, events).expect("both classes");
        let ranked = start.elapsed();
        let thresholds = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
        let got = resampled(sample, &ranking, &Cut::KINGS_FUND, &thresholds, 200, 1);
        println!(
            "200 repeats {:.2} s; ranking and AUC with interval {:.2} s (AUC {:.4}, average precision {:.4})",
            (start.elapsed() - ranked).as_secs_f64(),
            ranked.as_secs_f64(),
            area.estimate.value,
            got.average_precision.value
        );
    }
}

/// Plain little-endian numbers, as numpy's `fromfile` reads them.
fn write(folder: &Path, design: &Design, events: &[bool], fit: &Fit) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let starts: Vec<u8> = design.starts.iter().flat_map(|start| (*start as u64).to_le_bytes()).collect();
    let columns: Vec<u8> = design.columns.iter().flat_map(|column| column.to_le_bytes()).collect();
    let values: Vec<u8> = design.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let ours: Vec<u8> =
        std::iter::once(&fit.intercept).chain(&fit.coefficients).flat_map(|b| b.to_le_bytes()).collect();
    std::fs::write(folder.join("starts.u64"), starts)?;
    std::fs::write(folder.join("columns.u16"), columns)?;
    std::fs::write(folder.join("values.f64"), values)?;
    std::fs::write(folder.join("events.u8"), events.iter().map(|event| u8::from(*event)).collect::<Vec<u8>>())?;
    std::fs::write(folder.join("ours.f64"), ours)
}
