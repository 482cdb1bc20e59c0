//! The spine from the register, opt-outs and practices: the small tables that everything else hangs on.
//!
//! Opted-out people are taken out here, once, and counted; nothing of theirs is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use anyhow::{Result, bail};
use arrow_array::ArrayRef;
use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use super::column::{self, BAD_DAY, DayReader, NO_DAY, for_each_text};
use super::counts::{Counts, Rule};
use super::files::Batch;
use super::layout::{AmountUnit, DayColumn, LayoutFile, RegisterColumns};
use super::parts::Parts;
use crate::day::{Day, Month};
use crate::model::Sex;
use crate::person::{PersonId, Registration, Spine, WordColumn, key_of};

/// One row of a register. Its words are numbers: of the batch's words while it is read, and then places among all words
/// of the column in order, so that rows sort as their words do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RegisterRow {
    key: u128,
    id: Box<str>,
    /// Whether the row was used; of one that was not, only the pseudonym is kept.
    is_read: bool,
    /// Of several rows of a person, the one that began last tells birth, sex, area and the rest.
    start: Day,
    end: Option<Day>,
    practice: Option<u32>,
    birth: Option<Month>,
    sex: Option<Sex>,
    death: Option<Day>,
    area: Option<u32>,
    words: Box<[Option<u32>]>,
    numbers: Box<[i32]>,
}

/// A column's texts in one batch: each distinct one once, and the number of every row's.
#[derive(Default)]
struct Coded {
    words: Vec<String>,
    codes: Vec<Option<u32>>,
}

impl Coded {
    /// Trimmed texts; empty is none.
    fn read(array: &ArrayRef, name: &str) -> Result<Coded> {
        let plain = column::plain(array)?;
        let mut coded = Coded { words: Vec::new(), codes: Vec::with_capacity(plain.len()) };
        // A table that is only asked, never walked.
        let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
        for_each_text(&plain, name, |text| {
            let text = text.map(<[u8]>::trim_ascii).filter(|text| !text.is_empty());
            let code = text.map(|text| {
                *known.entry_ref(text).or_insert_with(|| {
                    coded.words.push(String::from_utf8_lossy(text).into_owned());
                    coded.words.len() as u32 - 1
                })
            });
            coded.codes.push(code);
        })?;
        Ok(coded)
    }

    /// What each row's word comes to, worked out once a word.
    fn rows<T: Copy>(&self, of_word: impl Fn(&str) -> T) -> impl Iterator<Item = Option<T>> {
        let of_words: Vec<T> = self.words.iter().map(|word| of_word(word)).collect();
        self.codes.iter().map(move |code| code.map(|code| of_words[code as usize]))
    }

    /// Takes words away that stand for none; returns of how many rows.
    fn take_away(&mut self, fillers: &[String]) -> u64 {
        let is_filler: Vec<bool> = self.words.iter().map(|word| fillers.contains(word)).collect();
        let mut rows = 0;
        for code in self.codes.iter_mut().filter(|code| code.is_some_and(|code| is_filler[code as usize])) {
            *code = None;
            rows += 1;
        }
        rows
    }

    /// The number of a word that no row need have.
    fn add(&mut self, word: &str) -> u32 {
        self.words.push(word.to_owned());
        self.words.len() as u32 - 1
    }
}

/// The words of one column over all batches, numbered as they are met.
#[derive(Default)]
struct Met {
    words: Vec<String>,
    /// Only asked, never walked.
    numbers: HashMap<String, u32>,
}

impl Met {
    /// The numbers of a batch's words.
    fn take(&mut self, words: &[String]) -> Vec<u32> {
        let number = |word: &String| {
            *self.numbers.entry_ref(word.as_str()).or_insert_with(|| {
                self.words.push(word.clone());
                self.words.len() as u32 - 1
            })
        };
        words.iter().map(number).collect()
    }

    /// The words in order, and the place of each number's among them.
    fn in_order(self) -> (Vec<String>, Vec<u32>) {
        let numbers = (0..self.words.len() as u32).collect();
        let column = WordColumn::of_places(&self.words, numbers);
        (column.words, column.places)
    }
}

/// One of something for each column of words.
#[derive(Default)]
struct OfColumns<T> {
    practice: T,
    area: T,
    words: Vec<T>,
}

impl<T> OfColumns<T> {
    fn map<U>(self, mut of: impl FnMut(T) -> U) -> OfColumns<U> {
        OfColumns { practice: of(self.practice), area: of(self.area), words: self.words.into_iter().map(of).collect() }
    }
}

impl OfColumns<Vec<u32>> {
    /// Puts a row's words by these numbers.
    fn renumber(&self, row: &mut RegisterRow) {
        let number = |code: &mut Option<u32>, numbers: &[u32]| *code = code.map(|code| numbers[code as usize]);
        number(&mut row.practice, &self.practice);
        number(&mut row.area, &self.area);
        row.words.iter_mut().zip(&self.words).for_each(|(code, numbers)| number(code, numbers));
    }
}

/// What was taken so far: rows by batch.
#[derive(Default)]
struct Collected {
    rows: Vec<Vec<RegisterRow>>,
    words: OfColumns<Met>,
    counts: Counts,
    rejected: Vec<RejectedRow>,
}

/// Nobody is older than this: the oldest person of whom it is certain was 122, and a birth that would make somebody older
/// than this many years is that of another century.
pub const AGE_YEARS_MAX: i32 = 120;

/// The start of a registration whose start is not recorded: a floor that GP systems themselves use.
pub const REGISTRATION_FLOOR: Day = Day(-25_567);

/// Whose a row is that breaks a rule: key, file and row.
type RejectedRow = (u128, usize, u64);

pub struct RegisterReader<'a> {
    columns: &'a RegisterColumns,
    wanted: Vec<(String, bool)>,
    places: Places,
    sexes: BTreeMap<String, Option<Sex>>,
    collected: Mutex<Collected>,
}

/// Where each column of a register stands in what is read.
struct Places {
    /// Month of birth, or year and month.
    birth: [Option<usize>; 3],
    sex: usize,
    practice: usize,
    /// First and last day of the registration, day of death.
    days: [Option<usize>; 3],
    area: Option<usize>,
    words: Vec<usize>,
    numbers: Vec<usize>,
}

impl<'a> RegisterReader<'a> {
    pub fn new(layout: &'a LayoutFile) -> Result<RegisterReader<'a>> {
        let Some(columns) = &layout.register else {
            bail!("layout \"{}\" has no [register], so it cannot be the register's", layout.layout.id)
        };
        let mut wanted = vec![layout.person.column.clone()];
        let mut want = |name: &String| {
            wanted.push(name.clone());
            wanted.len() - 1
        };
        let birth = [
            columns.birth_month.as_ref().map(|month| want(&month.column)),
            columns.birth.as_ref().map(|birth| want(&birth.year)),
            columns.birth.as_ref().map(|birth| want(&birth.month)),
        ];
        let days = [&columns.registration_start, &columns.registration_end, &columns.death];
        let places = Places {
            birth,
            sex: want(&columns.sex),
            practice: want(&columns.practice),
            days: days.map(|day| day.as_ref().map(|day| want(&day.column))),
            area: columns.area.as_ref().map(&mut want),
            words: columns.words.values().map(&mut want).collect(),
            numbers: columns.numbers.values().map(&mut want).collect(),
        };
        let mut sexes = BTreeMap::new();
        for (word, raws) in &columns.sex_values {
            let sex = match word.as_str() {
                "male" => Some(Sex::Male),
                "female" => Some(Sex::Female),
                _ => None,
            };
            sexes.extend(raws.iter().map(|raw| (raw.to_uppercase(), sex)));
        }
        let wanted = wanted.into_iter().map(|name| (name, false)).collect();
        let words = OfColumns { words: places.words.iter().map(|_| Met::default()).collect(), ..OfColumns::default() };
        let collected = Mutex::new(Collected { words, ..Collected::default() });
        Ok(RegisterReader { columns, wanted, places, sexes, collected })
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        &self.wanted
    }

    /// Takes one batch of rows; may be called from any thread.
    pub fn take(&self, batch: &Batch) -> Result<()> {
        let column = |place: usize| batch.array(place);
        let coded = |place: usize| Coded::read(column(place)?, &self.wanted[place].0);
        let days = |which: usize, of: &Option<DayColumn>, markers: &mut u64| match (self.places.days[which], of) {
            (Some(place), Some(of)) => {
                let (mut reader, mut days) = (DayReader::new(of), Vec::new());
                reader.read(column(place)?, &self.wanted[place].0, &mut days)?;
                *markers += reader.markers;
                anyhow::Ok(days)
            }
            _ => Ok(vec![NO_DAY; batch.rows]),
        };
        let (c, places) = (self.columns, &self.places);
        let ids = texts(column(0)?, &self.wanted[0].0)?;
        let sexes: Vec<Option<Option<Option<Sex>>>> =
            coded(places.sex)?.rows(|raw| self.sexes.get(&raw.to_uppercase()).copied()).collect();
        let (births, birth_place) = match (places.birth, &c.birth_month, &c.birth) {
            ([Some(place), ..], Some(of), _) => (months(column(place)?, &self.wanted[place].0, of)?, place),
            ([_, Some(year), Some(month)], _, Some(birth)) => {
                (birth_months(&coded(year)?, &coded(month)?, birth.month_otherwise), year)
            }
            _ => (vec![NO_DAY; batch.rows], 0),
        };
        let mut markers = 0;
        let starts = days(0, &c.registration_start, &mut markers)?;
        let ends = days(1, &c.registration_end, &mut markers)?;
        let deaths = days(2, &c.death, &mut markers)?;
        let mut of = OfColumns {
            practice: coded(places.practice)?,
            area: places.area.map_or_else(|| Ok(Coded::default()), coded)?,
            words: places.words.iter().map(|place| coded(*place)).collect::<Result<Vec<_>>>()?,
        };
        let mut numbers = vec![Vec::new(); c.numbers.len()];
        let mut bad_amounts = 0;
        for (place, out) in places.numbers.iter().zip(&mut numbers) {
            bad_amounts += column::read_amounts(column(*place)?, AmountUnit::Measured, &self.wanted[*place].0, out)?;
        }
        let mut counts = Counts::default();
        (counts.rows, counts.bad_amounts) = (batch.rows as u64, bad_amounts);
        counts.note("dates_that_stand_for_none", markers);
        counts.note("areas_that_stand_for_none", of.area.take_away(&c.area_null));
        counts.note("practices_that_stand_for_none", of.practice.take_away(&c.practice_null));
        let otherwise = c.practice_otherwise.as_ref().map(|practice| of.practice.add(practice));
        let (mut rows, mut rejected) = (Vec::with_capacity(batch.rows), Vec::new());
        let day_place = |which: usize| places.days[which].unwrap_or_default();
        for (row, id) in ids.into_iter().enumerate() {
            let at = batch.first_row + row as u64;
            let Some(id) = id else {
                counts.reject(batch.file, at, &self.wanted[0].0, Rule::NoPerson);
                continue;
            };
            let sex = sexes[row];
            let dates = [(births[row], birth_place), (starts[row], day_place(0)), (ends[row], day_place(1))];
            let dates = dates.into_iter().chain([(deaths[row], day_place(2))]);
            let bad_date =
                dates.into_iter().find(|(day, _)| *day == BAD_DAY).map(|(_, column)| (column, Rule::BadDate));
            let bad_sex = matches!(sex, Some(None)).then_some((places.sex, Rule::UnknownCode));
            let backwards = ends[row] != NO_DAY && ends[row] < starts[row];
            let fault = bad_date.or(bad_sex).or(backwards.then_some((day_place(1), Rule::EndsBeforeItStarts)));
            if let Some((column, rule)) = fault {
                // The row is not used, but its person is not lost: listed, though registered nowhere by this row.
                counts.reject(batch.file, at, &self.wanted[column].0, rule);
                rejected.push((key_of(id.as_bytes()), batch.file, at));
                rows.push(self.unread(id));
                continue;
            }
            let start = day(starts[row]).unwrap_or_else(|| {
                if c.registration_start.is_some() {
                    *counts.defaulted.entry("registration_start".to_owned()).or_default() += 1;
                }
                REGISTRATION_FLOOR
            });
            let practice = of.practice.codes[row];
            if practice.is_none() && otherwise.is_some() {
                *counts.defaulted.entry("practice".to_owned()).or_default() += 1;
            }
            counts.used += 1;
            rows.push(RegisterRow {
                key: key_of(id.as_bytes()),
                id: id.into(),
                is_read: true,
                start,
                end: day(ends[row]),
                practice: practice.or(otherwise),
                birth: (births[row] != NO_DAY).then(|| Month(births[row])),
                sex: sex.flatten().flatten(),
                death: day(deaths[row]),
                area: of.area.codes.get(row).copied().flatten(),
                words: of.words.iter().map(|words| words.codes[row]).collect(),
                numbers: numbers.iter().map(|numbers| numbers[row]).collect(),
            });
        }
        let mut collected = self.collected.lock().expect("no thread panicked while it held the register");
        let met = &mut collected.words;
        let numbers = OfColumns {
            practice: met.practice.take(&of.practice.words),
            area: met.area.take(&of.area.words),
            words: met.words.iter_mut().zip(&of.words).map(|(met, of)| met.take(&of.words)).collect(),
        };
        rows.iter_mut().for_each(|row| numbers.renumber(row));
        collected.rows.push(rows);
        collected.counts.add(counts);
        collected.rejected.append(&mut rejected);
        Ok(())
    }

    /// A row of which nothing can be used but whose it is.
    fn unread(&self, id: String) -> RegisterRow {
        RegisterRow {
            key: key_of(id.as_bytes()),
            id: id.into(),
            is_read: false,
            start: REGISTRATION_FLOOR,
            end: None,
            practice: None,
            birth: None,
            sex: None,
            death: None,
            area: None,
            words: vec![None; self.columns.words.len()].into(),
            numbers: vec![i32::MIN; self.columns.numbers.len()].into(),
        }
    }

    /// The spine, the counts of rows, and how many people were left out because they opted out; `horizon` is the last
    /// as-of day.
    ///
    /// # Boundaries
    /// A birth in a later month than the person's first registration, or more than [`AGE_YEARS_MAX`] years before the
    /// horizon, cannot be: it is counted, and the person's age is not known.
    pub fn finish(self, opted_out: &[u128], parts: &Parts, horizon: Day) -> Result<Register> {
        let collected = std::mem::take(&mut *self.collected.lock().expect("no thread panicked"));
        let Collected { rows: batches, words, mut counts, rejected } = collected;
        let in_order = words.map(Met::in_order);
        let places = OfColumns {
            practice: &in_order.practice.1,
            area: &in_order.area.1,
            words: in_order.words.iter().map(|(_, places)| places).collect(),
        };
        let places = places.map(Clone::clone);
        // Only asked, never walked.
        let out: HashSet<u128> = opted_out.iter().copied().collect();
        let mut people_out = BTreeSet::new();
        let mut rows = Vec::with_capacity(batches.iter().map(Vec::len).sum());
        for mut row in batches.into_iter().flatten() {
            if !out.contains(&row.key) {
                places.renumber(&mut row);
                rows.push(row);
                continue;
            }
            people_out.insert(row.key);
            if row.is_read {
                counts.used -= 1;
                counts.drop_row(Rule::OptedOut);
            }
        }
        rows.par_sort_unstable();
        let read = |rows: &[RegisterRow]| rows.iter().filter(|row| row.is_read).count() as u64;
        let before = read(&rows);
        rows.dedup();
        let copies = before - read(&rows);
        counts.used -= copies;
        counts.drop_rows(Rule::Duplicate, copies);
        let mut people: Vec<&[RegisterRow]> = rows.chunk_by(|one, two| one.key == two.key).collect();
        let spelled_twice = people.iter().filter(|rows| rows.iter().any(|row| row.id != rows[0].id)).count();
        if spelled_twice > 0 {
            bail!(
                "{spelled_twice} pseudonyms of the register differ from another only in capitals; pseudonyms are compared without regard to case, so they would become one person"
            );
        }
        sort_by_pseudonym(&mut people);
        let rows_of_people = people.iter().map(|rows| read(rows) as u32).collect();
        let mut spine = self.spine_of(&people, parts, &in_order.map(|(words, _)| words));
        let births = self.check_births(&people, &mut spine, horizon);
        counts.note("births_that_cannot_be", births);
        let later = spine.registrations.iter().filter(|period| period.start > horizon).count();
        counts.note("registrations_after_the_last_as_of_day", later as u64);
        counts.note("without_sex", rows.iter().filter(|row| row.is_read && row.sex.is_none()).count() as u64);
        counts.note("people_with_overlapping_registrations", overlapping(&spine));
        counts.note("registrations_from_1900", from_the_floor(&spine));
        if let Err(clashes) = spine.index_by(people.iter().map(|rows| rows[0].key), opted_out) {
            bail!("{clashes} pseudonyms cannot be told apart by their 128-bit keys");
        }
        let people_of_rejects = rejected.into_iter().map(|(key, file, row)| ((file, row), spine.find(key))).collect();
        counts.name_rejects(&people_of_rejects, Rule::OptedOut);
        Ok(Register { spine, counts, rows_of_people, opted_out: people_out.len() as u64 })
    }

    /// Takes births away that cannot be, and counts the rows that have them; another row's birth takes the place.
    fn check_births(&self, people: &[&[RegisterRow]], spine: &mut Spine, horizon: Day) -> u64 {
        let mut rows_that_cannot_be = 0;
        for (person, rows) in people.iter().enumerate() {
            let periods = spine.registration_starts[person] as usize..spine.registration_starts[person + 1] as usize;
            let starts = spine.registrations[periods].iter().map(|period| period.start);
            let first = starts.filter(|start| *start != REGISTRATION_FLOOR).min();
            let can_be = |birth: Month| {
                birth.age_years_on(horizon) <= AGE_YEARS_MAX && first.is_none_or(|first| !self.is_after(birth, first))
            };
            let wrong = rows.iter().filter(|row| row.birth.is_some_and(|birth| !can_be(birth))).count();
            if wrong > 0 {
                rows_that_cannot_be += wrong as u64;
                let born = &mut spine.births[person];
                *born = born.filter(|birth| can_be(*birth));
                *born = born.or_else(|| rows.iter().filter_map(|row| row.birth).find(|birth| can_be(*birth)));
            }
        }
        rows_that_cannot_be
    }

    /// Whether a birth is later than a registration: by the month, or by the year where the month may be an assumption.
    fn is_after(&self, birth: Month, start: Day) -> bool {
        match &self.columns.birth {
            Some(_) => birth.year() > start.month().year(),
            None => birth > start.month(),
        }
    }

    fn spine_of<'r>(&self, people: &[&'r [RegisterRow]], parts: &Parts, words: &OfColumns<Vec<String>>) -> Spine {
        let latest = |rows: &&'r [RegisterRow]| {
            let last = rows.iter().max_by(|one, two| (one.start, &one.practice).cmp(&(two.start, &two.practice)));
            last.expect("a person has a row")
        };
        let latest: Vec<&RegisterRow> = people.par_iter().map(latest).collect();
        let both = || people.par_iter().zip(&latest);
        let column = |words: &[String], place: &(dyn Fn(&RegisterRow) -> Option<u32> + Sync)| {
            let place = |row: &&RegisterRow| place(row).unwrap_or(WordColumn::MISSING);
            WordColumn::of_places(words, latest.par_iter().map(place).collect())
        };
        let mut spine = Spine::default();
        spine.ids = people.par_iter().map(|rows| PersonId(rows[0].id.clone())).collect();
        let birth = |row: &RegisterRow| row.birth;
        let sex = |row: &RegisterRow| row.sex;
        spine.births = both().map(|(rows, latest)| latest.birth.or_else(|| rows.iter().find_map(birth))).collect();
        spine.sexes = both().map(|(rows, latest)| latest.sex.or_else(|| rows.iter().find_map(sex))).collect();
        let deaths =
            |rows: &&[RegisterRow]| rows.iter().filter_map(|row| row.death).chain(parts.death_of(rows[0].key)).min();
        spine.deaths = people.par_iter().map(deaths).collect();
        spine.areas = column(&words.area, &|row| row.area);
        for (n, name) in self.columns.words.keys().enumerate() {
            spine.words.insert(name.clone(), column(&words.words[n], &|row| row.words[n]));
        }
        for (n, name) in self.columns.numbers.keys().enumerate() {
            spine.numbers.insert(name.clone(), latest.par_iter().map(|row| row.numbers[n]).collect());
        }
        self.register(people, &latest, parts, &words.practice, &mut spine);
        spine
    }

    /// Fills in the registrations, and the practices that they are with; `words` are the practices of all rows, in order.
    fn register(
        &self,
        people: &[&[RegisterRow]],
        latest: &[&RegisterRow],
        parts: &Parts,
        words: &[String],
        spine: &mut Spine,
    ) {
        let mut practices: Vec<String> = parts.registrations.iter().filter_map(|row| row.practice.clone()).collect();
        let had = people.iter().flat_map(|rows| rows.iter().filter_map(|row| row.practice)).collect();
        practices.extend(WordColumn::of_places(words, had).words);
        practices.sort_unstable();
        practices.dedup();
        let place = |word: &String| practices.binary_search(word).ok().map(|place| place as u32);
        let places: Vec<Option<u32>> = words.iter().map(place).collect();
        let of_row = |row: &RegisterRow| places[row.practice? as usize];
        let period = |start, end, practice: Option<u32>| practice.map(|practice| Registration { start, end, practice });
        let has_own = self.columns.registration_start.is_some();
        spine.registrations.reserve_exact(people.len());
        spine.registration_starts.reserve_exact(people.len() + 1);
        spine.registration_starts.push(0);
        let mut periods: Vec<Registration> = Vec::new();
        for (rows, latest) in people.iter().zip(latest) {
            let own = rows.iter().filter(|_| has_own).filter_map(|row| period(row.start, row.end, of_row(row)));
            let of_parts = parts.registrations_of(rows[0].key).iter().filter_map(|row| {
                period(row.start, row.end, row.practice.as_ref().map_or_else(|| of_row(latest), place))
            });
            periods.extend(own.chain(of_parts));
            periods.sort_unstable();
            periods.dedup();
            spine.registrations.append(&mut periods);
            spine.registration_starts.push(spine.registrations.len() as u32);
        }
        spine.practices = practices;
    }
}

/// Sorts people by pseudonym, of which the first eight bytes tell most apart without a look at the text.
fn sort_by_pseudonym(people: &mut Vec<&[RegisterRow]>) {
    let start = |id: &str| {
        let mut start = [0; 8];
        start.iter_mut().zip(id.bytes()).for_each(|(byte, of_id)| *byte = of_id);
        u64::from_be_bytes(start)
    };
    let mut keyed: Vec<(u64, &[RegisterRow])> = people.par_iter().map(|rows| (start(&rows[0].id), *rows)).collect();
    keyed.par_sort_unstable_by(|one, two| one.0.cmp(&two.0).then_with(|| one.1[0].id.cmp(&two.1[0].id)));
    *people = keyed.into_iter().map(|(_, rows)| rows).collect();
}

/// What the register came to.
pub struct Register {
    pub spine: Spine,
    pub counts: Counts,
    /// How many rows were used of each person of the spine.
    pub rows_of_people: Vec<u32>,
    /// How many people were left out because they are on the list of those who opted out.
    pub opted_out: u64,
}

/// People who are registered with two practices on one day: the registration that began last counts.
fn overlapping(spine: &Spine) -> u64 {
    let periods = spine.registration_starts.windows(2).map(|of| &spine.registrations[of[0] as usize..of[1] as usize]);
    let overlap = |periods: &[Registration]| {
        periods
            .windows(2)
            .any(|pair| pair[0].practice != pair[1].practice && pair[0].end.is_none_or(|end| end >= pair[1].start))
    };
    periods.filter(|periods| overlap(periods)).count() as u64
}

/// Registrations that begin on the day that GP systems write where they do not know.
fn from_the_floor(spine: &Spine) -> u64 {
    spine.registrations.iter().filter(|period| period.start == REGISTRATION_FLOOR).count() as u64
}

fn day(number: i32) -> Option<Day> {
    (number != NO_DAY).then_some(Day(number))
}

/// The trimmed text of every row; empty is none.
pub(super) fn texts(array: &ArrayRef, name: &str) -> Result<Vec<Option<String>>> {
    let plain = column::plain(array)?;
    let mut out = Vec::with_capacity(plain.len());
    for_each_text(&plain, name, |text| {
        let text = text.map(<[u8]>::trim_ascii).filter(|text| !text.is_empty());
        out.push(text.map(|text| String::from_utf8_lossy(text).into_owned()));
    })?;
    Ok(out)
}

/// Months of birth from years and months: [`NO_DAY`] without a year, [`BAD_DAY`] where there is no such month.
fn birth_months(years: &Coded, months: &Coded, month_otherwise: u32) -> Vec<i32> {
    let month = |(year, month): (Option<u32>, Option<Result<u32, _>>)| {
        let Some(year) = year else { return NO_DAY };
        let written =
            month.unwrap_or(Ok(month_otherwise)).map(|month| format!("{}-{month:02}", years.words[year as usize]));
        written.ok().and_then(|text| Month::parse(text.as_bytes())).map_or(BAD_DAY, |month| month.0)
    };
    let months = months.rows(|month| month.parse::<u32>().map_err(|_| BAD_DAY));
    years.codes.iter().copied().zip(months).map(month).collect()
}

/// Months as their numbers; `NO_DAY` where missing, `BAD_DAY` where no month.
fn months(array: &ArrayRef, name: &str, column: &DayColumn) -> Result<Vec<i32>> {
    if array.data_type().is_temporal() {
        let mut days = Vec::new();
        DayReader::new(column).read(array, name, &mut days)?;
        return Ok(days.into_iter().map(|day| if day <= BAD_DAY { day } else { Day(day).month().0 }).collect());
    }
    let nulls: Vec<Month> = column.null.iter().filter_map(|text| Month::parse(text.as_bytes())).collect();
    let month = |text: &str| {
        match Month::parse(text.as_bytes()).map_or_else(|| column::parse_day(text.as_bytes()), |month| month.0) {
            // A whole date, of which the month is kept.
            day if day > BAD_DAY && Month::parse(text.as_bytes()).is_none() => Day(day).month().0,
            month if nulls.contains(&Month(month)) => NO_DAY,
            other => other,
        }
    };
    Ok(Coded::read(array, name)?.rows(month).map(|month| month.unwrap_or(NO_DAY)).collect())
}

/// The pseudonyms of a list of people, as keys.
pub struct OptOutReader {
    wanted: Vec<(String, bool)>,
    keys: Mutex<(Vec<u128>, Counts)>,
}

impl OptOutReader {
    pub fn new(layout: &LayoutFile) -> OptOutReader {
        OptOutReader { wanted: vec![(layout.person.column.clone(), false)], keys: Mutex::default() }
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        &self.wanted
    }

    pub fn take(&self, batch: &Batch) -> Result<()> {
        let ids = texts(batch.array(0)?, &self.wanted[0].0)?;
        let mut collected = self.keys.lock().expect("no thread panicked");
        let (keys, counts) = &mut *collected;
        counts.rows += batch.rows as u64;
        for (row, id) in ids.into_iter().enumerate() {
            match id {
                Some(id) => {
                    counts.used += 1;
                    keys.push(key_of(id.as_bytes()));
                }
                None => counts.reject(batch.file, batch.first_row + row as u64, &self.wanted[0].0, Rule::NoPerson),
            }
        }
        Ok(())
    }

    pub fn finish(self) -> (Vec<u128>, Counts) {
        let (mut keys, counts) = self.keys.into_inner().expect("no thread panicked");
        keys.sort_unstable();
        keys.dedup();
        (keys, counts)
    }
}

/// Names and places of practices, by practice code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Practices {
    /// Names of what is known, in the layout's order.
    pub columns: Vec<String>,
    pub rows: PracticeRows,
}

impl Practices {
    pub fn value(&self, practice: &str, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|known| known == column)?;
        self.rows.get(practice)?[place].as_deref()
    }
}

type PracticeRows = BTreeMap<String, Vec<Option<String>>>;

pub struct PracticeReader {
    wanted: Vec<(String, bool)>,
    columns: Vec<String>,
    rows: Mutex<(PracticeRows, Counts)>,
}

impl PracticeReader {
    pub fn new(layout: &LayoutFile) -> PracticeReader {
        let fields = layout.fields.iter().filter_map(|field| Some((field.columns.first()?.clone(), field.optional)));
        PracticeReader {
            wanted: std::iter::once((layout.person.column.clone(), false)).chain(fields).collect(),
            columns: layout.fields.iter().map(|field| field.name.clone()).collect(),
            rows: Mutex::default(),
        }
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        &self.wanted
    }

    pub fn take(&self, batch: &Batch) -> Result<()> {
        let columns = batch
            .columns
            .iter()
            .zip(&self.wanted)
            .map(|(column, (name, _))| {
                column.as_ref().map_or_else(|| Ok(vec![None; batch.rows]), |column| texts(column.array()?, name))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut collected = self.rows.lock().expect("no thread panicked");
        let (rows, counts) = &mut *collected;
        counts.rows += batch.rows as u64;
        for row in 0..batch.rows {
            match &columns[0][row] {
                Some(practice) => {
                    counts.used += 1;
                    let known = columns[1..].iter().map(|column| column[row].clone()).collect();
                    // Two rows for one practice: the first in order, whatever the order of rows.
                    let kept = rows.entry(practice.clone()).or_insert_with(|| Vec::clone(&known));
                    if known < *kept {
                        *kept = known;
                    }
                }
                None => counts.reject(batch.file, batch.first_row + row as u64, &self.wanted[0].0, Rule::NoPractice),
            }
        }
        Ok(())
    }

    pub fn finish(self) -> (Practices, Counts) {
        let (rows, counts) = self.rows.into_inner().expect("no thread panicked");
        (Practices { columns: self.columns, rows }, counts)
    }
}
