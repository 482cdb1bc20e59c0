//! Which feeds a person's data could have come from, as the data itself shows.
//!
//! Nobody types a flag: a feed covers a month where it has events in that month. A feed that practices send covers a
//! practice's people in a month where its events per person reach a tenth of the whole area's; a few stray records of
//! people who moved do not make a practice that shares nothing look covered.

use rayon::prelude::*;

use crate::day::{Day, Month, Months};
use crate::event::Streams;
use crate::measure::plan::{Concept, Plan};
use crate::person::{Spine, Standing};
use crate::timeline::Timelines;

/// A practice's events per person count as a feed from this many times fewer than the area's on.
const TIMES_FEWER: u64 = 10;
/// Months before the as-of day that are looked at; what a model asks of longer ago is judged by these.
pub const MONTHS: usize = 60;

/// Covered months of every stream and practice, back from the last day before an as-of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The month of the day before the as-of day.
    pub last: Month,
    practices: usize,
    /// By stream, then practice: one bit a month, the last month lowest.
    covered: Vec<u64>,
}

impl Coverage {
    /// Coverage as it stood on the as-of day: events known before it, of people registered on it.
    pub fn new(
        plan: &Plan,
        streams: &Streams,
        concepts: &[Concept],
        spine: &Spine,
        timelines: &Timelines,
        as_of: Day,
    ) -> Coverage {
        let practices = spine.practices.len();
        let width = practices * MONTHS;
        let last = Day(as_of.0 - 1).month();
        let months = Months::new();
        let count = |(mut counts, mut people): (Vec<u32>, Vec<u64>), person: u32| {
            if let Standing::Registered { practice, .. } = spine.standing(person, as_of) {
                people[practice as usize] += 1;
                for event in timelines.of(person).iter().rev().filter(|event| event.is_known_on(as_of.0)) {
                    let back = last.0 - months.of(event.day).0;
                    if back >= MONTHS as i32 {
                        break;
                    }
                    let stream = concepts[event.concept as usize].stream as usize;
                    counts[stream * width + practice as usize * MONTHS + back as usize] += 1;
                }
            }
            (counts, people)
        };
        let none = || (vec![0u32; plan.streams.len() * width], vec![0u64; practices]);
        let (counts, people) = (0..spine.people() as u32)
            .into_par_iter()
            .with_min_len(1 << 14)
            .fold(none, count)
            .reduce(none, |(mut counts, mut people), (more, more_people)| {
                counts.iter_mut().zip(more).for_each(|(one, two)| *one += two);
                people.iter_mut().zip(more_people).for_each(|(one, two)| *one += two);
                (counts, people)
            });
        let mut coverage = Coverage { last, practices, covered: vec![0; plan.streams.len() * practices] };
        for (number, stream) in plan.streams.iter().enumerate() {
            let by_practice = streams.streams.get(&stream.name).is_some_and(|stream| stream.by_practice);
            coverage.judge(number, by_practice, &counts[number * width..(number + 1) * width], &people);
        }
        coverage
    }

    fn judge(&mut self, stream: usize, by_practice: bool, counts: &[u32], people: &[u64]) {
        let everybody: u64 = people.iter().sum();
        for month in 0..MONTHS {
            let of = |practice: usize| u64::from(counts[practice * MONTHS + month]);
            let all: u64 = (0..self.practices).map(of).sum();
            for (practice, registered) in people.iter().enumerate() {
                let is_covered = match by_practice {
                    false => all > 0,
                    true => of(practice) > 0 && of(practice) * everybody * TIMES_FEWER >= all * registered,
                };
                self.covered[stream * self.practices + practice] |= u64::from(is_covered) << month;
            }
        }
    }

    /// Whether a stream covers every month of a practice's people from one day to another.
    ///
    /// # Boundaries
    /// Days longer ago than [`MONTHS`] months are not asked about.
    pub fn covers(&self, stream: usize, practice: usize, from: Day, to: Day) -> bool {
        let back = |day: Day| (self.last.0 - day.month().0).clamp(0, MONTHS as i32 - 1);
        let (nearest, furthest) = (back(to), back(from));
        let months = (furthest - nearest + 1).max(1) as u32;
        let asked = if months >= 64 { u64::MAX } else { ((1u64 << months) - 1) << nearest };
        self.covered[stream * self.practices + practice] & asked == asked
    }

    /// How many practices a stream covered in the last month that it has anything in.
    pub fn practices_covered(&self, stream: usize) -> usize {
        let bits = &self.covered[stream * self.practices..(stream + 1) * self.practices];
        (0..MONTHS)
            .map(|month| bits.iter().filter(|bits| *bits >> month & 1 == 1).count())
            .find(|count| *count > 0)
            .unwrap_or(0)
    }
}
