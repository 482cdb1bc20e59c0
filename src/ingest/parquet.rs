//! Parquet files to batches: only the wanted columns, and dictionaries kept as the file has them.
//!
//! A row group is read by one thread. Whether a text column comes as a dictionary is settled per row group: a writer
//! gives up its dictionary when that grows too large, and building one again for each batch costs more than it saves.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetStatisticsPolicy};

use super::files::{Batch, InputFile, Origin, Task, origins, repeated};

/// Rows per batch; measured: see `benches/`.
const BATCH_ROWS: usize = 16_384;

/// A file whose footer has been read.
pub(super) struct Opened {
    file: usize,
    metadata: ArrowReaderMetadata,
    origins: Vec<Origin>,
    /// How many rows come before each row group, and at the end how many there are.
    rows_before: Vec<u64>,
}

impl Opened {
    pub(super) fn groups(&self) -> usize {
        self.rows_before.len() - 1
    }
}

pub(super) fn header(file: &InputFile) -> Result<Vec<String>> {
    let metadata = footer(file)?;
    Ok(metadata.schema().fields().iter().map(|field| field.name().clone()).collect())
}

fn footer(file: &InputFile) -> Result<ArrowReaderMetadata> {
    let opened = File::open(&file.path).with_context(|| format!("failed to read {}", file.name))?;
    let options = ArrowReaderOptions::new().with_column_stats_policy(ParquetStatisticsPolicy::SkipAll);
    ArrowReaderMetadata::load(&opened, options).map_err(|error| match error {
        ParquetError::External(cause) => anyhow!("failed to read {}: {cause}", file.name),
        ParquetError::EOF(cause) => anyhow!("{} is cut short: {cause}", file.name),
        cause => anyhow!("{} is not a whole Parquet file: {cause}", file.name),
    })
}

/// The footer of a file, and where each wanted column is in it.
pub(super) fn open(task: &Task, file: usize) -> Result<Opened> {
    let input = &task.files[file];
    input.check_unchanged()?;
    let metadata = footer(input)?;
    let names: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
    let origins = origins(input, &names, task.wanted)?;
    for (origin, wanted) in origins.iter().zip(task.wanted) {
        if let Origin::Column(index) = origin {
            let nested = metadata.schema().field(*index).data_type().is_nested();
            ensure!(!nested, "{}: column \"{}\" holds lists or structures, not single values", input.name, wanted.name);
        }
    }
    let mut rows_before = vec![0];
    for group in metadata.metadata().row_groups() {
        let rows = u64::try_from(group.num_rows()).with_context(|| format!("{}: a row count below 0", input.name))?;
        rows_before.push(rows_before[rows_before.len() - 1] + rows);
    }
    if rows_before.len() == 1 {
        (task.progress)(input.bytes);
    }
    Ok(Opened { file, metadata, origins, rows_before })
}

/// Delivers the rows of one row group; a failure is noted at the first row of the batch that failed.
pub(super) fn read_group(task: &Task, opened: &Opened, group: usize) {
    let mut row = opened.rows_before[group] + 1;
    if task.failure.is_before((opened.file, row)) {
        return;
    }
    let input = &task.files[opened.file];
    let result = deliver_group(task, opened, group, &mut row);
    // A file that changed explains whatever else went wrong with it.
    if let Err(error) = input.check_unchanged().and(result) {
        task.failure.note((opened.file, row), error);
    }
}

fn deliver_group(task: &Task, opened: &Opened, group: usize, row: &mut u64) -> Result<()> {
    let (file, end) = (opened.file, opened.rows_before[group + 1]);
    let name = &task.files[file].name;
    let roots = roots(&opened.origins);
    let context = |row: u64| format!("{name}: failed to read the rows from {row} to {end}");
    let reader = batches(task, opened, group, &roots).with_context(|| context(*row))?;
    let mut texts: Vec<Option<Converted>> = opened.origins.iter().map(|_| None).collect();
    for batch in reader {
        let batch = batch.with_context(|| context(*row))?;
        let mut columns = Vec::with_capacity(opened.origins.len());
        for (index, origin) in opened.origins.iter().enumerate() {
            let column = column(&batch, origin, &roots, &mut texts[index]);
            columns.push(column.with_context(|| format!("{name}, column \"{}\"", task.wanted[index].name))?);
        }
        let rows = batch.num_rows();
        task.deliver(Batch { file, first_row: *row, columns, rows })?;
        (task.progress)(bytes_between(task, opened, *row - 1, *row - 1 + rows as u64));
        *row += rows as u64;
        if task.failure.is_before((file, *row)) {
            return Ok(());
        }
    }
    ensure!(*row == end + 1, "{name}: the footer counts {end} rows up to here, and the data ends at row {}", *row - 1);
    Ok(())
}

/// A part of the file's bytes in proportion to rows, so that the parts add up to the whole file.
fn bytes_between(task: &Task, opened: &Opened, from: u64, to: u64) -> u64 {
    let all = u128::from(opened.rows_before[opened.groups()].max(1));
    let bytes = u128::from(task.files[opened.file].bytes);
    let upto = |row: u64| u64::try_from(bytes * u128::from(row) / all).unwrap_or(u64::MAX);
    upto(to) - upto(from)
}

/// The file's columns that are read, each once, in the file's order.
fn roots(origins: &[Origin]) -> Vec<usize> {
    let index = |origin: &Origin| if let Origin::Column(index) = origin { Some(*index) } else { None };
    let mut roots: Vec<usize> = origins.iter().filter_map(index).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn batches(task: &Task, opened: &Opened, group: usize, roots: &[usize]) -> Result<ParquetRecordBatchReader> {
    let footer = opened.metadata.metadata().clone();
    let parquet_schema = footer.file_metadata().schema_descr_ptr();
    let mut fields: Vec<Arc<Field>> = opened.metadata.schema().fields().iter().cloned().collect();
    for &root in roots {
        let leaf = (0..parquet_schema.num_columns()).find(|leaf| parquet_schema.get_column_root_idx(*leaf) == root);
        if let Some(kind) = leaf.and_then(|leaf| text_type(&fields[root], footer.row_group(group).column(leaf))) {
            fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(kind));
        }
    }
    let schema = Schema::new_with_metadata(fields, opened.metadata.schema().metadata().clone());
    let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(Arc::new(schema)))?;
    // Its own handle: clones of one handle share their position in the file.
    let file = File::open(&task.files[opened.file].path)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_row_groups(vec![group])
        .with_projection(ProjectionMask::roots(&parquet_schema, roots.iter().copied()))
        .with_batch_size(BATCH_ROWS)
        .build()?)
}

/// The type in which a column of text is asked for; `None` leaves it as the file states it.
fn text_type(field: &Field, chunk: &ColumnChunkMetaData) -> Option<DataType> {
    let stated = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let text = match stated {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        _ => return None,
    };
    // Only text that the file marks as such is checked by the reader when it comes as a dictionary.
    let marked = chunk.column_descr().converted_type() == ConvertedType::UTF8;
    let dictionary = has_only_dictionary_pages(chunk) && (marked || text == DataType::Binary);
    Some(if dictionary { DataType::Dictionary(Box::new(DataType::Int32), Box::new(text)) } else { text })
}

fn has_only_dictionary_pages(chunk: &ColumnChunkMetaData) -> bool {
    let coded = |encoding| encoding == Encoding::RLE_DICTIONARY || encoding == Encoding::PLAIN_DICTIONARY;
    match chunk.page_encoding_stats_mask() {
        Some(pages) => pages.encodings().all(coded),
        // Writers that keep no figures per page name the dictionary among all encodings, and often no more than that.
        None => chunk.encodings().any(coded),
    }
}

/// A dictionary of unmarked bytes, and the same as text.
struct Converted {
    bytes: ArrayRef,
    text: ArrayRef,
}

fn column(
    batch: &RecordBatch,
    origin: &Origin,
    roots: &[usize],
    converted: &mut Option<Converted>,
) -> Result<Option<ArrayRef>> {
    let root = match origin {
        Origin::Absent => return Ok(None),
        Origin::Folder(value) => return repeated(value, batch.num_rows()).map(Some),
        Origin::Column(root) => *root,
    };
    let array = batch.column(roots.partition_point(|other| *other < root));
    let array = match array.data_type() {
        DataType::Binary => text_of(array.as_binary::<i32>())?,
        DataType::Dictionary(_, values) if **values == DataType::Binary => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let bytes = dictionary.values();
            // Once per dictionary, and one array for all batches, as for text that is marked.
            if !converted.as_ref().is_some_and(|last| Arc::ptr_eq(&last.bytes, bytes)) {
                let text = text_of(bytes.as_binary::<i32>())?;
                *converted = Some(Converted { bytes: bytes.clone(), text });
            }
            let text = converted.as_ref().map_or(bytes, |last| &last.text);
            Arc::new(dictionary.with_values(text.clone()))
        }
        _ => array.clone(),
    };
    Ok(Some(array))
}

/// Bytes as the text that older writers mean by them.
fn text_of(bytes: &BinaryArray) -> Result<ArrayRef> {
    let (offsets, values, nulls) = bytes.clone().into_parts();
    let text =
        StringArray::try_new(offsets, values, nulls).map_err(|_| anyhow!("holds bytes that are not utf-8 text"))?;
    Ok(Arc::new(text))
}
