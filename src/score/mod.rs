//! Scores: from the values of a model's terms to a linear predictor, exactly.
//!
//! One loop serves every kind of model, the batch, the worked examples and `riskstrat score`: a term's value times
//! its coefficient, hierarchies, a sum of whole numbers. Kinds differ only in what is published of the sum. Nothing
//! here knows a file format.

pub mod fidelity;
pub mod given;
pub mod people;
pub mod predictor;

use crate::model::{Bands, Kind, Model, WhenMissing};
use crate::number::{Micro, Nano};

/// What the terms of one score come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub linear_predictor: Nano,
    /// One a term, in the model's order; what hierarchies set to zero is zero.
    pub contributions: Vec<Nano>,
}

/// The linear predictor and each term's part in it.
///
/// # Missing
/// A missing value counts as zero or withholds the score, as its term says.
/// # Errors
/// The first term whose missing value withholds the score.
pub fn sum(model: &Model, value: impl Fn(usize) -> Micro) -> Result<Sum, usize> {
    let mut contributions = vec![Nano::ZERO; model.terms.len()];
    let linear_predictor = sum_of(model, 0..model.terms.len(), value, &mut contributions)?;
    Ok(Sum { linear_predictor, contributions })
}

/// As [`sum`] of the terms at these places, in order, into a buffer that is used again for the next person.
///
/// The other terms add nothing, are not missing and are not true, so that no hierarchy starts from them; their
/// contributions stay zero.
pub fn sum_of(
    model: &Model,
    places: impl Iterator<Item = usize> + Clone,
    value: impl Fn(usize) -> Micro,
    contributions: &mut [Nano],
) -> Result<Nano, usize> {
    for place in places.clone() {
        let term = &model.terms[place];
        let value = match value(place) {
            Micro::MISSING if term.when_missing == WhenMissing::NotScored => return Err(place),
            Micro::MISSING => Micro::ZERO,
            value => value,
        };
        contributions[place] = if value == Micro::ZERO { Nano::ZERO } else { term.coefficient.times(value) };
    }
    for hierarchy in &model.hierarchies {
        if value(hierarchy.if_present).is_true() {
            for &place in &hierarchy.then_zero {
                contributions[place] = Nano::ZERO;
            }
        }
    }
    let linear_predictor = places.fold(model.intercept, |sum, place| sum.plus(contributions[place]));
    Ok(model.floor.map_or(linear_predictor, |floor| linear_predictor.max(floor)))
}

/// What is published of a linear predictor: a probability, points, or the share of deficits present.
pub fn published(model: &Model, linear_predictor: Nano) -> f64 {
    match model.kind {
        Kind::Logistic => model.probability(linear_predictor),
        Kind::Fraction => linear_predictor.to_f64() / model.terms.len() as f64,
        Kind::Points | Kind::Conditions | Kind::Facts => linear_predictor.to_f64(),
    }
}

/// The place of a score's band where bands are thresholds; `None` where they are shares of a ranking.
pub fn threshold_band(model: &Model, linear_predictor: Nano) -> Option<usize> {
    match &model.bands {
        Bands::Threshold(bands) => bands.iter().position(|band| linear_predictor >= band.lowest),
        _ => None,
    }
}

/// No term, among the strongest of a score; no model has as many.
pub const NO_TERM: u16 = u16::MAX;

/// The terms that raise a score the most, the strongest first, then [`NO_TERM`]; ties in the model's order, which is
/// that of the places.
pub fn top_reasons<const N: usize>(contributions: &[Nano], places: impl Iterator<Item = usize>) -> [u16; N] {
    let mut top = [NO_TERM; N];
    for place in places.filter(|place| contributions[*place] > Nano::ZERO) {
        let part = contributions[place];
        let weaker = |known: &u16| *known == NO_TERM || contributions[usize::from(*known)] < part;
        if let Some(at) = top.iter().position(weaker) {
            top.copy_within(at..N - 1, at + 1);
            top[at] = place as u16;
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_largest_contributions_in_order_and_ties_go_by_place() {
        let parts = [3, 0, 5, 5, -9, 4].map(Nano);
        assert_eq!(top_reasons::<3>(&parts, 0..6), [2, 3, 5]);
        assert_eq!(top_reasons::<3>(&[Nano(-1), Nano(2)], 0..2), [1, NO_TERM, NO_TERM]);
    }
}
