//! The values of one person at one as-of day, from the slice of the timeline.
//!
//! Each event is looked at once: its concept and age lead to a short list of operations, each of which adds to one
//! accumulator. The scratch is made once a thread and reused.
//!
//! Most measures see nothing of most people. What all values are then is worked out once for each age in years and sex;
//! for each person only those values are worked out that follow from a measure that saw an event, or from what else is
//! known of the person.

use crate::day::{Day, Months};
use crate::event::{AmountKind, Event};
use crate::model::{Expression, Sex, Step, Take};
use crate::number::Micro;

use super::Attributes;
use super::plan::{Act, Node, Operation, Operations, Plan, PlannedMeasure, PlannedWindow};

/// Values of nodes that are otherwise than usual.
type Otherwise = Vec<(u32, Micro)>;

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
    /// One bit a node: whether it has to be worked out for this person.
    open: Vec<u64>,
    /// The profile of the last person.
    profile: usize,
    /// The nodes of the last person that are otherwise than the profile has them, with what that is.
    changed: Otherwise,
    stamps: Vec<u64>,
    round: u64,
    /// First and last day of each window of the operations.
    windows: Vec<(i32, i32)>,
    /// The as-of day that the windows back from it stand for.
    placed_for: Option<Day>,
    /// The as-of day, then the day of each anchor.
    anchors: Vec<i32>,
    /// One bit an anchor.
    all_anchors: u32,
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
    /// The last person's profile, a place in [`Evaluator::profiles`] or none there.
    pub fn profile(&self) -> usize {
        self.profile
    }

    /// The nodes of the last person that are otherwise than the profile has them.
    pub fn changed(&self) -> impl Iterator<Item = usize> + '_ {
        self.changed.iter().map(|(node, _)| *node as usize)
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
    /// One a node of the plan.
    instructions: Vec<Instruction>,
    /// Nodes and steps that instructions name a stretch of.
    operands: Vec<u32>,
    steps: Vec<Step>,
    /// One a measure of the plan.
    readings: Vec<Reading>,
    /// One a node: what it is for most profiles.
    pub usual: Vec<Micro>,
    /// By age in years and sex: which nodes are otherwise than usual where no measure saw an event and nothing else is
    /// known of the person.
    pub profiles: Vec<Otherwise>,
    /// One bit a node: whether something that is known of a person besides events is in it.
    personal: Vec<u64>,
    /// The same, besides events, age and sex.
    beyond_profile: Vec<u64>,
    /// Words of bits that say which nodes a measure is in, one measure's after another's.
    in_nodes: Vec<u64>,
    /// The windows that count back from an anchor.
    anchored_windows: Vec<usize>,
}

/// Profiles have an age of 0 to this many years, or none.
const PROFILE_YEARS: i32 = 119;
/// In the order in which profiles have them.
const SEXES: [Option<Sex>; 3] = [None, Some(Sex::Female), Some(Sex::Male)];

/// The place of a profile; `None` where somebody is too old for one or not born.
fn profile_of(age_years: Option<i32>, sex: Option<Sex>) -> Option<usize> {
    let age = match age_years {
        None => 0,
        Some(years) if (0..=PROFILE_YEARS).contains(&years) => years as usize + 1,
        Some(_) => return None,
    };
    let sex = match sex {
        None => 0,
        Some(Sex::Female) => 1,
        Some(Sex::Male) => 2,
    };
    Some(age * SEXES.len() + sex)
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
        let beyond_profile = nodes_with(plan, |node| matches!(node, Node::Number(_) | Node::WordIn(..)));
        let in_nodes =
            (0..plan.measures.len()).flat_map(|number| nodes_with(plan, |node| *node == Node::Measure(number)));
        let windows = operations.windows.iter().enumerate();
        let anchored_windows = windows.filter(|(_, planned)| planned.reference > 0).map(|(which, _)| which).collect();
        let in_nodes = in_nodes.collect();
        let (instructions, operands, steps) = instructions(plan);
        let readings = plan.measures.iter().map(Reading::new).collect();
        let (usual, profiles) = (Vec::new(), Vec::new());
        let mut evaluator = Evaluator {
            plan,
            operations,
            leaves,
            instructions,
            operands,
            steps,
            readings,
            usual,
            profiles,
            personal,
            beyond_profile,
            in_nodes,
            anchored_windows,
        };
        (evaluator.usual, evaluator.profiles) = evaluator.all_profiles();
        evaluator
    }

    pub fn scratch(&self) -> Scratch {
        Scratch {
            seen: vec![NOTHING; self.plan.measures.len()],
            touched: vec![0; self.plan.measures.len().div_ceil(64)],
            open: vec![0; self.plan.nodes.len().div_ceil(64)],
            profile: self.profiles.len(),
            changed: Vec::new(),
            stamps: vec![0; self.operations.stamps],
            round: 0,
            windows: vec![(0, -1); self.operations.windows.len()],
            placed_for: None,
            anchors: vec![NEVER; self.plan.anchors.len() + 1],
            all_anchors: (0..self.plan.anchors.len()).fold(0, |bits, number| bits | 1 << number),
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
        self.take_profile(person, as_of, scratch);
        scratch.round += 1;
        self.place_windows(anchors_among, as_of, scratch);
        let mut place = 0;
        for (age, after) in self.operations.ages.iter().enumerate().rev() {
            let last_day = as_of.0.saturating_sub(*after) - 1;
            while let Some(event) = events.get(place).filter(|event| event.day <= last_day) {
                place += 1;
                let operations = self.operations.of(event.concept, age);
                if !operations.is_empty() && event.is_known_on(as_of.0) {
                    self.take(event, operations, as_of, scratch);
                }
            }
        }
        self.finish(person, as_of, scratch);
    }

    /// Puts back what the last person had otherwise than the profile.
    fn forget(&self, scratch: &mut Scratch) {
        for measure in ones(&scratch.touched) {
            scratch.seen[measure] = NOTHING;
        }
        scratch.touched.fill(0);
        for (node, of_profile) in scratch.changed.drain(..) {
            scratch.values[node as usize] = of_profile;
        }
    }

    /// Puts the values of the person's profile in the place of those of the last person's.
    fn take_profile(&self, person: &impl Attributes, as_of: Day, scratch: &mut Scratch) {
        let month = scratch.months.of(as_of.0);
        let age_years = person.birth().map(|birth| birth.age_years_in(month));
        let profile = profile_of(age_years, person.sex()).unwrap_or(self.profiles.len());
        let last = std::mem::replace(&mut scratch.profile, profile);
        if last != profile {
            for (node, _) in self.profiles.get(last).into_iter().flatten() {
                scratch.values[*node as usize] = self.usual[*node as usize];
            }
            for (node, value) in self.profiles.get(profile).into_iter().flatten() {
                scratch.values[*node as usize] = *value;
            }
        }
    }

    /// The events that counted for a measure in the last evaluation, as places in the slice.
    pub fn events_behind(&self, measure: usize, events: &[Event], as_of: Day, scratch: &Scratch) -> Vec<usize> {
        let counts = |event: &Event| {
            let age = self.operations.age_of(as_of.0 - event.day).filter(|_| event.is_known_on(as_of.0));
            let mut operations = age.into_iter().flat_map(|age| self.operations.of(event.concept, age));
            operations.any(|operation| {
                operation.measure as usize == measure && self.is_asked_for(event, operation, &scratch.windows)
            })
        };
        events.iter().enumerate().filter(|(_, event)| counts(event)).map(|(place, _)| place).collect()
    }

    /// The event that an anchor of the plan is for a person on the as-of day.
    pub fn anchor_event<'e>(&self, number: usize, events: &'e [Event], as_of: Day) -> Option<&'e Event> {
        events.iter().rev().find(|event| self.anchors_of(event, as_of, 1 << number) != 0)
    }

    /// Those of some anchors, one bit each, that an event can be on the as-of day.
    fn anchors_of(&self, event: &Event, as_of: Day, among: u32) -> u32 {
        let can_be = self.operations.anchors[event.concept as usize] & among;
        if can_be == 0 || !event.is_known_on(as_of.0) {
            return 0;
        }
        match event.end_day() {
            Some(end) if end < as_of.0 => {
                let holds = |number: &usize| self.plan.anchors[*number].anchor.ended.holds(as_of.0 - end);
                ones(&[can_be.into()]).filter(holds).fold(0, |bits, number| bits | 1 << number)
            }
            _ => can_be,
        }
    }

    fn place_windows(&self, anchors_among: &[Event], as_of: Day, scratch: &mut Scratch) {
        let has_moved = self.find_anchors(anchors_among, as_of, scratch);
        let place = |which: usize, scratch: &mut Scratch| {
            let planned = &self.operations.windows[which];
            scratch.windows[which] = days_of(planned, scratch.anchors[planned.reference], as_of);
        };
        if scratch.placed_for.replace(as_of) != Some(as_of) {
            scratch.anchors[0] = as_of.0;
            (0..self.operations.windows.len()).for_each(|which| place(which, scratch));
        } else if has_moved {
            // Windows back from the as-of day are everybody's.
            self.anchored_windows.iter().for_each(|which| place(*which, scratch));
        }
    }

    /// The days of the person's anchors; whether one is another than the last person's.
    fn find_anchors(&self, among: &[Event], as_of: Day, scratch: &mut Scratch) -> bool {
        let mut has_moved = false;
        let mut to_find = scratch.all_anchors;
        for event in among.iter().rev() {
            if to_find == 0 {
                break;
            }
            let found = self.anchors_of(event, as_of, to_find);
            to_find &= !found;
            for number in ones(&[found.into()]) {
                has_moved |= std::mem::replace(&mut scratch.anchors[number + 1], event.day) != event.day;
            }
        }
        for number in ones(&[to_find.into()]) {
            has_moved |= std::mem::replace(&mut scratch.anchors[number + 1], NEVER) != NEVER;
        }
        has_moved
    }

    #[inline]
    fn take(&self, event: &Event, operations: &[Operation], as_of: Day, scratch: &mut Scratch) {
        for operation in operations {
            if operation.asks != 0 && !self.is_asked_for(event, operation, &scratch.windows) {
                continue;
            }
            scratch.touched[operation.measure as usize / 64] |= 1 << (operation.measure % 64);
            self.act(operation, event, as_of, scratch);
        }
    }

    /// Whether an event has the amount and the day that an operation asks for.
    #[inline]
    fn is_asked_for(&self, event: &Event, operation: &Operation, windows: &[(i32, i32)]) -> bool {
        let measure = operation.measure as usize;
        let (min, max) = self.operations.amounts[measure];
        let (first, last) = windows[self.operations.window_of[measure] as usize];
        (operation.asks & Operation::AMOUNT == 0 || (min..=max).contains(&event.amount))
            && (operation.asks & Operation::WINDOW == 0 || (first..=last).contains(&event.day))
    }

    #[inline]
    fn act(&self, operation: &Operation, event: &Event, as_of: Day, scratch: &mut Scratch) {
        let (measure, place) = (operation.measure as usize, operation.place as usize);
        let seen = &mut scratch.seen[measure];
        match operation.act {
            Act::Count => seen.sum += 1,
            Act::Any => seen.sum = 1,
            Act::Days => seen.sum += days_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
            Act::Cost => seen.sum += cost_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
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
            Act::Distinct => {
                seen.sum += i64::from(stamp(&mut scratch.stamps[place], scratch.round << 16));
            }
            Act::Weight => {
                if stamp(&mut scratch.stamps[place], scratch.round << 16) {
                    seen.sum += self.operations.weights[place];
                }
            }
            Act::MaxPerMonth => {
                let month = scratch.months.of(event.day).0;
                if month != seen.last {
                    (seen.last, seen.count) = (month, 0);
                }
                seen.count += i32::from(stamp(&mut scratch.stamps[place], scratch.round << 16 | month as u64));
                seen.sum = seen.sum.max(seen.count.into());
            }
            Act::LookUp => {
                // Of several on one day, the last in code order.
                if event.day > seen.last || i64::from(operation.place) > seen.sum {
                    seen.sum = operation.place.into();
                }
                seen.last = event.day;
            }
            Act::Resolved => (seen.sum, seen.count) = (event.day.into(), 1),
            Act::LastIs | Act::LastIsNot => {
                let is_one = operation.act == Act::LastIs;
                seen.sum = i64::from(is_one || (event.day == seen.last && seen.sum == 1));
                seen.last = event.day;
            }
            Act::Open => {
                if event.end_day().is_none_or(|end| end > as_of.0) {
                    seen.sum = 1;
                }
            }
        }
    }

    fn finish(&self, person: &impl Attributes, as_of: Day, scratch: &mut Scratch) {
        let has_profile = scratch.profile < self.profiles.len();
        let Scratch { open, touched, .. } = scratch;
        open.copy_from_slice(if has_profile { &self.beyond_profile } else { &self.personal });
        let words = open.len();
        for measure in ones(touched) {
            let in_nodes = &self.in_nodes[measure * words..(measure + 1) * words];
            open.iter_mut().zip(in_nodes).for_each(|(all, of)| *all |= of);
        }
        for word in 0..words {
            let mut bits = scratch.open[word];
            while bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let value = match self.instructions[place] {
                    Instruction::Read(measure) => self.measured(measure as usize, as_of, scratch),
                    Instruction::Ask => {
                        let leaf = self.leaves[place].as_ref().expect("leaves were listed");
                        person.value_at(place, leaf, as_of)
                    }
                    instruction => self.composed(instruction, &scratch.values),
                };
                let of_profile = std::mem::replace(&mut scratch.values[place], value);
                if of_profile != value {
                    scratch.changed.push((place as u32, of_profile));
                }
            }
        }
    }

    fn measured(&self, number: usize, as_of: Day, scratch: &mut Scratch) -> Micro {
        let Reading { reference, unit, nothing, read } = self.readings[number];
        let seen = scratch.seen[number];
        let reference = scratch.anchors[reference as usize];
        if reference == NEVER {
            return nothing;
        }
        match read {
            Read::Sum => Micro(seen.sum * unit),
            Read::Pence => in_pence(seen.sum),
            Read::Mean if seen.count == 0 => nothing,
            Read::Mean => Micro(seen.sum * unit).over(Micro::whole(seen.count.into())),
            _ if seen.last == NEVER => nothing,
            Read::Latest => Micro(seen.sum * unit),
            Read::HighestOfLastTwo if seen.count == Event::NO_AMOUNT => nothing,
            Read::HighestOfLastTwo => Micro(seen.sum.max(seen.count.into()) * unit),
            Read::SinceLast => Micro::whole(i64::from(reference.min(as_of.0)) - i64::from(seen.last)),
            Read::LookUp(otherwise) => {
                let found = self.operations.look_ups[number][seen.sum as usize];
                scratch.look_ups[number].done += 1;
                scratch.look_ups[number].missed += u64::from(found.is_none());
                found.unwrap_or(otherwise)
            }
            Read::Unresolved => Micro::flag(i64::from(seen.last) >= resolved_day(seen)),
        }
    }

    /// What is made of nodes before it.
    #[inline]
    fn composed(&self, instruction: Instruction, values: &[Micro]) -> Micro {
        let of = |Stretch { first, end }: Stretch| {
            self.operands[first as usize..end as usize].iter().map(|&place| values[place as usize])
        };
        match instruction {
            Instruction::Within(inner, min, max) => Step::Within(min, max).apply(values[inner as usize]),
            Instruction::Stepped(inner, Stretch { first, end }) => {
                let steps = &self.steps[first as usize..end as usize];
                steps.iter().fold(values[inner as usize], |value, step| step.apply(value))
            }
            Instruction::Product(nodes) => of(nodes).fold(Micro::ONE, Micro::times),
            Instruction::SumOf(nodes) => of(nodes).fold(Micro::ZERO, Micro::plus),
            Instruction::Ratio(one, other) => values[one as usize].over(values[other as usize]),
            Instruction::CountTrue(nodes) => Micro::whole(of(nodes).filter(|value| value.is_true()).count() as i64),
            Instruction::AnyTrue(nodes) => Micro::flag(of(nodes).any(Micro::is_true)),
            Instruction::AllTrue(nodes) => Micro::flag(of(nodes).all(Micro::is_true)),
            Instruction::Not(inner) => Micro::flag(!values[inner as usize].is_true()),
            Instruction::Read(_) | Instruction::Ask => unreachable!("a leaf is made of no nodes"),
        }
    }

    /// What nodes are for most profiles, and which are otherwise for each, where no measure saw an event.
    fn all_profiles(&self) -> (Vec<Micro>, Vec<Otherwise>) {
        let ages = std::iter::once(None).chain((0..=PROFILE_YEARS).map(Some));
        let all = ages.flat_map(|age_years| SEXES.map(|sex| (age_years, sex)));
        let of_nobody =
            self.with_profile(0..self.instructions.len(), vec![Micro::MISSING; self.instructions.len()], (None, None));
        let values_of = |profile| self.with_profile(ones(&self.personal), of_nobody.clone(), profile);
        let of_profiles: Vec<Vec<Micro>> = all.map(values_of).collect();
        let mut usual = of_profiles[0].clone();
        for node in ones(&self.personal) {
            let mut values: Vec<Micro> = of_profiles.iter().map(|values| values[node]).collect();
            values.sort_unstable();
            let most = values.chunk_by(|one, two| one == two).max_by_key(|alike| alike.len());
            usual[node] = most.expect("there are profiles")[0];
        }
        let otherwise = |values: &Vec<Micro>| {
            let differing = ones(&self.personal).filter(|&node| values[node] != usual[node]);
            differing.map(|node| (node as u32, values[node])).collect()
        };
        let otherwise = of_profiles.iter().map(otherwise).collect();
        (usual, otherwise)
    }

    /// Values of which these nodes are worked out, in order, for a profile and no event.
    fn with_profile(
        &self,
        nodes: impl Iterator<Item = usize>,
        mut values: Vec<Micro>,
        (age_years, sex): (Option<i32>, Option<Sex>),
    ) -> Vec<Micro> {
        for place in nodes {
            values[place] = match (self.instructions[place], &self.leaves[place]) {
                (Instruction::Read(measure), _) => self.readings[measure as usize].nothing,
                (Instruction::Ask, Some(Expression::AgeYears)) => {
                    age_years.map_or(Micro::MISSING, |years| Micro::whole(years.into()))
                }
                (Instruction::Ask, Some(Expression::Sex(of))) => {
                    sex.map_or(Micro::MISSING, |sex| Micro::flag(sex == *of))
                }
                (Instruction::Ask, _) => Micro::MISSING,
                (instruction, _) => self.composed(instruction, &values),
            };
        }
        values
    }
}

/// How the value of a node follows from what was seen or from nodes before it.
#[derive(Debug, Clone, Copy)]
enum Instruction {
    /// The value of this measure.
    Read(u32),
    /// What is known of the person besides events.
    Ask,
    /// A single step of this kind, which most steps are.
    Within(u32, Micro, Micro),
    Stepped(u32, Stretch),
    Product(Stretch),
    SumOf(Stretch),
    Ratio(u32, u32),
    CountTrue(Stretch),
    AnyTrue(Stretch),
    AllTrue(Stretch),
    Not(u32),
}

/// A stretch of the operands or of the steps of all instructions.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: u32,
    end: u32,
}

/// The nodes of a plan as instructions, with the operands and the steps of all, each in one place.
fn instructions(plan: &Plan) -> (Vec<Instruction>, Vec<u32>, Vec<Step>) {
    let (mut operands, mut all_steps) = (Vec::new(), Vec::new());
    let instruction = |node: &Node| {
        let mut stretch = |of: &[usize]| {
            let first = operands.len() as u32;
            operands.extend(of.iter().map(|&place| place as u32));
            Stretch { first, end: operands.len() as u32 }
        };
        match node {
            Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) => Instruction::Ask,
            Node::Measure(number) => Instruction::Read(*number as u32),
            Node::Product(of) => Instruction::Product(stretch(of)),
            Node::SumOf(of) => Instruction::SumOf(stretch(of)),
            Node::Ratio(of, over) => Instruction::Ratio(*of as u32, *over as u32),
            Node::CountTrue(of) => Instruction::CountTrue(stretch(of)),
            Node::AnyTrue(of) => Instruction::AnyTrue(stretch(of)),
            Node::AllTrue(of) => Instruction::AllTrue(stretch(of)),
            Node::Not(of) => Instruction::Not(*of as u32),
            Node::Stepped(of, steps) => match steps[..] {
                [Step::Within(min, max)] => Instruction::Within(*of as u32, min, max),
                _ => {
                    let first = all_steps.len() as u32;
                    all_steps.extend_from_slice(steps);
                    Instruction::Stepped(*of as u32, Stretch { first, end: all_steps.len() as u32 })
                }
            },
        }
    };
    let instructions = plan.nodes.iter().map(instruction).collect();
    (instructions, operands, all_steps)
}

/// How a measure is read off what was seen of it.
#[derive(Debug, Clone, Copy)]
struct Reading {
    reference: u32,
    read: Read,
    /// Millionths for each unit of the sum.
    unit: i64,
    /// What it is where no event counts for it.
    nothing: Micro,
}

#[derive(Debug, Clone, Copy)]
enum Read {
    Sum,
    Pence,
    Mean,
    Latest,
    HighestOfLastTwo,
    SinceLast,
    /// With the value of a code that the table lacks.
    LookUp(Micro),
    Unresolved,
}

impl Reading {
    fn new(planned: &PlannedMeasure) -> Reading {
        let of_amount = if planned.amount == AmountKind::Thousandths { Micro::thousandths(1) } else { Micro::ONE };
        let (read, unit) = match &planned.measure.take {
            Take::Count | Take::Any | Take::Days | Take::DistinctDays | Take::Distinct { .. } | Take::Open => {
                (Read::Sum, Micro::ONE)
            }
            Take::MaxPerMonthOfDistinct { .. } => (Read::Sum, Micro::ONE),
            // Of these nothing seen is none, so that the last day says no more.
            Take::LastIs { .. } => (Read::Sum, Micro::ONE),
            Take::WeightsOnce { .. } => (Read::Sum, Micro(1)),
            Take::Sum => (Read::Sum, of_amount),
            Take::Cost => (Read::Pence, Micro::ONE),
            Take::Mean => (Read::Mean, of_amount),
            Take::Latest => (Read::Latest, of_amount),
            Take::HighestOfLastTwo => (Read::HighestOfLastTwo, of_amount),
            Take::SinceLast => (Read::SinceLast, Micro::ONE),
            Take::LookUp { otherwise, .. } => (Read::LookUp(*otherwise), Micro::ONE),
            Take::Unresolved { .. } => (Read::Unresolved, Micro::ONE),
        };
        let nothing = nothing_seen(&planned.measure.take);
        Reading { reference: planned.reference as u32, read, unit: unit.0, nothing }
    }
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
