//! The scores of everybody at one as-of day: the pass over timelines.
//!
//! People are independent, so they are worked through in chunks on all threads; each chunk fills its own stretch of the
//! columns. Every person comes out with a score or with the reason why not.

use rayon::prelude::*;

use super::fidelity::Availability;
use super::{sum_of, top_reasons};
use crate::day::Day;
use crate::measure::Columns;
use crate::measure::evaluate::{Evaluator, LookUps, Scratch, leaves_of, ones};
use crate::model::{Kind, Model, WhenMissing};
use crate::number::{Micro, Nano};
use crate::person::{Spine, Standing};
use crate::timeline::{Picked, Timelines};

/// Why a person has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    fn take(&mut self, value: Micro, observed: bool) {
        self.people += 1;
        self.observed += u64::from(observed);
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
    }

    /// Adds people of whom nothing was observed, and whose value is the usual one.
    fn take_others(&mut self, people: u64, usual: Micro) {
        if people > 0 {
            self.people += people;
            self.lowest = self.lowest.min(usual);
            self.highest = self.highest.max(usual);
        }
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
    /// The events that can be anchors, where they were picked out beforehand.
    pub anchors: Option<&'a Picked>,
    pub as_of: Day,
}

/// Scores of the people whose timelines were looked at so far, in the order of the spine.
pub struct Parts<'a> {
    everybody: &'a Everybody<'a>,
    usual: Usual,
    columns: Columns<'a>,
    scores: Scores,
}

impl Parts<'_> {
    /// Scores the people of some timelines.
    pub fn take(&mut self, timelines: &Timelines, done: &(dyn Fn(u64) + Sync)) {
        let Parts { everybody, usual, columns, scores } = self;
        let tallies: Vec<Tallies> = scores
            .chunks(timelines.numbers())
            .into_par_iter()
            .map_init(
                || everybody.desk(usual),
                |desk, chunk| {
                    done(chunk.standings.len() as u64);
                    everybody.score_chunk(chunk, timelines, usual, columns, desk)
                },
            )
            .collect();
        tallies.iter().for_each(|of_chunk| scores.add(of_chunk));
    }

    /// All of them, one entry a person and model.
    pub fn joined(mut self) -> Scores {
        let Scores { standings, models, .. } = &mut self.scores;
        let others = models.par_iter_mut().zip(&self.usual.models).enumerate();
        others.for_each(|(number, (of, usual))| self.everybody.tally_others(number, standings, usual, of));
        self.scores
    }
}

/// The stretch of all columns that a chunk of people fills.
struct Chunk<'a> {
    /// The number of its first person.
    first: usize,
    standings: &'a mut [Standing],
    models: Vec<ModelChunk<'a>>,
}

/// One model's columns in a chunk; those that the model has none of are empty.
struct ModelChunk<'a> {
    linear_predictors: &'a mut [Result<Nano, Reason>],
    reasons: &'a mut [[Option<u16>; REASONS]],
    observed: &'a mut [u16],
    facts: Vec<&'a mut [i32]>,
}

/// What a chunk of people adds to the counts of all.
struct Tallies {
    /// By model, then term.
    terms: Vec<Vec<TermTally>>,
    look_ups: Vec<LookUps>,
}

/// What people have in common, so that only what is otherwise for a person has to be looked at.
struct Usual {
    /// `starts[node]..starts[node + 1]` in `places`: the models and terms that a node is the value of.
    starts: Vec<u32>,
    places: Vec<(u16, u16)>,
    models: Vec<UsualTerms>,
}

/// A model's terms where a person has nothing out of the usual.
struct UsualTerms {
    values: Vec<Micro>,
    /// One bit a term: the usual value adds to the score, withholds it, is true or counts as recorded, so that the term
    /// is looked at for everybody.
    always: Vec<u64>,
    /// By practice: its facts in thousandths, as they are published of somebody with nothing out of the usual.
    facts: Vec<Vec<i32>>,
}

impl Usual {
    fn new(models: &[Model], evaluator: &Evaluator, availability: &Availability, practices: usize) -> Usual {
        let mut of_node: Vec<Vec<(u16, u16)>> = vec![Vec::new(); evaluator.plan.nodes.len()];
        let mut usual = Usual { starts: vec![0], places: Vec::new(), models: Vec::new() };
        for (number, model) in models.iter().enumerate() {
            let nodes = &evaluator.plan.models[number].terms;
            let mut always = vec![0u64; model.terms.len().div_ceil(64)];
            for (place, (&node, term)) in nodes.iter().zip(&model.terms).enumerate() {
                of_node[node].push((number as u16, place as u16));
                let value = evaluator.usual[node];
                let withholds = value.is_missing() && term.when_missing == WhenMissing::NotScored;
                let speaks = value.is_true() || availability.is_recorded(number, place, value);
                always[place / 64] |= u64::from(withholds || speaks) << (place % 64);
            }
            let values: Vec<Micro> = nodes.iter().map(|&node| evaluator.usual[node]).collect();
            let fact = |practice: usize, place: usize| {
                let is_unknown = availability.is_unavailable(number, practice as u32, place);
                in_thousandths(if is_unknown { Micro::MISSING } else { values[place] })
            };
            let facts_of = |practice: usize| (0..values.len()).map(|place| fact(practice, place)).collect();
            let facts = if model.kind == Kind::Facts { (0..practices).map(facts_of).collect() } else { Vec::new() };
            usual.models.push(UsualTerms { values, always, facts });
        }
        for places in of_node {
            usual.places.extend(places);
            usual.starts.push(usual.places.len() as u32);
        }
        usual
    }
}

/// What a thread needs to score people one after another.
struct Desk {
    scratch: Scratch,
    /// By model: one bit a term that is looked at for the person at hand.
    listed: Vec<Vec<u64>>,
    /// Zero between people.
    contributions: Vec<Nano>,
    /// By model: the facts of the people of a chunk, one person's after another's.
    facts: Vec<Vec<i32>>,
}

impl Desk {
    /// Lists the terms that may be otherwise than usual for the person who was evaluated last.
    fn list(&mut self, usual: &Usual, evaluator: &Evaluator) {
        for (listed, model) in self.listed.iter_mut().zip(&usual.models) {
            listed.copy_from_slice(&model.always);
        }
        for node in self.scratch.worked_out() {
            if self.scratch.values[node] != evaluator.usual[node] {
                for &(model, term) in &usual.places[usual.starts[node] as usize..usual.starts[node + 1] as usize] {
                    self.listed[usize::from(model)][usize::from(term) / 64] |= 1 << (term % 64);
                }
            }
        }
    }
}

impl Everybody<'_> {
    /// Nobody's scores yet; they come with the people of some timelines after another.
    pub fn parts(&self) -> Parts<'_> {
        let usual = Usual::new(self.models, self.evaluator, self.availability, self.spine.practices.len());
        let columns = Columns::new(self.spine, &leaves_of(self.evaluator.plan));
        Parts { everybody: self, usual, columns, scores: self.nobody() }
    }

    fn desk(&self, usual: &Usual) -> Desk {
        let most_terms = self.models.iter().map(|model| model.terms.len()).max().unwrap_or(0);
        Desk {
            scratch: self.evaluator.scratch(),
            listed: usual.models.iter().map(|model| model.always.clone()).collect(),
            contributions: vec![Nano::ZERO; most_terms],
            facts: vec![Vec::new(); self.models.len()],
        }
    }

    /// Columns of everybody, of whom nothing is known yet.
    fn nobody(&self) -> Scores {
        let people = self.spine.people();
        Scores {
            as_of: self.as_of,
            standings: vec![Standing::NotRegistered; people],
            models: self.models.par_iter().map(|model| ModelScores::new(model, people)).collect(),
            look_ups: vec![LookUps::default(); self.evaluator.plan.measures.len()],
        }
    }

    fn score_chunk(
        &self,
        mut chunk: Chunk,
        timelines: &Timelines,
        usual: &Usual,
        columns: &Columns,
        desk: &mut Desk,
    ) -> Tallies {
        let mut terms: Vec<Vec<TermTally>> =
            self.models.iter().map(|model| vec![TermTally::NOBODY; model.terms.len()]).collect();
        for place in 0..chunk.standings.len() {
            let person = chunk.first + place;
            let standing = self.spine.standing(person as u32, self.as_of);
            chunk.standings[place] = standing;
            let found = match standing {
                Standing::Registered { practice, days } => Ok(Found { person, practice, registered_days: days }),
                _ => Err(Reason::of_standing(standing).expect("whoever is not registered has a reason")),
            };
            if found.is_ok() {
                let events = timelines.of(person as u32);
                let anchors_among = self.anchors.map_or(events, |anchors| anchors.of(person as u32));
                let attributes = columns.of(person as u32);
                self.evaluator.evaluate_anchored(events, anchors_among, &attributes, self.as_of, &mut desk.scratch);
                desk.list(usual, self.evaluator);
            }
            for (number, (out, terms)) in chunk.models.iter_mut().zip(&mut terms).enumerate() {
                let is_scored = self.models[number].is_scored();
                match found {
                    Err(reason) if is_scored => out.linear_predictors[place] = Err(reason),
                    Err(_) => desk.facts[number].extend(std::iter::repeat_n(i32::MIN, out.facts.len())),
                    Ok(found) if is_scored => self.take_score(number, found, desk, place, out, terms),
                    Ok(found) => self.take_facts(number, found, &usual.models[number], desk, terms),
                }
            }
        }
        for (out, rows) in chunk.models.iter_mut().zip(&mut desk.facts) {
            out.take_fact_rows(rows);
            rows.clear();
        }
        Tallies { terms, look_ups: desk.scratch.take_look_ups() }
    }

    fn take_facts(&self, number: usize, found: Found, usual: &UsualTerms, desk: &mut Desk, terms: &mut [TermTally]) {
        let rows = &mut desk.facts[number];
        let start = rows.len();
        rows.extend_from_slice(&usual.facts[found.practice as usize]);
        let nodes = &self.evaluator.plan.models[number].terms;
        let available = self.availability.of(number, found.practice);
        for place in ones(&desk.listed[number]) {
            let value = desk.scratch.values[nodes[place]];
            terms[place].take(value, available.is_observed(place, value));
            // What was seen stands; where a feed does not cover the person, nothing seen is not published as none.
            let is_unknown = available.is_unavailable(place) && !value.is_true();
            rows[start + place] = in_thousandths(if is_unknown { Micro::MISSING } else { value });
        }
    }

    fn take_score(
        &self,
        number: usize,
        found: Found,
        desk: &mut Desk,
        at: usize,
        out: &mut ModelChunk,
        terms: &mut [TermTally],
    ) {
        let model = &self.models[number];
        let nodes = &self.evaluator.plan.models[number].terms;
        let Desk { scratch, listed, contributions, .. } = desk;
        let places = || ones(&listed[number]);
        let result = match self.outside_population(number, found, scratch) {
            Some(reason) => Err(reason),
            None => sum_of(model, places(), |place| scratch.values[nodes[place]], contributions)
                .map_err(|place| Reason::Missing(place as u16)),
        };
        if result.is_ok() {
            let available = self.availability.of(number, found.practice);
            for place in places() {
                let value = scratch.values[nodes[place]];
                let is_observed = available.is_observed(place, value);
                terms[place].take(value, is_observed);
                out.observed[at] += u16::from(is_observed);
            }
            out.reasons[at] = top_reasons(contributions, places());
        }
        out.linear_predictors[at] = result;
        places().for_each(|place| contributions[place] = Nano::ZERO);
    }

    /// Counts, for every term, the people who were not looked at one by one, and those to whom it was unavailable.
    fn tally_others(&self, number: usize, standings: &[Standing], usual: &UsualTerms, out: &mut ModelScores) {
        let mut tallied = vec![0u64; self.spine.practices.len()];
        for (person, standing) in standings.iter().enumerate() {
            let is_tallied = out.linear_predictors.get(person).is_none_or(Result::is_ok);
            if let (true, Standing::Registered { practice, .. }) = (is_tallied, standing) {
                tallied[*practice as usize] += 1;
            }
        }
        let people: u64 = tallied.iter().sum();
        for (place, term) in out.terms.iter_mut().enumerate() {
            term.take_others(people - term.people, usual.values[place]);
            let is_unavailable = |practice: &usize| self.availability.is_unavailable(number, *practice as u32, place);
            let practices = (0..tallied.len()).filter(|practice| tallied[*practice] > 0).filter(is_unavailable);
            term.unavailable = practices.map(|practice| tallied[practice]).sum();
        }
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
    /// The columns of some people, cut into chunks.
    fn chunks(&mut self, people: std::ops::Range<u32>) -> Vec<Chunk<'_>> {
        let (first, range) = (people.start as usize, people.start as usize..people.end as usize);
        let standings = self.standings[range.clone()].chunks_mut(CHUNK).enumerate();
        let mut chunks: Vec<Chunk> = standings
            .map(|(number, standings)| Chunk { first: first + number * CHUNK, standings, models: Vec::new() })
            .collect();
        for model in &mut self.models {
            let mut linear_predictors = cut(&mut model.linear_predictors, &range);
            let mut reasons = cut(&mut model.reasons, &range);
            let mut observed = cut(&mut model.observed, &range);
            let mut facts: Vec<_> = model.facts.iter_mut().map(|fact| cut(fact, &range)).collect();
            for chunk in &mut chunks {
                chunk.models.push(ModelChunk {
                    linear_predictors: linear_predictors.next().unwrap_or_default(),
                    reasons: reasons.next().unwrap_or_default(),
                    observed: observed.next().unwrap_or_default(),
                    facts: facts.iter_mut().map(|fact| fact.next().unwrap_or_default()).collect(),
                });
            }
        }
        chunks
    }

    fn add(&mut self, tallies: &Tallies) {
        for (all, part) in self.look_ups.iter_mut().zip(&tallies.look_ups) {
            all.done += part.done;
            all.missed += part.missed;
        }
        for (model, terms) in self.models.iter_mut().zip(&tallies.terms) {
            model.terms.iter_mut().zip(terms).for_each(|(all, part)| all.add(part));
        }
    }
}

/// A stretch of a column in chunks; none of an empty column.
fn cut<'c, T>(column: &'c mut [T], range: &std::ops::Range<usize>) -> std::slice::ChunksMut<'c, T> {
    column.get_mut(range.clone()).unwrap_or_default().chunks_mut(CHUNK)
}

impl ModelScores {
    /// Columns of so many people, of whom nothing is known yet.
    fn new(model: &Model, people: usize) -> ModelScores {
        let (facts, scored) = match model.kind == Kind::Facts {
            true => (model.terms.len(), 0),
            false => (0, people),
        };
        ModelScores {
            linear_predictors: vec![Err(Reason::NotRegistered); scored],
            reasons: vec![[None; REASONS]; scored],
            observed: vec![0; scored],
            facts: vec![vec![0; people]; facts],
            terms: vec![TermTally::NOBODY; model.terms.len()],
        }
    }
}

impl ModelChunk<'_> {
    /// Takes the facts of people, one person's after another's, as columns.
    fn take_fact_rows(&mut self, rows: &[i32]) {
        let terms = self.facts.len();
        for (place, fact) in self.facts.iter_mut().enumerate() {
            fact.iter_mut().zip(rows.iter().skip(place).step_by(terms)).for_each(|(fact, value)| *fact = *value);
        }
    }
}

fn in_thousandths(value: Micro) -> i32 {
    if value.is_missing() {
        return i32::MIN;
    }
    (value.0 / 1_000).clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
}
