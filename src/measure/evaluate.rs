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

use crate::day::{Day, Month, Months};
use crate::event::{AmountKind, Event};
use crate::model::{Expression, Sex, Step, Take};
use crate::number::Micro;

use super::Attributes;
use super::plan::{Act, LookedUp, Node, Operation, Operations, Plan, PlannedMeasure, PlannedWindow, has_bit, set_bit};

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

/// Where an event of the person at hand stands at the last as-of day.
#[derive(Debug, Clone, Copy)]
struct Aged {
    /// The first later as-of day on which it does something else.
    until: i32,
    /// [`NOT_YET`] of what had not happened or was not known.
    age: u16,
    /// Whether it counts for a measure that is worked out anew, and for one for which that is done on each day.
    is_anew: bool,
    is_restless: bool,
}

const NOT_YET: u16 = u16::MAX;

impl Aged {
    fn not_yet(event: &Event) -> Aged {
        let until = event.day.saturating_add(i32::from(event.known_after)).saturating_add(1);
        Aged { until, age: NOT_YET, is_anew: false, is_restless: false }
    }
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

    /// Fills `scratch.values` for a later as-of day of a person who is followed, with the same events.
    pub fn move_on(
        &self,
        events: &[Event],
        anchors_among: &[Event],
        person: &impl Attributes,
        moment: &Moment,
        scratch: &mut Scratch,
    ) {
        let as_of = moment.as_of;
        scratch.moved.fill(0);
        scratch.moved_models = 0;
        scratch.is_new = false;
        scratch.flipped.clear();
        self.place_windows(anchors_among, moment, scratch);
        let mut is_restless = false;
        for (place, event) in events.iter().enumerate() {
            if scratch.aged[place].until <= as_of.0 {
                self.age(event, place, as_of, scratch);
            }
            is_restless |= scratch.aged[place].is_restless;
        }
        self.work_out_anew(events, is_restless, as_of, scratch);
        if std::mem::take(&mut scratch.is_disordered) {
            self.count_months_anew(events, scratch);
        }
        for (moved, (touched, read_anew)) in scratch.moved.iter_mut().zip(scratch.touched.iter().zip(&self.read_anew)) {
            *moved |= touched & read_anew;
        }
        if self.profile(person, moment) == Some(scratch.profile) {
            scratch.open.fill(0);
            self.open_measures(|scratch| &scratch.moved, scratch);
            self.finish(person, moment, scratch);
        } else {
            self.forget_nodes(scratch);
            self.take_profile(person, moment, scratch);
            self.open_all(scratch);
            self.finish(person, moment, scratch);
            scratch.mark_as_new();
        }
    }

    /// Where an event stands that has this age.
    #[inline]
    fn aged(&self, event: &Event, age: usize) -> Aged {
        let (until, asks) = self.operations.until(event, age);
        Aged {
            until,
            age: age as u16,
            is_anew: asks & Operation::ANEW != 0,
            is_restless: asks & Operation::RESTLESS != 0,
        }
    }

    /// Lets an event do what it does on this as-of day, in place of what it did on the one before.
    fn age(&self, event: &Event, place: usize, as_of: Day, scratch: &mut Scratch) {
        let before = match scratch.aged[place].age {
            NOT_YET => &[],
            age => self.operations.of(event.concept, age.into()),
        };
        let age = self.operations.age_of(as_of.0 - event.day).expect("it is known, so that it has happened");
        let now = self.operations.of(event.concept, age);
        scratch.aged[place] = self.aged(event, age);
        // Both are stretches of what the concept ever does, in one order.
        let (mut before, mut now) = (before, now);
        loop {
            match (before, now) {
                ([left, rest @ ..], [other, others @ ..]) if left == other => (before, now) = (rest, others),
                ([left, rest @ ..], _) if !now.contains(left) => {
                    self.count(event, left, -1, scratch);
                    before = rest;
                }
                (_, [entered, others @ ..]) => {
                    self.count(event, entered, 1, scratch);
                    now = others;
                }
                ([left, rest @ ..], []) => {
                    self.count(event, left, -1, scratch);
                    before = rest;
                }
                ([], []) => break,
            }
        }
    }

    /// Counts an event once more, or once less, for a measure that follows from which events count.
    fn count(&self, event: &Event, operation: &Operation, times: i32, scratch: &mut Scratch) {
        let measure = usize::from(operation.measure);
        if operation.is_by_month() {
            if times > 0 {
                self.count_in_month(operation, event, scratch);
            }
            return;
        }
        if operation.is_anew() {
            return set_bit(&mut scratch.again, measure);
        }
        if !self.is_asked_for(event, operation, &scratch.windows) {
            return;
        }
        set_bit(&mut scratch.touched, measure);
        set_bit(&mut scratch.moved, measure);
        self.act_as_count(operation, event, times, scratch);
    }

    /// Works out the measures that do not follow from what they were: those of which other events count, and the restless
    /// ones, where there is `any`.
    fn work_out_anew(&self, events: &[Event], mut any: bool, as_of: Day, scratch: &mut Scratch) {
        for word in 0..scratch.again.len() {
            any |= scratch.again[word] != 0;
            let again = (scratch.again[word] | self.restless[word]) & scratch.touched[word];
            scratch.again[word] |= self.restless[word];
            scratch.moved[word] |= again;
            ones(&[again]).for_each(|bit| scratch.seen[word * 64 + bit] = NOTHING);
        }
        if any {
            scratch.round += 1;
            for (place, event) in events.iter().enumerate() {
                let Aged { age, is_anew: true, .. } = scratch.aged[place] else { continue };
                for operation in self.operations.of(event.concept, age.into()) {
                    let measure = usize::from(operation.measure);
                    if has_bit(&scratch.again, measure) && self.is_asked_for(event, operation, &scratch.windows) {
                        set_bit(&mut scratch.touched, measure);
                        set_bit(&mut scratch.moved, measure);
                        self.act(operation, event, as_of, scratch);
                    }
                }
            }
        }
        scratch.again.fill(0);
    }

    /// Counts an event in its month, unless its code was counted there.
    fn count_in_month(&self, operation: &Operation, event: &Event, scratch: &mut Scratch) {
        let measure = usize::from(operation.measure);
        let (min, max) = self.operations.amounts[measure];
        if operation.asks & Operation::AMOUNT != 0 && !(min..=max).contains(&event.amount) {
            return;
        }
        let Read::MaxOfMonths(slot) = self.readings[measure].read else { unreachable!("it counts by month") };
        set_bit(&mut scratch.touched, measure);
        let month = scratch.months.of(event.day).0;
        let stamp = scratch.months_round << 16 | month as u64;
        let known = &mut scratch.stamps[operation.place as usize];
        if *known >= stamp {
            scratch.is_disordered |= *known > stamp;
            return;
        }
        *known = stamp;
        let months = &mut scratch.months_of[slot as usize];
        match months.iter_mut().rev().find(|(known, _)| *known == month) {
            Some((_, codes)) => *codes += 1,
            None => months.push((month, 1)),
        }
    }

    /// Counts months from all events, where they did not come in order.
    fn count_months_anew(&self, events: &[Event], scratch: &mut Scratch) {
        scratch.round += 1;
        scratch.months_round = scratch.round;
        scratch.months_of.iter_mut().for_each(Vec::clear);
        for (place, event) in events.iter().enumerate() {
            let age = scratch.aged[place].age;
            let operations = if age == NOT_YET { &[] } else { self.operations.of(event.concept, age.into()) };
            for operation in operations.iter().filter(|operation| operation.is_by_month()) {
                self.count_in_month(operation, event, scratch);
            }
        }
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

    #[inline]
    fn take(&self, event: &Event, operations: &[Operation], as_of: Day, scratch: &mut Scratch) {
        for operation in operations {
            if operation.is_by_month() {
                self.count_in_month(operation, event, scratch);
                continue;
            }
            if operation.asks & Operation::ASKS != 0 && !self.is_asked_for(event, operation, &scratch.windows) {
                continue;
            }
            set_bit(&mut scratch.touched, usize::from(operation.measure));
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
            Act::Count | Act::Any | Act::Sum | Act::Distinct | Act::Weight => {
                self.act_as_count(operation, event, 1, scratch);
            }
            Act::Days => seen.sum += days_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
            Act::Cost => seen.sum += cost_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
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
            Act::Latest | Act::LatestTwo => {}
            Act::Last => seen.last = event.day,
            Act::DistinctDays => {
                seen.sum += i64::from(event.day != seen.last);
                seen.last = event.day;
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

    /// Counts an event so many times more for a measure that follows from which events count.
    #[inline]
    fn act_as_count(&self, operation: &Operation, event: &Event, times: i32, scratch: &mut Scratch) {
        let place = operation.place as usize;
        let seen = &mut scratch.seen[usize::from(operation.measure)];
        let mut first_or_last = || {
            let held = &mut scratch.held[place];
            if times > 0 && *held == 0 {
                scratch.held_places.push(operation.place);
            }
            *held = held.checked_add_signed(times).expect("what leaves had come");
            i64::from(*held == u32::from(times > 0)) * i64::from(times)
        };
        match operation.act {
            Act::Count | Act::Any => seen.sum += i64::from(times),
            Act::Sum if event.amount == Event::NO_AMOUNT => {}
            Act::Sum => {
                seen.sum += i64::from(times) * i64::from(event.amount);
                seen.count += times;
            }
            Act::Distinct => seen.sum += first_or_last(),
            Act::Weight => seen.sum += first_or_last() * self.operations.weights[place],
            _ => unreachable!("other measures are worked out anew"),
        }
    }

    /// Opens the nodes that a person may have otherwise than the profile.
    fn open_all(&self, scratch: &mut Scratch) {
        let has_profile = scratch.profile < self.profiles.len();
        scratch.open.copy_from_slice(if has_profile { &self.beyond_profile } else { &self.personal });
        self.open_measures(|scratch| &scratch.touched, scratch);
    }

    /// Opens the nodes that some measures are in.
    fn open_measures(&self, measures: impl Fn(&Scratch) -> &Vec<u64>, scratch: &mut Scratch) {
        let words = scratch.open.len();
        let mut open = std::mem::take(&mut scratch.open);
        for measure in ones(measures(scratch)) {
            let in_nodes = &self.in_nodes[measure * words..(measure + 1) * words];
            open.iter_mut().zip(in_nodes).for_each(|(all, of)| *all |= of);
        }
        scratch.open = open;
    }

    /// Works out the nodes that are open, in order.
    fn finish(&self, person: &impl Attributes, moment: &Moment, scratch: &mut Scratch) {
        for word in 0..scratch.open.len() {
            let mut bits = scratch.open[word];
            while bits != 0 {
                let bit = bits.trailing_zeros();
                let place = word * 64 + bit as usize;
                bits &= bits - 1;
                let value = match self.instructions[place] {
                    Instruction::Read(measure) => self.measured(measure as usize, moment, scratch),
                    Instruction::Ask => {
                        let leaf = self.leaves[place].as_ref().expect("leaves were listed");
                        person.value_at(place, leaf, moment.as_of)
                    }
                    instruction => self.composed(instruction, &scratch.values),
                };
                let before = std::mem::replace(&mut scratch.values[place], value);
                if before != value {
                    scratch.moved_models |= self.in_models[place];
                    let (differed, of_profile) = (before != scratch.of_profile[place], scratch.of_profile[place]);
                    if differed != (value != of_profile) {
                        scratch.differs[word] ^= 1 << bit;
                        scratch.flipped.push(place as u32);
                    }
                }
            }
        }
    }

    fn measured(&self, number: usize, moment: &Moment, scratch: &mut Scratch) -> Micro {
        let Reading { reference, unit, nothing, read } = self.readings[number];
        let seen = scratch.seen[number];
        let reference = scratch.anchors[reference as usize];
        if reference == NEVER {
            return nothing;
        }
        match read {
            Read::Sum => Micro(seen.sum * unit),
            Read::Any => Micro::flag(seen.sum > 0),
            Read::MaxOfMonths(slot) => {
                let (first, last) = scratch.windows[self.operations.window_of[number] as usize];
                let window = scratch.months.of(first).0..=scratch.months.of(last).0;
                let months = scratch.months_of[slot as usize].iter().filter(|(month, _)| window.contains(month));
                Micro::whole(months.map(|(_, codes)| *codes).max().unwrap_or(0).into())
            }
            Read::Pence => in_pence(seen.sum),
            Read::Mean if seen.count == 0 => nothing,
            Read::Mean => Micro(seen.sum * unit).over(Micro::whole(seen.count.into())),
            _ if seen.last == NEVER => nothing,
            Read::Latest => Micro(seen.sum * unit),
            Read::HighestOfLastTwo if seen.count == Event::NO_AMOUNT => nothing,
            Read::HighestOfLastTwo => Micro(seen.sum.max(seen.count.into()) * unit),
            Read::SinceLast => Micro::whole(i64::from(reference.min(moment.as_of.0)) - i64::from(seen.last)),
            Read::LookUp(otherwise) => {
                let found = moment.look_ups[number][seen.sum as usize];
                let counted = &mut scratch.look_ups[moment.number * self.plan.measures.len() + number];
                counted.done += 1;
                counted.missed += u64::from(found.is_none());
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
    Any,
    /// With the measure's place among those that count by month.
    MaxOfMonths(u32),
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
            Take::Count | Take::Days | Take::DistinctDays | Take::Distinct { .. } | Take::Open => {
                (Read::Sum, Micro::ONE)
            }
            Take::Any => (Read::Any, Micro::ONE),
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
