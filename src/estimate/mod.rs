//! How true a score is, and what would make it truer: discrimination, calibration, decision figures, and fitting.
//!
//! Everything here works on plain slices: a risk score as a whole number that orders people, a probability, whether the
//! outcome came. Nothing here reads or writes, knows a file format, a model file or a person. Counts are whole numbers;
//! floats are summed in chunks of a fixed size, in order, so that no result depends on the number of threads.

pub mod bootstrap;
pub mod calibration;
pub mod decision;
pub mod design;
pub mod discrimination;
pub mod fit;
pub mod interval;
pub mod resample;
pub mod sample;

#[cfg(test)]
mod known_answers;

use rayon::prelude::*;

/// Rows that one thread sums at once; the sums of the chunks are added in order.
pub const CHUNK: usize = 8_192;

/// The sum of a function over rows `0..rows`, the same for any number of threads.
pub fn sum_of(rows: usize, of: impl Fn(usize) -> f64 + Sync) -> f64 {
    let chunks: Vec<f64> = (0..rows.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| (chunk * CHUNK..((chunk + 1) * CHUNK).min(rows)).map(&of).sum())
        .collect();
    chunks.iter().sum()
}

/// One over one plus e to the minus this.
pub fn inverse_logit(linear_predictor: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-linear_predictor))
}
