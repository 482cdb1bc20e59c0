//! From what was seen of a person to the values of the plan's nodes.

use super::super::Attributes;
use super::super::plan::{Node, Plan, PlannedMeasure};
use super::{Evaluator, Moment, NEVER, Otherwise, Scratch, Seen, ones};
use crate::event::{AmountKind, Event};
use crate::model::{Expression, Sex, Step, Take};
use crate::number::Micro;

/// Profiles have an age of 0 to this many years, or none.
pub(super) const PROFILE_YEARS: i32 = 119;

/// In the order in which profiles have them.
pub(super) const SEXES: [Option<Sex>; 3] = [None, Some(Sex::Female), Some(Sex::Male)];

/// The place of a profile; `None` where somebody is too old for one or not born.
pub(super) fn profile_of(age_years: Option<i32>, sex: Option<Sex>) -> Option<usize> {
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

impl Evaluator<'_> {
    /// Opens the nodes that a person may have otherwise than the profile.
    pub(super) fn open_all(&self, scratch: &mut Scratch) {
        let has_profile = scratch.profile < self.profiles.len();
        scratch.open.copy_from_slice(if has_profile { &self.beyond_profile } else { &self.personal });
        self.open_measures(|scratch| &scratch.touched, scratch);
    }

    /// Opens the nodes that some measures are in.
    pub(super) fn open_measures(&self, measures: impl Fn(&Scratch) -> &Vec<u64>, scratch: &mut Scratch) {
        let words = scratch.open.len();
        let mut open = std::mem::take(&mut scratch.open);
        for measure in ones(measures(scratch)) {
            let in_nodes = &self.in_nodes[measure * words..(measure + 1) * words];
            open.iter_mut().zip(in_nodes).for_each(|(all, of)| *all |= of);
        }
        scratch.open = open;
    }

    /// Works out the nodes that are open, in order.
    pub(super) fn finish(&self, person: &impl Attributes, moment: &Moment, scratch: &mut Scratch) {
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

    pub(super) fn measured(&self, number: usize, moment: &Moment, scratch: &mut Scratch) -> Micro {
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
    pub(super) fn composed(&self, instruction: Instruction, values: &[Micro]) -> Micro {
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
    pub(super) fn all_profiles(&self) -> (Vec<Micro>, Vec<Otherwise>) {
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
    pub(super) fn with_profile(
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
pub(super) enum Instruction {
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
pub(super) struct Stretch {
    first: u32,
    end: u32,
}

/// The nodes of a plan as instructions, with the operands and the steps of all, each in one place.
pub(super) fn instructions(plan: &Plan) -> (Vec<Instruction>, Vec<u32>, Vec<Step>) {
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
pub(super) struct Reading {
    pub(super) reference: u32,
    pub(super) read: Read,
    /// Millionths for each unit of the sum.
    pub(super) unit: i64,
    /// What it is where no event counts for it.
    pub(super) nothing: Micro,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
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
    pub(super) fn new(planned: &PlannedMeasure) -> Reading {
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
pub(super) fn nodes_with(plan: &Plan, holds: impl Fn(&Node) -> bool) -> Vec<u64> {
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
pub(super) fn resolved_day(seen: Seen) -> i64 {
    if seen.count == 0 { i64::MIN } else { seen.sum }
}
