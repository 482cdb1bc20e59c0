//! Rows that are events or intervals: one row, one event.
//!
//! Each thread reads batches with tables of its own; [`EventReader::finish`] brings the threads together. The order
//! of checks is the order of what they cost: what the row is, then whose, then when.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use arrow_array::ArrayRef;
use rayon::prelude::*;

use super::by_person::{ByPerson, OfPerson, by_range};
use super::classify::{self, BLANK, IRRELEVANT, Reading, RowConcepts, ValueId, ValueReader};
use super::coded::Keyed;
use super::column::{self, AmountReader, BAD_DAY, DayReader, Days, KnownDictionary, NO_DAY, for_each_text};
use super::counts::{Counts, Rule};
use super::files::Batch;
use super::layout::{self, Builds, Covers, DayColumn, FieldSystem, LayoutFile};
use super::months::{SentRows, Slots, Tally};
use super::opt_out_codes::{OptOutCodes, OptOutEntry};
use super::people::{NOBODY, OPTED_OUT, PersonReader, UNKNOWN};
use super::weekly::WeeklyReader;
use crate::day::Day;
use crate::event::Event;
use crate::measure::plan::{Concept, Plan};
use crate::model::library::Library;
use crate::person::Spine;
use crate::timeline::{Dealt, Row, Spill};

/// What every reader of a run needs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub plan: &'a Plan,
    pub library: &'a Library,
    pub spine: &'a Spine,
    /// Events from here on are not read.
    pub horizon: Day,
    /// What rows are counted in, by sender.
    pub slots: &'a Slots,
    /// Where events go that do not fit the memory, if they may go anywhere.
    pub spill: Option<&'a Arc<Spill>>,
}

impl Context<'_> {
    /// The first day on which an event of the concept matters to some date of the run.
    pub fn first_day_of(&self, concept: &Concept) -> i32 {
        match self.plan.reach_days(concept) {
            i32::MAX => i32::MIN,
            days => self.slots.first_as_of().0 - days,
        }
    }
}

/// A row that may have copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    person: u32,
    key: u64,
    /// Minutes since midnight where copies are near each other in time; else the same for all.
    minute: i32,
    newest: i32,
    /// Higher for what its layout prefers.
    preferred: u16,
    /// How much the row says, then what: decides between copies, whatever the run's models ask about.
    filled: u16,
    content: u64,
    event: Event,
}

impl OfPerson for Candidate {
    fn person(&self) -> u32 {
        self.person
    }
}

/// Reads the rows of one source, on any number of threads.
pub struct EventReader<'a> {
    context: Context<'a>,
    layout: &'a LayoutFile,
    shape: Shape,
    opt_out_codes: Option<OptOutCodes>,
    threads: Vec<Mutex<Option<Thread>>>,
}

/// Which columns are read, and what for.
struct Shape {
    stream: usize,
    /// The layout's fields that are read, each with its columns.
    fields: Vec<FieldShape>,
    wanted: Vec<(String, bool)>,
    person: usize,
    day: usize,
    recorded: Option<usize>,
    end: Option<usize>,
    ended_by: Option<usize>,
    amount: Option<usize>,
    /// Frequency and planned units, where the amount is the price of a unit.
    weekly: Option<[usize; 2]>,
    newest: Option<usize>,
    prefer: Option<usize>,
    time: Option<usize>,
    duplicate_key: Vec<KeyPart>,
    /// The layout's field and the column that say who sent a row.
    sender: Option<(usize, usize)>,
}

/// A column by which copies of a row are known, as it is compared.
struct KeyPart {
    column: usize,
    compared: Compared,
}

enum Compared {
    /// As the day that it says.
    Day(DayColumn),
    /// In the normal form of this field of the layout.
    Field(usize),
    /// As text, without the white space around it.
    Text,
}

/// Reads one part of the key, into what it has for every row.
enum KeyReader {
    Day(Box<DayReader>, Days, Vec<i32>),
    Field(Box<ValueReader>, Vec<ValueId>),
    Text,
}

impl KeyPart {
    fn new(column: usize, name: &str, layout: &LayoutFile) -> KeyPart {
        let day = [&layout.day, &layout.end, &layout.recorded].into_iter().flatten().find(|day| day.column == name);
        let field = layout.fields.iter().position(|field| field.columns.iter().any(|of| of == name));
        let compared = match (day, field) {
            (Some(day), _) => Compared::Day(day.clone()),
            // Words lump raw values together; copies agree in the raw value itself.
            (None, Some(field)) if layout.fields[field].system != FieldSystem::Words => Compared::Field(field),
            (None, Some(_)) => Compared::Text,
            (None, None) => Compared::Text,
        };
        KeyPart { column, compared }
    }
}

struct FieldShape {
    /// Place in the layout.
    layout: usize,
    /// Place in the stream plan, where models ask about it.
    planned: Option<usize>,
    /// Words of which a row has to have one, where the layout says so.
    keep: Option<Vec<Box<[u8]>>>,
    columns: Vec<usize>,
}

impl Shape {
    /// `None` where no model asks about the layout's stream.
    fn new(layout: &LayoutFile, plan: &Plan) -> Option<Shape> {
        let stream = plan.stream(layout.layout.stream.as_deref()?)?;
        let mut wanted: Vec<(String, bool)> = Vec::new();
        let mut want = |name: &str, optional: bool| {
            wanted.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                wanted.push((name.to_owned(), optional));
                wanted.len() - 1
            })
        };
        let person = want(&layout.person.column, false);
        let day = want(&layout.day.as_ref()?.column, false);
        let recorded = layout.recorded.as_ref().map(|recorded| want(&recorded.column, false));
        let end = layout.end.as_ref().map(|end| want(&end.column, false));
        let ended_by = layout.ended_by.as_ref().map(|ended_by| want(&ended_by.column, true));
        let mut fields = Vec::new();
        for (place, field) in layout.fields.iter().enumerate() {
            let planned = plan.streams[stream].fields.iter().position(|planned| planned.name == field.name);
            let keep = layout.keep.iter().find(|keep| keep.field == field.name);
            if planned.is_none() && keep.is_none() && layout.duplicates.is_none() {
                continue;
            }
            let columns = field.columns.iter().map(|column| want(column, field.optional)).collect();
            let keep = keep.map(|keep| keep.words.iter().map(|word| word.as_bytes().into()).collect());
            fields.push(FieldShape { layout: place, planned, keep, columns });
        }
        let amount = layout.amount.as_ref().map(|amount| want(&amount.column, false));
        let weekly = layout.amount.as_ref().and_then(|amount| amount.weekly.as_ref());
        let weekly = weekly.map(|weekly| [want(&weekly.frequency, false), want(&weekly.planned, false)]);
        let duplicates = layout.duplicates.as_ref();
        let duplicate_key = duplicates.map_or(Vec::new(), |duplicates| {
            let others = duplicates.columns.iter().filter(|column| **column != layout.person.column);
            others.map(|column| KeyPart::new(want(column, false), column, layout)).collect()
        });
        let newest =
            duplicates.and_then(|duplicates| duplicates.newest.as_ref()).map(|newest| want(&newest.column, false));
        let sender = layout.layout.sent_by.as_ref().and_then(|name| layout.field(name));
        let prefer = duplicates.and_then(|duplicates| duplicates.prefer.as_ref()).map(|of| want(&of.column, true));
        // A file without the column is counted by the practices that its people were with.
        let sender = sender.and_then(|field| Some((field, want(layout.fields[field].columns.first()?, true))));
        let near = duplicates.and_then(|duplicates| duplicates.near.as_ref());
        let time = near.map(|near| want(&near.column, false));
        Some(Shape {
            stream,
            fields,
            person,
            day,
            recorded,
            end,
            ended_by,
            amount,
            weekly,
            newest,
            prefer,
            time,
            duplicate_key,
            sender,
            wanted,
        })
    }
}

impl Shape {
    /// Whether nothing but its day says when a row was, how long, and since when it is known, and rows have no copies.
    fn has_one_day_a_row(&self) -> bool {
        self.recorded.is_none() && self.end.is_none() && self.duplicate_key.is_empty()
    }
}

/// The tables and rows of one thread.
struct Thread {
    people: PersonReader,
    day: DayReader,
    recorded: Option<DayReader>,
    end: Option<DayReader>,
    ended_by: Option<DayReader>,
    newest: Option<DayReader>,
    prefer: Option<ValueReader>,
    amount: AmountReader,
    weekly: Option<WeeklyReader>,
    fields: Vec<ValueReader>,
    /// The field reader of each column's buffer.
    field_of_buffer: Vec<usize>,
    concepts: RowConcepts,
    /// The concept of each value, for sources with one column; [`UNSEEN`] where not yet asked.
    by_value: Vec<u32>,
    /// The concept of each place of that column's dictionary, [`FAULT`] where its value has one, and its value.
    by_place: KnownDictionary<u32>,
    value_of_place: Vec<ValueId>,
    /// One a part of the key.
    keys: Vec<KeyReader>,
    /// By concept: the first day that some date of the run looks back to.
    first_days: Vec<i32>,
    rows: Dealt,
    candidates: ByPerson<Candidate>,
    opt_outs: Vec<OptOutEntry>,
    counts: Counts,
    sent: Sent,
    noted: Noted,
    buffers: Buffers,
}

/// Rows by who sent them.
#[derive(Default)]
struct Sent {
    senders: Option<ValueReader>,
    by_sender: Tally,
    /// By practice on the spine, where rows do not say who sent them.
    by_practice: Tally,
    /// Who sent each row of a batch that several sent.
    values: Vec<ValueId>,
    /// The rows that name no sender, and whose they are.
    unnamed: Vec<u32>,
    people: Vec<u32>,
    /// The day of every row of such a batch, and when it was known.
    days: Vec<(i32, i32)>,
}

const UNSEEN: u32 = u32::MAX - 1;

#[derive(Default)]
struct Buffers {
    values: Vec<Vec<ValueId>>,
    /// The concept of every row, where it takes more than a look at one column's dictionary.
    all_concepts: Vec<u32>,
    /// The rows that are taken, and the concept and the person of each.
    rows: Vec<u32>,
    concepts: Vec<u32>,
    people: Vec<u32>,
    days: Vec<i32>,
    recorded: Vec<i32>,
    amounts: Vec<i32>,
    contents: Vec<(u16, u64)>,
    /// The days of all rows; what follows has an entry a row too.
    all_days: Days,
    all_recorded: Days,
    places: Vec<u32>,
    ends: Vec<i32>,
    ended_by: Vec<i32>,
    newest: Vec<i32>,
    preferred: Vec<ValueId>,
    minutes: Vec<i32>,
    keys: Vec<u64>,
}

/// Rows that are used, and worth knowing of.
#[derive(Default)]
struct Noted {
    recorded_before_its_day: u64,
    recorded_late: u64,
    /// Cells that stand for none, where they are counted.
    stand_for_none: u64,
    goes_on: u64,
    ended_by_another_day: u64,
}

/// An entry that is recorded more than so many days after its day is noted: a past as-of date is blind to it for long.
const RECORDED_LATE_DAYS: u16 = 90;

/// A concept slot for a row that is dropped before its concept is asked.
const DROPPED: u32 = u32::MAX - 2;
/// Of a place in a dictionary, whose value is to be looked at for every row that has it.
const FAULT: u32 = u32::MAX - 3;

impl<'a> EventReader<'a> {
    /// `None` where no model asks about the layout's stream.
    pub fn new(context: Context<'a>, layout: &'a LayoutFile) -> Option<EventReader<'a>> {
        let shape = Shape::new(layout, context.plan)?;
        let threads = (0..rayon::current_num_threads() + 1).map(|_| Mutex::new(None)).collect();
        let opt_out_codes = OptOutCodes::of(context.plan, shape.stream);
        Some(EventReader { context, layout, shape, opt_out_codes, threads })
    }

    /// Column names to read, and whether a file may lack them.
    pub fn wanted(&self) -> &[(String, bool)] {
        &self.shape.wanted
    }

    /// Takes one batch of rows; may be called from any thread of the pool.
    ///
    /// # Errors
    /// A column of a type that cannot hold what it should. Rows with faults are counted, not errors.
    pub fn take(&self, batch: &Batch) -> Result<()> {
        let place = rayon::current_thread_index().map_or(0, |index| index + 1);
        let mut slot = self.threads[place].lock().expect("no thread panicked while it held its tables");
        slot.get_or_insert_with(|| self.new_thread()).take(self, batch)
    }

    fn new_thread(&self) -> Thread {
        let layout = self.layout;
        let plan = &self.context.plan.streams[self.shape.stream];
        let system = |planned: usize| {
            let field = self.shape.fields.iter().find(|field| field.planned == Some(planned))?;
            classify::code_system(layout.fields[field.layout].system)
        };
        let systems: Vec<_> = (0..plan.fields.len()).map(system).collect();
        Thread {
            people: PersonReader::default(),
            day: DayReader::new(layout.day.as_ref().expect("the shape has a day")),
            recorded: layout.recorded.as_ref().map(DayReader::new),
            end: layout.end.as_ref().map(DayReader::new),
            ended_by: layout.ended_by.as_ref().map(DayReader::new),
            newest: layout.duplicates.as_ref().and_then(|duplicates| duplicates.newest.as_ref()).map(DayReader::new),
            prefer: layout
                .duplicates
                .as_ref()
                .and_then(|duplicates| duplicates.prefer.as_ref())
                .map(|prefer| self.values_of(&prefer.as_field())),
            amount: AmountReader::default(),
            weekly: layout
                .amount
                .as_ref()
                .and_then(|amount| amount.weekly.as_ref())
                .zip(self.shape.weekly)
                .map(|(columns, places)| WeeklyReader::new(columns, places)),
            fields: self.shape.fields.iter().map(|field| self.values_of(&layout.fields[field.layout])).collect(),
            field_of_buffer: field_of_buffer(&self.shape),
            concepts: RowConcepts::new(self.shape.stream, plan, &systems),
            by_value: Vec::new(),
            by_place: KnownDictionary::default(),
            value_of_place: Vec::new(),
            keys: self.shape.duplicate_key.iter().map(|part| self.key_reader(part)).collect(),
            first_days: Vec::new(),
            rows: Dealt::spilling(self.context.spill),
            candidates: ByPerson::default(),
            opt_outs: Vec::new(),
            counts: Counts::default(),
            sent: Sent {
                senders: self.shape.sender.map(|(field, _)| self.values_of(&layout.fields[field])),
                ..Sent::default()
            },
            noted: Noted::default(),
            buffers: Buffers::default(),
        }
    }

    fn values_of(&self, field: &layout::Field) -> ValueReader {
        ValueReader::new(field, &self.context.library.sensitive)
    }

    fn key_reader(&self, part: &KeyPart) -> KeyReader {
        match &part.compared {
            Compared::Day(column) => KeyReader::Day(Box::new(DayReader::new(column)), Days::default(), Vec::new()),
            Compared::Field(field) => {
                KeyReader::Field(Box::new(self.values_of(&self.layout.fields[*field])), Vec::new())
            }
            Compared::Text => KeyReader::Text,
        }
    }

    /// The rows as they are to be sorted, each thread's with its concepts, and the counts of all.
    pub fn finish(self) -> Finished {
        let threads: Vec<Thread> =
            self.threads.into_iter().filter_map(|slot| slot.into_inner().expect("no thread panicked")).collect();
        let mut finished = Finished::default();
        let mut candidates = Vec::new();
        for thread in threads {
            finished.counts.add(thread.counts);
            finished.counts.note("recorded_before_its_day", thread.noted.recorded_before_its_day);
            finished.counts.note("recorded_late", thread.noted.recorded_late);
            finished.counts.note("cells_that_stand_for_none", thread.noted.stand_for_none);
            finished.counts.note("goes_on", thread.noted.goes_on);
            finished.counts.note("ended_by_another_day", thread.noted.ended_by_another_day);
            finished.opt_outs.extend(thread.opt_outs);
            thread.sent.add_to(&mut finished.sent, &self.context);
            finished.parts.push((thread.concepts.concepts, thread.rows));
            candidates.push(thread.candidates);
        }
        if !self.shape.duplicate_key.is_empty() {
            let near = self.layout.duplicates.as_ref().and_then(|duplicates| duplicates.near.as_ref());
            let within_minutes = near.map_or(0, |near| near.within_minutes as i32);
            finished.drop_copies(candidates, within_minutes, self.context.spill);
        }
        finished
    }
}

/// What a source left behind: rows whose concepts are numbered within their part.
#[derive(Default)]
pub struct Finished {
    pub parts: Vec<(Vec<Concept>, Dealt)>,
    pub counts: Counts,
    /// Opt-out codes of people on the register, in no stated order.
    pub opt_outs: Vec<OptOutEntry>,
    /// Where an event is not a row: how many rows were used of each person.
    pub rows_of_people: Vec<(u32, u32)>,
    pub sent: SentRows,
}

impl Sent {
    fn add_to(&self, all: &mut SentRows, context: &Context) {
        let code = |number: u32| match &self.senders {
            Some(senders) => String::from_utf8_lossy(&senders.values.values[number as usize].0).into_owned(),
            None => String::new(),
        };
        all.add(context.slots, &self.by_sender, code);
        all.add(context.slots, &self.by_practice, |practice| context.spine.practices[practice as usize].clone());
    }
}

impl Finished {
    /// Of rows that are copies of each other, the newest is kept; of equally new ones one that goes on, then what the
    /// layout prefers, then the fuller, then the last in order of content. Copies are within so many minutes of the first of them.
    fn drop_copies(&mut self, candidates: Vec<ByPerson<Candidate>>, within_minutes: i32, spill: Option<&Arc<Spill>>) {
        let tables: Vec<&[Concept]> = self.parts.iter().map(|(concepts, _)| &concepts[..]).collect();
        let (concepts, places) = classify::merge_concepts(&tables);
        let of_thread = |thread: usize, mut candidate: Candidate| {
            candidate.event.concept = places[thread][candidate.event.concept as usize];
            candidate
        };
        let nobody = || (Dealt::spilling(spill), 0, Vec::new());
        let parts = by_range(candidates).into_par_iter().fold(nobody, |(mut rows, mut copies, mut held), range| {
            range.put_in_order(&mut held, of_thread);
            for of_person in held.chunk_by_mut(|one, two| one.person == two.person) {
                copies += drop_copies_of_one(of_person, within_minutes, &mut rows);
            }
            (rows, copies, held)
        });
        self.parts.clear();
        for (rows, copies, _) in parts.collect::<Vec<(Dealt, u64, Vec<Candidate>)>>() {
            self.counts.drop_rows(Rule::Duplicate, copies);
            self.counts.used += rows.len() as u64;
            self.parts.push((concepts.clone(), rows));
        }
    }
}

/// Keeps one of the copies among a person's rows; how many were not kept.
fn drop_copies_of_one(rows: &mut [Candidate], within_minutes: i32, kept: &mut Dealt) -> u64 {
    rows.sort_unstable();
    let mut dropped = 0;
    for group in rows.chunk_by(|one, two| one.key == two.key) {
        let mut rest = group;
        while let [first, ..] = rest {
            let number = rest.partition_point(|one| one.minute - first.minute <= within_minutes);
            let (copies, after) = rest.split_at(number);
            let goes_on = |one: &Candidate| one.event.days == Event::OPEN;
            let rank = |one: &&Candidate| (one.newest, goes_on(one), one.preferred);
            let fullness = |one: &&Candidate| (rank(one), one.filled, one.content, one.event);
            let of_copies = copies.iter().max_by_key(fullness).expect("the first is among them");
            kept.push(Row { person: of_copies.person, event: of_copies.event });
            dropped += number as u64 - 1;
            rest = after;
        }
    }
    dropped
}

impl Thread {
    fn take(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        let (shape, layout) = (&reader.shape, reader.layout);
        let name = |column: usize| shape.wanted[column].0.as_str();
        self.counts.rows += batch.rows as u64;
        self.choose_rows(reader, batch)?;
        let Buffers { rows, people, days, recorded, all_days, all_recorded, .. } = &mut self.buffers;
        self.people.read_some(batch.required(shape.person), name(shape.person), reader.context.spine, rows, people)?;
        self.day.read_runs(batch.required(shape.day), name(shape.day), all_days)?;
        all_days.of_rows(rows, days);
        if let (Some(reader), Some(place)) = (&mut self.recorded, shape.recorded) {
            reader.read_runs(batch.required(place), name(place), all_recorded)?;
            all_recorded.of_rows(rows, recorded);
        }
        if let (Some(reader), Some(place)) = (&mut self.end, shape.end) {
            reader.read(batch.array(place)?, name(place), &mut self.buffers.ends)?;
        }
        if let (Some(reader), Some(place)) = (&mut self.ended_by, shape.ended_by) {
            match batch.optional(place)? {
                Some(array) => reader.read(array, name(place), &mut self.buffers.ended_by)?,
                None => {
                    self.buffers.ended_by.clear();
                    self.buffers.ended_by.resize(batch.rows, NO_DAY);
                }
            }
        }
        if let (Some(reader), Some(place)) = (&mut self.newest, shape.newest) {
            reader.read(batch.array(place)?, name(place), &mut self.buffers.newest)?;
        }
        if let (Some(reader), Some(place)) = (&mut self.prefer, shape.prefer) {
            match batch.optional(place)? {
                Some(array) => reader.read(array, name(place), &mut self.buffers.preferred)?,
                None => {
                    self.buffers.preferred.clear();
                    self.buffers.preferred.resize(batch.rows, BLANK);
                }
            }
        }
        if let (Some(amount), Some(place)) = (&layout.amount, shape.amount) {
            let Buffers { rows, amounts, .. } = &mut self.buffers;
            self.counts.bad_amounts += match &mut self.weekly {
                None => self.amount.read_some(batch.required(place), amount.unit, name(place), rows, amounts)?,
                Some(weekly) => {
                    let mut all = Vec::new();
                    let bad = column::read_amounts(batch.array(place)?, amount.unit, name(place), &mut all)?;
                    let unknown = weekly.apply(batch, &shape.wanted, &mut all)?;
                    amounts.clear();
                    amounts.extend(rows.iter().map(|row| all[*row as usize]));
                    bad + unknown
                }
            };
        }
        if let Some(place) = shape.time {
            read_minutes(batch.array(place)?, name(place), &mut self.buffers.minutes)?;
        }
        if !shape.duplicate_key.is_empty() {
            read_keys(shape, batch, &mut self.keys, &mut self.buffers.keys)?;
            self.hash_contents();
        }
        self.count_sent(reader, batch)?;
        self.know_first_days(reader);
        match reader.opt_out_codes.is_none() && shape.has_one_day_a_row() {
            true => self.take_rows_of_one_day(reader, batch),
            false => (0..self.buffers.rows.len()).for_each(|number| self.take_row(reader, batch, number)),
        }
        Ok(())
    }

    /// The rows that some model asks about, each with its concept; the others are counted together.
    fn choose_rows(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        self.buffers.rows.clear();
        self.buffers.concepts.clear();
        let dropped = match dictionary_of_concepts(reader, batch) {
            Some((keyed, name, of)) => self.choose_by_dictionary(reader, batch, keyed, name, of)?,
            None => self.choose_by_values(reader, batch)?,
        };
        self.counts.drop_rows(Rule::NotAskedFor, (batch.rows - self.buffers.rows.len()) as u64 - dropped);
        Ok(())
    }

    /// Where the rows' concept hangs on one column alone, which has a dictionary: one look-up a row, from the
    /// dictionary's places to concepts. Most rows of a GP feed go this way. Returns how many rows were dropped.
    fn choose_by_dictionary(
        &mut self,
        reader: &EventReader,
        batch: &Batch,
        keyed: Keyed,
        name: &str,
        of: usize,
    ) -> Result<u64> {
        let blank = self.concept_of_value(0, of, BLANK, reader);
        let (mut by_place, mut places) = (std::mem::take(&mut self.by_place), std::mem::take(&mut self.buffers.places));
        keyed.keys(&mut places)?;
        let concepts = by_place.learn(keyed.values(), |distinct, worked_out| {
            self.value_of_place.clear();
            for_each_text(distinct, name, |text| {
                let value = self.fields[0].values.of(text);
                self.value_of_place.push(value);
                let is_fault = self.fields[0].values.is_fault(value);
                worked_out.push(if is_fault { FAULT } else { self.concept_of_value(0, of, value, reader) });
            })
        })?;
        let mut dropped = 0;
        for (row, &place) in places.iter().enumerate() {
            // A row without a value has a place that no dictionary has.
            let mut concept = concepts.get(place as usize).copied().unwrap_or(blank);
            if concept == FAULT {
                let value = self.value_of_place[place as usize];
                concept = match self.set_aside_fault(reader, batch, (0, 0), row, value) {
                    true => DROPPED,
                    false => self.concept_of_value(0, of, value, reader),
                };
                dropped += u64::from(concept == DROPPED);
            }
            if concept < FAULT {
                self.buffers.rows.push(row as u32);
                self.buffers.concepts.push(concept);
            }
        }
        (self.by_place, self.buffers.places) = (by_place, places);
        Ok(dropped)
    }

    fn choose_by_values(&mut self, reader: &EventReader, batch: &Batch) -> Result<u64> {
        self.name_concepts(reader, batch)?;
        let Buffers { rows, concepts, all_concepts, .. } = &mut self.buffers;
        let mut dropped = 0;
        for (row, concept) in all_concepts.iter().enumerate() {
            if *concept < FAULT {
                rows.push(row as u32);
                concepts.push(*concept);
            }
            dropped += u64::from(*concept == DROPPED);
        }
        Ok(dropped)
    }

    /// Counts the batch's rows by who sent them and when they were known, whatever is asked of them.
    fn count_sent(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        self.read_senders(reader, batch)?;
        let (slots, sent) = (reader.context.slots, &mut self.sent);
        // A recording day that is missing or no date is far in the past.
        let (days, recorded) = (&self.buffers.all_days, &self.buffers.all_recorded);
        let recorded = reader.shape.recorded.map(|_| recorded);
        let of_practices = is_sent_by_practices(reader);
        if let [sender] = sent.values[..]
            && (sender != BLANK || !of_practices)
        {
            sent.by_sender.count_all(slots, sender, days, recorded);
            return Ok(());
        }
        sent.days.clear();
        days.each_known(recorded, |rows, day, known| {
            sent.days.extend(std::iter::repeat_n((day, known), rows as usize));
        });
        let sender_of = |row: usize| if let [sender] = sent.values[..] { sender } else { sent.values[row] };
        sent.unnamed.clear();
        for (row, &(day, known)) in sent.days.iter().enumerate() {
            match sender_of(row) {
                BLANK if of_practices => sent.unnamed.push(row as u32),
                sender => sent.by_sender.count(slots, sender, day, known, 1),
            }
        }
        if sent.unnamed.is_empty() {
            return Ok(());
        }
        let (spine, person) = (reader.context.spine, reader.shape.person);
        self.people.read_some(
            batch.required(person),
            &reader.shape.wanted[person].0,
            spine,
            &sent.unnamed,
            &mut sent.people,
        )?;
        for (&row, &person) in sent.unnamed.iter().zip(&sent.people).filter(|(_, person)| **person < NOBODY) {
            let (day, known) = sent.days[row as usize];
            if let Some(practice) = spine.practice_on(person, Day(day)) {
                sent.by_practice.count(slots, practice, day, known, 1);
            }
        }
        Ok(())
    }

    /// Who sent each row of the batch, or the one who sent them all; blank where rows do not say.
    fn read_senders(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        let Sent { senders, values, .. } = &mut self.sent;
        values.clear();
        let column = reader.shape.sender.and_then(|(_, column)| Some((column, batch.columns[column].as_ref()?)));
        let (Some((place, column)), Some(senders)) = (column, senders) else {
            values.push(BLANK);
            return Ok(());
        };
        let name = &reader.shape.wanted[place].0;
        match column.keyed().and_then(Keyed::one_value) {
            Some(one) => senders.read(&one, name, values),
            None => senders.read_column(column, name, values),
        }
    }

    /// The values of every field column of the batch, one buffer a column.
    fn read_values(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        let columns: usize = reader.shape.fields.iter().map(|field| field.columns.len()).sum();
        self.buffers.values.resize_with(columns, Vec::new);
        let mut buffer = 0;
        for (field, values) in reader.shape.fields.iter().zip(&mut self.fields) {
            for &column in &field.columns {
                let out = &mut self.buffers.values[buffer];
                match &batch.columns[column] {
                    Some(cells) => {
                        let name = &reader.shape.wanted[column].0;
                        values.read_column(cells, name, out)?;
                        // A second look at every cell: intervals are few, and their senders fill cells with words for "none".
                        if reader.layout.layout.builds == Builds::Intervals {
                            self.noted.stand_for_none += values.values.stand_for_none(cells.array()?, name)?;
                        }
                    }
                    None => {
                        out.clear();
                        out.resize(batch.rows, BLANK);
                    }
                }
                buffer += 1;
            }
        }
        Ok(())
    }

    /// The concept of every row of the batch.
    fn name_concepts(&mut self, reader: &EventReader, batch: &Batch) -> Result<()> {
        self.read_values(reader, batch)?;
        let mut concepts = std::mem::take(&mut self.buffers.all_concepts);
        concepts.clear();
        concepts.resize(batch.rows, IRRELEVANT);
        self.set_aside_faults(reader, batch, &mut concepts);
        let planned: Vec<(usize, usize, usize)> = planned_columns(&reader.shape);
        if let [(field, buffer, of)] = planned[..] {
            for (row, concept) in concepts.iter_mut().enumerate().filter(|(_, concept)| **concept != DROPPED) {
                *concept = self.concept_of_value(field, of, self.buffers.values[buffer][row], reader);
            }
        } else {
            let of: Vec<usize> = planned.iter().map(|(_, _, planned)| *planned).collect();
            let (fields, buffers) = (&self.fields, &self.buffers);
            let value =
                |column: usize, value: ValueId| fields[planned[column].0].values.values[value as usize].0.clone();
            let mut of_row = Vec::with_capacity(planned.len());
            for (row, concept) in concepts.iter_mut().enumerate().filter(|(_, concept)| **concept != DROPPED) {
                of_row.clear();
                of_row.extend(planned.iter().map(|(_, buffer, _)| buffers.values[*buffer][row]));
                *concept = self.concepts.of(&of_row, &of, &value, reader.context.library);
            }
        }
        self.buffers.all_concepts = concepts;
        Ok(())
    }

    /// The concept of the rows of a source whose concept hangs on one column.
    #[inline]
    fn concept_of_value(&mut self, field: usize, of: usize, value: ValueId, reader: &EventReader) -> u32 {
        if let Some(&concept) = self.by_value.get(value as usize).filter(|concept| **concept != UNSEEN) {
            return concept;
        }
        if self.by_value.len() <= value as usize {
            self.by_value.resize(value as usize + 1, UNSEEN);
        }
        let values = &self.fields[field].values.values;
        let text = |_: usize, value: ValueId| values[value as usize].0.clone();
        let concept = self.concepts.of(&[value], &[of], &text, reader.context.library);
        self.by_value[value as usize] = concept;
        concept
    }

    /// Rejects rows with unknown codes, drops rows of kinds that the layout does not take, counts malformed codes.
    fn set_aside_faults(&mut self, reader: &EventReader, batch: &Batch, concepts: &mut [u32]) {
        let mut buffer = 0;
        for (number, field) in reader.shape.fields.iter().enumerate() {
            let is_clean = !self.fields[number].values.has_faults;
            for place in 0..field.columns.len() {
                let cells = std::mem::take(&mut self.buffers.values[buffer]);
                if !is_clean || field.keep.is_some() {
                    for (row, cell) in cells.iter().enumerate() {
                        if concepts[row] != DROPPED && self.set_aside_fault(reader, batch, (number, place), row, *cell)
                        {
                            concepts[row] = DROPPED;
                        }
                    }
                }
                self.buffers.values[buffer] = cells;
                buffer += 1;
            }
        }
    }

    /// Counts what is wrong with a value of a field's column; whether its row is not to be looked at any further.
    fn set_aside_fault(
        &mut self,
        reader: &EventReader,
        batch: &Batch,
        (number, place): (usize, usize),
        row: usize,
        value: ValueId,
    ) -> bool {
        let field = &reader.shape.fields[number];
        let (value, reading) = &self.fields[number].values.values[value as usize];
        let name = || reader.layout.fields[field.layout].name.clone();
        match reading {
            Reading::Unknown => {
                let column = &reader.shape.wanted[field.columns[place]].0;
                self.counts.reject(batch.file, batch.first_row + row as u64, column, Rule::UnknownCode);
                return true;
            }
            Reading::Malformed => *self.counts.malformed.entry(name()).or_default() += 1,
            Reading::NotInDictionary => *self.counts.not_in_dictionary.entry(name()).or_default() += 1,
            Reading::OfAnotherSystem => *self.counts.of_another_system.entry(name()).or_default() += 1,
            Reading::Sensitive if field.columns.len() == 1 => {
                self.counts.drop_row(Rule::Sensitive);
                return true;
            }
            Reading::Sensitive => self.counts.sensitive_codes += 1,
            _ if field.keep.as_ref().is_some_and(|keep| !keep.contains(value)) => {
                self.counts.drop_row(Rule::NotOfThisKind);
                return true;
            }
            _ => {}
        }
        false
    }

    /// For every row that is taken: how many of its cells hold something, and a hash of what. Column by column, so that
    /// no hash waits for the one before it.
    fn hash_contents(&mut self) {
        let Buffers { values, rows, contents, .. } = &mut self.buffers;
        contents.clear();
        contents.resize(rows.len(), (0, 0));
        for (cells, field) in values.iter().zip(&self.field_of_buffer) {
            let known = &self.fields[*field].values.values;
            for ((filled, hash), row) in contents.iter_mut().zip(rows.iter()) {
                let value = &known[cells[*row as usize] as usize].0;
                *filled += u16::from(!value.is_empty());
                *hash = xxhash_rust::xxh3::xxh3_64_with_seed(value, *hash);
            }
        }
    }

    /// For every concept so far, the first day on which an event of it matters to some date of the run.
    fn know_first_days(&mut self, reader: &EventReader) {
        let new = &self.concepts.concepts[self.first_days.len()..];
        self.first_days.extend(new.iter().map(|concept| reader.context.first_day_of(concept)));
    }

    /// As [`Thread::take_row`] for all rows that are taken, where they have one day each: what is most often so is
    /// settled at once.
    fn take_rows_of_one_day(&mut self, reader: &EventReader, batch: &Batch) {
        let horizon = reader.context.horizon.0;
        let (mut used, mut before, mut after) = (0, 0, 0);
        for number in 0..self.buffers.rows.len() {
            let buffers = &self.buffers;
            let (person, day, concept) = (buffers.people[number], buffers.days[number], buffers.concepts[number]);
            if person >= NOBODY || day <= BAD_DAY {
                self.take_row(reader, batch, number);
            } else if day >= horizon {
                after += 1;
            } else if day < self.first_days[concept as usize] {
                self.rows.pass_over(concept);
                before += 1;
            } else {
                let amount = if reader.shape.amount.is_some() { buffers.amounts[number] } else { Event::NO_AMOUNT };
                used += 1;
                self.rows.push(Row { person, event: Event { day, concept, amount, days: 0, known_after: 0 } });
            }
        }
        self.counts.used += used;
        self.counts.drop_rows(Rule::BeforeAnyWindow, before);
        self.counts.drop_rows(Rule::AfterLastAsOf, after);
    }

    /// Takes the row with this number among those that are taken.
    fn take_row(&mut self, reader: &EventReader, batch: &Batch, number: usize) {
        let buffers = &self.buffers;
        let shape = &reader.shape;
        let (row, concept, person) = (buffers.rows[number] as usize, buffers.concepts[number], buffers.people[number]);
        let place = batch.first_row + row as u64;
        let name = |column: usize| shape.wanted[column].0.as_str();
        match person {
            UNKNOWN => return self.counts.drop_row(Rule::NotOnRegister),
            OPTED_OUT => return self.counts.drop_row(Rule::OptedOut),
            NOBODY => return self.counts.reject(batch.file, place, name(shape.person), Rule::NoPerson),
            _ => {}
        }
        let reject = |counts: &mut Counts, column: usize, rule: Rule| {
            counts.reject_row_of(Some(person), batch.file, place, name(column), rule);
        };
        let day = buffers.days[number];
        if let Some(says) = &reader.opt_out_codes {
            self.opt_outs.extend(says.entry(person, day, &self.concepts.concepts[concept as usize]));
        }
        match day {
            NO_DAY => return reject(&mut self.counts, shape.day, Rule::NoDate),
            BAD_DAY => return reject(&mut self.counts, shape.day, Rule::BadDate),
            _ if day >= reader.context.horizon.0 => return self.counts.drop_row(Rule::AfterLastAsOf),
            _ => {}
        }
        let mut event = Event { day, concept, amount: Event::NO_AMOUNT, days: 0, known_after: 0 };
        if shape.amount.is_some() {
            event.amount = buffers.amounts[number];
        }
        if let Some(column) = shape.recorded {
            let recorded = buffers.recorded[number];
            if recorded == BAD_DAY {
                return reject(&mut self.counts, column, Rule::BadDate);
            }
            if recorded > day {
                event.known_after = (recorded - day).min(i32::from(u16::MAX)) as u16;
                self.noted.recorded_late += u64::from(event.known_after > RECORDED_LATE_DAYS);
            }
            self.noted.recorded_before_its_day += u64::from(recorded != NO_DAY && recorded < day);
        }
        if let Some(end) = shape.end {
            let mut last = buffers.ends[row];
            if let Some(ended_by) = shape.ended_by {
                let other = buffers.ended_by[row];
                if other == BAD_DAY {
                    return reject(&mut self.counts, ended_by, Rule::BadDate);
                }
                if other != NO_DAY && last != BAD_DAY && (last == NO_DAY || other < last) {
                    if other < day {
                        return reject(&mut self.counts, ended_by, Rule::EndsBeforeItStarts);
                    }
                    last = other;
                    self.noted.ended_by_another_day += 1;
                }
            }
            match last {
                NO_DAY => {
                    event.days = Event::OPEN;
                    self.noted.goes_on += 1;
                }
                BAD_DAY => return reject(&mut self.counts, end, Rule::BadDate),
                last if last < day => return reject(&mut self.counts, end, Rule::EndsBeforeItStarts),
                last => event.days = (last - day + 1).min(i32::from(Event::OPEN) - 1) as u16,
            }
        }
        if shape.duplicate_key.is_empty() {
            if day < self.first_days[concept as usize] {
                self.rows.pass_over(concept);
                return self.counts.drop_row(Rule::BeforeAnyWindow);
            }
            self.counts.used += 1;
            self.rows.push(Row { person, event });
        } else {
            let newest = if shape.newest.is_some() { buffers.newest[row] } else { NO_DAY };
            let (filled, content) = buffers.contents[number];
            let minute = if shape.time.is_some() { buffers.minutes[row] } else { 0 };
            let preferred = self.prefer.as_ref().map_or(0, |reader| preference(reader, buffers.preferred[row]));
            let key = buffers.keys[row];
            self.candidates.push(Candidate { person, key, minute, newest, preferred, filled, content, event });
        }
    }
}

/// How much a layout prefers a value: most what comes first in its order, nothing what is not in it.
fn preference(reader: &ValueReader, value: ValueId) -> u16 {
    let rank = std::str::from_utf8(&reader.values.values[value as usize].0).ok().and_then(|rank| rank.parse().ok());
    rank.map_or(0, |rank: u16| u16::MAX - rank)
}

/// Whether a row that does not say who sent it is of the practice that its person was with.
fn is_sent_by_practices(reader: &EventReader) -> bool {
    reader.layout.layout.covers == Covers::Practices
}

/// The column that alone decides the concept of a row and comes as a dictionary, its name, and its field's place in the
/// stream plan; `None` where more than that has to be looked at.
fn dictionary_of_concepts<'b>(reader: &'b EventReader, batch: &'b Batch) -> Option<(Keyed<'b>, &'b str, usize)> {
    let [field] = &reader.shape.fields[..] else { return None };
    let ([column], Some(of), None) = (&field.columns[..], field.planned, &field.keep) else { return None };
    let name = reader.shape.wanted[*column].0.as_str();
    let keyed = batch.columns[*column].as_ref()?.keyed()?;
    reader.shape.duplicate_key.is_empty().then_some((keyed, name, of))
}

/// Columns that decide the concept: field reader, buffer, and the field's place in the stream plan.
fn planned_columns(shape: &Shape) -> Vec<(usize, usize, usize)> {
    let mut planned = Vec::new();
    let mut buffer = 0;
    for (reader, field) in shape.fields.iter().enumerate() {
        for _ in &field.columns {
            planned.extend(field.planned.map(|place| (reader, buffer, place)));
            buffer += 1;
        }
    }
    planned
}

/// The field reader that each column's buffer is filled by.
fn field_of_buffer(shape: &Shape) -> Vec<usize> {
    let fields = shape.fields.iter().enumerate();
    fields.flat_map(|(reader, field)| std::iter::repeat_n(reader, field.columns.len())).collect()
}

/// Minutes since midnight; what is no time of day is far from every other.
fn read_minutes(array: &ArrayRef, name: &str, out: &mut Vec<i32>) -> Result<()> {
    out.clear();
    for_each_text(&super::column::plain(array)?, name, |text| {
        out.push(text.and_then(minute_of).map_or(NO_TIME, i32::from));
    })
}

/// Far enough from midnight that no time of day is near it.
const NO_TIME: i32 = -1_000_000;

fn minute_of(text: &[u8]) -> Option<u16> {
    let digits: Vec<u16> =
        text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u16::from(byte - b'0')).collect();
    let (hour, minute) = match digits[..] {
        [hour, ten, one] => (hour, 10 * ten + one),
        [tens, hour, ten, one] | [tens, hour, ten, one, _, _] => (10 * tens + hour, 10 * ten + one),
        _ => return None,
    };
    (hour < 24 && minute < 60).then_some(60 * hour + minute)
}

/// One hash a row of what copies are known by; the person is told apart beside it.
fn read_keys(shape: &Shape, batch: &Batch, readers: &mut [KeyReader], out: &mut Vec<u64>) -> Result<()> {
    out.clear();
    out.resize(batch.rows, 0);
    let add = |key: &mut u64, part: &[u8]| *key = xxhash_rust::xxh3::xxh3_64_with_seed(part, *key);
    for (part, reader) in shape.duplicate_key.iter().zip(readers) {
        let name = &shape.wanted[part.column].0;
        match reader {
            KeyReader::Day(reader, runs, days) => {
                reader.read_runs(batch.required(part.column), name, runs)?;
                runs.each_row(days);
                out.iter_mut().zip(days).for_each(|(key, day)| add(key, &day.to_le_bytes()));
            }
            KeyReader::Field(reader, values) => {
                reader.read_column(batch.required(part.column), name, values)?;
                let normal = &reader.values.values;
                out.iter_mut().zip(values).for_each(|(key, value)| add(key, &normal[*value as usize].0));
            }
            KeyReader::Text => {
                let mut row = 0;
                for_each_text(&super::column::plain(batch.array(part.column)?)?, name, |text| {
                    add(&mut out[row], text.unwrap_or_default().trim_ascii());
                    row += 1;
                })?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::minute_of;

    #[test]
    fn a_time_of_day_is_read_however_it_is_written() {
        for (text, minute) in
            [("0930", 570), ("930", 570), ("09:30", 570), ("09:30:59", 570), ("0000", 0), ("2359", 1439)]
        {
            assert_eq!(minute_of(text.as_bytes()), Some(minute), "{text}");
        }
        for text in ["3000", "4000", "2400", "1260", "", "9", "noon"] {
            assert_eq!(minute_of(text.as_bytes()), None, "{text}");
        }
    }
}
