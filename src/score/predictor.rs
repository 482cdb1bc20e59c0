//! A linear predictor or the reason why there is none, in eight bytes: there is one a person, model and as-of date.

use super::people::Reason;
use crate::number::Nano;

/// What came of a score.
///
/// Reasons take the lowest numbers, which are further from zero than any sum of terms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Predictor(i64);

/// The number of kinds of reasons, each with 16 bits for its place.
const REASONS: i64 = 7 << u16::BITS;
const LOWEST: i64 = i64::MIN + REASONS;

impl Predictor {
    /// # Panics
    /// A linear predictor among the numbers that stand for reasons.
    pub fn new(score: Result<Nano, Reason>) -> Predictor {
        match score {
            Ok(Nano(number)) => {
                assert!(number >= LOWEST, "a linear predictor is far from the lowest number there is");
                Predictor(number)
            }
            Err(reason) => Predictor(i64::MIN + i64::from(reason.number())),
        }
    }

    /// # Errors
    /// The reason why there is no score.
    #[inline]
    pub fn get(self) -> Result<Nano, Reason> {
        match self.0 >= LOWEST {
            true => Ok(Nano(self.0)),
            false => Err(Reason::of_number((self.0 - i64::MIN) as u32)),
        }
    }

    #[inline]
    pub fn is_scored(self) -> bool {
        self.0 >= LOWEST
    }

    pub fn reason(self) -> Option<Reason> {
        self.get().err()
    }
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_predictor_and_every_reason_come_back() {
        let reasons = [
            Reason::Died,
            Reason::NotYetBorn,
            Reason::NotRegistered,
            Reason::Age,
            Reason::RegisteredDays,
            Reason::Requirement(0),
            Reason::Requirement(u16::MAX),
            Reason::Missing(0),
            Reason::Missing(u16::MAX),
        ];
        for reason in reasons {
            assert_eq!(Predictor::new(Err(reason)).get(), Err(reason));
            assert!(!Predictor::new(Err(reason)).is_scored());
        }
        for number in [LOWEST, -1, 0, 1, i64::MAX] {
            assert_eq!(Predictor::new(Ok(Nano(number))).get(), Ok(Nano(number)));
            assert!(Predictor::new(Ok(Nano(number))).is_scored());
        }
    }
}
