//! The lists that teams work from: one CSV per practice and cohort, with nothing in it but that practice's people.

use std::collections::BTreeMap;

use anyhow::Result;

use super::OutputFile;
use super::tables::reasons_in_words;
use crate::cohort::Cohort;
use crate::cohort::columns::Published;
use crate::model::Model;
use crate::score::people::Scores;

/// One practice's part of a cohort.
#[derive(Debug, Clone)]
pub struct List {
    pub practice: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The lists of a cohort by practice, in practice order; members are rows of the published columns, in list order.
pub fn lists(cohort: &Cohort, members: &[u32], published: &Published, models: &[Model], scores: &Scores) -> Vec<List> {
    let number = models.iter().position(|model| model.id == cohort.model).expect("the cohort's model was checked");
    let model = &models[number];
    let mut header: Vec<String> = ["order", "person", "score", "band", "fidelity"].map(str::to_owned).into();
    header.extend(cohort.columns.iter().cloned());
    header.push("reasons".to_owned());
    let column = |name: &str| published.column(name);
    let cell = |name: &str, row: usize| column(name).map(|values| values.cell(row)).unwrap_or_default();
    let mut by_practice: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for &member in members {
        let row = member as usize;
        let rows = by_practice.entry(cell("practice", row)).or_default();
        let mut cells = vec![
            (rows.len() + 1).to_string(),
            cell("person", row),
            cell(&model.id, row),
            cell(&format!("{}_band", model.id), row),
            cell(&format!("{}_fidelity", model.id), row),
        ];
        cells.extend(cohort.columns.iter().map(|name| cell(name, row)));
        cells.push(reasons_in_words(model, scores, number, published.people[row]).unwrap_or_default());
        rows.push(cells);
    }
    by_practice.into_iter().map(|(practice, rows)| List { practice, header: header.clone(), rows }).collect()
}

impl List {
    /// The list as CSV, RFC 4180.
    pub fn csv(&self, cohort: &str) -> Result<OutputFile> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(&self.header)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| safe_for_spreadsheets(cell)))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(OutputFile::new(format!("lists/{cohort}/{}.csv", file_name(&self.practice)), bytes))
    }
}

/// A cell that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers.
fn safe_for_spreadsheets(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}

/// A practice code as a file name: letters, digits and `-` as they are, the rest as `%` and its bytes, so that two
/// practices never share a file.
fn file_name(practice: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let name: String = practice
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if name.is_empty() { "no_practice".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_spreadsheet_would_run_are_made_safe() {
        let cells = ["=1+1", "-2.5", "@x", "+44", "a=b", "-x"].map(safe_for_spreadsheets);
        assert_eq!(cells, ["'=1+1", "-2.5", "'@x", "+44", "a=b", "'-x"]);
        assert_eq!(file_name("../G82/01"), "%2E%2E%2FG82%2F01");
        assert_ne!(file_name("G82001/1"), file_name("G82001.1"));
    }
}
