//! Estimates with their 95 % intervals, where there is a closed form.

use statrs::distribution::{ContinuousCDF, Normal};

/// A figure and its 95 % interval; no interval where there is none to be had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub interval: Option<(f64, f64)>,
}

impl Estimate {
    pub fn alone(value: f64) -> Estimate {
        Estimate { value, interval: None }
    }

    /// With the normal interval of a standard error.
    pub fn normal(value: f64, standard_error: f64) -> Estimate {
        let reach = z_95() * standard_error;
        Estimate { value, interval: Some((value - reach, value + reach)) }
    }

    /// With the normal interval of a logarithm's standard error, taken back: for ratios.
    pub fn of_ratio(value: f64, standard_error_of_log: f64) -> Estimate {
        let factor = libm::exp(z_95() * standard_error_of_log);
        Estimate { value, interval: Some((value / factor, value * factor)) }
    }

    /// The same figure held to a range that it cannot leave.
    pub fn within(self, lowest: f64, highest: f64) -> Estimate {
        let interval = self.interval.map(|(low, high)| (low.max(lowest), high.min(highest)));
        Estimate { interval, ..self }
    }

    /// Whether two intervals share no value. Figures without intervals are never told apart.
    pub fn is_apart_from(&self, other: &Estimate) -> bool {
        match (self.interval, other.interval) {
            (Some((low, high)), Some((other_low, other_high))) => high < other_low || other_high < low,
            _ => false,
        }
    }
}

/// The point of the standard normal distribution with 2.5 % above it.
pub fn z_95() -> f64 {
    standard_normal().inverse_cdf(0.975)
}

/// The two-sided p value of a standard normal statistic.
pub fn p_value(statistic: f64) -> f64 {
    2.0 * standard_normal().sf(statistic.abs())
}

fn standard_normal() -> Normal {
    Normal::new(0.0, 1.0).expect("the standard normal distribution exists")
}

/// A share with its Wilson score interval; `None` of none.
///
/// # Source
/// Wilson EB, J Am Stat Assoc 1927;22:209-12.
pub fn share(part: u64, whole: u64) -> Option<Estimate> {
    if whole == 0 {
        return None;
    }
    let (n, p, z) = (whole as f64, part as f64 / whole as f64, z_95());
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let reach = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let low = if part == 0 { 0.0 } else { centre - reach };
    let high = if part == whole { 1.0 } else { centre + reach };
    Some(Estimate { value: p, interval: Some((low, high)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_none_is_none_and_one_of_all_ends_at_one() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(20, 20).unwrap().interval.unwrap().1, 1.0);
        assert_eq!(share(0, 20).unwrap().interval.unwrap().0, 0.0);
    }

    #[test]
    fn intervals_that_touch_are_not_apart() {
        let of = |low, high| Estimate { value: (low + high) / 2.0, interval: Some((low, high)) };
        assert!(of(0.1, 0.2).is_apart_from(&of(0.21, 0.3)) && of(0.21, 0.3).is_apart_from(&of(0.1, 0.2)));
        assert!(!of(0.1, 0.2).is_apart_from(&of(0.2, 0.3)));
        assert!(!of(0.1, 0.2).is_apart_from(&Estimate::alone(9.0)));
    }
}
