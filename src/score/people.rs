//! The scores of everybody at one as-of day: the pass over timelines.
//!
//! People are independent, so they are worked through in chunks on all threads; each chunk writes columns of its own,
//! and the columns are joined in order. Every person comes out with a score or with the reason why not.

use rayon::prelude::*;

use super::fidelity::Availability;
use super::{sum_into, top_reasons};
use crate::day::Day;
use crate::measure::OnSpine;
use crate::measure::evaluate::{Evaluator, LookUps, Scratch};
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
    /// Why somebody who stands so has no score of any model; `None` where there may be one.
    pub fn of_standing(standing: Standing) -> Option<Reason> {
        match standing {
            Standing::Registered { .. } => None,
            Standing::Died => Some(Reason::Died),
            Standing::NotYetBorn => Some(Reason::NotYetBorn),
            Standing::NotRegistered => Some(Reason::NotRegistered),
        }
    }

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
    /// How many of its terms were observed, one entry a person; 0 without a score.
    pub observed: Vec<u16>,
    /// What became of each term over everybody who has a score.
    pub terms: Vec<TermTally>,
}

/// One term over everybody who has a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermTally {
    pub observed: u64,
    pub unavailable: u64,
    pub people: u64,
    pub lowest: Micro,
    pub highest: Micro,
}

impl TermTally {
    const NOBODY: TermTally =
        TermTally { observed: 0, unavailable: 0, people: 0, lowest: Micro(i64::MAX), highest: Micro(i64::MIN) };

    fn take(&mut self, value: Micro, observed: bool, unavailable: bool) {
        self.people += 1;
        self.observed += u64::from(observed);
        self.unavailable += u64::from(unavailable);
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
    }

    fn add(&mut self, other: &TermTally) {
        self.people += other.people;
        self.observed += other.observed;
        self.unavailable += other.unavailable;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// Whether it says nothing: the same for everybody.
    pub fn is_dead(&self) -> bool {
        self.people > 0 && self.lowest == self.highest
    }
}

/// Everybody at one as-of day.
#[derive(Debug, Clone)]
pub struct Scores {
    pub as_of: Day,
    pub standings: Vec<Standing>,
    pub models: Vec<ModelScores>,
    /// By measure of the plan that looks up: how often it did, and how often its table lacked the code.
    pub look_ups: Vec<LookUps>,
}

const CHUNK: usize = 2_048;

/// What scoring everybody at one as-of day looks at.
#[derive(Clone, Copy)]
pub struct Everybody<'a> {
    pub models: &'a [Model],
    pub evaluator: &'a Evaluator<'a>,
    pub availability: &'a Availability,
    pub spine: &'a Spine,
    pub timelines: &'a Timelines,
    pub as_of: Day,
}

impl Everybody<'_> {
    /// The scores of everybody on the spine.
    ///
    /// # Shape
    /// Out: one entry a person and model, in spine order.
    pub fn score(&self, done: &(dyn Fn(u64) + Sync)) -> Scores {
        let people = self.spine.people();
        let chunks: Vec<Scores> = (0..people.div_ceil(CHUNK))
            .into_par_iter()
            .map_init(
                || self.evaluator.scratch(),
                |scratch, chunk| {
                    let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(people);
                    done(range.len() as u64);
                    self.score_chunk(range, scratch)
                },
            )
            .collect();
        let mut joined = self.nobody();
        for chunk in chunks {
            joined.append(chunk);
        }
        joined
    }

    fn nobody(&self) -> Scores {
        Scores {
            as_of: self.as_of,
            standings: Vec::new(),
            models: self.models.iter().map(ModelScores::new).collect(),
            look_ups: vec![LookUps::default(); self.evaluator.plan.measures.len()],
        }
    }

    fn score_chunk(&self, people: std::ops::Range<usize>, scratch: &mut Scratch) -> Scores {
        let mut scores = self.nobody();
        let most_terms = self.models.iter().map(|model| model.terms.len()).max().unwrap_or(0);
        let mut contributions = vec![Nano::ZERO; most_terms];
        for person in people {
            let standing = self.spine.standing(person as u32, self.as_of);
            scores.standings.push(standing);
            let found = match standing {
                Standing::Registered { practice, days } => Ok(Found { person, practice, registered_days: days }),
                _ => Err(Reason::of_standing(standing).expect("whoever is not registered has a reason")),
            };
            if found.is_ok() {
                let attributes = OnSpine { spine: self.spine, person: person as u32 };
                self.evaluator.evaluate(self.timelines.of(person as u32), &attributes, self.as_of, scratch);
            }
            for (number, out) in scores.models.iter_mut().enumerate() {
                match found {
                    Err(reason) => out.leave_out(&self.models[number], reason),
                    Ok(found) if self.models[number].is_scored() => {
                        self.take_score(number, found, scratch, &mut contributions, out);
                    }
                    Ok(found) => self.take_facts(number, found, scratch, out),
                }
            }
        }
        scores.look_ups = scratch.take_look_ups();
        scores
    }

    fn take_facts(&self, number: usize, found: Found, scratch: &Scratch, out: &mut ModelScores) {
        for (place, &node) in self.evaluator.plan.models[number].terms.iter().enumerate() {
            let value = scratch.values[node];
            self.tally(number, found, place, value, out);
            // What was seen stands; where a feed does not cover the person, nothing seen is not published as none.
            let is_unknown = self.availability.is_unavailable(number, found.practice, place) && !value.is_true();
            out.facts[place].push(in_thousandths(if is_unknown { Micro::MISSING } else { value }));
        }
    }

    fn take_score(
        &self,
        number: usize,
        found: Found,
        scratch: &Scratch,
        contributions: &mut [Nano],
        out: &mut ModelScores,
    ) {
        let model = &self.models[number];
        let terms = &self.evaluator.plan.models[number].terms;
        let contributions = &mut contributions[..model.terms.len()];
        let result = match self.outside_population(number, found, scratch) {
            Some(reason) => Err(reason),
            None => sum_into(model, |place| scratch.values[terms[place]], contributions)
                .map_err(|place| Reason::Missing(place as u16)),
        };
        let mut observed = 0;
        if result.is_ok() {
            for (place, &node) in terms.iter().enumerate() {
                observed += u16::from(self.tally(number, found, place, scratch.values[node], out));
            }
        }
        out.observed.push(observed);
        out.reasons.push(if result.is_ok() { top_reasons(contributions) } else { [None; REASONS] });
        out.linear_predictors.push(result);
    }

    /// Counts a term's value; returns whether it was observed.
    fn tally(&self, number: usize, found: Found, place: usize, value: Micro, out: &mut ModelScores) -> bool {
        let observed = self.availability.is_observed(number, found.practice, place, value);
        let unavailable = self.availability.is_unavailable(number, found.practice, place);
        out.terms[place].take(value, observed, unavailable);
        observed
    }

    fn outside_population(&self, number: usize, found: Found, scratch: &Scratch) -> Option<Reason> {
        let population = &self.models[number].population;
        let age_years = || {
            let birth = self.spine.births[found.person];
            birth.map_or(Micro::MISSING, |birth| Micro::whole(birth.age_years_on(self.as_of).into()))
        };
        if population.age_years.is_some_and(|bounds| !bounds.hold(age_years())) {
            return Some(Reason::Age);
        }
        let days = Micro::whole(found.registered_days.into());
        if population.registered_days.is_some_and(|bounds| !bounds.hold(days)) {
            return Some(Reason::RegisteredDays);
        }
        let requires = &self.evaluator.plan.models[number].requires;
        let unmet = requires.iter().position(|&node| !scratch.values[node].is_true());
        unmet.map(|place| Reason::Requirement(place as u16))
    }
}

/// A person who is registered on the as-of day.
#[derive(Clone, Copy)]
struct Found {
    person: usize,
    practice: u32,
    registered_days: i32,
}

impl Scores {
    fn append(&mut self, chunk: Scores) {
        self.standings.extend(chunk.standings);
        for (all, part) in self.models.iter_mut().zip(chunk.models) {
            all.linear_predictors.extend(part.linear_predictors);
            all.reasons.extend(part.reasons);
            all.observed.extend(part.observed);
            all.facts.iter_mut().zip(part.facts).for_each(|(all, part)| all.extend(part));
            all.terms.iter_mut().zip(&part.terms).for_each(|(all, part)| all.add(part));
        }
        for (all, part) in self.look_ups.iter_mut().zip(chunk.look_ups) {
            all.done += part.done;
            all.missed += part.missed;
        }
    }
}

impl ModelScores {
    fn new(model: &Model) -> ModelScores {
        let facts = if model.kind == Kind::Facts { model.terms.len() } else { 0 };
        ModelScores {
            facts: vec![Vec::new(); facts],
            terms: vec![TermTally::NOBODY; model.terms.len()],
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
        self.observed.push(0);
    }
}

fn in_thousandths(value: Micro) -> i32 {
    if value.is_missing() {
        return i32::MIN;
    }
    (value.0 / 1_000).clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
}
