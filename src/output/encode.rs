//! Parquet column chunks from numbers and places, without laying strings out first.
//!
//! Most columns of the analysis files hold few distinct things: bands, grades, counts, reasons. They come as places in
//! a dictionary and are written as that: a value costs a few bits and a few instructions, where a writer of rows would
//! hash each string again. Numbers that are nearly all different are written as the differences between neighbours,
//! in as many bits as those need. Readers see plain text, whole numbers and decimals.

use std::hash::{BuildHasher, Hasher};

use anyhow::Result;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::cohort::columns::put_bits;

/// What a column holds: a value, or what stands for none.
pub trait Held: Copy + PartialEq {
    const NONE: Self;
}

/// Places in a dictionary.
impl Held for u32 {
    const NONE: u32 = MISSING;
}

impl Held for i32 {
    const NONE: i32 = i32::MIN;
}

impl Held for i64 {
    const NONE: i64 = i64::MIN;
}

/// A place that stands for no value.
pub const MISSING: u32 = u32::MAX;

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

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }

    pub fn push_text(&mut self, text: &str) -> u32 {
        push_text(&mut self.bytes, text);
        self.next()
    }

    pub fn of_numbers(numbers: impl IntoIterator<Item = [u8; 8]>) -> Dictionary {
        let mut dictionary = Dictionary::default();
        for number in numbers {
            dictionary.push_number(number);
        }
        dictionary
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

/// The rows of a column chunk, and which of them have a value.
#[derive(Clone, Copy)]
pub struct Rows<'b> {
    count: usize,
    /// A bit a row; `None` where all have a value.
    some: Option<&'b [u64]>,
}

impl<'b> Rows<'b> {
    pub fn new(count: usize, some: Option<&'b [u64]>) -> Rows<'b> {
        Rows { count, some }
    }

    pub fn all(count: usize) -> Rows<'b> {
        Rows { count, some: None }
    }

    /// The rows of these values, of which those that are none are taken out.
    pub fn of<T: Held>(values: &mut Vec<T>, bits: &'b mut Vec<u64>) -> Rows<'b> {
        let count = values.len();
        if !values.contains(&T::NONE) {
            return Rows::all(count);
        }
        put_bits(values, |value| *value != T::NONE, bits);
        let mut known = 0;
        // Every value is written, and kept by going on from it: whether one is missing cannot be foreseen.
        for place in 0..count {
            let value = values[place];
            values[known] = value;
            known += usize::from(value != T::NONE);
        }
        values.truncate(known);
        Rows { count, some: Some(bits) }
    }
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
    packed_dictionary: Vec<u8>,
    dictionary: Dictionary,
    places: Vec<u32>,
    has_text: Vec<u32>,
    bits: Vec<u64>,
    shared: Vec<i32>,
    rest: Vec<i32>,
    seen: Box<Seen>,
    met: Met,
}

/// By distance from the lowest number: whether it was seen, and then its place in the dictionary; the last one stands
/// for what lies further away.
type Seen = [u32; CLOSE as usize + 1];

/// The places of numbers that were met; a table that is only asked, never walked.
pub type Met = hashbrown::HashMap<u64, u32, Spread>;

/// Spreads whole numbers over a table by one multiplication: they come from this run, and nobody chooses them.
#[derive(Clone, Copy, Default)]
pub struct Spread(u64);

impl BuildHasher for Spread {
    type Hasher = Spread;

    fn build_hasher(&self) -> Spread {
        Spread(0)
    }
}

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9E37_79B9_7F4A_7C15;
        self.0 = product as u64 ^ (product >> u64::BITS) as u64;
    }
}

/// The smallest level: the files are read once or twice, and written every night.
const LEVEL: i32 = 1;

/// Decimals of which there are more than this in a row group are not worth a dictionary.
const DISTINCT: u32 = 1 << 12;

impl Encoder {
    pub fn new() -> Encoder {
        Encoder {
            zstd: zstd::bulk::Compressor::new(LEVEL).expect("the level is in range"),
            page: Vec::new(),
            packed: Vec::new(),
            packed_dictionary: Vec::new(),
            dictionary: Dictionary::default(),
            places: Vec::new(),
            has_text: Vec::new(),
            bits: Vec::new(),
            shared: Vec::new(),
            rest: Vec::new(),
            seen: Box::new([0; CLOSE as usize + 1]),
            met: Met::default(),
        }
    }

    /// A chunk of places in a dictionary, which is in Parquet's plain form; one a row that has a value.
    pub fn places(
        &mut self,
        column: &ColumnDescPtr,
        rows: Rows,
        places: &[u32],
        dictionary: &Dictionary,
    ) -> Result<Chunk> {
        let page = self.page(column, rows, Encoding::RLE_DICTIONARY);
        self.packed_places(column, page, places, dictionary)
    }

    /// A chunk of texts.
    pub fn texts<'t>(
        &mut self,
        column: &ColumnDescPtr,
        texts: impl Iterator<Item = Option<&'t str>> + Clone,
    ) -> Result<Chunk> {
        let mut page = self.page_of_texts(column, texts.clone(), Encoding::PLAIN);
        texts.flatten().for_each(|text| push_text(&mut page.bytes, text));
        self.write(column, None, page, None)
    }

    /// A chunk of texts of which neighbours begin alike, as what is in order does: of each what the one before it does
    /// not begin with. Pseudonyms take under a quarter of the time to pack that way, for what is packed is letters alone.
    pub fn ordered_texts<'t>(
        &mut self,
        column: &ColumnDescPtr,
        texts: impl Iterator<Item = Option<&'t str>> + Clone,
    ) -> Result<Chunk> {
        let mut page = self.page_of_texts(column, texts.clone(), Encoding::DELTA_BYTE_ARRAY);
        let Encoder { shared, rest, .. } = self;
        shared.clear();
        rest.clear();
        let mut last = "";
        for text in texts.clone().flatten() {
            let length = shared_start(last, text);
            shared.push(length as i32);
            rest.push((text.len() - length) as i32);
            last = text;
        }
        push_differences(&mut page.bytes, shared);
        push_differences(&mut page.bytes, rest);
        for (text, &length) in texts.flatten().zip(&*shared) {
            page.bytes.extend_from_slice(&text.as_bytes()[length as usize..]);
        }
        self.write(column, None, page, None)
    }

    /// A chunk of decimals, each as it is.
    pub fn floats(&mut self, column: &ColumnDescPtr, rows: Rows, numbers: impl Iterator<Item = f64>) -> Result<Chunk> {
        let mut page = self.page(column, rows, Encoding::PLAIN);
        page.bytes.extend(numbers.flat_map(f64::to_le_bytes));
        self.write(column, None, page, None)
    }

    /// A chunk of decimals that are made of whole numbers, one a row that has a value: a dictionary where they are few,
    /// in the order in which they come.
    pub fn decimals<N: Held + Into<i64>>(
        &mut self,
        column: &ColumnDescPtr,
        rows: Rows,
        numbers: &[N],
        decimal: &dyn Fn(i64) -> f64,
    ) -> Result<Chunk> {
        if !self.few(numbers, decimal) {
            return self.floats(column, rows, numbers.iter().map(|&number| decimal(number.into())));
        }
        let page = self.page(column, rows, Encoding::RLE_DICTIONARY);
        let (places, dictionary) = (std::mem::take(&mut self.places), std::mem::take(&mut self.dictionary));
        let chunk = self.packed_places(column, page, &places, &dictionary);
        (self.places, self.dictionary) = (places, dictionary);
        chunk
    }

    /// Fills places and dictionary; whether the decimals are few enough for one.
    fn few<N: Held + Into<i64>>(&mut self, numbers: &[N], decimal: &dyn Fn(i64) -> f64) -> bool {
        let Encoder { places, dictionary, met, .. } = self;
        places.clear();
        dictionary.clear();
        met.clear();
        let mut last = (N::NONE, MISSING);
        for &number in numbers {
            if number != last.0 {
                let place = *met.entry(number.into() as u64).or_insert(dictionary.entries);
                if place == dictionary.entries {
                    dictionary.push_number(decimal(number.into()).to_le_bytes());
                    if dictionary.entries > DISTINCT {
                        return false;
                    }
                }
                last = (number, place);
            }
            places.push(last.1);
        }
        true
    }

    /// A chunk of whole numbers, one a row that has a value: a dictionary in order where they lie close together, else
    /// differences.
    pub fn whole<N: Held + Into<i64>>(&mut self, column: &ColumnDescPtr, rows: Rows, numbers: &[N]) -> Result<Chunk> {
        let mut page = self.page(column, rows, Encoding::RLE_DICTIONARY);
        // Most columns are counts and flags, for which nobody has to look for the lowest first.
        if mark(&mut self.seen, numbers, 0) {
            return self.close(column, page, numbers, 0);
        }
        let known = numbers.iter().map(|&number| number.into());
        let (lowest, highest) = known.fold((i64::MAX, i64::MIN), |(low, high), n: i64| (low.min(n), high.max(n)));
        let is_close = highest.checked_sub(lowest).is_some_and(|span| (0..CLOSE).contains(&span));
        if is_close && mark(&mut self.seen, numbers, lowest) {
            return self.close(column, page, numbers, lowest);
        }
        page.encoding = Encoding::DELTA_BINARY_PACKED;
        push_differences(&mut page.bytes, numbers);
        self.write(column, None, page, (lowest <= highest).then_some((lowest, highest)))
    }

    /// A chunk of numbers that were marked as close to the lowest.
    fn close<N: Held + Into<i64>>(
        &mut self,
        column: &ColumnDescPtr,
        page: DataPage,
        numbers: &[N],
        lowest: i64,
    ) -> Result<Chunk> {
        let (mut places, mut dictionary) = (std::mem::take(&mut self.places), std::mem::take(&mut self.dictionary));
        places.clear();
        dictionary.clear();
        for (seen, number) in self.seen.iter_mut().zip(lowest..).filter(|(seen, _)| **seen != 0) {
            *seen = dictionary.push_number(number.to_le_bytes());
        }
        let seen = &*self.seen;
        places.extend(numbers.iter().map(|&number| seen[distance(number, lowest)]));
        let chunk = self.packed_places(column, page, &places, &dictionary);
        (self.places, self.dictionary) = (places, dictionary);
        chunk
    }

    /// A page that begins with which rows have a value.
    fn page(&mut self, column: &ColumnDescPtr, rows: Rows, encoding: Encoding) -> DataPage {
        let mut bytes = std::mem::take(&mut self.page);
        bytes.clear();
        let values = push_levels(&mut bytes, column, rows);
        DataPage { bytes, encoding, rows: rows.count, nulls: rows.count - values }
    }

    /// The same for texts, which say themselves whether they are some.
    fn page_of_texts<'t>(
        &mut self,
        column: &ColumnDescPtr,
        texts: impl Iterator<Item = Option<&'t str>>,
        encoding: Encoding,
    ) -> DataPage {
        let (mut has_text, mut bits) = (std::mem::take(&mut self.has_text), std::mem::take(&mut self.bits));
        has_text.clear();
        has_text.extend(texts.map(|text| text.map_or(MISSING, |_| 0)));
        let page = self.page(column, Rows::of(&mut has_text, &mut bits), encoding);
        (self.has_text, self.bits) = (has_text, bits);
        page
    }

    fn packed_places(
        &mut self,
        column: &ColumnDescPtr,
        mut page: DataPage,
        places: &[u32],
        dictionary: &Dictionary,
    ) -> Result<Chunk> {
        assert_eq!(places.len(), page.rows - page.nulls, "a place stands for each value");
        let width = bits_of(u64::from(dictionary.entries.saturating_sub(1))).max(1);
        page.bytes.push(width as u8);
        push_run_header(&mut page.bytes, places.len());
        push_packed(&mut page.bytes, width, places);
        self.write(column, Some(dictionary), page, None)
    }

    fn write(
        &mut self,
        column: &ColumnDescPtr,
        dictionary: Option<&Dictionary>,
        page: DataPage,
        bounds: Option<(i64, i64)>,
    ) -> Result<Chunk> {
        // Numbers that differ in all their bits do not get shorter.
        let packs = dictionary.is_some() || column.physical_type() == Type::BYTE_ARRAY;
        let DataPage { bytes: plain, encoding, rows, nulls } = page;
        let unpacked = plain.len();
        let of_dictionary = match dictionary {
            Some(dictionary) => self.packed(&dictionary.bytes, |encoder| &mut encoder.packed_dictionary)?,
            None => Bytes::new(),
        };
        let of_page = match packs {
            true => {
                let packed = self.packed(&plain, |encoder| &mut encoder.packed)?;
                self.page = plain;
                packed
            }
            false => Bytes::from(plain),
        };
        let mut bytes = Vec::with_capacity(of_dictionary.len() + of_page.len() + HEADERS);
        let mut sink = TrackedWrite::new(&mut bytes);
        let mut writer = SerializedPageWriter::new(&mut sink);
        let (mut before, mut encodings) = (PageWriteSpec::new(), vec![Encoding::RLE]);
        if let Some(dictionary) = dictionary {
            let (num_values, buf) = (dictionary.entries, of_dictionary.clone());
            let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            before = writer.write_page(CompressedPage::new(page, dictionary.bytes.len()))?;
            encodings.push(Encoding::PLAIN);
        }
        encodings.push(encoding);
        let data = Page::DataPage {
            buf: of_page.clone(),
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = writer.write_page(CompressedPage::new(data, unpacked))?;
        writer.close()?;
        drop(sink);
        // Nobody else holds them any more: the buffers come back as they were.
        *(if packs { &mut self.packed } else { &mut self.page }) = Vec::from(of_page);
        if dictionary.is_some() {
            self.packed_dictionary = Vec::from(of_dictionary);
        }
        let nulls = Some(nulls as u64);
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
            .set_num_values(rows as i64)
            .set_total_compressed_size((before.compressed_size + spec.compressed_size) as i64)
            .set_total_uncompressed_size((before.uncompressed_size + spec.uncompressed_size) as i64)
            .set_data_page_offset(before.compressed_size as i64)
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_statistics(statistics)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(Chunk { bytes: bytes.into(), closed })
    }

    /// Bytes in their short form, in one of the buffers.
    fn packed(&mut self, bytes: &[u8], buffer: fn(&mut Encoder) -> &mut Vec<u8>) -> Result<Bytes> {
        let mut packed = std::mem::take(buffer(self));
        packed.clear();
        packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.zstd.compress_to_buffer(bytes, &mut packed)?;
        Ok(Bytes::from(packed))
    }
}

/// Room for the headers of a chunk's pages.
const HEADERS: usize = 1 << 8;

/// Marks the numbers that lie close above the lowest; whether all of them do.
fn mark<N: Held + Into<i64>>(seen: &mut Seen, numbers: &[N], lowest: i64) -> bool {
    seen.fill(0);
    for some in numbers.chunks(NUMBERS_AT_ONCE) {
        for &number in some {
            seen[distance(number, lowest)] = 1;
        }
        if seen[CLOSE as usize] != 0 {
            return false;
        }
    }
    true
}

const NUMBERS_AT_ONCE: usize = 1 << 12;

/// How far a number lies above the lowest, as far as that matters.
#[inline]
fn distance<N: Into<i64>>(number: N, lowest: i64) -> usize {
    (number.into().wrapping_sub(lowest) as u64).min(CLOSE as u64) as usize
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

/// The start of a page, which says which rows have a value; how many have one.
fn push_levels(page: &mut Vec<u8>, column: &ColumnDescPtr, rows: Rows) -> usize {
    if column.max_def_level() == 0 {
        assert!(rows.some.is_none(), "a column that may not be missing has all its values");
        return rows.count;
    }
    let start = page.len();
    page.extend_from_slice(&[0; LENGTH]);
    let known = rows.some.map_or(rows.count, |bits| bits.iter().map(|bits| bits.count_ones() as usize).sum());
    match rows.some {
        Some(bits) if known > 0 => {
            push_run_header(page, rows.count);
            let end = page.len() + rows.count.div_ceil(8);
            page.extend(bits.iter().flat_map(|bits| bits.to_le_bytes()));
            page.truncate(end);
        }
        _ => {
            push_varint(page, (rows.count as u64) << 1);
            page.push(u8::from(known == rows.count));
        }
    }
    let length = (page.len() - start - LENGTH) as u32;
    page[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    known
}

/// Bytes of the length that stands before levels.
const LENGTH: usize = 4;

/// With how many bytes both texts begin.
fn shared_start(one: &str, other: &str) -> usize {
    if std::ptr::eq(one, other) {
        return one.len();
    }
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut start = 0;
    for (one, other) in one.as_chunks().0.iter().zip(other.as_chunks().0) {
        let differs = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return start + differs.trailing_zeros() as usize / 8;
        }
        start += size_of::<u64>();
    }
    start + one[start..].iter().zip(&other[start..]).take_while(|(one, other)| one == other).count()
}

/// Packs numbers of one width of bits, the lowest bit first, and zeros up to a multiple of eight numbers.
fn push_packed(out: &mut Vec<u8>, width: u32, numbers: &[u32]) {
    let narrow = match width {
        1 => push_narrow::<1>,
        2 => push_narrow::<2>,
        3 => push_narrow::<3>,
        4 => push_narrow::<4>,
        5 => push_narrow::<5>,
        6 => push_narrow::<6>,
        7 => push_narrow::<7>,
        8 => push_narrow::<8>,
        9 => push_narrow::<9>,
        10 => push_narrow::<10>,
        11 => push_narrow::<11>,
        12 => push_narrow::<12>,
        13 => push_narrow::<13>,
        14 => push_narrow::<14>,
        15 => push_narrow::<15>,
        16 => push_narrow::<16>,
        17 => push_narrow::<17>,
        18 => push_narrow::<18>,
        19 => push_narrow::<19>,
        20 => push_narrow::<20>,
        21 => push_narrow::<21>,
        22 => push_narrow::<22>,
        23 => push_narrow::<23>,
        NARROW => push_narrow::<{ NARROW as usize }>,
        _ => {
            let mut packer = Packer::new(out, width);
            numbers.iter().for_each(|number| packer.push(u64::from(*number)));
            return packer.fill_up(numbers.len().div_ceil(8) * 8 - numbers.len());
        }
    };
    narrow(out, numbers);
}

/// The widest that is packed eight numbers at a time: a place or a rank of so many needs no more.
const NARROW: u32 = 24;

/// The same for a width that is known when this is compiled: nearly all columns.
fn push_narrow<const WIDTH: usize>(out: &mut Vec<u8>, numbers: &[u32]) {
    let mut at = out.len();
    // Each eight is written in full; the next one overwrites what is beyond its width.
    let eights = numbers.len().div_ceil(8);
    out.resize(at + eights * WIDTH + 2 * size_of::<u128>(), 0);
    let mut push = |eight: &[u32; 8]| {
        let of = |places: std::ops::Range<usize>| {
            let first = places.start;
            places.fold(0, |all, place| all | u128::from(eight[place]) << ((place - first) * WIDTH))
        };
        if WIDTH <= 8 {
            out[at..at + size_of::<u64>()].copy_from_slice(&(of(0..8) as u64).to_le_bytes());
        } else {
            let (low, high) = (of(0..4), of(4..8));
            out[at..at + size_of::<u128>()].copy_from_slice(&(low | high << (4 * WIDTH)).to_le_bytes());
            if WIDTH > 16 {
                let rest = high >> (u128::BITS as usize - 4 * WIDTH);
                let at = at + size_of::<u128>();
                out[at..at + size_of::<u128>()].copy_from_slice(&rest.to_le_bytes());
            }
        }
        at += WIDTH;
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
    held: u64,
    bits: u32,
}

impl Packer<'_> {
    fn new(out: &mut Vec<u8>, width: u32) -> Packer<'_> {
        Packer { out, width, held: 0, bits: 0 }
    }

    #[inline]
    fn push(&mut self, number: u64) {
        self.held |= number << self.bits;
        self.bits += self.width;
        if self.bits >= u64::BITS {
            self.out.extend_from_slice(&self.held.to_le_bytes());
            self.bits -= u64::BITS;
            // What did not fit; a number that fitted whole leaves nothing, and may be as wide as 64 bits.
            self.held = number.checked_shr(self.width - self.bits).unwrap_or(0);
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
fn push_differences<N: Copy + Into<i64>>(page: &mut Vec<u8>, numbers: &[N]) {
    push_varint(page, IN_BLOCK as u64);
    push_varint(page, (IN_BLOCK / IN_MINIBLOCK) as u64);
    push_varint(page, numbers.len() as u64);
    let Some((&first, rest)) = numbers.split_first() else { return push_zigzag(page, 0) };
    let mut last: i64 = first.into();
    push_zigzag(page, last);
    let mut differences = [0i64; IN_BLOCK];
    for block in rest.chunks(IN_BLOCK) {
        for (difference, &number) in differences.iter_mut().zip(block) {
            let number = number.into();
            *difference = number.wrapping_sub(last);
            last = number;
        }
        push_block(page, &mut differences[..block.len()]);
    }
}

/// Turns the differences into how far each is above the lowest.
fn push_block(page: &mut Vec<u8>, differences: &mut [i64]) {
    let lowest = *differences.iter().min().expect("a block is not empty");
    push_zigzag(page, lowest);
    differences.iter_mut().for_each(|difference| *difference = difference.wrapping_sub(lowest));
    let mut widths = [0u8; IN_BLOCK / IN_MINIBLOCK];
    for (width, part) in widths.iter_mut().zip(differences.chunks(IN_MINIBLOCK)) {
        *width = bits_of(part.iter().fold(0, |all, above| all | above) as u64) as u8;
    }
    page.extend_from_slice(&widths);
    for (width, part) in widths.iter().zip(differences.chunks(IN_MINIBLOCK)) {
        let width = u32::from(*width);
        if width > NARROW {
            let mut packer = Packer::new(page, width);
            part.iter().for_each(|above| packer.push(*above as u64));
            packer.fill_up(IN_MINIBLOCK - part.len());
        } else if width > 0 {
            let mut narrow = [0; IN_MINIBLOCK];
            narrow.iter_mut().zip(part).for_each(|(narrow, above)| *narrow = *above as u32);
            push_packed(page, width, &narrow);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn read_back(kind: DataType, chunk: impl FnOnce(&mut Encoder, &ColumnDescPtr) -> Result<Chunk>) -> RecordBatch {
        read_back_as(Field::new("x", kind, true), chunk)
    }

    fn read_back_as(field: Field, chunk: impl FnOnce(&mut Encoder, &ColumnDescPtr) -> Result<Chunk>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![field]));
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        let (mut file, _) = writer.into_serialized_writer().unwrap();
        let mut encoder = used();
        let chunk = chunk(&mut encoder, &file.schema_descr().column(0)).unwrap();
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

    /// An encoder whose buffers hold what other columns left in them.
    fn used() -> Encoder {
        let writer = |kind| {
            let schema = Arc::new(Schema::new(vec![Field::new("y", kind, true)]));
            ArrowWriter::try_new(Vec::new(), schema, None).unwrap().into_serialized_writer().unwrap().0
        };
        let mut encoder = Encoder::new();
        let (whole, decimal) = (writer(DataType::Int64), writer(DataType::Float64));
        let close: Vec<i32> = (0..5_000).map(|row| if row % 3 == 0 { i32::MIN } else { row % 700 }).collect();
        let wide: Vec<i64> = (0..5_000).map(|row| row << 40).collect();
        encoder.whole(&whole.schema_descr().column(0), Rows::all(5_000), &close).unwrap();
        encoder.whole(&whole.schema_descr().column(0), Rows::all(5_000), &wide).unwrap();
        let number = |number| number as f64;
        encoder.decimals(&decimal.schema_descr().column(0), Rows::all(5_000), &close, &number).unwrap();
        encoder
    }

    fn whole(numbers: &[Option<i64>]) {
        let read =
            |batch: RecordBatch| -> Vec<Option<i64>> { batch.column(0).as_primitive::<Int64Type>().iter().collect() };
        let mut bits = Vec::new();
        let mut wide: Vec<i64> = numbers.iter().map(|n| n.unwrap_or(i64::NONE)).collect();
        let rows = Rows::of(&mut wide, &mut bits);
        let batch = read_back(DataType::Int64, |encoder, column| encoder.whole(column, rows, &wide));
        assert_eq!(read(batch), numbers);
        let Ok(mut narrow) =
            numbers.iter().map(|n| n.map_or(Ok(i32::NONE), i32::try_from)).collect::<Result<Vec<i32>, _>>()
        else {
            return;
        };
        let rows = Rows::of(&mut narrow, &mut bits);
        let batch = read_back(DataType::Int64, |encoder, column| encoder.whole(column, rows, &narrow));
        assert_eq!(read(batch), numbers);
    }

    #[test]
    fn decimals_come_back_whether_they_are_few_or_many() {
        for distinct in [1, 2, 300, i64::from(DISTINCT), i64::from(DISTINCT) + 1, 20_000] {
            let numbers: Vec<i64> =
                (0..20_000).map(|row| if row % 7 == 3 { i64::NONE } else { row * 31 % distinct - 50 }).collect();
            let half = |number: i64| number as f64 / 2.0;
            let (mut known, mut bits) = (numbers.clone(), Vec::new());
            let rows = Rows::of(&mut known, &mut bits);
            let batch = read_back(DataType::Float64, |encoder, column| encoder.decimals(column, rows, &known, &half));
            let read: Vec<Option<f64>> = batch.column(0).as_primitive::<Float64Type>().iter().collect();
            let expected: Vec<Option<f64>> =
                numbers.iter().map(|&number| (number != i64::NONE).then(|| half(number))).collect();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn whole_numbers_come_back_whatever_their_spread_and_gaps() {
        let wide = (13..40).map(|bits| 1 << bits);
        for spread in [1i64, 2, 3, 100, CLOSE, CLOSE + 1, i64::MAX / 2].into_iter().chain(wide) {
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
            let (mut known, mut bits) = (places.clone(), Vec::new());
            let rows = Rows::of(&mut known, &mut bits);
            let batch = read_back(DataType::Utf8, |encoder, column| encoder.places(column, rows, &known, &dictionary));
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
        let field = Field::new("x", DataType::Utf8, false);
        let batch = read_back_as(field, |encoder, column| encoder.places(column, Rows::all(100), &places, &dictionary));
        let read = batch.column(0).as_string::<i32>();
        assert_eq!((read.value(0), read.value(1), read.value(98)), ("a", "b", "c"));
    }

    #[test]
    fn ordered_texts_come_back_with_repeats_and_gaps() {
        let text = |row: usize| match row % 4 {
            0 => None,
            1 => Some(format!("{:06x}", row / 3 * 77)),
            2 => Some(String::new()),
            _ => Some(format!("{:06x}é", row / 5 * 77)),
        };
        for rows in [1usize, 2, 130, 3_000] {
            let texts: Vec<Option<String>> = (0..rows).map(text).collect();
            let given = texts.iter().map(Option::as_deref);
            // One text after itself, as a person's rows come.
            let given: Vec<Option<&str>> = given.flat_map(|text| [text, text]).collect();
            let batch =
                read_back(DataType::Utf8, |encoder, column| encoder.ordered_texts(column, given.iter().copied()));
            let read: Vec<Option<&str>> = batch.column(0).as_string::<i32>().iter().collect();
            assert_eq!(read, given);
        }
    }

    #[test]
    fn texts_come_back_with_their_gaps() {
        let texts: Vec<Option<String>> = (0..77).map(|row| (row % 3 != 0).then(|| format!("é {row}"))).collect();
        let texts = texts.iter().map(Option::as_deref);
        let batch = read_back(DataType::Utf8, |encoder, column| encoder.texts(column, texts));
        let read = batch.column(0).as_string::<i32>();
        assert_eq!((read.value(1), read.value(76), read.is_null(75)), ("é 1", "é 76", true));
    }
}
