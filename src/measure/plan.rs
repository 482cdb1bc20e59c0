//! What a run has to work out: every distinct predicate, measure and value of all its models, each once.
//!
//! Building the plan turns model names into small numbers. Once the concepts of a run are known, [`Plan::operations`]
//! says for each concept which measures it feeds, so that evaluating an event is a walk over a short list.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::code::CodeList;
use crate::day::Window;
use crate::event::{AmountKind, Event, Streams};
use crate::model::library::Library;
use crate::model::{ALL_CHARACTERS, Anchor, Expression, Measure, Model, Predicate, Sex, Step, Take};
use crate::number::Micro;

/// A stream that some measure uses, with the predicates that its rows are tried against.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    pub name: String,
    /// In name order.
    pub fields: Vec<FieldPlan>,
    pub predicates: Vec<Predicate>,
    pub amount: AmountKind,
}

#[derive(Debug, Clone)]
pub struct FieldPlan {
    pub name: String,
    /// How many characters of the code a concept has to keep; 0 where no measure tells codes apart.
    pub characters: usize,
}

/// Which predicates of a stream a row meets, one bit each.
pub type Mask = Box<[u64]>;

pub fn has_bit(mask: &[u64], bit: usize) -> bool {
    mask[bit / 64] >> (bit % 64) & 1 == 1
}

pub fn set_bit(mask: &mut [u64], bit: usize) {
    mask[bit / 64] |= 1 << (bit % 64);
}

/// What a row is, as far as any model asks: its stream, the predicates it meets, the codes that are told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Concept {
    pub stream: u32,
    pub mask: Mask,
    /// One for each field of the stream that tells codes apart, in field order; empty where the row has none.
    pub codes: Box<[Box<[u8]>]>,
}

#[derive(Debug, Clone)]
pub struct PlannedMeasure {
    pub measure: Measure,
    pub stream: usize,
    pub predicate: usize,
    /// Of `Unresolved` and `LastIs`.
    pub second_predicate: usize,
    /// 0 is the as-of day; from 1 on, the anchors.
    pub reference: usize,
    pub amount: AmountKind,
    /// Which of the stream's told-apart codes it reads.
    pub code: usize,
}

impl PlannedMeasure {
    /// As [`Plan::reach_days`], for what this measure alone asks.
    fn reach_days(&self) -> i32 {
        let by_month = match &self.measure.take {
            // What goes on reaches into a window from any time before it.
            Take::Days | Take::Cost | Take::Open => return i32::MAX,
            take => matches!(take, Take::MaxPerMonthOfDistinct { .. }),
        };
        PlannedWindow { reference: self.reference, window: self.measure.window, by_month }.reach_days()
    }
}

#[derive(Debug, Clone)]
pub struct PlannedAnchor {
    pub anchor: Anchor,
    pub stream: usize,
    pub predicate: usize,
}

/// A value, made of values before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    AgeYears,
    Sex(Sex),
    Number(String),
    WordIn(String, Vec<String>),
    Measure(usize),
    Product(Vec<usize>),
    SumOf(Vec<usize>),
    Ratio(usize, usize),
    CountTrue(Vec<usize>),
    AnyTrue(Vec<usize>),
    AllTrue(Vec<usize>),
    Not(usize),
    Stepped(usize, Vec<Step>),
}

/// Where a model's values stand in the plan.
#[derive(Debug, Clone)]
pub struct ModelPlan {
    /// One a term: the value that its coefficient multiplies.
    pub terms: Vec<usize>,
    /// One a term: the value before steps.
    pub raw: Vec<usize>,
    pub requires: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub streams: Vec<StreamPlan>,
    pub measures: Vec<PlannedMeasure>,
    pub anchors: Vec<PlannedAnchor>,
    pub nodes: Vec<Node>,
    pub models: Vec<ModelPlan>,
    /// Streams and predicates that something besides the models asks about, which has no window.
    pub besides: Vec<(usize, usize)>,
}

impl Plan {
    /// The plan of all models, with predicates that the run needs besides.
    pub fn new(models: &[Model], besides: &[Predicate], streams: &Streams) -> Plan {
        let mut builder = Builder { plan: Plan::default(), streams, node_places: BTreeMap::new() };
        builder.streams_of(models, besides);
        builder.plan.besides = besides.iter().map(|predicate| builder.predicate(predicate)).collect();
        for model in models {
            let planned = builder.model(model);
            builder.plan.models.push(planned);
        }
        builder.plan
    }

    pub fn stream(&self, name: &str) -> Option<usize> {
        self.streams.binary_search_by(|stream| stream.name.as_str().cmp(name)).ok()
    }

    /// The same plan with concepts that keep the whole code of every field, so that events can be told apart in an
    /// explanation. Values do not change.
    pub fn keeping_codes(mut self) -> Plan {
        let places: Vec<Option<String>> = self
            .measures
            .iter()
            .map(|planned| told_apart(&planned.measure.take).map(|(field, _)| field.to_owned()))
            .collect();
        for stream in &mut self.streams {
            stream.fields.iter_mut().for_each(|field| field.characters = ALL_CHARACTERS);
        }
        for (number, field) in places.into_iter().enumerate() {
            if let Some(field) = field {
                let stream = self.measures[number].stream;
                self.measures[number].code = self.code_place(stream, &field).expect("coded fields were collected");
            }
        }
        self
    }

    /// The measures that a node is made of, in order, each once.
    pub fn measures_of(&self, node: usize) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            match &self.nodes[node] {
                Node::Measure(number) => drop(found.insert(*number)),
                Node::Product(of) | Node::SumOf(of) | Node::CountTrue(of) | Node::AnyTrue(of) | Node::AllTrue(of) => {
                    open.extend(of)
                }
                Node::Ratio(of, over) => open.extend([of, over]),
                Node::Not(of) | Node::Stepped(of, _) => open.push(*of),
                Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) => {}
            }
        }
        found.into_iter().collect()
    }

    /// A predicate's stream and its place there.
    pub fn predicate(&self, predicate: &Predicate) -> Option<(usize, usize)> {
        let stream = self.stream(&predicate.stream)?;
        let place = self.streams[stream].predicates.binary_search(predicate).ok()?;
        Some((stream, place))
    }

    /// The most days before an as-of day that an event of this concept can lie and still change something; `i32::MAX`
    /// where it may lie any time before.
    pub fn reach_days(&self, concept: &Concept) -> i32 {
        let meets =
            |stream: usize, predicate: usize| stream == concept.stream as usize && has_bit(&concept.mask, predicate);
        let is_besides = self.besides.iter().any(|(stream, predicate)| meets(*stream, *predicate));
        if is_besides || self.anchors.iter().any(|anchor| meets(anchor.stream, anchor.predicate)) {
            return i32::MAX;
        }
        let of = |planned: &&PlannedMeasure| {
            meets(planned.stream, planned.predicate) || meets(planned.stream, planned.second_predicate)
        };
        self.measures.iter().filter(of).map(PlannedMeasure::reach_days).max().unwrap_or(0)
    }

    /// Which of a stream's told-apart codes belongs to a field.
    pub fn code_place(&self, stream: usize, field: &str) -> Option<usize> {
        let mut coded = self.streams[stream].fields.iter().filter(|field| field.characters > 0);
        coded.position(|coded| coded.name == field)
    }
}

struct Builder<'a> {
    plan: Plan,
    streams: &'a Streams,
    node_places: BTreeMap<Node, usize>,
}

impl Builder<'_> {
    /// Collects every predicate and field first, so that their numbers do not depend on the order of models.
    fn streams_of(&mut self, models: &[Model], besides: &[Predicate]) {
        let mut predicates: BTreeMap<String, BTreeSet<Predicate>> = BTreeMap::new();
        for predicate in besides {
            predicates.entry(predicate.stream.clone()).or_default().insert(predicate.clone());
        }
        let mut characters: BTreeMap<(String, String), usize> = BTreeMap::new();
        for measure in models.iter().flat_map(measures_of) {
            let mut needed = vec![&measure.events];
            match &measure.take {
                Take::Unresolved { resolved: second } | Take::LastIs { also: second } => needed.push(second),
                _ => {}
            }
            needed.extend(measure.before.as_ref().map(|anchor| &anchor.events));
            for predicate in needed {
                predicates.entry(predicate.stream.clone()).or_default().insert(predicate.clone());
            }
            if let Some((field, kept)) = told_apart(&measure.take) {
                let widest = characters.entry((measure.events.stream.clone(), field.to_owned())).or_default();
                *widest = kept.max(*widest);
            }
        }
        for (name, predicates) in predicates {
            let conditioned = predicates.iter().flat_map(|predicate| predicate.conditions.keys().cloned());
            let coded = characters.keys().filter(|(stream, _)| *stream == name).map(|(_, field)| field.clone());
            let fields: BTreeSet<String> = conditioned.chain(coded).collect();
            let fields = fields.into_iter().map(|field| FieldPlan {
                characters: characters.get(&(name.clone(), field.clone())).copied().unwrap_or(0),
                name: field,
            });
            let amount = self.streams.streams.get(&name).map_or(AmountKind::None, |stream| stream.amount);
            let stream =
                StreamPlan { fields: fields.collect(), predicates: predicates.into_iter().collect(), amount, name };
            self.plan.streams.push(stream);
        }
    }

    fn model(&mut self, model: &Model) -> ModelPlan {
        let mut named = Vec::new();
        for value in &model.values {
            let node = self.expression(&value.expression, &named);
            named.push(node);
        }
        ModelPlan {
            terms: model.terms.iter().map(|term| self.expression(&term.expression, &named)).collect(),
            raw: model.terms.iter().map(|term| self.expression(&term.raw, &named)).collect(),
            requires: model
                .population
                .requires
                .iter()
                .map(|require| self.expression(&require.expression, &named))
                .collect(),
        }
    }

    fn expression(&mut self, expression: &Expression, named: &[usize]) -> usize {
        let all = |places: &[usize]| places.iter().map(|&place| named[place]).collect();
        let node = match expression {
            Expression::AgeYears => Node::AgeYears,
            Expression::Sex(sex) => Node::Sex(*sex),
            Expression::Number(name) => Node::Number(name.clone()),
            Expression::WordIn(name, words) => Node::WordIn(name.clone(), words.clone()),
            Expression::Measure(measure) => Node::Measure(self.measure(measure)),
            Expression::Named(place) => return named[*place],
            Expression::Product(of) => Node::Product(all(of)),
            Expression::SumOf(of) => Node::SumOf(all(of)),
            Expression::Ratio(of, over) => Node::Ratio(named[*of], named[*over]),
            Expression::CountTrue(of) => Node::CountTrue(all(of)),
            Expression::AnyTrue(of) => Node::AnyTrue(all(of)),
            Expression::AllTrue(of) => Node::AllTrue(all(of)),
            Expression::Not(of) => Node::Not(named[*of]),
            Expression::Stepped(inner, steps) => Node::Stepped(self.expression(inner, named), steps.clone()),
        };
        if let Some(&place) = self.node_places.get(&node) {
            return place;
        }
        let place = self.plan.nodes.len();
        self.plan.nodes.push(node.clone());
        self.node_places.insert(node, place);
        place
    }

    fn measure(&mut self, measure: &Measure) -> usize {
        if let Some(place) = self.plan.measures.iter().position(|planned| &planned.measure == measure) {
            return place;
        }
        let (stream, predicate) = self.predicate(&measure.events);
        let second_predicate = match &measure.take {
            Take::Unresolved { resolved: second } | Take::LastIs { also: second } => self.predicate(second).1,
            _ => predicate,
        };
        let reference = measure.before.as_ref().map_or(0, |anchor| self.anchor(anchor) + 1);
        let code = told_apart(&measure.take)
            .map_or(0, |(field, _)| self.plan.code_place(stream, field).expect("coded fields were collected"));
        let amount = self.plan.streams[stream].amount;
        let measure = measure.clone();
        self.plan.measures.push(PlannedMeasure {
            measure,
            stream,
            predicate,
            second_predicate,
            reference,
            amount,
            code,
        });
        self.plan.measures.len() - 1
    }

    fn predicate(&self, predicate: &Predicate) -> (usize, usize) {
        self.plan.predicate(predicate).expect("all predicates were collected")
    }

    fn anchor(&mut self, anchor: &Anchor) -> usize {
        if let Some(place) = self.plan.anchors.iter().position(|planned| &planned.anchor == anchor) {
            return place;
        }
        let (stream, predicate) = self.predicate(&anchor.events);
        assert!(
            self.plan.anchors.len() < 32,
            "a run has at most 32 different anchors: a concept marks each in one of 32 bits"
        );
        self.plan.anchors.push(PlannedAnchor { anchor: anchor.clone(), stream, predicate });
        self.plan.anchors.len() - 1
    }
}

fn measures_of(model: &Model) -> impl Iterator<Item = &Measure> {
    let values = model.values.iter().map(|value| &value.expression);
    let terms = model.terms.iter().flat_map(|term| [&term.expression, &term.raw]);
    let requires = model.population.requires.iter().map(|require| &require.expression);
    values.chain(terms).chain(requires).filter_map(Expression::measure)
}

/// The field whose codes a measure tells apart, and how many of their characters it keeps.
fn told_apart(take: &Take) -> Option<(&str, usize)> {
    match take {
        Take::Distinct { field, characters } | Take::MaxPerMonthOfDistinct { field, characters } => {
            Some((field, *characters))
        }
        Take::WeightsOnce { field, .. } | Take::LookUp { field, .. } => Some((field, ALL_CHARACTERS)),
        _ => None,
    }
}

/// What an event of a concept does to one measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    Count,
    Any,
    /// Days of the interval that lie in the window with this number.
    Days(u32),
    /// Cost a week times those days, in sevenths of a penny.
    Cost(u32),
    Sum,
    Latest,
    LatestTwo,
    Last,
    DistinctDays,
    /// With the code's place in the scratch stamps.
    Distinct(u32),
    MaxPerMonth(u32),
    /// A category's place in the stamps, and its weight.
    Weight(u32, i64),
    /// The code's place in the measure's table.
    LookUp(u32),
    Resolved,
    LastIs(bool),
    Open,
}

#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub measure: u32,
    /// Which of the evaluation's windows the event's day has to lie in.
    pub window: u32,
    pub amount_min: i32,
    pub amount_max: i32,
    pub act: Act,
}

/// A window over whole days, or over the calendar months that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedWindow {
    pub reference: usize,
    pub window: Window,
    pub by_month: bool,
}

/// Of intervals, which may reach into a window from any time before it.
const EVERYTHING: PlannedWindow = PlannedWindow { reference: 0, window: Window::EVER, by_month: false };

impl PlannedWindow {
    /// The most days before an as-of day that a day of it can lie; `i32::MAX` where it reaches back without end, or from
    /// another day than the as-of day.
    fn reach_days(&self) -> i32 {
        const LONGEST_MONTH: i32 = 31;
        match self.reference {
            0 => self.window.up_to_days.saturating_add(if self.by_month { LONGEST_MONTH } else { 0 }),
            _ => i32::MAX,
        }
    }
}

/// What a concept's events do.
#[derive(Debug, Clone, Copy)]
pub struct OfConcept {
    /// `first..end` in the operations of all.
    first: u32,
    end: u32,
    /// Of an event this many days and more before the as-of day nothing follows.
    pub reach_days: i32,
    /// Which anchors they can be, one bit each.
    pub anchors: u32,
}

/// For each concept, what its events do.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// One a concept.
    pub concepts: Vec<OfConcept>,
    pub operations: Vec<Operation>,
    pub windows: Vec<PlannedWindow>,
    /// How many codes and categories are stamped.
    pub stamps: usize,
    /// For each measure that looks up: the value of each code, by its place; `None` where its table lacks the code.
    pub look_ups: Vec<Vec<Option<Micro>>>,
    /// The codes of `look_ups`, in order.
    looked_up: Vec<Vec<Box<[u8]>>>,
}

impl Operations {
    /// What the events of a concept do.
    #[inline]
    pub fn of(&self, concept: OfConcept) -> &[Operation] {
        &self.operations[concept.first as usize..concept.end as usize]
    }

    /// Whether events can be anchors: a test that most fail by the number of their concept alone, for the concepts of a
    /// stream are numbered one after another.
    pub fn can_anchor(&self) -> impl Fn(&Event) -> bool + Sync + '_ {
        let first = self.concepts.iter().position(|of| of.anchors != 0).unwrap_or(self.concepts.len());
        let end = self.concepts.iter().rposition(|of| of.anchors != 0).map_or(first, |last| last + 1);
        let range = first as u32..end as u32;
        move |event| range.contains(&event.concept) && self.concepts[event.concept as usize].anchors != 0
    }

    /// Looks every code up in these tables; nothing else depends on what they say.
    pub fn look_up(&mut self, plan: &Plan, tables: &dyn Tables) {
        for (planned, (codes, values)) in plan.measures.iter().zip(self.looked_up.iter().zip(&mut self.look_ups)) {
            if let Take::LookUp { table, .. } = &planned.measure.take {
                let value = |code: &[u8]| tables.value(table, &String::from_utf8_lossy(code));
                *values = codes.iter().map(|code| value(code)).collect();
            }
        }
    }
}

/// Looks up values by code; the run computes some tables from the data.
pub trait Tables {
    fn value(&self, table: &str, code: &str) -> Option<Micro>;
}

impl Plan {
    /// The operations for the concepts of a run.
    pub fn operations(&self, concepts: &[Concept], library: &Library, tables: &dyn Tables) -> Operations {
        let none = self.measures.len();
        let mut made =
            Operations { look_ups: vec![Vec::new(); none], looked_up: vec![Vec::new(); none], ..Operations::default() };
        let numbering = Numbering::new(self, concepts, library, &mut made);
        made.windows = self.windows();
        let of_concept = |concept: &Concept| self.operations_of_concept(concept, &made.windows, &numbering, library);
        let of_concepts: Vec<(Vec<Operation>, u32)> = concepts.par_iter().map(of_concept).collect();
        for (operations, anchors) in of_concepts {
            let reaches = operations.iter().map(|of| made.windows[of.window as usize].reach_days());
            let reach_days = reaches.max().map_or(0, |days| days.saturating_add(1));
            let first = made.operations.len() as u32;
            made.operations.extend(operations);
            let end = made.operations.len() as u32;
            made.concepts.push(OfConcept { first, end, reach_days, anchors });
        }
        made.look_up(self, tables);
        made
    }

    /// Every window that a measure has, each once.
    fn windows(&self) -> Vec<PlannedWindow> {
        let mut windows = vec![EVERYTHING];
        for planned in &self.measures {
            for by_month in [false, true] {
                let window = PlannedWindow { reference: planned.reference, window: planned.measure.window, by_month };
                if !windows.contains(&window) {
                    windows.push(window);
                }
            }
        }
        windows
    }

    /// What the events of a concept do, and which anchors they can be.
    fn operations_of_concept(
        &self,
        concept: &Concept,
        windows: &[PlannedWindow],
        numbering: &Numbering,
        library: &Library,
    ) -> (Vec<Operation>, u32) {
        let stream = concept.stream as usize;
        let mut operations = Vec::new();
        for (number, measure) in self.measures.iter().enumerate().filter(|(_, measure)| measure.stream == stream) {
            self.operations_of(number, measure, concept, (windows, numbering, library), &mut operations);
        }
        let anchors = self.anchors.iter().enumerate();
        let anchors = anchors.filter(|(_, anchor)| anchor.stream == stream && has_bit(&concept.mask, anchor.predicate));
        (operations, anchors.fold(0, |bits, (number, _)| bits | 1 << number))
    }

    fn operations_of(
        &self,
        number: usize,
        planned: &PlannedMeasure,
        concept: &Concept,
        (windows, numbering, library): (&[PlannedWindow], &Numbering, &Library),
        made: &mut Vec<Operation>,
    ) {
        let first = has_bit(&concept.mask, planned.predicate);
        let second = has_bit(&concept.mask, planned.second_predicate);
        let place = |window: PlannedWindow| {
            windows.iter().position(|known| *known == window).expect("every measure's windows were collected") as u32
        };
        let window =
            |by_month| place(PlannedWindow { reference: planned.reference, window: planned.measure.window, by_month });
        let (amount_min, amount_max) = planned.measure.amount.unwrap_or((i32::MIN, i32::MAX));
        let code = || concept.codes.get(planned.code).map_or(&[][..], |code| &code[..]);
        let push = |act, window, made: &mut Vec<Operation>| {
            made.push(Operation { measure: number as u32, window, amount_min, amount_max, act });
        };
        let act = match &planned.measure.take {
            Take::Unresolved { .. } => {
                let window = window(false);
                if first {
                    push(Act::Last, window, made);
                }
                if second {
                    push(Act::Resolved, window, made);
                }
                return;
            }
            _ if !first => return,
            Take::Count => Act::Count,
            Take::Any => Act::Any,
            Take::Days => {
                let counted = window(false);
                let window = place(EVERYTHING);
                return push(Act::Days(counted), window, made);
            }
            Take::Cost => {
                let counted = window(false);
                let window = place(EVERYTHING);
                return push(Act::Cost(counted), window, made);
            }
            Take::Sum | Take::Mean => Act::Sum,
            Take::Latest => Act::Latest,
            Take::HighestOfLastTwo => Act::LatestTwo,
            Take::SinceLast => Act::Last,
            Take::DistinctDays => Act::DistinctDays,
            Take::LastIs { .. } => Act::LastIs(second),
            Take::Open => Act::Open,
            Take::Distinct { characters, .. } => match numbering.code(number, cut(code(), *characters)) {
                Some(place) => Act::Distinct(place),
                None => return,
            },
            Take::MaxPerMonthOfDistinct { characters, .. } => {
                if let Some(place) = numbering.code(number, cut(code(), *characters)) {
                    let window = window(true);
                    push(Act::MaxPerMonth(place), window, made);
                }
                return;
            }
            Take::LookUp { .. } => match numbering.code(number, code()) {
                Some(place) => Act::LookUp(place),
                None => return,
            },
            Take::WeightsOnce { list, .. } => {
                let list = &library.code_lists[list];
                let window = window(false);
                for category in categories_of(list, code()) {
                    let weight = list.categories[category as usize].weight.unwrap_or_default().to_micro();
                    push(Act::Weight(numbering.first_category[number] + category, weight.0), window, made);
                }
                return;
            }
        };
        let window = window(false);
        push(act, window, made);
    }
}

/// The categories of a code whose field may hold several systems: the list is asked under each system it has.
pub fn categories_of(list: &CodeList, code: &[u8]) -> Vec<u32> {
    list.systems().into_iter().flat_map(|system| list.categories_of(system, code)).collect()
}

fn cut(code: &[u8], characters: usize) -> &[u8] {
    &code[..code.len().min(characters)]
}

/// Small numbers for the codes that measures tell apart, in code order.
struct Numbering {
    /// For each measure: its codes in order, and the stamp of the first.
    codes: Vec<(Vec<Box<[u8]>>, u32)>,
    first_category: Vec<u32>,
}

impl Numbering {
    fn new(plan: &Plan, concepts: &[Concept], library: &Library, made: &mut Operations) -> Numbering {
        let mut numbering = Numbering { codes: Vec::new(), first_category: Vec::new() };
        let mut stamps = 0;
        for (number, planned) in plan.measures.iter().enumerate() {
            let mut codes = BTreeSet::new();
            if let Some((_, characters)) = told_apart(&planned.measure.take) {
                for concept in concepts.iter().filter(|concept| concept.stream as usize == planned.stream) {
                    let code = cut(&concept.codes[planned.code], characters);
                    if has_bit(&concept.mask, planned.predicate) && !code.is_empty() {
                        codes.insert(code.to_vec().into_boxed_slice());
                    }
                }
            }
            let codes: Vec<_> = codes.into_iter().collect();
            let mut first_code = 0;
            numbering.first_category.push(stamps);
            match &planned.measure.take {
                Take::Distinct { .. } | Take::MaxPerMonthOfDistinct { .. } => {
                    first_code = stamps;
                    stamps += codes.len() as u32;
                }
                Take::WeightsOnce { list, .. } => stamps += library.code_lists[list].categories.len() as u32,
                Take::LookUp { .. } => made.looked_up[number] = codes.clone(),
                _ => {}
            }
            numbering.codes.push((codes, first_code));
        }
        made.stamps = stamps as usize;
        numbering
    }

    fn code(&self, measure: usize, code: &[u8]) -> Option<u32> {
        let (codes, first) = &self.codes[measure];
        codes.binary_search_by(|known| known[..].cmp(code)).ok().map(|place| first + place as u32)
    }
}
