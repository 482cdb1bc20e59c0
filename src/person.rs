//! People: pseudonyms and the spine.
//!
//! The spine has one row per person on the register, in order of pseudonym, so that a person's number sorts as the
//! pseudonym does and a tie by person is a tie by number. What a person's standing is (registered, died, not yet
//! born) is asked for a day, never stored.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::day::{Day, Month, Months};
use crate::model::Sex;

/// A pseudonym as the sources write it. It never reaches a log, an error or an aggregate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub Box<str>);

impl std::fmt::Debug for PersonId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonId(..)")
    }
}

/// The 128-bit key that pseudonyms are found by.
///
/// # Boundaries
/// White space around a pseudonym and the case of its letters do not count: feeds of one body differ in both.
pub fn key_of(pseudonym: &[u8]) -> u128 {
    let trimmed = pseudonym.trim_ascii();
    if trimmed.iter().any(u8::is_ascii_uppercase) {
        return xxh3_128(&trimmed.to_ascii_lowercase());
    }
    xxh3_128(trimmed)
}

/// One stretch of registration with a practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registration {
    pub start: Day,
    /// The last day; `None` while it goes on.
    pub end: Option<Day>,
    /// Place in [`Spine::practices`].
    pub practice: u32,
}

/// Words about people, each distinct word once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordColumn {
    /// In order.
    pub words: Vec<String>,
    /// One a person; [`WordColumn::MISSING`] where nothing is recorded.
    pub places: Vec<u32>,
}

impl WordColumn {
    pub const MISSING: u32 = u32::MAX;

    /// The column of these values.
    pub fn new<'v>(values: impl Iterator<Item = Option<&'v str>>) -> WordColumn {
        // Numbered as they are met; a table that is only asked, never walked.
        let mut known: hashbrown::HashMap<&str, u32> = hashbrown::HashMap::new();
        let mut met: Vec<&str> = Vec::new();
        let number = |value: Option<&'v str>| {
            value.map_or(WordColumn::MISSING, |word| {
                *known.entry(word).or_insert_with(|| {
                    met.push(word);
                    met.len() as u32 - 1
                })
            })
        };
        let mut places: Vec<u32> = values.map(number).collect();
        let mut words = met.clone();
        words.sort_unstable();
        let sorted: Vec<u32> =
            met.iter().map(|word| words.binary_search(word).expect("the same words") as u32).collect();
        for place in places.iter_mut().filter(|place| **place != WordColumn::MISSING) {
            *place = sorted[*place as usize];
        }
        WordColumn { words: words.into_iter().map(str::to_owned).collect(), places }
    }

    /// The column of places among these words, in whatever order they are; of the words those that somebody has.
    ///
    /// # Missing
    /// A place beyond the words is that of nobody's.
    pub fn of_places<W: AsRef<str>>(words: &[W], mut places: Vec<u32>) -> WordColumn {
        let mut is_had = vec![false; words.len()];
        for &place in &places {
            if let Some(is_had) = is_had.get_mut(place as usize) {
                *is_had = true;
            }
        }
        let mut had: Vec<usize> = (0..words.len()).filter(|&place| is_had[place]).collect();
        had.sort_unstable_by_key(|&place| words[place].as_ref());
        let mut new_places = vec![WordColumn::MISSING; words.len()];
        let mut kept: Vec<String> = Vec::with_capacity(had.len());
        for place in had {
            let word = words[place].as_ref();
            if kept.last().is_none_or(|last| last != word) {
                kept.push(word.to_owned());
            }
            new_places[place] = kept.len() as u32 - 1;
        }
        for place in &mut places {
            *place = new_places.get(*place as usize).copied().unwrap_or(WordColumn::MISSING);
        }
        WordColumn { words: kept, places }
    }

    /// The column of these people, with the words that they have.
    pub fn picked(&self, people: &[u32]) -> WordColumn {
        WordColumn::of_places(&self.words, picked(&self.places, people))
    }

    pub fn of(&self, person: u32) -> Option<&str> {
        self.words.get(self.places[person as usize] as usize).map(String::as_str)
    }
}

/// A number about people, in thousandths; `i32::MIN` where nothing is recorded.
pub type NumberColumn = Vec<i32>;

#[derive(Debug, Default)]
pub struct Spine {
    /// In order.
    pub ids: Vec<PersonId>,
    pub births: Vec<Option<Month>>,
    pub sexes: Vec<Option<Sex>>,
    pub deaths: Vec<Option<Day>>,
    /// `registration_starts[p]..registration_starts[p + 1]` in `registrations`, in order.
    pub registration_starts: Vec<u32>,
    pub registrations: Vec<Registration>,
    /// Practice codes, in order.
    pub practices: Vec<String>,
    pub areas: WordColumn,
    pub words: BTreeMap<String, WordColumn>,
    pub numbers: BTreeMap<String, NumberColumn>,
    keys: Keys,
}

/// How a person stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Registered { practice: u32, days: i32 },
    Died,
    NotYetBorn,
    NotRegistered,
}

impl Standing {
    pub fn is_registered(self) -> bool {
        matches!(self, Standing::Registered { .. })
    }
}

impl Spine {
    /// Takes the key table from the pseudonyms; the last step of building a spine.
    ///
    /// # Errors
    /// The number of people who cannot be told apart, where two pseudonyms have one key.
    pub fn index(&mut self, opted_out: &[u128]) -> Result<(), usize> {
        let keys: Vec<u128> = self.ids.iter().map(|id| key_of(id.0.as_bytes())).collect();
        self.index_by(keys.into_iter(), opted_out)
    }

    /// The same from keys that are known already, one a person.
    ///
    /// # Errors
    /// As [`Spine::index`].
    pub fn index_by(&mut self, keys: impl ExactSizeIterator<Item = u128>, opted_out: &[u128]) -> Result<(), usize> {
        assert!(self.ids.is_sorted(), "the spine is sorted by pseudonym");
        assert_eq!(keys.len(), self.ids.len(), "a key a person");
        self.keys = Keys::new(keys, opted_out)?;
        Ok(())
    }

    /// Takes people out, who are in order, and leaves nothing of them but that their key is an opted-out one. Returns
    /// the numbers that the others had, in order.
    pub fn leave_out(&mut self, people: &[u32]) -> Vec<u32> {
        let kept: Vec<u32> = (0..self.people() as u32).filter(|person| people.binary_search(person).is_err()).collect();
        let mut new_numbers = vec![Keys::OPTED_OUT; self.people()];
        kept.iter().enumerate().for_each(|(new, old)| new_numbers[*old as usize] = new as u32);
        self.keys.renumber(&new_numbers);
        let (mut starts, mut registrations) = (vec![0], Vec::new());
        for &old in &kept {
            registrations.extend_from_slice(self.registrations_of(old));
            starts.push(registrations.len() as u32);
        }
        let practices =
            WordColumn::of_places(&self.practices, registrations.iter().map(|period| period.practice).collect());
        for (period, place) in registrations.iter_mut().zip(&practices.places) {
            period.practice = *place;
        }
        self.practices = practices.words;
        (self.registration_starts, self.registrations) = (starts, registrations);
        self.ids = kept.iter().map(|&old| self.ids[old as usize].clone()).collect();
        self.births = picked(&self.births, &kept);
        self.sexes = picked(&self.sexes, &kept);
        self.deaths = picked(&self.deaths, &kept);
        self.areas = self.areas.picked(&kept);
        self.words.values_mut().for_each(|column| *column = column.picked(&kept));
        self.numbers.values_mut().for_each(|column| *column = picked(column, &kept));
        kept
    }

    fn registrations_of(&self, person: u32) -> &[Registration] {
        let place = person as usize;
        &self.registrations[self.registration_starts[place] as usize..self.registration_starts[place + 1] as usize]
    }

    pub fn people(&self) -> usize {
        self.ids.len()
    }

    /// The spine of one person alone.
    pub fn only(&self, person: u32) -> Spine {
        let place = person as usize;
        let periods = self.registration_starts[place] as usize..self.registration_starts[place + 1] as usize;
        let word = |column: &WordColumn| WordColumn { words: column.words.clone(), places: vec![column.places[place]] };
        let mut spine = Spine {
            ids: vec![self.ids[place].clone()],
            births: vec![self.births[place]],
            sexes: vec![self.sexes[place]],
            deaths: vec![self.deaths[place]],
            registration_starts: vec![0, periods.len() as u32],
            registrations: self.registrations[periods].to_vec(),
            practices: self.practices.clone(),
            areas: word(&self.areas),
            words: self.words.iter().map(|(name, column)| (name.clone(), word(column))).collect(),
            numbers: self.numbers.iter().map(|(name, column)| (name.clone(), vec![column[place]])).collect(),
            keys: Keys::default(),
        };
        spine.index(&[]).expect("one person has one key");
        spine
    }

    pub fn find(&self, key: u128) -> Found {
        self.keys.find(key)
    }

    /// The practice that a person was with on a day; before and after all registrations the nearest one.
    pub fn practice_on(&self, person: u32, day: Day) -> Option<u32> {
        let place = person as usize;
        let periods =
            &self.registrations[self.registration_starts[place] as usize..self.registration_starts[place + 1] as usize];
        let begun = periods.iter().filter(|period| period.start <= day);
        begun
            .max_by_key(|period| (period.start, std::cmp::Reverse(period.practice)))
            .or(periods.first())
            .map(|period| period.practice)
    }

    /// A person's registration, age and life on the as-of day, as known before it.
    ///
    /// # Boundaries
    /// A death or deregistration on the as-of day is not yet known. Of overlapping registrations the one that started
    /// last counts; of those that started together, the practice first in code order.
    pub fn standing(&self, person: u32, as_of: Day) -> Standing {
        let place = person as usize;
        if self.deaths[place].is_some_and(|death| death < as_of) {
            return Standing::Died;
        }
        if self.births[place].is_some_and(|birth| birth > Months::shared().of(as_of.0)) {
            return Standing::NotYetBorn;
        }
        let mut found: Option<&Registration> = None;
        for period in self.registrations_of(person) {
            let covers = period.start <= as_of && period.end.is_none_or(|end| end >= as_of);
            let is_before = |other: &Registration| {
                (period.start, std::cmp::Reverse(period.practice)) > (other.start, std::cmp::Reverse(other.practice))
            };
            if covers && found.is_none_or(is_before) {
                found = Some(period);
            }
        }
        match found {
            Some(period) => Standing::Registered { practice: period.practice, days: as_of.0 - period.start.0 },
            None => Standing::NotRegistered,
        }
    }
}

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Person(u32),
    OptedOut,
    Unknown,
}

#[derive(Default)]
struct Keys {
    table: hashbrown::HashTable<(u128, u32)>,
}

impl Keys {
    const OPTED_OUT: u32 = u32::MAX;

    fn new(keys: impl ExactSizeIterator<Item = u128>, opted_out: &[u128]) -> Result<Keys, usize> {
        let mut table: hashbrown::HashTable<(u128, u32)> =
            hashbrown::HashTable::with_capacity(keys.len() + opted_out.len());
        let mut clashes = 0;
        let people = keys.enumerate().map(|(person, key)| (key, person as u32));
        for (key, person) in people.chain(opted_out.iter().map(|&key| (key, Keys::OPTED_OUT))) {
            match table.entry(short_hash(key), |known| known.0 == key, |known| short_hash(known.0)) {
                hashbrown::hash_table::Entry::Occupied(_) if person == Keys::OPTED_OUT => {}
                hashbrown::hash_table::Entry::Occupied(_) => clashes += 1,
                hashbrown::hash_table::Entry::Vacant(place) => drop(place.insert((key, person))),
            }
        }
        if clashes == 0 { Ok(Keys { table }) } else { Err(clashes) }
    }

    fn renumber(&mut self, new_numbers: &[u32]) {
        for (_, person) in self.table.iter_mut().filter(|(_, person)| *person != Keys::OPTED_OUT) {
            *person = new_numbers[*person as usize];
        }
    }

    fn find(&self, key: u128) -> Found {
        match self.table.find(short_hash(key), |known| known.0 == key) {
            Some((_, Keys::OPTED_OUT)) => Found::OptedOut,
            Some((_, person)) => Found::Person(*person),
            None => Found::Unknown,
        }
    }
}

fn picked<T: Copy>(column: &[T], people: &[u32]) -> Vec<T> {
    people.iter().map(|&person| column[person as usize]).collect()
}

fn short_hash(key: u128) -> u64 {
    key as u64
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.table.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_places_is_that_of_its_words() {
        let words = ["severe", "mild", "fit", "none", "mild"];
        let places = vec![0, 2, WordColumn::MISSING, 1, 4, 2];
        let by_words = WordColumn::new(places.iter().map(|&place: &u32| words.get(place as usize).copied()));
        assert_eq!(WordColumn::of_places(&words, places), by_words);
        assert_eq!(by_words.words, ["fit", "mild", "severe"], "in order, and nobody is none");
        let some = by_words.picked(&[5, 2, 0]);
        assert_eq!(
            (some.words, some.places),
            (vec!["fit".to_owned(), "severe".to_owned()], vec![0, WordColumn::MISSING, 1])
        );
    }

    fn spine(periods: &[(&str, Option<&str>, u32)], death: Option<&str>) -> Spine {
        let day = |text: &str| Day::parse(text.as_bytes()).unwrap();
        let mut registrations: Vec<_> = periods
            .iter()
            .map(|(start, end, practice)| Registration { start: day(start), end: end.map(day), practice: *practice })
            .collect();
        registrations.sort();
        let mut spine = Spine {
            ids: vec![PersonId("p".into())],
            births: vec![Month::parse(b"1950-04")],
            sexes: vec![None],
            deaths: vec![death.map(day)],
            registration_starts: vec![0, registrations.len() as u32],
            registrations,
            practices: vec!["A".to_owned(), "B".to_owned()],
            ..Spine::default()
        };
        spine.index(&[key_of(b"q")]).unwrap();
        spine
    }

    #[test]
    fn the_registration_that_started_last_counts() {
        let as_of = Day::parse(b"2016-04-01").unwrap();
        let overlapping = spine(&[("2000-01-01", None, 0), ("2016-03-02", None, 1)], None);
        assert_eq!(overlapping.standing(0, as_of), Standing::Registered { practice: 1, days: 30 });
        let tied = spine(&[("2016-03-02", None, 1), ("2016-03-02", None, 0)], None);
        assert_eq!(tied.standing(0, as_of), Standing::Registered { practice: 0, days: 30 });
        let ended_today = spine(&[("2000-01-01", Some("2016-04-01"), 0)], None);
        assert!(matches!(ended_today.standing(0, as_of), Standing::Registered { practice: 0, .. }));
        let ended_yesterday = spine(&[("2000-01-01", Some("2016-03-31"), 0)], None);
        assert_eq!(ended_yesterday.standing(0, as_of), Standing::NotRegistered);
    }

    #[test]
    fn a_death_on_the_as_of_day_is_not_yet_known() {
        let as_of = Day::parse(b"2016-04-01").unwrap();
        let periods = [("2000-01-01", None, 0)];
        assert_eq!(spine(&periods, Some("2016-03-31")).standing(0, as_of), Standing::Died);
        assert!(matches!(spine(&periods, Some("2016-04-01")).standing(0, as_of), Standing::Registered { .. }));
        assert_eq!(spine(&periods, None).standing(0, Day::parse(b"1950-03-31").unwrap()), Standing::NotYetBorn);
    }

    #[test]
    fn a_pseudonym_is_found_in_any_case_and_opted_out_people_are_told_from_strangers() {
        let spine = spine(&[], None);
        assert_eq!(spine.find(key_of(b" P ")), Found::Person(0));
        assert_eq!(spine.find(key_of(b"Q")), Found::OptedOut);
        assert_eq!(spine.find(key_of(b"r")), Found::Unknown);
    }
}
