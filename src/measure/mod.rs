//! Measures: from a person's timeline and an as-of day to values.
//!
//! `plan` works out once what a run needs, `evaluate` does it for one person after another without a lock or an
//! allocation, and `slow` gives the same answers by one plain loop over rows that were never classified: the meaning
//! of the language, for tests. Nothing here reads a file or knows a score.

mod alone;
pub mod evaluate;
pub mod plan;
pub mod rehospitalisation;
pub mod slow;

use crate::day::{Day, Month};
use crate::model::{Expression, Sex};
use crate::number::Micro;
use crate::person::{Spine, WordColumn};

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

    /// The value of the leaf that is this node of the plan, for whoever looked its column up beforehand.
    fn value_at(&self, _node: usize, leaf: &Expression, as_of: Day) -> Micro {
        self.value(leaf, as_of)
    }
}

/// The columns of the spine that answer the leaves of a plan, looked up once for all people.
pub struct Columns<'a> {
    spine: &'a Spine,
    /// One a node of the plan.
    of_nodes: Vec<Column<'a>>,
}

enum Column<'a> {
    /// Asked by name.
    Other,
    Number(&'a [i32]),
    /// Whether each word of the column is one of the leaf's.
    Word(&'a WordColumn, Vec<bool>),
}

impl<'a> Columns<'a> {
    pub fn new(spine: &'a Spine, leaves: &[Option<Expression>]) -> Columns<'a> {
        let column = |leaf: &Option<Expression>| match leaf {
            Some(Expression::Number(name)) => {
                spine.numbers.get(name).map_or(Column::Other, |column| Column::Number(column))
            }
            Some(Expression::WordIn(name, words)) => spine.words.get(name).map_or(Column::Other, |column| {
                Column::Word(column, column.words.iter().map(|word| words.contains(word)).collect())
            }),
            _ => Column::Other,
        };
        Columns { spine, of_nodes: leaves.iter().map(column).collect() }
    }

    pub fn of(&self, person: u32) -> OnColumns<'_> {
        OnColumns { columns: self, person: OnSpine { spine: self.spine, person } }
    }
}

/// A person of the spine whose columns were looked up.
#[derive(Clone, Copy)]
pub struct OnColumns<'a> {
    columns: &'a Columns<'a>,
    person: OnSpine<'a>,
}

impl Attributes for OnColumns<'_> {
    fn birth(&self) -> Option<Month> {
        self.person.birth()
    }

    fn sex(&self) -> Option<Sex> {
        self.person.sex()
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.person.number(name)
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.person.word(name)
    }

    fn value_at(&self, node: usize, leaf: &Expression, as_of: Day) -> Micro {
        let person = self.person.person as usize;
        match &self.columns.of_nodes[node] {
            Column::Other => self.value(leaf, as_of),
            Column::Number(column) if column[person] == i32::MIN => Micro::MISSING,
            Column::Number(column) => Micro::thousandths(column[person].into()),
            Column::Word(column, is_one) => {
                let known = is_one.get(column.places[person] as usize);
                known.map_or(Micro::MISSING, |is_one| Micro::flag(*is_one))
            }
        }
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
