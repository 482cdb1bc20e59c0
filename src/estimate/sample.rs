//! Rows that are alike, brought together: a fit looks at each distinct row once, with how many people have it and how
//! many of them the outcome. The likelihood, and so every estimate, is the same as row by row.

use xxhash_rust::xxh3::xxh3_64;

use super::CHUNK;
use super::design::Design;
use rayon::prelude::*;

/// Distinct rows, in the order in which they are first met, fold by fold.
#[derive(Debug, Clone)]
pub struct Grouped {
    pub design: Design,
    /// How many people have the row.
    pub people: Vec<u32>,
    /// How many of them have the outcome.
    pub with: Vec<u32>,
    /// Which fold the row's people are in; people of several folds make several rows.
    pub folds: Vec<u8>,
}

impl Grouped {
    /// # Shape
    /// One outcome and one fold a row.
    pub fn new(design: &Design, events: &[bool], folds: &[u8]) -> Grouped {
        assert!(design.rows() == events.len() && design.rows() == folds.len(), "one outcome and one fold a row");
        let hash = |row: usize| {
            let (columns, values) = design.row(row);
            let mut bytes = Vec::with_capacity(columns.len() * 10 + 1);
            bytes.push(folds[row]);
            columns.iter().for_each(|column| bytes.extend(column.to_le_bytes()));
            values.iter().for_each(|value| bytes.extend(value.to_bits().to_le_bytes()));
            xxh3_64(&bytes)
        };
        let hashes: Vec<u64> = (0..design.rows()).into_par_iter().with_min_len(CHUNK).map(hash).collect();
        let mut table: hashbrown::HashTable<(u64, u32)> = hashbrown::HashTable::new();
        // The first row of each group.
        let mut firsts: Vec<u32> = Vec::new();
        let (mut people, mut with): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        for row in 0..design.rows() {
            let is_same = |known: &(u64, u32)| {
                let first = firsts[known.1 as usize] as usize;
                known.0 == hashes[row] && folds[first] == folds[row] && design.row(first) == design.row(row)
            };
            let group = match table.entry(hashes[row], is_same, |known| known.0) {
                hashbrown::hash_table::Entry::Occupied(known) => known.get().1,
                hashbrown::hash_table::Entry::Vacant(place) => {
                    place.insert((hashes[row], firsts.len() as u32));
                    firsts.push(row as u32);
                    people.push(0);
                    with.push(0);
                    firsts.len() as u32 - 1
                }
            };
            people[group as usize] += 1;
            with[group as usize] += u32::from(events[row]);
        }
        let folds = firsts.iter().map(|&first| folds[first as usize]).collect();
        Grouped { design: design.only(&firsts), people, with, folds }
    }

    pub fn rows(&self) -> usize {
        self.people.len()
    }

    /// The rows outside of a fold; everything where none is named.
    pub fn outside(&self, fold: Option<u8>) -> Grouped {
        let Some(fold) = fold else { return self.clone() };
        let rows: Vec<u32> = (0..self.rows() as u32).filter(|&row| self.folds[row as usize] != fold).collect();
        self.only(&rows)
    }

    pub fn inside(&self, fold: u8) -> Grouped {
        let rows: Vec<u32> = (0..self.rows() as u32).filter(|&row| self.folds[row as usize] == fold).collect();
        self.only(&rows)
    }

    fn only(&self, rows: &[u32]) -> Grouped {
        let of = |values: &[u32]| rows.iter().map(|&row| values[row as usize]).collect();
        Grouped {
            design: self.design.only(rows),
            people: of(&self.people),
            with: of(&self.with),
            folds: rows.iter().map(|&row| self.folds[row as usize]).collect(),
        }
    }

    pub fn all_people(&self) -> u64 {
        self.people.iter().map(|&people| u64::from(people)).sum()
    }

    pub fn all_with(&self) -> u64 {
        self.with.iter().map(|&with| u64::from(with)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_with_the_same_row_and_fold_are_one_row() {
        let mut design = Design::new(2);
        for row in [[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]] {
            design.push(row.into_iter().enumerate());
        }
        let grouped = Grouped::new(&design, &[true, false, false, true, true], &[0, 0, 0, 1, 0]);
        assert_eq!(grouped.people, [2, 1, 1, 1]);
        assert_eq!(grouped.with, [1, 0, 1, 1]);
        assert_eq!(grouped.folds, [0, 0, 1, 0]);
        assert_eq!((grouped.all_people(), grouped.all_with()), (5, 3));
        let outside = grouped.outside(Some(0));
        assert_eq!((outside.rows(), outside.people[0], outside.with[0]), (1, 1, 1));
        assert_eq!(grouped.inside(0).people, [2, 1, 1]);
    }
}
