//! The scores of everybody at some as-of days: the pass over timelines.
//!
//! People are independent, so they are worked through in chunks on all threads; each chunk fills its own stretch of the
//! columns. Every person comes out with a score of each day or with the reason why not. From one day to the next a
//! person is followed: a model of which nothing moved has the score that it had.

use std::ops::Range;

use rayon::prelude::*;

use super::fidelity::Availability;
use super::predictor::Predictor;
use super::{NO_TERM, sum_of, top_reasons};
use crate::day::{Day, Month};
use crate::event::Event;
use crate::measure::Columns;
use crate::measure::evaluate::{Evaluator, LookUps, Moment, Scratch, leaves_of, ones};
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

    /// A number for each reason: its kind, then 16 bits for its place.
    pub fn number(self) -> u32 {
        let (kind, place) = match self {
            Reason::Died => (0, 0),
            Reason::NotYetBorn => (1, 0),
            Reason::NotRegistered => (2, 0),
            Reason::Age => (3, 0),
            Reason::RegisteredDays => (4, 0),
            Reason::Requirement(place) => (5, place),
            Reason::Missing(place) => (6, place),
        };
        kind << u16::BITS | u32::from(place)
    }

    /// The reason that [`Reason::number`] gave this number.
    pub fn of_number(number: u32) -> Reason {
        let place = number as u16;
        match number >> u16::BITS {
            0 => Reason::Died,
            1 => Reason::NotYetBorn,
            2 => Reason::NotRegistered,
            3 => Reason::Age,
            4 => Reason::RegisteredDays,
            5 => Reason::Requirement(place),
            _ => Reason::Missing(place),
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
    pub linear_predictors: Vec<Predictor>,
    /// The places of its strongest terms, then [`super::NO_TERM`].
    pub reasons: Vec<[u16; REASONS]>,
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
/// People of a chunk whose rows wait together for their columns.
const AT_ONCE: usize = 128;

/// An as-of day at which everybody is scored.
pub struct AsOf {
    /// Numbered by its place among the days.
    pub moment: Moment,
    pub availability: Availability,
}

/// What scoring everybody looks at.
#[derive(Clone, Copy)]
pub struct Everybody<'a> {
    pub models: &'a [Model],
    pub evaluator: &'a Evaluator<'a>,
    pub spine: &'a Spine,
    /// The events that can be anchors, where they were picked out beforehand.
    pub anchors: Option<&'a Picked>,
    /// In order.
    pub days: &'a [AsOf],
}

/// Scores of the people whose timelines were looked at so far, in the order of the spine.
pub struct Parts<'a> {
    everybody: &'a Everybody<'a>,
    days: Vec<OneDay<'a>>,
    columns: Columns<'a>,
    scores: Vec<Scores>,
    tallies: Vec<Tallies>,
    /// How many people were looked at so far.
    people: usize,
}

impl Parts<'_> {
    /// Scores the people of some timelines.
    pub fn take(&mut self, timelines: &Timelines, done: &(dyn Fn(u64) + Sync)) {
        let Parts { everybody, days, columns, scores, .. } = self;
        let tallies: Vec<Vec<Tallies>> = chunks(scores, timelines.numbers())
            .into_par_iter()
            .map_init(
                || everybody.desk(days),
                |desk, chunk| {
                    done((chunk.people * days.len()) as u64);
                    everybody.score_chunk(chunk, timelines, days, columns, desk)
                },
            )
            .collect();
        for of_chunk in &tallies {
            self.tallies.iter_mut().zip(of_chunk).for_each(|(all, of_day)| all.add(of_day));
        }
        self.people += timelines.people();
    }

    /// All of them, one entry a person and model, by day.
    pub fn joined(self) -> Vec<Scores> {
        let Parts { everybody, days, mut scores, tallies, people, .. } = self;
        for ((scores, tallies), day) in scores.iter_mut().zip(tallies).zip(&days) {
            let Scores { standings, models, .. } = scores;
            assert_eq!(people, standings.len(), "everybody was looked at");
            let tallied = models.par_iter_mut().zip(&day.usual.models).zip(&tallies.terms).enumerate();
            tallied.for_each(|(number, ((of, usual), tallies))| {
                let availability = &day.of.availability;
                of.terms = everybody.tally_with_others((number, availability), standings, (usual, tallies), of);
            });
            scores.look_ups = tallies.look_ups;
        }
        scores
    }
}

/// A day with what is worked out of it before anybody is looked at.
struct OneDay<'a> {
    of: &'a AsOf,
    month: Month,
    usual: Usual,
    /// By model and practice: whether as much is available as on the day before.
    as_before: Vec<Vec<bool>>,
}

/// The stretch of all columns that a chunk of people fills.
struct Chunk<'a> {
    /// The number of its first person, and of how many.
    first: usize,
    people: usize,
    days: Vec<DayChunk<'a>>,
}

/// One day's columns in a chunk.
struct DayChunk<'a> {
    standings: &'a mut [Standing],
    models: Vec<ModelChunk<'a>>,
}

/// One model's columns in a chunk; those that the model has none of are empty.
struct ModelChunk<'a> {
    linear_predictors: &'a mut [Predictor],
    reasons: &'a mut [[u16; REASONS]],
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

impl Usual {
    /// The terms that a node is the value of, as bits of the lists.
    fn bits_of(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let places = &self.places[self.starts[node] as usize..self.starts[node + 1] as usize];
        places.iter().map(|bit| *bit as usize)
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
    /// By model: what came of it for the person on the day before.
    before: Vec<Option<Before>>,
    /// By day: what came of the people who were looked at last.
    days: Vec<DayRows>,
}

/// What came of some people on one day, one after another, before it is put into the columns of everybody. Columns of
/// several days and models, a value at a time, would keep the processor waiting for each of them.
struct DayRows {
    standings: Vec<Standing>,
    models: Vec<ModelRows>,
}

#[derive(Clone, Default)]
struct ModelRows {
    linear_predictors: Vec<Predictor>,
    reasons: Vec<[u16; REASONS]>,
    observed: Vec<u16>,
    /// One person's facts after another's.
    facts: Vec<i32>,
}

impl ModelRows {
    fn push(&mut self, score: Result<Score, Reason>) {
        let (linear_predictor, reasons, observed) = match score {
            Ok(Score { linear_predictor, reasons, observed }) => (Ok(linear_predictor), reasons, observed),
            Err(reason) => (Err(reason), [NO_TERM; REASONS], 0),
        };
        self.linear_predictors.push(Predictor::new(linear_predictor));
        self.reasons.push(reasons);
        self.observed.push(observed);
    }
}

/// What came of a model for a person on some day.
#[derive(Clone, Copy)]
struct Before {
    /// The number of the day.
    day: usize,
    practice: u32,
    /// Of facts: none.
    score: Option<Result<Score, Reason>>,
}

impl Desk {
    /// Lists the terms that may be otherwise than usual for the person who was evaluated last.
    fn list(&mut self, usual: &Usual) {
        let of_profile = &usual.lists[self.scratch.profile()];
        if self.scratch.is_new() {
            self.listed.copy_from_slice(of_profile);
            for bit in self.scratch.changed().flat_map(|node| usual.bits_of(node)) {
                self.listed[bit / 64] |= 1 << (bit % 64);
            }
            return;
        }
        for (node, differs) in self.scratch.flipped() {
            for bit in usual.bits_of(node) {
                let is_listed = u64::from(differs) | of_profile[bit / 64] >> (bit % 64) & 1;
                self.listed[bit / 64] = self.listed[bit / 64] & !(1 << (bit % 64)) | is_listed << (bit % 64);
            }
        }
    }
}

impl<'a> Everybody<'a> {
    /// Nobody's scores yet; they come with the people of some timelines after another.
    ///
    /// The columns of other days' scores of the same people and models may be filled again: the kernel takes as long to
    /// clear fresh pages for them as it takes to work some scores out.
    pub fn parts(&'a self, columns_of: &mut Vec<Scores>) -> Parts<'a> {
        let practices = self.spine.practices.len();
        let mut days: Vec<OneDay> = Vec::with_capacity(self.days.len());
        for day in self.days {
            let before = days.last().map(|before| &before.of.availability);
            let is_as_before = |model: usize, practice: usize| {
                before.is_some_and(|before| day.availability.is_as(before, model, practice as u32))
            };
            let of_model = |model: usize| (0..practices).map(|practice| is_as_before(model, practice)).collect();
            let as_before = (0..self.models.len()).map(of_model).collect();
            let usual = Usual::new(self.models, self.evaluator, &day.availability, practices);
            days.push(OneDay { of: day, month: day.moment.as_of.month(), usual, as_before });
        }
        let scores = self.days.iter().map(|day| match columns_of.pop() {
            Some(scores) => Scores { as_of: day.moment.as_of, ..scores },
            None => self.nobody(day.moment.as_of),
        });
        let scores = scores.collect();
        let columns = Columns::new(self.spine, &leaves_of(self.evaluator.plan));
        let tallies = days.iter().map(|_| Tallies::of_nobody(self.models, self.evaluator)).collect();
        Parts { everybody: self, days, columns, scores, tallies, people: 0 }
    }

    fn desk(&self, days: &[OneDay]) -> Desk {
        let most_terms = self.models.iter().map(|model| model.terms.len()).max().unwrap_or(0);
        Desk {
            scratch: self.evaluator.scratch_for(days.len()),
            listed: days[0].usual.lists[0].clone(),
            contributions: vec![Nano::ZERO; most_terms],
            before: vec![None; self.models.len()],
            days: days
                .iter()
                .map(|_| DayRows { standings: Vec::new(), models: vec![ModelRows::default(); self.models.len()] })
                .collect(),
        }
    }

    /// Columns of everybody, of whom nothing is known yet.
    fn nobody(&self, as_of: Day) -> Scores {
        let people = self.spine.people();
        Scores {
            as_of,
            standings: vec![Standing::NotRegistered; people],
            models: self.models.par_iter().map(|model| ModelScores::new(model, people)).collect(),
            look_ups: Vec::new(),
        }
    }

    fn score_chunk(
        &self,
        mut chunk: Chunk,
        timelines: &Timelines,
        days: &[OneDay],
        columns: &Columns,
        desk: &mut Desk,
    ) -> Vec<Tallies> {
        let mut tallies: Vec<Tallies> = days.iter().map(|_| Tallies::of_nobody(self.models, self.evaluator)).collect();
        for start in (0..chunk.people).step_by(AT_ONCE) {
            for place in start..chunk.people.min(start + AT_ONCE) {
                let person = (chunk.first + place) as u32;
                self.score_person(person, timelines.of(person), days, columns, desk, &mut tallies);
            }
            chunk.days.iter_mut().zip(&mut desk.days).for_each(|(out, rows)| out.take(start, rows));
        }
        let measures = self.evaluator.plan.measures.len();
        let look_ups = desk.scratch.take_look_ups();
        for (tallies, look_ups) in tallies.iter_mut().zip(look_ups.chunks(measures.max(1))) {
            tallies.look_ups.copy_from_slice(look_ups);
        }
        tallies
    }

    /// Scores a person on all days.
    fn score_person(
        &self,
        person: u32,
        events: &[Event],
        days: &[OneDay],
        columns: &Columns,
        desk: &mut Desk,
        tallies: &mut [Tallies],
    ) {
        let anchors_among = self.anchors.map_or(events, |anchors| anchors.of(person));
        let attributes = columns.of(person);
        let mut is_begun = false;
        desk.before.fill(None);
        for (number, (day, tallies)) in days.iter().zip(tallies).enumerate() {
            let moment = &day.of.moment;
            let standing = self.spine.standing(person, moment.as_of);
            desk.days[number].standings.push(standing);
            let Standing::Registered { practice, days: registered_days } = standing else {
                let reason = Reason::of_standing(standing).expect("whoever is not registered has a reason");
                self.leave_out(reason, number, desk);
                continue;
            };
            let (evaluator, scratch) = (self.evaluator, &mut desk.scratch);
            let is_last = number + 1 == days.len();
            match (is_begun, is_last) {
                (false, true) => evaluator.begin::<false>(events, anchors_among, &attributes, moment, scratch),
                (false, false) => evaluator.begin::<true>(events, anchors_among, &attributes, moment, scratch),
                (true, _) => evaluator.move_on(events, anchors_among, &attributes, moment, scratch),
            }
            is_begun = true;
            if !desk.scratch.has_any_moved() && self.repeat(number, practice, day, desk, tallies) {
                continue;
            }
            desk.list(&day.usual);
            let age_years = self.spine.births[person as usize].map(|birth| birth.age_years_in(day.month));
            let found = Found { day: number, practice, age_years, registered_days };
            for (model, terms) in tallies.terms.iter_mut().enumerate() {
                if self.models[model].is_scored() {
                    let score = self.score_on(model, found, day, desk, terms);
                    desk.days[number].models[model].push(score);
                } else {
                    self.take_facts(model, found, day, desk, terms);
                }
            }
        }
    }

    /// Gives a person of whom nothing moved what came of the day before; whether that can be said.
    fn repeat(&self, number: usize, practice: u32, day: &OneDay, desk: &mut Desk, tallies: &mut Tallies) -> bool {
        let is_same = |before: &Option<Before>| {
            before.is_some_and(|before| before.day + 1 == number && before.practice == practice)
        };
        let is_as_before = desk.before.iter().all(is_same)
            && day.as_before.iter().all(|practices| practices[practice as usize])
            && self.models.iter().all(|model| model.population.registered_days.is_none());
        if !is_as_before {
            return false;
        }
        for (model, terms) in tallies.terms.iter_mut().enumerate() {
            let before = desk.before[model].as_mut().expect("there was a day before");
            before.day = number;
            let score = before.score;
            if score.is_none_or(|score| score.is_ok()) {
                self.tally(model, practice, day, desk, terms);
            }
            let (earlier, this) = desk.days.split_at_mut(number);
            let (then, rows) = (&earlier[number - 1].models[model], &mut this[0].models[model]);
            match score {
                Some(score) => rows.push(score),
                None => rows.facts.extend_from_slice(&then.facts[rows.facts.len()..]),
            }
        }
        true
    }

    /// Leaves a person without any score or fact of a day.
    fn leave_out(&self, reason: Reason, day: usize, desk: &mut Desk) {
        for (model, rows) in self.models.iter().zip(&mut desk.days[day].models) {
            match model.is_scored() {
                true => rows.push(Err(reason)),
                false => rows.facts.extend(std::iter::repeat_n(i32::MIN, model.terms.len())),
            }
        }
    }

    /// What came of a model on the day before, where it is the same on this one.
    fn same_as_before(&self, model: usize, found: Found, day: &OneDay, desk: &Desk) -> Option<Before> {
        let before = desk.before[model]?;
        let is_same = before.day + 1 == found.day
            && before.practice == found.practice
            && day.as_before[model][found.practice as usize]
            && !desk.scratch.has_moved(model)
            && self.models[model].population.registered_days.is_none();
        is_same.then_some(before)
    }

    /// A person's score, its strongest terms and how many terms were observed; or the reason why there is none.
    fn score_on(
        &self,
        model: usize,
        found: Found,
        day: &OneDay,
        desk: &mut Desk,
        terms: &mut [Tally],
    ) -> Result<Score, Reason> {
        let score = match self.same_as_before(model, found, day, desk).and_then(|before| before.score) {
            Some(score) => {
                if score.is_ok() {
                    self.tally(model, found.practice, day, desk, terms);
                }
                score
            }
            None => self.score_of(model, found, day, desk, terms),
        };
        desk.before[model] = Some(Before { day: found.day, practice: found.practice, score: Some(score) });
        score
    }

    /// Tallies the terms that may be otherwise than usual; how many more of them were observed than usual.
    fn tally(&self, model: usize, practice: u32, day: &OneDay, desk: &Desk, terms: &mut [Tally]) -> i64 {
        let mut all_more = 0;
        let usual = &day.usual.models[model];
        let nodes = &self.evaluator.plan.models[model].terms;
        let available = day.of.availability.of(model, practice);
        for place in ones(&desk.listed[usual.words.clone()]) {
            let value = desk.scratch.values[nodes[place]];
            let is_usually = usual.is_observed(practice, place);
            let more = i64::from(available.is_observed(place, value)) - i64::from(is_usually);
            terms[place].take(value, more);
            all_more += more;
        }
        all_more
    }

    fn take_facts(&self, model: usize, found: Found, day: &OneDay, desk: &mut Desk, terms: &mut [Tally]) {
        self.tally(model, found.practice, day, desk, terms);
        let same = self.same_as_before(model, found, day, desk);
        desk.before[model] = Some(Before { day: found.day, practice: found.practice, score: None });
        let usual = &day.usual.models[model];
        let usual_facts = &usual.facts[found.practice as usize];
        let (earlier, this) = desk.days.split_at_mut(found.day);
        let rows = &mut this[0].models[model].facts;
        let start = rows.len();
        if same.is_some() {
            let before = &earlier[found.day - 1].models[model].facts;
            rows.extend_from_slice(&before[start..]);
            return;
        }
        rows.extend_from_slice(usual_facts);
        let nodes = &self.evaluator.plan.models[model].terms;
        let available = day.of.availability.of(model, found.practice);
        for place in ones(&desk.listed[usual.words.clone()]) {
            let value = desk.scratch.values[nodes[place]];
            // What was seen stands; where a feed does not cover the person, nothing seen is not published as none.
            let is_unknown = available.is_unavailable(place) && !value.is_true();
            rows[start + place] = in_thousandths(if is_unknown { Micro::MISSING } else { value });
        }
    }

    fn score_of(
        &self,
        model: usize,
        found: Found,
        day: &OneDay,
        desk: &mut Desk,
        terms: &mut [Tally],
    ) -> Result<Score, Reason> {
        if let Some(reason) = self.outside_population(model, found, &desk.scratch) {
            return Err(reason);
        }
        let usual = &day.usual.models[model];
        let usually_observed = usual.observed[found.practice as usize].1;
        let Desk { scratch, listed, contributions, .. } = desk;
        let listed = &listed[usual.words.clone()];
        if listed.iter().all(|bits| *bits == 0) {
            let linear_predictor = usual.linear_predictor;
            return Ok(Score { linear_predictor, reasons: [NO_TERM; REASONS], observed: usually_observed });
        }
        let nodes = &self.evaluator.plan.models[model].terms;
        let places = || ones(listed);
        let value = |place: usize| scratch.values[nodes[place]];
        let summed = sum_of(&self.models[model], places(), value, contributions);
        let reasons = top_reasons(contributions, places());
        places().for_each(|place| contributions[place] = Nano::ZERO);
        let linear_predictor = summed.map_err(|place| Reason::Missing(place as u16))?;
        let observed = i64::from(usually_observed) + self.tally(model, found.practice, day, desk, terms);
        Ok(Score { linear_predictor, reasons, observed: observed as u16 })
    }

    /// What became of each term over everybody who has a score, from those with whom it was looked at.
    fn tally_with_others(
        &self,
        (number, availability): (usize, &Availability),
        standings: &[Standing],
        (usual, tallies): (&UsualTerms, &[Tally]),
        out: &ModelScores,
    ) -> Vec<TermTally> {
        let mut tallied = vec![0u64; self.spine.practices.len()];
        for (person, standing) in standings.iter().enumerate() {
            let is_tallied = out.linear_predictors.get(person).is_none_or(|score| score.is_scored());
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
            let unavailable = people_where(&|practice| availability.is_unavailable(number, practice, place));
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
    /// The number of the day.
    day: usize,
    practice: u32,
    age_years: Option<i32>,
    registered_days: i32,
}

/// What a person's score of one model comes to.
#[derive(Clone, Copy)]
struct Score {
    linear_predictor: Nano,
    reasons: [u16; REASONS],
    observed: u16,
}

/// The columns of some people on all days, cut into chunks.
fn chunks(scores: &mut [Scores], people: Range<u32>) -> Vec<Chunk<'_>> {
    let range = people.start as usize..people.end as usize;
    let starts = range.clone().step_by(CHUNK);
    let chunk = |first: usize| Chunk { first, people: (range.end - first).min(CHUNK), days: Vec::new() };
    let mut chunks: Vec<Chunk> = starts.map(chunk).collect();
    for scores in scores {
        let standings = scores.standings[range.clone()].chunks_mut(CHUNK);
        for (chunk, standings) in chunks.iter_mut().zip(standings) {
            chunk.days.push(DayChunk { standings, models: Vec::new() });
        }
        for model in &mut scores.models {
            let mut linear_predictors = cut(&mut model.linear_predictors, &range);
            let mut reasons = cut(&mut model.reasons, &range);
            let mut observed = cut(&mut model.observed, &range);
            let mut facts: Vec<_> = model.facts.iter_mut().map(|fact| cut(fact, &range)).collect();
            for day in chunks.iter_mut().map(|chunk| chunk.days.last_mut().expect("it was pushed above")) {
                day.models.push(ModelChunk {
                    linear_predictors: linear_predictors.next().unwrap_or_default(),
                    reasons: reasons.next().unwrap_or_default(),
                    observed: observed.next().unwrap_or_default(),
                    facts: facts.iter_mut().map(|fact| fact.next().unwrap_or_default()).collect(),
                });
            }
        }
    }
    chunks
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
            linear_predictors: vec![Predictor::new(Err(Reason::NotRegistered)); scored],
            reasons: vec![[NO_TERM; REASONS]; scored],
            observed: vec![0; scored],
            facts: vec![vec![0; people]; facts],
            terms: Vec::new(),
        }
    }
}

impl DayChunk<'_> {
    /// Takes what came of some people, from this place on.
    fn take(&mut self, start: usize, rows: &mut DayRows) {
        move_to(&mut self.standings[start..], &mut rows.standings);
        for (out, rows) in self.models.iter_mut().zip(&mut rows.models) {
            if !out.linear_predictors.is_empty() {
                move_to(&mut out.linear_predictors[start..], &mut rows.linear_predictors);
                move_to(&mut out.reasons[start..], &mut rows.reasons);
                move_to(&mut out.observed[start..], &mut rows.observed);
            }
            out.take_fact_rows(start, &rows.facts);
            rows.facts.clear();
        }
    }
}

fn move_to<T: Copy>(column: &mut [T], values: &mut Vec<T>) {
    column[..values.len()].copy_from_slice(values);
    values.clear();
}

impl ModelChunk<'_> {
    /// Takes the facts of people, one person's after another's, as columns, from this place on.
    fn take_fact_rows(&mut self, start: usize, rows: &[i32]) {
        // As many people at a time as fill a cache line of a column, so that their rows stay at hand.
        const OF_A_LINE: usize = 16;
        let terms = self.facts.len();
        if terms == 0 {
            return;
        }
        for (number, rows) in rows.chunks(OF_A_LINE * terms).enumerate() {
            for (place, fact) in self.facts.iter_mut().enumerate() {
                let values = rows.iter().skip(place).step_by(terms);
                fact[start + number * OF_A_LINE..].iter_mut().zip(values).for_each(|(fact, value)| *fact = *value);
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
