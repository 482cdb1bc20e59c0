//! Rows in memory, by column, on their way to a file of either kind.
//!
//! A [`Layout`] names the columns of a table and says what each holds; [`Rows`] collects cells in that order. Long GP tables
//! hold positions in a [`Lists`] entry instead of text, so that no code or pseudonym is copied per row.

use std::sync::Arc;

use crate::day::Day;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    Day,
    /// Whole numbers, shown divided by 10 to the power given.
    Decimal(u32),
    /// A position in one of the lists.
    Listed(ListName),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListName {
    People,
    Practices,
    Codes,
    Units,
    Drugs,
}

/// The texts that positions stand for: people change from chunk to chunk, the rest are the same for all.
#[derive(Clone)]
pub struct Lists {
    pub people: Arc<Vec<String>>,
    pub practices: Arc<Vec<String>>,
    pub codes: Arc<Vec<String>>,
    pub units: Arc<Vec<String>>,
    pub drugs: Arc<Vec<String>>,
}

impl Lists {
    pub fn get(&self, name: ListName) -> &Arc<Vec<String>> {
        match name {
            ListName::People => &self.people,
            ListName::Practices => &self.practices,
            ListName::Codes => &self.codes,
            ListName::Units => &self.units,
            ListName::Drugs => &self.drugs,
        }
    }
}

/// The columns of a table, in order.
pub type Layout = &'static [(&'static str, Kind)];

/// Marks a missing day, position or number.
pub const NO_DAY: i32 = i32::MIN;
pub const NO_POSITION: u32 = u32::MAX;
pub const NO_NUMBER: i64 = i64::MIN;

/// Days that no calendar has, and that a CSV file shows as they are; in Parquet they are the extracts' invalid date.
pub const INVALID_DAYS: [&str; 4] = ["2015-02-30", "31/04/2014", "0000-00-00", "2015-13-01"];
const SHOWN_AS_INVALID: Day = Day(-61_726);

/// Marks one of the days that no calendar has.
pub fn invalid_day(which: u32) -> i32 {
    NO_DAY + 1 + which as i32
}

fn invalid_text(day: i32) -> Option<&'static str> {
    INVALID_DAYS.get(usize::try_from(i64::from(day) - i64::from(NO_DAY) - 1).ok()?).copied()
}

/// A day as a file without texts holds it.
pub fn known_day(day: i32) -> Option<i32> {
    match day {
        NO_DAY => None,
        _ if invalid_text(day).is_some() => Some(SHOWN_AS_INVALID.0),
        _ => Some(day),
    }
}

/// What stands in a cell instead of what was there.
pub enum Cell {
    Same,
    Text(Vec<u8>),
    Day(i32),
    Position(u32),
}

pub enum Column {
    Text { bytes: Vec<u8>, ends: Vec<u32> },
    Day(Vec<i32>),
    Decimal(Vec<i64>, u32),
    Listed(Vec<u32>, ListName),
}

impl Column {
    fn new(kind: Kind) -> Column {
        match kind {
            Kind::Text => Column::Text { bytes: Vec::new(), ends: Vec::new() },
            Kind::Day => Column::Day(Vec::new()),
            Kind::Decimal(places) => Column::Decimal(Vec::new(), places),
            Kind::Listed(list) => Column::Listed(Vec::new(), list),
        }
    }

    fn append(&mut self, other: Column) {
        match (self, other) {
            (Column::Text { bytes, ends }, Column::Text { bytes: more, ends: more_ends }) => {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(&more);
                ends.extend(more_ends.iter().map(|end| start + end));
            }
            (Column::Day(days), Column::Day(more)) => days.extend(more),
            (Column::Decimal(numbers, _), Column::Decimal(more, _)) => numbers.extend(more),
            (Column::Listed(..), Column::Listed(..)) => unreachable!("listed rows are never joined over chunks"),
            _ => unreachable!("rows of one layout have the same columns"),
        }
    }
}

/// Text of row `row` in a text column.
pub fn text_at<'a>(bytes: &'a [u8], ends: &[u32], row: usize) -> &'a [u8] {
    let start = if row == 0 { 0 } else { ends[row - 1] as usize };
    &bytes[start..ends[row] as usize]
}

/// Rows of one table, filled cell by cell from left to right.
pub struct Rows {
    pub layout: Layout,
    pub columns: Vec<Column>,
    pub len: usize,
    next_column: usize,
}

impl Rows {
    pub fn new(layout: Layout) -> Rows {
        Rows { layout, columns: layout.iter().map(|&(_, kind)| Column::new(kind)).collect(), len: 0, next_column: 0 }
    }

    fn column(&mut self) -> &mut Column {
        self.next_column += 1;
        &mut self.columns[self.next_column - 1]
    }

    pub fn text(&mut self, cell: &str) -> &mut Rows {
        match self.column() {
            Column::Text { bytes, ends } => {
                bytes.extend_from_slice(cell.as_bytes());
                ends.push(bytes.len() as u32);
            }
            _ => unreachable!("the layout has text here"),
        }
        self
    }

    pub fn whole(&mut self, cell: u64) -> &mut Rows {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut left = cell;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        match self.column() {
            Column::Text { bytes, ends } => {
                bytes.extend_from_slice(&digits[at..]);
                ends.push(bytes.len() as u32);
            }
            _ => unreachable!("the layout has text here"),
        }
        self
    }

    pub fn day(&mut self, cell: Option<Day>) -> &mut Rows {
        match self.column() {
            Column::Day(days) => days.push(cell.map_or(NO_DAY, |day| day.0)),
            _ => unreachable!("the layout has a day here"),
        }
        self
    }

    pub fn decimal(&mut self, cell: Option<i64>) -> &mut Rows {
        match self.column() {
            Column::Decimal(numbers, _) => numbers.push(cell.unwrap_or(NO_NUMBER)),
            _ => unreachable!("the layout has a number here"),
        }
        self
    }

    pub fn listed(&mut self, position: u32) -> &mut Rows {
        match self.column() {
            Column::Listed(positions, _) => positions.push(position),
            _ => unreachable!("the layout has a list position here"),
        }
        self
    }

    /// Ends a row.
    pub fn end(&mut self) {
        assert_eq!(self.next_column, self.layout.len(), "a row fills every column of its layout");
        self.next_column = 0;
        self.len += 1;
    }

    pub fn append(&mut self, other: Rows) {
        self.len += other.len;
        for (column, more) in self.columns.iter_mut().zip(other.columns) {
            column.append(more);
        }
    }

    /// Appends a row of another table of the same layout, with some cells changed.
    pub fn copy_row(&mut self, from: &Rows, row: usize, edits: &[(usize, Cell)]) {
        for (index, (mine, theirs)) in self.columns.iter_mut().zip(&from.columns).enumerate() {
            let edit = edits.iter().find(|(column, _)| *column == index).map(|(_, cell)| cell);
            match (mine, theirs, edit) {
                (Column::Text { bytes, ends }, _, Some(Cell::Text(cell))) => {
                    bytes.extend_from_slice(cell);
                    ends.push(bytes.len() as u32);
                }
                (Column::Text { bytes, ends }, Column::Text { bytes: other, ends: other_ends }, _) => {
                    bytes.extend_from_slice(text_at(other, other_ends, row));
                    ends.push(bytes.len() as u32);
                }
                (Column::Day(days), _, Some(Cell::Day(day))) => days.push(*day),
                (Column::Day(days), Column::Day(other), _) => days.push(other[row]),
                (Column::Decimal(numbers, _), Column::Decimal(other, _), _) => numbers.push(other[row]),
                (Column::Listed(places, _), _, Some(Cell::Position(place))) => places.push(*place),
                (Column::Listed(places, _), Column::Listed(other, _), _) => places.push(other[row]),
                _ => unreachable!("both tables have the same layout"),
            }
        }
        self.len += 1;
    }

    pub fn text_of(&self, column: usize, row: usize) -> &[u8] {
        match &self.columns[column] {
            Column::Text { bytes, ends } => text_at(bytes, ends, row),
            _ => unreachable!("the layout has text here"),
        }
    }

    pub fn day_at(&self, column: usize, row: usize) -> i32 {
        match &self.columns[column] {
            Column::Day(days) => days[row],
            _ => unreachable!("the layout has a day here"),
        }
    }

    pub fn position(&self, column: usize, row: usize) -> u32 {
        match &self.columns[column] {
            Column::Listed(positions, _) => positions[row],
            _ => unreachable!("the layout has a list position here"),
        }
    }

    /// The rows as CSV lines, without a header.
    pub fn csv_lines(&self, lists: &Lists) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len * self.layout.len() * 6);
        for row in 0..self.len {
            for (index, column) in self.columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                csv_cell(&mut out, column, row, lists);
            }
            out.push(b'\n');
        }
        out
    }
}

/// The header line of a layout.
pub fn csv_header(layout: Layout) -> Vec<u8> {
    let names: Vec<&str> = layout.iter().map(|&(name, _)| name).collect();
    format!("{}\n", names.join(",")).into_bytes()
}

fn csv_cell(out: &mut Vec<u8>, column: &Column, row: usize, lists: &Lists) {
    match column {
        Column::Text { bytes, ends } => csv_text(out, text_at(bytes, ends, row)),
        Column::Day(days) if days[row] != NO_DAY => match invalid_text(days[row]) {
            Some(text) => csv_text(out, text.as_bytes()),
            None => csv_day(out, Day(days[row])),
        },
        Column::Decimal(numbers, places) if numbers[row] != NO_NUMBER => csv_decimal(out, numbers[row], *places),
        Column::Listed(positions, list) if positions[row] != NO_POSITION => {
            csv_text(out, lists.get(*list)[positions[row] as usize].as_bytes());
        }
        _ => {}
    }
}

fn csv_text(out: &mut Vec<u8>, text: &[u8]) {
    if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn csv_day(out: &mut Vec<u8>, day: Day) {
    let (year, month, day) = day.to_ymd();
    let pair = |number: u32| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
    let [century, years] = [pair(year as u32 / 100), pair(year as u32 % 100)];
    let [month, day] = [pair(month), pair(day)];
    out.extend_from_slice(&[
        century[0], century[1], years[0], years[1], b'-', month[0], month[1], b'-', day[0], day[1],
    ]);
}

fn csv_decimal(out: &mut Vec<u8>, number: i64, places: u32) {
    let unit = 10i64.pow(places);
    if number < 0 {
        out.push(b'-');
    }
    let whole = number.unsigned_abs();
    let unit = unit as u64;
    out.extend_from_slice((whole / unit).to_string().as_bytes());
    if places > 0 {
        out.push(b'.');
        out.extend_from_slice(format!("{:0width$}", whole % unit, width = places as usize).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = &[("name", Kind::Text), ("day", Kind::Day), ("cost", Kind::Decimal(2))];

    fn no_lists() -> Lists {
        let none = Arc::new(Vec::new());
        Lists { people: none.clone(), practices: none.clone(), codes: none.clone(), units: none.clone(), drugs: none }
    }

    #[test]
    fn cells_are_quoted_only_where_they_must_be() {
        let mut rows = Rows::new(LAYOUT);
        rows.text("Sheltered, \"extra care\"").day(Some(Day(0))).decimal(Some(1_205)).end();
        rows.text("plain").day(None).decimal(None).end();
        let lines = String::from_utf8(rows.csv_lines(&no_lists())).unwrap();
        assert_eq!(lines, "\"Sheltered, \"\"extra care\"\"\",1970-01-01,12.05\nplain,,\n");
    }

    #[test]
    fn joined_rows_keep_their_cells() {
        let mut first = Rows::new(LAYOUT);
        first.text("a").day(Some(Day(1))).decimal(Some(-5)).end();
        let mut second = Rows::new(LAYOUT);
        second.text("bc").day(None).decimal(Some(7)).end();
        first.append(second);
        let lines = String::from_utf8(first.csv_lines(&no_lists())).unwrap();
        assert_eq!(lines, "a,1970-01-02,-0.05\nbc,,0.07\n");
    }
}
