//! The values of one person at one as-of day after another, from the slice of the timeline.
//!
//! Each event is looked at once: its concept and age lead to a short list of operations, each of which adds to one
//! accumulator. From one as-of day to a later one windows move: only events that do something else by then are looked
//! at again, and what they did before is taken back. Measures that hang on more than on which events count are worked
//! out anew. The scratch is made once a thread and reused.
//!
//! Most measures see nothing of most people. What all values are then is worked out once for each age in years and sex;
//! for each person only those values are worked out that follow from a measure that saw an event, or from what else is
//! known of the person.

mod act;
mod follow;
mod nodes;

use crate::day::{Day, Month, Months};
use crate::event::Event;
use crate::model::{Expression, Step, Take};
use crate::number::Micro;

use super::Attributes;
use super::plan::{LookedUp, Node, Operations, Plan, PlannedWindow, set_bit};
use follow::Aged;
use nodes::{Instruction, Read, Reading, instructions, nodes_with, profile_of};
pub use nodes::{in_pence, leaves_of, nothing_seen};

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
/// A window without a day.
const NO_DAYS: (i32, i32) = (0, -1);

/// An as-of day, and what is the same of it for everybody.
#[derive(Debug, Clone)]
pub struct Moment {
    pub as_of: Day,
    month: Month,
    /// First and last day of each window of the operations; of one that counts back from an anchor, no day.
    windows: Vec<(i32, i32)>,
    look_ups: LookedUp,
    /// Where looking up is counted, among the moments of a scratch.
    number: usize,
}

/// What a thread needs to evaluate people one after another.
pub struct Scratch {
    seen: Vec<Seen>,
    /// One bit a measure: whether it saw an event.
    touched: Vec<u64>,
    /// One bit a measure: whether it may be another than on the as-of day before.
    moved: Vec<u64>,
    /// The same of those that are to be worked out anew.
    again: Vec<u64>,
    /// One bit a node: whether it has to be worked out for this person.
    open: Vec<u64>,
    /// The profile of the last person.
    profile: usize,
    /// One a node: what the profile has.
    of_profile: Vec<Micro>,
    /// One bit a node: whether it is otherwise with the last person than the profile has it.
    differs: Vec<u64>,
    /// Nodes that became otherwise than the profile has them since the as-of day before, or no longer are.
    flipped: Vec<u32>,
    /// Whether the person has another profile than on the as-of day before, or is looked at for the first time.
    is_new: bool,
    /// By the number of a model, modulo 64: whether a node of it is another than on the as-of day before.
    moved_models: u64,
    /// Of events that are followed from day to day: where each stands.
    aged: Vec<Aged>,
    /// By code or category: how many of the person's events count for it now, and those that some did.
    held: Vec<u32>,
    held_places: Vec<u32>,
    stamps: Vec<u64>,
    round: u64,
    /// The round in which months were begun to be counted.
    months_round: u64,
    /// Of each measure that counts by month: how many different codes each month has.
    months_of: Vec<Vec<(i32, i32)>>,
    /// Whether a code came to be known in a month before one in which it was counted, so that months are counted anew.
    is_disordered: bool,
    /// First and last day of each window of the operations.
    windows: Vec<(i32, i32)>,
    /// The as-of day, then the day of each anchor.
    anchors: Vec<i32>,
    /// One bit an anchor.
    all_anchors: u32,
    months: &'static Months,
    /// One a node of the plan.
    pub values: Vec<Micro>,
    /// By moment and then measure of the plan.
    look_ups: Vec<LookUps>,
    /// That of the last as-of day which came without one.
    moment: Option<Moment>,
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
        ones(&self.differs)
    }

    /// Whether the last person is looked at for the first time, or has another profile than on the as-of day before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Of whoever is not new: the nodes that became otherwise than the profile has them, and those that no longer are.
    pub fn flipped(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        let differs = |node: usize| self.differs[node / 64] >> (node % 64) & 1 == 1;
        self.flipped.iter().map(move |&node| (node as usize, differs(node as usize)))
    }

    /// Whether a value of this model may be another than on the person's as-of day before.
    pub fn has_moved(&self, model: usize) -> bool {
        self.moved_models >> (model % u64::BITS as usize) & 1 == 1
    }

    pub fn has_any_moved(&self) -> bool {
        self.moved_models != 0
    }

    fn mark_as_new(&mut self) {
        self.moved_models = u64::MAX;
        self.is_new = true;
        self.flipped.clear();
    }

    /// The counts of each moment since they were last taken.
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
    /// One bit a measure: whether it is worked out anew on each as-of day; whether it is read anew, since it hangs on the
    /// day or on the day's tables.
    restless: Vec<u64>,
    read_anew: Vec<u64>,
    /// The measures that count by month.
    by_month: Vec<usize>,
    /// By node: the models of which it is a term or a requirement, one bit each, modulo 64.
    in_models: Vec<u64>,
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
        let mut in_models = vec![0; plan.nodes.len()];
        for (number, model) in plan.models.iter().enumerate() {
            let nodes = model.terms.iter().chain(&model.requires);
            nodes.for_each(|&node| in_models[node] |= 1 << (number % u64::BITS as usize));
        }
        let mut restless = vec![0; plan.measures.len().div_ceil(64)];
        for operation in operations.all().iter().filter(|operation| operation.is_restless()) {
            set_bit(&mut restless, usize::from(operation.measure));
        }
        let mut read_anew = vec![0; plan.measures.len().div_ceil(64)];
        for (number, planned) in plan.measures.iter().enumerate() {
            if planned.is_by_month() || matches!(planned.measure.take, Take::SinceLast | Take::LookUp { .. }) {
                set_bit(&mut read_anew, number);
            }
        }
        let (instructions, operands, steps) = instructions(plan);
        let by_month: Vec<usize> =
            (0..plan.measures.len()).filter(|&number| plan.measures[number].is_by_month()).collect();
        let mut readings: Vec<Reading> = plan.measures.iter().map(Reading::new).collect();
        for (slot, &measure) in by_month.iter().enumerate() {
            readings[measure].read = Read::MaxOfMonths(slot as u32);
        }
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
            restless,
            read_anew,
            by_month,
            in_models,
        };
        (evaluator.usual, evaluator.profiles) = evaluator.all_profiles();
        evaluator
    }

    pub fn scratch(&self) -> Scratch {
        self.scratch_for(1)
    }

    /// A scratch that counts look-ups at so many moments.
    pub fn scratch_for(&self, moments: usize) -> Scratch {
        let words_of_nodes = self.plan.nodes.len().div_ceil(64);
        let words_of_measures = self.plan.measures.len().div_ceil(64);
        Scratch {
            seen: vec![NOTHING; self.plan.measures.len()],
            touched: vec![0; words_of_measures],
            moved: vec![0; words_of_measures],
            again: vec![0; words_of_measures],
            open: vec![0; words_of_nodes],
            profile: self.profiles.len(),
            of_profile: self.usual.clone(),
            differs: vec![0; words_of_nodes],
            flipped: Vec::new(),
            is_new: true,
            moved_models: 0,
            aged: Vec::new(),
            held: vec![0; self.operations.stamps],
            held_places: Vec::new(),
            stamps: vec![0; self.operations.stamps],
            round: 0,
            months_round: 0,
            months_of: vec![Vec::new(); self.by_month.len()],
            is_disordered: false,
            windows: vec![NO_DAYS; self.operations.windows.len()],
            anchors: vec![NEVER; self.plan.anchors.len() + 1],
            all_anchors: (0..self.plan.anchors.len()).fold(0, |bits, number| bits | 1 << number),
            months: Months::shared(),
            values: self.usual.clone(),
            look_ups: vec![LookUps::default(); moments * self.plan.measures.len()],
            moment: None,
        }
    }

    /// What is the same for everybody at an as-of day, with the tables that the operations were made with.
    pub fn moment(&self, as_of: Day) -> Moment {
        self.moment_with(as_of, self.operations.look_ups.clone(), 0)
    }

    /// The moment with this number, with tables of its own.
    pub fn moment_with(&self, as_of: Day, look_ups: LookedUp, number: usize) -> Moment {
        let days = |planned: &PlannedWindow| match planned.reference {
            0 => days_of(planned, as_of.0, as_of),
            _ => NO_DAYS,
        };
        let windows = self.operations.windows.iter().map(days).collect();
        Moment { as_of, month: as_of.month(), windows, look_ups, number }
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
        let moment = scratch.moment.take().filter(|moment| moment.as_of == as_of);
        let moment = moment.unwrap_or_else(|| self.moment(as_of));
        self.begin::<false>(events, anchors_among, person, &moment, scratch);
        scratch.moment = Some(moment);
    }

    /// As [`Evaluator::evaluate_anchored`]; where the person is `FOLLOWED`, later as-of days may come after this one.
    pub fn begin<const FOLLOWED: bool>(
        &self,
        events: &[Event],
        anchors_among: &[Event],
        person: &impl Attributes,
        moment: &Moment,
        scratch: &mut Scratch,
    ) {
        self.forget(scratch);
        self.take_profile(person, moment, scratch);
        scratch.round += 1;
        scratch.months_round = scratch.round;
        self.place_windows(anchors_among, moment, scratch);
        let as_of = moment.as_of;
        let mut place = 0;
        for (age, after) in self.operations.ages.iter().enumerate().rev() {
            let last_day = as_of.0.saturating_sub(*after) - 1;
            while let Some(event) = events.get(place).filter(|event| event.day <= last_day) {
                place += 1;
                let operations = self.operations.of(event.concept, age);
                let is_known = event.is_known_on(as_of.0);
                if FOLLOWED {
                    scratch.aged.push(if is_known { self.aged(event, age) } else { Aged::not_yet(event) });
                }
                if !operations.is_empty() && is_known {
                    self.take(event, operations, as_of, scratch);
                }
            }
        }
        if FOLLOWED {
            scratch.aged.extend(events[place..].iter().map(Aged::not_yet));
        }
        self.open_all(scratch);
        self.finish(person, moment, scratch);
        scratch.mark_as_new();
    }

    /// Puts back what the last person had otherwise than the profile.
    fn forget(&self, scratch: &mut Scratch) {
        for measure in ones(&scratch.touched) {
            scratch.seen[measure] = NOTHING;
        }
        scratch.touched.fill(0);
        for place in scratch.held_places.drain(..) {
            scratch.held[place as usize] = 0;
        }
        scratch.aged.clear();
        scratch.months_of.iter_mut().for_each(Vec::clear);
        scratch.is_disordered = false;
        self.forget_nodes(scratch);
    }

    fn forget_nodes(&self, scratch: &mut Scratch) {
        for node in ones(&scratch.differs) {
            scratch.values[node] = scratch.of_profile[node];
        }
        scratch.differs.fill(0);
    }

    /// The profile of a person; `None` where there is none for somebody so old, or not born.
    fn profile(&self, person: &impl Attributes, moment: &Moment) -> Option<usize> {
        profile_of(person.birth().map(|birth| birth.age_years_in(moment.month)), person.sex())
    }

    /// Puts the values of the person's profile in the place of those of the last person's.
    fn take_profile(&self, person: &impl Attributes, moment: &Moment, scratch: &mut Scratch) {
        let profile = self.profile(person, moment).unwrap_or(self.profiles.len());
        let last = std::mem::replace(&mut scratch.profile, profile);
        if last != profile {
            let mut put = |node: u32, value: Micro| {
                scratch.values[node as usize] = value;
                scratch.of_profile[node as usize] = value;
            };
            let of_last = self.profiles.get(last).into_iter().flatten();
            of_last.for_each(|(node, _)| put(*node, self.usual[*node as usize]));
            self.profiles.get(profile).into_iter().flatten().for_each(|(node, value)| put(*node, *value));
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

    fn place_windows(&self, anchors_among: &[Event], moment: &Moment, scratch: &mut Scratch) {
        scratch.anchors[0] = moment.as_of.0;
        scratch.windows.copy_from_slice(&moment.windows);
        if self.find_anchors(anchors_among, moment.as_of, scratch) {
            for &which in &self.anchored_windows {
                let planned = &self.operations.windows[which];
                scratch.windows[which] = days_of(planned, scratch.anchors[planned.reference], moment.as_of);
            }
        }
    }

    /// The days of the person's anchors; whether there is any.
    fn find_anchors(&self, among: &[Event], as_of: Day, scratch: &mut Scratch) -> bool {
        let mut to_find = scratch.all_anchors;
        scratch.anchors[1..].fill(NEVER);
        for event in among.iter().rev() {
            if to_find == 0 {
                break;
            }
            let found = self.anchors_of(event, as_of, to_find);
            to_find &= !found;
            for number in ones(&[found.into()]) {
                scratch.anchors[number + 1] = event.day;
            }
        }
        to_find != scratch.all_anchors
    }
}

/// The first and last day of a window, back from its reference day.
fn days_of(planned: &PlannedWindow, reference: i32, as_of: Day) -> (i32, i32) {
    if reference == NEVER {
        return NO_DAYS;
    }
    let last = (reference - planned.window.after_days - 1).min(as_of.0 - 1);
    let first = if planned.window.up_to_days == i32::MAX { i32::MIN } else { reference - planned.window.up_to_days };
    if !planned.by_month || first == i32::MIN {
        return (first, last);
    }
    let month_after = crate::day::Month(Day(last).month().0 + 1);
    (Day(first).month().first_day().0, (month_after.first_day().0 - 1).min(as_of.0 - 1))
}
