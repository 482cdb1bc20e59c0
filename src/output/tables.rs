//! The analysis files: pseudonymised, one row per person, as Parquet.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use rayon::prelude::*;

use super::OutputFile;
use super::encode::{Chunk, Dictionary, Encoder, MISSING, Met};
use crate::cohort::columns::{Fill, NO_NUMBER, Numbers, Published, PublishedColumn, Source, Values};
use crate::model::Model;
use crate::person::Spine;
use crate::score::people::{REASONS, Reason, Scores};

/// Rows in a row group, which are laid out in memory at once.
const ROWS: usize = 1 << 17;

/// A column that is still to be written, a range of rows at a time.
struct Lazy<'a> {
    field: Field,
    write: Box<Write<'a>>,
}

/// Makes the chunk of a range of rows.
type Write<'a> = dyn Fn(Range<usize>, &mut Desk, &ColumnDescPtr) -> Result<Chunk> + Sync + 'a;

/// What a thread needs to write one chunk after another: what is filled for one is room for the next.
#[derive(Default)]
struct Desk {
    encoder: Encoder,
    places: Vec<u32>,
    narrow: Vec<i32>,
    wide: Vec<i64>,
    dictionary: Dictionary,
    met: Met,
}

/// The desks of all threads, and room for rows: what the files of one date filled is room for those of the next.
#[derive(Default)]
pub struct Desks {
    desks: Mutex<Vec<Desk>>,
    missing: Mutex<Vec<Missing>>,
}

impl Desks {
    /// Works at a desk that nobody else has.
    fn with<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        let desks = || self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut desk = desks().pop().unwrap_or_default();
        let done = work(&mut desk);
        desks().push(desk);
        done
    }
}

/// `scores.parquet`: everybody who is registered, with every score.
pub fn scores(published: &Published, models: &[Model], scores: &Scores, desks: &Desks) -> Result<OutputFile> {
    let mut columns: Vec<Lazy> = published.columns.iter().map(|column| lazy(column, &published.people)).collect();
    for (number, model) in models.iter().enumerate().filter(|(_, model)| model.is_scored()) {
        let write = move |rows: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
            let keys = published.people[rows].iter().map(|&person| reasons_key(scores, number, person));
            let push = |key, dictionary: &mut Dictionary| dictionary.push_text(&words_of_key(model, key));
            desk.distinct(column, keys, number_of_key, push)
        };
        let field = Field::new(format!("{}_reasons", model.id), DataType::Utf8, true);
        columns.push(Lazy { field, write: Box::new(write) });
    }
    Ok(OutputFile::new("scores.parquet", parquet(&columns, published.people.len(), desks)?))
}

/// An analysis file of columns that are laid out.
pub fn analysis(path: String, columns: &[PublishedColumn], rows: usize, desks: &Desks) -> Result<OutputFile> {
    let rows_of: Vec<u32> = (0..rows as u32).collect();
    let columns: Vec<Lazy> = columns.iter().map(|column| lazy(column, &rows_of)).collect();
    Ok(OutputFile::new(path, parquet(&columns, rows, desks)?))
}

/// What `scores.parquet` holds, as one Arrow batch.
pub fn scores_batch(published: &Published, models: &[Model], scores: &Scores) -> Result<RecordBatch> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for column in &published.columns {
        let values = published.column(&column.name).expect("it is one of the columns");
        columns.push((column.name.clone(), array(values, published.people.len())));
    }
    for (number, model) in models.iter().enumerate().filter(|(_, model)| model.is_scored()) {
        let words = published.people.iter().map(|&person| reasons_in_words(model, scores, number, person));
        columns.push((format!("{}_reasons", model.id), Arc::new(words.collect::<StringArray>())));
    }
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn array(values: &Values, rows: usize) -> ArrayRef {
    match values {
        Values::Text(_) | Values::Words(_) => Arc::new((0..rows).map(|row| values.text(row)).collect::<StringArray>()),
        Values::Whole(values) => Arc::new(values.iter().copied().collect::<Int64Array>()),
        Values::Decimal(values) => Arc::new(values.iter().copied().collect::<Float64Array>()),
    }
}

/// One line of `not_scored.parquet`: person, model and reason.
type Missing = (u32, u16, Reason);

/// `not_scored.parquet`: everybody without a score of some model, and why; in order of person, then of model.
pub fn not_scored(models: &[Model], spine: &Spine, scores: &Scores, desks: &Desks) -> Result<OutputFile> {
    let mut rows = desks.missing.lock().unwrap_or_else(PoisonError::into_inner);
    list_missing(models, scores, spine.people() as u32, &mut rows);
    let rows = &*rows;
    let of_person = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let ids = rows[range].iter().map(|row| Some(&*spine.ids[row.0 as usize].0));
        desk.encoder.ordered_texts(column, ids)
    };
    let of_model = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let keys = rows[range].iter().map(|row| Some(row.1));
        let push = |model, dictionary: &mut Dictionary| dictionary.push_text(&models[usize::from(model)].id);
        desk.distinct(column, keys, u64::from, push)
    };
    let of_reason = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let keys = rows[range].iter().map(|row| Some((row.1, row.2)));
        let number = |(model, reason)| u64::from(model) << 32 | number_of_reason(reason);
        let push = |(model, reason): (u16, Reason), dictionary: &mut Dictionary| {
            dictionary.push_text(&reason.words(&models[usize::from(model)]))
        };
        desk.distinct(column, keys, number, push)
    };
    let named = |name: &str| Field::new(name, DataType::Utf8, false);
    let columns = [
        Lazy { field: named("person"), write: Box::new(of_person) },
        Lazy { field: named("model"), write: Box::new(of_model) },
        Lazy { field: named("reason"), write: Box::new(of_reason) },
    ];
    Ok(OutputFile::new("not_scored.parquet", parquet(&columns, rows.len(), desks)?))
}

/// Everybody without a score of some model, in order of person, then of model.
fn list_missing(models: &[Model], scores: &Scores, people: u32, rows: &mut Vec<Missing>) {
    let of_person = |person: u32| {
        let reason = move |number: usize| match models[number].is_scored() {
            true => scores.models[number].linear_predictors[person as usize].err(),
            false => Reason::of_standing(scores.standings[person as usize]),
        };
        (0..models.len()).filter_map(move |number| Some((person, number as u16, reason(number)?)))
    };
    let some = (0..people).step_by(PEOPLE_AT_ONCE).map(|first| first..people.min(first + PEOPLE_AT_ONCE as u32));
    let some: Vec<Range<u32>> = some.collect();
    let counts = some.par_iter().map(|some| some.clone().flat_map(of_person).count());
    let counts: Vec<usize> = counts.collect();
    rows.resize(counts.iter().sum(), (0, 0, Reason::Died));
    let mut left = &mut rows[..];
    let mut parts = Vec::with_capacity(counts.len());
    for count in counts {
        let (part, rest) = left.split_at_mut(count);
        parts.push(part);
        left = rest;
    }
    some.into_par_iter().zip(parts).for_each(|(some, part)| {
        part.iter_mut().zip(some.flat_map(of_person)).for_each(|(row, missing)| *row = missing);
    });
}

const PEOPLE_AT_ONCE: usize = 1 << 12;

/// A person's strongest reasons for a score, from the model's words; `None` where there is no score.
pub fn reasons_in_words(model: &Model, scores: &Scores, number: usize, person: u32) -> Option<String> {
    reasons_key(scores, number, person).map(|key| words_of_key(model, key))
}

/// A person's strongest reasons as one number; `None` where there is no score.
fn reasons_key(scores: &Scores, number: usize, person: u32) -> Option<[Option<u16>; REASONS]> {
    let of = &scores.models[number];
    of.linear_predictors[person as usize].ok()?;
    Some(of.reasons[person as usize])
}

/// A number for each key: 16 bits a place, and no model has as many terms.
fn number_of_key(key: [Option<u16>; REASONS]) -> u64 {
    key.iter().fold(0, |all, place| all << u16::BITS | u64::from(place.unwrap_or(u16::MAX)))
}

/// A number for each reason, in 32 bits.
fn number_of_reason(reason: Reason) -> u64 {
    let (kind, place) = match reason {
        Reason::Died => (0, 0),
        Reason::NotYetBorn => (1, 0),
        Reason::NotRegistered => (2, 0),
        Reason::Age => (3, 0),
        Reason::RegisteredDays => (4, 0),
        Reason::Requirement(place) => (5, place),
        Reason::Missing(place) => (6, place),
    };
    kind << u16::BITS | u64::from(place)
}

fn words_of_key(model: &Model, key: [Option<u16>; REASONS]) -> String {
    let words = key.iter().flatten().map(|&place| {
        let term = &model.terms[usize::from(place)];
        term.reason.as_deref().unwrap_or(&term.label)
    });
    words.collect::<Vec<_>>().join("; ")
}

impl Desk {
    /// A chunk of texts by what they are made from, each distinct one once, in the order in which they come; `number`
    /// tells them apart.
    fn distinct<K: Copy>(
        &mut self,
        column: &ColumnDescPtr,
        keys: impl Iterator<Item = Option<K>>,
        number: impl Fn(K) -> u64,
        push: impl Fn(K, &mut Dictionary) -> u32,
    ) -> Result<Chunk> {
        let Desk { encoder, places, dictionary, met, .. } = self;
        places.clear();
        dictionary.clear();
        met.clear();
        // Neighbours are often alike.
        let mut last = None;
        let mut place = |key: K| {
            let number = number(key);
            if let Some((of_last, place)) = last
                && of_last == number
            {
                return place;
            }
            let place = *met.entry(number).or_insert_with(|| push(key, dictionary));
            last = Some((number, place));
            place
        };
        places.extend(keys.map(|key| key.map_or(MISSING, &mut place)));
        encoder.places(column, places, dictionary)
    }

    fn published(&mut self, column: &ColumnDescPtr, source: &Source, people: &[u32]) -> Result<Chunk> {
        let Desk { encoder, places, narrow, wide, .. } = self;
        match source {
            Source::Text(text) => encoder.texts(column, people.iter().map(|&person| text(person))),
            Source::Ordered(text) => encoder.ordered_texts(column, people.iter().map(|&person| text(person))),
            Source::Words(words, fill) => {
                let dictionary = Dictionary::of_texts(words.iter().copied());
                encoder.places(column, filled(fill, people, places), &dictionary)
            }
            Source::Whole(Numbers::Narrow(fill)) => encoder.whole(column, filled(fill, people, narrow)),
            Source::Whole(Numbers::Wide(fill)) => encoder.whole(column, filled(fill, people, wide)),
            Source::Decimal(Numbers::Narrow(fill), of) => encoder.decimals(column, filled(fill, people, narrow), of),
            Source::Decimal(Numbers::Wide(fill), of) => encoder.decimals(column, filled(fill, people, wide), of),
            Source::Made(_) => unreachable!("what is laid out already has rows of its own"),
        }
    }

    /// A chunk of some rows of a column that is laid out.
    fn made(&mut self, column: &ColumnDescPtr, values: &Values, rows: Range<usize>) -> Result<Chunk> {
        match values {
            Values::Whole(values) => {
                self.wide.clear();
                self.wide.extend(values[rows].iter().map(|value| value.unwrap_or(NO_NUMBER)));
                self.encoder.whole(column, &self.wide)
            }
            Values::Decimal(values) => self.encoder.floats(column, values[rows].iter().copied()),
            texts => self.encoder.texts(column, rows.map(|row| texts.text(row))),
        }
    }
}

/// What a column holds of these people, in a buffer that was used before.
fn filled<'v, T>(fill: &Fill<T>, people: &[u32], values: &'v mut Vec<T>) -> &'v [T] {
    values.clear();
    fill(people, values);
    values
}

/// A published column, as it comes or as it has been laid out.
fn lazy<'a>(column: &'a PublishedColumn, people: &'a [u32]) -> Lazy<'a> {
    let kind = match &*column.source {
        Source::Text(_) | Source::Ordered(_) | Source::Words(..) => DataType::Utf8,
        Source::Whole(_) => DataType::Int64,
        Source::Decimal(..) => DataType::Float64,
        Source::Made(Values::Text(_) | Values::Words(_)) => DataType::Utf8,
        Source::Made(Values::Whole(_)) => DataType::Int64,
        Source::Made(Values::Decimal(_)) => DataType::Float64,
    };
    let write = move |rows: Range<usize>, desk: &mut Desk, described: &ColumnDescPtr| match &*column.source {
        Source::Made(values) => desk.made(described, values, rows),
        source => desk.published(described, source, &people[rows]),
    };
    Lazy { field: Field::new(&column.name, kind, true), write: Box::new(write) }
}

/// The columns as a Parquet file; all column chunks are made and packed on all threads.
fn parquet(columns: &[Lazy], rows: usize, desks: &Desks) -> Result<Vec<u8>> {
    let schema = Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
    // No creation time and no library version in the file: equal runs give equal bytes.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("riskstrat".to_owned())
        .build();
    let (mut file, _) = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?.into_serialized_writer()?;
    let made = chunks(columns, rows, file.schema_descr(), desks)?;
    file.inner_mut().reserve_exact(made.iter().map(Chunk::bytes).sum::<usize>() + FOOTER);
    let mut made = made.into_iter();
    for _ in (0..rows).step_by(ROWS) {
        let mut row_group = file.next_row_group()?;
        for chunk in made.by_ref().take(columns.len()) {
            chunk.append(&mut row_group)?;
        }
        row_group.close()?;
    }
    Ok(file.into_inner()?)
}

/// Room for what stands behind the chunks of a file.
const FOOTER: usize = 1 << 16;

/// The chunks of all columns, by row group and then by column.
fn chunks(columns: &[Lazy], rows: usize, descriptions: &SchemaDescriptor, desks: &Desks) -> Result<Vec<Chunk>> {
    let starts = (0..rows).step_by(ROWS);
    let places: Vec<(usize, usize)> =
        starts.flat_map(|start| (0..columns.len()).map(move |column| (start, column))).collect();
    let next = AtomicUsize::new(0);
    // One desk a thread, which takes chunk after chunk: to set one up costs more than to write a small chunk.
    let at_desk = |desk: &mut Desk| {
        let take = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            places.get(number).map(|&(start, column)| (number, start, column))
        };
        let chunks = std::iter::from_fn(take).map(|(number, start, column)| {
            let range = start..(start + ROWS).min(rows);
            Ok((number, (columns[column].write)(range, desk, &descriptions.column(column))?))
        });
        chunks.collect::<Result<Vec<(usize, Chunk)>>>()
    };
    let by_desk = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(|_| desks.with(at_desk));
    let by_desk: Vec<_> = by_desk.collect::<Result<_>>()?;
    let mut chunks: Vec<(usize, Chunk)> = by_desk.into_iter().flatten().collect();
    chunks.sort_unstable_by_key(|(number, _)| *number);
    Ok(chunks.into_iter().map(|(_, chunk)| chunk).collect())
}
