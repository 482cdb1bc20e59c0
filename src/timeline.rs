//! Timelines: for each person, one contiguous slice of events, in order of day and then of the whole event.
//!
//! Built once a run by a counting sort into people; everything after is a pure function of a slice and an as-of day.
//! Where all events would not fit the memory that a run may take, rows are spilled to one file a shard of people while
//! they are read, and each shard's timelines are brought back one after another. Nothing here knows a model.

mod spill;

pub use spill::{Shards, Spill, Spilled};

use std::sync::Arc;

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
    /// The number of the first person, and how many there are.
    first: u32,
    people: usize,
    ranges: Vec<Range>,
    /// Where people were taken out: the place that each of the others has among all whose rows were sorted.
    places: Option<Vec<u32>>,
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
    /// By concept: rows that no date of the run looks back to, which are counted and not kept.
    passed_over: Vec<u64>,
    /// Where rows go that do not fit the memory.
    spilling: Option<Spilling>,
}

/// A thread's part in what is spilled.
#[derive(Debug)]
struct Spilling {
    spill: Arc<Spill>,
    /// Tells the rows of this thread's, whose concepts have numbers of their own.
    part: u32,
    /// Blocks that are held in memory.
    blocks: usize,
}

/// Rows in a block of [`Dealt`].
const ROWS_IN_BLOCK: usize = 512;
const BLOCK_BYTES: usize = ROWS_IN_BLOCK * size_of::<Row>();

impl Dealt {
    /// Rows that go to disk where there are too many of them for the memory.
    pub fn spilling(spill: Option<&Arc<Spill>>) -> Dealt {
        let spilling = spill.map(|spill| Spilling { spill: spill.clone(), part: spill.new_part(), blocks: 0 });
        Dealt { spilling, ..Dealt::default() }
    }

    #[inline]
    pub fn push(&mut self, row: Row) {
        let range = row.person as usize / PEOPLE_IN_RANGE;
        if range >= self.by_range.len() {
            self.by_range.resize_with(range + 1, Vec::new);
        }
        let blocks = &mut self.by_range[range];
        match blocks.last_mut() {
            Some(block) if block.len() < ROWS_IN_BLOCK => block.push(row),
            _ => self.push_in_new_block(range, row),
        }
        self.rows += 1;
    }

    /// Counts a row that no date of the run looks back to.
    pub fn pass_over(&mut self, concept: u32) {
        let concept = concept as usize;
        if concept >= self.passed_over.len() {
            self.passed_over.resize(concept + 1, 0);
        }
        self.passed_over[concept] += 1;
    }

    /// By concept, as far as there are any: rows that were not kept.
    pub fn passed_over(&self) -> &[u64] {
        &self.passed_over
    }

    /// Takes out the rows of some people, who are in order; how many they were.
    pub fn remove(&mut self, people: &[u32]) -> u64 {
        let mut removed = 0;
        for block in self.by_range.iter_mut().flatten() {
            let rows = block.len();
            block.retain(|row| people.binary_search(&row.person).is_err());
            removed += rows - block.len();
        }
        if let Some(spilling) = &self.spilling {
            removed += spilling.spill.remove(spilling.part, people);
        }
        self.rows -= removed;
        removed as u64
    }

    #[cold]
    fn push_in_new_block(&mut self, range: usize, row: Row) {
        if let Some(spilling) = &mut self.spilling {
            spilling.blocks += 1;
            if spilling.spill.is_full_with(BLOCK_BYTES, spilling.blocks * BLOCK_BYTES) {
                self.write_out();
            }
        }
        let mut block = Vec::with_capacity(ROWS_IN_BLOCK);
        block.push(row);
        self.by_range[range].push(block);
    }

    /// Writes the rows that are held in memory to their shards.
    fn write_out(&mut self) {
        let Some(spilling) = &mut self.spilling else { return };
        spilling.spill.write(spilling.part, self.by_range.iter_mut().flat_map(std::mem::take));
        spilling.spill.release(spilling.blocks * BLOCK_BYTES);
        spilling.blocks = 0;
    }

    /// How many rows there are, wherever they are.
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

/// Blocks of rows of some people, each with the number of the part that it is of.
type Blocks = Vec<(Vec<Row>, usize)>;

impl Timelines {
    /// Timelines from rows in any order.
    ///
    /// # Shape
    /// In: parts as threads made them, each with what its concepts are called in the whole; `None` leaves them as they
    /// are. Out: people 0 to `people`, each with its slice; the slices do not depend on the order of rows or parts.
    pub fn build(people: usize, parts: Vec<(Dealt, Option<Vec<u32>>)>) -> Timelines {
        let ranges = people.div_ceil(PEOPLE_IN_RANGE).max(1);
        let mut by_range: Vec<Blocks> = (0..ranges).map(|_| Vec::new()).collect();
        let mut names = Vec::new();
        for (number, (dealt, places)) in parts.into_iter().enumerate() {
            names.push(places);
            for (range, blocks) in dealt.by_range.into_iter().enumerate() {
                by_range[range].extend(blocks.into_iter().map(|block| (block, number)));
            }
        }
        Timelines::of_ranges(0, people, PEOPLE_IN_RANGE, by_range, &names)
    }

    /// Timelines of `people` people from number `first` on, whose rows lie in ranges of so many people.
    fn of_ranges(
        first: usize,
        people: usize,
        in_range: usize,
        by_range: Vec<Blocks>,
        names: &[Option<Vec<u32>>],
    ) -> Timelines {
        let sorted = by_range.into_par_iter().enumerate().map_init(Vec::new, |keys, (range, parts)| {
            let before = range * in_range;
            sort_range((first + before) as u32, in_range.min(people.saturating_sub(before)), &parts, names, keys)
        });
        Timelines { first: first as u32, people, ranges: sorted.collect(), places: None }
    }

    /// The same timelines without some people, who have no events: `numbers` are those that the others had, in order.
    pub fn keep(mut self, numbers: Vec<u32>) -> Timelines {
        self.people = numbers.len();
        self.places = Some(numbers);
        self
    }

    pub fn people(&self) -> usize {
        self.people
    }

    /// The people's numbers, in order.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.people as u32
    }

    pub fn events(&self) -> usize {
        self.ranges.iter().map(|range| range.events.len()).sum()
    }

    #[inline]
    pub fn of(&self, person: u32) -> &[Event] {
        let mut number = (person - self.first) as usize;
        if let Some(places) = &self.places {
            number = places[number] as usize;
        }
        let range = &self.ranges[number / PEOPLE_IN_RANGE];
        let place = number % PEOPLE_IN_RANGE;
        &range.events[range.starts[place] as usize..range.starts[place + 1] as usize]
    }
}

/// Some of everybody's events, picked out once because they are asked for again and again.
#[derive(Debug, Default)]
pub struct Picked {
    /// Where each person's events end, for the people that were looked at so far.
    ends: Vec<u32>,
    events: Vec<Event>,
}

impl Picked {
    /// Adds what is picked of the people of some timelines, who follow those that were looked at before.
    pub fn take(&mut self, timelines: &Timelines, picks: impl Fn(&Event) -> bool + Sync) {
        const PEOPLE_AT_ONCE: usize = 1 << 12;
        let people: Vec<u32> = timelines.numbers().collect();
        let picked = people.par_chunks(PEOPLE_AT_ONCE).map(|people| {
            let (mut ends, mut events) = (Vec::with_capacity(people.len()), Vec::new());
            for &person in people {
                events.extend(timelines.of(person).iter().filter(|event| picks(event)));
                ends.push(events.len() as u32);
            }
            (ends, events)
        });
        for (ends, mut events) in picked.collect::<Vec<(Vec<u32>, Vec<Event>)>>() {
            let before = self.events.len() as u32;
            self.ends.extend(ends.into_iter().map(|end| before + end));
            self.events.append(&mut events);
        }
    }

    /// What was picked of a person's, in order.
    #[inline]
    pub fn of(&self, person: u32) -> &[Event] {
        let person = person as usize;
        let start = if person == 0 { 0 } else { self.ends[person - 1] };
        &self.events[start as usize..self.ends[person] as usize]
    }
}

/// The events of a range of people, from the parts that have rows of it; `keys` is room that is used again.
fn sort_range(
    first: u32,
    people: usize,
    parts: &[(Vec<Row>, usize)],
    names: &[Option<Vec<u32>>],
    keys: &mut Vec<u128>,
) -> Range {
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
    let rows = starts[people] as usize;
    keys.resize(keys.len().max(rows), 0);
    let keys = &mut keys[..rows];
    for (rows, part) in parts {
        let names = names[*part].as_deref();
        for row in rows {
            let concept = names.map_or(row.event.concept, |names| names[row.event.concept as usize]);
            let place = &mut next[(row.person - first) as usize];
            keys[*place as usize] = Event { concept, ..row.event }.key();
            *place += 1;
        }
    }
    // Sorting numbers takes no branch; merging the runs that sources in order of day leave of each person took longer.
    for person in 0..people {
        keys[starts[person] as usize..starts[person + 1] as usize].sort_unstable();
    }
    Range { starts, events: keys.iter().copied().map(Event::of_key).collect() }
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
