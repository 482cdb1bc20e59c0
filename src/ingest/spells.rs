//! Spells from consultant episodes, by the published rules.
//!
//! An admission is a spell, never a row: a stay under several consultants is several rows, a year's end splits an
//! episode, a transfer starts a new spell elsewhere. Episodes are read, copies dropped, and each person's episodes at a
//! provider joined into spells. A spell becomes one `admission` event with what its first episode says, one `episode`
//! event for each of its episodes, and one `diagnosis` or `procedure` event for each distinct code and position.
//!
//! A row reaches an extract when its episode is finished, so an admission is known from the end of its first episode,
//! and a diagnosis from the end of the first episode that has it: an as-of date in the past sees no more than a run on
//! that date would have seen.

mod emit;

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::Result;
use arrow_array::ArrayRef;
use rayon::prelude::*;

use super::by_person::{ByPerson, OfPerson, by_range};
use super::classify::{self, BLANK, DOT, MARK, Reading, SMALL_LETTERS, ValueId, ValueReader};
use super::column::{BAD_DAY, DayReader, NO_DAY, for_each_text};
use super::counts::{Counts, Rule};
use super::events::{Context, Finished};
use super::files::Batch;
use super::layout::{DayColumn, EpisodeColumns, Field, FieldSystem, LayoutFile};
use super::lists::ListReader;
use super::months::{SentRows, Tally};
use super::people::{NOBODY, OPTED_OUT, PersonReader, UNKNOWN};
use crate::event::Event;
use crate::measure::evaluate::ones;
use emit::{Emitter, Part};

/// The streams that spells become.
pub const ADMISSION: &str = "admission";
/// Spells that follow each other by transfer, whatever the provider: one stay of a person in hospital.
pub const CONTINUOUS_SPELL: &str = "continuous_spell";
pub const EPISODE: &str = "episode";
pub const DIAGNOSIS: &str = "diagnosis";
pub const PROCEDURE: &str = "procedure";
/// All of them.
pub const STREAMS: [&str; 5] = [ADMISSION, CONTINUOUS_SPELL, EPISODE, DIAGNOSIS, PROCEDURE];
/// The field of `diagnosis` that says whether the code came first in its episode.
pub const POSITION: &str = "position";
pub const CODE: &str = "code";

/// One consultant episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Episode {
    person: u32,
    provider: ValueId,
    start: i32,
    end: i32,
    order: i32,
    transit: u8,
    admission: i32,
    discharge: i32,
    /// Cells that hold something.
    filled: u16,
    submitted: i32,
    key: u64,
    goes_on: bool,
    /// Pence, or [`Event::NO_AMOUNT`].
    amount: i32,
    /// Cells in the arena of its thread: first and number.
    cells: (u32, u16),
    thread: u16,
}

impl OfPerson for Episode {
    fn person(&self) -> u32 {
        self.person
    }
}

/// A non-blank cell of a field column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub column: u16,
    pub value: ValueId,
}

pub struct SpellReader<'a> {
    context: Context<'a>,
    columns: &'a EpisodeColumns,
    layout: &'a LayoutFile,
    wanted: Vec<(String, bool)>,
    /// Where the columns that are no fields stand in `wanted`, by the constants below.
    places: [Option<usize>; PLACES],
    /// For each wanted field column: the layout's field. A column of lists counts as two: its first codes, the others.
    field_columns: Vec<(usize, usize)>,
    /// The field of the primary diagnosis.
    primary: Option<usize>,
    /// Words of which a field has to have one, where the layout says so.
    keep: Vec<(usize, &'a [String])>,
    threads: Vec<Mutex<Option<Thread>>>,
}

/// The columns that are no fields.
const PERSON: usize = 0;
const ADMITTED: usize = 1;
const START: usize = 2;
const END: usize = 3;
const DISCHARGED: usize = 4;
const ORDER: usize = 5;
const STATUS: usize = 6;
const KEY: usize = 7;
const SUBMITTED: usize = 8;
const RAW_DISCHARGE: usize = 9;
const AMOUNT: usize = 10;
const PLACES: usize = 11;

struct Thread {
    people: PersonReader,
    days: [DayReader; 5],
    fields: Vec<ValueReader>,
    /// Episode order, status and discharge method as they stand in the file.
    plain: [ValueReader; 3],
    /// For each field column, the reader of its lists.
    lists: Vec<Option<ListReader>>,
    /// For each field column, whether its cells are counted by how their codes are written.
    counts_spellings: Vec<bool>,
    episodes: ByPerson<Episode>,
    cells: Vec<Cell>,
    counts: Counts,
    noted: Noted,
    sent: Tally,
}

/// Episodes that are read, copies among them, and worth knowing of.
#[derive(Default)]
struct Noted {
    codes_in_small_letters: u64,
    codes_with_a_dot: u64,
    codes_with_a_mark: u64,
    without_a_primary_diagnosis: u64,
    admission_day_of_the_episode: u64,
}

impl Noted {
    fn add_to(&self, counts: &mut Counts) {
        counts.note("codes_in_small_letters", self.codes_in_small_letters);
        counts.note("codes_with_a_dot", self.codes_with_a_dot);
        counts.note("codes_with_a_mark", self.codes_with_a_mark);
        counts.note("without_a_primary_diagnosis", self.without_a_primary_diagnosis);
        counts.note("admission_day_of_the_episode", self.admission_day_of_the_episode);
    }
}

impl<'a> SpellReader<'a> {
    /// `None` where no model asks about any stream that spells become.
    pub fn new(context: Context<'a>, layout: &'a LayoutFile) -> Option<SpellReader<'a>> {
        [ADMISSION, CONTINUOUS_SPELL, EPISODE, DIAGNOSIS, PROCEDURE]
            .iter()
            .find_map(|stream| context.plan.stream(stream))?;
        let columns = layout.episode.as_ref()?;
        let field = |name: &str| layout.fields.iter().position(|field| field.name == name);
        let discharge_method = field("discharge_method").and_then(|place| layout.fields[place].columns.first());
        let day = |day: &'a Option<DayColumn>| day.as_ref().map(|day| &day.column);
        let names: [Option<&String>; PLACES] = [
            Some(&layout.person.column),
            Some(&columns.admission.column),
            // A row that is a whole spell is one episode, from admission to discharge.
            day(&columns.start).or(Some(&columns.admission.column)),
            day(&columns.end).or(Some(&columns.discharge.column)),
            Some(&columns.discharge.column),
            columns.order.as_ref(),
            columns.status.as_ref(),
            columns.key.as_ref(),
            day(&columns.submitted),
            discharge_method,
            layout.amount.as_ref().map(|amount| &amount.column),
        ];
        let mut wanted: Vec<(String, bool)> = Vec::new();
        let mut want = |name: &String, optional: bool| {
            wanted.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                wanted.push((name.clone(), optional));
                wanted.len() - 1
            })
        };
        let places = names.map(|name| name.map(|name| want(name, false)));
        let mut field_columns = Vec::new();
        for (place, field) in layout.fields.iter().enumerate() {
            for column in &field.columns {
                let at = want(column, field.optional);
                field_columns.extend(std::iter::repeat_n((place, at), 1 + usize::from(field.list)));
            }
        }
        let keep = layout.keep.iter().filter_map(|keep| Some((field(&keep.field)?, keep.words.as_slice()))).collect();
        let threads = (0..rayon::current_num_threads() + 1).map(|_| Mutex::new(None)).collect();
        let primary = field("primary_diagnosis");
        Some(SpellReader { context, columns, layout, wanted, places, field_columns, primary, keep, threads })
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        &self.wanted
    }

    /// Takes one batch of episodes; may be called from any thread of the pool.
    ///
    /// # Errors
    /// A column of a type that cannot hold what it should.
    pub fn take(&self, batch: &Batch) -> Result<()> {
        let place = rayon::current_thread_index().map_or(0, |index| index + 1);
        let mut slot = self.threads[place].lock().expect("no thread panicked while it held its tables");
        slot.get_or_insert_with(|| self.new_thread()).take(self, batch)
    }

    fn new_thread(&self) -> Thread {
        let c = self.columns;
        let text = |null: &[String]| {
            let field = Field {
                name: String::new(),
                columns: Vec::new(),
                optional: false,
                system: FieldSystem::Text,
                characters: None,
                leading_zeros_ignored: true,
                null: null.to_vec(),
                others_missing: false,
                list: false,
                dictionary: None,
                entries: None,
                values: BTreeMap::new(),
            };
            ValueReader::new(&field, &self.context.library.sensitive)
        };
        let discharge = &c.discharge;
        let submitted = c.submitted.as_ref().unwrap_or(discharge);
        let days = [&c.admission, c.start.as_ref().unwrap_or(&c.admission), c.end.as_ref().unwrap_or(discharge)];
        let of_field = |field: &Field| {
            let mut reader = ValueReader::new(field, &self.context.library.sensitive);
            if classify::code_system(field.system).is_some() {
                reader.values.tell_spellings();
            }
            reader
        };
        Thread {
            people: PersonReader::default(),
            days: [days[0], days[1], days[2], discharge, submitted].map(DayReader::new),
            fields: self.layout.fields.iter().map(of_field).collect(),
            plain: [text(&c.order_null), text(&[]), text(&[])],
            lists: self.field_columns.iter().map(|(field, _)| ListReader::new(&self.layout.fields[*field])).collect(),
            counts_spellings: self.counts_spellings(),
            episodes: ByPerson::default(),
            cells: Vec::new(),
            counts: Counts::default(),
            noted: Noted::default(),
            sent: Tally::default(),
        }
    }

    /// For each field column, whether it is the last that reads codes from its place: a column that two fields read is
    /// counted once.
    fn counts_spellings(&self) -> Vec<bool> {
        let is_code = |field: usize| classify::code_system(self.layout.fields[field].system).is_some();
        let is_last = |number: usize, place: usize| {
            !self.field_columns[number + 1..].iter().any(|(field, other)| *other == place && is_code(*field))
        };
        let columns = self.field_columns.iter().enumerate();
        columns.map(|(number, (field, place))| is_code(*field) && is_last(number, *place)).collect()
    }

    fn field(&self, name: &str) -> Option<usize> {
        self.layout.fields.iter().position(|field| field.name == name)
    }

    /// The field of the provider; whole spells may come without one.
    fn provider_field(&self) -> Option<usize> {
        self.field(self.columns.provider_field.as_deref()?)
    }

    /// The code of a provider, from its number within a thread.
    fn provider_code(&self, thread: &Thread, number: ValueId) -> String {
        let Some(field) = self.provider_field() else { return String::new() };
        String::from_utf8_lossy(&thread.fields[field].values.values[number as usize].0).into_owned()
    }

    /// All spells as events, and the counts of all threads.
    pub fn finish(self) -> Finished {
        let mut threads = Vec::new();
        for slot in &self.threads {
            threads.extend(slot.lock().expect("no thread panicked").take());
        }
        let mut counts = Counts::default();
        let mut sent = SentRows::default();
        for thread in &threads {
            let provider = |number| self.provider_code(thread, number);
            sent.add(self.context.slots, &thread.sent, provider);
        }
        let values = FieldValues::merge(&self, &mut threads);
        let mut episodes = Vec::new();
        for thread in &mut threads {
            counts.add(std::mem::take(&mut thread.counts));
            thread.noted.add_to(&mut counts);
            episodes.push(std::mem::take(&mut thread.episodes));
        }
        let arenas: Vec<Vec<Cell>> = threads.into_iter().map(|thread| thread.cells).collect();
        let content = |episode: &Episode| {
            let (first, number) = episode.cells;
            &arenas[episode.thread as usize][first as usize..first as usize + usize::from(number)]
        };
        let emitter = Emitter::new(&self, &values);
        let of_thread = |thread: usize, episode: Episode| Episode {
            provider: values.providers.get(thread).map_or(0, |places| places[episode.provider as usize]),
            thread: thread as u16,
            ..episode
        };
        let parts = by_range(episodes).into_par_iter().fold(
            || (Part::new(self.context.spill), Vec::new()),
            |(mut part, mut held), range| {
                range.put_in_order(&mut held, of_thread);
                for all in held.chunk_by_mut(|one, two| one.person == two.person) {
                    take_person(&mut part, &emitter, all, &content);
                }
                (part, held)
            },
        );
        let mut finished = Finished { counts, sent, ..Finished::default() };
        for (part, _) in parts.collect::<Vec<(Part, Vec<Episode>)>>() {
            finished.counts.drop_rows(Rule::Duplicate, part.copies);
            finished.rows_of_people.extend(part.rows_of_people);
            finished.parts.push((part.concepts, part.rows));
        }
        finished.rows_of_people.sort_unstable();
        finished.counts.used += finished.rows_of_people.iter().map(|(_, rows)| u64::from(*rows)).sum::<u64>();
        finished
    }
}

/// Makes events of a person's episodes.
fn take_person<'c>(
    part: &mut Part,
    emitter: &Emitter,
    episodes: &mut [Episode],
    content: &impl Fn(&Episode) -> &'c [Cell],
) {
    // Ties that the rules leave are settled by content, so that the order of files does not matter.
    episodes
        .sort_unstable_by(|one, two| order_of(one).cmp(&order_of(two)).then_with(|| content(one).cmp(content(two))));
    let kept = drop_copies(episodes);
    part.copies += (episodes.len() - kept) as u64;
    let kept = &mut episodes[..kept];
    kept.sort_unstable_by(|one, two| {
        let key = |e: &Episode| (e.provider, e.start, e.end, e.order, e.transit, e.key, e.goes_on);
        key(one).cmp(&key(two)).then_with(|| content(one).cmp(content(two)))
    });
    part.rows_of_people.push((kept[0].person, kept.len() as u32));
    let spells: Vec<&[Episode]> = spells_of(kept).collect();
    for spell in &spells {
        part.emit(emitter, spell, content);
    }
    if let Some(stream) = &emitter.continuous {
        part.emit_continuous(emitter, stream, spells, content);
    }
}

/// The order of an episode that has none.
const NO_ORDER: i32 = u8::MAX as i32;

/// What makes two of a person's rows copies of one episode.
fn sameness(e: &Episode) -> impl Ord + use<> {
    (e.start, e.end, e.order, e.provider, e.transit, e.admission, e.discharge)
}

/// What makes two rows copies comes first; then which copy is kept: the last.
fn order_of(e: &Episode) -> impl Ord + use<> {
    (sameness(e), (e.filled, e.submitted, e.key, e.goes_on, e.amount))
}

/// Keeps the more complete of two copies, then the newer, then the last by key; how many a person's episodes are then,
/// which come first.
fn drop_copies(episodes: &mut [Episode]) -> usize {
    let mut kept = 0;
    for place in 1..episodes.len() {
        kept += usize::from(sameness(&episodes[kept]) != sameness(&episodes[place]));
        episodes[kept] = episodes[place];
    }
    (kept + 1).min(episodes.len())
}

/// A person's episodes, sorted within provider, cut into spells.
///
/// # Source
/// Same person and provider, and any of: the same admission date as the episode before; the same start as the one
/// before; the one before ended in a transfer marker and this one starts on its last day.
fn spells_of(episodes: &[Episode]) -> impl Iterator<Item = &[Episode]> {
    episodes.chunk_by(|before, next| {
        before.provider == next.provider
            && (before.admission == next.admission
                || before.start == next.start
                || (before.goes_on && next.start == before.end))
    })
}

/// The episode that tells how a spell ended: the highest order that is recorded, then the last to end.
///
/// # Source
/// Spell discharge fields come from the episode with the highest EPIORDER.
fn last_of(spell: &[Episode]) -> &Episode {
    let place = |episode: &&Episode| {
        let order = if episode.order == NO_ORDER { i32::MIN } else { episode.order };
        (order, episode.end, episode.start, episode.key)
    };
    spell.iter().max_by_key(place).expect("a spell has an episode")
}

/// The day of discharge, or the end of the last episode where none is recorded.
fn discharge_of(spell: &[Episode]) -> i32 {
    let last = last_of(spell);
    if last.discharge == NO_DAY { last.end } else { last.discharge.max(spell[0].admission) }
}

/// Whether a spell goes on in the next one, of any provider.
///
/// # Source
/// Continuous inpatient spell: the next begins within 3 days of the end of the one before, which ended in a transfer, or
/// the next began with one.
fn follows(before: &[Episode], next: &[Episode]) -> bool {
    let last = last_of(before);
    let is_transfer = matches!(last.transit, 1 | 2) || matches!(next[0].transit, 2 | 3);
    is_transfer && next[0].start <= last.end + 3
}

impl Thread {
    fn take(&mut self, reader: &SpellReader, batch: &Batch) -> Result<()> {
        self.counts.rows += batch.rows as u64;
        // The column of a part of an episode, and its name, where the layout has one.
        let column = |part: usize| -> Result<Option<(&ArrayRef, &str)>> {
            let Some(place) = reader.places[part] else { return Ok(None) };
            Ok(Some((batch.array(place)?, reader.wanted[place].0.as_str())))
        };
        let mut people = Vec::new();
        let place = reader.places[PERSON].expect("every layout has a person");
        self.people.read(batch.required(place), &reader.wanted[place].0, reader.context.spine, &mut people)?;
        let mut days = [const { Vec::new() }; 5];
        for ((part, days), reader) in
            [ADMITTED, START, END, DISCHARGED, SUBMITTED].into_iter().zip(&mut days).zip(&mut self.days)
        {
            match column(part)? {
                Some((array, name)) => reader.read(array, name, days)?,
                None => days.resize(batch.rows, NO_DAY),
            }
        }
        let mut plain = [const { Vec::new() }; 3];
        for ((part, out), reader) in [ORDER, STATUS, RAW_DISCHARGE].into_iter().zip(&mut plain).zip(&mut self.plain) {
            match column(part)? {
                Some((array, name)) => reader.read(array, name, out)?,
                None => out.resize(batch.rows, BLANK),
            }
        }
        let mut keys = Vec::with_capacity(batch.rows);
        match column(KEY)? {
            Some((array, name)) => {
                let array = super::column::plain(array)?;
                for_each_text(&array, name, |text| keys.push(text.map_or(0, key_number)))?;
            }
            None => keys.resize(batch.rows, 0),
        }
        let mut amounts = Vec::new();
        match (column(AMOUNT)?, &reader.layout.amount) {
            (Some((array, name)), Some(amount)) => {
                self.counts.bad_amounts += super::column::read_amounts(array, amount.unit, name, &mut amounts)?;
            }
            _ => amounts.resize(batch.rows, Event::NO_AMOUNT),
        }
        let mut values = vec![Vec::new(); reader.field_columns.len()];
        for (((field, place), out), list) in reader.field_columns.iter().zip(&mut values).zip(&mut self.lists) {
            let name = &reader.wanted[*place].0;
            match (&batch.columns[*place], list) {
                (Some(cells), Some(list)) => list.read(cells.array()?, name, &mut self.fields[*field], out)?,
                (Some(cells), None) => self.fields[*field].read_column(cells, name, out)?,
                (None, _) => out.resize(batch.rows, BLANK),
            }
        }
        let provider = reader.provider_field();
        let providers = reader.field_columns.iter().position(|(field, _)| Some(*field) == provider);
        for row in 0..batch.rows {
            // A row reaches an extract when its episode is finished.
            let (start, end) = (days[1][row], days[2][row]);
            let provider = providers.map_or(BLANK, |providers| values[providers][row]);
            self.sent.count(reader.context.slots, provider, start, start.max(end), 1);
        }
        let mut said = Said::new(batch.rows, values.len());
        values.iter().zip(&self.lists).enumerate().for_each(|(column, (of, list))| match list {
            Some(_) => said.add_column(column, of, |_| true),
            None => said.add_column(column, of, |value| value != BLANK),
        });
        for row in 0..batch.rows {
            let dates = [0, 1, 2, 3, 4].map(|column| days[column][row]);
            let plain = [0, 1, 2].map(|column| plain[column][row]);
            self.take_row(
                reader,
                (batch.file, batch.first_row + row as u64),
                people[row],
                dates,
                plain,
                (keys[row], amounts[row]),
                said.of(row).map(|column| (column, values[column][row])),
            );
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one episode")]
    fn take_row(
        &mut self,
        reader: &SpellReader,
        (file, row): (usize, u64),
        person: u32,
        [admission, start, end, discharge, submitted]: [i32; 5],
        [order, status, raw_discharge]: [ValueId; 3],
        (key, amount): (u64, i32),
        values: impl Iterator<Item = (usize, ValueId)>,
    ) {
        let c = reader.columns;
        let name = |part: usize| reader.places[part].map_or("", |place| reader.wanted[place].0.as_str());
        match person {
            UNKNOWN => return self.counts.drop_row(Rule::NotOnRegister),
            OPTED_OUT => return self.counts.drop_row(Rule::OptedOut),
            NOBODY => return self.counts.reject(file, row, name(PERSON), Rule::NoPerson),
            _ => {}
        }
        let is_finished =
            c.status.is_none() || &*self.plain[1].values.values[status as usize].0 == c.finished.as_bytes();
        // A spell without a discharge goes on: its row comes again when it has ended.
        if !is_finished || (c.end.is_none() && end == NO_DAY) {
            return self.counts.drop_row(Rule::UnfinishedEpisode);
        }
        for (day, column) in [(admission, ADMITTED), (start, START), (end, END), (discharge, DISCHARGED)] {
            if day == BAD_DAY {
                return self.counts.reject_row_of(Some(person), file, row, name(column), Rule::BadDate);
            }
        }
        if start == NO_DAY || end == NO_DAY {
            let missing = if start == NO_DAY { START } else { END };
            return self.counts.reject_row_of(Some(person), file, row, name(missing), Rule::NoDate);
        }
        if end < start {
            return self.counts.reject_row_of(Some(person), file, row, name(END), Rule::EndsBeforeItStarts);
        }
        let first_cell = self.cells.len();
        let mut spelt = [0; 3];
        for (column, cell) in values {
            let (field, place) = &reader.field_columns[column];
            if let Some(list) = &self.lists[column] {
                // The column stands twice: once for the codes that come first, once for the others.
                let comes_first = column == 0 || reader.field_columns[column - 1] != (*field, *place);
                list.add(cell, comes_first, column as u16, &mut self.cells);
                if comes_first {
                    let (left_out, name) = (list.left_out(cell), &reader.layout.fields[*field].name);
                    self.counts.leave_out(name, left_out.malformed, left_out.not_in_dictionary);
                    self.counts.sensitive_codes += left_out.sensitive;
                }
                continue;
            }
            match self.fields[*field].values.values[cell as usize].1 {
                Reading::Value => {
                    self.cells.push(Cell { column: column as u16, value: cell });
                    if self.counts_spellings[column] {
                        let spelling = self.fields[*field].values.spellings[cell as usize];
                        for (count, bit) in spelt.iter_mut().zip([SMALL_LETTERS, DOT, MARK]) {
                            *count += u64::from(spelling & bit != 0);
                        }
                    }
                }
                Reading::Blank => {}
                Reading::Sensitive => self.counts.sensitive_codes += 1,
                Reading::Malformed => self.counts.leave_out(&reader.layout.fields[*field].name, 1, 0),
                Reading::NotInDictionary => self.counts.leave_out(&reader.layout.fields[*field].name, 0, 1),
                Reading::OfAnotherSystem => {
                    let name = &reader.layout.fields[*field].name;
                    *self.counts.of_another_system.entry(name.clone()).or_default() += 1;
                }
                Reading::Unknown => {
                    self.cells.truncate(first_cell);
                    return self.counts.reject_row_of(
                        Some(person),
                        file,
                        row,
                        &reader.wanted[*place].0,
                        Rule::UnknownCode,
                    );
                }
            }
        }
        if reader.keep.iter().any(|(field, words)| !self.is_kept(reader, *field, words, first_cell)) {
            self.cells.truncate(first_cell);
            return self.counts.drop_row(Rule::NotOfThisKind);
        }
        let word = |field: &str| -> &[u8] {
            let Some(place) = reader.field(field) else { return &[] };
            let cell =
                self.cells[first_cell..].iter().find(|cell| reader.field_columns[usize::from(cell.column)].0 == place);
            cell.map_or(&[], |cell| &self.fields[place].values.values[cell.value as usize].0)
        };
        let is_one_of = |field: &str, words: &[String]| words.iter().any(|known| known.as_bytes() == word(field));
        let comes_in = is_one_of("source", &c.transfer_in_source) || is_one_of("method", &c.transfer_in_method);
        let goes_out = is_one_of("discharge_destination", &c.transfer_out_destination);
        let transit = match (goes_out, comes_in) {
            (false, false) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 3,
        };
        let order =
            std::str::from_utf8(&self.plain[0].values.values[order as usize].0).ok().and_then(|text| text.parse().ok());
        // A missing admission date is filled from the first episode of a stay that began here.
        let has_no_admission = admission == NO_DAY;
        let admission = match admission {
            NO_DAY if order == Some(1) && !comes_in => start,
            NO_DAY => return self.reject_at(first_cell, person, (file, row), name(ADMITTED), Rule::NoDate),
            day => day,
        };
        if discharge != NO_DAY && discharge < admission {
            return self.reject_at(first_cell, person, (file, row), name(DISCHARGED), Rule::EndsBeforeItStarts);
        }
        if admission >= reader.context.horizon.0 {
            self.cells.truncate(first_cell);
            return self.counts.drop_row(Rule::AfterLastAsOf);
        }
        let provider_field = reader.provider_field();
        let provider = self.cells[first_cell..]
            .iter()
            .find(|cell| Some(reader.field_columns[usize::from(cell.column)].0) == provider_field);
        let provider = match (provider, provider_field) {
            (Some(cell), _) => cell.value,
            (None, None) => BLANK,
            (None, Some(field)) => {
                return self.reject_at(
                    first_cell,
                    person,
                    (file, row),
                    &reader.layout.fields[field].name,
                    Rule::NoProvider,
                );
            }
        };
        let lacks_primary = reader.primary.is_some_and(|primary| {
            !self.cells[first_cell..].iter().any(|cell| reader.field_columns[usize::from(cell.column)].0 == primary)
        });
        let noted = &mut self.noted;
        noted.codes_in_small_letters += spelt[0];
        noted.codes_with_a_dot += spelt[1];
        noted.codes_with_a_mark += spelt[2];
        noted.without_a_primary_diagnosis += u64::from(lacks_primary);
        noted.admission_day_of_the_episode += u64::from(has_no_admission);
        let raw_discharge = &self.plain[2].values.values[raw_discharge as usize].0;
        let cells = (first_cell as u32, (self.cells.len() - first_cell) as u16);
        self.episodes.push(Episode {
            person,
            provider,
            start,
            end,
            order: order.unwrap_or(NO_ORDER),
            transit,
            admission,
            discharge,
            filled: cells.1,
            submitted,
            key,
            goes_on: c.unfinished_discharge.iter().any(|raw| raw.as_bytes() == &**raw_discharge),
            amount,
            cells,
            thread: 0,
        });
    }

    /// Whether one of a row's values of a field is among the words.
    fn is_kept(&self, reader: &SpellReader, field: usize, words: &[String], first_cell: usize) -> bool {
        let of_field =
            self.cells[first_cell..].iter().filter(|cell| reader.field_columns[usize::from(cell.column)].0 == field);
        let values = &self.fields[field].values.values;
        of_field.into_iter().any(|cell| words.iter().any(|word| word.as_bytes() == &*values[cell.value as usize].0))
    }

    fn reject_at(&mut self, first_cell: usize, person: u32, (file, row): (usize, u64), column: &str, rule: Rule) {
        self.cells.truncate(first_cell);
        self.counts.reject_row_of(Some(person), file, row, column, rule);
    }
}

/// Which columns of each row hold something: most of an episode's are empty.
struct Said {
    /// So many words a row, one bit a column.
    words: usize,
    bits: Vec<u64>,
}

impl Said {
    fn new(rows: usize, columns: usize) -> Said {
        let words = columns.div_ceil(u64::BITS as usize);
        Said { words, bits: vec![0; rows * words] }
    }

    fn add_column(&mut self, column: usize, values: &[ValueId], holds: impl Fn(ValueId) -> bool) {
        let (word, bit) = (column / u64::BITS as usize, column as u32 % u64::BITS);
        let rows = self.bits.iter_mut().skip(word).step_by(self.words);
        rows.zip(values).for_each(|(bits, value)| *bits |= u64::from(holds(*value)) << bit);
    }

    /// The columns of a row, in order.
    fn of(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        ones(&self.bits[row * self.words..(row + 1) * self.words])
    }
}

/// An episode key as a number: itself where it is one, else its hash.
fn key_number(text: &[u8]) -> u64 {
    let text = text.trim_ascii();
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| xxhash_rust::xxh3::xxh3_64(text))
}

/// The distinct values of each field over all threads, in order.
struct FieldValues {
    values: Vec<Vec<Box<[u8]>>>,
    /// For each thread, what its numbers of providers are here; empty where rows come without a provider.
    providers: Vec<Vec<ValueId>>,
}

impl FieldValues {
    /// Brings the threads' own numbers to common ones, in the order of the values.
    fn merge(reader: &SpellReader, threads: &mut [Thread]) -> FieldValues {
        let fields = reader.layout.fields.len();
        let mut values: Vec<Vec<Box<[u8]>>> = vec![Vec::new(); fields];
        for thread in threads.iter() {
            for (all, mine) in values.iter_mut().zip(&thread.fields) {
                all.extend(mine.values.values.iter().map(|(value, _)| value.clone()));
            }
        }
        for all in &mut values {
            all.push(Box::default());
            all.sort();
            all.dedup();
        }
        let provider = reader.provider_field();
        let mut providers = Vec::new();
        for thread in threads {
            let mut places: Vec<Vec<ValueId>> = thread
                .fields
                .iter()
                .zip(&values)
                .map(|(mine, all)| {
                    let place = |value: &[u8]| {
                        all.binary_search_by(|known| known[..].cmp(value)).expect("collected above") as ValueId
                    };
                    mine.values.values.iter().map(|(value, _)| place(value)).collect()
                })
                .collect();
            for cell in &mut thread.cells {
                cell.value = places[reader.field_columns[usize::from(cell.column)].0][cell.value as usize];
            }
            providers.extend(provider.map(|field| std::mem::take(&mut places[field])));
        }
        FieldValues { values, providers }
    }
}
