//! How many rows each sender sent of each month, counted as they are read, whatever any model asks of them.
//!
//! Two questions are answered by it: which practices' people a feed covers, and whether a month of somebody's is
//! missing. A row costs one look-up of its day and one count. Rows are counted in *slots*, which are calendar months cut
//! at the as-of days, so that an as-of day in the middle of a month counts what had happened and been recorded before
//! it, and no more.

use std::collections::BTreeMap;

use super::column::Days;
use crate::day::{Day, Month};

/// Months before an as-of day that are counted.
pub const MONTHS: usize = 60;
/// Days before the last as-of day that are counted one by one, to find the newest.
pub const RECENT_DAYS: usize = 400;

/// The slots of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    first_day: i32,
    /// From `first_day` up to the last as-of day: the slot of each.
    of_day: Vec<u16>,
    /// Of each slot: its first day, and the first as-of day after it.
    starts: Vec<(Day, Day)>,
    as_of: Vec<Day>,
}

impl Slots {
    /// The slots for all days that a run scores people at, in order: its as-of days, and earlier ones that lists look
    /// back at.
    pub fn new(as_of: &[Day]) -> Slots {
        let (first, horizon) = (as_of[0], as_of[as_of.len() - 1]);
        let first_day = Month(Day(first.0 - 1).month().0 - (MONTHS as i32 - 1)).first_day();
        let mut cuts: Vec<Day> =
            (first_day.month().0..=horizon.month().0).map(|month| Month(month).first_day()).collect();
        cuts.extend(as_of);
        cuts.retain(|cut| *cut < horizon);
        cuts.sort_unstable();
        cuts.dedup();
        let next = |cut: Day| as_of.iter().copied().find(|as_of| *as_of > cut).unwrap_or(horizon);
        let starts: Vec<(Day, Day)> = cuts.iter().map(|cut| (*cut, next(*cut))).collect();
        let ends = cuts.iter().skip(1).chain([&horizon]);
        let lengths = cuts.iter().zip(ends).map(|(start, end)| (end.0 - start.0) as usize);
        let of_day = lengths.enumerate().flat_map(|(slot, days)| std::iter::repeat_n(slot as u16, days)).collect();
        Slots { first_day: first_day.0, of_day, starts, as_of: as_of.to_vec() }
    }

    /// The last as-of day.
    pub fn horizon(&self) -> Day {
        self.as_of[self.as_of.len() - 1]
    }

    /// The first as-of day.
    pub fn first_as_of(&self) -> Day {
        self.as_of[0]
    }

    fn recent_from(&self) -> i32 {
        self.horizon().0 - RECENT_DAYS as i32
    }

    /// How many of the as-of days are not after a day: a row that is known from that day on is known to the others.
    fn as_of_up_to(&self, day: i32) -> u16 {
        self.as_of.partition_point(|as_of| as_of.0 <= day) as u16
    }
}

/// The rows of one thread, by a number that stands for the sender.
#[derive(Debug, Default)]
pub struct Tally {
    /// Slots of the first sender, then of the next.
    rows: Vec<u32>,
    /// Rows that were recorded after an as-of day that they lie before: sender, slot, and how many as-of days had
    /// passed. They are few.
    late: BTreeMap<(u32, u16, u16), u32>,
    recent: Vec<u32>,
    /// Rows of each day of the slots, of one sender at a time; the last place is of all days outside.
    of_day: Vec<u32>,
}

impl Tally {
    /// Counts rows of one sender, each with the day that it was recorded on where the source says it.
    ///
    /// # Shape
    /// As [`Tally::count`] for one row after another, where a row is known from its day or its recording on, whichever
    /// is later; recording days that are missing are far in the past.
    pub fn count_all(&mut self, slots: &Slots, sender: u32, days: &Days, recorded: Option<&Days>) {
        let outside = slots.of_day.len();
        let mut of_day = std::mem::take(&mut self.of_day);
        of_day.resize(outside + 1, 0);
        let place = |day: i32| (day.wrapping_sub(slots.first_day) as u32 as usize).min(outside);
        days.each_known(recorded, |rows, day, known| match known > day {
            false => of_day[place(day)] += rows,
            true => self.count(slots, sender, day, known, rows),
        });
        of_day[outside] = 0;
        for (place, rows) in of_day.iter_mut().enumerate().filter(|(_, rows)| **rows > 0) {
            self.count_known(slots, sender, slots.first_day + place as i32, slots.of_day[place], *rows);
            *rows = 0;
        }
        self.of_day = of_day;
    }

    /// Counts rows of a day that were recorded on or after it.
    #[inline]
    pub fn count(&mut self, slots: &Slots, sender: u32, day: i32, known: i32, rows: u32) {
        // A missing day is far outside, on either side.
        let Some(&slot) = slots.of_day.get(day.wrapping_sub(slots.first_day) as u32 as usize) else { return };
        if known >= slots.starts[usize::from(slot)].1.0 {
            return self.count_late(slots, sender, slot, known, rows);
        }
        self.count_known(slots, sender, day, slot, rows);
    }

    /// Counts rows of a day that were known before the next as-of day.
    #[inline]
    fn count_known(&mut self, slots: &Slots, sender: u32, day: i32, slot: u16, more: u32) {
        let place = sender as usize * slots.starts.len() + usize::from(slot);
        if place >= self.rows.len() {
            self.grow(slots, place);
        }
        self.rows[place] += more;
        if let Some(rows) = self.recent.get_mut(day.wrapping_sub(slots.recent_from()) as u32 as usize) {
            *rows += more;
        }
    }

    #[cold]
    fn grow(&mut self, slots: &Slots, place: usize) {
        let width = slots.starts.len();
        self.rows.resize((place / width + 1) * width, 0);
        self.recent.resize(RECENT_DAYS, 0);
    }

    #[cold]
    fn count_late(&mut self, slots: &Slots, sender: u32, slot: u16, known: i32, rows: u32) {
        let passed = slots.as_of_up_to(known);
        if usize::from(passed) < slots.as_of.len() {
            *self.late.entry((sender, slot, passed)).or_default() += rows;
        }
    }
}

/// The rows of one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sender {
    /// One a slot.
    rows: Vec<u64>,
    /// By slot and number of as-of days that had passed.
    late: BTreeMap<(u16, u16), u64>,
}

/// The rows of a source, by who sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentRows {
    /// By code; the empty code is of rows that name nobody.
    senders: BTreeMap<String, Sender>,
    /// Of the days before the last as-of day, the last of them last.
    recent: Vec<u64>,
}

impl SentRows {
    /// Adds what a thread counted; `code` says who a number stands for.
    pub fn add(&mut self, slots: &Slots, tally: &Tally, code: impl Fn(u32) -> String) {
        let width = slots.starts.len();
        for (number, rows) in tally.rows.chunks(width).enumerate().filter(|(_, rows)| rows.iter().any(|rows| *rows > 0))
        {
            let sender = self.senders.entry(code(number as u32)).or_default();
            sender.rows.resize(width, 0);
            sender.rows.iter_mut().zip(rows).for_each(|(all, rows)| *all += u64::from(*rows));
        }
        for (&(number, slot, passed), rows) in &tally.late {
            let sender = self.senders.entry(code(number)).or_default();
            *sender.late.entry((slot, passed)).or_default() += u64::from(*rows);
        }
        self.recent.resize(RECENT_DAYS, 0);
        self.recent.iter_mut().zip(&tally.recent).for_each(|(all, rows)| *all += u64::from(*rows));
    }

    pub fn senders(&self) -> impl Iterator<Item = &str> {
        self.senders.keys().map(String::as_str)
    }

    /// Rows of a sender in each month back from the one of the day before an as-of day, as known on it.
    ///
    /// # Shape
    /// [`MONTHS`] numbers, the last month first.
    /// # Boundaries
    /// Exact for the as-of days of the slots; for another day, the slot that it lies in counts as a whole.
    pub fn months(&self, slots: &Slots, sender: &str, as_of: Day) -> Vec<u64> {
        let mut months = vec![0; MONTHS];
        let Some(sender) = self.senders.get(sender) else { return months };
        let last = Day(as_of.0 - 1).month();
        let mut add = |slot: usize, rows: u64| {
            let (start, _) = slots.starts[slot];
            let back = (last.0 - start.month().0) as usize;
            if start < as_of && back < MONTHS {
                months[back] += rows;
            }
        };
        sender.rows.iter().enumerate().for_each(|(slot, rows)| add(slot, *rows));
        let passed_before = slots.as_of.partition_point(|other| *other < as_of) as u16;
        for (&(slot, passed), rows) in &sender.late {
            if passed <= passed_before {
                add(usize::from(slot), *rows);
            }
        }
        months
    }

    /// How many days before the last as-of day the newest rows lie; `None` where there are none in [`RECENT_DAYS`].
    ///
    /// # Boundaries
    /// Yesterday is 1. Of a thousand rows one may be newer and is taken as misdated.
    pub fn newest_days(&self) -> Option<u32> {
        let all: u64 = self.recent.iter().sum();
        let mut newer = 0;
        let days = self.recent.iter().rev().position(|rows| {
            newer += rows;
            newer > all / 1_000
        });
        days.map(|days| days as u32 + 1)
    }
}

/// A stretch of months in which far fewer rows were sent than is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Fall {
    pub first: Month,
    pub months: u32,
    /// Rows of the first month, and how many are usual.
    pub rows: u64,
    pub usual: u64,
}

impl Fall {
    pub fn holds(&self, month: Month) -> bool {
        (self.first.0..self.first.0 + self.months as i32).contains(&month.0)
    }

    pub fn share(&self) -> f64 {
        (self.rows as f64 / self.usual.max(1) as f64 * 1e6).round() / 1e6
    }
}

/// Months that are usual to compare with, and how many of them it takes.
const USUAL_MONTHS: usize = 12;
const LEAST_MONTHS: usize = 6;

/// Each month against the median of up to twelve before it: the lowest share, and the months that are too low.
///
/// # Boundaries
/// A month is judged where at least six are before it and their median is at least `usual_from` rows. A month that is
/// too low is none that later ones are compared with: a feed that stopped has not become usual after a year.
pub fn falls(
    months: &[(Month, u64)],
    judged_from: Month,
    least_share: f64,
    usual_from: u64,
) -> (Option<Fall>, Vec<Fall>) {
    let mut usual: Vec<u64> = Vec::new();
    let (mut lowest, mut falls): (Option<Fall>, Vec<Fall>) = (None, Vec::new());
    for &(month, rows) in months {
        let before = &usual[usual.len().saturating_sub(USUAL_MONTHS)..];
        let median = median(before);
        let is_judged = before.len() >= LEAST_MONTHS && median >= usual_from && month >= judged_from;
        let fall = Fall { first: month, months: 1, rows, usual: median };
        if is_judged && lowest.as_ref().is_none_or(|lowest| fall.share() < lowest.share()) {
            lowest = Some(fall.clone());
        }
        if !is_judged || fall.share() >= least_share {
            usual.push(rows);
            continue;
        }
        match falls.last_mut() {
            Some(last) if last.first.0 + last.months as i32 == month.0 => last.months += 1,
            _ => falls.push(fall),
        }
    }
    (lowest, falls)
}

/// The middle one; of an even number the lower of both.
fn median(rows: &[u64]) -> u64 {
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_sender_are_counted_together_as_one_after_another() {
        let slots = Slots::new(&[day("2016-01-15"), day("2016-04-01")]);
        let first = day("2009-12-20").0;
        let days: Vec<i32> = (0..3_000).map(|n| if n % 97 == 0 { i32::MIN } else { first + n }).collect();
        let recorded: Vec<i32> = days
            .iter()
            .zip(0..)
            .map(|(day, n)| if n % 5 == 0 { i32::MIN } else { day.wrapping_add(n % 41 - 7) })
            .collect();
        let (mut singly, mut together) = (Tally::default(), Tally::default());
        for (day, recorded) in days.iter().zip(&recorded) {
            singly.count(&slots, 3, *day, *day.max(recorded), 1);
        }
        let each = |days: &[i32]| Days::from(days.to_vec());
        together.count_all(&slots, 3, &each(&days[..1_700]), Some(&each(&recorded[..1_700])));
        together.count_all(&slots, 3, &each(&days[1_700..]), Some(&each(&recorded[1_700..])));
        let sent = |tally: &Tally| {
            let mut sent = SentRows::default();
            sent.add(&slots, tally, |sender| sender.to_string());
            sent
        };
        assert_eq!(sent(&singly), sent(&together));
        assert!(!singly.late.is_empty());
        // Of 21 January to 31 March 71 days, without recording days and with none late.
        let mut plain = Tally::default();
        plain.count_all(&slots, 0, &each(&days[..1]), None);
        plain.count_all(&slots, 0, &(day("2016-01-21").0..day("2016-04-05").0).collect::<Vec<_>>().into(), None);
        assert_eq!(sent(&plain).months(&slots, "0", day("2016-04-01"))[..3], [31, 29, 11]);
    }

    #[test]
    fn rows_of_one_day_are_counted_together_however_their_recording_days_lie_across() {
        let slots = Slots::new(&[day("2016-01-15"), day("2016-04-01")]);
        let (january, march) = (day("2016-01-10").0, day("2016-03-01").0);
        // 5 rows of January, of which 2 are recorded at once, 3 after the first as-of day; 4 of March, 1 recorded in May.
        let days: Days = [(5, january), (4, march)].into_iter().collect();
        let recorded: Days =
            [(2, january), (3, day("2016-01-20").0), (3, i32::MIN), (1, day("2016-05-01").0)].into_iter().collect();
        let months = |days: &Days, recorded: &Days, as_of: &str| {
            let mut tally = Tally::default();
            tally.count_all(&slots, 0, days, Some(recorded));
            let mut sent = SentRows::default();
            sent.add(&slots, &tally, |_| String::new());
            sent.months(&slots, "", day(as_of))[..3].to_vec()
        };
        let each = |days: &Days| {
            let mut each = Vec::new();
            days.each_row(&mut each);
            Days::from(each)
        };
        for (days, recorded) in [(&days, &recorded), (&each(&days), &recorded), (&each(&days), &each(&recorded))] {
            assert_eq!(months(days, recorded, "2016-01-15"), [2, 0, 0]);
            assert_eq!(months(days, recorded, "2016-04-01"), [3, 0, 5]);
        }
    }

    fn day(text: &str) -> Day {
        Day::parse(text.as_bytes()).unwrap()
    }

    fn sent(slots: &Slots, rows: &[(u32, &str, &str)]) -> SentRows {
        let mut tally = Tally::default();
        rows.iter().for_each(|(sender, on, known)| tally.count(slots, *sender, day(on).0, day(known).0, 1));
        let mut sent = SentRows::default();
        sent.add(slots, &tally, |number| ["A", "B"][number as usize].to_owned());
        sent
    }

    #[test]
    fn rows_are_counted_by_sender_and_month() {
        let slots = Slots::new(&[day("2016-04-01")]);
        let rows = ["2016-03-31", "2016-03-01", "2016-02-29", "2011-04-01", "2011-03-31", "2016-04-01", "2115-01-01"];
        let sent = sent(&slots, &rows.map(|on| (1, on, on)));
        let months = sent.months(&slots, "B", day("2016-04-01"));
        assert_eq!((months[0], months[1], months[59]), (2, 1, 1), "60 months, and nothing from the as-of day on");
        assert_eq!(months.iter().sum::<u64>(), 4);
        assert_eq!(sent.senders().collect::<Vec<_>>(), ["B"]);
        assert_eq!(sent.months(&slots, "A", day("2016-04-01")), vec![0; MONTHS]);
    }

    #[test]
    fn an_as_of_day_counts_what_was_known_before_it_as_if_it_were_alone() {
        let (early, late) = (day("2016-03-15"), day("2016-04-20"));
        let rows = [
            (0, "2016-03-14", "2016-03-14"),
            (0, "2016-03-14", "2016-03-15"), // recorded on the day itself
            (0, "2016-03-15", "2016-03-15"),
            (0, "2016-02-01", "2016-04-19"),
            (0, "2016-02-01", "2016-04-20"),
            (0, "2016-04-19", "2016-04-19"),
        ];
        let both = Slots::new(&[early, late]);
        let together = sent(&both, &rows);
        for as_of in [early, late] {
            let alone = Slots::new(&[as_of]);
            let expected = sent(&alone, &rows).months(&alone, "A", as_of);
            assert_eq!(together.months(&both, "A", as_of), expected, "{as_of}");
        }
        assert_eq!(together.months(&both, "A", early)[..3], [1, 0, 0]);
        assert_eq!(together.months(&both, "A", late)[..3], [1, 3, 1]);
    }

    #[test]
    fn the_newest_day_is_that_of_rows_and_not_of_a_slip() {
        let slots = Slots::new(&[day("2016-04-01")]);
        let newest = |on: &[(&str, usize)]| {
            let mut tally = Tally::default();
            for (on, rows) in on {
                (0..*rows).for_each(|_| tally.count(&slots, 0, day(on).0, day(on).0, 1));
            }
            let mut sent = SentRows::default();
            sent.add(&slots, &tally, |_| String::new());
            sent.newest_days()
        };
        assert_eq!(newest(&[("2016-03-31", 5)]), Some(1));
        assert_eq!(newest(&[("2015-12-31", 1_000), ("2016-03-31", 1)]), Some(92));
        assert_eq!(newest(&[("2015-12-31", 1_000), ("2016-03-31", 2)]), Some(1));
        assert_eq!(newest(&[("2014-12-31", 1_000)]), None);
    }

    /// Months from January 2014 on.
    fn judged(rows: &[u64]) -> (Option<Fall>, Vec<Fall>) {
        let months: Vec<(Month, u64)> =
            rows.iter().enumerate().map(|(place, rows)| (Month(Month::new(2014, 1).0 + place as i32), *rows)).collect();
        falls(&months, Month::new(2014, 1), 0.2, 30)
    }

    #[test]
    fn a_month_far_below_the_usual_is_a_fall_and_a_quiet_one_is_not() {
        let (lowest, found) = judged(&[100, 110, 90, 105, 95, 100, 100, 19, 100]);
        let expected = Fall { first: Month::new(2014, 8), months: 1, rows: 19, usual: 100 };
        assert_eq!(found, std::slice::from_ref(&expected));
        assert_eq!((lowest, expected.share()), (Some(expected), 0.19));
        let (lowest, found) = judged(&[100, 110, 90, 105, 95, 100, 100, 20, 100]);
        assert_eq!((lowest.map(|lowest| lowest.share()), found), (Some(0.2), vec![]));
    }

    #[test]
    fn a_feed_that_stopped_stays_stopped() {
        let mut rows = vec![100; 8];
        rows.extend([0; 20]);
        let (_, found) = judged(&rows);
        assert_eq!(found, [Fall { first: Month::new(2014, 9), months: 20, rows: 0, usual: 100 }]);
    }

    #[test]
    fn few_rows_and_few_months_are_not_judged() {
        assert_eq!(judged(&[29, 29, 29, 29, 29, 29, 29, 0]), (None, vec![]));
        assert_eq!(judged(&[100, 100, 100, 100, 100, 0]), (None, vec![]));
        // A feed that begins: zeros before it are its past, and no fall.
        assert_eq!(judged(&[0, 0, 0, 0, 0, 0, 0, 0, 50, 60, 70]), (None, vec![]));
    }
}
