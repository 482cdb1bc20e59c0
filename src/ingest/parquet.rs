//! Parquet files to batches: only the wanted columns, and dictionaries kept as the file has them.
//!
//! A row group is read by one thread, or by several if it is very long: each part then has its own copy of the
//! dictionaries. Whether a column comes as its dictionary's keys is settled per row group: a writer gives up its
//! dictionary when that grows too large, and building one again for each batch costs more than it saves. Columns of keys
//! and of plain values are handed on as the pages have them; the others are decoded to arrays.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, Encoding};
use parquet::column::page::PageReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetStatisticsPolicy};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::coded::{self, Coded, Column, Damaged, Page, Piece, Plain};
use super::column::texts_of;
use super::files::{Batch, InputFile, Origin, SAMPLE_PLACES, Task, origins, repeated};

/// From 8,192 to 65,536 rows decoding takes the same time; more rows are fewer calls, fewer stay in the cache.
const BATCH_ROWS: usize = 16_384;

/// A row group longer than this is shared between threads: some writers put a whole file into one. Each part passes over
/// the pages before it, so small parts cost more than they share.
const PART_ROWS_MAX: u64 = 4 << 20;

/// A file whose footer has been read.
pub(super) struct Opened {
    file: usize,
    metadata: ArrowReaderMetadata,
    origins: Vec<Origin>,
    rows: u64,
    pub(super) parts: Vec<Part>,
}

/// Rows of one row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    group: usize,
    /// How many rows of the row group come before.
    skip: u64,
    rows: u64,
    /// The number of the first row in the file.
    first_row: u64,
}

/// The parts of row groups with so many rows each, in order.
fn parts(rows_per_group: &[u64], rows_max: u64) -> Vec<Part> {
    let (mut parts, mut first_row) = (Vec::new(), 1);
    for (group, &rows_in_group) in rows_per_group.iter().enumerate() {
        let mut skip = 0;
        while skip < rows_in_group {
            let rows = rows_max.min(rows_in_group - skip);
            parts.push(Part { group, skip, rows, first_row });
            skip += rows;
            first_row += rows;
        }
    }
    parts
}

pub(super) fn header(file: &InputFile) -> Result<Vec<String>> {
    let metadata = footer(file)?;
    Ok(metadata.schema().fields().iter().map(|field| field.name().clone()).collect())
}

/// How many rows a sample takes from one row group.
const SAMPLE_ROWS: u64 = 2_000;

/// The values of every column that holds single values in some of a file's rows, by column; not each time that they
/// come.
pub(super) fn sample(file: &InputFile) -> Result<Vec<(String, Vec<Vec<u8>>)>> {
    let metadata = footer(file)?;
    let fields = metadata.schema().fields();
    let roots: Vec<usize> = (0..fields.len()).filter(|&index| !fields[index].data_type().is_nested()).collect();
    let mut columns: Vec<(String, Vec<Vec<u8>>)> =
        roots.iter().map(|&index| (fields[index].name().clone(), Vec::new())).collect();
    let groups = metadata.metadata().num_row_groups();
    let mut places: Vec<usize> =
        (0..SAMPLE_PLACES as usize).map(|place| groups * place / SAMPLE_PLACES as usize).collect();
    places.dedup();
    for group in places.into_iter().filter(|group| *group < groups) {
        let rows = u64::try_from(metadata.metadata().row_group(group).num_rows()).unwrap_or(0);
        let part = Part { group, skip: 0, rows: rows.min(SAMPLE_ROWS), first_row: 1 };
        let read = || -> Result<Vec<ArrayRef>> {
            let mut reader = PartReader::new(&file.path, &metadata, roots.clone(), part)?;
            let Some(rows) = reader.read()? else { return Ok(Vec::new()) };
            let column = |root| reader.column(&Origin::Column(root), rows)?.ok_or(Damaged)?.distinct();
            roots.iter().copied().map(column).collect()
        };
        let read = unless_damaged(read).unwrap_or_default();
        columns.iter_mut().zip(&read).for_each(|((name, values), array)| values.extend(texts_of(array, name)));
    }
    Ok(columns)
}

/// How many rows the footer says that there are.
pub(super) fn rows(file: &InputFile) -> Result<u64> {
    let rows = footer(file)?.metadata().file_metadata().num_rows();
    u64::try_from(rows).with_context(|| format!("{}: a row count below 0", file.name))
}

fn footer(file: &InputFile) -> Result<ArrowReaderMetadata> {
    let name = &file.name;
    let context = || format!("failed to read {name}");
    let mut opened = File::open(&file.path).with_context(context)?;
    let mut end = Vec::new();
    if file.bytes >= 12 {
        opened.seek(SeekFrom::End(-4)).and_then(|_| opened.read_to_end(&mut end)).with_context(context)?;
    }
    ensure!(end == b"PAR1", "{name} is cut short: it does not end with the footer of a Parquet file");
    let options = ArrowReaderOptions::new().with_column_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let load = || Ok(ArrowReaderMetadata::load(&opened, options)?);
    unless_damaged(load).with_context(|| format!("failed to read the footer of {name}"))
}

/// What the `parquet` crate gives; it panics on some damaged files, and those are a fault of the input and not ours.
fn unless_damaged<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| bail!("the data is damaged"))
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
    let rows = metadata.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()));
    let rows: Vec<u64> =
        rows.collect::<Result<_, _>>().with_context(|| format!("{}: a row count below 0", input.name))?;
    let parts = parts(&rows, PART_ROWS_MAX);
    if parts.is_empty() {
        (task.progress)(input.bytes);
    }
    Ok(Opened { file, metadata, origins, rows: rows.iter().sum(), parts })
}

/// Delivers the rows of one part; a failure is noted at the first row of the batch that failed.
pub(super) fn read_part(task: &Task, opened: &Opened, part: Part) {
    let mut row = part.first_row;
    if task.failure.is_before((opened.file, row)) {
        return;
    }
    let result = deliver_part(task, opened, part, &mut row);
    // A file that changed explains whatever else went wrong with it.
    if let Err(error) = task.files[opened.file].check_unchanged().and(result) {
        task.failure.note((opened.file, row), error);
    }
}

fn deliver_part(task: &Task, opened: &Opened, part: Part, row: &mut u64) -> Result<()> {
    let (file, end) = (opened.file, part.first_row + part.rows);
    let name = &task.files[file].name;
    let context = |row: u64| format!("{name}: failed to read the rows from {row} to {}", end - 1);
    let (path, roots) = (&task.files[file].path, roots(&opened.origins));
    let reader = unless_damaged(|| PartReader::new(path, &opened.metadata, roots, part));
    let mut reader = reader.with_context(|| context(*row))?;
    while let Some(rows) = unless_damaged(|| reader.read()).with_context(|| context(*row))? {
        let mut columns = Vec::with_capacity(opened.origins.len());
        for (origin, wanted) in opened.origins.iter().zip(task.wanted) {
            let column = reader.column(origin, rows);
            columns.push(column.with_context(|| format!("{name}, column \"{}\"", wanted.name))?);
        }
        let first_row = *row;
        let is_damaged = |error: &anyhow::Error| error.downcast_ref() == Some(&Damaged);
        task.deliver(Batch { file, first_row, columns, rows })
            .map_err(|error| if is_damaged(&error) { error.context(context(first_row)) } else { error })?;
        (task.progress)(bytes_between(task, opened, first_row - 1, first_row - 1 + rows as u64));
        *row += rows as u64;
        if task.failure.is_before((file, *row)) {
            return Ok(());
        }
    }
    ensure!(*row == end, "{name}: the footer says that it has row {row}, and the data ends before it");
    Ok(())
}

/// A part of the file's bytes in proportion to rows, so that the parts add up to the whole file.
fn bytes_between(task: &Task, opened: &Opened, from: u64, to: u64) -> u64 {
    let bytes = u128::from(task.files[opened.file].bytes);
    let upto = |row: u64| u64::try_from(bytes * u128::from(row) / u128::from(opened.rows.max(1))).unwrap_or(u64::MAX);
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

/// The columns of a part of a row group, some rows at a time.
struct PartReader {
    /// The file's columns that are read.
    roots: Vec<usize>,
    /// One a root.
    columns: Vec<Reading>,
    /// Of the columns that are decoded; `None` where there are none.
    arrays: Option<ParquetRecordBatchReader>,
    left: u64,
}

/// A column on its way, and the rows at hand.
enum Reading {
    Pages(Box<PagesReader>, Option<Column>),
    /// The column of the decoded batch.
    Array(usize, Option<ArrayRef>, Option<Converted>),
}

impl PartReader {
    /// Of these columns, which are in the file's order.
    fn new(path: &Path, metadata: &ArrowReaderMetadata, roots: Vec<usize>, part: Part) -> Result<PartReader> {
        let footer = metadata.metadata();
        let schema = footer.file_metadata().schema_descr();
        let mut fields: Vec<Arc<Field>> = metadata.schema().fields().iter().cloned().collect();
        let (mut columns, mut decoded) = (Vec::new(), Vec::new());
        for &root in &roots {
            let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
            let chunk = leaf.map(|leaf| footer.row_group(part.group).column(leaf));
            if let Some(kind) = chunk.and_then(|chunk| text_type(&fields[root], chunk)) {
                fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(kind));
            }
            let pages = chunk.and_then(|chunk| Some((chunk, paged_type(&fields[root], chunk)?)));
            columns.push(match pages {
                Some((chunk, kind)) => {
                    let mut reader = PagesReader::new(File::open(path)?, chunk, kind)?;
                    reader.pass_over(part.skip)?;
                    Reading::Pages(Box::new(reader), None)
                }
                None => {
                    decoded.push(root);
                    Reading::Array(decoded.len() - 1, None, None)
                }
            });
        }
        let needs_arrays = !decoded.is_empty() || roots.is_empty();
        let arrays = needs_arrays.then(|| batches(path, metadata, part, &decoded, fields)).transpose()?;
        Ok(PartReader { roots, columns, arrays, left: part.rows })
    }

    /// Reads on; how many rows are at hand then, or `None` at the end.
    fn read(&mut self) -> Result<Option<usize>> {
        let batch = self.arrays.as_mut().map(|arrays| arrays.next().transpose()).transpose()?;
        let rows = match &batch {
            Some(None) => return Ok(None),
            Some(Some(batch)) => batch.num_rows(),
            None => self.left.min(BATCH_ROWS as u64) as usize,
        };
        if rows == 0 {
            return Ok(None);
        }
        self.left = self.left.saturating_sub(rows as u64);
        for column in &mut self.columns {
            match column {
                Reading::Pages(reader, at_hand) => {
                    let read = reader.read(rows as u32);
                    *at_hand = Some(read.with_context(|| format!("column \"{}\"", reader.name))?);
                }
                Reading::Array(place, at_hand, _) => {
                    *at_hand = batch.iter().flatten().next().map(|batch| batch.column(*place).clone());
                }
            }
        }
        Ok(Some(rows))
    }

    /// The rows at hand of a column.
    fn column(&mut self, origin: &Origin, rows: usize) -> Result<Option<Column>> {
        let root = match origin {
            Origin::Absent => return Ok(None),
            Origin::Folder(value) => return Ok(Some(repeated(value, rows)?.into())),
            Origin::Column(root) => *root,
        };
        let place = self.roots.partition_point(|other| *other < root);
        Ok(match &mut self.columns[place] {
            Reading::Pages(_, at_hand) => at_hand.clone(),
            Reading::Array(_, Some(array), converted) => Some(as_text(array, converted)?.into()),
            Reading::Array(_, None, _) => None,
        })
    }
}

/// Decoded columns.
fn batches(
    path: &Path,
    metadata: &ArrowReaderMetadata,
    part: Part,
    roots: &[usize],
    fields: Vec<Arc<Field>>,
) -> Result<ParquetRecordBatchReader> {
    let footer = metadata.metadata().clone();
    let mask = ProjectionMask::roots(footer.file_metadata().schema_descr(), roots.iter().copied());
    let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
    let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(Arc::new(schema)))?;
    // Its own handle: clones of one handle share their position in the file.
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, metadata)
        .with_row_groups(vec![part.group])
        .with_projection(mask)
        .with_offset(usize::try_from(part.skip)?)
        .with_limit(usize::try_from(part.rows)?)
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

/// The type of a column's values where it is handed on as its pages have it.
fn paged_type(field: &Field, chunk: &ColumnChunkMetaData) -> Option<DataType> {
    let column = chunk.column_descr();
    let is_flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
    let kind = match field.data_type() {
        DataType::Dictionary(_, values) if matches!(**values, DataType::Utf8 | DataType::Binary) => DataType::Utf8,
        DataType::Binary => DataType::Utf8,
        kind => kind.clone(),
    };
    (is_flat && chunk.encodings().all(is_read_here) && coded::has_place(&kind)).then_some(kind)
}

/// Whether levels and values of this encoding are read here.
#[allow(deprecated, reason = "files of years ago have it")]
fn is_read_here(encoding: Encoding) -> bool {
    use Encoding::{BIT_PACKED, PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
    matches!(encoding, PLAIN | PLAIN_DICTIONARY | RLE_DICTIONARY | RLE | BIT_PACKED)
}

fn has_only_dictionary_pages(chunk: &ColumnChunkMetaData) -> bool {
    let coded = |encoding| encoding == Encoding::RLE_DICTIONARY || encoding == Encoding::PLAIN_DICTIONARY;
    match chunk.page_encoding_stats_mask() {
        Some(pages) => pages.encodings().all(coded),
        // Writers that keep no figures per page name the dictionary among all encodings, and often no more than that.
        None => chunk.encodings().any(coded),
    }
}

/// The pages of a column chunk, some rows at a time.
struct PagesReader {
    name: String,
    pages: SerializedPageReader<Window>,
    kind: DataType,
    is_optional: bool,
    /// Rows of the chunk, so that a damaged page does not ask for more memory than it can fill.
    rows: u64,
    values: Option<ArrayRef>,
    /// The page at hand, and how many of its rows were read.
    page: Option<(Arc<Page>, u32)>,
}

impl PagesReader {
    fn new(file: File, chunk: &ColumnChunkMetaData, kind: DataType) -> Result<PagesReader> {
        let rows = u64::try_from(chunk.num_values())?;
        let window = Window::new(file, chunk.byte_range())?;
        let pages = SerializedPageReader::new(Arc::new(window), chunk, usize::try_from(rows)?, None)?;
        let (name, is_optional) = (chunk.column_descr().name().to_owned(), chunk.column_descr().max_def_level() > 0);
        Ok(PagesReader { name, pages, kind, is_optional, rows, values: None, page: None })
    }

    /// Leaves out so many rows; pages of which none is wanted are not unpacked.
    fn pass_over(&mut self, mut rows: u64) -> Result<()> {
        while rows > 0 {
            let next = self.pages.peek_next_page()?.ok_or(Damaged)?;
            let in_page = next.num_rows.or(next.num_levels).unwrap_or(0) as u64;
            if !next.is_dict && in_page <= rows {
                self.pages.skip_next_page()?;
                rows -= in_page;
                continue;
            }
            let read = self.next_page()?;
            if let Some((_, done)) = &mut self.page
                && read
            {
                *done = rows as u32;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the next page; whether it has rows.
    fn next_page(&mut self) -> Result<bool> {
        let page = self.pages.get_next_page()?.ok_or(Damaged)?;
        if page.is_dictionary_page() {
            self.values = Some(coded::values_of(&page, &self.kind)?);
            return Ok(false);
        }
        ensure!(u64::from(page.num_values()) <= self.rows, Damaged);
        let entries = self.values.as_ref().map_or(0, |values| values.len() as u32);
        self.page = Some((Arc::new(Page::new(&page, self.is_optional, &self.kind, entries)?), 0));
        Ok(true)
    }

    /// The next rows.
    fn read(&mut self, mut rows: u32) -> Result<Column> {
        let mut pieces = Vec::with_capacity(1);
        while rows > 0 {
            match &mut self.page {
                Some((page, done)) if *done < page.rows => {
                    let piece = Piece { page: page.clone(), first: *done, rows: rows.min(page.rows - *done) };
                    (*done, rows) = (*done + piece.rows, rows - piece.rows);
                    pieces.push(piece);
                }
                _ => drop(self.next_page()?),
            }
        }
        let has_keys = pieces.iter().all(|piece: &Piece| piece.page.holds_keys());
        Ok(match &self.values {
            Some(values) if has_keys => Column::Coded(Arc::new(Coded::new(values.clone(), pieces))),
            values => Column::Plain(Arc::new(Plain::new(self.kind.clone(), values.clone(), pieces))),
        })
    }
}

/// The bytes of a column chunk, many at a time: its pages are read one behind the other, and a read of each, and of the
/// header before it, costs more than its bytes.
struct Window {
    file: File,
    /// Where the chunk ends.
    end: u64,
    at_hand: Mutex<(u64, Bytes)>,
}

impl Window {
    /// So many at first, then twice as many each time: of some chunks only the first page is looked at.
    const FEWEST: u64 = 1 << 16;
    const MOST: u64 = 1 << 20;
    /// More than the header of a page takes.
    const HEADER: u64 = 1 << 14;

    fn new(file: File, (start, length): (u64, u64)) -> Result<Window> {
        let end = start.checked_add(length).filter(|end| file.metadata().is_ok_and(|of| *end <= of.len()));
        Ok(Window { file, end: end.ok_or(Damaged)?, at_hand: Mutex::default() })
    }

    /// So many bytes from a place on, or fewer at the end of the chunk.
    fn bytes(&self, from: u64, length: u64) -> std::io::Result<Bytes> {
        let length = length.min(self.end.saturating_sub(from));
        let mut at_hand = self.at_hand.lock().expect("no thread panicked while it held the bytes");
        let (first, bytes) = &mut *at_hand;
        if from < *first || from + length > *first + bytes.len() as u64 {
            let more = (2 * bytes.len() as u64).clamp(Window::FEWEST, Window::MOST);
            let wanted = length.max(more.min(self.end.saturating_sub(from)));
            let mut read = Vec::with_capacity(wanted as usize);
            let mut file = &self.file;
            file.seek(SeekFrom::Start(from))?;
            file.take(wanted).read_to_end(&mut read)?;
            (*first, *bytes) = (from, read.into());
        }
        let place = (from - *first) as usize;
        Ok(bytes.slice(place..bytes.len().min(place + length as usize)))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.end
    }
}

impl ChunkReader for Window {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.bytes(start, Window::HEADER)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.bytes(start, length as u64)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(ParquetError::EOF("the column chunk ends before its page".to_owned())),
        }
    }
}

/// A dictionary of unmarked bytes, and the same as text.
struct Converted {
    bytes: ArrayRef,
    text: ArrayRef,
}

/// A decoded column, bytes as the text that older writers mean by them.
fn as_text(array: &ArrayRef, converted: &mut Option<Converted>) -> Result<ArrayRef> {
    Ok(match array.data_type() {
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
    })
}

/// Bytes as the text that older writers mean by them.
fn text_of(bytes: &BinaryArray) -> Result<ArrayRef> {
    let (offsets, values, nulls) = bytes.clone().into_parts();
    let text =
        StringArray::try_new(offsets, values, nulls).map_err(|_| anyhow!("holds bytes that are not utf-8 text"))?;
    Ok(Arc::new(text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

    use arrow_array::builder::{BinaryBuilder, StringBuilder};
    use arrow_array::{Date32Array, Int64Array, LargeStringArray, ListArray, RecordBatch, StringViewArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;

    use super::super::files::{CsvDialect, Wanted, find, read};
    use super::*;

    const GROUP_ROWS: usize = 40_000;
    const ROWS: usize = 100_000;

    fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_dictionary_page_size_limit(20_000)
            .build();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn code(row: usize) -> Option<String> {
        (!row.is_multiple_of(7)).then(|| format!("code {}", row % 300))
    }

    /// `code` fits into a dictionary and has gaps, `id` does not fit, `day` is a number.
    fn columns() -> Vec<(&'static str, ArrayRef)> {
        let mut codes = StringBuilder::new();
        (0..ROWS).for_each(|row| codes.append_option(code(row)));
        let ids: StringArray = (0..ROWS).map(|row| Some(format!("person {row}"))).collect();
        let days: Date32Array = (0..ROWS as i32).map(Some).collect();
        vec![("code", Arc::new(codes.finish())), ("id", Arc::new(ids)), ("day", Arc::new(days))]
    }

    fn batches_of(folder: &Path, wanted: &[Wanted], threads: usize) -> Result<Vec<Batch>, String> {
        let files = find(folder, &["*.parquet".to_owned()]).map_err(|problems| problems.join("\n"))?;
        let (batches, consumed) = (Mutex::new(Vec::new()), Mutex::new(0));
        let sink = |batch: Batch| {
            batches.lock().unwrap().push(batch);
            Ok(())
        };
        let progress = |bytes: u64| *consumed.lock().unwrap() += bytes;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let counts = pool.install(|| read(&files, wanted, &CsvDialect::default(), &sink, &progress));
        let counts = counts.map_err(|error| format!("{error:#}"))?;
        let mut batches = batches.into_inner().unwrap();
        batches.sort_by_key(|batch| (batch.file, batch.first_row));
        assert_eq!(counts.rows(), batches.iter().map(|batch| batch.rows as u64).sum::<u64>());
        assert_eq!(consumed.into_inner().unwrap(), files.iter().map(|file| file.bytes).sum::<u64>());
        Ok(batches)
    }

    fn wanted<'a>(names: &[&'a str]) -> Vec<Wanted<'a>> {
        names.iter().map(|name| Wanted { name, optional: false }).collect()
    }

    fn message_for(bytes: &[u8], names: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.parquet"), bytes).unwrap();
        batches_of(folder.path(), &wanted(names), 2).unwrap_err()
    }

    #[test]
    fn batches_of_a_row_group_share_one_dictionary() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("x.parquet"), columns());
        let batches = batches_of(folder.path(), &wanted(&["code"]), 1).unwrap();
        let group = |batch: &Batch| (batch.first_row as usize - 1) / GROUP_ROWS;
        let values = |batch: &Batch| batch.required(0).keyed().unwrap().values().clone();
        assert!(batches.windows(2).any(|pair| group(&pair[0]) == group(&pair[1])));
        for pair in batches.windows(2) {
            let shared = Arc::ptr_eq(&values(&pair[0]), &values(&pair[1]));
            assert_eq!(shared, group(&pair[0]) == group(&pair[1]), "from row {}", pair[1].first_row);
        }
    }

    #[test]
    fn every_row_comes_once_with_its_number_on_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("x.parquet"), columns());
        for threads in [1, 4] {
            let mut row = 0;
            for batch in batches_of(folder.path(), &wanted(&["day", "id", "code"]), threads).unwrap() {
                assert_eq!(batch.first_row, row as u64 + 1);
                let [days, ids, codes] = [0, 1, 2].map(|place| batch.array(place).unwrap());
                let codes = codes.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
                for (place, code_here) in codes.into_iter().enumerate() {
                    let day = days.as_primitive::<arrow_array::types::Date32Type>().value(place);
                    assert_eq!(day, row as i32);
                    assert_eq!(ids.as_string::<i32>().value(place), format!("person {row}"));
                    assert_eq!(code_here.map(str::to_owned), code(row));
                    row += 1;
                }
            }
            assert_eq!(row, ROWS);
        }
    }

    #[test]
    fn text_is_told_from_numbers_however_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let text = |row: usize| format!("t{}", row % 3);
        let mut bytes = BinaryBuilder::new();
        (0..ROWS).for_each(|row| bytes.append_value(text(row)));
        let large: LargeStringArray = (0..ROWS).map(|row| Some(text(row))).collect();
        let view: StringViewArray = (0..ROWS).map(|row| Some(text(row))).collect();
        let dictionary: arrow_array::DictionaryArray<arrow_array::types::UInt16Type> =
            ["t0", "t1", "t2"].into_iter().cycle().take(ROWS).collect();
        let numbers: Int64Array = (0..ROWS as i64).map(Some).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("bytes", Arc::new(bytes.finish())),
            ("large", Arc::new(large)),
            ("view", Arc::new(view)),
            ("dictionary", Arc::new(dictionary)),
            ("numbers", Arc::new(numbers)),
        ];
        write(&folder.path().join("x.parquet"), columns);
        let batches =
            batches_of(folder.path(), &wanted(&["bytes", "large", "view", "dictionary", "numbers"]), 1).unwrap();
        for batch in &batches {
            for column in batch.columns[..4].iter().flatten() {
                let dictionary =
                    column.array().unwrap().as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
                let first = batch.first_row as usize - 1;
                assert!(dictionary.into_iter().enumerate().all(|(row, value)| value == Some(&text(first + row))));
            }
            assert_eq!(batch.array(4).unwrap().data_type(), &DataType::Int64);
        }
        let values = |batch: &Batch| batch.required(0).keyed().unwrap().values().clone();
        assert!(Arc::ptr_eq(&values(&batches[0]), &values(&batches[1])), "text made of bytes is shared as well");
    }

    #[test]
    fn long_row_groups_are_read_in_parts() {
        let part = |group, skip, rows, first_row| Part { group, skip, rows, first_row };
        let expected = [part(0, 0, 4, 1), part(2, 0, 4, 5), part(2, 4, 4, 9), part(2, 8, 1, 13), part(3, 0, 2, 14)];
        assert_eq!(parts(&[4, 0, 9, 2], 4), expected);
    }

    #[test]
    fn a_part_begins_where_the_part_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let codes: ArrayRef = Arc::new((0..ROWS).map(code).collect::<StringArray>());
        let properties = WriterProperties::builder().set_data_page_row_count_limit(7_000).build();
        let batch = RecordBatch::try_from_iter([("code", codes)]).unwrap();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let metadata = ArrowReaderMetadata::load(&File::open(&path).unwrap(), ArrowReaderOptions::new()).unwrap();
        let chunk = metadata.metadata().row_group(0).column(0);
        for skip in [0, 1, 6_999, 7_000, 7_001, 50_123, ROWS - 1] {
            let mut reader = PagesReader::new(File::open(&path).unwrap(), chunk, DataType::Utf8).unwrap();
            reader.pass_over(skip as u64).unwrap();
            let rows = (ROWS - skip).min(20_000);
            let read = reader.read(rows as u32).unwrap();
            let codes = read.array().unwrap().as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
            let expected = (skip..skip + rows).map(code);
            assert!(codes.into_iter().eq(expected.collect::<Vec<_>>().iter().map(Option::as_deref)), "from {skip}");
        }
        let mut reader = PagesReader::new(File::open(&path).unwrap(), chunk, DataType::Utf8).unwrap();
        assert!(reader.pass_over(ROWS as u64 + 1).unwrap_err().is::<Damaged>(), "there are not that many rows");
    }

    #[test]
    fn an_optional_column_and_a_folder_column_need_not_be_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("year=2015");
        fs::create_dir(&inside).unwrap();
        write(&inside.join("x.parquet"), columns());
        let files = find(folder.path(), &[".".to_owned()]).unwrap();
        let wanted =
            [Wanted { name: "year", optional: false }, Wanted { name: "ward", optional: true }, wanted(&["day"])[0]];
        let rows = Mutex::new(0);
        let sink = |batch: Batch| {
            let year = batch.array(0)?.as_dictionary::<Int32Type>();
            let years = year.downcast_dict::<StringArray>().unwrap();
            assert!(years.into_iter().all(|value| value == Some("2015")));
            assert!(batch.columns[1].is_none() && batch.columns[2].is_some());
            *rows.lock().unwrap() += year.len();
            Ok(())
        };
        read(&files, &wanted, &CsvDialect::default(), &sink, &|_| {}).unwrap();
        assert_eq!(rows.into_inner().unwrap(), ROWS);
    }

    #[test]
    fn no_wanted_column_still_counts_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("x.parquet"), columns());
        let batches = batches_of(folder.path(), &[], 2).unwrap();
        assert_eq!(batches.iter().map(|batch| batch.rows).sum::<usize>(), ROWS);
    }

    #[test]
    fn a_file_that_is_no_parquet_or_is_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, columns());
        let bytes = fs::read(&path).unwrap();
        let message = message_for(b"a,b\n1,2\n", &["a"]);
        assert_eq!(message, "x.parquet is not a Parquet file: it does not begin with PAR1");
        let message = message_for(&bytes[..bytes.len() / 2], &["day"]);
        assert_eq!(message, "x.parquet is cut short: it does not end with the footer of a Parquet file");
        assert_eq!(message_for(b"PAR1", &["day"]), message);
    }

    #[test]
    fn damaged_pages_are_named_with_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, columns());
        let mut bytes = fs::read(&path).unwrap();
        bytes[4..400].fill(0xff);
        let message = message_for(&bytes, &["code"]);
        assert!(message.starts_with("x.parquet: failed to read the rows from 1 to 40000: "), "{message}");
    }

    #[test]
    fn bytes_that_are_not_text_and_nested_columns_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let mut bytes = BinaryBuilder::new();
        bytes.append_value(b"\xff\xfe");
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]);
        write(&path, vec![("hash", Arc::new(bytes.finish())), ("list", Arc::new(list))]);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(
            message_for(&bytes, &["hash"]),
            "x.parquet: failed to read the rows from 1 to 1: column \"hash\": holds bytes that are not utf-8 text"
        );
        let expected = "x.parquet: column \"list\" holds lists or structures, not single values";
        assert_eq!(message_for(&bytes, &["list"]), expected);
        assert_eq!(message_for(&bytes, &["hsah"]), "x.parquet: no column \"hsah\" (the nearest is \"hash\")");
    }
}
