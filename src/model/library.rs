//! The files that models are made of: those shipped inside the binary, and the user's own over them.
//!
//! `--models DIR` lays a folder over the shipped one, file by file: `DIR/codelists/qof.csv` replaces the shipped list
//! of that name, and a new name adds to it. Every file that a run uses is in its manifest with its hash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::Problem;
use crate::code::{CodeList, System};
use crate::number::Micro;

static SHIPPED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/models");

/// One file of the library.
#[derive(Debug, Clone)]
pub struct Text {
    /// `scores/cpm.toml`
    pub file: String,
    pub text: String,
    pub is_shipped: bool,
}

impl Text {
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.text.as_bytes()))
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Values by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub id: String,
    pub source: String,
    pub values: BTreeMap<String, Micro>,
    pub labels: BTreeMap<String, String>,
}

impl Table {
    /// The table that a run computes from its own admissions.
    pub const REHOSPITALISATION: &str = "rehospitalisation_ratio";

    fn parse(id: &str, text: &str) -> Result<Table, String> {
        let file = format!("tables/{id}.csv");
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let source = first
            .strip_prefix('#')
            .ok_or_else(|| format!("{file}:1: no source line; the first line says `# Source: ...`"))?;
        let mut table = Table {
            id: id.to_owned(),
            source: source.trim().trim_start_matches("Source:").trim().to_owned(),
            values: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        let mut reader = csv::Reader::from_reader(body.as_bytes());
        for (number, record) in reader.deserialize::<(String, f64, String)>().enumerate() {
            let place = format!("{file}:{}", number + 3);
            let (code, value, label) =
                record.map_err(|_| format!("{place}: a line is code, value, label, and value is a number"))?;
            let value = Micro::exact(value)
                .ok_or_else(|| format!("{place}: value has more than six decimals or is not finite"))?;
            if table.values.insert(code.clone(), value).is_some() {
                return Err(format!("{place}: the code is listed twice"));
            }
            table.labels.insert(code, label);
        }
        if table.values.is_empty() { Err(format!("{file}: no lines")) } else { Ok(table) }
    }
}

/// The codes that never become an event: their rows are dropped when they are classified.
#[derive(Debug, Clone, Default)]
pub struct Sensitive(Option<Arc<CodeList>>);

impl Sensitive {
    /// The code list that holds them.
    pub const LIST: &str = "sensitive";

    #[inline]
    pub fn has(&self, system: System, code: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|list| list.has(system, code))
    }

    /// How many codes are on the list.
    pub fn codes(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.codes)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Library {
    pub models: BTreeMap<String, Text>,
    pub layouts: BTreeMap<String, Text>,
    pub cohorts: BTreeMap<String, Text>,
    pub code_lists: BTreeMap<String, CodeList>,
    pub tables: BTreeMap<String, Table>,
    /// From the code list of this name; empty where a legal basis lets its codes through.
    pub sensitive: Sensitive,
    /// Every code list and table as it was read.
    pub data_files: BTreeMap<String, Text>,
}

impl Library {
    /// The shipped files, with those of `over` laid over them.
    ///
    /// # Errors
    /// A folder that cannot be read; every fault in a code list or table.
    pub fn load(over: Option<&Path>) -> anyhow::Result<Result<Library, Vec<Problem>>> {
        let mut texts = BTreeMap::new();
        collect_shipped(&SHIPPED, &mut texts);
        if let Some(over) = over {
            collect_folder(over, &mut texts)?;
        }
        Ok(Library::from_texts(texts))
    }

    fn from_texts(texts: BTreeMap<String, Text>) -> Result<Library, Vec<Problem>> {
        let mut library = Library::default();
        let mut problems = Vec::new();
        for (file, text) in texts {
            let Some((folder, name)) = file.split_once('/') else { continue };
            let Some((id, extension)) = name.rsplit_once('.') else { continue };
            match (folder, extension) {
                ("scores", "toml") => drop(library.models.insert(id.to_owned(), text)),
                ("layouts", "toml") => drop(library.layouts.insert(id.to_owned(), text)),
                ("cohorts", "toml") => drop(library.cohorts.insert(id.to_owned(), text)),
                ("codelists", "csv") => {
                    match CodeList::parse(id, &text.text) {
                        Ok(list) => drop(library.code_lists.insert(id.to_owned(), list)),
                        Err(faults) => problems.extend(faults),
                    }
                    library.data_files.insert(file, text);
                }
                ("tables", "csv") => {
                    match Table::parse(id, &text.text) {
                        Ok(table) => drop(library.tables.insert(id.to_owned(), table)),
                        Err(fault) => problems.push(fault),
                    }
                    library.data_files.insert(file, text);
                }
                _ if text.is_shipped => {}
                _ => problems.push(format!("{file}: a file of this kind has no place in {folder}/; models, layouts and cohorts are .toml, lists and tables .csv")),
            }
        }
        library.sensitive = Sensitive(library.code_lists.get(Sensitive::LIST).cloned().map(Arc::new));
        let problem = |what: String| Problem { file: "models".to_owned(), line: 0, what };
        if problems.is_empty() { Ok(library) } else { Err(problems.into_iter().map(problem).collect()) }
    }

    pub fn table(&self, id: &str) -> Option<&Table> {
        self.tables.get(id)
    }
}

/// The folders of a library.
const FOLDERS: [&str; 5] = ["scores", "layouts", "cohorts", "codelists", "tables"];

fn collect_shipped(folder: &Dir<'static>, texts: &mut BTreeMap<String, Text>) {
    for file in folder.files() {
        if let Some(text) = file.contents_utf8() {
            let name = file.path().to_string_lossy().replace('\\', "/");
            texts.insert(name.clone(), Text { file: name, text: text.to_owned(), is_shipped: true });
        }
    }
    for inner in folder.dirs() {
        collect_shipped(inner, texts);
    }
}

fn collect_folder(folder: &Path, texts: &mut BTreeMap<String, Text>) -> anyhow::Result<()> {
    std::fs::read_dir(folder).with_context(|| format!("failed to read the models folder {}", folder.display()))?;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = FOLDERS.contains(&name.as_str()) || name.starts_with('.');
        anyhow::ensure!(
            known,
            "{}: no place for \"{name}\"; known folders are {}",
            folder.display(),
            FOLDERS.join(", ")
        );
    }
    for inner in FOLDERS {
        let entries = match std::fs::read_dir(folder.join(inner)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", folder.join(inner).display()));
            }
        };
        for entry in entries {
            let path = entry?.path();
            let name = format!("{inner}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            texts.insert(name.clone(), Text { file: name, text, is_shipped: false });
        }
    }
    Ok(())
}
