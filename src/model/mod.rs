//! Models: files that say what a score is, checked and ready to be computed.
//!
//! `spec` mirrors the TOML, `check` turns it into a [`Model`] or names every problem, `describe` puts a model into
//! plain words, `import` brings a user's own code list to our form, and `library` holds the files that are shipped inside the binary together with the user's own.
//! Nothing here touches data.

pub mod check;
pub mod describe;
pub mod import;
pub mod library;
pub mod revise;
pub mod spec;

use std::collections::BTreeMap;

use crate::day::Window;
use crate::number::{Micro, Nano};
pub use spec::{Condition, Given, Kind, WhenLost, WhenMissing};

/// A fault in a user's file, with its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: String,
    /// Counted from 1; 0 where the whole file is meant.
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// A checked model: every name in it is known, every number is exact.
#[derive(Debug, Clone)]
pub struct Model {
    pub id: String,
    pub version: String,
    pub title: String,
    pub kind: Kind,
    pub outcome: Option<String>,
    pub horizon_days: Option<u32>,
    pub source: spec::Source,
    /// What to look for when a past score is held against what came.
    pub outcome_rule: Option<OutcomeRule>,
    pub population: Population,
    pub intercept: Nano,
    /// The lowest linear predictor there is.
    pub floor: Option<Nano>,
    pub anchors: Vec<Anchor>,
    /// Each may use those before it.
    pub values: Vec<NamedValue>,
    pub terms: Vec<Term>,
    pub hierarchies: Vec<Hierarchy>,
    pub bands: Bands,
    pub examples: Vec<Example>,
    /// In place of the logistic curve: from which linear predictor on which probability holds, rising; empty where the
    /// curve holds.
    pub isotonic: Vec<(Nano, Nano)>,
    pub estimated: Option<spec::Estimated>,
}

/// What counts as the outcome of a person who was scored, in which days, and what becomes of those who were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRule {
    /// `None` where only death is the outcome.
    pub events: Option<Predicate>,
    /// Days from the as-of day on, or from the end of the anchor's event.
    pub days: u32,
    pub after: Option<Anchor>,
    pub died: WhenLost,
    pub deregistered: WhenLost,
}

#[derive(Debug, Clone, Default)]
pub struct Population {
    pub age_years: Option<Bounds>,
    pub registered_days: Option<Bounds>,
    pub requires: Vec<Requirement>,
}

#[derive(Debug, Clone)]
pub struct Requirement {
    pub expression: Expression,
    pub reason: String,
}

/// An inclusive range of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounds {
    pub min: Micro,
    pub max: Micro,
}

impl Bounds {
    pub fn hold(self, value: Micro) -> bool {
        !value.is_missing() && self.min <= value && value <= self.max
    }
}

/// The last event of some kind that windows count back from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    pub name: String,
    pub label: String,
    pub events: Predicate,
    /// Days from its end to the as-of day.
    pub ended: Window,
}

#[derive(Debug, Clone)]
pub struct NamedValue {
    pub name: String,
    pub label: Option<String>,
    pub expression: Expression,
}

#[derive(Debug, Clone)]
pub struct Term {
    pub name: String,
    pub label: String,
    pub reason: Option<String>,
    /// The value as a person would state it: before any step.
    pub raw: Expression,
    /// The value that the coefficient multiplies.
    pub expression: Expression,
    pub when_missing: WhenMissing,
    /// Zero for a fact.
    pub coefficient: Nano,
}

/// Where the first term is present, the others count as zero.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    pub if_present: usize,
    pub then_zero: Vec<usize>,
}

/// How scores fall into bands, from the highest risk down.
#[derive(Debug, Clone)]
pub enum Bands {
    None,
    /// Name, and the share of the ranked population from the top down to its end, in millionths.
    TopShare(Vec<(String, u32)>),
    Threshold(Vec<ThresholdBand>),
}

#[derive(Debug, Clone)]
pub struct ThresholdBand {
    pub name: String,
    /// The lowest score that is in the band, in nano-units of the score.
    pub lowest: Nano,
}

impl Bands {
    pub fn names(&self) -> Vec<&str> {
        match self {
            Bands::None => Vec::new(),
            Bands::TopShare(bands) => bands.iter().map(|(name, _)| name.as_str()).collect(),
            Bands::Threshold(bands) => bands.iter().map(|band| band.name.as_str()).collect(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Example {
    pub line: usize,
    pub who: String,
    pub given: BTreeMap<String, Given>,
    pub linear_predictor: Option<Nano>,
    pub probability: Option<f64>,
    pub score: Option<f64>,
    pub band: Option<String>,
    pub decimals: u32,
}

/// Conditions on the rows of one stream; all of them have to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Predicate {
    pub stream: String,
    pub conditions: BTreeMap<String, Condition>,
}

/// What to take of which events in which window: the unit of work over a timeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    pub events: Predicate,
    pub window: Window,
    /// The day that the window counts back from; the as-of day where absent.
    pub before: Option<Anchor>,
    /// Amounts that count, in the stream's unit, both ends included.
    pub amount: Option<(i32, i32)>,
    pub take: Take,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Take {
    Count,
    Any,
    Days,
    /// Cost a week by days in the window; what is paid once, on its first day.
    Cost,
    Sum,
    Mean,
    Latest,
    HighestOfLastTwo,
    SinceLast,
    DistinctDays,
    Distinct {
        field: String,
        characters: usize,
    },
    MaxPerMonthOfDistinct {
        field: String,
        characters: usize,
    },
    WeightsOnce {
        field: String,
        list: String,
    },
    LookUp {
        field: String,
        table: String,
        otherwise: Micro,
    },
    /// `resolved` events on a later day than the last event undo it.
    Unresolved {
        resolved: Predicate,
    },
    /// The last event also meets this.
    LastIs {
        also: Predicate,
    },
    Open,
}

/// Keep all characters of a code.
pub const ALL_CHARACTERS: usize = usize::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sex {
    Male,
    Female,
}

/// A sum written down: measures and what is made of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    AgeYears,
    Sex(Sex),
    Number(String),
    WordIn(String, Vec<String>),
    Measure(Box<Measure>),
    /// The model's value at this place.
    Named(usize),
    Product(Vec<usize>),
    SumOf(Vec<usize>),
    Ratio(usize, usize),
    CountTrue(Vec<usize>),
    AnyTrue(Vec<usize>),
    AllTrue(Vec<usize>),
    Not(usize),
    Stepped(Box<Expression>, Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Subtract(Micro),
    MultiplyBy(Micro),
    DivideBy(Micro),
    CapAt(Micro),
    FloorAt(Micro),
    Square,
    /// 1 where the value is in the range, both ends included, else 0.
    Within(Micro, Micro),
}

impl Step {
    pub fn apply(self, value: Micro) -> Micro {
        if value.is_missing() {
            return value;
        }
        match self {
            Step::Subtract(number) => value.minus(number),
            Step::MultiplyBy(number) => value.times(number),
            Step::DivideBy(number) => value.over(number),
            Step::CapAt(number) => value.min(number),
            Step::FloorAt(number) => value.max(number),
            Step::Square => value.times(value),
            Step::Within(min, max) => Micro::flag(min <= value && value <= max),
        }
    }
}

impl Expression {
    /// The value, with leaves and named values asked for.
    ///
    /// # Missing
    /// Steps, products, sums and ratios of a missing value are missing. `count_true`, `any_true`, `all_true` and `not`
    /// take a missing value as not true.
    pub fn evaluate(&self, leaf: &mut dyn FnMut(&Expression) -> Micro, named: &dyn Fn(usize) -> Micro) -> Micro {
        match self {
            Expression::Named(index) => named(*index),
            Expression::Stepped(inner, steps) => {
                steps.iter().fold(inner.evaluate(leaf, named), |value, step| step.apply(value))
            }
            Expression::Product(of) => of.iter().fold(Micro::ONE, |product, &index| product.times(named(index))),
            Expression::SumOf(of) => of.iter().fold(Micro::ZERO, |sum, &index| sum.plus(named(index))),
            Expression::Ratio(of, over) => named(*of).over(named(*over)),
            Expression::CountTrue(of) => {
                Micro::whole(of.iter().filter(|&&index| named(index).is_true()).count() as i64)
            }
            Expression::AnyTrue(of) => Micro::flag(of.iter().any(|&index| named(index).is_true())),
            Expression::AllTrue(of) => Micro::flag(of.iter().all(|&index| named(index).is_true())),
            Expression::Not(of) => Micro::flag(!named(*of).is_true()),
            _ => leaf(self),
        }
    }

    /// Whether its values are whole numbers for everybody, given which of the model's values are.
    pub fn is_whole(&self, named: &[bool]) -> bool {
        match self {
            Expression::AgeYears | Expression::Sex(_) | Expression::WordIn(..) => true,
            Expression::CountTrue(_) | Expression::AnyTrue(_) | Expression::AllTrue(_) | Expression::Not(_) => true,
            Expression::Number(_) | Expression::Ratio(..) => false,
            Expression::Named(place) => named[*place],
            Expression::Product(of) | Expression::SumOf(of) => of.iter().all(|place| named[*place]),
            Expression::Measure(measure) => !matches!(
                measure.take,
                Take::Sum
                    | Take::Mean
                    | Take::Latest
                    | Take::HighestOfLastTwo
                    | Take::WeightsOnce { .. }
                    | Take::LookUp { .. }
            ),
            Expression::Stepped(inner, steps) => {
                let is_fraction = |number: &Micro| number.0 % Micro::ONE.0 != 0;
                steps.iter().fold(inner.is_whole(named), |whole, step| match step {
                    Step::Within(..) => true,
                    Step::DivideBy(_) => false,
                    Step::Subtract(by) | Step::MultiplyBy(by) | Step::CapAt(by) | Step::FloorAt(by) => {
                        whole && !is_fraction(by)
                    }
                    Step::Square => whole,
                })
            }
        }
    }

    /// The measures in it, not looking into named values.
    pub fn measure(&self) -> Option<&Measure> {
        match self {
            Expression::Measure(measure) => Some(measure),
            Expression::Stepped(inner, _) => inner.measure(),
            _ => None,
        }
    }
}

impl Model {
    /// Which terms are whole numbers for everybody.
    pub fn whole_terms(&self) -> Vec<bool> {
        let mut named = Vec::new();
        for value in &self.values {
            named.push(value.expression.is_whole(&named));
        }
        self.terms.iter().map(|term| term.expression.is_whole(&named)).collect()
    }

    /// The probability of a linear predictor, of a logistic model.
    pub fn probability(&self, linear_predictor: Nano) -> f64 {
        if self.isotonic.is_empty() {
            return linear_predictor.probability();
        }
        let place = self.isotonic.partition_point(|(from, _)| *from <= linear_predictor);
        self.isotonic[place.saturating_sub(1)].1.to_f64()
    }

    pub fn is_scored(&self) -> bool {
        self.kind != Kind::Facts
    }
}
