//! Ranks and bands.
//!
//! People are ranked by linear predictor from the highest down; ties go by pseudonym. Ranks and cut points are whole
//! numbers, so a band does not depend on how a share was rounded.

use rayon::prelude::*;

use crate::model::{Bands, Model};
use crate::number::Nano;
use crate::score::people::Reason;
use crate::score::threshold_band;

/// The rank and band of everybody, in spine order; `None` for those without a score.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strata {
    /// 1 is the highest risk.
    pub ranks: Vec<Option<u32>>,
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
    let mut order: Vec<(Nano, u32)> =
        linear_predictors.iter().enumerate().filter_map(|(person, lp)| Some((lp.ok()?, person as u32))).collect();
    order.par_sort_unstable_by(|one, two| two.0.cmp(&one.0).then(one.1.cmp(&two.1)));
    let mut strata = Strata {
        ranks: vec![None; linear_predictors.len()],
        bands: vec![None; linear_predictors.len()],
        ranked: order.len() as u32,
    };
    for (place, (linear_predictor, person)) in order.iter().enumerate() {
        strata.ranks[*person as usize] = Some(place as u32 + 1);
        let band = match &model.bands {
            Bands::None => None,
            Bands::TopShare(shares) => share_band(shares, place as u64, order.len() as u64),
            Bands::Threshold(_) => threshold_band(model, *linear_predictor),
        };
        strata.bands[*person as usize] = band.map(|band| band as u8);
    }
    strata
}

/// The band of the person with `above` people ranked higher, of `all`; shares are in millionths.
fn share_band(shares: &[(String, u32)], above: u64, all: u64) -> Option<usize> {
    shares.iter().position(|(_, share)| above * 1_000_000 < u64::from(*share) * all)
}

#[cfg(test)]
mod tests {
    use super::*;

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
