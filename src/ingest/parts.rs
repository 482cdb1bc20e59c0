//! Registrations and deaths that stand in files beside the register: what it lacks about the people whom it has.
//!
//! A common data model keeps people, their periods and their deaths apart; elsewhere the national deaths come as a file
//! of their own. A row of someone whom the register does not have adds nobody, and is counted.

use std::sync::Mutex;

use anyhow::{Result, bail};

use super::column::{BAD_DAY, DayReader, NO_DAY};
use super::counts::{Counts, Rule};
use super::files::Batch;
use super::layout::{Builds, DayColumn, LayoutFile};
use super::register::{REGISTRATION_FLOOR, texts};
use crate::day::Day;
use crate::person::{Found, Spine, key_of};

/// A registration of the person with this key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RegistrationRow {
    pub key: u128,
    pub start: Day,
    pub end: Option<Day>,
    /// `None` where the register says it.
    pub practice: Option<String>,
}

/// What one part adds.
enum Rows {
    Registrations(Vec<RegistrationRow>),
    Deaths(Vec<(u128, Day)>),
}

/// Everything that parts add to a register, in order.
#[derive(Default)]
pub struct Parts {
    pub(super) registrations: Vec<RegistrationRow>,
    pub(super) deaths: Vec<(u128, Day)>,
    /// One a part, in the order given, and whose its used rows are.
    counts: Vec<(Counts, Vec<u128>)>,
}

impl Parts {
    pub fn new(readers: Vec<PartReader>) -> Parts {
        let mut parts = Parts::default();
        for reader in readers {
            let (rows, mut counts) = reader.rows.into_inner().expect("no thread panicked");
            match rows {
                Rows::Registrations(mut rows) => {
                    rows.sort_unstable();
                    let before = rows.len();
                    rows.dedup();
                    count_copies(&mut counts, before - rows.len());
                    parts.counts.push((counts, rows.iter().map(|row| row.key).collect()));
                    parts.registrations.append(&mut rows);
                }
                Rows::Deaths(mut rows) => {
                    rows.sort_unstable();
                    let before = rows.len();
                    rows.dedup();
                    count_copies(&mut counts, before - rows.len());
                    parts.counts.push((counts, rows.iter().map(|(key, _)| *key).collect()));
                    parts.deaths.append(&mut rows);
                }
            }
        }
        parts.registrations.sort_unstable();
        parts.deaths.sort_unstable();
        parts
    }

    /// The registrations of a person.
    pub(super) fn registrations_of(&self, key: u128) -> &[RegistrationRow] {
        let first = self.registrations.partition_point(|row| row.key < key);
        let number = self.registrations[first..].partition_point(|row| row.key == key);
        &self.registrations[first..first + number]
    }

    /// The first recorded death of a person.
    pub(super) fn death_of(&self, key: u128) -> Option<Day> {
        let first = self.deaths.partition_point(|(of, _)| *of < key);
        self.deaths.get(first).filter(|(of, _)| *of == key).map(|(_, day)| *day)
    }

    /// What became of each part's rows, once it is known who is on the register.
    pub fn counts(self, spine: &Spine) -> Vec<PartCounts> {
        let settle = |(mut counts, keys): (Counts, Vec<u128>)| {
            let mut people = Vec::new();
            for key in keys {
                let rule = match spine.find(key) {
                    Found::Person(person) => {
                        people.push(person);
                        continue;
                    }
                    Found::OptedOut => Rule::OptedOut,
                    Found::Unknown => Rule::NotOnRegister,
                };
                counts.used -= 1;
                counts.drop_row(rule);
            }
            PartCounts { counts, people }
        };
        self.counts.into_iter().map(settle).collect()
    }
}

/// What became of the rows of a part, and whose the used ones are.
pub struct PartCounts {
    pub counts: Counts,
    people: Vec<u32>,
}

impl PartCounts {
    /// Counts the rows of these people, who are in order, under the rule.
    pub fn leave_out(&mut self, people: &[u32], rule: Rule) {
        let rows = self.people.iter().filter(|person| people.binary_search(person).is_ok()).count() as u64;
        self.counts.used -= rows;
        self.counts.drop_rows(rule, rows);
    }
}

fn count_copies(counts: &mut Counts, copies: usize) {
    counts.used -= copies as u64;
    counts.drop_rows(Rule::Duplicate, copies as u64);
}

/// Reads the rows of one part.
pub struct PartReader<'a> {
    wanted: Vec<(String, bool)>,
    start: &'a DayColumn,
    end: Option<&'a DayColumn>,
    has_practice: bool,
    rows: Mutex<(Rows, Counts)>,
}

impl<'a> PartReader<'a> {
    /// # Errors
    /// A layout that adds nothing to a register.
    pub fn new(layout: &'a LayoutFile) -> Result<PartReader<'a>> {
        let (start, end, practice, rows) = match (layout.layout.builds, &layout.registration, &layout.day) {
            (Builds::Registrations, Some(of), _) => {
                (&of.start, of.end.as_ref(), of.practice.as_ref(), Rows::Registrations(Vec::new()))
            }
            (Builds::Deaths, _, Some(day)) => (day, None, None, Rows::Deaths(Vec::new())),
            _ => bail!("layout \"{}\" builds neither registrations nor deaths", layout.layout.id),
        };
        let columns = [Some(&layout.person.column), Some(&start.column), end.map(|end| &end.column), practice];
        let wanted = columns.into_iter().flatten().map(|name| (name.clone(), false)).collect();
        Ok(PartReader {
            wanted,
            start,
            end,
            has_practice: practice.is_some(),
            rows: Mutex::new((rows, Counts::default())),
        })
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        &self.wanted
    }

    /// Takes one batch of rows; may be called from any thread.
    pub fn take(&self, batch: &Batch) -> Result<()> {
        let column = |place: usize| batch.array(place);
        let days = |place: usize, of: &DayColumn| {
            let mut days = Vec::new();
            DayReader::new(of).read(column(place)?, &self.wanted[place].0, &mut days).map(|()| days)
        };
        let ids = texts(column(0)?, &self.wanted[0].0)?;
        let starts = days(1, self.start)?;
        let ends = self.end.map_or_else(|| Ok(vec![NO_DAY; batch.rows]), |end| days(2, end))?;
        let last = self.wanted.len() - 1;
        let practices = self.has_practice.then(|| texts(column(last)?, &self.wanted[last].0)).transpose()?;
        let mut held = self.rows.lock().expect("no thread panicked while it held the rows");
        let (rows, counts) = &mut *held;
        counts.rows += batch.rows as u64;
        for row in 0..batch.rows {
            let mut reject = |column: usize, rule| {
                counts.reject(batch.file, batch.first_row + row as u64, &self.wanted[column].0, rule);
            };
            let Some(id) = &ids[row] else {
                reject(0, Rule::NoPerson);
                continue;
            };
            let (start, end) = (starts[row], ends[row]);
            let is_death = matches!(rows, Rows::Deaths(_));
            let fault = match () {
                () if start == BAD_DAY => Some((1, Rule::BadDate)),
                () if end == BAD_DAY => Some((2, Rule::BadDate)),
                () if is_death && start == NO_DAY => Some((1, Rule::NoDate)),
                () if end != NO_DAY && end < start => Some((2, Rule::EndsBeforeItStarts)),
                () => None,
            };
            if let Some((column, rule)) = fault {
                reject(column, rule);
                continue;
            }
            counts.used += 1;
            let key = key_of(id.as_bytes());
            match rows {
                Rows::Deaths(deaths) => deaths.push((key, Day(start))),
                Rows::Registrations(registrations) => {
                    if start == NO_DAY {
                        *counts.defaulted.entry("registration_start".to_owned()).or_default() += 1;
                    }
                    registrations.push(RegistrationRow {
                        key,
                        start: if start == NO_DAY { REGISTRATION_FLOOR } else { Day(start) },
                        end: (end != NO_DAY).then_some(Day(end)),
                        practice: practices.as_ref().and_then(|practices| practices[row].clone()),
                    });
                }
            }
        }
        Ok(())
    }
}
