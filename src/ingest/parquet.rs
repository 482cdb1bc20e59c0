//! Parquet files to batches: only the wanted columns, and dictionaries kept as the file has them.
//!
//! A row group is read by one thread, or by several if it is very long: each part then has its own copy of the
//! dictionaries. Whether a text column comes as a dictionary is settled per row group: a writer
//! gives up its dictionary when that grows too large, and building one again for each batch costs more than it saves.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetStatisticsPolicy};

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
const SAMPLE_ROWS: usize = 2_000;

/// The values of every column that holds single values in some of a file's rows, by column.
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
        let opened = File::open(&file.path).with_context(|| format!("failed to read {}", file.name))?;
        let read = || -> Result<Vec<RecordBatch>> {
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.clone());
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata.clone());
            let reader = builder.with_projection(mask).with_row_groups(vec![group]);
            Ok(reader.with_batch_size(SAMPLE_ROWS).with_limit(SAMPLE_ROWS).build()?.collect::<Result<_, _>>()?)
        };
        for batch in unless_damaged(read).unwrap_or_default() {
            let arrays = batch.columns().iter();
            columns.iter_mut().zip(arrays).for_each(|((name, values), array)| values.extend(texts_of(array, name)));
        }
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
    let roots = roots(&opened.origins);
    let context = |row: u64| format!("{name}: failed to read the rows from {row} to {}", end - 1);
    let mut reader = unless_damaged(|| batches(task, opened, part, &roots)).with_context(|| context(*row))?;
    let mut texts: Vec<Option<Converted>> = opened.origins.iter().map(|_| None).collect();
    while let Some(batch) = unless_damaged(|| Ok(reader.next().transpose()?)).with_context(|| context(*row))? {
        let mut columns = Vec::with_capacity(opened.origins.len());
        for (index, origin) in opened.origins.iter().enumerate() {
            let column = column(&batch, origin, &roots, &mut texts[index]);
            columns.push(column.with_context(|| format!("{name}, column \"{}\"", task.wanted[index].name))?);
        }
        let (first_row, rows) = (*row, batch.num_rows());
        task.deliver(Batch { file, first_row, columns, rows })?;
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

fn batches(task: &Task, opened: &Opened, part: Part, roots: &[usize]) -> Result<ParquetRecordBatchReader> {
    let footer = opened.metadata.metadata().clone();
    let parquet_schema = footer.file_metadata().schema_descr_ptr();
    let mut fields: Vec<Arc<Field>> = opened.metadata.schema().fields().iter().cloned().collect();
    for &root in roots {
        let leaf = (0..parquet_schema.num_columns()).find(|leaf| parquet_schema.get_column_root_idx(*leaf) == root);
        if let Some(kind) = leaf.and_then(|leaf| text_type(&fields[root], footer.row_group(part.group).column(leaf))) {
            fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(kind));
        }
    }
    let schema = Schema::new_with_metadata(fields, opened.metadata.schema().metadata().clone());
    let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(Arc::new(schema)))?;
    // Its own handle: clones of one handle share their position in the file.
    let file = File::open(&task.files[opened.file].path)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_row_groups(vec![part.group])
        .with_projection(ProjectionMask::roots(&parquet_schema, roots.iter().copied()))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

    use arrow_array::builder::{BinaryBuilder, StringBuilder};
    use arrow_array::{Date32Array, Int64Array, LargeStringArray, ListArray, StringViewArray};
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
        let values = |batch: &Batch| batch.columns[0].as_ref().unwrap().as_dictionary::<Int32Type>().values().clone();
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
                let [Some(days), Some(ids), Some(codes)] = &batch.columns[..] else { panic!("three columns") };
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
                let dictionary = column.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
                let first = batch.first_row as usize - 1;
                assert!(dictionary.into_iter().enumerate().all(|(row, value)| value == Some(&text(first + row))));
            }
            assert_eq!(batch.columns[4].as_ref().unwrap().data_type(), &DataType::Int64);
        }
        let values = |batch: &Batch| batch.columns[0].as_ref().unwrap().as_dictionary::<Int32Type>().values().clone();
        assert!(Arc::ptr_eq(&values(&batches[0]), &values(&batches[1])), "text made of bytes is shared as well");
    }

    #[test]
    fn long_row_groups_are_read_in_parts() {
        let part = |group, skip, rows, first_row| Part { group, skip, rows, first_row };
        let expected = [part(0, 0, 4, 1), part(2, 0, 4, 5), part(2, 4, 4, 9), part(2, 8, 1, 13), part(3, 0, 2, 14)];
        assert_eq!(parts(&[4, 0, 9, 2], 4), expected);
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
            let year = batch.columns[0].as_ref().unwrap().as_dictionary::<Int32Type>();
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
        assert_eq!(message_for(&bytes, &["hash"]), "x.parquet, column \"hash\": holds bytes that are not utf-8 text");
        let expected = "x.parquet: column \"list\" holds lists or structures, not single values";
        assert_eq!(message_for(&bytes, &["list"]), expected);
        assert_eq!(message_for(&bytes, &["hsah"]), "x.parquet: no column \"hsah\" (the nearest is \"hash\")");
    }
}
