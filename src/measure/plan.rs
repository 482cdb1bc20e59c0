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
    /// Whether its window holds whole calendar months, of each of which it asks the same.
    pub fn is_by_month(&self) -> bool {
        matches!(self.measure.take, Take::MaxPerMonthOfDistinct { .. })
            && self.reference == 0
            && self.measure.window.up_to_days != i32::MAX
    }

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Act {
    Count,
    Any,
    /// Days of the interval that lie in the measure's window.
    Days,
    /// Cost a week times those days, in sevenths of a penny.
    Cost,
    Sum,
    Latest,
    LatestTwo,
    Last,
    DistinctDays,
    /// The place is the code's in the scratch stamps.
    Distinct,
    MaxPerMonth,
    /// The place is the category's in the stamps and in the weights.
    Weight,
    /// The place is the code's in the measure's table.
    LookUp,
    Resolved,
    /// The event is one of those that are asked about.
    LastIs,
    /// It is none of them.
    LastIsNot,
    Open,
}

/// Eight bytes, for the operations of a run are looked at for every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub measure: u16,
    pub act: Act,
    /// What the event still has to be asked: [`Operation::AMOUNT`], [`Operation::WINDOW`]; and [`Operation::ANEW`].
    pub asks: u8,
    pub place: u32,
}

impl Operation {
    /// Whether its amount lies in the measure's bounds.
    pub const AMOUNT: u8 = 1;
    /// Whether its day lies in the measure's window: how many days ago it was does not say so.
    pub const WINDOW: u8 = 2;
    /// What its measure comes to is worked out anew from all events: it does not follow from those that come into its
    /// window and those that leave it.
    pub const ANEW: u8 = 4;
    /// And so it is on each as-of day, whether or not other events count.
    pub const RESTLESS: u8 = 16;
    /// Its measure counts by calendar month, and which months lie in its window is asked when it is read.
    pub const BY_MONTH: u8 = 8;
    pub const ASKS: u8 = Operation::AMOUNT | Operation::WINDOW;

    #[inline]
    pub fn is_anew(self) -> bool {
        self.asks & Operation::ANEW != 0
    }

    #[inline]
    pub fn is_restless(self) -> bool {
        self.asks & Operation::RESTLESS != 0
    }

    #[inline]
    pub fn is_by_month(self) -> bool {
        self.asks & Operation::BY_MONTH != 0
    }
}

/// A window over whole days, or over the calendar months that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedWindow {
    pub reference: usize,
    pub window: Window,
    pub by_month: bool,
}

const LONGEST_MONTH: i32 = 31;

impl PlannedWindow {
    /// The most days before an as-of day that a day of it can lie; `i32::MAX` where it reaches back without end, or from
    /// another day than the as-of day.
    fn reach_days(&self) -> i32 {
        match self.reference {
            0 => self.window.up_to_days.saturating_add(if self.by_month { LONGEST_MONTH } else { 0 }),
            _ => i32::MAX,
        }
    }

    /// The days before an as-of day that its days can lie in.
    fn days_ago(&self) -> DaysAgo {
        let after_days = match self.reference {
            0 => self.window.after_days - if self.by_month { LONGEST_MONTH } else { 0 },
            _ => 0,
        };
        (after_days.max(0), self.reach_days())
    }

    /// Whether how many days ago something was says that it lies in the window.
    fn is_days_ago(&self) -> bool {
        self.reference == 0 && !self.by_month
    }
}

/// Days before an as-of day: more than the first, up to the second.
type DaysAgo = (i32, i32);

/// Places in the operations of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    first: u32,
    end: u32,
}

/// How long events of a concept and an age do the same.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// The next age at which they do something else, or [`NO_CHANGE`].
    next: u16,
    /// What the operations ask, those of all together.
    asks: u8,
}

/// By measure: the value of each code that it looks up, by the code's place; `None` where its table lacks the code.
pub type LookedUp = Vec<Vec<Option<Micro>>>;

/// No age at which events of a concept do something else.
const NO_CHANGE: u16 = u16::MAX;

/// For each concept and age, what events do.
///
/// An age is a stretch of days before the as-of day within which no window that counts back from it begins or ends: all
/// events of a concept and an age lie in the same windows, so that none of them has to be asked.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// By concept: which anchors its events can be, one bit each.
    pub anchors: Vec<u32>,
    /// The days that each age begins after, the first of which is 0, in order.
    pub ages: Vec<i32>,
    /// By concept, then age.
    spans: Vec<Span>,
    /// The same: until when its events do that, and what they have to be asked.
    changes: Vec<Change>,
    operations: Vec<Operation>,
    pub windows: Vec<PlannedWindow>,
    /// By measure: the window that it counts in, and the amounts.
    pub window_of: Vec<u32>,
    pub amounts: Vec<(i32, i32)>,
    /// How many codes and categories are stamped.
    pub stamps: usize,
    /// By place in the stamps: what the category weighs.
    pub weights: Vec<i64>,
    /// For each measure that looks up: the value of each code, by its place; `None` where its table lacks the code.
    pub look_ups: LookedUp,
    /// The codes of `look_ups`, in order.
    looked_up: Vec<Vec<Box<[u8]>>>,
}

impl Operations {
    /// What the events of a concept and an age do.
    #[inline]
    pub fn of(&self, concept: u32, age: usize) -> &[Operation] {
        let span = self.spans[concept as usize * self.ages.len() + age];
        &self.operations[span.first as usize..span.end as usize]
    }

    /// Those of all concepts.
    pub fn all(&self) -> &[Operation] {
        &self.operations
    }

    /// The first as-of day from which an event that has this age now does something else, and what the operations ask
    /// until then, those of all together.
    #[inline]
    pub fn until(&self, event: &Event, age: usize) -> (i32, u8) {
        let Change { next, asks } = self.changes[event.concept as usize * self.ages.len() + age];
        match next {
            NO_CHANGE => (i32::MAX, asks),
            next => ((event.day + 1).saturating_add(self.ages[usize::from(next)]), asks),
        }
    }

    /// The age of what was so many days ago; `None` of what had not happened by then.
    pub fn age_of(&self, days_ago: i32) -> Option<usize> {
        self.ages.iter().rposition(|&after| days_ago > after)
    }

    /// Whether events can be anchors: a test that most fail by the number of their concept alone, for the concepts of a
    /// stream are numbered one after another.
    pub fn can_anchor(&self) -> impl Fn(&Event) -> bool + Sync + '_ {
        let first = self.anchors.iter().position(|anchors| *anchors != 0).unwrap_or(self.anchors.len());
        let end = self.anchors.iter().rposition(|anchors| *anchors != 0).map_or(first, |last| last + 1);
        let range = first as u32..end as u32;
        move |event| range.contains(&event.concept) && self.anchors[event.concept as usize] != 0
    }

    /// Adds a concept with these operations, each with the days before the as-of day that it may see something in.
    fn push(&mut self, operations: &[(Operation, DaysAgo)], anchors: u32) {
        let mut last = Span::default();
        for age in 0..self.ages.len() {
            let after = self.ages[age];
            let up_to = self.ages.get(age + 1).copied().unwrap_or(i32::MAX);
            let first = self.operations.len();
            let sees = operations.iter().filter(|(_, (from, to))| *from < up_to && *to > after);
            self.operations.extend(sees.map(|(operation, _)| operation));
            let end = self.operations.len();
            if self.operations[last.first as usize..last.end as usize] == self.operations[first..end] {
                self.operations.truncate(first);
            } else {
                last = Span { first: first as u32, end: end as u32 };
            }
            self.spans.push(last);
        }
        let spans = &self.spans[self.spans.len() - self.ages.len()..];
        let first = self.changes.len();
        self.changes.extend(spans.iter().map(|span| {
            let operations = &self.operations[span.first as usize..span.end as usize];
            Change { next: NO_CHANGE, asks: operations.iter().fold(0, |asks, operation| asks | operation.asks) }
        }));
        for age in (1..spans.len()).rev() {
            let is_same = spans[age - 1] == spans[age];
            self.changes[first + age - 1].next = if is_same { self.changes[first + age].next } else { age as u16 };
        }
        self.anchors.push(anchors);
    }

    /// Looks every code up in these tables; nothing else depends on what they say.
    pub fn look_up(&mut self, plan: &Plan, tables: &dyn Tables) {
        self.look_ups = self.looked_up_in(plan, tables);
    }

    /// By measure: the value of each code that it looks up, in these tables.
    pub fn looked_up_in(&self, plan: &Plan, tables: &dyn Tables) -> LookedUp {
        let of_measure = |(planned, codes): (&PlannedMeasure, &Vec<Box<[u8]>>)| match &planned.measure.take {
            Take::LookUp { table, .. } => {
                codes.iter().map(|code| tables.value(table, &String::from_utf8_lossy(code))).collect()
            }
            _ => Vec::new(),
        };
        plan.measures.iter().zip(&self.looked_up).map(of_measure).collect()
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
        assert!(none <= usize::from(u16::MAX), "an operation has 16 bits for its measure");
        let mut made =
            Operations { look_ups: vec![Vec::new(); none], looked_up: vec![Vec::new(); none], ..Operations::default() };
        let numbering = Numbering::new(self, concepts, library, &mut made);
        self.place_windows(&mut made);
        made.amounts =
            self.measures.iter().map(|planned| planned.measure.amount.unwrap_or((i32::MIN, i32::MAX))).collect();
        let of_concept = |concept: &Concept| self.operations_of_concept(concept, &made, &numbering, library);
        let of_concepts: Vec<_> = concepts.par_iter().map(of_concept).collect();
        for (operations, anchors) in of_concepts {
            made.push(&operations, anchors);
        }
        made.look_up(self, tables);
        made
    }

    /// Every window that a measure has, each once, and the ages that those back from the as-of day make.
    fn place_windows(&self, made: &mut Operations) {
        for planned in &self.measures {
            let by_month = matches!(planned.measure.take, Take::MaxPerMonthOfDistinct { .. });
            let window = PlannedWindow { reference: planned.reference, window: planned.measure.window, by_month };
            let known = made.windows.iter().position(|known| *known == window);
            made.window_of.push(known.unwrap_or(made.windows.len()) as u32);
            if known.is_none() {
                made.windows.push(window);
            }
        }
        let edges = made.windows.iter().filter(|window| window.is_days_ago()).map(PlannedWindow::days_ago);
        let mut ages: Vec<i32> = edges.flat_map(|(after, up_to)| [after, up_to]).chain([0]).collect();
        ages.retain(|after| (0..i32::MAX).contains(after));
        ages.sort_unstable();
        ages.dedup();
        made.ages = ages;
    }

    /// What the events of a concept do and in which days before the as-of day, and which anchors they can be.
    fn operations_of_concept(
        &self,
        concept: &Concept,
        made: &Operations,
        numbering: &Numbering,
        library: &Library,
    ) -> (Vec<(Operation, DaysAgo)>, u32) {
        let stream = concept.stream as usize;
        let mut operations = Vec::new();
        for (number, planned) in self.measures.iter().enumerate().filter(|(_, measure)| measure.stream == stream) {
            let window = &made.windows[made.window_of[number] as usize];
            // Intervals may reach into a window from any time before it.
            let (days_ago, asks_window) = match planned.measure.take {
                Take::Days | Take::Cost => ((0, i32::MAX), false),
                _ => (window.days_ago(), !window.is_days_ago()),
            };
            let is_asked = [
                (planned.measure.amount.is_some(), Operation::AMOUNT),
                (asks_window, Operation::WINDOW),
                (planned.is_by_month(), Operation::BY_MONTH),
                (!planned.is_by_month() && (asks_window || !is_count(&planned.measure.take)), Operation::ANEW),
                (
                    !planned.is_by_month() && (asks_window || moves_by_itself(&planned.measure.take)),
                    Operation::RESTLESS,
                ),
            ];
            let asks = is_asked.iter().fold(0, |asks, (is_so, bit)| if *is_so { asks | bit } else { asks });
            acts_of(number, planned, concept, numbering, library, &mut |act, place| {
                operations.push((Operation { measure: number as u16, act, asks, place }, days_ago));
            });
        }
        let anchors = self.anchors.iter().enumerate();
        let anchors = anchors.filter(|(_, anchor)| anchor.stream == stream && has_bit(&concept.mask, anchor.predicate));
        (operations, anchors.fold(0, |bits, (number, _)| bits | 1 << number))
    }
}

/// Whether a measure follows from what it was, the events that came since and those that left.
fn is_count(take: &Take) -> bool {
    matches!(take, Take::Count | Take::Any | Take::Sum | Take::Mean | Take::Distinct { .. } | Take::WeightsOnce { .. })
}

/// Whether the same events come to something else on another day.
fn moves_by_itself(take: &Take) -> bool {
    matches!(take, Take::Days | Take::Cost | Take::Open)
}

/// What the events of a concept do to a measure, each with its place.
fn acts_of(
    number: usize,
    planned: &PlannedMeasure,
    concept: &Concept,
    numbering: &Numbering,
    library: &Library,
    push: &mut dyn FnMut(Act, u32),
) {
    let first = has_bit(&concept.mask, planned.predicate);
    let second = has_bit(&concept.mask, planned.second_predicate);
    let code = || concept.codes.get(planned.code).map_or(&[][..], |code| &code[..]);
    let mut push_of_code = |act, code| {
        if let Some(place) = numbering.code(number, code) {
            push(act, place);
        }
    };
    match &planned.measure.take {
        Take::Unresolved { .. } => {
            if first {
                push(Act::Last, 0);
            }
            if second {
                push(Act::Resolved, 0);
            }
        }
        _ if !first => {}
        Take::Count => push(Act::Count, 0),
        Take::Any => push(Act::Any, 0),
        Take::Days => push(Act::Days, 0),
        Take::Cost => push(Act::Cost, 0),
        Take::Sum | Take::Mean => push(Act::Sum, 0),
        Take::Latest => push(Act::Latest, 0),
        Take::HighestOfLastTwo => push(Act::LatestTwo, 0),
        Take::SinceLast => push(Act::Last, 0),
        Take::DistinctDays => push(Act::DistinctDays, 0),
        Take::LastIs { .. } => push(if second { Act::LastIs } else { Act::LastIsNot }, 0),
        Take::Open => push(Act::Open, 0),
        Take::Distinct { characters, .. } => push_of_code(Act::Distinct, cut(code(), *characters)),
        Take::MaxPerMonthOfDistinct { characters, .. } => push_of_code(Act::MaxPerMonth, cut(code(), *characters)),
        Take::LookUp { .. } => push_of_code(Act::LookUp, code()),
        Take::WeightsOnce { list, .. } => {
            for category in categories_of(&library.code_lists[list], code()) {
                push(Act::Weight, numbering.first_category[number] + category);
            }
        }
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
                Take::WeightsOnce { list, .. } => {
                    let categories = &library.code_lists[list].categories;
                    let weights = categories.iter().map(|category| category.weight.unwrap_or_default().to_micro().0);
                    made.weights.resize(stamps as usize, 0);
                    made.weights.extend(weights);
                    stamps += categories.len() as u32;
                }
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
