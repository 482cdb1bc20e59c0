//! The fixed-point numbers that scores are made of.
//!
//! [`Micro`] is a value (a count, days, years, pence, a ratio) in millionths; [`Nano`] is a coefficient or a linear
//! predictor in units of 1e-9, the precision that published coefficients have. Both are whole numbers, so sums are
//! exact and do not depend on the order of addition. A float appears only where a probability is taken from a linear
//! predictor.

use std::fmt;

/// A value in millionths, or missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Micro(pub i64);

/// A coefficient, points or a linear predictor, in units of 1e-9.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Nano(pub i64);

const MICRO: i64 = 1_000_000;
const NANO: i64 = 1_000_000_000;

impl Micro {
    /// Not recorded, or not to be known: never the same as nothing.
    pub const MISSING: Micro = Micro(i64::MIN);
    pub const ZERO: Micro = Micro(0);
    pub const ONE: Micro = Micro(MICRO);

    pub fn whole(number: i64) -> Micro {
        Micro(number * MICRO)
    }

    pub fn thousandths(number: i64) -> Micro {
        Micro(number * 1_000)
    }

    pub fn flag(on: bool) -> Micro {
        if on { Micro::ONE } else { Micro::ZERO }
    }

    /// The nearest millionth, or `None` where the number is not finite, too large, or has more than six decimals.
    pub fn exact(number: f64) -> Option<Micro> {
        scaled(number, 1e6).map(Micro)
    }

    pub fn is_missing(self) -> bool {
        self == Micro::MISSING
    }

    pub fn is_true(self) -> bool {
        !self.is_missing() && self.0 != 0
    }

    pub fn times(self, other: Micro) -> Micro {
        self.map2(other, |a, b| i128::from(scaled_down(a, b)))
    }

    /// Missing where the divisor is zero.
    pub fn over(self, other: Micro) -> Micro {
        if other == Micro::ZERO {
            return Micro::MISSING;
        }
        self.map2(other, |a, b| match a.checked_mul(MICRO) {
            Some(dividend) if b.unsigned_abs() < 1 << 62 && dividend.unsigned_abs() < 1 << 62 => {
                let (dividend, divisor) = if b < 0 { (-dividend, -b) } else { (dividend, b) };
                let half = if dividend < 0 { -(divisor / 2) } else { divisor / 2 };
                i128::from((dividend + half) / divisor)
            }
            _ => divide_rounded(i128::from(a) * i128::from(MICRO), i128::from(b)),
        })
    }

    pub fn plus(self, other: Micro) -> Micro {
        self.map2(other, |a, b| i128::from(a) + i128::from(b))
    }

    pub fn minus(self, other: Micro) -> Micro {
        self.map2(other, |a, b| i128::from(a) - i128::from(b))
    }

    fn map2(self, other: Micro, work: impl Fn(i64, i64) -> i128) -> Micro {
        if self.is_missing() || other.is_missing() {
            return Micro::MISSING;
        }
        Micro(clamp(work(self.0, other.0)))
    }

    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Nano {
    pub const ZERO: Nano = Nano(0);

    /// The number itself, or `None` where it is not finite, too large, or has more than nine decimals.
    pub fn exact(number: f64) -> Option<Nano> {
        scaled(number, 1e9).map(Nano)
    }

    /// A decimal written out, with at most nine decimals.
    pub fn parse(text: &str) -> Option<Nano> {
        text.trim().parse::<f64>().ok().and_then(Nano::exact)
    }

    /// This coefficient times a value, to the nearest 1e-9, halves away from zero.
    pub fn times(self, value: Micro) -> Nano {
        Nano(scaled_down(self.0, value.0))
    }

    pub fn plus(self, other: Nano) -> Nano {
        Nano(self.0.saturating_add(other.0))
    }

    pub fn to_micro(self) -> Micro {
        Micro(clamp(divide_rounded(i128::from(self.0), 1_000)))
    }

    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// One over one plus e to the minus this.
    pub fn probability(self) -> f64 {
        1.0 / (1.0 + libm::exp(-self.to_f64()))
    }
}

/// The quotient to the nearest whole number, halves away from zero.
pub fn divide_rounded(dividend: i128, divisor: i128) -> i128 {
    let (dividend, divisor) = if divisor < 0 { (-dividend, -divisor) } else { (dividend, divisor) };
    let half = divisor / 2;
    if dividend >= 0 { (dividend + half) / divisor } else { (dividend - half) / divisor }
}

/// The product of two numbers over a million, to the nearest whole number, halves away from zero.
///
/// Where the product fits 64 bits, as nearly all do, the division is by a constant: 128 bits take ten times as long.
#[inline]
fn scaled_down(one: i64, two: i64) -> i64 {
    const HALF: i64 = MICRO / 2;
    match one.checked_mul(two).and_then(|product| product.checked_add(if product < 0 { -HALF } else { HALF })) {
        Some(product) => product / MICRO,
        None => clamp(divide_rounded(i128::from(one) * i128::from(two), i128::from(MICRO))),
    }
}

/// No value comes near these limits; a wrong model must not wrap around to a plausible number.
fn clamp(number: i128) -> i64 {
    number.clamp(i128::from(i64::MIN + 1), i128::from(i64::MAX)) as i64
}

fn scaled(number: f64, unit: f64) -> Option<i64> {
    let whole = (number * unit).round();
    let back = whole / unit;
    let close = (back - number).abs() <= number.abs().max(1.0) * 1e-14;
    (number.is_finite() && whole.abs() < 9e15 && close).then_some(whole as i64)
}

impl fmt::Display for Micro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_missing() { f.write_str("missing") } else { write_decimal(f, self.0, MICRO, 6) }
    }
}

impl fmt::Display for Nano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, NANO, 9)
    }
}

/// A fixed-point number as a decimal without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, number: i64, unit: i64, places: usize) -> fmt::Result {
    let sign = if number < 0 { "-" } else { "" };
    let (whole, rest) = (number.unsigned_abs() / unit as u64, number.unsigned_abs() % unit as u64);
    if rest == 0 {
        return f.pad(&format!("{sign}{whole}"));
    }
    let digits = format!("{rest:0places$}");
    f.pad(&format!("{sign}{whole}.{}", digits.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_exact_to_its_last_place() {
        let coefficient = Nano::parse("0.721855529").unwrap();
        assert_eq!(coefficient.times(Micro::exact(1.01).unwrap()).to_string(), "0.729074084");
        assert_eq!(Nano::parse("0.000060581").unwrap().times(Micro::whole(6400)).to_string(), "0.3877184");
    }

    #[test]
    fn more_decimals_than_fit_are_refused() {
        assert_eq!(Nano::parse("0.1234567891"), None);
        assert_eq!(Nano::exact(f64::NAN), None);
        assert_eq!(Nano::exact(f64::INFINITY), None);
        assert_eq!(Micro::exact(0.1234567), None);
        assert_eq!(Micro::exact(-1.5).map(|m| m.0), Some(-1_500_000));
    }

    #[test]
    fn halves_round_away_from_zero_on_both_sides() {
        assert_eq!([5, -5, 4, -4].map(|n| divide_rounded(n, 10)), [1, -1, 0, 0]);
        assert_eq!(divide_rounded(5, -10), -1);
    }

    #[test]
    fn short_numbers_and_long_ones_are_divided_alike() {
        let numbers =
            [0, 1, -1, 499_999, 500_000, -500_000, 1_500_000, 721_855_529, -7_000_000_001, i64::MAX / 3, 1 << 61];
        for one in numbers {
            for two in numbers {
                let product = clamp(divide_rounded(i128::from(one) * i128::from(two), i128::from(MICRO)));
                assert_eq!(Nano(one).times(Micro(two)).0, product, "{one} x {two}");
                assert_eq!(Micro(one).times(Micro(two)).0, product, "{one} x {two}");
                if two != 0 {
                    let ratio = clamp(divide_rounded(i128::from(one) * i128::from(MICRO), i128::from(two)));
                    assert_eq!(Micro(one).over(Micro(two)).0, ratio, "{one} / {two}");
                }
            }
        }
    }

    #[test]
    fn missing_stays_missing_and_a_zero_divisor_makes_it() {
        assert!(Micro::MISSING.times(Micro::ZERO).is_missing());
        assert!(Micro::ONE.over(Micro::ZERO).is_missing());
        assert!(!Micro::MISSING.is_true());
    }
}
