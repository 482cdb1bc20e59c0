//! From inputs to people and timelines, with what became of every row.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow};
use rayon::prelude::*;

use super::Prepared;
use super::memory::Bounds;
use crate::ingest::counts::{Counts, Rule};
use crate::ingest::dictionary::with_dictionaries;
use crate::ingest::events::{Context, Finished};
use crate::ingest::files::{self, InputFile};
use crate::ingest::identifiers;
use crate::ingest::opt_out_codes;
use crate::ingest::parts::{PartCounts, PartReader, Parts};
use crate::ingest::register::{OptOutReader, PracticeReader, Practices, Register, RegisterReader};
use crate::ingest::{self, Input, Linked, SourceReader};
use crate::measure::plan::Plan;
use crate::output::manifest::{InputLine, SourceQuality};
use crate::person::{Spine, WordColumn};
use crate::settings::Purpose;
use crate::timeline::Spill;

/// Everything that was read, as far as the models ask about it: what any as-of day is scored from.
pub struct Loaded {
    pub plan: Plan,
    pub people: People,
    pub linked: Linked,
}

/// Reads register, small tables and every source; `stage` hears of each part before it begins.
pub fn load(prepared: &Prepared, stage: &mut dyn FnMut(&str, u64), advance: &(dyn Fn(u64) + Sync)) -> Result<Loaded> {
    load_within(prepared, None, stage, advance)
}

/// As [`load`], within bounds of memory: events that do not fit go to a folder.
pub(super) fn load_within(
    prepared: &Prepared,
    bounds: Option<(Bounds, &Path)>,
    stage: &mut dyn FnMut(&str, u64),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Loaded> {
    stage("read register", prepared.register.bytes());
    let mut people = read_people(prepared, advance)?;
    let plan = prepared.plan();
    let spill = bounds.map(|(bounds, folder)| Arc::new(bounds.spill(folder, people.spine.people())));
    let mut sources = read_sources(prepared, &plan, &people.spine, spill.as_ref(), stage, advance)?;
    stage("build timelines", 0);
    let everybody = people.spine.people();
    let kept = people.leave_out_by_code(&mut sources);
    let mut linked = ingest::link(everybody, sources, prepared.followed_stream(&plan), spill.as_deref())?;
    if let Some(kept) = kept {
        linked.keep(kept);
    }
    Ok(Loaded { plan, people, linked })
}

/// The people of a run and the small tables about them.
pub struct People {
    pub spine: Spine,
    pub practices: Practices,
    pub register_counts: Counts,
    /// Of the files that add to the register, in the order of the settings.
    pub part_counts: Vec<PartCounts>,
    pub opt_out_counts: Counts,
    pub practice_counts: Counts,
    /// People on the list of those who opted out.
    pub opted_out: u64,
    /// People, besides, who opted out by a code in a GP record.
    pub opted_out_by_code: u64,
    /// How many rows of the register were used of each person.
    pub(super) rows_of_people: Vec<u32>,
}

impl People {
    /// Takes out the people who opted out by a code: the one place where they go. Returns the numbers that the others
    /// had, where there were any.
    pub(super) fn leave_out_by_code(&mut self, sources: &mut [Finished]) -> Option<Vec<u32>> {
        let entries = sources.iter_mut().flat_map(|source| std::mem::take(&mut source.opt_outs));
        let out = opt_out_codes::people_out(entries.collect());
        if out.is_empty() {
            return None;
        }
        sources.par_iter_mut().for_each(|source| source.leave_out(&out, Rule::OptedOutByCode));
        let rows: u64 = out.iter().map(|person| u64::from(self.rows_of_people[*person as usize])).sum();
        self.register_counts.used -= rows;
        self.register_counts.drop_rows(Rule::OptedOutByCode, rows);
        self.register_counts.leave_out_rejects(&out, Rule::OptedOutByCode);
        self.part_counts.iter_mut().for_each(|part| part.leave_out(&out, Rule::OptedOutByCode));
        self.opted_out_by_code = out.len() as u64;
        Some(self.spine.leave_out(&out))
    }
}

/// Reads register, opt-outs and practices.
pub fn read_people(prepared: &Prepared, advance: &(dyn Fn(u64) + Sync)) -> Result<People> {
    let mut opted_out_keys = Vec::new();
    let (mut opt_out_counts, mut practice_counts) = (Counts::default(), Counts::default());
    if let Some(input) = &prepared.opt_outs {
        let reader = OptOutReader::new(&input.layout);
        ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
        (opted_out_keys, opt_out_counts) = reader.finish();
    }
    let reader = RegisterReader::new(&prepared.register.layout)?;
    ingest::read_all(&prepared.register, reader.wanted(), &|batch| reader.take(batch), advance)?;
    let mut readers = Vec::new();
    for input in &prepared.register_parts {
        let reader = PartReader::new(&input.layout)?;
        ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
        readers.push(reader);
    }
    let parts = Parts::new(readers);
    let Register { spine, counts: register_counts, rows_of_people, opted_out } =
        reader.finish(&opted_out_keys, &parts, prepared.settings.horizon())?;
    check_identifiers(prepared, &spine)?;
    let part_counts = parts.counts(&spine);
    let mut practices = Practices::default();
    if let Some(input) = &prepared.practices {
        let reader = PracticeReader::new(&input.layout);
        ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
        (practices, practice_counts) = reader.finish();
    }
    Ok(People {
        spine,
        practices,
        register_counts,
        part_counts,
        opt_out_counts,
        practice_counts,
        opted_out,
        opted_out_by_code: 0,
        rows_of_people,
    })
}

/// Judges in full whatever of the register can reach an output: pseudonyms, small areas, published words.
pub(super) fn check_identifiers(prepared: &Prepared, spine: &Spine) -> Result<()> {
    let (input, rules) = (&prepared.register, &prepared.settings.identifiers);
    let Some(register) = &input.layout.register else { return Ok(()) };
    let ids = spine.ids.iter().map(|id| id.0.as_bytes());
    let mut found = judged(&input.layout.person.column, ids, rules);
    let words = |column: &WordColumn| column.words.clone();
    let area = register.area.iter().map(|column| (column, words(&spine.areas)));
    let named = register.words.iter().map(|(name, column)| (column, words(&spine.words[name])));
    for (column, words) in area.chain(named) {
        found.extend(judged(column, words.iter().map(String::as_bytes), rules));
    }
    let found: Vec<String> = found
        .into_iter()
        .filter(|(column, finding)| !rules.accepts(&input.name, column, finding.kind))
        .map(|(column, finding)| identifiers::told(&input.name, None, column, &finding))
        .collect();
    if found.is_empty() { Ok(()) } else { Err(anyhow!(found.join("\n"))) }
}

fn judged<'c, 'v>(
    column: &'c str,
    distinct: impl Iterator<Item = &'v [u8]>,
    rules: &identifiers::Rules,
) -> Vec<(&'c str, identifiers::Finding)> {
    let about = identifiers::About { header: column, ..Default::default() };
    identifiers::judge(about, distinct, rules).map(|finding| (column, finding)).into_iter().collect()
}

/// Reads every source into timelines.
pub fn read_events(
    prepared: &Prepared,
    plan: &Plan,
    spine: &Spine,
    stage: &mut dyn FnMut(&str, u64),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Linked> {
    let finished = read_sources(prepared, plan, spine, None, stage, advance)?;
    stage("build timelines", 0);
    ingest::link(spine.people(), finished, prepared.followed_stream(plan), None)
}

/// The rows of every source; of one that no score may use, its opt-outs alone.
fn read_sources(
    prepared: &Prepared,
    plan: &Plan,
    spine: &Spine,
    spill: Option<&Arc<Spill>>,
    stage: &mut dyn FnMut(&str, u64),
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Finished>> {
    let slots = &prepared.slots;
    let context = |plan, horizon| Context { plan, library: &prepared.library, spine, horizon, slots, spill };
    let opt_out_plan = prepared.opt_out_plan();
    stage("read sources", prepared.sources.iter().map(Input::bytes).sum());
    // All sources at once: one file of a small source would leave the other threads waiting.
    let read = |input: &Input| match prepared.settings.purpose(&input.name) {
        Purpose::Scores => read_source(input, context(plan, prepared.horizon_of(input)), advance),
        Purpose::Aggregates => {
            let read = read_source(input, context(&opt_out_plan, prepared.horizon_of(input)), advance);
            read.map(|read| read.only_opt_outs(Rule::PurposeOfSource))
        }
    };
    let finished: Vec<Result<_>> = prepared.sources.par_iter().map(read).collect();
    finished.into_iter().collect()
}

fn read_source(input: &Input, context: Context, advance: &(dyn Fn(u64) + Sync)) -> Result<Finished> {
    let layout = with_dictionaries(input)?;
    match SourceReader::new(context, &layout)? {
        Some(reader) => {
            ingest::read_all(input, reader.wanted(), &|batch| reader.take(batch), advance)?;
            Ok(reader.finish())
        }
        None => ingest::count_unasked(input, advance),
    }
}

/// The hash of the program itself, taken once; a program that was replaced while it ran cannot be read.
pub(super) fn binary_sha256() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = || std::env::current_exe().map_err(anyhow::Error::from).and_then(|path| files::sha256(&path));
    HASH.get_or_init(|| hash().unwrap_or_else(|_| "not readable".to_owned())).clone()
}

pub(super) fn hash_inputs(prepared: &Prepared, advance: &(dyn Fn(u64) + Sync)) -> Result<Vec<InputLine>> {
    let files: Vec<(&Input, &InputFile)> = prepared
        .inputs()
        .flat_map(|input| {
            let of_dictionaries = input.dictionaries.iter().flat_map(|dictionary| &dictionary.files);
            input.files.iter().chain(of_dictionaries).map(move |file| (input, file))
        })
        .collect();
    files
        .into_par_iter()
        .map(|(input, file)| {
            let sha256 = files::sha256(&file.path)?;
            advance(file.bytes);
            Ok(InputLine {
                source: input.name.clone(),
                layout: input.layout.layout.id.clone(),
                file: file.name.clone(),
                bytes: file.bytes,
                sha256,
            })
        })
        .collect()
}

/// Every input with what became of its rows, the small tables first.
pub(super) fn counted<'a>(prepared: &'a Prepared, loaded: &'a Loaded) -> Vec<(&'a Input, &'a Counts)> {
    let Loaded { people, linked, .. } = loaded;
    let mut counted = vec![(&prepared.register, &people.register_counts)];
    counted.extend(prepared.register_parts.iter().zip(people.part_counts.iter().map(|part| &part.counts)));
    counted.extend(prepared.opt_outs.iter().map(|input| (input, &people.opt_out_counts)));
    counted.extend(prepared.practices.iter().map(|input| (input, &people.practice_counts)));
    counted.extend(prepared.sources.iter().zip(&linked.counts));
    counted
}

pub(super) fn source_quality(prepared: &Prepared, loaded: &Loaded) -> Vec<SourceQuality> {
    let counted = counted(prepared, loaded);
    let linked = &loaded.linked;
    let small = counted.len() - linked.events.len();
    let events = std::iter::repeat_n(0, small).chain(linked.events.iter().copied());
    let quality = |((input, counts), events): ((&Input, &Counts), u64)| {
        SourceQuality::new(&input.name, &input.layout.layout.id, input.files.len(), events, counts)
    };
    counted.into_iter().zip(events).map(quality).collect()
}
