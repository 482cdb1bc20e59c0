//! A score from values typed by hand: worked examples of model files, and checks at a desk.
//!
//! The same expressions, steps and sum as in the batch; only the leaves are typed instead of measured.

use std::collections::BTreeMap;

use super::{Sum, published, sum, threshold_band};
use crate::measure::evaluate::nothing_seen;
use crate::measure::plan::Tables;
use crate::model::{Bands, Example, Expression, Given, Model, Take};
use crate::number::Micro;

/// What a model makes of given values.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenScore {
    /// The value of each term, after its steps.
    pub values: Vec<Micro>,
    pub sum: Sum,
    pub score: f64,
    pub band: Option<String>,
}

/// Scores given values. A given name is a `[[value]]` or a term, and stands for its value before steps; what is not
/// given is taken as nothing recorded.
///
/// # Errors
/// A code given for something that is no look-up, a number with too many decimals, or a term that may not be missing.
pub fn score(model: &Model, given: &BTreeMap<String, Given>, tables: &dyn Tables) -> Result<GivenScore, String> {
    let mut named: Vec<Micro> = Vec::new();
    for value in &model.values {
        let known = match given.get(&value.name) {
            Some(given) => typed(given, &value.name, &value.expression, tables)?,
            None => value.expression.evaluate(&mut unrecorded, &|place| named[place]),
        };
        named.push(known);
    }
    let mut values = Vec::new();
    for term in &model.terms {
        let value = match given.get(&term.name) {
            Some(given) => {
                let raw = typed(given, &term.name, &term.raw, tables)?;
                match &term.expression {
                    Expression::Stepped(_, steps) => steps.iter().fold(raw, |value, step| step.apply(value)),
                    _ => raw,
                }
            }
            None => term.expression.evaluate(&mut unrecorded, &|place| named[place]),
        };
        values.push(value);
    }
    let sum = sum(model, |place| values[place])
        .map_err(|place| format!("term \"{}\" may not be missing; give it a value", model.terms[place].name))?;
    let band = threshold_band(model, sum.linear_predictor).map(|place| model.bands.names()[place].to_owned());
    Ok(GivenScore { score: published(model, sum.linear_predictor), values, sum, band })
}

/// What a leaf is for a person of whom nothing is recorded.
fn unrecorded(leaf: &Expression) -> Micro {
    match leaf {
        Expression::Measure(measure) => nothing_seen(&measure.take),
        _ => Micro::MISSING,
    }
}

fn typed(given: &Given, name: &str, expression: &Expression, tables: &dyn Tables) -> Result<Micro, String> {
    match given {
        Given::Flag(flag) => Ok(Micro::flag(*flag)),
        Given::Number(number) => {
            Micro::exact(*number).ok_or_else(|| format!("\"{name}\" has more than six decimals or is not finite"))
        }
        Given::Code(code) => match expression.measure().map(|measure| &measure.take) {
            Some(Take::LookUp { table, otherwise, .. }) => Ok(tables.value(table, code).unwrap_or(*otherwise)),
            _ => Err(format!("\"{name}\" is not looked up by a code; give it a number, true or false")),
        },
    }
}

/// Whether an example comes out as its file says.
///
/// # Errors
/// What was expected and what came out.
pub fn check_example(model: &Model, example: &Example, tables: &dyn Tables) -> Result<(), String> {
    let got = score(model, &example.given, tables)?;
    let near = |expected: f64, got: f64| {
        let unit = 10f64.powi(example.decimals as i32);
        (expected * unit).round() == (got * unit).round()
    };
    if let Some(expected) = example.linear_predictor
        && !near(expected.to_f64(), got.sum.linear_predictor.to_f64())
    {
        return Err(format!("expected linear predictor {expected}, got {}", got.sum.linear_predictor));
    }
    if let Some(expected) = example.probability.or(example.score)
        && !near(expected, got.score)
    {
        return Err(format!("expected {expected} to {} decimals, got {}", example.decimals, got.score));
    }
    match (&example.band, &got.band, &model.bands) {
        (Some(_), _, Bands::TopShare(_)) => {
            Err("a band that is a share of a ranking cannot be told of one person".to_owned())
        }
        (Some(expected), got, _) if Some(expected) != got.as_ref() => {
            Err(format!("expected band {expected}, got {}", got.as_deref().unwrap_or("none")))
        }
        _ => Ok(()),
    }
}

/// The names that may be given for a model: its values and its terms.
pub fn names(model: &Model) -> impl Iterator<Item = &str> {
    model.values.iter().map(|value| value.name.as_str()).chain(model.terms.iter().map(|term| term.name.as_str()))
}

pub fn is_known(model: &Model, name: &str) -> bool {
    names(model).any(|known| known == name)
}
