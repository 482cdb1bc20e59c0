//! Rows of a Parquet column as its file codes them: keys of a dictionary, in runs and packed bits, or plain values.
//!
//! Of most rows of a feed no model asks anything, and of those nothing but the code is looked at. So a column is kept
//! as the file has it and worked out as far as somebody asks: the key of every row, runs of equal neighbours, some rows
//! alone, or an Arrow array.
//!
//! # Source
//! Apache Parquet, "Encodings" (plain; dictionary; run length and bit packing hybrid) and "Data Pages".

use std::sync::{Arc, OnceLock};

use anyhow::{Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array,
    PrimitiveArray, StringArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page as RawPage;

use super::column::{each_key, for_each_null, is_one_value};

/// The key of a row without a value.
pub const NO_KEY: u32 = u32::MAX;

/// What a file holds that no writer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the data is damaged")
    }
}

impl std::error::Error for Damaged {}

/// The distinct values of a column chunk, of a type that has a place here.
///
/// # Errors
/// Values that are cut short, or text that is not utf-8.
pub(super) fn values_of(page: &RawPage, kind: &DataType) -> Result<ArrayRef> {
    let RawPage::DictionaryPage { buf, num_values, encoding, .. } = page else { return Err(Damaged.into()) };
    ensure!(matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY), Damaged);
    let entries = *num_values as usize;
    macro_rules! numbers {
        ($array:ty, $native:ty) => {{
            let (numbers, _) = buf.as_chunks::<{ size_of::<$native>() }>();
            ensure!(numbers.len() >= entries, Damaged);
            let numbers = numbers[..entries].iter().map(|bytes| <$native>::from_le_bytes(*bytes));
            Arc::new(<$array>::from_iter_values(numbers))
        }};
    }
    Ok(match kind {
        DataType::Utf8 => texts_of(buf, entries)?,
        DataType::Date32 => numbers!(PrimitiveArray<Date32Type>, i32),
        DataType::Int32 => numbers!(Int32Array, i32),
        DataType::Int64 => numbers!(Int64Array, i64),
        DataType::Float32 => numbers!(Float32Array, f32),
        DataType::Float64 => numbers!(Float64Array, f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(PrimitiveArray<TimestampMillisecondType>, i64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(PrimitiveArray<TimestampMicrosecondType>, i64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers!(PrimitiveArray<TimestampNanosecondType>, i64),
        _ => return Err(Damaged.into()),
    })
}

/// Whether [`values_of`] has a place for the type.
pub(super) fn has_place(kind: &DataType) -> bool {
    let is_time =
        matches!(kind, DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, _));
    let is_number = matches!(kind, DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64);
    is_time || is_number || matches!(kind, DataType::Utf8 | DataType::Date32)
}

/// Texts, each behind its length.
fn texts_of(bytes: &[u8], entries: usize) -> Result<ArrayRef> {
    let mut texts = Texts::new(entries.min(bytes.len()), bytes.len());
    for start in starts_of(bytes, entries)? {
        texts.push(Some(text_at(bytes, start)));
    }
    texts.finish()
}

/// Where each of so many texts begins, behind its length.
fn starts_of(bytes: &[u8], entries: usize) -> Result<Vec<u32>, Damaged> {
    // Each has a length of four bytes, so a number that the bytes cannot hold asks for no memory.
    if entries > bytes.len() / LENGTH || bytes.len() > u32::MAX as usize {
        return Err(Damaged);
    }
    let (mut starts, mut at) = (Vec::with_capacity(entries), 0);
    for _ in 0..entries {
        let length = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Damaged)?;
        at += LENGTH;
        starts.push(at as u32);
        at += u32::from_le_bytes(*length) as usize;
    }
    if at <= bytes.len() { Ok(starts) } else { Err(Damaged) }
}

/// The text that begins at a place, in bytes that were looked over by [`starts_of`].
fn text_at(bytes: &[u8], start: u32) -> &[u8] {
    let start = start as usize;
    let length = bytes[start - LENGTH..].first_chunk().expect("a length stands before it");
    &bytes[start..start + u32::from_le_bytes(*length) as usize]
}

/// Texts on their way into an array.
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    known: Vec<bool>,
}

impl Texts {
    fn new(rows: usize, bytes: usize) -> Texts {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Texts { bytes: Vec::with_capacity(bytes), ends, known: Vec::with_capacity(rows) }
    }

    fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(self.bytes.len() as i32);
        self.known.push(text.is_some());
    }

    fn finish(self) -> Result<ArrayRef> {
        ensure!(self.bytes.len() <= i32::MAX as usize, Damaged);
        let nulls = self.known.contains(&false).then(|| NullBuffer::from(self.known));
        let texts =
            StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(self.ends)), Buffer::from_vec(self.bytes), nulls);
        Ok(Arc::new(texts.map_err(|_| anyhow::anyhow!("holds bytes that are not utf-8 text"))?))
    }
}

/// Bytes of a length that stands before what it is of.
const LENGTH: usize = 4;

/// A column of a batch.
#[derive(Debug, Clone)]
pub enum Column {
    Array(ArrayRef),
    /// Keys of a dictionary.
    Coded(Arc<Coded>),
    /// Values, at least in part.
    Plain(Arc<Plain>),
}

impl Column {
    /// The distinct values of a column that has a dictionary.
    pub fn dictionary(&self) -> Option<&ArrayRef> {
        match self {
            Column::Array(array) => array.as_any_dictionary_opt().map(|dictionary| dictionary.values()),
            Column::Coded(coded) => Some(coded.values()),
            Column::Plain(_) => None,
        }
    }

    /// The key of every row of a column that has a dictionary; [`NO_KEY`] where it has no value.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn keys(&self, out: &mut Vec<u32>) -> Result<()> {
        match self {
            Column::Array(array) => {
                out.clear();
                each_key(array, |_, key| out.push(key as u32));
                for_each_null(array, |row| out[row] = NO_KEY);
            }
            Column::Coded(coded) => coded.keys(out)?,
            Column::Plain(_) => out.clear(),
        }
        Ok(())
    }

    /// As [`Column::keys`], for some rows, which are in order.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn keys_of(&self, rows: &[u32], out: &mut Vec<u32>) -> Result<()> {
        match self {
            Column::Array(array) => {
                out.clear();
                match array.as_any_dictionary().keys().as_primitive_opt::<Int32Type>() {
                    Some(keys) => out.extend(rows.iter().map(|row| match keys.is_null(*row as usize) {
                        true => NO_KEY,
                        false => keys.value(*row as usize) as u32,
                    })),
                    None => {
                        let mut all = Vec::new();
                        self.keys(&mut all)?;
                        out.extend(rows.iter().map(|row| all[*row as usize]));
                    }
                }
            }
            Column::Coded(coded) => coded.keys_of(rows, out)?,
            Column::Plain(_) => out.clear(),
        }
        Ok(())
    }

    /// The value that all rows of a column with a dictionary have; `None` where they differ, or it is not seen at once.
    pub fn one_value(&self) -> Option<ArrayRef> {
        match self {
            Column::Array(array) => {
                (array.as_any_dictionary_opt().is_some() && is_one_value(array)).then(|| array.slice(0, 1))
            }
            Column::Coded(coded) => coded.one_key().map(|key| coded.values.slice(key as usize, 1)),
            Column::Plain(_) => None,
        }
    }

    /// The values of the rows, each once where the column has a dictionary.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn distinct(&self) -> Result<ArrayRef> {
        match self {
            Column::Array(_) | Column::Plain(_) => self.array().cloned(),
            Column::Coded(coded) => {
                let mut keys = Vec::new();
                coded.keys(&mut keys)?;
                keys.sort_unstable();
                keys.dedup();
                keys.retain(|key| *key != NO_KEY);
                match coded.values.as_string_opt::<i32>() {
                    Some(texts) => {
                        let texts = keys.iter().map(|key| texts.value(*key as usize));
                        Ok(Arc::new(StringArray::from_iter_values(texts)))
                    }
                    None => coded.with_keys(&keys),
                }
            }
        }
    }

    /// The column as an array, worked out in full.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn array(&self) -> Result<&ArrayRef> {
        match self {
            Column::Array(array) => Ok(array),
            Column::Coded(coded) => coded.array(),
            Column::Plain(plain) => plain.array(),
        }
    }
}

impl From<ArrayRef> for Column {
    fn from(array: ArrayRef) -> Column {
        Column::Array(array)
    }
}

/// Neighbouring rows of a column chunk whose pages hold values, or some of them keys: a writer gives its dictionary up
/// where that grows too large.
#[derive(Debug)]
pub struct Plain {
    kind: DataType,
    /// The dictionary of the pages that hold keys.
    values: Option<ArrayRef>,
    pieces: Vec<Piece>,
    array: OnceLock<ArrayRef>,
}

/// What a row holds.
enum Cell<'a> {
    Missing,
    Key(u32),
    Bytes(&'a [u8]),
}

impl Plain {
    pub(super) fn new(kind: DataType, values: Option<ArrayRef>, pieces: Vec<Piece>) -> Plain {
        Plain { kind, values, pieces, array: OnceLock::new() }
    }

    fn rows(&self) -> u32 {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }

    /// All rows.
    ///
    /// # Errors
    /// [`Damaged`]; text that is not utf-8.
    pub fn array(&self) -> Result<&ArrayRef> {
        if let Some(array) = self.array.get() {
            return Ok(array);
        }
        let array = self.some(&(0..self.rows()).collect::<Vec<u32>>())?;
        Ok(self.array.get_or_init(|| array))
    }

    /// Some rows, which are in order.
    ///
    /// # Errors
    /// [`Damaged`]; text that is not utf-8.
    pub fn some(&self, rows: &[u32]) -> Result<ArrayRef> {
        macro_rules! numbers {
            ($kind:ty, $native:ty) => {{
                let values = self.values.as_ref().map(|values| values.as_primitive::<$kind>().values());
                let (mut numbers, mut known) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
                self.each_cell(rows, |cell| {
                    let number = match cell {
                        Cell::Missing => None,
                        Cell::Key(key) => values.and_then(|values| values.get(key as usize)).copied(),
                        Cell::Bytes(bytes) => bytes.first_chunk().map(|bytes| <$native>::from_le_bytes(*bytes)),
                    };
                    known.push(number.is_some());
                    numbers.push(number.unwrap_or_default());
                })?;
                let nulls = known.contains(&false).then(|| NullBuffer::from(known));
                Arc::new(PrimitiveArray::<$kind>::new(numbers.into(), nulls)) as ArrayRef
            }};
        }
        Ok(match &self.kind {
            DataType::Date32 => numbers!(Date32Type, i32),
            DataType::Int32 => numbers!(Int32Type, i32),
            DataType::Int64 => numbers!(Int64Type, i64),
            DataType::Float32 => numbers!(Float32Type, f32),
            DataType::Float64 => numbers!(Float64Type, f64),
            DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(TimestampMillisecondType, i64),
            DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(TimestampMicrosecondType, i64),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers!(TimestampNanosecondType, i64),
            _ => {
                let values = self.values.as_ref().map(|values| values.as_string::<i32>());
                let mut texts = Texts::new(rows.len(), rows.len() * size_of::<u128>());
                self.each_cell(rows, |cell| {
                    texts.push(match cell {
                        Cell::Missing => None,
                        Cell::Key(key) => values.map(|values| values.value(key as usize).as_bytes()),
                        Cell::Bytes(bytes) => Some(bytes),
                    });
                })?;
                texts.finish()?
            }
        })
    }

    /// What each of some rows holds.
    fn each_cell(&self, rows: &[u32], mut each: impl FnMut(Cell)) -> Result<(), Damaged> {
        let entries = self.values.as_ref().map_or(0, |values| values.len() as u32);
        let (mut rest, mut start) = (rows, 0);
        for piece in &self.pieces {
            let (here, after) = rest.split_at(rest.partition_point(|row| *row < start + piece.rows));
            let (mut cursor, page) = (Cursor::default(), &piece.page);
            for row in here.iter().map(|row| row - start + piece.first) {
                each(match (page.place_of(row), &page.body) {
                    (None, _) => Cell::Missing,
                    (Some(place), Body::Texts { bytes, starts }) => Cell::Bytes(text_at(bytes, starts[place as usize])),
                    (Some(place), Body::Fixed { bytes, width }) => {
                        let first = place as usize * width;
                        Cell::Bytes(&bytes[first..first + width])
                    }
                    (Some(place), Body::Keys(keys)) => match keys.number(place, &mut cursor) {
                        key if key < entries => Cell::Key(key),
                        _ => return Err(Damaged),
                    },
                });
            }
            (rest, start) = (after, start + piece.rows);
        }
        Ok(())
    }
}

/// Neighbouring rows of a column chunk whose pages all hold keys of its dictionary.
#[derive(Debug)]
pub struct Coded {
    values: ArrayRef,
    pieces: Vec<Piece>,
    array: OnceLock<ArrayRef>,
}

/// Rows of one page.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub page: Arc<Page>,
    pub first: u32,
    pub rows: u32,
}

impl Coded {
    pub(super) fn new(values: ArrayRef, pieces: Vec<Piece>) -> Coded {
        Coded { values, pieces, array: OnceLock::new() }
    }

    /// The distinct values of the column chunk: the same array for all of its rows.
    pub fn values(&self) -> &ArrayRef {
        &self.values
    }

    pub fn is_text(&self) -> bool {
        *self.values.data_type() == DataType::Utf8
    }

    pub fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows as usize).sum()
    }

    /// The key of every row; [`NO_KEY`] where it has no value.
    ///
    /// # Errors
    /// [`Damaged`]: a key that the dictionary lacks.
    pub fn keys(&self, out: &mut Vec<u32>) -> Result<(), Damaged> {
        out.clear();
        self.pieces.iter().try_for_each(|piece| piece.page.keys(piece.first, piece.rows, self.entries(), out))
    }

    /// The keys of some rows, which are in order.
    ///
    /// # Errors
    /// [`Damaged`]: a key that the dictionary lacks.
    pub fn keys_of(&self, rows: &[u32], out: &mut Vec<u32>) -> Result<(), Damaged> {
        out.clear();
        let (mut rest, mut start) = (rows, 0);
        for piece in &self.pieces {
            let (here, after) = rest.split_at(rest.partition_point(|row| *row < start + piece.rows));
            piece.page.keys_of(here.iter().map(|row| row - start + piece.first), out);
            (rest, start) = (after, start + piece.rows);
        }
        self.check(out)
    }

    /// Hands on equal neighbours together: how many rows, and their key. Not all that could be are put together.
    ///
    /// # Errors
    /// [`Damaged`]: a key that the dictionary lacks.
    pub fn each_run(&self, mut each: impl FnMut(u32, u32)) -> Result<(), Damaged> {
        let (mut unpacked, entries) = (Vec::new(), self.entries());
        for Piece { page, first, rows } in &self.pieces {
            if page.present.is_some() {
                unpacked.clear();
                page.keys(*first, *rows, entries, &mut unpacked)?;
                unpacked.chunk_by(|one, two| one == two).for_each(|alike| each(alike.len() as u32, alike[0]));
                continue;
            }
            let keys = page.body.keys();
            for run in keys.between(*first..first + rows) {
                match run.what {
                    What::Same(key) => each(run.length, key),
                    What::Packed { byte, skip } => {
                        unpacked.clear();
                        unpacked.resize(run.length as usize, 0);
                        unpack(&keys.bytes[byte as usize..], keys.width, skip, &mut unpacked);
                        self.check(&unpacked)?;
                        unpacked.chunk_by(|one, two| one == two).for_each(|alike| each(alike.len() as u32, alike[0]));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether most rows have the key of a neighbour, and the file says so.
    pub fn is_mostly_runs(&self) -> bool {
        let mut in_runs = 0;
        for Piece { page, first, rows } in &self.pieces {
            if page.present.is_none() {
                let runs = page.body.keys().between(*first..first + rows);
                in_runs +=
                    runs.map(|run| if let What::Same(_) = run.what { run.length as usize } else { 0 }).sum::<usize>();
            }
        }
        2 * in_runs >= self.rows()
    }

    /// The key that all rows have; `None` where they differ, or some may have none.
    pub fn one_key(&self) -> Option<u32> {
        let mut one = None;
        for Piece { page, first, rows } in &self.pieces {
            if page.present.is_some() {
                return None;
            }
            for run in page.body.keys().between(*first..first + rows) {
                match run.what {
                    What::Same(key) if one.is_none_or(|one| one == key) => one = Some(key),
                    _ => return None,
                }
            }
        }
        one
    }

    /// The rows as an array: text with its dictionary, numbers without.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn array(&self) -> Result<&ArrayRef> {
        if let Some(array) = self.array.get() {
            return Ok(array);
        }
        let mut keys = Vec::new();
        self.keys(&mut keys)?;
        let array = self.with_keys(&keys)?;
        Ok(self.array.get_or_init(|| array))
    }

    fn with_keys(&self, keys: &[u32]) -> Result<ArrayRef> {
        let nulls = keys.contains(&NO_KEY).then(|| keys.iter().map(|key| *key != NO_KEY).collect::<NullBuffer>());
        macro_rules! numbers {
            ($kind:ty) => {
                numbers_at::<$kind>(&self.values, keys, nulls)
            };
        }
        Ok(match self.values.data_type() {
            DataType::Date32 => numbers!(Date32Type),
            DataType::Int32 => numbers!(Int32Type),
            DataType::Int64 => numbers!(Int64Type),
            DataType::Float32 => numbers!(Float32Type),
            DataType::Float64 => numbers!(Float64Type),
            DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers!(TimestampNanosecondType),
            _ => {
                let keys = keys.iter().map(|key| if *key == NO_KEY { 0 } else { *key as i32 }).collect::<Vec<i32>>();
                let keys = Int32Array::new(keys.into(), nulls);
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, self.values.clone())?)
            }
        })
    }

    fn entries(&self) -> u32 {
        self.values.len() as u32
    }

    fn check(&self, keys: &[u32]) -> Result<(), Damaged> {
        all_known(keys, self.entries())
    }
}

fn numbers_at<T: ArrowPrimitiveType>(values: &ArrayRef, keys: &[u32], nulls: Option<NullBuffer>) -> ArrayRef {
    let values = values.as_primitive::<T>().values();
    let numbers: Vec<T::Native> =
        keys.iter().map(|key| if *key == NO_KEY { T::Native::default() } else { values[*key as usize] }).collect();
    Arc::new(PrimitiveArray::<T>::new(numbers.into(), nulls))
}

/// Whether a dictionary of so many entries has all of these keys; [`NO_KEY`] is none.
fn all_known(keys: &[u32], entries: u32) -> Result<(), Damaged> {
    let unknown = keys.iter().fold(0, |unknown, key| unknown | u32::from(*key >= entries && *key != NO_KEY));
    if unknown == 0 { Ok(()) } else { Err(Damaged) }
}

/// A data page: which rows have a value, and what those hold.
#[derive(Debug)]
pub(super) struct Page {
    pub rows: u32,
    /// `None` where all do.
    present: Option<Present>,
    body: Body,
}

/// What the rows hold that have a value.
#[derive(Debug)]
enum Body {
    Keys(Hybrid),
    Texts { bytes: Bytes, starts: Vec<u32> },
    Fixed { bytes: Bytes, width: usize },
}

impl Body {
    /// The keys; none of a page that holds values.
    fn keys(&self) -> &Hybrid {
        static NONE: Hybrid = Hybrid { bytes: Bytes::new(), width: 0, runs: Vec::new() };
        if let Body::Keys(keys) = self { keys } else { &NONE }
    }

    /// Values in Parquet's plain form.
    fn plain(bytes: Bytes, kind: &DataType, known: u32) -> Result<Body, Damaged> {
        let width = match kind {
            DataType::Utf8 => return Ok(Body::Texts { starts: starts_of(&bytes, known as usize)?, bytes }),
            DataType::Date32 | DataType::Int32 | DataType::Float32 => size_of::<u32>(),
            _ => size_of::<u64>(),
        };
        if bytes.len() / width < known as usize { Err(Damaged) } else { Ok(Body::Fixed { bytes, width }) }
    }
}

impl Page {
    /// The page of a column that is not repeated; `is_optional` where it may lack values.
    ///
    /// # Errors
    /// [`Damaged`]: a page that is cut short, that has another encoding than the footer says, or a key that the
    /// dictionary lacks.
    pub fn new(page: &RawPage, is_optional: bool, kind: &DataType, entries: u32) -> Result<Page, Damaged> {
        let is_coded = matches!(page.encoding(), Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        let (bytes, rows) = (page.buffer(), page.num_values());
        let levels = match page {
            _ if !is_coded && page.encoding() != Encoding::PLAIN => return Err(Damaged),
            RawPage::DataPage { .. } if !is_optional => 0..0,
            RawPage::DataPage { def_level_encoding: Encoding::RLE, .. } => {
                let length = u32::from_le_bytes(*bytes.first_chunk::<LENGTH>().ok_or(Damaged)?);
                LENGTH..LENGTH + length as usize
            }
            RawPage::DataPage { .. } => 0..rows.div_ceil(8) as usize,
            RawPage::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                let start = *rep_levels_byte_len as usize;
                start..start + *def_levels_byte_len as usize
            }
            _ => return Err(Damaged),
        };
        let (start, end) = (levels.end, bytes.len());
        if levels.start > start || start > end {
            return Err(Damaged);
        }
        let levels = match page {
            RawPage::DataPage { def_level_encoding, .. } if is_optional && *def_level_encoding != Encoding::RLE => {
                Hybrid::of_old_levels(&bytes[levels], rows)
            }
            _ if is_optional => Hybrid::new(bytes.slice(levels), 1, rows)?,
            _ => Hybrid::default(),
        };
        let present = if is_optional { Present::new(&levels, rows) } else { None };
        let known = present.as_ref().map_or(rows, |present| present.known_before(rows));
        let body = match bytes.get(start) {
            _ if !is_coded => Body::plain(bytes.slice(start..end), kind, known)?,
            _ if known == 0 => Body::Keys(Hybrid::default()),
            Some(width) => Body::Keys(Hybrid::new(bytes.slice(start + 1..end), u32::from(*width), known)?),
            None => return Err(Damaged),
        };
        let is_known = |run: &Run| run.is_packed || run.at < entries;
        if body.keys().runs.iter().all(is_known) { Ok(Page { rows, present, body }) } else { Err(Damaged) }
    }

    pub fn holds_keys(&self) -> bool {
        matches!(self.body, Body::Keys(_))
    }

    /// Which of the page's values a row has, if any.
    fn place_of(&self, row: u32) -> Option<u32> {
        match &self.present {
            None => Some(row),
            Some(present) => present.is_known(row).then(|| present.known_before(row)),
        }
    }

    fn keys(&self, first: u32, rows: u32, entries: u32, out: &mut Vec<u32>) -> Result<(), Damaged> {
        let start = out.len();
        match &self.present {
            None => self.body.keys().numbers(first..first + rows, out),
            Some(present) => {
                let mut known = Vec::new();
                self.body.keys().numbers(present.known_before(first)..present.known_before(first + rows), &mut known);
                let mut known = known.into_iter();
                let of_row = |row| if present.is_known(row) { known.next().unwrap_or(NO_KEY) } else { NO_KEY };
                out.extend((first..first + rows).map(of_row));
            }
        }
        all_known(&out[start..], entries)
    }

    /// The keys of some rows of the page, which are in order.
    fn keys_of(&self, rows: impl Iterator<Item = u32>, out: &mut Vec<u32>) {
        let (mut cursor, keys) = (Cursor::default(), self.body.keys());
        match &self.present {
            None => out.extend(rows.map(|row| keys.number(row, &mut cursor))),
            Some(present) => out.extend(rows.map(|row| match present.is_known(row) {
                true => keys.number(present.known_before(row), &mut cursor),
                false => NO_KEY,
            })),
        }
    }
}

/// Which rows of a page have a value.
#[derive(Debug)]
struct Present {
    /// One bit a row.
    words: Vec<u64>,
    /// How many have one before each word.
    before: Vec<u32>,
}

impl Present {
    /// From a page's levels; `None` where all rows have one.
    fn new(levels: &Hybrid, rows: u32) -> Option<Present> {
        if matches!(levels.runs[..], [Run { is_packed: false, at: 1, .. }]) {
            return None;
        }
        let mut bits = Bits { words: Vec::with_capacity(rows.div_ceil(u64::BITS) as usize), held: 0, length: 0 };
        let mut first = 0;
        for run in &levels.runs {
            let length = run.end - first;
            match run.is_packed {
                true => {
                    let bytes = &levels.bytes[run.at as usize..];
                    bytes[..length as usize / 8].iter().for_each(|byte| bits.push(u64::from(*byte), 8));
                    if !length.is_multiple_of(8) {
                        bits.push(u64::from(bytes[length as usize / 8]), length % 8);
                    }
                }
                false => bits.push_same(run.at == 1, length),
            }
            first = run.end;
        }
        let words = bits.finish();
        let mut known = 0;
        let before = words.iter().map(|word| {
            let before = known;
            known += word.count_ones();
            before
        });
        let before = before.collect();
        (known < rows).then_some(Present { words, before })
    }

    fn is_known(&self, row: u32) -> bool {
        self.words[row as usize / 64] >> (row % 64) & 1 == 1
    }

    /// How many rows before this one have a value.
    fn known_before(&self, row: u32) -> u32 {
        let (place, bit) = (row as usize / 64, row % 64);
        match self.words.get(place) {
            Some(word) => self.before[place] + (word & ((1 << bit) - 1)).count_ones(),
            None => self.words.last().map_or(0, |last| self.before[place - 1] + last.count_ones()),
        }
    }
}

/// Bits on their way into words.
struct Bits {
    words: Vec<u64>,
    held: u64,
    /// How many of the held word's bits are there.
    length: u32,
}

impl Bits {
    /// Adds the lowest bits of a number, fewer than a word has.
    #[inline]
    fn push(&mut self, bits: u64, count: u32) {
        let bits = bits & ((1 << count) - 1);
        self.held |= bits << self.length;
        self.length += count;
        if self.length >= u64::BITS {
            self.words.push(self.held);
            self.length -= u64::BITS;
            self.held = bits.unbounded_shr(count - self.length);
        }
    }

    /// Adds one bit so many times.
    fn push_same(&mut self, bit: bool, mut count: u32) {
        let word = if bit { u64::MAX } else { 0 };
        while count > 0 {
            let here = count.min(u64::BITS - 1);
            self.push(word, here);
            count -= here;
        }
    }

    fn finish(mut self) -> Vec<u64> {
        if self.length > 0 {
            self.words.push(self.held);
        }
        self.words
    }
}

/// Numbers in runs of one, and in packed eights.
#[derive(Debug, Default)]
struct Hybrid {
    bytes: Bytes,
    /// Bits of a packed number.
    width: u32,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    /// The place after its last number.
    end: u32,
    is_packed: bool,
    /// The number that repeats, or the byte where packed ones begin.
    at: u32,
}

/// A part of a run.
struct Part {
    length: u32,
    what: What,
}

enum What {
    Same(u32),
    /// Packed numbers from a byte on, of which some are passed over.
    Packed {
        byte: u32,
        skip: u32,
    },
}

/// Where in the runs a walk from one number to a later one has come to.
#[derive(Default)]
struct Cursor {
    run: usize,
    /// The first number of the run.
    first: u32,
}

impl Hybrid {
    /// So many numbers of one width.
    fn new(bytes: Bytes, width: u32, count: u32) -> Result<Hybrid, Damaged> {
        let (mut runs, mut at, mut end) = (Vec::new(), 0, 0);
        if width > u32::BITS || bytes.len() > u32::MAX as usize {
            return Err(Damaged);
        }
        while end < count {
            let header = read_varint(&bytes, &mut at)?;
            let (is_packed, length) = (header & 1 == 1, header >> 1);
            let length = if is_packed { length.saturating_mul(8) } else { length };
            let length = u32::try_from(length.min(u64::from(count - end))).expect("it is less than a 32-bit number");
            if length == 0 {
                return Err(Damaged);
            }
            end += length;
            if is_packed {
                runs.push(Run { end, is_packed, at: at as u32 });
                // The last eights may be cut where no number of the page is.
                let eights = (header >> 1).saturating_mul(u64::from(width));
                let needed = (u64::from(length) * u64::from(width)).div_ceil(8);
                if needed > (bytes.len() - at) as u64 {
                    return Err(Damaged);
                }
                at = (at as u64).saturating_add(eights).min(bytes.len() as u64) as usize;
            } else {
                let mut number = [0; 4];
                let length = width.div_ceil(8) as usize;
                number[..length].copy_from_slice(bytes.get(at..at + length).ok_or(Damaged)?);
                runs.push(Run { end, is_packed, at: u32::from_le_bytes(number) });
                at += length;
            }
        }
        Ok(Hybrid { bytes, width, runs })
    }

    /// The levels of pages as they were written at first: one bit a row, the highest bit of a byte first.
    fn of_old_levels(bytes: &[u8], rows: u32) -> Hybrid {
        let bytes = bytes.iter().map(|byte| byte.reverse_bits()).collect();
        Hybrid { bytes, width: 1, runs: vec![Run { end: rows, is_packed: true, at: 0 }] }
    }

    /// The parts of runs from one number up to another.
    fn between(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = Part> + '_ {
        let first_run = self.runs.partition_point(|run| run.end <= range.start);
        let starts = first_run.checked_sub(1).map_or(0, |before| self.runs[before].end);
        let runs = self.runs[first_run..].iter().scan(starts, |start, run| {
            let from = std::mem::replace(start, run.end);
            Some((from, run))
        });
        let runs = runs.take_while(move |(from, _)| *from < range.end);
        runs.map(move |(from, run)| {
            let (first, end) = (from.max(range.start), run.end.min(range.end));
            let what = match run.is_packed {
                true => What::Packed { byte: run.at, skip: first - from },
                false => What::Same(run.at),
            };
            Part { length: end - first, what }
        })
    }

    fn numbers(&self, range: std::ops::Range<u32>, out: &mut Vec<u32>) {
        out.reserve(range.len());
        for part in self.between(range) {
            let start = out.len();
            match part.what {
                What::Same(number) => out.resize(start + part.length as usize, number),
                What::Packed { byte, skip } => {
                    out.resize(start + part.length as usize, 0);
                    unpack(&self.bytes[byte as usize..], self.width, skip, &mut out[start..]);
                }
            }
        }
    }

    /// The number at a place; a walk goes on from where it has come to.
    #[inline]
    fn number(&self, place: u32, cursor: &mut Cursor) -> u32 {
        while self.runs[cursor.run].end <= place {
            cursor.first = self.runs[cursor.run].end;
            cursor.run += 1;
        }
        let run = &self.runs[cursor.run];
        match run.is_packed {
            true => packed_at(&self.bytes[run.at as usize..], self.width, place - cursor.first),
            false => run.at,
        }
    }
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64, Damaged> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Damaged)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

/// The packed number at a place.
#[inline]
fn packed_at(bytes: &[u8], width: u32, place: u32) -> u32 {
    let bit = u64::from(place) * u64::from(width);
    let rest = &bytes[(bit / 8) as usize..];
    let word = match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    (word >> (bit % 8) & ((1 << width) - 1)) as u32
}

/// Unpacks numbers from the one at place `skip` on.
fn unpack(bytes: &[u8], width: u32, skip: u32, out: &mut [u32]) {
    let head = out.len().min(skip.next_multiple_of(8) as usize - skip as usize);
    let (head, body) = out.split_at_mut(head);
    head.iter_mut().zip(skip..).for_each(|(number, place)| *number = packed_at(bytes, width, place));
    let next = skip + head.len() as u32;
    let (eights, _) = body.as_chunks_mut::<8>();
    let done = 8 * unpack_eights(bytes.get((next / 8 * width) as usize..).unwrap_or_default(), width, eights);
    let rest = body[done..].iter_mut().zip(next + done as u32..);
    rest.for_each(|(number, place)| *number = packed_at(bytes, width, place));
}

/// Unpacks eights as long as eight more bytes follow each; how many eights were done.
fn unpack_eights(bytes: &[u8], width: u32, out: &mut [[u32; 8]]) -> usize {
    macro_rules! of_width {
        ($($width:literal)*) => {
            match width {
                $($width => eights_of::<$width>(bytes, out),)*
                _ => 0,
            }
        };
    }
    of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
}

#[inline]
fn eights_of<const WIDTH: usize>(bytes: &[u8], out: &mut [[u32; 8]]) -> usize {
    const WORD: usize = size_of::<u64>();
    let mut done = 0;
    for eight in out {
        let Some(window) = bytes.get(done * WIDTH..done * WIDTH + WIDTH + WORD) else { break };
        for (place, number) in eight.iter_mut().enumerate() {
            let bit = place * WIDTH;
            let word = window[bit / 8..].first_chunk().expect("eight more bytes follow");
            *number = (u64::from_le_bytes(*word) >> (bit % 8)) as u32 & ((1 << WIDTH) - 1);
        }
        done += 1;
    }
    done
}

#[cfg(test)]
pub(super) mod tests {
    use arrow_array::{RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const ROWS: u32 = 9_000;
    const PAGE_ROWS: usize = 2_500;

    /// Texts of which so many are different, in stretches of about so many rows, some without a value.
    fn texts(distinct: u32, stretch: u32, missing: u32, seed: u64) -> Vec<Option<String>> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut rows = Vec::new();
        while rows.len() < ROWS as usize {
            let text =
                (random.random_range(0..100) >= missing).then(|| format!("c{}", random.random_range(0..distinct)));
            rows.extend(std::iter::repeat_n(text, random.random_range(1..=2 * stretch) as usize));
        }
        rows.truncate(ROWS as usize);
        rows
    }

    /// The column as the pages of a file hold it.
    pub fn column_of(array: &ArrayRef) -> Column {
        let (values, pages) = pages_of(array, WriterVersion::PARQUET_1_0, LARGE);
        let values = values.unwrap();
        let whole = pages.into_iter().map(|page| Piece { first: 0, rows: page.rows, page });
        Column::Coded(Arc::new(Coded::new(values, whole.collect())))
    }

    /// No dictionary here is as large.
    const LARGE: usize = 1 << 20;

    /// The dictionary and the pages of a column, of which the writer gives the dictionary up at so many bytes.
    fn pages_of(
        array: &ArrayRef,
        version: WriterVersion,
        dictionary_bytes: usize,
    ) -> (Option<ArrayRef>, Vec<Arc<Page>>) {
        let (values, pages) = raw_pages(array, version, dictionary_bytes);
        let entries = values.as_ref().map_or(0, |values| values.len() as u32);
        let page = |page: &RawPage| Arc::new(Page::new(page, true, array.data_type(), entries).unwrap());
        (values, pages.iter().map(page).collect())
    }

    fn raw_pages(
        array: &ArrayRef,
        version: WriterVersion,
        dictionary_bytes: usize,
    ) -> (Option<ArrayRef>, Vec<RawPage>) {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array.clone(), true)]).unwrap();
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_dictionary_enabled(dictionary_bytes > 0)
            .set_dictionary_page_size_limit(dictionary_bytes)
            .set_write_batch_size(100)
            .set_column_encoding("c".into(), Encoding::PLAIN)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let file = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let group = file.get_row_group(0).unwrap();
        let mut pages = group.get_column_page_reader(0).unwrap();
        let (mut values, mut read) = (None, Vec::new());
        while let Some(page) = pages.get_next_page().unwrap() {
            match page.is_dictionary_page() {
                true => values = Some(values_of(&page, array.data_type()).unwrap()),
                false => read.push(page),
            }
        }
        (values, read)
    }

    /// The file's pages, cut at rows that are no page's end.
    fn coded(texts: &[Option<String>], version: WriterVersion) -> Vec<Coded> {
        let array: ArrayRef = Arc::new(texts.iter().map(Option::as_deref).collect::<StringArray>());
        let (values, pages) = pages_of(&array, version, LARGE);
        let values = values.unwrap();
        let mut pieces = Vec::new();
        for page in pages {
            let (rows, half) = (page.rows, page.rows / 2 + 3);
            pieces.push(vec![Piece { page: page.clone(), first: 0, rows: half }]);
            pieces.push(vec![Piece { page, first: half, rows: rows - half }]);
        }
        assert!(pieces.len() >= 6, "several pages, each in two pieces");
        // The last half of a page and the first of the next together.
        let joined = pieces.into_iter().fold(Vec::<Vec<Piece>>::new(), |mut all, piece| {
            match all.len() % 2 {
                1 if all.last().is_some_and(|last| last.len() == 1) && all.len() > 1 => {
                    all.last_mut().unwrap().extend(piece);
                }
                _ => all.push(piece),
            }
            all
        });
        joined.into_iter().map(|pieces| Coded::new(values.clone(), pieces)).collect()
    }

    fn text(coded: &Coded, key: u32) -> Option<String> {
        (key != NO_KEY).then(|| coded.values.as_string::<i32>().value(key as usize).to_owned())
    }

    #[test]
    fn every_way_to_ask_a_column_gives_what_was_written() {
        let kinds =
            [(1, 5_000, 0), (3, 1, 0), (3, 1, 40), (700, 1, 10), (3_000, 1, 0), (40, 30, 0), (40, 9, 30), (2, 4, 97)];
        for (number, (distinct, stretch, missing)) in kinds.into_iter().enumerate() {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                let written = texts(distinct, stretch, missing, number as u64);
                let mut start = 0;
                for coded in coded(&written, version) {
                    let expected = &written[start..start + coded.rows()];
                    start += coded.rows();
                    check(&coded, expected);
                }
                assert_eq!(start, written.len());
            }
        }
    }

    fn check(coded: &Coded, expected: &[Option<String>]) {
        let read = |keys: &[u32]| keys.iter().map(|key| text(coded, *key)).collect::<Vec<_>>();
        let mut keys = Vec::new();
        coded.keys(&mut keys).unwrap();
        assert_eq!(read(&keys), expected);
        let mut runs = Vec::new();
        coded.each_run(|rows, key| runs.extend(std::iter::repeat_n(key, rows as usize))).unwrap();
        assert_eq!(runs, keys);
        for step in [1, 2, 7, 61, 1_000] {
            let rows: Vec<u32> = (0..expected.len() as u32).skip(step / 2).step_by(step).collect();
            let mut some = Vec::new();
            coded.keys_of(&rows, &mut some).unwrap();
            assert_eq!(read(&some), rows.iter().map(|row| expected[*row as usize].clone()).collect::<Vec<_>>());
        }
        let array = coded.array().unwrap().as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        assert!(array.into_iter().eq(expected.iter().map(Option::as_deref)));
        if let Some(key) = coded.one_key() {
            assert!(expected.iter().all(|of_row| *of_row == text(coded, key)));
        }
    }

    #[test]
    fn plain_values_and_those_behind_a_dictionary_given_up_are_read() {
        let texts = texts(3_000, 1, 20, 5);
        let numbers = texts.iter().zip(0..).map(|(text, row)| text.as_ref().map(|_| f64::from(row % 4_001) / 8.0));
        let days = texts.iter().zip(0..).map(|(text, row)| text.as_ref().map(|_| row % 4_001 - 7));
        let arrays: [ArrayRef; 3] = [
            Arc::new(texts.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(numbers.collect::<Float64Array>()),
            Arc::new(days.collect::<PrimitiveArray<Date32Type>>()),
        ];
        for array in arrays {
            for (version, bytes) in [(WriterVersion::PARQUET_1_0, 0), (WriterVersion::PARQUET_2_0, 0)]
                .into_iter()
                .chain([(WriterVersion::PARQUET_1_0, 5_000), (WriterVersion::PARQUET_2_0, 5_000)])
            {
                let (values, pages) = pages_of(&array, version, bytes);
                let with_keys = pages.iter().filter(|page| page.holds_keys()).count();
                assert!(
                    with_keys < pages.len() && (with_keys > 0) == (bytes > 0),
                    "some are plain, and some may be keys"
                );
                let pieces = pages.into_iter().map(|page| Piece { first: 0, rows: page.rows, page }).collect();
                let plain = Plain::new(array.data_type().clone(), values, pieces);
                assert_eq!(plain.array().unwrap(), &array);
                let rows: Vec<u32> = (3..ROWS).step_by(17).collect();
                let some = plain.some(&rows).unwrap();
                let expected = rows.iter().map(|row| array.slice(*row as usize, 1));
                assert!(expected.enumerate().all(|(place, one)| some.slice(place, 1) == one));
            }
        }
    }

    #[test]
    fn plain_values_that_are_cut_short_are_damage() {
        let page = |bytes: &[u8]| RawPage::DataPage {
            buf: bytes.to_vec().into(),
            num_values: 2,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let texts = [1, 0, 0, 0, b'a', 2, 0, 0, 0, b'b', b'c'];
        let read = |length: usize| Page::new(&page(&texts[..length]), false, &DataType::Utf8, 0).err();
        assert_eq!(read(texts.len()), None);
        assert!((0..texts.len()).all(|length| read(length) == Some(Damaged)));
        let numbers = |length: usize| Page::new(&page(&[0; 16][..length]), false, &DataType::Float64, 0).err();
        assert_eq!((numbers(16), numbers(15)), (None, Some(Damaged)));
    }

    #[test]
    fn damaged_pages_are_refused_or_read_and_never_more_than_that() {
        let array: ArrayRef =
            Arc::new(texts(300, 3, 15, 9).iter().take(700).map(Option::as_deref).collect::<StringArray>());
        let mut random = StdRng::seed_from_u64(1);
        let (mut refused, mut read) = (0, 0);
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary_bytes in [LARGE, 0] {
                let (values, pages) = raw_pages(&array, version, dictionary_bytes);
                for page in &pages {
                    for _ in 0..1_500 {
                        let mut bytes = page.buffer().to_vec();
                        for _ in 0..random.random_range(1..4) {
                            let place = random.random_range(0..bytes.len().min(200));
                            bytes[place] = random.random();
                        }
                        bytes.truncate(random.random_range(bytes.len() / 2..=bytes.len()));
                        match try_page(&with_bytes(page, bytes), &values) {
                            Ok(()) => read += 1,
                            Err(_) => refused += 1,
                        }
                    }
                }
            }
        }
        assert!(refused > 500 && read > 100, "{refused} refused, {read} read");
    }

    fn with_bytes(page: &RawPage, bytes: Vec<u8>) -> RawPage {
        let mut damaged = page.clone();
        match &mut damaged {
            RawPage::DataPage { buf, .. } | RawPage::DataPageV2 { buf, .. } | RawPage::DictionaryPage { buf, .. } => {
                *buf = bytes.into();
            }
        }
        damaged
    }

    /// Asks a page everything that it can be asked.
    fn try_page(page: &RawPage, values: &Option<ArrayRef>) -> Result<()> {
        let entries = values.as_ref().map_or(0, |values| values.len() as u32);
        let page = Arc::new(Page::new(page, true, &DataType::Utf8, entries)?);
        let piece = Piece { first: 1, rows: page.rows - 1, page: page.clone() };
        let rows: Vec<u32> = (0..piece.rows).step_by(3).collect();
        let Some(values) = values.as_ref().filter(|_| page.holds_keys()) else {
            let plain = Plain::new(DataType::Utf8, values.clone(), vec![piece]);
            plain.some(&rows)?;
            return plain.array().map(|array| assert_eq!(array.len(), page.rows as usize - 1));
        };
        let coded = Coded::new(values.clone(), vec![piece]);
        let (mut keys, mut in_runs) = (Vec::new(), 0);
        coded.is_mostly_runs();
        coded.one_key();
        coded.keys_of(&rows, &mut keys)?;
        coded.each_run(|rows, _| in_runs += rows)?;
        assert_eq!(in_runs, page.rows - 1);
        coded.array().map(|array| assert_eq!(array.len(), page.rows as usize - 1))
    }

    #[test]
    fn one_value_in_all_rows_is_seen_at_once() {
        let one = texts(1, 5_000, 0, 0);
        assert!(coded(&one, WriterVersion::PARQUET_1_0).iter().all(|coded| coded.one_key() == Some(0)));
        let two = [&one[1..], &[Some("other".to_owned())]].concat();
        let last = coded(&two, WriterVersion::PARQUET_1_0).pop().unwrap();
        assert_eq!(last.one_key(), None);
    }

    /// Twelve numbers of 3 bits: 5 five times, then 0 to 6 packed, of which one eight has a place that is not used.
    fn hybrid() -> (Vec<u8>, Vec<u32>) {
        // 0 | 1 << 3 | 2 << 6 | 3 << 9 | 4 << 12 | 5 << 15 | 6 << 18 = 0x1ac688.
        (vec![5 << 1, 5, 1 << 1 | 1, 0x88, 0xc6, 0x1a], vec![5, 5, 5, 5, 5, 0, 1, 2, 3, 4, 5, 6])
    }

    #[test]
    fn numbers_are_unpacked_as_the_format_says() {
        let (bytes, expected) = hybrid();
        let numbers = Hybrid::new(bytes.clone().into(), 3, 12).unwrap();
        let mut read = Vec::new();
        numbers.numbers(0..12, &mut read);
        assert_eq!(read, expected);
        read.clear();
        numbers.numbers(4..9, &mut read);
        assert_eq!(read, expected[4..9]);
        for length in 0..bytes.len() {
            let cut = Hybrid::new(bytes[..length].to_vec().into(), 3, 12);
            assert_eq!(cut.err(), Some(Damaged), "cut behind byte {length}");
        }
        assert_eq!(Hybrid::new(bytes.into(), 33, 12).err(), Some(Damaged));
    }

    #[test]
    fn a_key_that_the_dictionary_lacks_is_damage() {
        let (bytes, _) = hybrid();
        let page = |first: u8| RawPage::DataPage {
            buf: [&[3u8][..], &[5 << 1, first], &bytes[2..]].concat().into(),
            num_values: 12,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        assert_eq!(Page::new(&page(7), false, &DataType::Utf8, 7).err(), Some(Damaged), "a run of a key");
        let page = Arc::new(Page::new(&page(5), false, &DataType::Utf8, 6).unwrap());
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
        let coded = Coded::new(values, vec![Piece { page, first: 0, rows: 12 }]);
        let mut keys = Vec::new();
        assert_eq!(coded.keys(&mut keys), Err(Damaged), "a packed key");
        assert_eq!(coded.keys_of(&[11], &mut keys), Err(Damaged));
        assert_eq!(coded.keys_of(&[0, 10], &mut keys), Ok(()), "rows that are not asked for are not looked at");
        assert_eq!(coded.each_run(|_, _| ()), Err(Damaged));
        assert!(coded.array().unwrap_err().is::<Damaged>());
    }
}
