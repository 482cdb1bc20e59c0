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

impl Timelines {
    /// Timelines from rows in any order.
    ///
    /// # Shape
    /// In: rows in chunks, as threads made them. Out: people 0 to `people`, each with its slice; the slices do not
    /// depend on the order of rows or chunks.
    pub fn build(people: usize, chunks: Vec<Vec<Row>>) -> Timelines {
        let ranges = people.div_ceil(PEOPLE_IN_RANGE).max(1);
        let by_range = into_ranges(ranges, chunks);
        let sorted = by_range.into_par_iter().enumerate().map(|(range, rows)| {
            let first = range * PEOPLE_IN_RANGE;
            sort_range(first as u32, PEOPLE_IN_RANGE.min(people.saturating_sub(first)), rows)
        });
        Timelines { people, ranges: sorted.collect() }
    }

    pub fn people(&self) -> usize {
        self.people
    }

    pub fn events(&self) -> usize {
        self.ranges.iter().map(|range| range.events.len()).sum()
    }

    #[inline]
    pub fn of(&self, person: u32) -> &[Event] {
        let range = &self.ranges[person as usize / PEOPLE_IN_RANGE];
        let place = person as usize % PEOPLE_IN_RANGE;
        &range.events[range.starts[place] as usize..range.starts[place + 1] as usize]
    }
}

/// Rows dealt out to ranges of people; each chunk is freed once it is dealt.
fn into_ranges(ranges: usize, chunks: Vec<Vec<Row>>) -> Vec<Vec<Row>> {
    let parts: Vec<Vec<Vec<Row>>> = chunks
        .into_par_iter()
        .map(|chunk| {
            let mut counts = vec![0usize; ranges];
            for row in &chunk {
                counts[row.person as usize / PEOPLE_IN_RANGE] += 1;
            }
            let mut dealt: Vec<Vec<Row>> = counts.into_iter().map(Vec::with_capacity).collect();
            for row in chunk {
                dealt[row.person as usize / PEOPLE_IN_RANGE].push(row);
            }
            dealt
        })
        .collect();
    let mut by_range: Vec<Vec<Row>> = vec![Vec::new(); ranges];
    for part in parts {
        for (range, rows) in part.into_iter().enumerate() {
            if by_range[range].is_empty() {
                by_range[range] = rows;
            } else {
                by_range[range].extend_from_slice(&rows);
            }
        }
    }
    by_range
}

fn sort_range(first: u32, people: usize, rows: Vec<Row>) -> Range {
    let mut starts = vec![0u32; people + 1];
    for row in &rows {
        starts[(row.person - first) as usize + 1] += 1;
    }
    for person in 0..people {
        starts[person + 1] += starts[person];
    }
    let mut next = starts.clone();
    let mut events = vec![Event::default(); rows.len()];
    for row in &rows {
        let place = &mut next[(row.person - first) as usize];
        events[*place as usize] = row.event;
        *place += 1;
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
        let forward = Timelines::build(9_001, vec![rows.clone()]);
        let mut backward = rows.clone();
        backward.reverse();
        let (one, two) = backward.split_at(1_234);
        let other = Timelines::build(9_001, vec![one.to_vec(), Vec::new(), two.to_vec()]);
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
