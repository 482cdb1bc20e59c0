//! Cells that hold several codes, as spells of SUS have them: `||E119 ,J849 ||I801 ,N179`.
//!
//! Bars stand between episodes and commas between codes; the first code of each episode is its primary one. Each
//! distinct cell is cut once.

use anyhow::Result;
use arrow_array::ArrayRef;

use super::classify::{Reading, ValueId, ValueReader};
use super::column::{for_each_text, plain};
use super::layout::{Field, FieldSystem};
use super::spells::Cell;
use crate::model::library::Sensitive;

/// The lists of one column, as one thread has met them.
pub(super) struct ListReader {
    /// Numbers the distinct cells.
    cells: ValueReader,
    /// The codes of each cell; `None` where it has not been cut yet.
    cut: Vec<Option<List>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List {
    /// Whether a code comes first in its episode, and the code.
    codes: Vec<(bool, ValueId)>,
    left_out: LeftOut,
}

/// Codes of a cell that are not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub malformed: u64,
    pub sensitive: u64,
    pub not_in_dictionary: u64,
}

impl ListReader {
    /// `None` where the field's cells hold one code each.
    pub(super) fn new(field: &Field) -> Option<ListReader> {
        let as_text =
            Field { system: FieldSystem::Text, dictionary: None, entries: None, characters: None, ..field.clone() };
        field.list.then(|| ListReader { cells: ValueReader::new(&as_text, &Sensitive::default()), cut: Vec::new() })
    }

    /// The number of each row's cell; its codes are values of `codes`.
    pub(super) fn read(
        &mut self,
        array: &ArrayRef,
        name: &str,
        codes: &mut ValueReader,
        out: &mut Vec<ValueId>,
    ) -> Result<()> {
        self.cells.read(array, name, out)?;
        self.cut.resize(self.cells.values.values.len(), None);
        let mut row = 0;
        for_each_text(&plain(array)?, name, |text| {
            let list = &mut self.cut[out[row] as usize];
            list.get_or_insert_with(|| cut(text.unwrap_or_default(), codes));
            row += 1;
        })
    }

    /// Adds the codes of a cell that come first in their episode, or the others.
    pub(super) fn add(&self, cell: ValueId, that_come_first: bool, column: u16, out: &mut Vec<Cell>) {
        let codes = self.list(cell).map_or(&[][..], |list| &list.codes);
        let wanted = codes.iter().filter(|(comes_first, _)| *comes_first == that_come_first);
        out.extend(wanted.map(|(_, value)| Cell { column, value: *value }));
    }

    pub(super) fn left_out(&self, cell: ValueId) -> LeftOut {
        self.list(cell).map_or(LeftOut::default(), |list| list.left_out)
    }

    fn list(&self, cell: ValueId) -> Option<&List> {
        self.cut.get(cell as usize)?.as_ref()
    }
}

fn cut(text: &[u8], reader: &mut ValueReader) -> List {
    let mut list = List::default();
    for episode in text.split(|byte| *byte == b'|') {
        for (place, code) in episode.split(|byte| *byte == b',').enumerate() {
            let value = reader.values.of(Some(code.trim_ascii()));
            match reader.values.values[value as usize].1 {
                Reading::Value => list.codes.push((place == 0, value)),
                Reading::Malformed => list.left_out.malformed += 1,
                Reading::Sensitive => list.left_out.sensitive += 1,
                Reading::NotInDictionary => list.left_out.not_in_dictionary += 1,
                Reading::Blank | Reading::Unknown | Reading::OfAnotherSystem => {}
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;

    use super::*;

    #[test]
    fn a_list_is_cut_into_episodes_and_codes() {
        let field: Field =
            toml::from_str("name = \"diagnosis\"\ncolumns = [\"d\"]\nsystem = \"icd10\"\nlist = true").unwrap();
        let mut codes = ValueReader::new(&field, &Sensitive::default());
        let mut lists = ListReader::new(&field).unwrap();
        let array: ArrayRef = Arc::new(StringArray::from(vec![
            Some("||E119 ,J849 ||I801 ,N179"),
            Some("I10X"),
            None,
            Some("||,J849,nonsense"),
            Some("||E119 ,J849 ||I801 ,N179"),
        ]));
        let mut cells = Vec::new();
        lists.read(&array, "d", &mut codes, &mut cells).unwrap();
        let of = |row: usize, first: bool| -> Vec<String> {
            let mut out = Vec::new();
            lists.add(cells[row], first, 0, &mut out);
            out.iter().map(|cell| String::from_utf8_lossy(&codes.values.values[cell.value as usize].0).into()).collect()
        };
        for row in [0, 4] {
            assert_eq!(of(row, true), ["E119", "I801"]);
            assert_eq!(of(row, false), ["J849", "N179"]);
        }
        assert_eq!((of(1, true), of(1, false)), (vec!["I10".to_owned()], vec![]));
        assert_eq!((of(2, true), of(2, false)), (vec![], vec![]));
        assert_eq!(
            (of(3, true), of(3, false), lists.left_out(cells[3]).malformed),
            (vec![], vec!["J849".to_owned()], 1)
        );
    }
}
