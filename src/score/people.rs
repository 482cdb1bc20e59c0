//! The scores of everybody at one as-of day: the pass over timelines.
//!
//! People are independent, so they are worked through in chunks on all threads; each chunk writes columns of its own,
//! and the columns are joined in order. Every person comes out with a score or with the reason why not.

use rayon::prelude::*;

use super::{sum_into, top_reasons};
use crate::day::Day;
use crate::measure::OnSpine;
use crate::measure::evaluate::{Evaluator, Scratch};
use crate::model::{Kind, Model};
use crate::number::{Micro, Nano};
use crate::person::{Spine, Standing};
use crate::timeline::Timelines;

/// Why a person has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Died,
    NotYetBorn,
    NotRegistered,
    Age,
    RegisteredDays,
    /// This requirement of the model's population.
    Requirement(u16),
    /// This term may not be missing, and is.
    Missing(u16),
}

impl Reason {
    /// The reason in words, for lists.
    pub fn words(self, model: &Model) -> String {
        match self {
            Reason::Died => "died before the as-of date".to_owned(),
            Reason::NotYetBorn => "not yet born on the as-of date".to_owned(),
            Reason::NotRegistered => "not registered with a practice on the as-of date".to_owned(),
            Reason::Age => "age is not known, or outside the model's population".to_owned(),
            Reason::RegisteredDays => "registered for a time outside the model's population".to_owned(),
            Reason::Requirement(place) => model.population.requires[usize::from(place)].reason.clone(),
            Reason::Missing(place) => format!("missing: {}", model.terms[usize::from(place)].label),
        }
    }
}

/// How many of a score's strongest terms are kept.
pub const REASONS: usize = 3;

/// One model's scores, one entry a person.
#[derive(Debug, Clone, Default)]
pub struct ModelScores {
    pub linear_predictors: Vec<Result<Nano, Reason>>,
    pub reasons: Vec<[Option<u16>; REASONS]>,
    /// Facts, by term and then person, in thousandths; `i32::MIN` where missing.
    pub facts: Vec<Vec<i32>>,
    /// How many people each term is not zero for, and for how many it is missing.
    pub present: Vec<u64>,
    pub missing: Vec<u64>,
}

/// Everybody at one as-of day.
#[derive(Debug, Clone)]
pub struct Scores {
    pub as_of: Day,
    pub standings: Vec<Standing>,
    pub models: Vec<ModelScores>,
}

const CHUNK: usize = 2_048;

/// The scores of everybody on the spine.
///
/// # Shape
/// Out: one entry a person and model, in spine order.
pub fn score_people(
    models: &[Model],
    evaluator: &Evaluator,
    spine: &Spine,
    timelines: &Timelines,
    as_of: Day,
    done: &(dyn Fn(u64) + Sync),
) -> Scores {
    let people = spine.people();
    let chunks: Vec<Scores> = (0..people.div_ceil(CHUNK))
        .into_par_iter()
        .map_init(
            || evaluator.scratch(),
            |scratch, chunk| {
                let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(people);
                done(range.len() as u64);
                score_chunk(models, evaluator, spine, timelines, as_of, range, scratch)
            },
        )
        .collect();
    join(models, chunks, as_of)
}

fn score_chunk(
    models: &[Model],
    evaluator: &Evaluator,
    spine: &Spine,
    timelines: &Timelines,
    as_of: Day,
    people: std::ops::Range<usize>,
    scratch: &mut Scratch,
) -> Scores {
    let mut scores = Scores {
        as_of,
        standings: Vec::with_capacity(people.len()),
        models: models.iter().map(ModelScores::new).collect(),
    };
    let mut contributions = vec![Nano::ZERO; models.iter().map(|model| model.terms.len()).max().unwrap_or(0)];
    for person in people {
        let standing = spine.standing(person as u32, as_of);
        scores.standings.push(standing);
        let why_not = match standing {
            Standing::Registered { .. } => None,
            Standing::Died => Some(Reason::Died),
            Standing::NotYetBorn => Some(Reason::NotYetBorn),
            Standing::NotRegistered => Some(Reason::NotRegistered),
        };
        if why_not.is_none() {
            evaluator.evaluate(timelines.of(person as u32), &OnSpine { spine, person: person as u32 }, as_of, scratch);
        }
        for (number, (model, out)) in models.iter().zip(&mut scores.models).enumerate() {
            match why_not {
                Some(reason) => out.leave_out(model, reason),
                None => out.take(
                    model,
                    number,
                    evaluator,
                    standing,
                    spine.births[person].map(|birth| birth.age_years_on(as_of)),
                    scratch,
                    &mut contributions,
                ),
            }
        }
    }
    scores
}

impl ModelScores {
    fn new(model: &Model) -> ModelScores {
        let facts = if model.kind == Kind::Facts { model.terms.len() } else { 0 };
        ModelScores {
            facts: vec![Vec::new(); facts],
            present: vec![0; model.terms.len()],
            missing: vec![0; model.terms.len()],
            ..ModelScores::default()
        }
    }

    fn leave_out(&mut self, model: &Model, reason: Reason) {
        if model.kind == Kind::Facts {
            self.facts.iter_mut().for_each(|fact| fact.push(i32::MIN));
            return;
        }
        self.linear_predictors.push(Err(reason));
        self.reasons.push([None; REASONS]);
    }

    #[allow(clippy::too_many_arguments, reason = "what one score is made of")]
    fn take(
        &mut self,
        model: &Model,
        number: usize,
        evaluator: &Evaluator,
        standing: Standing,
        age_years: Option<i32>,
        scratch: &Scratch,
        contributions: &mut [Nano],
    ) {
        let plan = &evaluator.plan.models[number];
        let value = |place: usize| scratch.values[plan.terms[place]];
        if model.kind == Kind::Facts {
            for (place, fact) in self.facts.iter_mut().enumerate() {
                let value = value(place);
                self.present[place] += u64::from(value.is_true());
                self.missing[place] += u64::from(value.is_missing());
                fact.push(in_thousandths(value));
            }
            return;
        }
        let contributions = &mut contributions[..model.terms.len()];
        let result = match outside_population(model, &plan.requires, standing, age_years, scratch) {
            Some(reason) => Err(reason),
            None => sum_into(model, value, contributions).map_err(|place| Reason::Missing(place as u16)),
        };
        if result.is_ok() {
            for place in 0..model.terms.len() {
                let value = value(place);
                self.present[place] += u64::from(value.is_true());
                self.missing[place] += u64::from(value.is_missing());
            }
        }
        self.reasons.push(if result.is_ok() { top_reasons(contributions) } else { [None; REASONS] });
        self.linear_predictors.push(result);
    }
}

fn in_thousandths(value: Micro) -> i32 {
    if value.is_missing() {
        i32::MIN
    } else {
        (value.0 / 1_000).clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
    }
}

fn outside_population(
    model: &Model,
    requires: &[usize],
    standing: Standing,
    age_years: Option<i32>,
    scratch: &Scratch,
) -> Option<Reason> {
    let population = &model.population;
    let age = age_years.map_or(Micro::MISSING, |age| Micro::whole(age.into()));
    if population.age_years.is_some_and(|bounds| !bounds.hold(age)) {
        return Some(Reason::Age);
    }
    let Standing::Registered { days, .. } = standing else { return Some(Reason::NotRegistered) };
    if population.registered_days.is_some_and(|bounds| !bounds.hold(Micro::whole(days.into()))) {
        return Some(Reason::RegisteredDays);
    }
    let unmet = requires.iter().position(|&node| !scratch.values[node].is_true());
    unmet.map(|place| Reason::Requirement(place as u16))
}

fn join(models: &[Model], chunks: Vec<Scores>, as_of: Day) -> Scores {
    let mut joined = Scores { as_of, standings: Vec::new(), models: models.iter().map(ModelScores::new).collect() };
    for chunk in chunks {
        joined.standings.extend(chunk.standings);
        for (all, part) in joined.models.iter_mut().zip(chunk.models) {
            all.linear_predictors.extend(part.linear_predictors);
            all.reasons.extend(part.reasons);
            all.facts.iter_mut().zip(part.facts).for_each(|(all, part)| all.extend(part));
            all.present.iter_mut().zip(part.present).for_each(|(all, part)| *all += part);
            all.missing.iter_mut().zip(part.missing).for_each(|(all, part)| *all += part);
        }
    }
    joined
}
