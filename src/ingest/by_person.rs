//! Rows of people on their way to be looked at person by person, where copies or spells are to be found among them.
//!
//! Rows come in the order of files. Each thread deals its own out to ranges of people, and one range after another is
//! then put in order, which fits a core's cache: with all of them at once every row would be waited for.

/// Something about a person on the spine.
pub trait OfPerson: Copy {
    fn person(&self) -> u32;
}

/// Rows of one thread.
#[derive(Debug)]
pub struct ByPerson<T> {
    by_range: Vec<Vec<Vec<T>>>,
}

const PEOPLE_IN_RANGE: usize = 1 << 11;
/// Rows of a range lie in blocks of this many, which never move.
const ROWS_IN_BLOCK: usize = 256;

impl<T> Default for ByPerson<T> {
    fn default() -> ByPerson<T> {
        ByPerson { by_range: Vec::new() }
    }
}

impl<T: OfPerson> ByPerson<T> {
    pub fn push(&mut self, row: T) {
        let range = row.person() as usize / PEOPLE_IN_RANGE;
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
    }
}

/// The rows of several threads that are of one range of people.
pub struct OfRange<T> {
    first_person: u32,
    /// Each block with the number of the thread that it is of.
    blocks: Vec<(usize, Vec<T>)>,
}

/// The rows of all threads, range by range.
pub fn by_range<T>(threads: Vec<ByPerson<T>>) -> Vec<OfRange<T>> {
    let mut ranges: Vec<OfRange<T>> = Vec::new();
    for (thread, rows) in threads.into_iter().enumerate() {
        for (range, blocks) in rows.by_range.into_iter().enumerate() {
            if range == ranges.len() {
                ranges.push(OfRange { first_person: (range * PEOPLE_IN_RANGE) as u32, blocks: Vec::new() });
            }
            ranges[range].blocks.extend(blocks.into_iter().map(|block| (thread, block)));
        }
    }
    ranges
}

impl<T: OfPerson> OfRange<T> {
    /// Puts the rows person by person into `out`, those of one in no stated order; `of_thread` makes each what it is
    /// among all threads.
    pub fn put_in_order(self, out: &mut Vec<T>, of_thread: impl Fn(usize, T) -> T) {
        let place = |row: &T| (row.person() - self.first_person) as usize;
        let rows = || self.blocks.iter().flat_map(|(thread, block)| block.iter().map(move |row| (*thread, row)));
        // Behind each person the place of its first row, and when the rows are put, behind its last.
        let mut next = [0u32; PEOPLE_IN_RANGE + 1];
        rows().for_each(|(_, row)| next[place(row) + 1] += 1);
        for person in 1..next.len() {
            next[person] += next[person - 1];
        }
        out.clear();
        let Some((_, first)) = rows().next() else { return };
        out.resize(next[PEOPLE_IN_RANGE] as usize, *first);
        for (thread, row) in rows() {
            let next = &mut next[place(row)];
            out[*next as usize] = of_thread(thread, *row);
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Numbered(u32, u32, usize);

    impl OfPerson for Numbered {
        fn person(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn rows_of_all_threads_come_person_by_person() {
        let rows = |seed: u32| (0..5_000).map(move |row: u32| Numbered((row * seed) % 7_001, row, 0));
        let mut threads = vec![ByPerson::default(), ByPerson::default(), ByPerson::default()];
        rows(7_919).for_each(|row| threads[0].push(row));
        rows(104_729).for_each(|row| threads[2].push(row));
        let (mut found, mut held) = (Vec::new(), Vec::new());
        for range in by_range(threads) {
            range.put_in_order(&mut held, |thread, row| Numbered(row.0, row.1, thread));
            assert!(held.is_sorted_by_key(Numbered::person));
            found.append(&mut held);
        }
        assert!(found.is_sorted_by_key(Numbered::person) && found.len() == 10_000);
        let mut expected: Vec<Numbered> = rows(7_919).collect();
        expected.extend(rows(104_729).map(|row| Numbered(row.0, row.1, 2)));
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn no_rows_leave_none() {
        let mut held = vec![Numbered(1, 1, 1)];
        by_range(vec![ByPerson::<Numbered>::default()])
            .into_iter()
            .for_each(|range| range.put_in_order(&mut held, |_, row| row));
        OfRange::<Numbered> { first_person: 0, blocks: Vec::new() }.put_in_order(&mut held, |_, row| row);
        assert!(held.is_empty());
    }
}
