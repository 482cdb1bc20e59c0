//! The scores of everybody at one as-of day: the pass over timelines.
//!
//! People are independent, so they are worked through in chunks on all threads; each chunk fills its own stretch of the
//! columns. Every person comes out with a score or with the reason why not.

use std::ops::Range;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Whether it says nothing: the same for everybody.
    pub fn is_dead(&self) -> bool {
        self.people > 0 && self.lowest == self.highest
    }
}

/// One term over those who have a score and with whom it may be otherwise than usual.
#[derive(Debug, Clone, Copy)]
struct Tally {
    people: u64,
    /// With how many of them it was observed, less with how many it usually would be.
    more_observed: i64,
    lowest: Micro,
    highest: Micro,
}

impl Tally {
    const NOBODY: Tally = Tally { people: 0, more_observed: 0, lowest: Micro(i64::MAX), highest: Micro(i64::MIN) };

    fn take(&mut self, value: Micro, more_observed: i64) {
        self.people += 1;
        self.more_observed += more_observed;
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
    }

    fn add(&mut self, other: &Tally) {
        self.people += other.people;
        self.more_observed += other.more_observed;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// All together with the others, for whom the value is the usual one; with how many of all it would be observed as
    /// usual, and to how many it is unavailable.
    fn with_others(&self, people: u64, usual: Micro, (observed, unavailable): (u64, u64)) -> TermTally {
        let mut all = *self;
        if people > self.people {
            all.lowest = all.lowest.min(usual);
            all.highest = all.highest.max(usual);
        }
        let observed = observed.checked_add_signed(self.more_observed).expect("a count of people");
        TermTally { observed, unavailable, people, lowest: all.lowest, highest: all.highest }
    }
}

/// Everybody at one as-of day.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    tallies: Tallies,
    /// How many people were looked at so far.
    people: usize,
}

impl Parts<'_> {
    /// Scores the people of some timelines.
    pub fn take(&mut self, timelines: &Timelines, done: &(dyn Fn(u64) + Sync)) {
        let Parts { everybody, usual, columns, scores, .. } = self;
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
        tallies.iter().for_each(|of_chunk| self.tallies.add(of_chunk));
        self.people += timelines.people();
    }

    /// All of them, one entry a person and model.
    pub fn joined(self) -> Scores {
        let Parts { everybody, usual, mut scores, tallies, people, .. } = self;
        assert_eq!(people, scores.standings.len(), "everybody was looked at");
        let Scores { standings, models, .. } = &mut scores;
        let tallied = models.par_iter_mut().zip(&usual.models).zip(&tallies.terms).enumerate();
        tallied.for_each(|(number, ((of, usual), tallies))| {
            of.terms = everybody.tally_with_others(number, standings, (usual, tallies), of);
        });
        scores.look_ups = tallies.look_ups;
        scores
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

/// What some people come to in counts.
struct Tallies {
    /// By model, then term.
    terms: Vec<Vec<Tally>>,
    look_ups: Vec<LookUps>,
}

impl Tallies {
    fn of_nobody(models: &[Model], evaluator: &Evaluator) -> Tallies {
        let terms = models.iter().map(|model| vec![Tally::NOBODY; model.terms.len()]).collect();
        Tallies { terms, look_ups: vec![LookUps::default(); evaluator.plan.measures.len()] }
    }

    fn add(&mut self, other: &Tallies) {
        for (all, part) in self.look_ups.iter_mut().zip(&other.look_ups) {
            all.done += part.done;
            all.missed += part.missed;
        }
        for (all, part) in self.terms.iter_mut().flatten().zip(other.terms.iter().flatten()) {
            all.add(part);
        }
    }
}

/// What people have in common, so that only what is otherwise for a person has to be looked at.
struct Usual {
    /// `starts[node]..starts[node + 1]` in `places`: the terms that a node is the value of, as bits of the lists.
    starts: Vec<u32>,
    places: Vec<u32>,
    /// By profile, then for people without one: one bit a term that is looked at, the models' one after another's.
    lists: Vec<Vec<u64>>,
    models: Vec<UsualTerms>,
}

/// A model's terms where a person has nothing out of the usual.
struct UsualTerms {
    values: Vec<Micro>,
    /// Where its bits stand in a list.
    words: Range<usize>,
    /// What they come to; nobody's score where some term is always looked at.
    linear_predictor: Nano,
    /// By practice: one bit a term that is observed, and how many are.
    observed: Vec<(Vec<u64>, u16)>,
    /// By practice: its facts in thousandths, as they are published of somebody with nothing out of the usual.
    facts: Vec<Vec<i32>>,
}

impl Usual {
    fn new(models: &[Model], evaluator: &Evaluator, availability: &Availability, practices: usize) -> Usual {
        let mut of_node: Vec<Vec<u32>> = vec![Vec::new(); evaluator.plan.nodes.len()];
        let mut of_models: Vec<UsualTerms> = Vec::new();
        // Terms whose usual value withholds the score or is true, which may start a hierarchy, are always looked at.
        let mut always: Vec<u64> = Vec::new();
        for (number, model) in models.iter().enumerate() {
            let nodes = &evaluator.plan.models[number].terms;
            let first_word = always.len();
            always.resize(first_word + model.terms.len().div_ceil(64), 0);
            for (place, (&node, term)) in nodes.iter().zip(&model.terms).enumerate() {
                let bit = first_word * 64 + place;
                of_node[node].push(bit as u32);
                let value = evaluator.usual[node];
                let withholds = value.is_missing() && term.when_missing == WhenMissing::NotScored;
                always[bit / 64] |= u64::from(withholds || value.is_true()) << (bit % 64);
            }
            let values: Vec<Micro> = nodes.iter().map(|&node| evaluator.usual[node]).collect();
            of_models.push(UsualTerms::new(number, model, values, first_word..always.len(), availability, practices));
        }
        let list_of = |otherwise: &[(u32, Micro)]| {
            let mut list = always.clone();
            for bit in otherwise.iter().flat_map(|(node, _)| &of_node[*node as usize]) {
                list[*bit as usize / 64] |= 1 << (bit % 64);
            }
            list
        };
        let of_profiles = evaluator.profiles.iter().map(|otherwise| list_of(otherwise));
        let lists = of_profiles.chain([list_of(&[])]).collect();
        let mut usual = Usual { starts: vec![0], places: Vec::new(), lists, models: of_models };
        for places in of_node {
            usual.places.extend(places);
            usual.starts.push(usual.places.len() as u32);
        }
        usual
    }
}

impl UsualTerms {
    fn new(
        number: usize,
        model: &Model,
        values: Vec<Micro>,
        words: Range<usize>,
        availability: &Availability,
        practices: usize,
    ) -> UsualTerms {
        let observed_of = |practice: usize| {
            let available = availability.of(number, practice as u32);
            let mut bits = vec![0u64; words.len()];
            for (place, value) in values.iter().enumerate() {
                bits[place / 64] |= u64::from(available.is_observed(place, *value)) << (place % 64);
            }
            let count = bits.iter().map(|bits| bits.count_ones() as u16).sum();
            (bits, count)
        };
        let fact = |practice: usize, place: usize| {
            let is_unknown = availability.is_unavailable(number, practice as u32, place);
            in_thousandths(if is_unknown { Micro::MISSING } else { values[place] })
        };
        let facts_of = |practice: usize| (0..values.len()).map(|place| fact(practice, place)).collect();
        let facts = if model.kind == Kind::Facts { (0..practices).map(facts_of).collect() } else { Vec::new() };
        let observed = (0..practices).map(observed_of).collect();
        let of_no_term = sum_of(model, std::iter::empty(), |place| values[place], &mut vec![Nano::ZERO; values.len()]);
        let linear_predictor = of_no_term.expect("no term is there to be missing");
        UsualTerms { values, words, linear_predictor, observed, facts }
    }

    /// Whether a term is observed with somebody of this practice who has nothing out of the usual.
    fn is_observed(&self, practice: u32, term: usize) -> bool {
        self.observed[practice as usize].0[term / 64] >> (term % 64) & 1 == 1
    }
}

/// What a thread needs to score people one after another.
struct Desk {
    scratch: Scratch,
    /// One bit a term that is looked at for the person at hand, the models' one after another's.
    listed: Vec<u64>,
    /// Zero between people.
    contributions: Vec<Nano>,
    /// By model: the facts of the people of a chunk, one person's after another's.
    facts: Vec<Vec<i32>>,
}

impl Desk {
    /// Lists the terms that may be otherwise than usual for the person who was evaluated last.
    fn list(&mut self, usual: &Usual) {
        self.listed.copy_from_slice(&usual.lists[self.scratch.profile()]);
        for node in self.scratch.changed() {
            for &bit in &usual.places[usual.starts[node] as usize..usual.starts[node + 1] as usize] {
                self.listed[bit as usize / 64] |= 1 << (bit % 64);
            }
        }
    }
}

impl Everybody<'_> {
    /// Nobody's scores yet; they come with the people of some timelines after another.
    ///
    /// The columns of another day's scores of the same people and models may be filled again: the kernel takes as long
    /// to clear fresh pages for them as it takes to work some scores out.
    pub fn parts(&self, columns_of: Option<Scores>) -> Parts<'_> {
        let usual = Usual::new(self.models, self.evaluator, self.availability, self.spine.practices.len());
        let columns = Columns::new(self.spine, &leaves_of(self.evaluator.plan));
        let tallies = Tallies::of_nobody(self.models, self.evaluator);
        let scores = match columns_of {
            Some(scores) => Scores { as_of: self.as_of, ..scores },
            None => self.nobody(),
        };
        Parts { everybody: self, usual, columns, scores, tallies, people: 0 }
    }

    fn desk(&self, usual: &Usual) -> Desk {
        let most_terms = self.models.iter().map(|model| model.terms.len()).max().unwrap_or(0);
        Desk {
            scratch: self.evaluator.scratch(),
            listed: usual.lists[0].clone(),
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
            look_ups: Vec::new(),
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
        let mut tallies = Tallies::of_nobody(self.models, self.evaluator);
        let month = self.as_of.month();
        for place in 0..chunk.standings.len() {
            let person = chunk.first + place;
            let standing = self.spine.standing(person as u32, self.as_of);
            chunk.standings[place] = standing;
            let found = match standing {
                Standing::Registered { practice, days } => {
                    let age_years = self.spine.births[person].map(|birth| birth.age_years_in(month));
                    Ok(Found { practice, age_years, registered_days: days })
                }
                _ => Err(Reason::of_standing(standing).expect("whoever is not registered has a reason")),
            };
            if found.is_ok() {
                let events = timelines.of(person as u32);
                let anchors_among = self.anchors.map_or(events, |anchors| anchors.of(person as u32));
                let attributes = columns.of(person as u32);
                self.evaluator.evaluate_anchored(events, anchors_among, &attributes, self.as_of, &mut desk.scratch);
                desk.list(usual);
            }
            for (number, (out, terms)) in chunk.models.iter_mut().zip(&mut tallies.terms).enumerate() {
                let usual = &usual.models[number];
                let is_scored = self.models[number].is_scored();
                match found {
                    Err(reason) if is_scored => out.put(place, Err(reason)),
                    Err(_) => desk.facts[number].extend(std::iter::repeat_n(i32::MIN, out.facts.len())),
                    Ok(found) if is_scored => out.put(place, self.score_of(number, found, usual, desk, terms)),
                    Ok(found) => self.take_facts(number, found, usual, desk, terms),
                }
            }
        }
        for (out, rows) in chunk.models.iter_mut().zip(&mut desk.facts) {
            out.take_fact_rows(rows);
            rows.clear();
        }
        tallies.look_ups = desk.scratch.take_look_ups();
        tallies
    }

    fn take_facts(&self, number: usize, found: Found, usual: &UsualTerms, desk: &mut Desk, terms: &mut [Tally]) {
        let rows = &mut desk.facts[number];
        let start = rows.len();
        rows.extend_from_slice(&usual.facts[found.practice as usize]);
        let nodes = &self.evaluator.plan.models[number].terms;
        let available = self.availability.of(number, found.practice);
        for place in ones(&desk.listed[usual.words.clone()]) {
            let value = desk.scratch.values[nodes[place]];
            let is_usually = usual.is_observed(found.practice, place);
            terms[place].take(value, i64::from(available.is_observed(place, value)) - i64::from(is_usually));
            // What was seen stands; where a feed does not cover the person, nothing seen is not published as none.
            let is_unknown = available.is_unavailable(place) && !value.is_true();
            rows[start + place] = in_thousandths(if is_unknown { Micro::MISSING } else { value });
        }
    }

    /// A person's score, its strongest terms and how many terms were observed; or the reason why there is none.
    fn score_of(
        &self,
        number: usize,
        found: Found,
        usual: &UsualTerms,
        desk: &mut Desk,
        terms: &mut [Tally],
    ) -> Result<Score, Reason> {
        let Desk { scratch, listed, contributions, .. } = desk;
        if let Some(reason) = self.outside_population(number, found, scratch) {
            return Err(reason);
        }
        let usually_observed = usual.observed[found.practice as usize].1;
        let listed = &listed[usual.words.clone()];
        if listed.iter().all(|bits| *bits == 0) {
            let linear_predictor = usual.linear_predictor;
            return Ok(Score { linear_predictor, reasons: [None; REASONS], observed: usually_observed });
        }
        let nodes = &self.evaluator.plan.models[number].terms;
        let places = || ones(listed);
        let value = |place: usize| scratch.values[nodes[place]];
        let summed = sum_of(&self.models[number], places(), value, contributions);
        let score = summed.map_err(|place| Reason::Missing(place as u16)).map(|linear_predictor| {
            let available = self.availability.of(number, found.practice);
            let mut observed = i64::from(usually_observed);
            for place in places() {
                let is_usually = usual.is_observed(found.practice, place);
                let more = i64::from(available.is_observed(place, value(place))) - i64::from(is_usually);
                terms[place].take(value(place), more);
                observed += more;
            }
            Score { linear_predictor, reasons: top_reasons(contributions, places()), observed: observed as u16 }
        });
        places().for_each(|place| contributions[place] = Nano::ZERO);
        score
    }

    /// What became of each term over everybody who has a score, from those with whom it was looked at.
    fn tally_with_others(
        &self,
        number: usize,
        standings: &[Standing],
        (usual, tallies): (&UsualTerms, &[Tally]),
        out: &ModelScores,
    ) -> Vec<TermTally> {
        let mut tallied = vec![0u64; self.spine.practices.len()];
        for (person, standing) in standings.iter().enumerate() {
            let is_tallied = out.linear_predictors.get(person).is_none_or(Result::is_ok);
            if let (true, Standing::Registered { practice, .. }) = (is_tallied, standing) {
                tallied[*practice as usize] += 1;
            }
        }
        let people: u64 = tallied.iter().sum();
        let people_where = |holds: &dyn Fn(u32) -> bool| {
            let practices = tallied.iter().enumerate().filter(|(practice, _)| holds(*practice as u32));
            practices.map(|(_, people)| people).sum()
        };
        let all = tallies.iter().enumerate().map(|(place, tally)| {
            let observed = people_where(&|practice| usual.is_observed(practice, place));
            let unavailable = people_where(&|practice| self.availability.is_unavailable(number, practice, place));
            tally.with_others(people, usual.values[place], (observed, unavailable))
        });
        all.collect()
    }

    fn outside_population(&self, number: usize, found: Found, scratch: &Scratch) -> Option<Reason> {
        let population = &self.models[number].population;
        let age_years = || found.age_years.map_or(Micro::MISSING, |years| Micro::whole(years.into()));
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
    practice: u32,
    age_years: Option<i32>,
    registered_days: i32,
}

/// What a person's score of one model comes to.
struct Score {
    linear_predictor: Nano,
    reasons: [Option<u16>; REASONS],
    observed: u16,
}

impl Scores {
    /// The columns of some people, cut into chunks.
    fn chunks(&mut self, people: Range<u32>) -> Vec<Chunk<'_>> {
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
}

/// A stretch of a column in chunks; none of an empty column.
fn cut<'c, T>(column: &'c mut [T], range: &Range<usize>) -> std::slice::ChunksMut<'c, T> {
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
            terms: Vec::new(),
        }
    }
}

impl ModelChunk<'_> {
    fn put(&mut self, place: usize, score: Result<Score, Reason>) {
        let (linear_predictor, reasons, observed) = match score {
            Ok(Score { linear_predictor, reasons, observed }) => (Ok(linear_predictor), reasons, observed),
            Err(reason) => (Err(reason), [None; REASONS], 0),
        };
        self.linear_predictors[place] = linear_predictor;
        self.reasons[place] = reasons;
        self.observed[place] = observed;
    }

    /// Takes the facts of people, one person's after another's, as columns.
    fn take_fact_rows(&mut self, rows: &[i32]) {
        // As many people at a time as fill a cache line of a column, so that their rows stay at hand.
        const AT_ONCE: usize = 16;
        let terms = self.facts.len();
        if terms == 0 {
            return;
        }
        for (number, rows) in rows.chunks(AT_ONCE * terms).enumerate() {
            for (place, fact) in self.facts.iter_mut().enumerate() {
                let values = rows.iter().skip(place).step_by(terms);
                fact[number * AT_ONCE..].iter_mut().zip(values).for_each(|(fact, value)| *fact = *value);
            }
        }
    }
}

fn in_thousandths(value: Micro) -> i32 {
    if value.is_missing() {
        return i32::MIN;
    }
    (value.0 / 1_000).clamp(i64::from(i32::MIN + 1), i64::from(i32::MAX)) as i32
}
