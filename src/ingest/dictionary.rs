//! Code dictionaries: what the numbers stand for that a record system writes in place of codes.
//!
//! A GP system or a common data model keeps a table of its own numbers (`medcodeid`, `CodeId`, `concept_id`) and the
//! code of each. The layout says which columns of that table are the number and the code, the settings say where the
//! table is. It is read once a source and asked once a distinct value, so that no row is the slower for it. A number
//! that the table lacks leaves its row without a code, and is counted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};

use super::column::{for_each_text, plain};
use super::files::{self, Batch, CsvDialect, InputFile, Wanted};
use super::layout::{DictionaryTable, LayoutFile};
use super::{Input, dialect};

/// What each number stands for; a number without a code of the wanted kind stands for nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    codes: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Dictionary {
    /// The code that a number stands for, as the table writes it: empty where it has none of the wanted kind, `None`
    /// where the table does not know the number.
    pub fn code_of(&self, number: &[u8]) -> Option<&[u8]> {
        self.codes.get(number).map(|code| &**code)
    }
}

/// A dictionary that a source is read with: its table in the layout, and the files that hold it.
#[derive(Debug, Clone)]
pub struct DictionaryInput {
    pub table: DictionaryTable,
    pub files: Vec<InputFile>,
    pub dialect: CsvDialect,
}

impl DictionaryInput {
    pub fn new(table: &DictionaryTable, layout: &LayoutFile, files: Vec<InputFile>) -> DictionaryInput {
        let dialect = dialect(table.csv.as_ref().unwrap_or(&layout.csv));
        DictionaryInput { table: table.clone(), files, dialect }
    }

    /// The columns that every file of the table has to have.
    pub fn wanted(&self) -> Vec<(String, bool)> {
        let keep = self.table.keep.as_ref().map(|keep| keep.column.clone());
        let columns = [self.table.key.clone(), self.table.code.clone()].into_iter().chain(keep);
        columns.map(|column| (column, false)).collect()
    }

    /// # Errors
    /// A file that cannot be read; one number with two codes, or a table without any code: it would find nothing.
    fn load(&self) -> Result<Dictionary> {
        let names = self.wanted();
        let wanted: Vec<Wanted> = names.iter().map(|(name, _)| Wanted { name, optional: false }).collect();
        let lines = Mutex::new(Vec::new());
        let take = |batch: Batch| {
            let mut read = self.lines_of(&batch, &names)?;
            lines.lock().expect("no thread panicked while it held the lines").append(&mut read);
            Ok(())
        };
        files::read(&self.files, &wanted, &self.dialect, &take, &|_| {})?;
        self.gathered(lines.into_inner().expect("no thread panicked"))
    }

    fn lines_of(&self, batch: &Batch, names: &[(String, bool)]) -> Result<Vec<Line>> {
        let mut columns = Vec::new();
        for (column, (name, _)) in batch.columns.iter().zip(names) {
            let mut cells: Vec<Box<[u8]>> = Vec::with_capacity(batch.rows);
            let array = plain(column.as_ref().expect("required columns are there").array()?)?;
            for_each_text(&array, name, |text| cells.push(text.unwrap_or_default().trim_ascii().into()))?;
            columns.push(cells);
        }
        let kept = columns.get(2).zip(self.table.keep.as_ref());
        let is_kept = |row: usize| {
            kept.is_none_or(|(cells, keep)| {
                keep.values.iter().any(|value| value.as_bytes().eq_ignore_ascii_case(&cells[row]))
            })
        };
        let line = |row: usize| {
            let code = if is_kept(row) { columns[1][row].clone() } else { Box::default() };
            (columns[0][row].clone(), code)
        };
        Ok((0..batch.rows).filter(|row| !columns[0][*row].is_empty()).map(line).collect())
    }

    fn gathered(&self, mut lines: Vec<Line>) -> Result<Dictionary> {
        lines.sort_unstable();
        lines.dedup();
        let twice = lines.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
        if twice > 0 {
            let (key, code) = (&self.table.key, &self.table.code);
            bail!("lines that give a {key} another {code} than a line before: {twice}; each stands for one code");
        }
        if lines.iter().all(|(_, code)| code.is_empty()) {
            let kept =
                self.table.keep.as_ref().map(|keep| format!(" where {} is {}", keep.column, keep.values.join(" or ")));
            bail!("no line has a {}{}", self.table.code, kept.unwrap_or_default());
        }
        Ok(Dictionary { codes: lines.into_iter().collect() })
    }
}

/// A number and its code.
type Line = (Box<[u8]>, Box<[u8]>);

/// The input's layout with its dictionaries read, so that its fields know what their numbers stand for.
///
/// # Errors
/// A dictionary that cannot be read, with the names of the source and the dictionary.
pub fn with_dictionaries(input: &Input) -> Result<Cow<'_, LayoutFile>> {
    if input.dictionaries.is_empty() {
        return Ok(Cow::Borrowed(&input.layout));
    }
    let mut layout = input.layout.clone();
    for dictionary in &input.dictionaries {
        let name = &dictionary.table.name;
        let context = || format!("source \"{}\", dictionary \"{name}\"", input.name);
        let loaded = Arc::new(dictionary.load().with_context(context)?);
        for field in layout.fields.iter_mut().filter(|field| field.dictionary.as_ref() == Some(name)) {
            field.entries = Some(loaded.clone());
        }
    }
    Ok(Cow::Owned(layout))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TABLE: &str = "name = \"n\"\nkey = \"id\"\ncode = \"code\"\nsource = \"made up\"\n";

    fn load(table: &str, text: &str) -> Result<Dictionary, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d.csv"), text).unwrap();
        let files = files::find(folder.path(), &["d.csv".to_owned()]).unwrap();
        let table: DictionaryTable = toml::from_str(table).unwrap();
        let input = DictionaryInput { table, files, dialect: CsvDialect::default() };
        input.load().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_number_stands_for_its_code_for_nothing_or_is_not_known() {
        let keep = format!("{TABLE}keep = {{ column = \"kind\", values = [\"SNOMED\"] }}\n");
        let dictionary = load(&keep, "id,code,kind\n7,73211009,snomed\n8,4548-4,LOINC\n9,,SNOMED\n").unwrap();
        assert_eq!(dictionary.code_of(b"7"), Some(&b"73211009"[..]));
        assert_eq!([b"8", b"9"].map(|number| dictionary.code_of(number)), [Some(&b""[..]); 2]);
        assert_eq!(dictionary.code_of(b"10"), None);
    }

    #[test]
    fn a_table_that_contradicts_itself_or_has_no_codes_is_refused() {
        let twice = load(TABLE, "id,code\n7,1\n7,1\n7,2\n8,3\n").unwrap_err();
        assert_eq!(twice, "lines that give a id another code than a line before: 1; each stands for one code");
        let keep = format!("{TABLE}keep = {{ column = \"kind\", values = [\"SNOMED\", \"dm+d\"] }}\n");
        let none = load(&keep, "id,code,kind\n7,1,LOINC\n").unwrap_err();
        assert_eq!(none, "no line has a code where kind is SNOMED or dm+d");
    }

    #[test]
    fn a_layout_without_dictionaries_is_not_copied() {
        let layout = LayoutFile::parse("x", include_str!("../../models/layouts/gp_events.toml")).unwrap();
        let input = Input {
            name: "s".to_owned(),
            layout,
            files: files::find(Path::new("."), &["Cargo.toml".to_owned()]).unwrap(),
            dialect: CsvDialect::default(),
            dictionaries: Vec::new(),
        };
        assert!(matches!(with_dictionaries(&input).unwrap(), Cow::Borrowed(_)));
    }
}
