//! The last published run: the lists that this run's lists are compared with.
//!
//! For a run over several days, the day before is the last run of each; before the first it is whatever was published
//! for the newest earlier day. What is compared with is part of what decides a list, so its manifest's hash is part of
//! the run id.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value as Json;

use super::Prepared;
use super::write::sha256_of;
use crate::cohort::change::{Covered, Then};
use crate::day::Day;
use crate::number::Nano;
use crate::output::OutputFile;
use crate::output::manifest::LastListsLine;
use crate::output::publish::last_before;

/// A run that is published, or about to be: its lists as they stand in `cohorts/`.
pub(super) struct LastLists {
    pub as_of: Day,
    pub line: LastListsLine,
    /// By cohort, the bytes of its file.
    cohorts: BTreeMap<String, Vec<u8>>,
}

/// The file of a cohort in a run.
pub(super) fn cohort_file(cohort: &str) -> String {
    format!("cohorts/{cohort}.parquet")
}

impl Prepared {
    /// What the lists of a day are compared with: the day of this run before it, or a newer one that is published.
    ///
    /// # Errors
    /// As [`LastLists::published`].
    pub(super) fn last_lists(&self, as_of: Day, of_this_run: Option<LastLists>) -> Result<Option<LastLists>> {
        let cohorts = self.cohort_names();
        if cohorts.is_empty() {
            return Ok(None);
        }
        let published = LastLists::published(&self.settings.out_folder(), as_of, &cohorts)?;
        Ok(match (of_this_run, published) {
            (Some(this), Some(other)) if other.as_of > this.as_of => Some(other),
            (Some(this), _) => Some(this),
            (None, published) => published,
        })
    }

    pub(super) fn cohort_names(&self) -> Vec<&str> {
        self.cohorts.iter().map(|cohort| cohort.id.as_str()).collect()
    }
}

impl LastLists {
    /// The newest run that was published for an earlier day, as far as these cohorts go.
    ///
    /// # Errors
    /// A run whose files are not those of its manifest.
    pub fn published(out: &Path, as_of: Day, cohorts: &[&str]) -> Result<Option<LastLists>> {
        let Some((day, folder)) = last_before(out, as_of) else { return Ok(None) };
        let read = |name: &str| {
            fs::read(folder.join(name)).with_context(|| format!("failed to read {}", folder.join(name).display()))
        };
        let bytes = read("manifest.json")?;
        let manifest: Json = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not the manifest of a run", folder.join("manifest.json").display()))?;
        let mut found = BTreeMap::new();
        for cohort in cohorts {
            let name = cohort_file(cohort);
            let Some(sha256) = manifest["outputs"][&name].as_str() else { continue };
            let bytes = read(&name)?;
            ensure!(
                sha256_of(&bytes) == sha256,
                "{} is not the file that its run's manifest names: lists would be compared with something else; put it back, or move that run's folder away",
                folder.join(&name).display()
            );
            found.insert((*cohort).to_owned(), bytes);
        }
        let line = LastListsLine { as_of: day.to_string(), manifest_sha256: sha256_of(&bytes) };
        Ok(Some(LastLists { as_of: day, line, cohorts: found }))
    }

    /// A day of this run, for the day after it.
    pub fn of_this_run(as_of: Day, files: &[OutputFile], cohorts: &[&str]) -> LastLists {
        let bytes = |name: &str| files.iter().find(|file| file.path == name).map(|file| file.bytes.clone());
        let of_cohort = |cohort: &&str| Some(((*cohort).to_owned(), bytes(&cohort_file(cohort))?));
        let manifest = bytes("manifest.json").unwrap_or_default();
        let line = LastListsLine { as_of: as_of.to_string(), manifest_sha256: sha256_of(&manifest) };
        LastLists { as_of, line, cohorts: cohorts.iter().filter_map(of_cohort).collect() }
    }

    /// How people stood with a cohort then, on the list or below its capacity; `None` where the run did not have it.
    ///
    /// # Errors
    /// A file that another version of the program wrote.
    pub fn list(&self, cohort: &str) -> Result<Option<Vec<Then>>> {
        let Some(bytes) = self.cohorts.get(cohort) else { return Ok(None) };
        let file = format!("{} of the run as of {}", cohort_file(cohort), self.as_of);
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone()))?.build();
        let mut list = Vec::new();
        for batch in reader.with_context(|| format!("{file} cannot be read"))? {
            take(&batch?, &mut list).with_context(|| format!("{file} was written by another version"))?;
        }
        Ok(Some(list))
    }
}

fn take(batch: &RecordBatch, list: &mut Vec<Then>) -> Result<()> {
    let column = |name: &str| batch.column_by_name(name).with_context(|| format!("there is no column {name}"));
    let text = |name: &str| -> Result<_> {
        column(name)?.as_string_opt::<i32>().cloned().with_context(|| format!("{name} holds no text"))
    };
    let whole = |name: &str| -> Result<_> {
        column(name)?.as_primitive_opt::<Int64Type>().cloned().with_context(|| format!("{name} holds no numbers"))
    };
    let (people, practices, places) = (text("person")?, text("practice")?, text("place")?);
    let (held, joined, parts) = (text("held_since")?, text("joined")?, text("parts")?);
    let (orders, asked, unavailable) = (whole("order")?, whole("terms_asked")?, whole("terms_unavailable")?);
    let scores = column("score")?.as_primitive_opt::<Float64Type>().cloned().context("score holds no numbers")?;
    for row in 0..batch.num_rows() {
        let was_on = match places.value(row) {
            "on_list" => true,
            "below_capacity" => false,
            _ => continue,
        };
        parts_of(parts.value(row)).try_for_each(|part| part.map(drop))?;
        let day = |texts: &arrow_array::StringArray| match texts.is_null(row) {
            true => Ok(None),
            false => Day::parse(texts.value(row).as_bytes()).map(Some).context("a day cannot be read"),
        };
        list.push(Then {
            person: people.value(row).to_owned(),
            practice: practices.value(row).to_owned(),
            was_on,
            order: (!orders.is_null(row)).then(|| orders.value(row)),
            score: (!scores.is_null(row)).then(|| scores.value(row)),
            covered: Covered { asked: asked.value(row), unavailable: unavailable.value(row) },
            held_since: day(&held)?,
            joined: day(&joined)?,
            parts: parts.value(row).to_owned(),
        });
    }
    Ok(())
}

/// The parts of a score as they stand in a cohort's file: `term=part;term=part`, parts in billionths.
pub(super) fn parts_in_words<'t>(parts: impl Iterator<Item = (&'t str, Nano)>) -> String {
    let mut words = String::with_capacity(PARTS_ROOM);
    for (term, part) in parts.filter(|(_, part)| part.0 != 0) {
        if !words.is_empty() {
            words.push(';');
        }
        write!(words, "{term}={}", part.0).expect("writing to a string");
    }
    words
}

/// Bytes that the parts of most scores fit into.
const PARTS_ROOM: usize = 1 << 9;

/// The parts of words that [`parts_in_words`] wrote.
pub(super) fn parts_of(words: &str) -> impl Iterator<Item = Result<(&str, Nano)>> {
    let part = |word| {
        let Some((term, part)) = str::split_once(word, '=') else { bail!("a part of a score cannot be read") };
        Ok((term, Nano(part.parse().context("a part of a score is no number")?)))
    };
    words.split(';').filter(|word| !word.is_empty()).map(part)
}
