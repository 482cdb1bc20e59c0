//! The core for a caller who has Arrow batches in memory and wants Arrow back: an executor of a larger engine, which
//! hands over the people of one shard.
//!
//! The same readers, plan and scorer as with files; only who brings the batches differs. What is relative to an area
//! (ranks and bands of shares, which feeds cover whom, the hospitals' readmission ratios) is worked out from the people
//! that are handed over: linear predictors of models that ask for no ratio are exact in a shard, and ranks are taken
//! over the shards' linear predictors, which are whole numbers, by whoever has them all.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use arrow_array::RecordBatch;

use super::read::check_identifiers;
use super::{Loaded, People, Prepared, Scored};
use crate::ingest::counts::Counts;
use crate::ingest::events::Context;
use crate::ingest::files::Batch;
use crate::ingest::parts::Parts;
use crate::ingest::register::{Practices, Register, RegisterReader};
use crate::ingest::{self, Input, SourceReader};
use crate::output::tables;

/// Takes the batches of a register and of sources, by the names that the settings give these.
///
/// # Errors
/// A source that the settings lack; a batch without a column that the models need; whatever reading files would say.
pub fn load_batches(
    prepared: &Prepared,
    register: &[RecordBatch],
    sources: &BTreeMap<String, Vec<RecordBatch>>,
) -> Result<Loaded> {
    if let Some(name) = sources.keys().find(|name| !prepared.sources.iter().any(|source| source.name == **name)) {
        let known: Vec<&str> = prepared.sources.iter().map(|source| source.name.as_str()).collect();
        bail!("no source \"{name}\" in the settings; they have {}", known.join(", "));
    }
    let reader = RegisterReader::new(&prepared.register.layout)?;
    for batch in batches(&prepared.register, register, reader.wanted())? {
        reader.take(&batch)?;
    }
    let Register { spine, counts, rows_of_people, opted_out } =
        reader.finish(&[], &Parts::default(), prepared.settings.horizon())?;
    check_identifiers(prepared, &spine)?;
    let mut people = People {
        spine,
        practices: Practices::default(),
        register_counts: counts,
        opt_out_counts: Counts::default(),
        practice_counts: Counts::default(),
        part_counts: Vec::new(),
        opted_out,
        opted_out_by_code: 0,
        rows_of_people,
    };
    let plan = prepared.plan();
    let mut finished = Vec::new();
    for input in &prepared.sources {
        let context = Context {
            plan: &plan,
            library: &prepared.library,
            spine: &people.spine,
            horizon: prepared.settings.horizon(),
            slots: &prepared.slots,
            spill: None,
        };
        let given = sources.get(&input.name).map_or(&[][..], Vec::as_slice);
        let Some(reader) = SourceReader::new(context, &input.layout)? else {
            finished.push(ingest::events::Finished::default());
            continue;
        };
        for batch in batches(input, given, reader.wanted())? {
            reader.take(&batch)?;
        }
        finished.push(reader.finish());
    }
    let everybody = people.spine.people();
    let kept = people.leave_out_by_code(&mut finished);
    let mut linked = ingest::link(everybody, finished, None, None)?;
    if let Some(kept) = kept {
        linked.keep(kept);
    }
    Ok(Loaded { plan, people, linked })
}

/// The columns that a reader wants, of each batch.
fn batches(input: &Input, given: &[RecordBatch], wanted: &[(String, bool)]) -> Result<Vec<Batch>> {
    let mut first_row = 1;
    let mut all = Vec::with_capacity(given.len());
    for batch in given {
        let column = |(name, is_optional): &(String, bool)| match batch.column_by_name(name) {
            Some(column) => Ok(Some(column.clone().into())),
            None if *is_optional => Ok(None),
            None => bail!("source \"{}\": a batch has no column \"{name}\"", input.name),
        };
        let columns = wanted.iter().map(column).collect::<Result<_>>()?;
        all.push(Batch { file: 0, first_row, columns, rows: batch.num_rows() });
        first_row += batch.num_rows() as u64;
    }
    Ok(all)
}

/// Everybody who is registered, with every score, as one Arrow batch: the columns of `scores.parquet`.
///
/// # Errors
/// None that a caller can mend.
pub fn scores_batch(prepared: &Prepared, loaded: &Loaded, scored: &Scored) -> Result<RecordBatch> {
    let published = scored.published(prepared, &loaded.people);
    tables::scores_batch(&published, &prepared.models, &scored.scores).context("failed to lay the scores out")
}
