//! The pages of a column chunk: which rows have a value, and what those hold.

use arrow_schema::DataType;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page as RawPage;

use super::hybrid::{Cursor, Hybrid, Run};
use super::values::{LENGTH, starts_of, width_of};
use super::{Damaged, NO_KEY};

/// A data page: which rows have a value, and what those hold.
#[derive(Debug)]
pub(in super::super) struct Page {
    pub rows: u32,
    /// `None` where all do.
    pub(super) present: Option<Present>,
    pub(super) body: Body,
}

/// What the rows hold that have a value.
#[derive(Debug)]
pub(super) enum Body {
    Keys(Hybrid),
    Texts { bytes: Bytes, starts: Vec<u32> },
    Fixed { bytes: Bytes, width: usize },
}

impl Body {
    /// The keys; none of a page that holds values.
    pub fn keys(&self) -> &Hybrid {
        static NONE: Hybrid = Hybrid { bytes: Bytes::new(), width: 0, runs: Vec::new() };
        if let Body::Keys(keys) = self { keys } else { &NONE }
    }

    /// Values in Parquet's plain form.
    fn plain(bytes: Bytes, kind: &DataType, known: u32) -> Result<Body, Damaged> {
        let Some(width) = width_of(kind) else {
            return Ok(Body::Texts { starts: starts_of(&bytes, known as usize)?, bytes });
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
    pub(super) fn place_of(&self, row: u32) -> Option<u32> {
        match &self.present {
            None => Some(row),
            Some(present) => present.is_known(row).then(|| present.known_before(row)),
        }
    }

    pub(super) fn keys(&self, first: u32, rows: u32, entries: u32, out: &mut Vec<u32>) -> Result<(), Damaged> {
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
    pub(super) fn keys_of(&self, rows: impl Iterator<Item = u32>, out: &mut Vec<u32>) {
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
pub(super) struct Present {
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

/// Whether a dictionary of so many entries has all of these keys; [`NO_KEY`] is none.
pub(super) fn all_known(keys: &[u32], entries: u32) -> Result<(), Damaged> {
    let unknown = keys.iter().fold(0, |unknown, key| unknown | u32::from(*key >= entries && *key != NO_KEY));
    if unknown == 0 { Ok(()) } else { Err(Damaged) }
}
