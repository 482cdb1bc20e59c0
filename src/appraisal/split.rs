//! Who is fitted on, and who is held back to test with: by a hash of the pseudonym, so that a person is on the same side
//! every time, whatever the order of files and whoever else is there.

use crate::estimate::bootstrap::mix;
use crate::person::{Spine, key_of};

/// Rows of a cast by the part that they play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u32>,
    pub test: Vec<u32>,
    /// One a row of `train`.
    pub folds: Vec<u8>,
}

impl Split {
    /// `test_share` of the people are held back; the others are dealt to folds.
    pub fn new(spine: &Spine, people: &[u32], test_share: f64, folds: u8, seed: u64) -> Split {
        let mut split = Split { train: Vec::new(), test: Vec::new(), folds: Vec::new() };
        for (row, &person) in people.iter().enumerate() {
            let key = key_of(spine.ids[person as usize].0.as_bytes());
            let hash = mix(key as u64 ^ mix((key >> 64) as u64 ^ mix(seed)));
            // 53 bits make a number from 0 to under 1 exactly.
            if (hash >> 11) as f64 / (1u64 << 53) as f64 <= test_share {
                split.test.push(row as u32);
            } else {
                split.train.push(row as u32);
                split.folds.push((mix(hash) % u64::from(folds.max(1))) as u8);
            }
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonId;

    #[test]
    #[allow(clippy::field_reassign_with_default, reason = "the table of keys is not made here")]
    fn a_person_is_on_the_same_side_whoever_else_is_there() {
        let ids: Vec<PersonId> = (0..10_000).map(|n| PersonId(format!("{n:05}").into())).collect();
        let mut spine = Spine::default();
        spine.ids = ids;
        let people: Vec<u32> = (0..10_000).collect();
        let all = Split::new(&spine, &people, 0.3, 5, 1);
        // Of a binomial number of 10,000 at 0.3 the standard deviation is 46.
        assert!((2_800..=3_200).contains(&all.test.len()), "{}", all.test.len());
        assert_eq!(all.test.len() + all.train.len(), 10_000);
        for fold in 0..5 {
            assert!(all.folds.iter().filter(|of| **of == fold).count() > 1_200);
        }
        let some: Vec<u32> = people.iter().copied().filter(|person| person % 3 == 0).collect();
        let part = Split::new(&spine, &some, 0.3, 5, 1);
        let test: Vec<u32> = part.test.iter().map(|&row| some[row as usize]).collect();
        assert_eq!(test, all.test.iter().copied().filter(|person| person % 3 == 0).collect::<Vec<_>>());
        assert_ne!(Split::new(&spine, &people, 0.3, 5, 2).test, all.test);
    }
}
