//! A list as a workbook: the same cells as the CSV, laid out for people who read it on a screen.
//!
//! The header stays in sight, columns have widths and a filter, bands a colour, reasons are wrapped, and a second sheet
//! says what the list is and is not. Equal runs give equal bytes: the only date in the file is the list's own.

use anyhow::Result;
use rust_xlsxwriter::{Color, DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet};

use super::lists::{Cell, Part, Shown, Table};
use crate::day::Day;

/// What a "Read me" sheet says, a line a pair: what it is about, and the words.
pub type ReadMe = Vec<(String, String)>;

const SHEET: &str = "List";

/// A part of a list as an .xlsx file.
pub fn workbook(table: &Table, part: &Part, shown: Shown, as_of: Day, read_me: &ReadMe) -> Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    let (year, month, day) = as_of.to_ymd();
    let created = ExcelDateTime::from_ymd(year.clamp(1900, 9999) as u16, month as u8, day as u8)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    list_sheet(workbook.add_worksheet(), table, part, shown)?;
    read_me_sheet(workbook.add_worksheet(), read_me)?;
    Ok(workbook.save_to_buffer()?)
}

fn list_sheet(sheet: &mut Worksheet, table: &Table, part: &Part, shown: Shown) -> Result<()> {
    let bold = Format::new().set_bold().set_text_wrap().set_align(FormatAlign::Top);
    let plain = Format::new().set_align(FormatAlign::Top);
    let wrapped = plain.clone().set_text_wrap();
    let decimal = plain.clone().set_num_format("0.0000");
    let bands = BANDS.map(|(_, colour)| plain.clone().set_background_color(Color::RGB(colour)));
    sheet.set_name(SHEET)?;
    sheet.set_freeze_panes(1, 2)?;
    let columns: Vec<_> = table.shown(shown).collect();
    for (at, column) in (0u16..).zip(&columns) {
        sheet.write_string_with_format(0, at, &column.name, &bold)?;
        sheet.set_column_width(at, width(&column.name))?;
    }
    let mut words = String::new();
    for (order, &place) in part.places.iter().enumerate() {
        let row = order as u32 + 1;
        for (at, column) in (0u16..).zip(&columns) {
            match table.cell(column, order, place) {
                Cell::Empty => {}
                Cell::Whole(number) => drop(sheet.write_number_with_format(row, at, number as f64, &plain)?),
                // As many decimals as in the CSV, so that the two hold the same numbers.
                Cell::Decimal(number) => {
                    words.clear();
                    let written: f64 = Cell::Decimal(number).written(&mut words).parse()?;
                    sheet.write_number_with_format(row, at, written, &decimal)?;
                }
                text @ Cell::Text(word) => {
                    words.clear();
                    let format = match () {
                        () if is_long(&column.name) => &wrapped,
                        () if column.name.ends_with("band") => band(word).map_or(&plain, |band| &bands[band]),
                        () => &plain,
                    };
                    sheet.write_string_with_format(row, at, text.written(&mut words), format)?;
                }
            }
        }
    }
    if !columns.is_empty() {
        sheet.autofilter(0, 0, part.places.len() as u32, columns.len() as u16 - 1)?;
    }
    Ok(())
}

/// Bands that have a colour, from the highest risk down; others have none.
const BANDS: [(&[&str], u32); 3] = [
    (&["very_high", "severe", "E", "D"], 0xF4_B6_B6),
    (&["high", "moderate", "intermediate", "C"], 0xFB_E3_B5),
    (&["mild", "B"], 0xFF_F7_CC),
];

fn band(word: &str) -> Option<usize> {
    BANDS.iter().position(|(words, _)| words.contains(&word))
}

/// Whether a column holds sentences.
fn is_long(name: &str) -> bool {
    ["reasons", "moved", "change", "decision"].contains(&name)
}

fn width(name: &str) -> f64 {
    match name {
        "order" => 7.0,
        "person" => 34.0,
        "reasons" => 60.0,
        "moved" => 45.0,
        "change" | "decision" => 28.0,
        name => (name.len() as f64 + 3.0).clamp(9.0, 22.0),
    }
}

fn read_me_sheet(sheet: &mut Worksheet, read_me: &ReadMe) -> Result<()> {
    let bold = Format::new().set_bold().set_align(FormatAlign::Top);
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    sheet.set_name("Read me")?;
    sheet.set_column_width(0, 22)?;
    sheet.set_column_width(1, 100)?;
    for (row, (what, words)) in (0u32..).zip(read_me) {
        sheet.write_string_with_format(row, 0, what, &bold)?;
        sheet.write_string_with_format(row, 1, words, &wrapped)?;
    }
    Ok(())
}
