//! Timelines: for each person, one contiguous slice of events, in order of day and then of the whole event.
//!
//! Built once a run by a counting sort into people; everything after is a pure function of a slice and an as-of day.
//! Nothing here knows a model.

use rayon::prelude::*;

use crate::event::Event;

/// An event and whose it is, while being sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Row {
    pub person: u32,
    pub event: Event,
}

#[derive(Debug, Default)]
pub struct Timelines {
    people: usize,
    ranges: Vec<Range>,
    /// Where people were taken out: the number that each of the others had when the rows were sorted.
    numbers: Option<Vec<u32>>,
}

/// The events of a range of people, person by person.
#[derive(Debug, Default)]
struct Range {
    /// `starts[n]..starts[n + 1]` in `events`, for the n-th person of the range.
    starts: Vec<u32>,
    events: Vec<Event>,
}

/// People are sorted in ranges of this many, so that one range's events fit a core's cache.
const PEOPLE_IN_RANGE: usize = 1 << 12;

/// Rows of one thread, dealt out to ranges of people as they come, so that sorting needs no copy of all of them.
///
/// Each range has blocks of one size, which never move: growing by doubling had the kernel clear fresh pages for a
/// fifth of a run.
#[derive(Debug, Default)]
pub struct Dealt {
    by_range: Vec<Vec<Vec<Row>>>,
    rows: usize,
}

/// Rows in a block of [`Dealt`].
const ROWS_IN_BLOCK: usize = 512;

impl Dealt {
    #[inline]
    pub fn push(&mut self, row: Row) {
        let range = row.person as usize / PEOPLE_IN_RANGE;
        if range >= self.by_range.len() {
            self.by_range.resize_with(range + 1, Vec::new);
        }
        let blocks = &mut self.by_range[range];
        match blocks.last_mut() {
            Some(block) if block.len() < ROWS_IN_BLOCK => block.push(row),
            _ => {
                let mut block = Vec::with_capacity(ROWS_IN_BLOCK);
                block.push(row);
                blocks.push(block);
            }
        }
        self.rows += 1;
    }

    /// Takes out the rows of some people; how many they were.
    pub fn remove(&mut self, is_out: impl Fn(u32) -> bool) -> u64 {
        let before = self.rows;
        for block in self.by_range.iter_mut().flatten() {
            let rows = block.len();
            block.retain(|row| !is_out(row.person));
            self.rows -= rows - block.len();
        }
        (before - self.rows) as u64
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.by_range.iter().flatten().flatten()
    }
}

impl FromIterator<Row> for Dealt {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Dealt {
        let mut dealt = Dealt::default();
        rows.into_iter().for_each(|row| dealt.push(row));
        dealt
    }
}

impl Timelines {
    /// Timelines from rows in any order.
    ///
    /// # Shape
    /// In: parts as threads made them, each with what its concepts are called in the whole; `None` leaves them as they
    /// are. Out: people 0 to `people`, each with its slice; the slices do not depend on the order of rows or parts.
    pub fn build(people: usize, parts: Vec<(Dealt, Option<Vec<u32>>)>) -> Timelines {
        let ranges = people.div_ceil(PEOPLE_IN_RANGE).max(1);
        let mut by_range: Vec<Vec<(Vec<Row>, usize)>> = (0..ranges).map(|_| Vec::new()).collect();
        let mut names = Vec::new();
        for (number, (dealt, places)) in parts.into_iter().enumerate() {
            names.push(places);
            for (range, blocks) in dealt.by_range.into_iter().enumerate() {
                by_range[range].extend(blocks.into_iter().map(|block| (block, number)));
            }
        }
        let sorted = by_range.into_par_iter().enumerate().map(|(range, parts)| {
            let first = range * PEOPLE_IN_RANGE;
            sort_range(first as u32, PEOPLE_IN_RANGE.min(people.saturating_sub(first)), &parts, &names)
        });
        Timelines { people, ranges: sorted.collect(), numbers: None }
    }

    /// The same timelines without some people, who have no events: `numbers` are those of the others, in order.
    pub fn keep(mut self, numbers: Vec<u32>) -> Timelines {
        self.people = numbers.len();
        self.numbers = Some(numbers);
        self
    }

    pub fn people(&self) -> usize {
        self.people
    }

    pub fn events(&self) -> usize {
        self.ranges.iter().map(|range| range.events.len()).sum()
    }

    #[inline]
    pub fn of(&self, person: u32) -> &[Event] {
        let person = self.numbers.as_ref().map_or(person, |numbers| numbers[person as usize]);
        let range = &self.ranges[person as usize / PEOPLE_IN_RANGE];
        let place = person as usize % PEOPLE_IN_RANGE;
        &range.events[range.starts[place] as usize..range.starts[place + 1] as usize]
    }
}

/// The events of a range of people, from the parts that have rows of it.
fn sort_range(first: u32, people: usize, parts: &[(Vec<Row>, usize)], names: &[Option<Vec<u32>>]) -> Range {
    let mut starts = vec![0u32; people + 1];
    for (rows, _) in parts {
        for row in rows {
            starts[(row.person - first) as usize + 1] += 1;
        }
    }
    for person in 0..people {
        starts[person + 1] += starts[person];
    }
    let mut next = starts.clone();
    let mut events = vec![Event::default(); starts[people] as usize];
    for (rows, part) in parts {
        let names = names[*part].as_deref();
        for row in rows {
            let concept = names.map_or(row.event.concept, |names| names[row.event.concept as usize]);
            let place = &mut next[(row.person - first) as usize];
            events[*place as usize] = Event { concept, ..row.event };
            *place += 1;
        }
    }
    for person in 0..people {
        let slice = &mut events[starts[person] as usize..starts[person + 1] as usize];
        if !slice.is_sorted() {
            slice.sort_unstable();
        }
    }
    Range { starts, events }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(person: u32, day: i32, concept: u32) -> Row {
        Row { person, event: Event { day, concept, ..Event::default() } }
    }

    #[test]
    fn slices_do_not_depend_on_the_order_of_rows_or_chunks() {
        let rows: Vec<Row> =
            (0..20_000u32).map(|n| row(n.wrapping_mul(7919) % 9_000, (n % 37) as i32, n % 5)).collect();
        let part = |rows: &[Row]| (rows.iter().copied().collect::<Dealt>(), None);
        let forward = Timelines::build(9_001, vec![part(&rows)]);
        let mut backward = rows.clone();
        backward.reverse();
        let (one, two) = backward.split_at(1_234);
        let other = Timelines::build(9_001, vec![part(one), part(&[]), part(two)]);
        assert_eq!(forward.events(), 20_000);
        for person in 0..9_001 {
            assert_eq!(forward.of(person), other.of(person));
            assert!(forward.of(person).is_sorted());
        }
        assert!(forward.of(9_000).is_empty());
    }

    #[test]
    fn no_rows_give_empty_slices() {
        let timelines = Timelines::build(3, Vec::new());
        assert_eq!(timelines.people(), 3);
        assert!(timelines.of(2).is_empty());
        assert_eq!(Timelines::build(0, Vec::new()).people(), 0);
    }
}
