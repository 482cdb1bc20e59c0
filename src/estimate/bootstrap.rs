//! Intervals by drawing people again, for figures without a closed form.
//!
//! Each person is drawn a Poisson number of times with mean one, independently, which for more than a few hundred people
//! is the same as drawing as many people with replacement. The draws follow from the seed and the number of the repeat
//! alone, so results depend neither on threads nor on the clock.

use rayon::prelude::*;

use super::interval::Estimate;

/// 95 % percentile intervals of several figures.
///
/// # Shape
/// `figures` gets how often each person was drawn and gives the figures, always as many; NaN where a draw has none.
/// Out: an estimate for each of `values`, which are the figures of everybody drawn once; no interval where more than one
/// repeat in twenty has no figure.
pub fn intervals(
    people: usize,
    repeats: usize,
    seed: u64,
    values: &[f64],
    figures: impl Fn(&[u8]) -> Vec<f64> + Sync,
) -> Vec<Estimate> {
    let drawn: Vec<Vec<f64>> = (0..repeats as u64)
        .into_par_iter()
        .map_init(
            || vec![0u8; people],
            |times, repeat| {
                draw(seed, repeat, times);
                figures(times)
            },
        )
        .collect();
    let of = |(number, value): (usize, &f64)| {
        let mut found: Vec<f64> = drawn.iter().map(|repeat| repeat[number]).filter(|figure| !figure.is_nan()).collect();
        found.sort_unstable_by(f64::total_cmp);
        let is_enough = repeats > 0 && found.len() * 20 >= repeats * 19;
        Estimate { value: *value, interval: is_enough.then(|| (quantile(&found, 0.025), quantile(&found, 0.975))) }
    };
    values.iter().enumerate().map(of).collect()
}

/// A quantile of sorted numbers, between neighbours in proportion.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * (place - place.floor())
}

/// 2^32 times the chance of at most so many draws, under a Poisson distribution with mean one.
fn cumulative() -> [u64; 12] {
    let mut chance = libm::exp(-1.0);
    let mut sum = 0.0;
    std::array::from_fn(|draws| {
        if draws > 0 {
            chance /= draws as f64;
        }
        sum += chance;
        (sum * 4_294_967_296.0) as u64
    })
}

/// How often each person is drawn in one repeat.
fn draw(seed: u64, repeat: u64, times: &mut [u8]) {
    let limits = cumulative();
    let count = |random: u64| limits.iter().position(|limit| random < *limit).unwrap_or(limits.len()) as u8;
    let mut state = mix(seed ^ mix(repeat.wrapping_add(1)));
    for pair in times.chunks_mut(2) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let random = mix(state);
        pair[0] = count(random >> 32);
        if let Some(second) = pair.get_mut(1) {
            *second = count(random & 0xffff_ffff);
        }
    }
}

/// The mixing step of SplitMix64: every bit of the result depends on every bit of the number.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_variance_of_their_distribution() {
        let mut times = vec![0u8; 100_001];
        draw(7, 0, &mut times);
        let n = times.len() as f64;
        let mean = times.iter().map(|t| f64::from(*t)).sum::<f64>() / n;
        let variance = times.iter().map(|t| (f64::from(*t) - mean).powi(2)).sum::<f64>() / n;
        // Standard errors: of the mean 1 / sqrt(n) = 0.0032, of the variance sqrt(3 / n) = 0.0055.
        assert!((mean - 1.0).abs() < 0.013 && (variance - 1.0).abs() < 0.022, "{mean} {variance}");
        let mut again = vec![0u8; 100_001];
        draw(7, 1, &mut again);
        assert_ne!(times, again);
        draw(7, 0, &mut again);
        assert_eq!(times, again);
    }

    #[test]
    fn the_interval_of_a_mean_is_near_its_textbook_one() {
        let values: Vec<f64> = (0..2_000).map(|n| f64::from(n % 10)).collect();
        let mean = |times: &[u8]| {
            let drawn: f64 = times.iter().map(|t| f64::from(*t)).sum();
            vec![times.iter().zip(&values).map(|(t, v)| f64::from(*t) * v).sum::<f64>() / drawn]
        };
        let got = intervals(values.len(), 400, 3, &[4.5], mean)[0];
        // The standard deviation is sqrt(8.25): 1.96 x sqrt(8.25 / 2000) = 0.1259.
        let (low, high) = got.interval.unwrap();
        assert!((low - 4.374).abs() < 0.03 && (high - 4.626).abs() < 0.03, "{low} {high}");
    }

    #[test]
    fn a_figure_that_most_draws_lack_has_no_interval() {
        assert_eq!(intervals(10, 20, 1, &[0.5], |_| vec![f64::NAN])[0], Estimate::alone(0.5));
    }
}
