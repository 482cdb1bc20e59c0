//! From files to the spine and the timelines: reading, cleaning, linking, classifying.
//!
//! Layouts say what the columns of a source mean; each source's rows are taken batch by batch, on all threads, and
//! leave events behind and counts of what was dropped under which rule. The readers take Arrow record batches, so that
//! a caller who has batches in memory needs no file. Nothing here knows a score.

mod by_person;
pub mod classify;
pub mod coded;
pub mod column;
pub mod counts;
pub mod coverage;
pub mod csv;
pub mod describe;
pub mod dictionary;
pub mod draft;
pub mod events;
pub mod files;
pub mod follow_up;
pub mod identifiers;
pub mod layout;
mod lists;
pub mod months;
pub mod opt_out_codes;
pub mod parquet;
pub mod parts;
pub mod people;
pub mod register;
pub mod spells;
mod weekly;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::day::Day;
use crate::event::Event;
use crate::measure::plan::Concept;
use crate::timeline::{Shards, Spill, Spilled, Timelines};
use counts::Counts;
use dictionary::DictionaryInput;
use events::{Context, EventReader, Finished};
use files::{Batch, CsvDialect, InputFile, Wanted};
use layout::{Builds, CsvSettings, LayoutFile};
use months::SentRows;
use spells::SpellReader;

/// Files of one layout.
#[derive(Debug, Clone)]
pub struct Input {
    pub name: String,
    pub layout: LayoutFile,
    pub files: Vec<InputFile>,
    pub dialect: CsvDialect,
    /// What the numbers of some fields stand for.
    pub dictionaries: Vec<DictionaryInput>,
}

impl Input {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

pub fn dialect(csv: &CsvSettings) -> CsvDialect {
    CsvDialect {
        delimiter: csv.delimiter.as_bytes().first().copied().unwrap_or(b','),
        encoding: csv.encoding,
        ..CsvDialect::default()
    }
}

/// Reads every row of an input into a sink.
pub fn read_all(
    input: &Input,
    wanted: &[(String, bool)],
    sink: &(dyn Fn(&Batch) -> Result<()> + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let wanted: Vec<Wanted> = wanted.iter().map(|(name, optional)| Wanted { name, optional: *optional }).collect();
    files::read(&input.files, &wanted, &input.dialect, &|batch| sink(&batch), progress)
        .with_context(|| format!("source \"{}\"", input.name))?;
    Ok(())
}

/// Counts the rows of a source that no model asks about.
pub fn count_unasked(input: &Input, progress: &(dyn Fn(u64) + Sync)) -> Result<Finished> {
    let rows = AtomicU64::new(0);
    let wanted = [(input.layout.person.column.clone(), false)];
    let count = |batch: &Batch| {
        rows.fetch_add(batch.rows as u64, Ordering::Relaxed);
        Ok(())
    };
    read_all(input, &wanted, &count, progress)?;
    let mut finished = Finished::default();
    finished.counts.rows = rows.into_inner();
    finished.counts.drop_rows(counts::Rule::NotAskedFor, finished.counts.rows);
    Ok(finished)
}

impl Finished {
    /// Takes out the rows of these people, who are in order, and counts them under the rule.
    pub fn leave_out(&mut self, people: &[u32], rule: counts::Rule) {
        let is_out = |person: u32| people.binary_search(&person).is_ok();
        let events: u64 = self.parts.iter_mut().map(|(_, rows)| rows.remove(people)).sum();
        let rows = match self.rows_of_people.is_empty() {
            true => events,
            false => {
                let out = self.rows_of_people.iter().filter(|(person, _)| is_out(*person));
                out.map(|(_, rows)| u64::from(*rows)).sum()
            }
        };
        self.counts.used -= rows;
        self.counts.drop_rows(rule, rows);
        self.counts.leave_out_rejects(people, rule);
    }

    /// Only the opt-outs of the rows, all of which are counted under the rule.
    pub fn only_opt_outs(self, rule: counts::Rule) -> Finished {
        let mut counts = Counts { rows: self.counts.rows, ..Counts::default() };
        counts.drop_rows(rule, self.counts.rows);
        Finished { counts, opt_outs: self.opt_outs, ..Finished::default() }
    }
}

/// A source whose rows are being taken, whatever its layout builds.
pub enum SourceReader<'a> {
    Events(EventReader<'a>),
    Spells(SpellReader<'a>),
}

impl<'a> SourceReader<'a> {
    /// `None` where no model asks about anything that the layout provides.
    ///
    /// # Errors
    /// A layout that builds no events.
    pub fn new(context: Context<'a>, layout: &'a LayoutFile) -> Result<Option<SourceReader<'a>>> {
        Ok(match layout.layout.builds {
            Builds::Events | Builds::Intervals => EventReader::new(context, layout).map(SourceReader::Events),
            Builds::Spells => SpellReader::new(context, layout).map(SourceReader::Spells),
            _ => bail!("layout \"{}\" builds no events, so it cannot be a source's", layout.layout.id),
        })
    }

    pub fn wanted(&self) -> &[(String, bool)] {
        match self {
            SourceReader::Events(reader) => reader.wanted(),
            SourceReader::Spells(reader) => reader.wanted(),
        }
    }

    /// Takes one Arrow batch; may be called from any thread of the pool.
    pub fn take(&self, batch: &Batch) -> Result<()> {
        match self {
            SourceReader::Events(reader) => reader.take(batch),
            SourceReader::Spells(reader) => reader.take(batch),
        }
    }

    pub fn finish(self) -> Finished {
        match self {
            SourceReader::Events(reader) => reader.finish(),
            SourceReader::Spells(reader) => reader.finish(),
        }
    }
}

/// Sources brought together: one order of concepts, one slice a person.
pub struct Linked {
    pub concepts: Vec<Concept>,
    /// Empty where they did not fit the memory: then they are in `shards`.
    pub timelines: Timelines,
    pub shards: Option<Shards>,
    /// One a source, in the order given.
    pub counts: Vec<Counts>,
    /// How many events each source left, in the order given.
    pub events: Vec<u64>,
    /// Rows of each source by sender and month, in the order given.
    pub sent: Vec<SentRows>,
    /// By concept: events that no date of the run looks back to, which are not among the timelines.
    pub passed_over: Vec<u64>,
    /// Until when each source tells what came of people, in the order given; `None` where it has nothing of the stream
    /// that was asked about, or none was.
    pub followed_until: Vec<Option<Day>>,
}

/// The events of some people.
pub enum Slices<'a> {
    All(&'a Timelines),
    Some(BTreeMap<u32, Vec<Event>>),
}

impl Slices<'_> {
    /// The events of one of the people that were asked for.
    pub fn of(&self, person: u32) -> &[Event] {
        match self {
            Slices::All(timelines) => timelines.of(person),
            Slices::Some(slices) => &slices[&person],
        }
    }
}

impl Linked {
    /// Hands on the timelines of everybody: all at once, or a shard after another where they did not fit the memory.
    ///
    /// # Errors
    /// A shard that cannot be read; whatever `each` says.
    pub fn each_timelines(&self, each: &mut dyn FnMut(&Timelines) -> Result<()>) -> Result<()> {
        match &self.shards {
            None => each(&self.timelines),
            Some(shards) => (0..shards.count()).try_for_each(|shard| each(&shards.open(shard)?)),
        }
    }

    /// The events of some people, from wherever they are.
    ///
    /// # Errors
    /// A shard that cannot be read.
    pub fn slices_of(&self, people: impl Iterator<Item = u32>) -> Result<Slices<'_>> {
        if self.shards.is_none() {
            return Ok(Slices::All(&self.timelines));
        }
        let people: BTreeSet<u32> = people.collect();
        let mut slices = BTreeMap::new();
        self.each_timelines(&mut |timelines| {
            slices.extend(people.range(timelines.numbers()).map(|&person| (person, timelines.of(person).to_vec())));
            Ok(())
        })?;
        Ok(Slices::Some(slices))
    }

    /// The same without some people, who have no events: `numbers` are those that the others had, in order.
    pub fn keep(&mut self, numbers: Vec<u32>) {
        match &mut self.shards {
            Some(shards) => shards.keep(numbers),
            None => self.timelines = std::mem::take(&mut self.timelines).keep(numbers),
        }
    }
}

/// Brings the sources' rows together; `followed` is the stream that tells what came of people, where one does.
///
/// # Errors
/// Rows that were to be spilled and could not be written.
pub fn link(people: usize, finished: Vec<Finished>, followed: Option<usize>, spill: Option<&Spill>) -> Result<Linked> {
    let followed_until =
        finished.iter().map(|source| followed.and_then(|stream| follow_up::followed_until(source, stream))).collect();
    let mut counts = Vec::new();
    let mut events = Vec::new();
    let mut sent = Vec::new();
    let mut tables = Vec::new();
    let mut dealt = Vec::new();
    for source in finished {
        debug_assert!(source.counts.add_up(), "every row is used or counted under a rule");
        counts.push(source.counts);
        sent.push(source.sent);
        events.push(source.parts.iter().map(|(_, rows)| rows.len() as u64).sum());
        for (concepts, rows) in source.parts {
            tables.push(concepts);
            dealt.push(rows);
        }
    }
    let slices: Vec<&[Concept]> = tables.iter().map(Vec::as_slice).collect();
    let (concepts, places) = classify::merge_concepts(&slices);
    let mut passed_over = vec![0; concepts.len()];
    for (rows, places) in dealt.iter().zip(&places) {
        rows.passed_over().iter().zip(places).for_each(|(rows, place)| passed_over[*place as usize] += rows);
    }
    let parts: Vec<_> = dealt.into_iter().zip(places).collect();
    let spilled = match spill {
        Some(spill) => spill.finish(parts)?,
        None => Spilled::Nothing(parts),
    };
    let (timelines, shards) = match spilled {
        Spilled::Shards(shards) => (Timelines::default(), Some(shards)),
        Spilled::Nothing(parts) => {
            let parts = parts.into_iter().map(|(rows, places)| (rows, Some(places))).collect();
            (Timelines::build(people, parts), None)
        }
    };
    Ok(Linked { concepts, timelines, shards, counts, events, sent, passed_over, followed_until })
}
