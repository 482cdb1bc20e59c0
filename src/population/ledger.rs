//! `truth/defects.csv` and `truth/defect_rows.csv`: what was planted in which file, how often, and in which rows.
//!
//! A row is numbered as a reader meets it: from 1, and in CSV the header is the first.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::defects::{Outages, Planted};
use super::layouts;
use super::places::Places;
use super::rows::{Lists, Rows};
use super::write::{Encoding, OpenFile, encode};

/// What became of the rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Present,
    LeftOut,
}

pub struct Ledger {
    rows: OpenFile,
    counts: BTreeMap<(&'static str, String, Fate), u64>,
    lists: Lists,
}

impl Ledger {
    /// # Errors
    /// Where the file cannot be created.
    pub fn create(folder: &Path, lists: Lists) -> Result<Ledger> {
        let rows = OpenFile::create(folder, "truth/defect_rows", layouts::DEFECT_ROWS, Encoding::Csv)?;
        Ok(Ledger { rows, counts: BTreeMap::new(), lists })
    }

    /// Writes down what was planted in the part that comes next in a file, after those that stand in line for it.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn note(&mut self, file: &OpenFile, ahead: u64, planted: &[Planted]) -> Result<()> {
        if planted.is_empty() {
            return Ok(());
        }
        let name = file.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let before = file.rows + ahead + file.encoding.header_rows() + 1;
        let mut rows = Rows::new(layouts::DEFECT_ROWS);
        for one in planted {
            let fate = if one.row.is_some() { Fate::Present } else { Fate::LeftOut };
            *self.counts.entry((one.kind, name.clone(), fate)).or_default() += 1;
            if let Some(row) = one.row {
                rows.text(one.kind).text(&name).whole(before + u64::from(row)).text(one.column).end();
            }
        }
        self.rows.append(encode(rows, &self.lists, Encoding::Csv)?)
    }

    /// Writes the counts, and gives back both files with their rows.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn close(self, folder: &Path, outages: &Outages, places: &Places) -> Result<Vec<(std::path::PathBuf, u64)>> {
        let mut rows = Rows::new(layouts::DEFECTS);
        for ((kind, file, fate), count) in &self.counts {
            let fate = if *fate == Fate::Present { "present" } else { "left out" };
            rows.text(kind).text(file).whole(*count).text(fate).text("").end();
        }
        for (practice, from) in &outages.feeds {
            let what = format!("{} from {from}", places.practices[*practice as usize].code);
            rows.text("practice feed stopped").text("").whole(1).text("").text(&what).end();
        }
        for (trust, from, _) in &outages.months {
            let what = format!("{trust} in {}", &from.to_string()[..7]);
            rows.text("month missing from a trust").text("").whole(1).text("").text(&what).end();
        }
        let mut counts = OpenFile::create(folder, "truth/defects", layouts::DEFECTS, Encoding::Csv)?;
        counts.append(encode(rows, &self.lists, Encoding::Csv)?)?;
        Ok(vec![counts.close()?, self.rows.close()?])
    }
}
