//! The mirror of a model file: what the TOML says, word for word, with nothing worked out.
//!
//! Every struct refuses keys that it does not know, and every choice is written as a key, so that a misspelt word is
//! shown with its place in the file. No field has a default that could change a score. What the words mean together
//! is decided in `check`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    pub format: u32,
    pub model: Header,
    pub source: Source,
    #[serde(default)]
    pub outcome: Option<OutcomeRule>,
    #[serde(default)]
    pub population: Option<Population>,
    #[serde(default)]
    pub baseline: Option<Baseline>,
    #[serde(default, rename = "anchor")]
    pub anchors: Vec<Anchor>,
    #[serde(default, rename = "value")]
    pub values: Vec<NamedValue>,
    #[serde(default, rename = "term")]
    pub terms: Vec<Term>,
    #[serde(default, rename = "hierarchy")]
    pub hierarchies: Vec<Hierarchy>,
    #[serde(default, rename = "band")]
    pub bands: Vec<Band>,
    #[serde(default, rename = "example")]
    pub examples: Vec<Example>,
    #[serde(default)]
    pub isotonic: Option<Isotonic>,
    #[serde(default)]
    pub estimated: Option<Estimated>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub id: String,
    pub version: String,
    pub title: String,
    pub kind: Kind,
    #[serde(default)]
    pub outcome: Option<String>,
    #[serde(default)]
    pub horizon_days: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A probability: one over one plus e to the minus linear predictor.
    Logistic,
    /// A sum of points.
    Points,
    /// Deficits present over the deficits that the model knows.
    Fraction,
    /// Categories with hierarchies, each with a weight.
    Conditions,
    /// No score: each term is a published fact about a person.
    Facts,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub citation: String,
    pub location: String,
    #[serde(default)]
    pub licence: Option<String>,
    pub derived: Vec<String>,
    pub assumed: Vec<String>,
}

/// What the model predicts, as data: what to look for from the as-of day on when a past score is held against what
/// came. No score depends on it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRule {
    /// Any of these is the outcome; absent where only death is.
    #[serde(default)]
    pub events: Option<Spanned<OutcomeEvents>>,
    /// How many days are looked at, from the as-of day on.
    pub days: Spanned<u32>,
    /// The anchor from whose end the days count in place of the as-of day; its stay may still go on.
    #[serde(default)]
    pub after: Option<Spanned<String>>,
    /// Somebody who died in these days without such an event.
    pub died: Spanned<WhenLost>,
    /// Somebody who was registered nowhere at the end of these days, without such an event.
    pub deregistered: Spanned<WhenLost>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeEvents {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
}

/// In place of the logistic curve: the share of people with the outcome from each linear predictor on, rising.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isotonic {
    /// Each is a linear predictor and the probability from there on; below the first its probability holds too.
    pub levels: Spanned<Vec<(f64, f64)>>,
}

/// Where numbers of this file come from that were estimated on local data: they are not the source's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimated {
    /// The model and version that this one was made of.
    pub from: String,
    pub method: String,
    pub as_of: Vec<String>,
    pub horizon_days: u32,
    pub followed_until: String,
    /// People whom the numbers were estimated on, and those whom they were tested with, to the nearest 5.
    pub people: u64,
    pub with_outcome: u64,
    pub test_people: u64,
    pub test_with_outcome: u64,
    #[serde(default)]
    pub remarks: Vec<String>,
    #[serde(default, rename = "figure")]
    pub figures: Vec<EstimatedFigure>,
}

/// A figure of the people to test with, before and after.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimatedFigure {
    pub name: String,
    #[serde(default)]
    pub before: Option<f64>,
    #[serde(default)]
    pub after: Option<f64>,
}

/// What becomes of a person who was lost before the days of the outcome were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLost {
    /// Counts as somebody without the outcome.
    NoEvent,
    /// Is counted and left out.
    LeftOut,
    /// Is the outcome itself.
    Event,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    #[serde(default)]
    pub age_years: Option<Range>,
    #[serde(default)]
    pub registered_days: Option<Range>,
    #[serde(default, rename = "require")]
    pub requires: Vec<Requirement>,
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    NotScored,
}

/// A condition that a person has to meet to be scored, with the reason to publish where it is not met.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub value: Spanned<Value>,
    #[serde(default)]
    pub steps: Vec<Step>,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(default)]
    pub at_least: Option<f64>,
    #[serde(default)]
    pub at_most: Option<f64>,
    #[serde(default)]
    pub above: Option<f64>,
    #[serde(default)]
    pub below: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    #[serde(default)]
    pub intercept: Option<Spanned<f64>>,
    /// The lowest score there is: what is below counts as this.
    #[serde(default)]
    pub floor: Option<Spanned<f64>>,
}

/// The event that windows marked `before = "<name>"` count back from, in place of the as-of day.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub name: Spanned<String>,
    pub label: String,
    /// The stream whose last event is the anchor.
    pub last: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    /// Days from the event's end to the as-of day, as a window; an event still open on the as-of day always counts.
    pub ended_days: Days,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedValue {
    pub name: Spanned<String>,
    #[serde(default)]
    pub label: Option<String>,
    pub value: Spanned<Value>,
    #[serde(default)]
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub name: Spanned<String>,
    pub label: String,
    pub value: Spanned<Value>,
    #[serde(default)]
    pub steps: Vec<Step>,
    pub when_missing: WhenMissing,
    #[serde(default)]
    pub coefficient: Option<Spanned<f64>>,
    /// Terms of one group are levels of one value: at most one may apply to a person.
    #[serde(default)]
    pub group: Option<String>,
    /// Words for a list, where the label is not fit to be read by a patient's team; `{}` stands for the value.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissing {
    /// Nothing recorded is taken as none.
    Zero,
    /// The person gets no score, and is listed with this term as the reason.
    NotScored,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hierarchy {
    pub if_present: Spanned<String>,
    pub then_zero: Vec<Spanned<String>>,
}

/// A band, from the highest risk down. Each has exactly one of the limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    pub name: Spanned<String>,
    /// Of the whole ranked population, the share from the top down to here.
    #[serde(default)]
    pub top_share: Option<f64>,
    /// Scores from here up.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// Scores above here.
    #[serde(default)]
    pub above: Option<f64>,
    /// Whoever is left.
    #[serde(default)]
    pub rest: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    pub who: Spanned<String>,
    pub given: BTreeMap<String, Spanned<Given>>,
    #[serde(default)]
    pub linear_predictor: Option<f64>,
    #[serde(default)]
    pub probability: Option<f64>,
    #[serde(default)]
    pub score: Option<f64>,
    #[serde(default)]
    pub band: Option<String>,
    /// Decimal places to which the source prints the result; nine where it is our own sum.
    pub decimals: u32,
}

/// A value typed by hand: a number, a yes or no, or the code that a look-up is keyed by.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    Number(f64),
    Flag(bool),
    Code(String),
}

/// Days before the reference day: `[after, up_to]`, `"ever"`, or `"same_day"` (an anchor's own day).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    Between(i64, i64),
    Ever,
    SameDay,
}

/// What events to take: a stream, conditions on its fields, a window.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    pub days: Days,
    /// The anchor that the window counts back from; the as-of day where absent.
    #[serde(default)]
    pub before: Option<String>,
    /// Only events whose amount lies in this range.
    #[serde(default)]
    pub amount: Option<Range>,
}

/// As [`Events`], with the field whose codes are told apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodedEvents {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    pub days: Days,
    #[serde(default)]
    pub before: Option<String>,
    pub field: String,
    /// Codes that agree in this many first characters are one.
    #[serde(default)]
    pub characters: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsOnce {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    pub days: Days,
    #[serde(default)]
    pub before: Option<String>,
    pub field: String,
    /// The code list whose categories carry the weights.
    pub list: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    pub days: Days,
    #[serde(default)]
    pub before: Option<String>,
    pub field: String,
    /// A table beside the model (`models/tables/<id>.csv`), or one that the run computes.
    pub table: String,
    /// What a code that the table lacks is looked up as.
    pub otherwise: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unresolved {
    pub of: String,
    pub field: String,
    /// Code list references: the record has one of these,
    pub diagnosis: Vec<String>,
    /// and none of these on a later day.
    pub resolved: Vec<String>,
    pub days: Days,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastIs {
    pub of: String,
    /// Which events are looked at;
    #[serde(default)]
    pub among: BTreeMap<String, Condition>,
    /// the last of them has to meet these.
    #[serde(rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
    pub days: Days,
    #[serde(default)]
    pub before: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    pub of: String,
    #[serde(default, rename = "where")]
    pub conditions: BTreeMap<String, Condition>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    pub of: String,
    pub over: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeIs {
    pub attribute: String,
    #[serde(rename = "in")]
    pub any_of: Vec<String>,
}

/// Where a number comes from. The variant is the key in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Whole years on the as-of day, from the month of birth.
    AgeYears(Nothing),
    /// 1 where the register's sex is this word.
    Sex(String),
    /// A number that the register holds, such as `imd_score`.
    Attribute(String),
    /// 1 where a worded attribute of the register is one of these.
    AttributeIs(AttributeIs),
    /// Events.
    Count(Events),
    /// 1 where there is an event.
    Any(Events),
    /// Days of stay or of service that lie in the window.
    Days(Events),
    /// What intervals cost in the window, in pence: their cost a week by the days that lie in it.
    Cost(Events),
    /// Amounts added up.
    Sum(Events),
    /// Amounts added up, over their number; missing where there are none.
    Mean(Events),
    /// The amount of the last event; missing where there is none.
    Latest(Events),
    /// The higher of the amounts of the last two days that have one; missing where fewer have.
    HighestOfLastTwo(Events),
    /// Days from the last event to the reference day; missing where there is none.
    SinceLast(Events),
    /// Days that have an event.
    DistinctDays(Events),
    /// Codes.
    Distinct(CodedEvents),
    /// The largest number of distinct codes in any calendar month that the window touches.
    MaxPerMonthOfDistinct(CodedEvents),
    /// The weights of the categories that occur, each once.
    WeightsOnce(WeightsOnce),
    /// What a table holds for the code of the last event that has one; missing where none has.
    LookUp(LookUp),
    /// 1 where a diagnosis is recorded and not resolved on a later day.
    Unresolved(Unresolved),
    /// 1 where the last event among some also meets conditions.
    LastIs(LastIs),
    /// 1 where an interval covers the as-of day.
    Open(Open),
    /// The value of that name in this file.
    Named(String),
    Product(Vec<String>),
    SumOf(Vec<String>),
    Ratio(Ratio),
    /// How many of these are not zero.
    CountTrue(Vec<String>),
    AnyTrue(Vec<String>),
    AllTrue(Vec<String>),
    Not(String),
}

/// What is done to a value, in order, before the coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Subtract(f64),
    MultiplyBy(f64),
    DivideBy(f64),
    CapAt(f64),
    FloorAt(f64),
    /// The value times itself; written `{ square = true }`.
    Square(bool),
    /// 1 where the value is this, else 0.
    Equals(f64),
    AtLeast(f64),
    Below(f64),
    /// 1 where the value is from the first to the second, both included, else 0.
    Between(f64, f64),
    /// 1 where the value is over the first and at most the second, else 0.
    Over(f64, f64),
}

/// A condition on one field of a stream: a word, several words, or `{ in = [...] }`, `{ prefix = [...] }`, `{ not = … }`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// One of these words of the field's vocabulary, or codes in full.
    Words(Vec<String>),
    /// In one of these code lists, written `list` or `list/category`.
    In(Vec<String>),
    /// Begins with one of these.
    Prefix(Vec<String>),
    Not(Box<Condition>),
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConditionVisitor;

        impl<'de> Visitor<'de> for ConditionVisitor {
            type Value = Condition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, a list of words, or one of { in = [...] }, { prefix = [...] }, { not = ... }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Condition, E> {
                Ok(Condition::Words(vec![word.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Condition, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element::<String>()? {
                    words.push(word);
                }
                Ok(Condition::Words(words))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Condition, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(de::Error::custom("an empty condition; write in, prefix or not"));
                };
                let condition = match key.as_str() {
                    "in" => Condition::In(map.next_value::<Vec<String>>()?),
                    "prefix" => Condition::Prefix(map.next_value::<Vec<String>>()?),
                    "not" => Condition::Not(Box::new(map.next_value::<Condition>()?)),
                    other => return Err(de::Error::unknown_field(other, &["in", "prefix", "not"])),
                };
                if let Some(second) = map.next_key::<String>()? {
                    return Err(de::Error::custom(format!("`{second}` beside `{key}`: a condition has one key")));
                }
                Ok(condition)
            }
        }

        deserializer.deserialize_any(ConditionVisitor)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DaysVisitor;

        impl<'de> Visitor<'de> for DaysVisitor {
            type Value = Days;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[after, up_to] in days, \"ever\" or \"same_day\"")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Days, E> {
                match word {
                    "ever" => Ok(Days::Ever),
                    "same_day" => Ok(Days::SameDay),
                    other => Err(de::Error::unknown_variant(other, &["ever", "same_day"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Days, A::Error> {
                let after = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let up_to = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                match seq.next_element::<i64>()? {
                    None => Ok(Days::Between(after, up_to)),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_any(DaysVisitor)
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GivenVisitor;

        impl Visitor<'_> for GivenVisitor {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, true or false, or a code in quotes")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Given, E> {
                Ok(Given::Number(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Given, E> {
                Ok(Given::Number(number))
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Given, E> {
                Ok(Given::Flag(flag))
            }

            fn visit_str<E: de::Error>(self, code: &str) -> Result<Given, E> {
                Ok(Given::Code(code.to_owned()))
            }
        }

        deserializer.deserialize_any(GivenVisitor)
    }
}
