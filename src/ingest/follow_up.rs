//! Until when a source tells what came of people: the day of its newest event, stray days left aside.

use std::collections::BTreeMap;

use super::events::Finished;
use crate::day::{Day, Months};

/// A month counts where it has this many times fewer events than a month of the year before, or more.
const TIMES_FEWER: u64 = 10;

/// The day of a source's newest event of a stream.
///
/// # Boundaries
/// A month with less than a tenth of the events of a mean month of the twelve before it does not count, so that a
/// date typed into the future does not pass for follow-up; the first month that has events always counts.
/// # Missing
/// `None` where the source has no event of the stream.
pub fn followed_until(source: &Finished, stream: usize) -> Option<Day> {
    let months = Months::shared();
    // By month: how many events, and the newest day.
    let mut seen: BTreeMap<i32, (u64, i32)> = BTreeMap::new();
    for (concepts, rows) in &source.parts {
        for row in rows.iter().filter(|row| concepts[row.event.concept as usize].stream as usize == stream) {
            let (events, newest) = seen.entry(months.of(row.event.day).0).or_insert((0, i32::MIN));
            *events += 1;
            *newest = row.event.day.max(*newest);
        }
    }
    let first = *seen.keys().next()?;
    let counts = |(month, (events, _)): &(&i32, &(u64, i32))| {
        let year: u64 = seen.range(**month - 12..**month).map(|(_, (events, _))| events).sum();
        **month == first || (year > 0 && events * 12 * TIMES_FEWER >= year)
    };
    seen.iter().rev().find(counts).map(|(_, (_, newest))| Day(*newest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::measure::plan::Concept;
    use crate::timeline::Row;

    fn until(days: &[(&str, usize)]) -> Option<String> {
        let concept = |stream| Concept { stream, mask: Box::new([1]), codes: Box::new([]) };
        let rows = days.iter().flat_map(|(day, times)| {
            let day = Day::parse(day.as_bytes()).unwrap().0;
            std::iter::repeat_n(Row { person: 0, event: Event { day, concept: 1, ..Event::default() } }, *times)
        });
        let source = Finished { parts: vec![(vec![concept(0), concept(7)], rows.collect())], ..Finished::default() };
        assert_eq!(followed_until(&source, 0), None);
        followed_until(&source, 7).map(|day| day.to_string())
    }

    #[test]
    fn a_stray_day_in_the_future_is_no_follow_up() {
        let busy = [("2015-01-10", 100), ("2015-02-10", 100), ("2015-03-30", 100)];
        assert_eq!(until(&busy).unwrap(), "2015-03-30");
        assert_eq!(until(&[&busy[..], &[("2099-01-01", 1)]].concat()).unwrap(), "2015-03-30");
        assert_eq!(until(&[&busy[..], &[("2015-04-02", 2)]].concat()).unwrap(), "2015-03-30", "2 of 25 a month");
        assert_eq!(until(&[&busy[..], &[("2015-04-02", 3)]].concat()).unwrap(), "2015-04-02", "3 of 25 a month");
        assert_eq!(until(&[("2015-01-10", 1), ("2015-11-03", 1)]).unwrap(), "2015-11-03");
        assert_eq!(until(&[]), None);
    }
}
