//! People who opted out by a code in their GP record.
//!
//! A Type 1 opt-out is a code that a practice enters. Its rows are noticed while a source is read, whatever the models
//! ask about, and count from whenever they were entered: who has said no by the time of the run is in none of its dates,
//! nor in one of the past. A later code that takes the opt-out back counts, where the list has such codes.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{BAD_DAY, NO_DAY};
use crate::code::System;
use crate::event::{FieldKind, Streams};
use crate::measure::plan::{Concept, Plan, has_bit};
use crate::model::library::Library;
use crate::model::{Condition, Predicate};

/// The code list, and its categories.
pub const LIST: &str = "opt_out_codes";
const OPTED_OUT: &str = "type_1_opt_out";
const WITHDRAWN: &str = "type_1_opt_out_withdrawn";

/// The systems that practices enter codes in.
const SYSTEMS: [System; 3] = [System::Snomed, System::Read2, System::Ctv3];

/// What has to be in the plan: rows with an opt-out code, and rows that take one back, of every stream that practices
/// send.
pub fn predicates(streams: &Streams, library: &Library) -> Vec<Predicate> {
    let Some(list) = library.code_lists.get(LIST) else { return Vec::new() };
    let mut predicates = Vec::new();
    for (name, stream) in streams.streams.iter().filter(|(_, stream)| stream.by_practice) {
        let has_codes = |kind: &FieldKind| kind.systems().iter().any(|system| SYSTEMS.contains(system));
        for (field, _) in stream.fields.iter().filter(|(_, kind)| has_codes(kind)) {
            for category in [OPTED_OUT, WITHDRAWN].into_iter().filter(|name| list.category(name).is_some()) {
                predicates.push(predicate(name, field, category));
            }
        }
    }
    predicates
}

fn predicate(stream: &str, field: &str, category: &str) -> Predicate {
    let condition = Condition::In(vec![format!("{LIST}/{category}")]);
    Predicate { stream: stream.to_owned(), conditions: BTreeMap::from([(field.to_owned(), condition)]) }
}

/// Which predicates of a stream say that a row is an opt-out, or takes one back.
#[derive(Debug, Clone)]
pub struct OptOutCodes {
    out: Vec<usize>,
    withdrawn: Vec<usize>,
}

/// One entry in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptOutEntry {
    person: u32,
    day: i32,
    is_out: bool,
}

impl OptOutCodes {
    /// `None` where the stream has none.
    pub fn of(plan: &Plan, stream: usize) -> Option<OptOutCodes> {
        let places = |category: &str| -> Vec<usize> {
            let reference = [format!("{LIST}/{category}")];
            let is_asked = |condition: &Condition| matches!(condition, Condition::In(of) if of[..] == reference);
            let predicates = plan.streams[stream].predicates.iter().enumerate();
            let only = predicates.filter(|(_, predicate)| predicate.conditions.len() == 1);
            only.filter(|(_, predicate)| predicate.conditions.values().all(is_asked)).map(|(place, _)| place).collect()
        };
        let codes = OptOutCodes { out: places(OPTED_OUT), withdrawn: places(WITHDRAWN) };
        (!codes.out.is_empty()).then_some(codes)
    }

    /// What a row says of its person, if it says anything.
    #[inline]
    pub fn entry(&self, person: u32, day: i32, concept: &Concept) -> Option<OptOutEntry> {
        let meets = |places: &[usize]| places.iter().any(|place| has_bit(&concept.mask, *place));
        let is_out = meets(&self.out);
        (is_out || meets(&self.withdrawn)).then_some(OptOutEntry { person, day, is_out })
    }
}

/// The people whose last word is an opt-out, in order.
///
/// # Boundaries
/// Of an opt-out and its withdrawal on one day, the opt-out counts. An opt-out without a date counts always, a
/// withdrawal without one never.
pub fn people_out(mut entries: Vec<OptOutEntry>) -> Vec<u32> {
    let is_dated = |entry: &OptOutEntry| !matches!(entry.day, NO_DAY | BAD_DAY);
    for entry in entries.iter_mut().filter(|entry| entry.is_out && !is_dated(entry)) {
        entry.day = i32::MAX;
    }
    entries.retain(|entry| entry.is_out || is_dated(entry));
    // By person and day; of one day the opt-out comes last.
    entries.sort_unstable();
    let people = entries.chunk_by(|one, two| one.person == two.person);
    let out = people.filter_map(|entries| entries.last().filter(|last| last.is_out).map(|last| last.person));
    out.collect::<BTreeSet<u32>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(person: u32, day: i32, is_out: bool) -> OptOutEntry {
        OptOutEntry { person, day, is_out }
    }

    #[test]
    fn the_last_word_counts() {
        let entries = vec![
            entry(1, 100, true),
            entry(2, 100, true),
            entry(2, 200, false),
            entry(3, 100, false),
            entry(3, 200, true),
            entry(4, 100, true),
            entry(4, 100, false),
            entry(5, 300, false),
            entry(6, NO_DAY, true),
            entry(6, 300, false),
            entry(7, 100, true),
            entry(7, BAD_DAY, false),
        ];
        assert_eq!(people_out(entries), [1, 3, 4, 6, 7]);
        assert_eq!(people_out(Vec::new()), [0; 0]);
    }
}
