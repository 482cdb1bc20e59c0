//! Which feeds a person's data could have come from, as the data itself shows.
//!
//! Nobody types a flag, and no model decides it: a feed covers a month where it has rows of that month, whatever they
//! say. A feed that practices send covers a practice's people in a month where its rows per person reach a tenth of the
//! whole area's; a few stray rows of people who moved do not make a practice that shares nothing look covered.

use std::collections::BTreeMap;

use super::layout::{Builds, Covers, LayoutFile};
use super::months::{SentRows, Slots};
use super::spells::STREAMS;
use crate::day::{Day, Month};
use crate::measure::plan::Plan;
use crate::person::{Spine, Standing};

/// A practice's rows per person count as a feed from this many times fewer than the area's on.
const TIMES_FEWER: u64 = 10;
/// Months before the as-of day that are looked at; what a model asks of longer ago is judged by these.
pub use super::months::MONTHS;

/// Covered months of every stream and practice, back from the last day before an as-of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The month of the day before the as-of day.
    pub last: Month,
    practices: usize,
    /// By stream, then practice: one bit a month, the last month lowest.
    covered: Vec<u64>,
}

/// Rows of a stream, by month back from the last.
struct Rows {
    /// Of sources that cover everybody.
    everyone: Vec<u64>,
    /// By practice, then month, of sources that practices send.
    by_practice: Vec<u64>,
}

impl Coverage {
    /// Coverage as it stood on the as-of day: rows known before it, of the practices of people registered on it.
    pub fn new<'s>(
        plan: &Plan,
        slots: &Slots,
        sources: impl Iterator<Item = (&'s LayoutFile, &'s SentRows)>,
        spine: &Spine,
        as_of: Day,
    ) -> Coverage {
        let practices = spine.practices.len();
        let none = || Rows { everyone: vec![0; MONTHS], by_practice: vec![0; practices * MONTHS] };
        let mut rows: Vec<Rows> = plan.streams.iter().map(|_| none()).collect();
        let places: BTreeMap<String, usize> =
            spine.practices.iter().enumerate().map(|(place, code)| (code.to_uppercase(), place)).collect();
        for (layout, sent) in sources {
            for stream in streams_of(layout).into_iter().filter_map(|stream| plan.stream(stream)) {
                rows[stream].take(layout, sent, &places, |sender| sent.months(slots, sender, as_of));
            }
        }
        let mut people = vec![0u64; practices];
        for person in 0..spine.people() as u32 {
            if let Standing::Registered { practice, .. } = spine.standing(person, as_of) {
                people[practice as usize] += 1;
            }
        }
        let last = Day(as_of.0 - 1).month();
        let mut coverage = Coverage { last, practices, covered: vec![0; plan.streams.len() * practices] };
        for (stream, rows) in rows.iter().enumerate() {
            coverage.judge(stream, rows, &people);
        }
        coverage
    }

    fn judge(&mut self, stream: usize, rows: &Rows, people: &[u64]) {
        let everybody: u64 = people.iter().sum();
        for month in 0..MONTHS {
            let of = |practice: usize| rows.by_practice[practice * MONTHS + month];
            let all: u64 = (0..self.practices).map(of).sum();
            for (practice, registered) in people.iter().enumerate() {
                let sends = of(practice) > 0 && of(practice) * everybody * TIMES_FEWER >= all * registered;
                let is_covered = rows.everyone[month] > 0 || sends;
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

/// The streams that rows of a layout become.
pub fn streams_of(layout: &LayoutFile) -> Vec<&str> {
    match layout.layout.builds {
        Builds::Spells => STREAMS.to_vec(),
        _ => layout.layout.stream.as_deref().into_iter().collect(),
    }
}

impl Rows {
    fn take(
        &mut self,
        layout: &LayoutFile,
        sent: &SentRows,
        places: &BTreeMap<String, usize>,
        months: impl Fn(&str) -> Vec<u64>,
    ) {
        for sender in sent.senders() {
            let rows = match (layout.layout.covers, places.get(&sender.to_uppercase())) {
                (Covers::Everyone, _) => &mut self.everyone[..],
                (Covers::Practices, Some(place)) => &mut self.by_practice[place * MONTHS..(place + 1) * MONTHS],
                // A practice that nobody is registered with.
                (Covers::Practices, None) => continue,
            };
            rows.iter_mut().zip(months(sender)).for_each(|(all, more)| *all += more);
        }
    }
}
