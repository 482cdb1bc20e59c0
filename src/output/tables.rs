//! The analysis files: pseudonymised, one row per person, as Parquet.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::OutputFile;
use crate::cohort::columns::{Published, PublishedColumn, Values};
use crate::model::Model;
use crate::person::Spine;
use crate::score::people::{Reason, Scores};

/// Rows that are laid out in memory at once.
const ROWS: usize = 1 << 16;

/// `scores.parquet`: everybody who is registered, with every score.
pub fn scores(published: &Published, models: &[Model], scores: &Scores) -> Result<OutputFile> {
    let reasons: Vec<(usize, String)> = models
        .iter()
        .enumerate()
        .filter(|(_, model)| model.is_scored())
        .map(|(number, model)| (number, format!("{}_reasons", model.id)))
        .collect();
    let mut fields: Vec<Field> = published.columns.iter().map(field).collect();
    fields.extend(reasons.iter().map(|(_, name)| Field::new(name, DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(fields));
    let batch = |rows: std::ops::Range<usize>| {
        let mut arrays: Vec<ArrayRef> = published.columns.iter().map(|column| array(column, rows.clone())).collect();
        for (number, _) in &reasons {
            let words =
                rows.clone().map(|row| reasons_in_words(&models[*number], scores, *number, published.people[row]));
            arrays.push(Arc::new(words.collect::<StringArray>()));
        }
        Ok(RecordBatch::try_new(schema.clone(), arrays)?)
    };
    Ok(OutputFile::new("scores.parquet", parquet(&schema, published.people.len(), batch)?))
}

/// `not_scored.parquet`: everybody without a score of some model, and why.
pub fn not_scored(models: &[Model], spine: &Spine, scores: &Scores) -> Result<OutputFile> {
    let mut rows: Vec<(u32, usize, String)> = Vec::new();
    for (number, model) in models.iter().enumerate().filter(|(_, model)| !model.is_scored()) {
        for (person, standing) in scores.standings.iter().enumerate() {
            if let Some(reason) = Reason::of_standing(*standing) {
                rows.push((person as u32, number, reason.words(model)));
            }
        }
    }
    for (number, model) in models.iter().enumerate().filter(|(_, model)| model.is_scored()) {
        for (person, result) in scores.models[number].linear_predictors.iter().enumerate() {
            if let Err(reason) = result {
                rows.push((person as u32, number, reason.words(model)));
            }
        }
    }
    rows.sort_unstable();
    let text = |name| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![text("person"), text("model"), text("reason")]));
    let batch = |range: std::ops::Range<usize>| {
        let rows = &rows[range];
        let people: StringArray = rows.iter().map(|(person, ..)| Some(&*spine.ids[*person as usize].0)).collect();
        let names: StringArray = rows.iter().map(|(_, model, _)| Some(models[*model].id.as_str())).collect();
        let reasons: StringArray = rows.iter().map(|(.., reason)| Some(reason.as_str())).collect();
        Ok(RecordBatch::try_new(schema.clone(), vec![Arc::new(people), Arc::new(names), Arc::new(reasons)])?)
    };
    Ok(OutputFile::new("not_scored.parquet", parquet(&schema, rows.len(), batch)?))
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

fn array(column: &PublishedColumn, rows: std::ops::Range<usize>) -> ArrayRef {
    match &column.values {
        Values::Text(values) => Arc::new(values[rows].iter().map(Option::as_deref).collect::<StringArray>()),
        Values::Words(_) => Arc::new(rows.map(|row| column.values.text(row)).collect::<StringArray>()),
        Values::Whole(values) => Arc::new(values[rows].iter().copied().collect::<Int64Array>()),
        Values::Decimal(values) => Arc::new(values[rows].iter().copied().collect::<Float64Array>()),
    }
}

fn parquet(
    schema: &Arc<Schema>,
    rows: usize,
    batch: impl Fn(std::ops::Range<usize>) -> Result<RecordBatch>,
) -> Result<Vec<u8>> {
    // No creation time and no library version in the file: equal runs give equal bytes.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("riskstrat".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), Some(properties))?;
    for start in (0..rows).step_by(ROWS) {
        writer.write(&batch(start..(start + ROWS).min(rows))?)?;
    }
    writer.close()?;
    Ok(bytes)
}
