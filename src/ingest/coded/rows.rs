//! Neighbouring rows of a column chunk, worked out as far as somebody asks.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, PrimitiveArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::hybrid::{Cursor, What, unpack};
use super::page::{Body, Page, all_known};
use super::values::{Texts, numbers_at, of_kind, text_at};
use super::{Damaged, NO_KEY};

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
    pub(in super::super) fn new(kind: DataType, values: Option<ArrayRef>, pieces: Vec<Piece>) -> Plain {
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
        let texts = || -> Result<ArrayRef> {
            let values = self.values.as_ref().map(|values| values.as_string::<i32>());
            let mut texts = Texts::new(rows.len(), rows.len() * size_of::<u128>());
            self.each_cell(rows, |cell| {
                texts.push(match cell {
                    Cell::Missing => None,
                    Cell::Key(key) => values.map(|values| values.value(key as usize).as_bytes()),
                    Cell::Bytes(bytes) => Some(bytes),
                });
            })?;
            texts.finish()
        };
        Ok(of_kind!(&self.kind, numbers, texts()?))
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
pub(in super::super) struct Piece {
    pub page: Arc<Page>,
    pub first: u32,
    pub rows: u32,
}

impl Coded {
    pub(in super::super) fn new(values: ArrayRef, pieces: Vec<Piece>) -> Coded {
        Coded { values, pieces, array: OnceLock::new() }
    }

    /// The distinct values of the column chunk: the same array for all of its rows.
    pub fn values(&self) -> &ArrayRef {
        &self.values
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

    /// The values of the rows, each once.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn distinct(&self) -> Result<ArrayRef> {
        let mut keys = Vec::new();
        self.keys(&mut keys)?;
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| *key != NO_KEY);
        match self.values.as_string_opt::<i32>() {
            Some(texts) => {
                let texts = keys.iter().map(|key| texts.value(*key as usize));
                Ok(Arc::new(StringArray::from_iter_values(texts)))
            }
            None => self.with_keys(&keys),
        }
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
            ($kind:ty, $native:ty) => {
                numbers_at::<$kind>(&self.values, keys, nulls)
            };
        }
        Ok(of_kind!(self.values.data_type(), numbers, {
            let keys = keys.iter().map(|key| if *key == NO_KEY { 0 } else { *key as i32 }).collect::<Vec<i32>>();
            let keys = Int32Array::new(keys.into(), nulls);
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, self.values.clone())?)
        }))
    }

    fn entries(&self) -> u32 {
        self.values.len() as u32
    }

    fn check(&self, keys: &[u32]) -> Result<(), Damaged> {
        all_known(keys, self.entries())
    }
}
