//! The values of one person at one as-of day, from the slice of the timeline.
//!
//! Each event is looked at once: its concept leads to a short list of operations, each of which checks the event's
//! day against a window and adds to one accumulator. The scratch is made once a thread and reused.
//!
//! Most measures see nothing of most people. What a value is then is worked out once; for each person only those
//! values are worked out that follow from a measure that saw an event, or from what is known of the person besides
//! events.

use crate::day::{Day, Months};
use crate::event::{AmountKind, Event};
use crate::model::{Expression, Take};
use crate::number::Micro;

use super::Attributes;
use super::plan::{Act, Node, Operation, Operations, Plan, PlannedMeasure, PlannedWindow};

/// What has been seen of one measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    sum: i64,
    /// A day, a month or a number of events, as the measure has it; [`NEVER`] where nothing was seen.
    last: i32,
    count: i32,
}

const NEVER: i32 = i32::MIN;
const NOTHING: Seen = Seen { sum: 0, last: NEVER, count: 0 };

/// What a thread needs to evaluate people one after another.
pub struct Scratch {
    seen: Vec<Seen>,
    /// One bit a measure: whether it saw an event.
    touched: Vec<u64>,
    /// One bit a node: whether it was worked out for this person, for it may differ from what it usually is.
    worked_out: Vec<u64>,
    stamps: Vec<u64>,
    round: u64,
    /// First and last day of each window of the operations.
    windows: Vec<(i32, i32)>,
    /// The as-of day that the windows back from it stand for.
    placed_for: Option<Day>,
    anchors: Vec<i32>,
    months: &'static Months,
    /// One a node of the plan.
    pub values: Vec<Micro>,
    /// One a measure of the plan.
    look_ups: Vec<LookUps>,
}

/// How often a measure looked a code up, and how often its table lacked the code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookUps {
    pub done: u64,
    pub missed: u64,
}

impl Scratch {
    /// The nodes that may differ from [`Evaluator::usual`], in order.
    pub fn worked_out(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.worked_out)
    }

    /// The counts since they were last taken.
    pub fn take_look_ups(&mut self) -> Vec<LookUps> {
        let taken = self.look_ups.clone();
        self.look_ups.fill(LookUps::default());
        taken
    }
}

pub struct Evaluator<'a> {
    pub plan: &'a Plan,
    pub operations: &'a Operations,
    /// Leaves of the plan's nodes, as expressions that attributes answer.
    leaves: Vec<Option<Expression>>,
    /// One a node: what it is where no measure saw an event and nothing is known of the person.
    pub usual: Vec<Micro>,
    /// One bit a node: whether something that is known of a person besides events is in it.
    personal: Vec<u64>,
    /// For each measure one bit a node: whether it is in it.
    in_nodes: Vec<Vec<u64>>,
    /// The windows that count back from an anchor.
    anchored_windows: Vec<usize>,
}

/// The places of the bits that are set, in order.
pub fn ones(bits: &[u64]) -> impl Iterator<Item = usize> + Clone + '_ {
    bits.iter().enumerate().flat_map(|(word, &bits)| {
        std::iter::successors((bits != 0).then_some(bits), |bits| Some(bits & (bits - 1)).filter(|left| *left != 0))
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
    })
}

impl<'a> Evaluator<'a> {
    pub fn new(plan: &'a Plan, operations: &'a Operations) -> Evaluator<'a> {
        let leaves = leaves_of(plan);
        let personal = nodes_with(plan, |node| !matches!(node, Node::Measure(_)));
        let in_nodes = (0..plan.measures.len()).map(|number| nodes_with(plan, |node| *node == Node::Measure(number)));
        let windows = operations.windows.iter().enumerate();
        let anchored_windows = windows.filter(|(_, planned)| planned.reference > 0).map(|(which, _)| which).collect();
        let in_nodes = in_nodes.collect();
        let mut evaluator =
            Evaluator { plan, operations, leaves, usual: Vec::new(), personal, in_nodes, anchored_windows };
        let mut values = vec![Micro::MISSING; plan.nodes.len()];
        for (place, node) in plan.nodes.iter().enumerate() {
            values[place] = match node {
                Node::Measure(number) => nothing_seen(&plan.measures[*number].measure.take),
                _ => composed(node, &values).unwrap_or(Micro::MISSING),
            };
        }
        evaluator.usual = values;
        evaluator
    }

    pub fn scratch(&self) -> Scratch {
        Scratch {
            seen: vec![NOTHING; self.plan.measures.len()],
            touched: vec![0; self.plan.measures.len().div_ceil(64)],
            worked_out: vec![0; self.plan.nodes.len().div_ceil(64)],
            stamps: vec![0; self.operations.stamps],
            round: 0,
            windows: vec![(0, -1); self.operations.windows.len()],
            placed_for: None,
            anchors: vec![NEVER; self.plan.anchors.len() + 1],
            months: Months::shared(),
            values: self.usual.clone(),
            look_ups: vec![LookUps::default(); self.plan.measures.len()],
        }
    }

    /// Fills `scratch.values`: one value for each node of the plan.
    ///
    /// # Boundaries
    /// Only events that happened and were recorded before the as-of day are seen. An interval that had not ended by
    /// then is open, whatever its last day turned out to be.
    pub fn evaluate(&self, events: &[Event], person: &impl Attributes, as_of: Day, scratch: &mut Scratch) {
        self.evaluate_anchored(events, events, person, as_of, scratch);
    }

    /// As [`Evaluator::evaluate`], with the events among which anchors are looked for: all of the person's that can be
    /// one.
    pub fn evaluate_anchored(
        &self,
        events: &[Event],
        anchors_among: &[Event],
        person: &impl Attributes,
        as_of: Day,
        scratch: &mut Scratch,
    ) {
        self.forget(scratch);
        scratch.round += 1;
        self.place_windows(anchors_among, as_of, scratch);
        for event in events {
            let days_ago = as_of.0 - event.day;
            if days_ago <= 0 {
                break;
            }
            let concept = self.operations.concepts[event.concept as usize];
            if days_ago < concept.reach_days && event.is_known_on(as_of.0) {
                self.take(event, self.operations.of(concept), as_of, scratch);
            }
        }
        self.finish(person, as_of, scratch);
    }

    /// Puts back what the last person had otherwise than usual.
    fn forget(&self, scratch: &mut Scratch) {
        for measure in ones(&scratch.touched) {
            scratch.seen[measure] = NOTHING;
        }
        scratch.touched.fill(0);
        for node in ones(&scratch.worked_out) {
            scratch.values[node] = self.usual[node];
        }
    }

    /// The events that counted for a measure in the last evaluation, as places in the slice.
    pub fn events_behind(&self, measure: usize, events: &[Event], as_of: Day, scratch: &Scratch) -> Vec<usize> {
        let counts = |event: &Event| {
            let operations = self.operations.of(self.operations.concepts[event.concept as usize]);
            event.is_known_on(as_of.0)
                && operations.iter().any(|operation| {
                    let (first, last) = scratch.windows[operation.window as usize];
                    operation.measure as usize == measure
                        && (first..=last).contains(&event.day)
                        && (operation.amount_min..=operation.amount_max).contains(&event.amount)
                })
        };
        events.iter().enumerate().filter(|(_, event)| counts(event)).map(|(place, _)| place).collect()
    }

    /// The event that an anchor of the plan is for a person on the as-of day.
    pub fn anchor_event<'e>(&self, number: usize, events: &'e [Event], as_of: Day) -> Option<&'e Event> {
        let ended = self.plan.anchors[number].anchor.ended;
        let is_anchor = |event: &&Event| {
            event.is_known_on(as_of.0)
                && self.operations.concepts[event.concept as usize].anchors >> number & 1 == 1
                && match event.end_day() {
                    Some(end) if end < as_of.0 => ended.holds(as_of.0 - end),
                    _ => true,
                }
        };
        events.iter().rev().skip_while(|event| event.day >= as_of.0).find(is_anchor)
    }

    fn place_windows(&self, anchors_among: &[Event], as_of: Day, scratch: &mut Scratch) {
        let place = |which: usize, scratch: &mut Scratch| {
            let planned = &self.operations.windows[which];
            scratch.windows[which] = days_of(planned, scratch.anchors[planned.reference], as_of);
        };
        scratch.anchors[0] = as_of.0;
        let mut has_moved = false;
        for number in 0..self.plan.anchors.len() {
            let last = self.anchor_event(number, anchors_among, as_of);
            let day = last.map_or(NEVER, |event| event.day);
            has_moved |= std::mem::replace(&mut scratch.anchors[number + 1], day) != day;
        }
        if scratch.placed_for.replace(as_of) != Some(as_of) {
            (0..self.operations.windows.len()).for_each(|which| place(which, scratch));
        } else if has_moved {
            // Windows back from the as-of day are everybody's.
            self.anchored_windows.iter().for_each(|which| place(*which, scratch));
        }
    }

    #[inline]
    fn take(&self, event: &Event, operations: &[Operation], as_of: Day, scratch: &mut Scratch) {
        for operation in operations {
            let (first, last) = scratch.windows[operation.window as usize];
            if event.day < first || event.day > last {
                continue;
            }
            if event.amount < operation.amount_min || event.amount > operation.amount_max {
                continue;
            }
            scratch.touched[operation.measure as usize / 64] |= 1 << (operation.measure % 64);
            act(operation, event, as_of, scratch);
        }
    }

    fn finish(&self, person: &impl Attributes, as_of: Day, scratch: &mut Scratch) {
        scratch.worked_out.copy_from_slice(&self.personal);
        for measure in ones(&scratch.touched) {
            scratch.worked_out.iter_mut().zip(&self.in_nodes[measure]).for_each(|(all, of)| *all |= of);
        }
        for word in 0..scratch.worked_out.len() {
            let mut bits = scratch.worked_out[word];
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                scratch.values[place] = match &self.plan.nodes[place] {
                    Node::Measure(number) => self.measured(*number, as_of, scratch),
                    node => composed(node, &scratch.values).unwrap_or_else(|| {
                        let leaf = self.leaves[place].as_ref().expect("leaves were listed");
                        person.value_at(place, leaf, as_of)
                    }),
                };
            }
        }
    }

    fn measured(&self, number: usize, as_of: Day, scratch: &mut Scratch) -> Micro {
        let planned = &self.plan.measures[number];
        let seen = scratch.seen[number];
        let reference = scratch.anchors[planned.reference];
        if reference == NEVER {
            return nothing_seen(&planned.measure.take);
        }
        match &planned.measure.take {
            Take::Count | Take::Any | Take::Days | Take::DistinctDays | Take::Distinct { .. } | Take::Open => {
                Micro::whole(seen.sum)
            }
            Take::MaxPerMonthOfDistinct { .. } => Micro::whole(seen.sum),
            Take::Cost => in_pence(seen.sum),
            Take::WeightsOnce { .. } => Micro(seen.sum),
            Take::Sum => in_unit(planned, seen.sum),
            Take::Mean if seen.count == 0 => Micro::MISSING,
            Take::Mean => in_unit(planned, seen.sum).over(Micro::whole(seen.count.into())),
            _ if seen.last == NEVER => nothing_seen(&planned.measure.take),
            Take::Latest => in_unit(planned, seen.sum),
            Take::HighestOfLastTwo if seen.count == Event::NO_AMOUNT => Micro::MISSING,
            Take::HighestOfLastTwo => in_unit(planned, seen.sum.max(seen.count.into())),
            Take::SinceLast => Micro::whole(i64::from(reference.min(as_of.0)) - i64::from(seen.last)),
            Take::LookUp { otherwise, .. } => {
                let found = self.operations.look_ups[number][seen.sum as usize];
                scratch.look_ups[number].done += 1;
                scratch.look_ups[number].missed += u64::from(found.is_none());
                found.unwrap_or(*otherwise)
            }
            Take::Unresolved { .. } => Micro::flag(i64::from(seen.last) >= resolved_day(seen)),
            Take::LastIs { .. } => Micro::whole(seen.sum),
        }
    }
}

/// A node that is made of nodes before it; `None` for a leaf.
fn composed(node: &Node, values: &[Micro]) -> Option<Micro> {
    Some(match node {
        Node::Stepped(inner, steps) => steps.iter().fold(values[*inner], |value, step| step.apply(value)),
        Node::Product(of) => of.iter().fold(Micro::ONE, |product, &place| product.times(values[place])),
        Node::SumOf(of) => of.iter().fold(Micro::ZERO, |sum, &place| sum.plus(values[place])),
        Node::Ratio(of, over) => values[*of].over(values[*over]),
        Node::CountTrue(of) => Micro::whole(of.iter().filter(|&&place| values[place].is_true()).count() as i64),
        Node::AnyTrue(of) => Micro::flag(of.iter().any(|&place| values[place].is_true())),
        Node::AllTrue(of) => Micro::flag(of.iter().all(|&place| values[place].is_true())),
        Node::Not(of) => Micro::flag(!values[*of].is_true()),
        Node::Measure(_) | Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) => return None,
    })
}

/// The leaves of a plan's nodes that people answer, one a node.
pub fn leaves_of(plan: &Plan) -> Vec<Option<Expression>> {
    let leaf = |node: &Node| match node {
        Node::AgeYears => Some(Expression::AgeYears),
        Node::Sex(sex) => Some(Expression::Sex(*sex)),
        Node::Number(name) => Some(Expression::Number(name.clone())),
        Node::WordIn(name, words) => Some(Expression::WordIn(name.clone(), words.clone())),
        _ => None,
    };
    plan.nodes.iter().map(leaf).collect()
}

/// One bit a node: whether a leaf for which this holds is in it.
fn nodes_with(plan: &Plan, holds: impl Fn(&Node) -> bool) -> Vec<u64> {
    let mut with = vec![0u64; plan.nodes.len().div_ceil(64)];
    for (place, node) in plan.nodes.iter().enumerate() {
        let any = |of: &[usize]| of.iter().any(|&place| with[place / 64] >> (place % 64) & 1 == 1);
        let has = match node {
            Node::Product(of) | Node::SumOf(of) | Node::CountTrue(of) | Node::AnyTrue(of) | Node::AllTrue(of) => {
                any(of)
            }
            Node::Ratio(of, over) => any(&[*of, *over]),
            Node::Not(of) | Node::Stepped(of, _) => any(&[*of]),
            Node::Measure(_) | Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) => holds(node),
        };
        with[place / 64] |= u64::from(has) << (place % 64);
    }
    with
}

/// What a measure is where no event counts for it.
pub fn nothing_seen(take: &Take) -> Micro {
    match take {
        Take::Mean | Take::Latest | Take::HighestOfLastTwo | Take::SinceLast | Take::LookUp { .. } => Micro::MISSING,
        _ => Micro::ZERO,
    }
}

/// Whole pence from sevenths of a penny, halves away from zero.
pub fn in_pence(sevenths: i64) -> Micro {
    Micro::whole(crate::number::divide_rounded(sevenths.into(), 7) as i64)
}

fn in_unit(planned: &PlannedMeasure, sum: i64) -> Micro {
    if planned.amount == AmountKind::Thousandths { Micro::thousandths(sum) } else { Micro::whole(sum) }
}

/// `count` is 1 where a resolving event was seen, and `sum` is then its day.
fn resolved_day(seen: Seen) -> i64 {
    if seen.count == 0 { i64::MIN } else { seen.sum }
}

/// The first and last day of a window, back from its reference day.
fn days_of(planned: &PlannedWindow, reference: i32, as_of: Day) -> (i32, i32) {
    if reference == NEVER {
        return (0, -1);
    }
    let last = (reference - planned.window.after_days - 1).min(as_of.0 - 1);
    let first = if planned.window.up_to_days == i32::MAX { i32::MIN } else { reference - planned.window.up_to_days };
    if !planned.by_month || first == i32::MIN {
        return (first, last);
    }
    let month_after = crate::day::Month(Day(last).month().0 + 1);
    (Day(first).month().first_day().0, (month_after.first_day().0 - 1).min(as_of.0 - 1))
}

#[inline]
fn act(operation: &Operation, event: &Event, as_of: Day, scratch: &mut Scratch) {
    let seen = &mut scratch.seen[operation.measure as usize];
    match operation.act {
        Act::Count => seen.sum += 1,
        Act::Any => seen.sum = 1,
        Act::Days(window) => seen.sum += days_within(event, scratch.windows[window as usize]),
        Act::Cost(window) => seen.sum += cost_within(event, scratch.windows[window as usize]),
        Act::Sum if event.amount != Event::NO_AMOUNT => {
            seen.sum += i64::from(event.amount);
            seen.count += 1;
        }
        Act::Latest if event.amount != Event::NO_AMOUNT => {
            // Of several on one day, the largest.
            if event.day > seen.last || i64::from(event.amount) > seen.sum {
                seen.sum = event.amount.into();
            }
            seen.last = event.day;
        }
        // `sum` is the highest amount of the last day, `count` that of the day with an amount before it.
        Act::LatestTwo if event.amount != Event::NO_AMOUNT => {
            if event.day == seen.last {
                seen.sum = seen.sum.max(event.amount.into());
            } else {
                seen.count = if seen.last == NEVER { Event::NO_AMOUNT } else { seen.sum as i32 };
                (seen.last, seen.sum) = (event.day, event.amount.into());
            }
        }
        Act::Sum | Act::Latest | Act::LatestTwo => {}
        Act::Last => seen.last = event.day,
        Act::DistinctDays => {
            seen.sum += i64::from(event.day != seen.last);
            seen.last = event.day;
        }
        Act::Distinct(place) => {
            seen.sum += i64::from(stamp(&mut scratch.stamps[place as usize], scratch.round << 16));
        }
        Act::Weight(place, weight) => {
            if stamp(&mut scratch.stamps[place as usize], scratch.round << 16) {
                seen.sum += weight;
            }
        }
        Act::MaxPerMonth(place) => {
            let month = scratch.months.of(event.day).0;
            if month != seen.last {
                (seen.last, seen.count) = (month, 0);
            }
            seen.count += i32::from(stamp(&mut scratch.stamps[place as usize], scratch.round << 16 | month as u64));
            seen.sum = seen.sum.max(seen.count.into());
        }
        Act::LookUp(place) => {
            // Of several on one day, the last in code order.
            if event.day > seen.last || i64::from(place) > seen.sum {
                seen.sum = place.into();
            }
            seen.last = event.day;
        }
        Act::Resolved => (seen.sum, seen.count) = (event.day.into(), 1),
        Act::LastIs(also) => {
            seen.sum = i64::from(also || (event.day == seen.last && seen.sum == 1));
            seen.last = event.day;
        }
        Act::Open => {
            if event.end_day().is_none_or(|end| end > as_of.0) {
                seen.sum = 1;
            }
        }
    }
}

/// Whether this is the first time this round.
fn stamp(known: &mut u64, round: u64) -> bool {
    let is_first = *known != round;
    *known = round;
    is_first
}

/// Days of the interval from its first day up to before its end, that lie in the window.
/// What an interval costs between two days, both included, in sevenths of a penny.
fn cost_within(event: &Event, (first, last): (i32, i32)) -> i64 {
    match i64::from(event.amount) {
        _ if event.amount == Event::NO_AMOUNT => 0,
        once if once < 0 => -7 * once * i64::from((first..=last).contains(&event.day)),
        weekly => weekly * days_within(event, (first, last)),
    }
}

fn days_within(event: &Event, (first, last): (i32, i32)) -> i64 {
    let end = event.end_day().unwrap_or(i32::MAX);
    (i64::from(end.min(last.saturating_add(1))) - i64::from(event.day.max(first))).max(0)
}
