//! Measures: from a person's timeline and an as-of day to values.
//!
//! `plan` works out once what a run needs, `evaluate` does it for one person after another without a lock or an
//! allocation, and `slow` gives the same answers by one plain loop over rows that were never classified: the meaning
//! of the language, for tests. Nothing here reads a file or knows a score.

pub mod evaluate;
pub mod plan;
pub mod rehospitalisation;
pub mod slow;

use crate::day::{Day, Month};
use crate::model::{Expression, Sex};
use crate::number::Micro;
use crate::person::Spine;

/// What is known of a person besides events.
pub trait Attributes {
    fn birth(&self) -> Option<Month>;
    fn sex(&self) -> Option<Sex>;
    fn number(&self, name: &str) -> Option<i32>;
    fn word(&self, name: &str) -> Option<&str>;

    /// The value of a leaf that is no measure.
    ///
    /// # Missing
    /// An unknown birth, sex, number or word is missing, never 0.
    fn value(&self, leaf: &Expression, as_of: Day) -> Micro {
        let known = match leaf {
            Expression::AgeYears => self.birth().map(|birth| Micro::whole(birth.age_years_on(as_of).into())),
            Expression::Sex(sex) => self.sex().map(|known| Micro::flag(known == *sex)),
            Expression::Number(name) => self.number(name).map(|number| Micro::thousandths(number.into())),
            Expression::WordIn(name, words) => {
                self.word(name).map(|word| Micro::flag(words.iter().any(|known| known == word)))
            }
            _ => None,
        };
        known.unwrap_or(Micro::MISSING)
    }
}

/// A person of the spine.
#[derive(Clone, Copy)]
pub struct OnSpine<'a> {
    pub spine: &'a Spine,
    pub person: u32,
}

impl Attributes for OnSpine<'_> {
    fn birth(&self) -> Option<Month> {
        self.spine.births[self.person as usize]
    }

    fn sex(&self) -> Option<Sex> {
        self.spine.sexes[self.person as usize]
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.spine.numbers.get(name).map(|column| column[self.person as usize]).filter(|number| *number != i32::MIN)
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.spine.words.get(name).and_then(|column| column.of(self.person))
    }
}
