//! One Arrow column as days, amounts, codes or people, whatever its physical type.
//!
//! The same date or code comes as text, as a dictionary, as a number or as a date, as each body happens to export it.
//! Text that repeats is worked out once: per dictionary where the column has one, else per run of equal values.

use std::sync::Arc;

use anyhow::{Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use super::coded::Column;
use super::layout::{AmountUnit, DayColumn};
use crate::day::Day;
use crate::event::Event;

/// What stands for a missing day; no date is this old.
pub const NO_DAY: i32 = i32::MIN;
/// What stands for text that is no date.
pub const BAD_DAY: i32 = i32::MIN + 1;
/// Of a dictionary's value: what stands for a date that stands for none.
const FILLER: i32 = i32::MIN + 2;

/// Calls `each` with the bytes of every row, `None` for null, whatever way the column holds text.
///
/// # Errors
/// A type that holds no text. Floats are refused: a code that went through one may have lost digits.
pub fn for_each_text(array: &ArrayRef, name: &str, mut each: impl FnMut(Option<&[u8]>)) -> Result<()> {
    macro_rules! text {
        ($strings:expr) => {{
            let strings = $strings;
            if strings.null_count() == 0 {
                for row in 0..strings.len() {
                    each(Some(strings.value(row).as_ref()));
                }
            } else {
                for row in 0..strings.len() {
                    each(strings.is_valid(row).then(|| strings.value(row).as_ref()));
                }
            }
        }};
    }
    macro_rules! integers {
        ($kind:ty) => {{
            let mut digits = String::new();
            for number in array.as_primitive::<$kind>() {
                digits.clear();
                if let Some(number) = number {
                    use std::fmt::Write;
                    write!(digits, "{number}").expect("writing to a string");
                }
                each(number.map(|_| digits.as_bytes()));
            }
        }};
    }
    match array.data_type() {
        DataType::Utf8 => text!(array.as_string::<i32>()),
        DataType::LargeUtf8 => text!(array.as_string::<i64>()),
        DataType::Utf8View => text!(array.as_string_view()),
        DataType::Binary => text!(array.as_binary::<i32>()),
        DataType::LargeBinary => text!(array.as_binary::<i64>()),
        DataType::BinaryView => text!(array.as_binary_view()),
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Boolean => {
            for flag in array.as_boolean() {
                each(flag.map(|flag| if flag { &b"true"[..] } else { b"false" }));
            }
        }
        DataType::Null => (0..array.len()).for_each(|_| each(None)),
        DataType::Float32 | DataType::Float64 => {
            bail!("column \"{name}\" holds floats; codes and pseudonyms are text, for a float loses their last digits")
        }
        other => bail!("column \"{name}\" has type {other}, which holds no codes"),
    }
    Ok(())
}

/// The column without its dictionary, and dates as numbers of days, so that its text can be compared.
pub fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut distinct: Vec<Option<Vec<u8>>> = Vec::new();
            for_each_text(dictionary.values(), "", |text| distinct.push(text.map(<[u8]>::to_vec)))?;
            let keys = dictionary.normalized_keys();
            let nulls = dictionary.keys().nulls();
            let of_row = |(row, key): (usize, usize)| match nulls {
                Some(nulls) if nulls.is_null(row) => None,
                _ => distinct[key].as_deref(),
            };
            let texts: arrow_array::BinaryArray = keys.into_iter().enumerate().map(of_row).collect();
            Ok(Arc::new(texts))
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            Ok(Arc::new(days.iter().collect::<arrow_array::Int32Array>()))
        }
        _ => Ok(array.clone()),
    }
}

/// As [`for_each_text`], for these rows only, which are in order.
///
/// # Errors
/// A type that holds no text.
pub fn for_some_texts(array: &ArrayRef, name: &str, rows: &[u32], mut each: impl FnMut(Option<&[u8]>)) -> Result<()> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        rows.iter().for_each(|row| {
            let row = *row as usize;
            each(texts.is_valid(row).then(|| texts.value(row).as_bytes()));
        });
        return Ok(());
    }
    let (mut row, mut wanted) = (0, rows.iter().copied().peekable());
    for_each_text(array, name, |text| {
        if wanted.next_if_eq(&row).is_some() {
            each(text);
        }
        row += 1;
    })
}

/// The values of a column as text, without the missing ones: numbers in digits, times as their day. A column of another
/// kind has none.
pub fn texts_of(array: &ArrayRef, name: &str) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    if array.data_type().is_temporal() {
        let mut days = Vec::new();
        if DayReader::default().read(array, name, &mut days).is_ok() {
            texts.extend(days.into_iter().filter(|day| *day > BAD_DAY).map(|day| Day(day).to_string().into_bytes()));
        }
        return texts;
    }
    // A number that went through a float has kept its digits where they are few enough.
    let whole =
        |number: f64| (number.fract() == 0.0 && number.abs() < 1e15).then(|| format!("{number:.0}").into_bytes());
    match array.data_type() {
        DataType::Float64 => texts.extend(array.as_primitive::<Float64Type>().iter().flatten().filter_map(whole)),
        DataType::Float32 => {
            texts.extend(array.as_primitive::<Float32Type>().iter().flatten().map(f64::from).filter_map(whole))
        }
        DataType::Decimal128(_, 0) => {
            texts.extend(array.as_primitive::<Decimal128Type>().iter().flatten().map(|n| n.to_string().into_bytes()))
        }
        _ => {
            let each = |text: Option<&[u8]>| texts.extend(text.map(<[u8]>::to_vec));
            // A type without text leaves nothing to look at.
            let _ = plain(array).and_then(|plain| for_each_text(&plain, name, each));
        }
    }
    texts
}

/// A dictionary whose values were worked out before; held so that its address stays its own.
pub struct KnownDictionary<T> {
    values: Option<ArrayRef>,
    worked_out: Vec<T>,
}

impl<T> Default for KnownDictionary<T> {
    fn default() -> KnownDictionary<T> {
        KnownDictionary { values: None, worked_out: Vec::new() }
    }
}

impl<T: Copy> KnownDictionary<T> {
    /// Something for every row of a dictionary column: worked out once per distinct value, or `null`.
    ///
    /// # Errors
    /// Whatever `work_out` finds; a dictionary without text.
    pub fn each_row(
        &mut self,
        array: &ArrayRef,
        null: T,
        out: &mut Vec<T>,
        work_out: impl FnMut(&ArrayRef, &mut Vec<T>) -> Result<()>,
    ) -> Result<()> {
        let worked_out = self.learn(array.as_any_dictionary().values(), work_out)?;
        let start = out.len();
        let of_key = |key: usize| worked_out.get(key).copied().unwrap_or(null);
        match array.as_any_dictionary().keys().as_primitive_opt::<Int32Type>() {
            Some(keys) => out.extend(keys.values().iter().map(|key| of_key(*key as usize))),
            None => each_key(array, |_, key| out.push(of_key(key))),
        }
        for_each_null(array, |row| out[start + row] = null);
        Ok(())
    }

    /// What was worked out of each of a dictionary's values.
    ///
    /// # Errors
    /// Whatever `work_out` finds; a dictionary without text.
    pub fn learn(
        &mut self,
        values: &ArrayRef,
        mut work_out: impl FnMut(&ArrayRef, &mut Vec<T>) -> Result<()>,
    ) -> Result<&[T]> {
        let is_known =
            self.values.as_ref().is_some_and(|known| Arc::ptr_eq(known, values) || same_buffers(known, values));
        if !is_known {
            self.worked_out.clear();
            work_out(values, &mut self.worked_out)?;
            self.values = Some(values.clone());
        }
        Ok(&self.worked_out)
    }
}

/// Hands on the key of every row of a dictionary column; what it is of a row without a value says nothing.
#[inline]
pub fn each_key(array: &ArrayRef, mut each: impl FnMut(usize, usize)) {
    let dictionary = array.as_any_dictionary();
    match dictionary.keys().as_primitive_opt::<Int32Type>() {
        Some(keys) => keys.values().iter().enumerate().for_each(|(row, key)| each(row, *key as usize)),
        None => dictionary.normalized_keys().into_iter().enumerate().for_each(|(row, key)| each(row, key)),
    }
}

/// Hands on the rows without a value, in order.
pub fn for_each_null(array: &ArrayRef, each: impl FnMut(usize)) {
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        (!nulls.inner()).set_indices().for_each(each);
    }
}

/// Whether every row of a dictionary column has the same value.
pub fn is_one_value(array: &ArrayRef) -> bool {
    const ROWS_AT_ONCE: usize = 512;
    let Some(keys) = array.as_any_dictionary().keys().as_primitive_opt::<Int32Type>() else { return false };
    let Some(&first) = keys.values().first() else { return false };
    let same = |keys: &[i32]| keys.iter().fold(0, |differing, key| differing | (key ^ first)) == 0;
    array.null_count() == 0 && keys.values().chunks(ROWS_AT_ONCE).all(same)
}

fn same_buffers(one: &ArrayRef, two: &ArrayRef) -> bool {
    let (one, two) = (one.to_data(), two.to_data());
    one.len() == two.len()
        && one.offset() == two.offset()
        && !one.buffers().is_empty()
        && one
            .buffers()
            .iter()
            .zip(two.buffers())
            .all(|(one, two)| one.as_ptr() == two.as_ptr() && one.len() == two.len())
}

/// The days of rows, equal neighbours together where the file has them so.
#[derive(Debug, Default)]
pub struct Days {
    days: Vec<i32>,
    /// The row behind the last of each; empty where each day is one row's.
    ends: Vec<u32>,
}

/// One day a row.
impl From<Vec<i32>> for Days {
    fn from(days: Vec<i32>) -> Days {
        Days { days, ends: Vec::new() }
    }
}

/// So many rows of each day.
impl FromIterator<(u32, i32)> for Days {
    fn from_iter<I: IntoIterator<Item = (u32, i32)>>(runs: I) -> Days {
        let mut days = Days::default();
        runs.into_iter().for_each(|(rows, day)| days.push(rows, day));
        days
    }
}

impl Days {
    fn clear(&mut self) {
        self.days.clear();
        self.ends.clear();
    }

    fn push(&mut self, rows: u32, day: i32) {
        let end = self.ends.last().copied().unwrap_or_default() + rows;
        match self.ends.last_mut() {
            Some(last) if self.days.last() == Some(&day) => *last = end,
            _ => {
                self.ends.push(end);
                self.days.push(day);
            }
        }
    }

    fn is_each_rows(&self) -> bool {
        self.ends.is_empty()
    }

    /// The days of some rows, which are in order.
    pub fn of_rows(&self, rows: &[u32], out: &mut Vec<i32>) {
        out.clear();
        if self.is_each_rows() {
            out.extend(rows.iter().map(|row| self.days[*row as usize]));
            return;
        }
        let mut run = 0;
        out.extend(rows.iter().map(|row| {
            while self.ends[run] <= *row {
                run += 1;
            }
            self.days[run]
        }));
    }

    /// The day of every row.
    pub fn each_row(&self, out: &mut Vec<i32>) {
        out.clear();
        if self.is_each_rows() {
            out.extend_from_slice(&self.days);
        }
        for (end, day) in self.ends.iter().zip(&self.days) {
            out.resize(*end as usize, *day);
        }
    }

    /// Hands on rows of one day that were recorded on one day together: how many, the day, and when they were known,
    /// which is the later of the two. All were known on their day where nothing says when they were recorded.
    pub fn each_known(&self, recorded: Option<&Days>, mut each: impl FnMut(u32, i32, i32)) {
        let Some(recorded) = recorded else {
            let mut start = 0;
            for (place, day) in self.days.iter().enumerate() {
                let end = self.end(place);
                each(end - start, *day, *day);
                start = end;
            }
            return;
        };
        if self.is_each_rows() && recorded.is_each_rows() {
            self.days.iter().zip(&recorded.days).for_each(|(day, recorded)| each(1, *day, *day.max(recorded)));
            return;
        }
        let (mut start, mut of_day, mut of_recorded) = (0, 0, 0);
        while of_day < self.days.len() && of_recorded < recorded.days.len() {
            let (day, other) = (self.days[of_day], recorded.days[of_recorded]);
            let (end_of_day, end_of_recorded) = (self.end(of_day), recorded.end(of_recorded));
            let end = end_of_day.min(end_of_recorded);
            each(end - start, day, day.max(other));
            of_day += usize::from(end == end_of_day);
            of_recorded += usize::from(end == end_of_recorded);
            start = end;
        }
    }

    /// The row behind the last of a day.
    fn end(&self, place: usize) -> u32 {
        self.ends.get(place).copied().unwrap_or(place as u32 + 1)
    }
}

/// Reads one column of days.
#[derive(Default)]
pub struct DayReader {
    /// Cells so far that hold a date which stands for none.
    pub markers: u64,
    nulls: Vec<i32>,
    last_text: Vec<u8>,
    last_day: i32,
    dictionary: KnownDictionary<i32>,
    /// Of columns that are not worked out in full, with [`FILLER`] for what stands for none.
    coded: KnownDictionary<i32>,
    keys: Vec<u32>,
}

impl DayReader {
    pub fn new(column: &DayColumn) -> DayReader {
        let nulls = column.null.iter().filter_map(|text| Day::parse(text.as_bytes())).map(|day| day.0);
        DayReader { nulls: nulls.collect(), last_day: NO_DAY, ..DayReader::default() }
    }

    /// The day of each row; [`NO_DAY`] where it is missing or a filler, [`BAD_DAY`] where it is no date.
    pub fn read(&mut self, array: &ArrayRef, name: &str, out: &mut Vec<i32>) -> Result<()> {
        out.clear();
        self.read_as_written(array, name, out)?;
        self.blank_fillers(out);
        Ok(())
    }

    /// As [`DayReader::read`], with equal neighbours together where the file has them so.
    pub fn read_runs(&mut self, column: &Column, name: &str, out: &mut Days) -> Result<()> {
        out.clear();
        let coded = match column {
            Column::Array(_) | Column::Plain(_) => return self.read(column.array()?, name, &mut out.days),
            Column::Coded(coded) => coded,
        };
        let mut dictionary = std::mem::take(&mut self.coded);
        let days = dictionary.learn(coded.values(), |values, worked_out| {
            self.read_as_written(values, name, worked_out)?;
            let is_filler = |day: &&mut i32| self.nulls.contains(day);
            worked_out.iter_mut().filter(is_filler).for_each(|day| *day = FILLER);
            Ok(())
        })?;
        let day = |key: u32| days.get(key as usize).copied().unwrap_or(NO_DAY);
        if coded.is_mostly_runs() {
            coded.each_run(|rows, key| {
                let day = day(key);
                self.markers += if day == FILLER { u64::from(rows) } else { 0 };
                out.push(rows, if day == FILLER { NO_DAY } else { day });
            })?;
        } else {
            coded.keys(&mut self.keys)?;
            out.days.extend(self.keys.iter().map(|key| day(*key)));
            if days.contains(&FILLER) {
                for day in out.days.iter_mut().filter(|day| **day == FILLER) {
                    *day = NO_DAY;
                    self.markers += 1;
                }
            }
        }
        self.coded = dictionary;
        Ok(())
    }

    fn read_as_written(&mut self, array: &ArrayRef, name: &str, out: &mut Vec<i32>) -> Result<()> {
        const DAY_MS: i64 = 86_400_000;
        macro_rules! scaled {
            ($kind:ty, $per_day:expr) => {
                out.extend(
                    array
                        .as_primitive::<$kind>()
                        .iter()
                        .map(|time| time.map_or(NO_DAY, |time| i64::from(time).div_euclid($per_day) as i32)),
                )
            };
        }
        match array.data_type() {
            DataType::Date32 => {
                out.extend_from_slice(array.as_primitive::<Date32Type>().values());
                for_each_null(array, |row| out[row] = NO_DAY);
            }
            DataType::Date64 => scaled!(Date64Type, DAY_MS),
            DataType::Timestamp(TimeUnit::Second, _) => scaled!(TimestampSecondType, DAY_MS / 1_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => scaled!(TimestampMillisecondType, DAY_MS),
            DataType::Timestamp(TimeUnit::Microsecond, _) => scaled!(TimestampMicrosecondType, DAY_MS * 1_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => scaled!(TimestampNanosecondType, DAY_MS * 1_000_000),
            DataType::Dictionary(..) => {
                let mut dictionary = std::mem::take(&mut self.dictionary);
                let read = dictionary.each_row(array, NO_DAY, out, |values, worked_out| {
                    for_each_text(values, name, |text| worked_out.push(self.day(text)))
                });
                self.dictionary = dictionary;
                read?;
            }
            _ => for_each_text(array, name, |text| {
                let day = self.day(text);
                out.push(day);
            })?,
        }
        Ok(())
    }

    /// Makes fillers missing. They are few and far from other days, which a look at the extremes settles for most.
    fn blank_fillers(&mut self, days: &mut [i32]) {
        const DAYS_AT_ONCE: usize = 1_024;
        for days in days.chunks_mut(DAYS_AT_ONCE) {
            let (first, last) = days.iter().fold((i32::MAX, i32::MIN), |(first, last), &day| {
                let day = if day == NO_DAY { 0 } else { day };
                (first.min(day), last.max(day))
            });
            if self.nulls.iter().any(|filler| (first..=last).contains(filler)) {
                for day in days.iter_mut().filter(|day| self.nulls.contains(day)) {
                    *day = NO_DAY;
                    self.markers += 1;
                }
            }
        }
    }

    fn day(&mut self, text: Option<&[u8]>) -> i32 {
        let Some(text) = text else { return NO_DAY };
        if text == self.last_text {
            return self.last_day;
        }
        self.last_text.clear();
        self.last_text.extend_from_slice(text);
        self.last_day = parse_day(text);
        self.last_day
    }
}

/// A day from text: `2016-04-01`, `20160401`, `01/04/2016`, each perhaps with a time behind it.
pub fn parse_day(text: &[u8]) -> i32 {
    let text = text.trim_ascii();
    if text.is_empty() || text.eq_ignore_ascii_case(b"null") {
        return NO_DAY;
    }
    let date = text.split(|byte| matches!(byte, b' ' | b'T')).next().unwrap_or(text);
    let day = Day::parse(date).or_else(|| match date {
        [d1, d2, b'/', m1, m2, b'/', y1, y2, y3, y4] => Day::parse(&[*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2]),
        _ => None,
    });
    day.map_or(BAD_DAY, |day| day.0)
}

/// Amounts, in pence or thousandths; [`Event::NO_AMOUNT`] where missing or not a number. Returns how many rows have one
/// that is not a number.
pub fn read_amounts(array: &ArrayRef, unit: AmountUnit, name: &str, out: &mut Vec<i32>) -> Result<u64> {
    out.clear();
    let mut bad = 0;
    if array.as_any_dictionary_opt().is_some() {
        let mut amounts = Vec::with_capacity(array.len());
        let of_values = |values: &ArrayRef, out: &mut Vec<Amount>| amounts_of(values, unit, name, out);
        KnownDictionary::default().each_row(array, Amount::MISSING, &mut amounts, of_values)?;
        take_amounts(&amounts, &mut bad, out);
    } else {
        let mut amounts = Vec::with_capacity(array.len());
        amounts_of(array, unit, name, &mut amounts)?;
        take_amounts(&amounts, &mut bad, out);
    }
    Ok(bad)
}

/// What a cell says of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount {
    /// [`Event::NO_AMOUNT`] where it is missing or not a number.
    amount: i32,
    /// It is there, and not a number.
    is_bad: bool,
}

impl Amount {
    const MISSING: Amount = Amount { amount: Event::NO_AMOUNT, is_bad: false };

    /// What was read of a cell that holds something.
    fn of(read: Option<i32>) -> Amount {
        Amount { amount: read.unwrap_or(Event::NO_AMOUNT), is_bad: read.is_none() }
    }
}

fn take_amounts(amounts: &[Amount], bad: &mut u64, out: &mut Vec<i32>) {
    *bad += amounts.iter().filter(|amount| amount.is_bad).count() as u64;
    out.extend(amounts.iter().map(|amount| amount.amount));
}

/// The amount of each row of a column without a dictionary.
fn amounts_of(array: &ArrayRef, unit: AmountUnit, name: &str, out: &mut Vec<Amount>) -> Result<()> {
    let places = places_of(unit);
    let float =
        |number: Option<f64>| number.map_or(Amount::MISSING, |number| Amount::of(scaled(number, factor_of(unit))));
    match array.data_type() {
        DataType::Float64 => out.extend(array.as_primitive::<Float64Type>().iter().map(float)),
        DataType::Float32 => {
            out.extend(array.as_primitive::<Float32Type>().iter().map(|number| float(number.map(f64::from))))
        }
        DataType::Decimal128(_, scale) => {
            let scale = i32::from(*scale) - places as i32;
            let scaled = |number: i128| match scale {
                0.. => crate::number::divide_rounded(number, 10i128.pow(scale as u32)),
                _ => number.saturating_mul(10i128.pow(scale.unsigned_abs())),
            };
            let amount = |number| Amount::of(i32::try_from(scaled(number)).ok());
            out.extend(array.as_primitive::<Decimal128Type>().iter().map(|of| of.map_or(Amount::MISSING, amount)));
        }
        _ => for_each_text(array, name, |text| out.push(decimal(text, places)))?,
    }
    Ok(())
}

/// Reads the amounts of some rows.
#[derive(Default)]
pub struct AmountReader {
    dictionary: KnownDictionary<Amount>,
    keys: Vec<u32>,
    amounts: Vec<Amount>,
}

impl AmountReader {
    /// As [`read_amounts`], of these rows alone, which are in order.
    pub fn read_some(
        &mut self,
        column: &Column,
        unit: AmountUnit,
        name: &str,
        rows: &[u32],
        out: &mut Vec<i32>,
    ) -> Result<u64> {
        out.clear();
        self.amounts.clear();
        let AmountReader { dictionary, keys, amounts } = self;
        if let Some(keyed) = column.keyed() {
            keyed.keys_of(rows, keys)?;
            let of_values = |values: &ArrayRef, out: &mut Vec<Amount>| amounts_of(values, unit, name, out);
            let known = dictionary.learn(keyed.values(), of_values)?;
            amounts.extend(keys.iter().map(|key| known.get(*key as usize).copied().unwrap_or(Amount::MISSING)));
        } else if let Column::Plain(plain) = column {
            amounts_of(&plain.some(rows)?, unit, name, amounts)?;
        } else {
            match column.array()?.as_string_opt::<i32>() {
                Some(texts) => {
                    let text = |row: &u32| texts.is_valid(*row as usize).then(|| texts.value(*row as usize).as_bytes());
                    amounts.extend(rows.iter().map(|row| decimal(text(row), places_of(unit))));
                }
                None => {
                    let mut all = Vec::new();
                    amounts_of(column.array()?, unit, name, &mut all)?;
                    amounts.extend(rows.iter().map(|row| all[*row as usize]));
                }
            }
        }
        let mut bad = 0;
        take_amounts(amounts, &mut bad, out);
        Ok(bad)
    }
}

/// How many decimal places an amount keeps.
fn places_of(unit: AmountUnit) -> u32 {
    match unit {
        AmountUnit::Pounds => 2,
        AmountUnit::Pence => 0,
        AmountUnit::Measured => 3,
    }
}

fn factor_of(unit: AmountUnit) -> f64 {
    f64::from(10i32.pow(places_of(unit)))
}

/// A number in its unit, halves away from zero; `None` where it is none or too large.
fn scaled(number: f64, factor: f64) -> Option<i32> {
    let scaled = (number * factor).round();
    (scaled.abs() < f64::from(i32::MAX)).then_some(scaled as i32)
}

/// A written decimal in units of ten to the minus `places`, halves away from zero.
fn decimal(text: Option<&[u8]>, places: u32) -> Amount {
    let text = text.unwrap_or_default().trim_ascii();
    if text.is_empty() || text.eq_ignore_ascii_case(b"null") {
        return Amount::MISSING;
    }
    Amount::of(std::str::from_utf8(text).ok().and_then(|text| {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('£').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if !(whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
            && !digits.is_empty()
            && digits != ".")
        {
            return None;
        }
        let mut number: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        for place in 0..=places as usize {
            number =
                number.checked_mul(10)? + i128::from(fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0'));
        }
        i32::try_from(sign * crate::number::divide_rounded(number, 10)).ok()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::coded::NO_KEY;
    use super::super::coded::tests::column_of;
    use super::*;
    use arrow_array::{DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray};

    fn days(array: ArrayRef) -> Vec<i32> {
        let column = DayColumn { column: "d".to_owned(), null: vec!["1800-01-01".to_owned()] };
        let mut out = Vec::new();
        DayReader::new(&column).read(&array, "d", &mut out).unwrap();
        out
    }

    #[test]
    fn a_date_is_one_day_however_it_is_written() {
        let expected = Day::parse(b"2016-04-01").unwrap().0;
        let text = StringArray::from(vec![
            Some("2016-04-01"),
            Some("20160401"),
            Some("01/04/2016"),
            Some("2016-04-01 00:00:00"),
            Some("2016-04-01T09:30"),
            None,
            Some(""),
            Some("1800-01-01"),
            Some("18000101"),
            Some("NULL"),
            Some("2016-02-30"),
            Some("soon"),
        ]);
        let mut wanted = vec![expected; 5];
        wanted.extend([NO_DAY; 5]);
        wanted.extend([BAD_DAY; 2]);
        assert_eq!(days(Arc::new(text.clone())), wanted);
        let dictionary: DictionaryArray<Int32Type> = text.iter().collect();
        assert_eq!(days(Arc::new(dictionary)), wanted);
        assert_eq!(days(Arc::new(Int32Array::from(vec![20160401, 18000101]))), [expected, NO_DAY]);
        assert_eq!(days(Arc::new(arrow_array::Date32Array::from(vec![Some(expected), None]))), [expected, NO_DAY]);
        let millis = arrow_array::TimestampMillisecondArray::from(vec![i64::from(expected) * 86_400_000 + 5, -1]);
        assert_eq!(days(Arc::new(millis)), [expected, -1]);
    }

    #[test]
    fn rows_of_a_dictionary_are_looked_up_whatever_their_keys_and_gaps() {
        let texts = [Some("a"), None, Some("b"), Some("a"), None];
        let wide: ArrayRef = Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>());
        let narrow: ArrayRef = Arc::new(texts.into_iter().collect::<DictionaryArray<UInt8Type>>());
        let empty: ArrayRef = Arc::new([None::<&str>; 2].into_iter().collect::<DictionaryArray<Int32Type>>());
        let length = |values: &ArrayRef, out: &mut Vec<u8>| {
            for_each_text(values, "c", |text| out.push(text.expect("no gaps among the values")[0]))
        };
        for array in [&wide, &narrow] {
            let (mut all, mut keys, mut some) = (Vec::new(), Vec::new(), Vec::new());
            KnownDictionary::default().each_row(array, b'-', &mut all, length).unwrap();
            assert_eq!(all, b"a-ba-");
            let column = Column::from(array.clone());
            column.keyed().unwrap().keys(&mut keys).unwrap();
            column.keyed().unwrap().keys_of(&[1, 2, 3], &mut some).unwrap();
            assert_eq!((&keys[..], &some[..]), (&[0, NO_KEY, 1, 0, NO_KEY][..], &[NO_KEY, 1, 0][..]));
        }
        let mut gaps = Vec::new();
        KnownDictionary::default().each_row(&empty, b'-', &mut gaps, length).unwrap();
        assert_eq!(gaps, b"--");
        assert!(!is_one_value(&wide) && !is_one_value(&empty) && is_one_value(&wide.slice(3, 1)));
        let one: ArrayRef = Arc::new(["x"; 1_300].into_iter().collect::<DictionaryArray<Int32Type>>());
        assert!(is_one_value(&one));
        let mut texts = Vec::new();
        for array in
            [Arc::new(StringArray::from(vec!["p", "q", "r"])) as ArrayRef, Arc::new(Int64Array::from(vec![7, 8, 9]))]
        {
            for_some_texts(&array, "c", &[0, 2], |text| texts.push(text.unwrap()[0])).unwrap();
        }
        assert_eq!(texts, b"pr79");
    }

    #[test]
    fn a_columns_pages_are_read_as_its_array_is() {
        const FILLER: i32 = -62_091;
        assert_eq!(Day::parse(b"1800-01-01").unwrap().0, FILLER);
        let start = Day::parse(b"2016-04-01").unwrap().0;
        let with_gaps = |row: i32| (row % 11 != 3).then_some(if row % 400 < 30 { FILLER } else { start + row / 9 });
        let in_long_runs = |row: i32| Some(if row / 150 % 4 == 1 { FILLER } else { start + row / 150 });
        for (is_in_runs, days) in [(false, (0..3_000).map(with_gaps).collect::<arrow_array::Date32Array>())]
            .into_iter()
            .chain([(true, (0..3_000).map(in_long_runs).collect())])
        {
            let texts: StringArray = days.iter().map(|day| day.map(|day| Day(day).to_string())).collect();
            for array in [Arc::new(days.clone()) as ArrayRef, Arc::new(texts)] {
                read_as_runs_and_row_by_row(&array, is_in_runs);
            }
        }
    }

    fn read_as_runs_and_row_by_row(array: &ArrayRef, is_in_runs: bool) {
        let filler = DayColumn { column: "d".to_owned(), null: vec!["1800-01-01".to_owned()] };
        let (mut plain, mut coded) = (DayReader::new(&filler), DayReader::new(&filler));
        let (mut expected, mut read, mut rows) = (Vec::new(), Days::default(), Vec::new());
        plain.read(array, "d", &mut expected).unwrap();
        coded.read_runs(&column_of(array, true), "d", &mut read).unwrap();
        assert_eq!(read.is_each_rows(), !is_in_runs);
        read.each_row(&mut rows);
        assert_eq!(rows, expected);
        assert!(coded.markers > 100 && coded.markers == plain.markers);
        for step in [1, 7, 150, 149, 1_000] {
            let some: Vec<u32> = (0..3_000).step_by(step).collect();
            read.of_rows(&some, &mut rows);
            assert_eq!(rows, some.iter().map(|row| expected[*row as usize]).collect::<Vec<i32>>());
        }
        let mut known = Vec::new();
        read.each_known(None, |rows, day, known_on| known.extend(std::iter::repeat_n((day, known_on), rows as usize)));
        assert_eq!(known, expected.iter().map(|day| (*day, *day)).collect::<Vec<_>>());
    }

    #[test]
    fn an_amount_that_is_no_number_counts_once_a_row_that_is_asked_about_however_it_is_stored() {
        let missing = |row: i32| row % 7 == 0;
        let numbers: Float64Array =
            (0..3_000).map(|row| (!missing(row)).then_some(if row % 5 == 0 { f64::NAN } else { 1.5 })).collect();
        let texts: StringArray =
            (0..3_000).map(|row| (!missing(row)).then_some(if row % 5 == 0 { "1.5 units" } else { "1.5" })).collect();
        let dictionary: DictionaryArray<Int32Type> = texts.iter().collect();
        let rows: Vec<u32> = (0..3_000).step_by(2).collect();
        let (numbers, texts): (ArrayRef, ArrayRef) = (Arc::new(numbers), Arc::new(texts));
        for column in [
            column_of(&numbers, true),
            column_of(&numbers, false),
            numbers.clone().into(),
            column_of(&texts, true),
            column_of(&texts, false),
            texts.clone().into(),
            Column::Array(Arc::new(dictionary)),
        ] {
            let (mut some, mut all) = (Vec::new(), Vec::new());
            let bad = AmountReader::default().read_some(&column, AmountUnit::Measured, "c", &rows, &mut some).unwrap();
            // Of the 1,500 even rows 300 are multiples of ten, of which every seventh, 43 in all, has no amount.
            assert_eq!(bad, 300 - 43);
            let bad = read_amounts(column.array().unwrap(), AmountUnit::Measured, "c", &mut all).unwrap();
            // Of 3,000 rows 600 are multiples of five, and 86 of those of thirty-five.
            assert_eq!(bad, 600 - 86);
            assert_eq!(some, rows.iter().map(|row| all[*row as usize]).collect::<Vec<i32>>());
            assert_eq!(all[..6], [Event::NO_AMOUNT, 1_500, 1_500, 1_500, 1_500, Event::NO_AMOUNT]);
        }
    }

    #[test]
    fn amounts_are_exact_in_their_unit() {
        let text: ArrayRef =
            Arc::new(StringArray::from(vec!["12.345", "0.005", "-1.5", "£3", "", "high", "7", ".5", "99999999999"]));
        let mut out = Vec::new();
        assert_eq!(read_amounts(&text, AmountUnit::Pounds, "c", &mut out).unwrap(), 2);
        let none = Event::NO_AMOUNT;
        assert_eq!(out, [1235, 1, -150, 300, none, none, 700, 50, none]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(48.1), None, Some(f64::NAN)]));
        assert_eq!(read_amounts(&floats, AmountUnit::Measured, "c", &mut out).unwrap(), 1);
        assert_eq!(out, [48_100, none, none]);
    }

    #[test]
    fn codes_that_went_through_a_float_are_refused() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1e15]));
        assert!(
            for_each_text(&floats, "snomed_code", |_| ())
                .unwrap_err()
                .to_string()
                .contains("\"snomed_code\" holds floats")
        );
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![1011481000000105]));
        for_each_text(&integers, "c", |text| assert_eq!(text, Some(&b"1011481000000105"[..]))).unwrap();
    }
}
