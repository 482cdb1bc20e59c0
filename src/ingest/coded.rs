//! Rows of a Parquet column as its file codes them: keys of a dictionary, in runs and packed bits, or plain values.
//!
//! Of most rows of a feed no model asks anything, and of those nothing but the code is looked at. So a column is kept
//! as the file has it and worked out as far as somebody asks: the key of every row, runs of equal neighbours, some rows
//! alone, or an Arrow array.
//!
//! # Source
//! Apache Parquet, "Encodings" (plain; dictionary; run length and bit packing hybrid) and "Data Pages".

mod hybrid;
mod page;
mod rows;
mod values;

use std::sync::Arc;

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef};

use super::column::{each_key, for_each_null, is_one_value};
pub(super) use page::Page;
pub(super) use rows::Piece;
pub use rows::{Coded, Plain};
pub(super) use values::{has_place, values_of};

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
    /// The column as keys of its dictionary, where it has one.
    pub fn keyed(&self) -> Option<Keyed<'_>> {
        match self {
            Column::Array(array) => array.as_any_dictionary_opt().map(|_| Keyed::Array(array)),
            Column::Coded(coded) => Some(Keyed::Coded(coded)),
            Column::Plain(_) => None,
        }
    }

    /// The values of the rows, each once where the column is coded.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn distinct(&self) -> Result<ArrayRef> {
        match self {
            Column::Array(_) | Column::Plain(_) => self.array().cloned(),
            Column::Coded(coded) => coded.distinct(),
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

/// A column that has a dictionary, whichever way it comes.
#[derive(Clone, Copy)]
pub enum Keyed<'a> {
    Array(&'a ArrayRef),
    Coded(&'a Coded),
}

impl<'a> Keyed<'a> {
    /// The distinct values.
    pub fn values(self) -> &'a ArrayRef {
        match self {
            Keyed::Array(array) => array.as_any_dictionary().values(),
            Keyed::Coded(coded) => coded.values(),
        }
    }

    /// The key of every row; [`NO_KEY`] where it has no value.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn keys(self, out: &mut Vec<u32>) -> Result<(), Damaged> {
        match self {
            Keyed::Array(array) => {
                out.clear();
                each_key(array, |_, key| out.push(key as u32));
                for_each_null(array, |row| out[row] = NO_KEY);
                Ok(())
            }
            Keyed::Coded(coded) => coded.keys(out),
        }
    }

    /// As [`Keyed::keys`], for some rows, which are in order.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn keys_of(self, rows: &[u32], out: &mut Vec<u32>) -> Result<(), Damaged> {
        let array = match self {
            Keyed::Array(array) => array,
            Keyed::Coded(coded) => return coded.keys_of(rows, out),
        };
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
        Ok(())
    }

    /// The value that all rows have; `None` where they differ, or it is not seen at once.
    pub fn one_value(self) -> Option<ArrayRef> {
        match self {
            Keyed::Array(array) => is_one_value(array).then(|| array.slice(0, 1)),
            Keyed::Coded(coded) => coded.one_key().map(|key| coded.values().slice(key as usize, 1)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use arrow_array::types::Date32Type;
    use arrow_array::{Float64Array, PrimitiveArray, RecordBatch, StringArray};
    use arrow_schema::DataType;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Encoding;
    use parquet::column::page::Page as RawPage;
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::hybrid::Hybrid;
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

    /// The column as the pages of a file hold it, with a dictionary or without.
    pub fn column_of(array: &ArrayRef, has_dictionary: bool) -> Column {
        let (values, pages) = pages_of(array, WriterVersion::PARQUET_1_0, if has_dictionary { LARGE } else { 0 });
        let whole = pages.into_iter().map(|page| Piece { first: 0, rows: page.rows, page }).collect();
        match values {
            Some(values) => Column::Coded(Arc::new(Coded::new(values, whole))),
            None => Column::Plain(Arc::new(Plain::new(array.data_type().clone(), None, whole))),
        }
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
        (key != NO_KEY).then(|| coded.values().as_string::<i32>().value(key as usize).to_owned())
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
