//! Parquet column chunks from numbers and places, without laying strings out first.
//!
//! Most columns of the analysis files hold few distinct things: bands, grades, counts, reasons. They come as places in
//! a dictionary and are written as that: a value costs a few bits and a few instructions, where a writer of rows would
//! hash each string again. Numbers that are nearly all different are written as the differences between neighbours,
//! in as many bits as those need. Readers see plain text, whole numbers and decimals.

use anyhow::Result;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// A place that stands for no value.
pub const MISSING: u32 = u32::MAX;

/// The values of one column in one row group.
pub enum Values {
    /// Places in a dictionary, which is in Parquet's plain form; [`MISSING`] for no value.
    Places { places: Vec<u32>, dictionary: Dictionary },
    /// Whole numbers; those for which `missing` stands are none.
    Whole { numbers: Vec<i64>, missing: i64 },
    /// Decimals that are nearly all different, and whether each row has one.
    Decimal { numbers: Vec<f64>, has_value: Vec<bool> },
    /// Texts in Parquet's plain form, and whether each row has one.
    Text { bytes: Vec<u8>, has_value: Vec<bool> },
}

/// The distinct values of a column chunk, in Parquet's plain form.
#[derive(Default)]
pub struct Dictionary {
    pub bytes: Vec<u8>,
    pub entries: u32,
}

impl Dictionary {
    pub fn of_texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Dictionary {
        let mut dictionary = Dictionary::default();
        for text in texts {
            dictionary.push_text(text);
        }
        dictionary
    }

    pub fn push_text(&mut self, text: &str) -> u32 {
        push_text(&mut self.bytes, text);
        self.next()
    }

    pub fn push_number(&mut self, number: [u8; 8]) -> u32 {
        self.bytes.extend_from_slice(&number);
        self.next()
    }

    fn next(&mut self) -> u32 {
        self.entries += 1;
        self.entries - 1
    }
}

/// Adds a text in Parquet's plain form.
pub fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// A column chunk as it stands in a file.
pub struct Chunk {
    bytes: Bytes,
    closed: ColumnCloseResult,
}

impl Chunk {
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn append(self, row_group: &mut SerializedRowGroupWriter<Vec<u8>>) -> Result<()> {
        Ok(row_group.append_column(&self.bytes, self.closed)?)
    }
}

/// What a thread needs to write one column chunk after another. Its buffers stay from chunk to chunk: fresh ones cost
/// more than what is put into them.
pub struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    page: Vec<u8>,
    packed: Vec<u8>,
    known: Vec<u32>,
    places: Vec<u32>,
}

/// The smallest level: the files are read once or twice, and written every night.
const LEVEL: i32 = 1;

impl Encoder {
    pub fn new() -> Encoder {
        let zstd = zstd::bulk::Compressor::new(LEVEL).expect("the level is in range");
        Encoder { zstd, page: Vec::new(), packed: Vec::new(), known: Vec::new(), places: Vec::new() }
    }

    /// The chunk of one column in one row group.
    pub fn chunk(&mut self, column: &ColumnDescPtr, values: &Values) -> Result<Chunk> {
        match values {
            Values::Places { places, dictionary } => self.places(column, places, dictionary),
            Values::Whole { numbers, missing } => self.whole(column, numbers, *missing),
            Values::Text { bytes, has_value } => {
                let mut page = self.page(column, has_value.len(), Encoding::PLAIN, |row| has_value[row]);
                page.bytes.extend_from_slice(bytes);
                self.write(column, None, page, None)
            }
            Values::Decimal { numbers, has_value } => {
                let mut page = self.page(column, has_value.len(), Encoding::PLAIN, |row| has_value[row]);
                page.bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
                self.write(column, None, page, None)
            }
        }
    }

    /// A page that begins with which rows have a value.
    fn page(
        &mut self,
        column: &ColumnDescPtr,
        rows: usize,
        encoding: Encoding,
        has_value: impl Fn(usize) -> bool,
    ) -> DataPage {
        let mut bytes = std::mem::take(&mut self.page);
        bytes.clear();
        let nulls = push_levels(&mut bytes, column, rows, has_value);
        DataPage { bytes, encoding, rows, nulls }
    }

    fn places(&mut self, column: &ColumnDescPtr, places: &[u32], dictionary: &Dictionary) -> Result<Chunk> {
        let mut page = self.page(column, places.len(), Encoding::RLE_DICTIONARY, |row| places[row] != MISSING);
        let width = bits_of(u64::from(dictionary.entries.saturating_sub(1))).max(1);
        page.bytes.push(width as u8);
        push_run_header(&mut page.bytes, places.len() - page.nulls);
        match page.nulls {
            0 => push_packed(&mut page.bytes, width, places),
            _ => push_packed(&mut page.bytes, width, without_missing(places, &mut self.known)),
        }
        self.write(column, Some(dictionary), page, None)
    }

    /// A dictionary where the numbers lie close together, else differences.
    fn whole(&mut self, column: &ColumnDescPtr, numbers: &[i64], missing: i64) -> Result<Chunk> {
        let known = || numbers.iter().copied().filter(|number| *number != missing);
        let (lowest, highest) = known().fold((i64::MAX, i64::MIN), |(low, high), n| (low.min(n), high.max(n)));
        let span = highest.checked_sub(lowest).filter(|span| (0..CLOSE).contains(span));
        if let Some(span) = span {
            let mut seen = vec![MISSING; span as usize + 1];
            known().for_each(|number| seen[(number - lowest) as usize] = 0);
            let mut dictionary = Dictionary::default();
            for (place, seen) in seen.iter_mut().enumerate().filter(|(_, seen)| **seen == 0) {
                *seen = dictionary.push_number((lowest + place as i64).to_le_bytes());
            }
            let place = |number: &i64| if *number == missing { MISSING } else { seen[(number - lowest) as usize] };
            let mut places = std::mem::take(&mut self.places);
            places.clear();
            places.extend(numbers.iter().map(place));
            let chunk = self.places(column, &places, &dictionary);
            self.places = places;
            return chunk;
        }
        let mut page = self.page(column, numbers.len(), Encoding::DELTA_BINARY_PACKED, |row| numbers[row] != missing);
        push_differences(&mut page.bytes, known(), numbers.len() - page.nulls);
        let bounds = (lowest <= highest).then_some((lowest, highest));
        self.write(column, None, page, bounds)
    }

    fn write(
        &mut self,
        column: &ColumnDescPtr,
        dictionary: Option<&Dictionary>,
        page: DataPage,
        bounds: Option<(i64, i64)>,
    ) -> Result<Chunk> {
        let mut bytes = Vec::with_capacity(page.bytes.len() / 2 + 256);
        let mut sink = TrackedWrite::new(&mut bytes);
        let mut writer = SerializedPageWriter::new(&mut sink);
        // Numbers that differ in all their bits do not get shorter.
        let packs = dictionary.is_some() || column.physical_type() == Type::BYTE_ARRAY;
        let (mut packed, mut unpacked, mut dictionary_offset, mut encodings) = (0, 0, None, vec![Encoding::RLE]);
        if let Some(dictionary) = dictionary {
            let length = dictionary.bytes.len();
            let buf = self.packed(&dictionary.bytes)?;
            let (num_values, encoding) = (dictionary.entries, Encoding::PLAIN);
            let page = Page::DictionaryPage { buf, num_values, encoding, is_sorted: false };
            let spec = writer.write_page(CompressedPage::new(page, length))?;
            (packed, unpacked) = (spec.compressed_size, spec.uncompressed_size);
            dictionary_offset = Some(0);
            encodings.push(Encoding::PLAIN);
        }
        encodings.push(page.encoding);
        let length = page.bytes.len();
        let buf = match packs {
            true => self.packed(&page.bytes)?,
            false => Bytes::copy_from_slice(&page.bytes),
        };
        self.page = page.bytes;
        let data = Page::DataPage {
            buf,
            num_values: page.rows as u32,
            encoding: page.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data_page_offset = packed as i64;
        let spec = writer.write_page(CompressedPage::new(data, length))?;
        writer.close()?;
        drop(sink);
        let nulls = Some(page.nulls as u64);
        let (lowest, highest) = bounds.unzip();
        let statistics = match column.physical_type() {
            Type::INT64 => Statistics::int64(lowest, highest, None, nulls, false),
            Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
            _ => Statistics::byte_array(None, None, None, nulls, false),
        };
        let metadata = ColumnChunkMetaData::builder(column.clone())
            .set_compression(if packs {
                Compression::ZSTD(ZstdLevel::try_new(LEVEL)?)
            } else {
                Compression::UNCOMPRESSED
            })
            .set_encodings(encodings)
            .set_num_values(page.rows as i64)
            .set_total_compressed_size((packed + spec.compressed_size) as i64)
            .set_total_uncompressed_size((unpacked + spec.uncompressed_size) as i64)
            .set_data_page_offset(data_page_offset)
            .set_dictionary_page_offset(dictionary_offset)
            .set_statistics(statistics)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: page.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(Chunk { bytes: bytes.into(), closed })
    }

    fn packed(&mut self, bytes: &[u8]) -> Result<Bytes> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.zstd.compress_to_buffer(bytes, &mut self.packed)?;
        Ok(Bytes::copy_from_slice(&self.packed))
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

struct DataPage {
    bytes: Vec<u8>,
    encoding: Encoding,
    rows: usize,
    nulls: usize,
}

/// Whole numbers within so many of each other become a dictionary.
const CLOSE: i64 = 1 << 12;

/// The start of a page, which says which rows have a value; how many have none.
fn push_levels(page: &mut Vec<u8>, column: &ColumnDescPtr, rows: usize, has_value: impl Fn(usize) -> bool) -> usize {
    if column.max_def_level() == 0 {
        assert!((0..rows).all(has_value), "a column that may not be missing has all its values");
        return 0;
    }
    let start = page.len();
    page.extend_from_slice(&[0; LENGTH]);
    push_run_header(page, rows);
    let bits = page.len();
    let mut known = 0;
    for first in (0..rows).step_by(64) {
        let bit = |row: usize| u64::from(has_value(row)) << (row - first);
        let word = (first..rows.min(first + 64)).fold(0, |word, row| word | bit(row));
        known += word.count_ones() as usize;
        page.extend_from_slice(&word.to_le_bytes());
    }
    page.truncate(bits + rows.div_ceil(8));
    if known == 0 || known == rows {
        page.truncate(start + LENGTH);
        push_varint(page, (rows as u64) << 1);
        page.push(u8::from(known == rows));
    }
    let length = (page.len() - start - LENGTH) as u32;
    page[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    rows - known
}

/// Bytes of the length that stands before levels.
const LENGTH: usize = 4;

/// The places that are some, put together in `known`.
fn without_missing<'k>(places: &[u32], known: &'k mut Vec<u32>) -> &'k [u32] {
    known.clear();
    known.resize(places.len(), 0);
    let mut length = 0;
    // Every place is written, and kept by going on from it: whether one is missing cannot be foreseen.
    for &place in places {
        known[length] = place;
        length += usize::from(place != MISSING);
    }
    &known[..length]
}

/// The widest numbers of which four fit in 64 bits.
const NARROW: u32 = 16;

/// Packs numbers of one width of bits, the lowest bit first, and zeros up to a multiple of eight numbers.
fn push_packed(out: &mut Vec<u8>, width: u32, numbers: &[u32]) {
    if width > NARROW {
        let mut packer = Packer::new(out, width);
        numbers.iter().for_each(|number| packer.push(u64::from(*number)));
        packer.fill_up(numbers.len().div_ceil(8) * 8 - numbers.len());
        return;
    }
    let mut at = out.len();
    // Each eight is written in full; the next one overwrites what is beyond its width.
    let eights = numbers.len().div_ceil(8);
    out.resize(at + eights * width as usize + size_of::<u128>(), 0);
    let mut push = |eight: &[u32; 8]| {
        let four = |four: &[u32]| {
            let parts = four.iter().zip(0..).map(|(number, place)| u64::from(*number) << (place * width));
            parts.fold(0, |all, one| all | one)
        };
        let held = u128::from(four(&eight[..4])) | u128::from(four(&eight[4..])) << (4 * width);
        out[at..at + size_of::<u128>()].copy_from_slice(&held.to_le_bytes());
        at += width as usize;
    };
    let (whole, rest) = numbers.as_chunks::<8>();
    whole.iter().for_each(&mut push);
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        push(&last);
    }
    out.truncate(at);
}

/// The header of one run of packed values, which come in eights.
fn push_run_header(page: &mut Vec<u8>, values: usize) {
    push_varint(page, (values.div_ceil(8) as u64) << 1 | 1);
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn push_zigzag(bytes: &mut Vec<u8>, number: i64) {
    push_varint(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

fn bits_of(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// Packs numbers of one width of bits, the lowest bit first.
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    width: u32,
    held: u128,
    bits: u32,
}

impl Packer<'_> {
    fn new(out: &mut Vec<u8>, width: u32) -> Packer<'_> {
        Packer { out, width, held: 0, bits: 0 }
    }

    #[inline]
    fn push(&mut self, number: u64) {
        self.held |= u128::from(number) << self.bits;
        self.bits += self.width;
        if self.bits >= 64 {
            self.out.extend_from_slice(&(self.held as u64).to_le_bytes());
            self.held >>= 64;
            self.bits -= 64;
        }
    }

    /// Adds so many zeros, and what has been held back.
    fn fill_up(mut self, zeros: usize) {
        (0..zeros).for_each(|_| self.push(0));
        let bytes = self.bits.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
    }
}

const IN_BLOCK: usize = 128;
const IN_MINIBLOCK: usize = 32;

/// Parquet's `DELTA_BINARY_PACKED`: the first number, then the differences in blocks, each in as few bits as its
/// quarter needs.
fn push_differences(page: &mut Vec<u8>, mut numbers: impl Iterator<Item = i64>, count: usize) {
    push_varint(page, IN_BLOCK as u64);
    push_varint(page, (IN_BLOCK / IN_MINIBLOCK) as u64);
    push_varint(page, count as u64);
    let mut last = numbers.next().unwrap_or(0);
    push_zigzag(page, last);
    let mut left = count.saturating_sub(1);
    let mut block = [0i64; IN_BLOCK];
    while left > 0 {
        let length = left.min(IN_BLOCK);
        for (difference, number) in block[..length].iter_mut().zip(&mut numbers) {
            *difference = number.wrapping_sub(last);
            last = number;
        }
        left -= length;
        push_block(page, &block[..length]);
    }
}

fn push_block(page: &mut Vec<u8>, differences: &[i64]) {
    let lowest = *differences.iter().min().expect("a block is not empty");
    push_zigzag(page, lowest);
    let above = |difference: &i64| difference.wrapping_sub(lowest) as u64;
    let mut widths = [0u8; IN_BLOCK / IN_MINIBLOCK];
    for (width, part) in widths.iter_mut().zip(differences.chunks(IN_MINIBLOCK)) {
        *width = bits_of(part.iter().map(above).fold(0, |all, one| all | one)) as u8;
    }
    page.extend_from_slice(&widths);
    for (width, part) in widths.iter().zip(differences.chunks(IN_MINIBLOCK)) {
        let mut packer = Packer::new(page, u32::from(*width));
        part.iter().for_each(|difference| packer.push(above(difference)));
        packer.fill_up(IN_MINIBLOCK - part.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn read_back(kind: DataType, values: &Values) -> RecordBatch {
        read_back_as(Field::new("x", kind, true), values)
    }

    fn read_back_as(field: Field, values: &Values) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![field]));
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        let (mut file, _) = writer.into_serialized_writer().unwrap();
        let chunk = Encoder::new().chunk(&file.schema_descr().column(0), values).unwrap();
        let mut row_group = file.next_row_group().unwrap();
        chunk.append(&mut row_group).unwrap();
        row_group.close().unwrap();
        let bytes = Bytes::from(file.into_inner().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(1 << 20).build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].schema().fields(), schema.fields());
        batches[0].clone()
    }

    fn whole(numbers: &[Option<i64>]) {
        let values =
            Values::Whole { numbers: numbers.iter().map(|n| n.unwrap_or(i64::MIN)).collect(), missing: i64::MIN };
        let batch = read_back(DataType::Int64, &values);
        let read: Vec<Option<i64>> = batch.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(read, numbers);
    }

    #[test]
    fn whole_numbers_come_back_whatever_their_spread_and_gaps() {
        for spread in [1i64, 2, 3, 100, CLOSE, CLOSE + 1, 1 << 33, i64::MAX / 2] {
            for gaps in [1i64, 2, 7, 1_000] {
                for length in [1i64, 2, 31, 32, 33, 129, 1_000] {
                    let number = |n: i64| n.wrapping_mul(6_364_136_223_846_793_005) % spread;
                    let numbers: Vec<_> = (0..length).map(|n| (n % gaps != gaps - 1).then(|| number(n))).collect();
                    whole(&numbers);
                }
            }
        }
        whole(&[Some(i64::MAX), Some(i64::MIN + 1), Some(0), None]);
        whole(&[None, None]);
        whole(&(0..300).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn places_come_back_as_their_words() {
        for words in [1usize, 2, 3, 255, 256, 257, 5_000] {
            let texts: Vec<String> = (0..words).map(|word| format!("word {word}")).collect();
            let dictionary = Dictionary::of_texts(texts.iter().map(String::as_str));
            let places: Vec<u32> =
                (0..9_999u32).map(|row| if row % 5 == 3 { MISSING } else { row * 7 % words as u32 }).collect();
            let batch = read_back(DataType::Utf8, &Values::Places { places: places.clone(), dictionary });
            let read = batch.column(0).as_string::<i32>();
            for (row, place) in places.into_iter().enumerate() {
                assert_eq!(read.is_null(row), place == MISSING);
                if place != MISSING {
                    assert_eq!(read.value(row), format!("word {place}"));
                }
            }
        }
    }

    #[test]
    fn a_column_without_gaps_has_no_levels() {
        let dictionary = Dictionary::of_texts(["a", "b", "c"]);
        let places: Vec<u32> = (0..100).map(|row| row % 3).collect();
        let batch = read_back_as(Field::new("x", DataType::Utf8, false), &Values::Places { places, dictionary });
        let read = batch.column(0).as_string::<i32>();
        assert_eq!((read.value(0), read.value(1), read.value(98)), ("a", "b", "c"));
    }

    #[test]
    fn texts_come_back_with_their_gaps() {
        let mut bytes = Vec::new();
        let has_value: Vec<bool> = (0..77).map(|row| row % 3 != 0).collect();
        (0..77).filter(|row| row % 3 != 0).for_each(|row| push_text(&mut bytes, &format!("é {row}")));
        let batch = read_back(DataType::Utf8, &Values::Text { bytes, has_value });
        let read = batch.column(0).as_string::<i32>();
        assert_eq!((read.value(1), read.value(76), read.is_null(75)), ("é 1", "é 76", true));
    }
}
