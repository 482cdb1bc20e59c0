//! A user's own code list: brought to our form, and what it would change.
//!
//! OpenCodelists CSVs, SNOMED CT reference-set files and our own form are recognised by their headers. What is made is
//! a code list file with its source on the first line; nothing is guessed about what the list means: system and
//! category are the user's to say.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use crate::code::{CodeList, Normalised, System};

/// One code of a list that is being imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Code {
    code: String,
    label: String,
}

/// What an imported list came to.
#[derive(Debug)]
pub struct Imported {
    /// The code list in our form.
    pub text: String,
    pub codes: usize,
    /// Lines whose code does not have the form of its system, with their line numbers.
    pub malformed: Vec<usize>,
    pub repeated: usize,
    /// Members of a reference set that are no longer active.
    pub inactive: usize,
}

/// Names of columns that hold codes and their words, in the order of preference.
const CODE_COLUMNS: [&str; 6] = ["code", "snomedcode", "snomed_code", "referencedcomponentid", "conceptid", "id"];
const LABEL_COLUMNS: [&str; 5] = ["term", "label", "name", "description", "preferredterm"];

/// Brings a list to our form.
///
/// # Errors
/// A file without a column of codes, or without any code.
pub fn import(text: &str, source: &str, system: System, category: &str) -> Result<Imported> {
    ensure!(!source.trim().is_empty(), "say where the list comes from: a list without a source is not used");
    let delimiter = if text.lines().next().is_some_and(|line| line.contains('\t')) { b'\t' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().context("the file has no header")?.iter().map(plain).collect();
    let find = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|column| column == name));
    let code_column = find(&CODE_COLUMNS)
        .with_context(|| format!("no column of codes; known names are {}", CODE_COLUMNS.join(", ")))?;
    let (label_column, active_column) = (find(&LABEL_COLUMNS), find(&["active"]));
    let mut imported = Imported { text: String::new(), codes: 0, malformed: Vec::new(), repeated: 0, inactive: 0 };
    let mut codes = BTreeSet::new();
    let mut normal = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("line {}", number + 2))?;
        if active_column.and_then(|column| record.get(column)) == Some("0") {
            imported.inactive += 1;
            continue;
        }
        match system.normalise(record.get(code_column).unwrap_or_default().as_bytes(), &mut normal) {
            Normalised::Blank => continue,
            Normalised::Malformed => imported.malformed.push(number + 2),
            Normalised::Code => {
                let label = label_column.and_then(|column| record.get(column)).unwrap_or_default();
                let code = String::from_utf8_lossy(&normal).into_owned();
                imported.repeated += usize::from(!codes.insert(Code { code, label: label.to_owned() }));
            }
        }
    }
    if codes.is_empty() {
        bail!("no codes in the file");
    }
    imported.codes = codes.len();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["system", "code", "match", "category", "label", "weight"])?;
    for code in &codes {
        writer.write_record([system.name(), &code.code, "exact", category, &code.label, ""])?;
    }
    let body = String::from_utf8(writer.into_inner()?)?;
    imported.text = format!("# Source: {}\n{body}", source.trim().replace('\n', " "));
    Ok(imported)
}

fn plain(name: &str) -> String {
    name.trim().trim_start_matches('\u{feff}').to_lowercase().replace(' ', "")
}

/// What putting one list in the place of another changes, category by category.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub category: String,
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

/// The codes that a list has and another lacks, and the other way round.
pub fn changes(now: &CodeList, then: Option<&CodeList>) -> Vec<Change> {
    let entries = |list: &CodeList| -> BTreeSet<(String, String)> { list.entries().collect() };
    let (now, then) = (entries(now), then.map(entries).unwrap_or_default());
    let categories: BTreeSet<&String> = now.iter().chain(&then).map(|(category, _)| category).collect();
    let only = |one: &BTreeSet<(String, String)>, two: &BTreeSet<(String, String)>, category: &String| {
        one.difference(two).filter(|(of, _)| of == category).map(|(_, code)| code.clone()).collect::<Vec<_>>()
    };
    categories
        .into_iter()
        .map(|category| Change {
            category: category.clone(),
            added: only(&now, &then, category),
            removed: only(&then, &now, category),
        })
        .filter(|change| !change.added.is_empty() || !change.removed.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opencodelists_file_becomes_a_list_with_its_source() {
        let text = "code,term\n44054006,Diabetes mellitus type 2\n44054006,Diabetes mellitus type 2\n1.2E+10,broken\n46635009,\"Diabetes, type 1\"\n";
        let imported = import(text, "opensafely/diabetes/2020", System::Snomed, "DM_COD").unwrap();
        assert_eq!((imported.codes, imported.repeated, &imported.malformed[..]), (2, 1, &[4][..]));
        let list = CodeList::parse("mine", &imported.text).unwrap();
        assert_eq!(list.codes, 2);
        assert_eq!(list.label_of(System::Snomed, b"46635009"), Some("Diabetes, type 1"));
    }

    #[test]
    fn a_reference_set_file_is_read_by_its_own_header_and_inactive_members_stay_out() {
        let text = "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\n\
                    a\t20200101\t1\t9\t8\t44054006\nb\t20200101\t0\t9\t8\t46635009\n";
        let imported = import(text, "a reference set", System::Snomed, "DM_COD").unwrap();
        assert_eq!((imported.codes, imported.inactive), (1, 1));
        assert!(imported.text.contains("snomed,44054006,exact,DM_COD,,"));
    }

    #[test]
    fn what_a_list_would_change_is_told_by_category() {
        let list = |codes: &str| {
            CodeList::parse("x", &format!("# Source: s\nsystem,code,match,category,label,weight\n{codes}")).unwrap()
        };
        let then = list("icd10,F00,prefix,dementia,,\nicd10,I50,prefix,heart,,\n");
        let now = list("icd10,F00,prefix,dementia,,\nicd10,F01,prefix,dementia,,\n");
        let changed = changes(&now, Some(&then));
        assert_eq!(changed.len(), 2);
        assert_eq!(
            changed[0],
            Change { category: "dementia".into(), added: vec!["icd10 F01*".into()], removed: vec![] }
        );
        assert_eq!(changed[1], Change { category: "heart".into(), added: vec![], removed: vec!["icd10 I50*".into()] });
    }
}
