//! The lists that teams work from: one file per practice and cohort, with nothing in it but that practice's people.
//!
//! A list is made as columns of its people alone, and a file writes the rows that are its own straight from them: 1.8
//! million people and a dozen cohorts are some hundred thousand rows.

use std::borrow::Cow;
use std::fmt::Write;

use anyhow::Result;

use crate::cohort::columns::{Published, Values};
use crate::person::WordColumn;

/// A column of a list.
pub struct ListColumn<'a> {
    pub name: String,
    pub cells: Cells<'a>,
    /// Only where a file holds people of several practices.
    pub only_in_views: bool,
}

impl<'a> ListColumn<'a> {
    pub fn new(name: &str, cells: Cells<'a>) -> ListColumn<'a> {
        ListColumn { name: name.to_owned(), cells, only_in_views: false }
    }
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Practice,
    View,
}

/// Where a column's cells come from.
pub enum Cells<'a> {
    /// The place in the file, from 1.
    Order,
    /// Values by place in the cohort's list.
    Values(Values),
    /// Texts by place in the cohort's list.
    Texts(Vec<Cow<'a, str>>),
}

/// A cell as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Empty,
    Text(&'a str),
    Whole(i64),
    Decimal(f64),
}

/// The list of a cohort, of all practices, in the list's order.
pub struct Table<'a> {
    pub columns: Vec<ListColumn<'a>>,
}

/// The rows of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The practice, or the place of a view; empty where it is not known.
    pub name: String,
    /// Places in the cohort's list, in order.
    pub places: Vec<u32>,
}

/// A line of `lists/index.csv`: what was written for whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexLine {
    pub cohort: String,
    /// `list`, or `left`.
    pub what: &'static str,
    /// `practice`, or the column of a view.
    pub by: String,
    pub name: String,
    pub file: String,
    pub rows: u64,
    /// Of what is inside where the file is encrypted.
    pub sha256: String,
    /// The public key; empty where the file is not encrypted.
    pub encrypted_to: String,
}

/// `lists/index.csv`.
pub fn index(lines: &[IndexLine]) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(["cohort", "what", "by", "name", "file", "rows", "sha256", "encrypted_to"])?;
    for line in lines {
        let rows = line.rows.to_string();
        let mut words = String::new();
        let name = Cell::Text(&line.name).written(&mut words);
        writer.write_record([
            &line.cohort,
            line.what,
            &line.by,
            name,
            &line.file,
            &rows,
            &line.sha256,
            &line.encrypted_to,
        ])?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// The first lines of a list, for a reader's eye.
#[derive(Debug, Clone)]
pub struct Glimpse {
    pub practice: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A list's rows by the words of a published column, in order of the words; people without one are last.
pub fn parts(published: &Published, by: &str, rows: &[u32]) -> Vec<Part> {
    let Some(Values::Words(words)) = published.of_rows(by, rows) else { return Vec::new() };
    let mut by_word: Vec<Vec<u32>> = vec![Vec::new(); words.words.len() + 1];
    for (&word, place) in words.places.iter().zip(0u32..) {
        let word = if word == WordColumn::MISSING { words.words.len() } else { word as usize };
        by_word[word].push(place);
    }
    let names = words.words.iter().cloned().chain(std::iter::once(String::new()));
    names.zip(by_word).map(|(name, places)| Part { name, places }).filter(|part| !part.places.is_empty()).collect()
}

impl<'a> Table<'a> {
    /// The columns of a file.
    pub fn shown(&self, shown: Shown) -> impl Iterator<Item = &ListColumn<'a>> {
        self.columns.iter().filter(move |column| shown == Shown::View || !column.only_in_views)
    }

    /// A cell; `order` is the place in the file, from 0, and `place` that in the cohort's list.
    pub fn cell<'c>(&'c self, column: &'c ListColumn<'a>, order: usize, place: u32) -> Cell<'c> {
        let place = place as usize;
        let text = |text: &'c str| if text.is_empty() { Cell::Empty } else { Cell::Text(text) };
        match &column.cells {
            Cells::Order => Cell::Whole(order as i64 + 1),
            Cells::Texts(texts) => text(&texts[place]),
            Cells::Values(Values::Whole(values)) => values[place].map_or(Cell::Empty, Cell::Whole),
            Cells::Values(Values::Decimal(values)) => values[place].map_or(Cell::Empty, Cell::Decimal),
            Cells::Values(values) => values.text(place).map_or(Cell::Empty, text),
        }
    }

    /// A part as CSV, RFC 4180; with a byte order mark where a spreadsheet needs one to know UTF-8.
    pub fn csv(&self, part: &Part, shown: Shown, has_mark: bool) -> Result<Vec<u8>> {
        let start = if has_mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(start);
        writer.write_record(self.shown(shown).map(|column| &column.name))?;
        let mut words = String::new();
        for (order, &place) in part.places.iter().enumerate() {
            for column in self.shown(shown) {
                words.clear();
                writer.write_field(self.cell(column, order, place).written(&mut words))?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }

    /// The first rows of a part.
    pub fn glimpse(&self, part: &Part, rows: usize) -> Glimpse {
        let row = |(order, place): (usize, &u32)| {
            let cell = |column| {
                let mut words = String::new();
                self.cell(column, order, *place).written(&mut words).to_owned()
            };
            self.shown(Shown::Practice).map(cell).collect()
        };
        Glimpse {
            practice: part.name.clone(),
            header: self.shown(Shown::Practice).map(|column| column.name.clone()).collect(),
            rows: part.places.iter().enumerate().take(rows).map(row).collect(),
        }
    }
}

impl<'a> Cell<'a> {
    /// The cell as it stands in a CSV; `words` is room for a number.
    pub fn written<'w>(self, words: &'w mut String) -> &'w str
    where
        'a: 'w,
    {
        match self {
            Cell::Empty => return "",
            Cell::Text(text) if is_formula(text) => {
                words.push('\'');
                words.push_str(text);
            }
            Cell::Text(text) => return text,
            Cell::Whole(number) => write!(words, "{number}").expect("writing to a string"),
            Cell::Decimal(number) => write!(words, "{number:.4}").expect("writing to a string"),
        }
        words
    }
}

/// Whether a spreadsheet would run a text as a formula; it then gets an apostrophe. Numbers stay numbers.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err()
}

/// The name of files of people whose place is not known; no place has it, for `_` is written as its byte.
pub const NOT_KNOWN: &str = "not_known";

/// A practice code as a file name: letters, digits and `-` as they are, the rest as `%` and its bytes, so that two
/// practices never share a file.
pub fn file_name(practice: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let name: String = practice
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if name.is_empty() { NOT_KNOWN.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_spreadsheet_would_run_are_made_safe() {
        let written = |text| Cell::Text(text).written(&mut String::new()).to_owned();
        let cells = ["=1+1", "-2.5", "@x", "+44", "a=b", "-x"].map(written);
        assert_eq!(cells, ["'=1+1", "-2.5", "'@x", "+44", "a=b", "'-x"]);
        assert_eq!(file_name("../G82/01"), "%2E%2E%2FG82%2F01");
        assert_ne!(file_name("G82001/1"), file_name("G82001.1"));
    }

    #[test]
    fn a_practice_has_its_own_people_in_the_order_of_the_list() {
        let words = WordColumn::new([Some("B"), Some("A"), None, Some("B")].into_iter());
        let column = crate::cohort::columns::PublishedColumn::given("practice", Values::Words(words));
        let published = Published { people: vec![0, 1, 2, 3], columns: vec![column] };
        let rows = [3, 2, 1, 0];
        let parts = parts(&published, "practice", &rows);
        let found: Vec<(&str, &[u32])> = parts.iter().map(|part| (part.name.as_str(), &part.places[..])).collect();
        assert_eq!(found, [("A", &[2][..]), ("B", &[0, 3][..]), ("", &[1][..])]);
        let whole = Values::Whole(vec![Some(10), Some(11), None, Some(13)]).picked(&rows);
        let columns = vec![
            ListColumn::new("order", Cells::Order),
            ListColumn::new("n", Cells::Values(whole)),
            ListColumn::new("t", Cells::Texts(["d", "c", "b", "a, \"a\""].map(Cow::from).into())),
        ];
        let table = Table { columns };
        let csv = |part| String::from_utf8(table.csv(part, Shown::Practice, false).unwrap()).unwrap();
        assert_eq!(csv(&parts[1]), "order,n,t\r\n1,13,d\r\n2,10,\"a, \"\"a\"\"\"\r\n");
        assert_eq!(csv(&parts[2]), "order,n,t\r\n1,,c\r\n");
        assert!(table.csv(&parts[2], Shown::Practice, true).unwrap().starts_with(b"\xef\xbb\xbforder"));
    }
}
