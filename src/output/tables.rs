//! The analysis files: pseudonymised, one row per person, as Parquet.

use std::collections::BTreeMap;
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
use super::encode::{Chunk, Dictionary, Encoder, Held, MISSING, Met, Rows};
use crate::cohort::columns::{Few, Fill, NO_NUMBER, Numbers, Present, Published, PublishedColumn, Source, Values};
use crate::model::Model;
use crate::person::Spine;
use crate::score::NO_TERM;
use crate::score::people::{REASONS, Reason, Scores};
use crate::strata::Strata;

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
    bits: Vec<u64>,
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
        let of = &scores.models[number];
        let present = published.named(&model.id).and_then(|score| score.present.as_ref());
        let present = present.expect("a score is a column of those who have it");
        let write = move |rows: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
            let (people, rows) = present_of(present, &published.people, rows);
            let keys = people.iter().map(|&person| of.reasons[person as usize]);
            let push = |key, dictionary: &mut Dictionary| dictionary.push_text(&words_of_key(model, key));
            desk.distinct(column, rows, keys, number_of_key, push)
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

/// One line of `not_scored.parquet`: a person, and the number of a model's reason.
type Missing = (u32, u32);

/// Every reason that a model has not to score somebody, under one number: one model's after another's.
struct Reasons {
    /// Model and reason of each.
    all: Vec<(u16, Reason)>,
    /// By model: the number of its first.
    starts: Vec<u32>,
    /// By model: how many requirements its population has, which stand before its terms.
    requirements: Vec<u32>,
}

impl Reasons {
    fn new(models: &[Model]) -> Reasons {
        let (mut all, mut starts, mut requirements) = (Vec::new(), Vec::new(), Vec::new());
        for (model, number) in models.iter().zip(0..) {
            starts.push(all.len() as u32);
            requirements.push(model.population.requires.len() as u32);
            let required = (0..model.population.requires.len() as u16).map(Reason::Requirement);
            let missing = (0..model.terms.len() as u16).map(Reason::Missing);
            all.extend(ANY_MODEL.into_iter().chain(required).chain(missing).map(|reason| (number, reason)));
        }
        Reasons { all, starts, requirements }
    }

    fn number(&self, model: usize, reason: Reason) -> u32 {
        let any = ANY_MODEL.len() as u32;
        let place = match reason {
            Reason::Died => 0,
            Reason::NotYetBorn => 1,
            Reason::NotRegistered => 2,
            Reason::Age => 3,
            Reason::RegisteredDays => 4,
            Reason::Requirement(place) => any + u32::from(place),
            Reason::Missing(place) => any + self.requirements[model] + u32::from(place),
        };
        self.starts[model] + place
    }
}

/// The reasons that any model may have.
const ANY_MODEL: [Reason; 5] =
    [Reason::Died, Reason::NotYetBorn, Reason::NotRegistered, Reason::Age, Reason::RegisteredDays];

/// By reason in words: how many people have no score for it.
pub type ByReason = BTreeMap<String, u64>;

/// `not_scored.parquet`: everybody without a score of some model, and why; in order of person, then of model. Beside it,
/// by model, how many there are.
pub fn not_scored(
    models: &[Model],
    spine: &Spine,
    scores: &Scores,
    strata: &[Strata],
    desks: &Desks,
) -> Result<(OutputFile, Vec<ByReason>)> {
    let reasons = &Reasons::new(models);
    let mut rows = desks.missing.lock().unwrap_or_else(PoisonError::into_inner);
    let people = list_missing(models, reasons, (scores, strata), &mut rows);
    let rows = &*rows;
    let of_person = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let ids = rows[range].iter().map(|row| Some(&*spine.ids[row.0 as usize].0));
        desk.encoder.ordered_texts(column, ids)
    };
    let of_model = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let keys = rows[range].iter().map(|row| usize::from(reasons.all[row.1 as usize].0));
        desk.of_few(column, keys, models.len(), |model| models[model].id.clone())
    };
    let of_reason = |range: Range<usize>, desk: &mut Desk, column: &ColumnDescPtr| {
        let words = |number: usize| {
            let (model, reason) = reasons.all[number];
            reason.words(&models[usize::from(model)])
        };
        desk.of_few(column, rows[range].iter().map(|row| row.1 as usize), reasons.all.len(), words)
    };
    let named = |name: &str| Field::new(name, DataType::Utf8, false);
    let columns = [
        Lazy { field: named("person"), write: Box::new(of_person) },
        Lazy { field: named("model"), write: Box::new(of_model) },
        Lazy { field: named("reason"), write: Box::new(of_reason) },
    ];
    let mut by_reason = vec![ByReason::new(); models.len()];
    for (&(model, reason), people) in reasons.all.iter().zip(people).filter(|(_, people)| *people > 0) {
        let model = usize::from(model);
        *by_reason[model].entry(reason.words(&models[model])).or_default() += people;
    }
    Ok((OutputFile::new("not_scored.parquet", parquet(&columns, rows.len(), desks)?), by_reason))
}

/// Everybody without a score of some model, in order of person, then of model; how many people there are by the
/// reason's number.
fn list_missing(
    models: &[Model],
    reasons: &Reasons,
    (scores, strata): (&Scores, &[Strata]),
    rows: &mut Vec<Missing>,
) -> Vec<u64> {
    let people = scores.standings.len();
    let some: Vec<Range<usize>> =
        (0..people).step_by(PEOPLE_AT_ONCE).map(|first| first..people.min(first + PEOPLE_AT_ONCE)).collect();
    let missing = |some: &Range<usize>| -> usize {
        let of_model = |(model, strata): (&Model, &Strata)| match model.is_scored() {
            true => some.len() - strata.scored_among(some.clone()).len(),
            false => scores.standings[some.clone()].iter().filter(|standing| !standing.is_registered()).count(),
        };
        models.iter().zip(strata).map(of_model).sum()
    };
    let counts: Vec<usize> = some.iter().map(missing).collect();
    rows.resize(counts.iter().sum(), (0, 0));
    let mut left = &mut rows[..];
    let mut parts = Vec::with_capacity(counts.len());
    for count in counts {
        let (part, rest) = left.split_at_mut(count);
        parts.push(part);
        left = rest;
    }
    let list = |(some, part): (Range<usize>, &mut [Missing])| {
        let mut people = vec![0; reasons.all.len()];
        let mut rows = part.iter_mut();
        for person in some {
            for (number, of) in scores.models.iter().enumerate() {
                // A model of facts has no scores, and then a person's standing says it.
                let score = of.linear_predictors.get(person).map(|score| score.reason());
                let reason = score.unwrap_or_else(|| Reason::of_standing(scores.standings[person]));
                if let Some(reason) = reason {
                    let reason = reasons.number(number, reason);
                    people[reason as usize] += 1;
                    *rows.next().expect("whoever has no score is counted") = (person as u32, reason);
                }
            }
        }
        assert!(rows.next().is_none(), "whoever is counted has no score");
        people
    };
    let add = |mut one: Vec<u64>, two: Vec<u64>| {
        one.iter_mut().zip(two).for_each(|(one, two)| *one += two);
        one
    };
    some.into_par_iter().zip(parts).map(list).reduce(|| vec![0; reasons.all.len()], add)
}

const PEOPLE_AT_ONCE: usize = 1 << 12;

/// A person's strongest reasons for a score, from the model's words; `None` where there is no score.
pub fn reasons_in_words(model: &Model, scores: &Scores, number: usize, person: u32) -> Option<String> {
    let of = &scores.models[number];
    let is_scored = of.linear_predictors[person as usize].is_scored();
    is_scored.then(|| words_of_key(model, of.reasons[person as usize]))
}

/// A number for each key: 16 bits a place, and no model has as many terms.
fn number_of_key(key: [u16; REASONS]) -> u64 {
    key.iter().fold(0, |all, place| all << u16::BITS | u64::from(*place))
}

fn words_of_key(model: &Model, key: [u16; REASONS]) -> String {
    let words = key.iter().filter(|place| **place != NO_TERM).map(|&place| {
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
        rows: Rows,
        keys: impl Iterator<Item = K>,
        number: impl Fn(K) -> u64,
        push: impl Fn(K, &mut Dictionary) -> u32,
    ) -> Result<Chunk> {
        let Desk { encoder, places, dictionary, met, .. } = self;
        places.clear();
        dictionary.clear();
        met.clear();
        // Neighbours are often alike.
        let mut last = None;
        let place = |key: K| {
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
        places.extend(keys.map(place));
        encoder.places(column, rows, places, dictionary)
    }

    /// The same, of all rows, where what they are made from has numbers below `kinds`.
    fn of_few(
        &mut self,
        column: &ColumnDescPtr,
        keys: impl ExactSizeIterator<Item = usize>,
        kinds: usize,
        words: impl Fn(usize) -> String,
    ) -> Result<Chunk> {
        let Desk { encoder, places, dictionary, .. } = self;
        let rows = Rows::all(keys.len());
        let mut known = vec![MISSING; kinds];
        places.clear();
        dictionary.clear();
        places.extend(keys.map(|key| {
            if known[key] == MISSING {
                known[key] = dictionary.push_text(&words(key));
            }
            known[key]
        }));
        encoder.places(column, rows, places, dictionary)
    }

    /// A chunk of what a source holds of these people; `rows` are theirs where the others have nothing.
    fn published(
        &mut self,
        column: &ColumnDescPtr,
        source: &Source,
        people: &[u32],
        rows: Option<Rows>,
    ) -> Result<Chunk> {
        let Desk { encoder, places, narrow, wide, bits, .. } = self;
        match source {
            Source::Text(text) => encoder.texts(column, people.iter().map(|&person| text(person))),
            Source::Ordered(text) => encoder.ordered_texts(column, people.iter().map(|&person| text(person))),
            Source::Few(few, fill) => {
                let dictionary = dictionary_of(few);
                let rows = filled(fill, people, rows, places, bits);
                encoder.places(column, rows, places, &dictionary)
            }
            Source::Whole(Numbers::Narrow(fill)) => {
                let rows = filled(fill, people, rows, narrow, bits);
                encoder.whole(column, rows, narrow)
            }
            Source::Whole(Numbers::Wide(fill)) => {
                let rows = filled(fill, people, rows, wide, bits);
                encoder.whole(column, rows, wide)
            }
            Source::Decimal(Numbers::Narrow(fill), of) => {
                let rows = filled(fill, people, rows, narrow, bits);
                encoder.decimals(column, rows, narrow, of)
            }
            Source::Decimal(Numbers::Wide(fill), of) => {
                let rows = filled(fill, people, rows, wide, bits);
                encoder.decimals(column, rows, wide, of)
            }
            Source::Made(_) => unreachable!("what is laid out already has rows of its own"),
        }
    }

    /// A chunk of some rows of a column that is laid out.
    fn made(&mut self, column: &ColumnDescPtr, values: &Values, rows: Range<usize>) -> Result<Chunk> {
        let Desk { encoder, places, wide, bits, .. } = self;
        match values {
            Values::Whole(values) => {
                wide.clear();
                wide.extend(values[rows].iter().map(|value| value.unwrap_or(NO_NUMBER)));
                let rows = Rows::of(wide, bits);
                encoder.whole(column, rows, wide)
            }
            Values::Decimal(values) => {
                places.clear();
                places.extend(values[rows.clone()].iter().map(|value| value.map_or(MISSING, |_| 0)));
                encoder.floats(column, Rows::of(places, bits), values[rows].iter().copied().flatten())
            }
            texts => encoder.texts(column, rows.map(|row| texts.text(row))),
        }
    }
}

fn dictionary_of(few: &Few) -> Dictionary {
    match few {
        Few::Words(words) => Dictionary::of_texts(words.iter().copied()),
        Few::Whole(numbers) => Dictionary::of_numbers(numbers.iter().map(|number| number.to_le_bytes())),
        Few::Decimal(numbers) => Dictionary::of_numbers(numbers.iter().map(|number| number.to_le_bytes())),
    }
}

/// Puts what a column holds of these people in a buffer that was used before: those who have nothing are left out.
fn filled<'b, T: Held>(
    fill: &Fill<T>,
    people: &[u32],
    rows: Option<Rows<'b>>,
    values: &mut Vec<T>,
    bits: &'b mut Vec<u64>,
) -> Rows<'b> {
    values.clear();
    fill(people, values);
    match rows {
        Some(rows) => {
            assert!(!values.contains(&T::NONE), "whoever has a score has all that comes with it");
            rows
        }
        None => Rows::of(values, bits),
    }
}

/// Those of the published people who have a value in some rows, and these rows.
fn present_of<'b>(present: &'b Present, people: &[u32], rows: Range<usize>) -> (&'b [u32], Rows<'b>) {
    let count = rows.len();
    let (people, bits) = present.of_rows(people, rows);
    (people, Rows::new(count, bits))
}

/// A published column, as it comes or as it has been laid out.
fn lazy<'a>(column: &'a PublishedColumn, people: &'a [u32]) -> Lazy<'a> {
    let kind = match &*column.source {
        Source::Text(_) | Source::Ordered(_) | Source::Few(Few::Words(_), _) => DataType::Utf8,
        Source::Whole(_) | Source::Few(Few::Whole(_), _) => DataType::Int64,
        Source::Decimal(..) | Source::Few(Few::Decimal(_), _) => DataType::Float64,
        Source::Made(Values::Text(_) | Values::Words(_)) => DataType::Utf8,
        Source::Made(Values::Whole(_)) => DataType::Int64,
        Source::Made(Values::Decimal(_)) => DataType::Float64,
    };
    let write = move |rows: Range<usize>, desk: &mut Desk, described: &ColumnDescPtr| match &*column.source {
        Source::Made(values) => desk.made(described, values, rows),
        source => match &column.present {
            Some(present) => {
                let (some, rows) = present_of(present, people, rows);
                desk.published(described, source, some, Some(rows))
            }
            None => desk.published(described, source, &people[rows], None),
        },
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use arrow_array::Array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::cohort::columns::fill;

    /// Of a spine on which every fifth person is not published; some of the others have a score.
    fn columns<'a>(strata: &'a Strata, people: &[u32]) -> Vec<PublishedColumn<'a>> {
        let present = Arc::new(Present::new(strata, people));
        let rank = |person: u32| strata.ranks[person as usize].expect("nobody else is asked for").get();
        let halves = Box::new(|number| number as f64 / 2.0);
        let sources = [
            Source::Few(Few::Words(vec!["low", "high"]), fill(move |person| rank(person) % 2)),
            Source::Few(Few::Whole(vec![-7, 0, 12]), fill(move |person| rank(person) % 3)),
            Source::Few(Few::Decimal(vec![0.25, 0.5]), fill(move |person| rank(person) % 2)),
            Source::Whole(Numbers::Narrow(fill(move |person| rank(person) as i32))),
            Source::Decimal(Numbers::Wide(fill(move |person| rank(person).into())), halves),
        ];
        let names = ["words", "whole", "decimals", "rank", "halves"];
        sources.into_iter().zip(names).map(|(source, name)| PublishedColumn::new(name, source).of(&present)).collect()
    }

    #[test]
    fn whoever_has_no_score_has_none_in_any_row_group() {
        let spine = 2 * ROWS as u32;
        let people: Vec<u32> = (0..spine).filter(|person| person % 5 != 3).collect();
        assert!(
            people.len() > ROWS && !people.len().is_multiple_of(64),
            "more than one row group, and a part of a number of bits"
        );
        let has_score: [fn(u32) -> bool; 4] =
            [|_| true, |_| false, |person| person % 7 == 1, |person| person > 200_000];
        for has_score in has_score {
            let mut strata = Strata { ranks: vec![None; spine as usize], ..Strata::default() };
            strata.scored = people.iter().copied().filter(|&person| has_score(person)).collect();
            strata.scored.iter().for_each(|&person| strata.ranks[person as usize] = NonZeroU32::new(person + 1));
            let published = Published { people: people.clone(), columns: columns(&strata, &people) };
            let lazies: Vec<Lazy> = published.columns.iter().map(|column| lazy(column, &people)).collect();
            let file = bytes::Bytes::from(parquet(&lazies, people.len(), &Desks::default()).unwrap());
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(spine as usize);
            let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
            assert_eq!(batches.len(), 1);
            for (column, read) in published.columns.iter().zip(batches[0].columns()) {
                let values = published.column(&column.name).unwrap();
                assert_eq!(read, &array(values, people.len()), "{}", column.name);
                let has_value = people.iter().zip(0..).all(|(&person, row)| has_score(person) == read.is_valid(row));
                assert!(has_value, "{}", column.name);
            }
        }
    }
}
