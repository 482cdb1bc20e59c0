//! Values in Parquet's plain form: those of a dictionary, and those of pages without one.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use parquet::basic::Encoding;
use parquet::column::page::Page as RawPage;

use super::{Damaged, NO_KEY};

/// The types of numbers that have a place here, each with its Arrow type and how the file holds one.
macro_rules! of_kind {
    ($kind:expr, $numbers:ident, $otherwise:expr) => {
        match $kind {
            DataType::Date32 => $numbers!(Date32Type, i32),
            DataType::Int32 => $numbers!(Int32Type, i32),
            DataType::Int64 => $numbers!(Int64Type, i64),
            DataType::Float32 => $numbers!(Float32Type, f32),
            DataType::Float64 => $numbers!(Float64Type, f64),
            DataType::Timestamp(TimeUnit::Millisecond, _) => $numbers!(TimestampMillisecondType, i64),
            DataType::Timestamp(TimeUnit::Microsecond, _) => $numbers!(TimestampMicrosecondType, i64),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => $numbers!(TimestampNanosecondType, i64),
            _ => $otherwise,
        }
    };
}
pub(super) use of_kind;

/// Bytes that a number of the type has in a file; `None` of text.
pub(super) fn width_of(kind: &DataType) -> Option<usize> {
    macro_rules! width {
        ($kind:ty, $native:ty) => {
            Some(size_of::<$native>())
        };
    }
    of_kind!(kind, width, None)
}

/// Whether columns of the type have a place here.
pub(in super::super) fn has_place(kind: &DataType) -> bool {
    *kind == DataType::Utf8 || width_of(kind).is_some()
}

/// The distinct values of a column chunk.
///
/// # Errors
/// Values that are cut short, or text that is not utf-8.
pub(in super::super) fn values_of(page: &RawPage, kind: &DataType) -> Result<ArrayRef> {
    let RawPage::DictionaryPage { buf, num_values, encoding, .. } = page else { return Err(Damaged.into()) };
    ensure!(matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY), Damaged);
    let entries = *num_values as usize;
    macro_rules! numbers {
        ($kind:ty, $native:ty) => {{
            let (numbers, _) = buf.as_chunks::<{ size_of::<$native>() }>();
            ensure!(numbers.len() >= entries, Damaged);
            let numbers = numbers[..entries].iter().map(|bytes| <$native>::from_le_bytes(*bytes));
            Arc::new(PrimitiveArray::<$kind>::from_iter_values(numbers))
        }};
    }
    Ok(of_kind!(kind, numbers, texts_of(buf, entries)?))
}

/// The numbers that these keys stand for.
pub(super) fn numbers_at<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    keys: &[u32],
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let values = values.as_primitive::<T>().values();
    let numbers: Vec<T::Native> =
        keys.iter().map(|key| if *key == NO_KEY { T::Native::default() } else { values[*key as usize] }).collect();
    Arc::new(PrimitiveArray::<T>::new(numbers.into(), nulls))
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
pub(super) fn starts_of(bytes: &[u8], entries: usize) -> Result<Vec<u32>, Damaged> {
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
pub(super) fn text_at(bytes: &[u8], start: u32) -> &[u8] {
    let start = start as usize;
    let length = bytes[start - LENGTH..].first_chunk().expect("a length stands before it");
    &bytes[start..start + u32::from_le_bytes(*length) as usize]
}

/// Texts on their way into an array.
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    known: Vec<bool>,
}

impl Texts {
    pub fn new(rows: usize, bytes: usize) -> Texts {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Texts { bytes: Vec::with_capacity(bytes), ends, known: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(self.bytes.len() as i32);
        self.known.push(text.is_some());
    }

    pub fn finish(self) -> Result<ArrayRef> {
        ensure!(self.bytes.len() <= i32::MAX as usize, Damaged);
        let nulls = self.known.contains(&false).then(|| NullBuffer::from(self.known));
        let texts =
            StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(self.ends)), Buffer::from_vec(self.bytes), nulls);
        Ok(Arc::new(texts.map_err(|_| anyhow!("holds bytes that are not utf-8 text"))?))
    }
}

/// Bytes of a length that stands before what it is of.
pub(super) const LENGTH: usize = 4;
