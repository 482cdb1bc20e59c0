//! The analysis files: pseudonymised, one row per person, as Parquet.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use super::OutputFile;
use crate::cohort::columns::{Published, PublishedColumn, Values};
use crate::model::Model;
use crate::person::Spine;
use crate::score::people::{Reason, Scores};

/// Rows in a row group, which are laid out in memory at once.
const ROWS: usize = 1 << 17;

/// A column that is still to be laid out, a range of rows at a time.
struct Lazy<'a> {
    field: Field,
    array: Box<dyn Fn(Range<usize>) -> ArrayRef + Sync + 'a>,
}

/// `scores.parquet`: everybody who is registered, with every score.
pub fn scores(published: &Published, models: &[Model], scores: &Scores) -> Result<OutputFile> {
    let mut columns: Vec<Lazy> = published
        .columns
        .iter()
        .map(|column| Lazy { field: field(column), array: Box::new(|rows| array(column, rows)) })
        .collect();
    for (number, model) in models.iter().enumerate().filter(|(_, model)| model.is_scored()) {
        let words = move |rows: Range<usize>| -> ArrayRef {
            let people = published.people[rows].iter();
            Arc::new(people.map(|&person| reasons_in_words(model, scores, number, person)).collect::<StringArray>())
        };
        let field = Field::new(format!("{}_reasons", model.id), DataType::Utf8, true);
        columns.push(Lazy { field, array: Box::new(words) });
    }
    Ok(OutputFile::new("scores.parquet", parquet(&columns, published.people.len())?))
}

/// One line of `not_scored.parquet`: person, model and reason.
type Missing = (u32, u16, Reason);

/// `not_scored.parquet`: everybody without a score of some model, and why.
pub fn not_scored(models: &[Model], spine: &Spine, scores: &Scores) -> Result<OutputFile> {
    let mut rows: Vec<Missing> = Vec::new();
    for (number, model) in models.iter().enumerate() {
        let mut take = |person: usize, reason: Option<Reason>| {
            rows.extend(reason.map(|reason| (person as u32, number as u16, reason)));
        };
        match model.is_scored() {
            true => {
                let results = scores.models[number].linear_predictors.iter().enumerate();
                results.for_each(|(person, result)| take(person, result.err()));
            }
            false => {
                let standings = scores.standings.iter().enumerate();
                standings.for_each(|(person, standing)| take(person, Reason::of_standing(*standing)));
            }
        }
    }
    rows.par_sort_unstable();
    let text = |name: &str, value: fn(&Spine, &[Model], &Missing) -> String| {
        let rows = &rows;
        let array = move |range: Range<usize>| -> ArrayRef {
            Arc::new(rows[range].iter().map(|row| Some(value(spine, models, row))).collect::<StringArray>())
        };
        Lazy { field: Field::new(name, DataType::Utf8, false), array: Box::new(array) }
    };
    let columns = [
        text("person", |spine, _, row| spine.ids[row.0 as usize].0.to_string()),
        text("model", |_, models, row| models[usize::from(row.1)].id.clone()),
        text("reason", |_, models, row| row.2.words(&models[usize::from(row.1)])),
    ];
    Ok(OutputFile::new("not_scored.parquet", parquet(&columns, rows.len())?))
}

/// A person's strongest reasons for a score, from the model's words; `None` where there is no score.
pub fn reasons_in_words(model: &Model, scores: &Scores, number: usize, person: u32) -> Option<String> {
    let of = &scores.models[number];
    of.linear_predictors[person as usize].ok()?;
    let words = of.reasons[person as usize].iter().flatten().map(|&place| {
        let term = &model.terms[usize::from(place)];
        term.reason.as_deref().unwrap_or(&term.label)
    });
    Some(words.collect::<Vec<_>>().join("; "))
}

fn field(column: &PublishedColumn) -> Field {
    let kind = match &column.values {
        Values::Text(_) | Values::Words(_) => DataType::Utf8,
        Values::Whole(_) => DataType::Int64,
        Values::Decimal(_) => DataType::Float64,
    };
    Field::new(&column.name, kind, true)
}

fn array(column: &PublishedColumn, rows: Range<usize>) -> ArrayRef {
    match &column.values {
        Values::Text(values) => Arc::new(values[rows].iter().map(Option::as_deref).collect::<StringArray>()),
        Values::Words(_) => Arc::new(rows.map(|row| column.values.text(row)).collect::<StringArray>()),
        Values::Whole(values) => Arc::new(values[rows].iter().copied().collect::<Int64Array>()),
        Values::Decimal(values) => Arc::new(values[rows].iter().copied().collect::<Float64Array>()),
    }
}

/// The columns as a Parquet file; those of a row group are laid out and compressed on all threads.
fn parquet(columns: &[Lazy], rows: usize) -> Result<Vec<u8>> {
    let schema = Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
    // No creation time and no library version in the file: equal runs give equal bytes.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("riskstrat".to_owned())
        .build();
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))?;
    let (mut file, row_groups) = writer.into_serialized_writer()?;
    for (number, start) in (0..rows).step_by(ROWS).enumerate() {
        let range = start..(start + ROWS).min(rows);
        let writers = row_groups.create_column_writers(number)?;
        let chunks: Vec<ArrowColumnChunk> = writers
            .into_par_iter()
            .zip(columns)
            .map(|(mut writer, column)| {
                for leaf in compute_leaves(&column.field, &(column.array)(range.clone()))? {
                    writer.write(&leaf)?;
                }
                Ok(writer.close()?)
            })
            .collect::<Result<_>>()?;
        let mut row_group = file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
    }
    file.close()?;
    Ok(bytes)
}
