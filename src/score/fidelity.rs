//! How much of a score was observed.
//!
//! Of each term and person: *observed*, the feeds cover the person for the whole window and something was recorded;
//! *defaulted*, they cover the person and nothing was recorded, which the model takes as none; *unavailable*, they do
//! not cover the person, so that nothing could have been recorded. A score with terms that were unavailable is not
//! wrong, but it is not the score that the paper means, and its reader is told.

use crate::day::{Day, Window};
use crate::ingest::coverage::Coverage;
use crate::measure::plan::{Node, Plan};
use crate::model::Take;
use crate::number::Micro;

/// What a window without a far end is judged by: a year.
const EVER_DAYS: i32 = 365;

/// Which terms are unavailable to the people of each practice, for one as-of day.
#[derive(Debug, Clone, Default)]
pub struct Availability {
    /// By model, then practice: one bit a term.
    unavailable: Vec<Vec<Vec<u64>>>,
    /// By model, then practice: how many.
    counts: Vec<Vec<u16>>,
    /// By model, then term: whether it is made of events, so that nothing recorded is a default.
    from_events: Vec<Vec<bool>>,
}

impl Availability {
    pub fn new(plan: &Plan, coverage: &Coverage, practices: usize, as_of: Day) -> Availability {
        let mut availability = Availability {
            unavailable: vec![Vec::with_capacity(practices); plan.models.len()],
            counts: vec![Vec::with_capacity(practices); plan.models.len()],
            from_events: Vec::new(),
        };
        let made_of_events = nodes_where(plan, |_| true);
        let terms = plan.models.iter().map(|model| model.terms.iter().map(|&node| made_of_events[node]).collect());
        availability.from_events = terms.collect();
        for practice in 0..practices {
            let nodes = nodes_where(plan, |number| {
                let planned = &plan.measures[number];
                let (from, to) =
                    days_asked(planned.measure.window, planned.reference > 0, &planned.measure.take, as_of);
                !coverage.covers(planned.stream, practice, from, to)
            });
            for (number, model) in plan.models.iter().enumerate() {
                let mut terms = vec![0u64; model.terms.len().div_ceil(64)];
                for (place, &node) in model.terms.iter().enumerate() {
                    terms[place / 64] |= u64::from(nodes[node]) << (place % 64);
                }
                availability.counts[number].push(terms.iter().map(|bits| bits.count_ones() as u16).sum());
                availability.unavailable[number].push(terms);
            }
        }
        availability
    }

    pub fn is_unavailable(&self, model: usize, practice: u32, term: usize) -> bool {
        self.of(model, practice).is_unavailable(term)
    }

    /// Whether as much is available to a practice's people of a model's terms as on another day.
    pub fn is_as(&self, other: &Availability, model: usize, practice: u32) -> bool {
        self.of(model, practice).unavailable == other.of(model, practice).unavailable
    }

    /// What is available to a practice's people of a model's terms.
    pub fn of(&self, model: usize, practice: u32) -> Available<'_> {
        let unavailable = &self.unavailable[model][practice as usize];
        Available { unavailable, from_events: &self.from_events[model] }
    }

    /// Whether a term was recorded for a person, given its value; where it was available too, it was observed.
    pub fn is_recorded(&self, model: usize, term: usize, value: Micro) -> bool {
        if self.from_events[model][term] { value.is_true() } else { !value.is_missing() }
    }

    /// How many terms of a model are unavailable to a practice's people.
    pub fn unavailable(&self, model: usize, practice: u32) -> u16 {
        self.counts[model][practice as usize]
    }
}

/// What is available of one model's terms to the people of one practice.
#[derive(Debug, Clone, Copy)]
pub struct Available<'a> {
    unavailable: &'a [u64],
    from_events: &'a [bool],
}

impl Available<'_> {
    #[inline]
    pub fn is_unavailable(self, term: usize) -> bool {
        self.unavailable[term / 64] >> (term % 64) & 1 == 1
    }

    /// Whether a term with this value was available and recorded.
    #[inline]
    pub fn is_observed(self, term: usize, value: Micro) -> bool {
        let is_recorded = if self.from_events[term] { value.is_true() } else { !value.is_missing() };
        is_recorded && !self.is_unavailable(term)
    }
}

/// The nodes that some measure is in for which this holds.
fn nodes_where(plan: &Plan, holds: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut nodes: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let any = |of: &[usize]| of.iter().any(|&place| nodes[place]);
        nodes.push(match node {
            Node::Measure(number) => holds(*number),
            Node::Product(of) | Node::SumOf(of) | Node::CountTrue(of) | Node::AnyTrue(of) | Node::AllTrue(of) => {
                any(of)
            }
            Node::Ratio(of, over) => nodes[*of] || nodes[*over],
            Node::Not(of) | Node::Stepped(of, _) => nodes[*of],
            Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) => false,
        });
    }
    nodes
}

/// The first and last day that a measure asks about. A window that counts back from an event reaches back further.
fn days_asked(window: Window, is_anchored: bool, take: &Take, as_of: Day) -> (Day, Day) {
    let far = if window.up_to_days == i32::MAX { EVER_DAYS } else { window.up_to_days };
    let to = as_of.0 - window.after_days.max(0) - 1;
    match (is_anchored, take) {
        (_, Take::Open) => (Day(as_of.0 - 31), Day(as_of.0 - 1)),
        (true, _) => (Day(as_of.0 - far - 30), Day(as_of.0 - 1)),
        (false, _) => (Day(as_of.0 - far), Day(to)),
    }
}

/// How far a score is what the paper means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Every term was available.
    A,
    /// Up to one term in ten was not.
    B,
    /// Up to four in ten.
    C,
    /// More.
    D,
}

impl Grade {
    pub const ALL: [Grade; 4] = [Grade::A, Grade::B, Grade::C, Grade::D];

    pub fn of(unavailable: usize, terms: usize) -> Grade {
        match unavailable * 10 {
            0 => Grade::A,
            tenths if tenths <= terms => Grade::B,
            tenths if tenths <= terms * 4 => Grade::C,
            _ => Grade::D,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Grade::A => "A",
            Grade::B => "B",
            Grade::C => "C",
            Grade::D => "D",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_count_the_terms_that_were_not_available() {
        let grades = [(0, 69), (1, 69), (6, 69), (7, 69), (27, 69), (28, 69), (69, 69), (1, 1)];
        let got: String = grades.into_iter().map(|(unavailable, terms)| Grade::of(unavailable, terms).name()).collect();
        assert_eq!(got, "ABBCCDDD");
    }

    #[test]
    fn a_window_asks_about_the_days_it_holds() {
        let as_of = Day(1000);
        let window = |after_days, up_to_days| Window { after_days, up_to_days };
        assert_eq!(days_asked(window(30, 90), false, &Take::Count, as_of), (Day(910), Day(969)));
        assert_eq!(days_asked(Window::EVER, false, &Take::Any, as_of), (Day(635), Day(999)));
        assert_eq!(days_asked(window(-1, 0), true, &Take::Any, as_of), (Day(970), Day(999)));
        assert_eq!(days_asked(Window::EVER, false, &Take::Open, as_of), (Day(969), Day(999)));
    }
}
