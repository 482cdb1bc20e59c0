//! Coding systems and code lists.
//!
//! A code is text, never a number: a SNOMED CT identifier does not fit a float, and `0301` is not `301`. Each system
//! has one written form that all comparisons use; [`System::normalise`] brings a raw value to it. A [`CodeList`] says
//! which codes fall into which categories.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::number::Nano;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Icd10,
    Opcs4,
    Snomed,
    Read2,
    Ctv3,
    Bnf,
    /// Dictionary of medicines and devices: SNOMED CT identifiers of products.
    Dmd,
}

/// What became of a raw code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalised {
    /// The normal form was written.
    Code,
    /// Nothing was recorded.
    Blank,
    /// It does not have the form of a code of this system.
    Malformed,
}

impl System {
    pub const ALL: [System; 7] =
        [System::Icd10, System::Opcs4, System::Snomed, System::Read2, System::Ctv3, System::Bnf, System::Dmd];

    pub fn name(self) -> &'static str {
        match self {
            System::Icd10 => "icd10",
            System::Opcs4 => "opcs4",
            System::Snomed => "snomed",
            System::Read2 => "read2",
            System::Ctv3 => "ctv3",
            System::Bnf => "bnf",
            System::Dmd => "dmd",
        }
    }

    /// The system of that name, as code lists and layouts write it.
    pub fn named(name: &str) -> Option<System> {
        System::ALL.into_iter().find(|system| system.name() == name)
    }

    /// Writes the normal form of a raw value to `out`, which is emptied first.
    ///
    /// # Boundaries
    /// ICD-10: upper case, no dot, `X` fillers and dagger or asterisk marks dropped, three or four characters.
    /// OPCS-4: upper case, no dot. SNOMED CT: 6 to 18 digits. Read v2 and CTV3: five characters, case kept, a
    /// trailing term code cut off, short codes filled with dots. BNF: upper case, at most 15
    /// characters, of which the first two are the chapter's figures. dm+d: as
    /// SNOMED CT, of which its product identifiers are a part.
    /// # Source
    /// NHS Data Dictionary, diagnostic coding; HES analysis guide.
    pub fn normalise(self, raw: &[u8], out: &mut Vec<u8>) -> Normalised {
        out.clear();
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            return Normalised::Blank;
        }
        let well_formed = match self {
            System::Icd10 => normalise_icd10(raw, out),
            System::Opcs4 => normalise_opcs4(raw, out),
            System::Snomed | System::Dmd => {
                out.extend_from_slice(raw);
                (6..=18).contains(&raw.len()) && raw.iter().all(u8::is_ascii_digit) && raw[0] != b'0'
            }
            System::Read2 | System::Ctv3 => normalise_read(raw, out),
            System::Bnf => {
                out.extend(raw.iter().map(u8::to_ascii_uppercase));
                // The chapter, two figures, comes first.
                (2..=15).contains(&raw.len())
                    && out.iter().all(u8::is_ascii_alphanumeric)
                    && out[..2].iter().all(u8::is_ascii_digit)
            }
        };
        match well_formed {
            true => Normalised::Code,
            false => {
                out.clear();
                Normalised::Malformed
            }
        }
    }
}

fn normalise_icd10(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut marks = raw.iter().filter(|byte| !matches!(byte, b'.' | b'-' | b' '));
    for byte in marks.by_ref().take(4) {
        out.push(byte.to_ascii_uppercase());
    }
    // The fourth place is a digit, or a filler, or the dagger or asterisk of an undivided category.
    if out.len() == 4 && matches!(out[3], b'X' | b'A' | b'D') {
        out.pop();
    }
    let shaped = matches!(out[..], [letter, digit, third] | [letter, digit, third, _]
        if letter.is_ascii_uppercase() && digit.is_ascii_digit() && third.is_ascii_digit());
    shaped && (out.len() == 3 || out[3].is_ascii_digit()) && raw.len() <= 7
}

fn normalise_opcs4(raw: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(raw.iter().filter(|byte| !matches!(byte, b'.' | b' ')).map(u8::to_ascii_uppercase));
    matches!(out[..], [letter, a, b] | [letter, a, b, _]
        if letter.is_ascii_uppercase() && a.is_ascii_digit() && b.is_ascii_digit())
        && out.last().is_some_and(u8::is_ascii_digit)
}

fn normalise_read(raw: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&raw[..raw.len().min(5)]);
    out.resize(5, b'.');
    raw.len() <= 7 && out.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Match {
    Exact,
    Prefix,
}

/// One line of a code list file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    system: String,
    code: String,
    #[serde(rename = "match")]
    matches: Match,
    category: String,
    label: String,
    weight: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    pub name: String,
    /// The label of the category's first code that has one.
    pub label: String,
    pub weight: Option<Nano>,
}

/// Codes and the categories that they fall into.
#[derive(Debug, Clone)]
pub struct CodeList {
    pub id: String,
    /// The file's first line, without its mark.
    pub source: String,
    /// In name order.
    pub categories: Vec<Category>,
    pub codes: usize,
    exact: BTreeMap<(System, Box<[u8]>), Vec<u32>>,
    prefix: BTreeMap<(System, Box<[u8]>), Vec<u32>>,
    labels: BTreeMap<(System, Box<[u8]>), String>,
}

impl CodeList {
    /// Reads a code list: a line `# Source: …`, a header, one code a line.
    ///
    /// # Errors
    /// Every fault in the file, each with its line: no source, an unknown system or match, a code that does not have
    /// the form of its system, a weight that is no number, one category with two weights, a code listed twice.
    pub fn parse(id: &str, text: &str) -> Result<CodeList, Vec<String>> {
        let file = format!("codelists/{id}.csv");
        let Some(source) = text.lines().next().and_then(|line| line.strip_prefix('#')).map(str::trim) else {
            return Err(vec![format!("{file}:1: no source line; the first line says `# Source: ...`")]);
        };
        let body = text.split_once('\n').map_or("", |(_, body)| body);
        let mut list = CodeList {
            id: id.to_owned(),
            source: source.trim_start_matches("Source:").trim().to_owned(),
            categories: Vec::new(),
            codes: 0,
            exact: BTreeMap::new(),
            prefix: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        let mut problems = Vec::new();
        let lines = list.read_lines(&file, body, &mut problems);
        list.take_categories(&lines, &file, &mut problems);
        for (number, system, code, line) in &lines {
            list.take_code(*system, code, line, &format!("{file}:{number}"), &mut problems);
        }
        if lines.is_empty() && problems.is_empty() {
            problems.push(format!("{file}: no codes"));
        }
        if problems.is_empty() { Ok(list) } else { Err(problems) }
    }

    fn read_lines(&self, file: &str, body: &str, problems: &mut Vec<String>) -> Vec<(u64, System, Vec<u8>, Line)> {
        let mut reader = csv::Reader::from_reader(body.as_bytes());
        let headers = match reader.headers() {
            Ok(headers) => headers.clone(),
            Err(error) => {
                problems.push(format!("{file}:2: {error}"));
                return Vec::new();
            }
        };
        let mut lines = Vec::new();
        for record in reader.records() {
            let (number, line) = match &record {
                Ok(record) => {
                    (record.position().map_or(0, csv::Position::line) + 1, record.deserialize::<Line>(Some(&headers)))
                }
                Err(error) => {
                    problems.push(format!("{file}: {error}"));
                    continue;
                }
            };
            match line {
                Err(error) => problems.push(format!("{file}:{number}: {}", plain_csv_error(&error))),
                Ok(line) => match read_code(&line) {
                    Err(problem) => problems.push(format!("{file}:{number}: {problem}")),
                    Ok((system, code)) => lines.push((number, system, code, line)),
                },
            }
        }
        lines
    }

    fn take_categories(&mut self, lines: &[(u64, System, Vec<u8>, Line)], file: &str, problems: &mut Vec<String>) {
        let mut categories: BTreeMap<&str, Category> = BTreeMap::new();
        for (number, _, _, line) in lines {
            let weight = match line.weight.as_deref().filter(|weight| !weight.is_empty()).map(Nano::parse) {
                Some(None) => {
                    problems.push(format!("{file}:{number}: weight is not a number of at most nine decimals"));
                    continue;
                }
                Some(weight) => weight,
                None => None,
            };
            let category = categories.entry(&line.category).or_insert_with(|| Category {
                name: line.category.clone(),
                label: line.label.clone(),
                weight,
            });
            if category.weight != weight {
                problems.push(format!("{file}:{number}: category \"{}\" has two weights", line.category));
            }
        }
        self.categories = categories.into_values().collect();
    }

    fn take_code(&mut self, system: System, code: &[u8], line: &Line, place: &str, problems: &mut Vec<String>) {
        // A line whose weight is no number made no category; that fault is named already.
        let Some(category) = self.category(&line.category) else { return };
        let key = (system, code.to_vec().into_boxed_slice());
        let codes = if line.matches == Match::Exact { &mut self.exact } else { &mut self.prefix };
        let categories = codes.entry(key.clone()).or_default();
        if categories.contains(&category) {
            problems.push(format!("{place}: code is listed twice in category \"{}\"", line.category));
            return;
        }
        categories.push(category);
        if !line.label.is_empty() {
            self.labels.entry(key).or_insert_with(|| line.label.clone());
        }
        self.codes += 1;
    }

    /// The categories that a code in normal form falls into, in order, each once.
    pub fn categories_of(&self, system: System, code: &[u8]) -> Vec<u32> {
        let mut found: Vec<u32> = self.exact.get(&(system, code.into())).cloned().unwrap_or_default();
        for length in 1..=code.len() {
            if let Some(categories) = self.prefix.get(&(system, code[..length].into())) {
                found.extend(categories);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    pub fn category(&self, name: &str) -> Option<u32> {
        self.categories.binary_search_by(|category| category.name.as_str().cmp(name)).ok().map(|index| index as u32)
    }

    /// What the list calls a code: its own label, or that of the longest prefix that it falls under.
    pub fn label_of(&self, system: System, code: &[u8]) -> Option<&str> {
        (1..=code.len()).rev().find_map(|length| self.labels.get(&(system, code[..length].into()))).map(String::as_str)
    }

    /// Whether a code in normal form is on the list, whatever its category.
    pub fn has(&self, system: System, code: &[u8]) -> bool {
        !self.categories_of(system, code).is_empty()
    }

    /// The codes and prefixes of a category, or of all: each with its system.
    pub fn codes_of(&self, category: Option<u32>) -> impl Iterator<Item = (System, &[u8])> {
        let all = self.exact.iter().chain(&self.prefix);
        let of = all.filter(move |(_, of)| category.is_none_or(|category| of.contains(&category)));
        of.map(|((system, code), _)| (*system, &code[..]))
    }

    /// Every category with each of its codes, as `icd10 F00*` where it stands for all that begin so.
    pub fn entries(&self) -> impl Iterator<Item = (String, String)> {
        let exact = self.exact.iter().map(|(key, categories)| (key, categories, ""));
        let prefix = self.prefix.iter().map(|(key, categories)| (key, categories, "*"));
        exact.chain(prefix).flat_map(move |((system, code), categories, mark)| {
            let code = format!("{system} {}{mark}", String::from_utf8_lossy(code));
            categories.iter().map(move |place| (self.categories[*place as usize].name.clone(), code.clone()))
        })
    }

    /// The systems that the list has codes of, in order.
    pub fn systems(&self) -> Vec<System> {
        let mut systems: Vec<_> = self.exact.keys().chain(self.prefix.keys()).map(|(system, _)| *system).collect();
        systems.sort_unstable();
        systems.dedup();
        systems
    }
}

fn read_code(line: &Line) -> Result<(System, Vec<u8>), String> {
    let system = System::named(&line.system).ok_or_else(|| {
        format!("unknown code system \"{}\"; known are {}", line.system, System::ALL.map(System::name).join(", "))
    })?;
    let mut code = Vec::new();
    // A prefix need not be a whole code: `F` stands for all of chapter F.
    if line.matches == Match::Prefix && !matches!(system, System::Read2 | System::Ctv3) {
        code.extend(
            line.code.bytes().filter(|byte| !matches!(byte, b'.' | b' ')).map(|byte| byte.to_ascii_uppercase()),
        );
        return if code.is_empty() { Err("empty code".to_owned()) } else { Ok((system, code)) };
    }
    match system.normalise(line.code.as_bytes(), &mut code) {
        Normalised::Code => Ok((system, code)),
        Normalised::Blank => Err("empty code".to_owned()),
        Normalised::Malformed => Err(format!("\"{}\" does not have the form of a {system} code", line.code)),
    }
}

/// A csv error without the record's own position, which counts from a line that the file does not start with.
fn plain_csv_error(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(system: System, raw: &str) -> Option<String> {
        let mut out = Vec::new();
        match system.normalise(raw.as_bytes(), &mut out) {
            Normalised::Code => Some(String::from_utf8(out).unwrap()),
            Normalised::Blank => Some(String::new()),
            Normalised::Malformed => None,
        }
    }

    #[test]
    fn icd10_loses_dots_fillers_and_marks() {
        for (raw, code) in [
            ("I10X", "I10"),
            ("i10x", "I10"),
            ("E11.9", "E119"),
            ("E119", "E119"),
            ("A170D", "A170"),
            ("A17D", "A17"),
            ("G01XA", "G01"),
            ("I801-", "I801"),
            ("I801 ", "I801"),
            ("M8005A", "M800"),
            ("R69X3", "R69"),
            ("U071", "U071"),
            ("", ""),
        ] {
            assert_eq!(normal(System::Icd10, raw).as_deref(), Some(code), "{raw}");
        }
        for raw in ["XXX", "10I", "I1", "I", "-", "I1234567", "E11Z"] {
            assert_eq!(normal(System::Icd10, raw), None, "{raw}");
        }
    }

    #[test]
    fn snomed_is_digits_and_never_a_float() {
        assert_eq!(normal(System::Snomed, "1011481000000105").as_deref(), Some("1011481000000105"));
        for raw in ["1.01148E+15", "12345", "1234567890123456789", "0123456", "-123456"] {
            assert_eq!(normal(System::Snomed, raw), None, "{raw}");
        }
    }

    #[test]
    fn a_product_of_the_dictionary_of_medicines_is_not_a_concept_of_snomed() {
        assert_eq!(normal(System::Dmd, " 39211711000001108 ").as_deref(), Some("39211711000001108"));
        for raw in ["3.92117E+16", "0402010", "12345", "0212000B0AAABAB"] {
            assert_eq!(normal(System::Dmd, raw), None, "{raw}");
        }
        let text = "# Source: made up\nsystem,code,match,category,label,weight\ndmd,39211711000001108,exact,statin,,\n";
        let list = CodeList::parse("x", text).unwrap();
        assert_eq!(list.categories_of(System::Dmd, b"39211711000001108"), [0]);
        assert!(list.categories_of(System::Snomed, b"39211711000001108").is_empty());
    }

    #[test]
    fn read_codes_are_five_characters_and_keep_their_case() {
        assert_eq!(normal(System::Read2, "G20..00").as_deref(), Some("G20.."));
        assert_eq!(normal(System::Ctv3, "XaZ89").as_deref(), Some("XaZ89"));
        assert_eq!(normal(System::Ctv3, "X40").as_deref(), Some("X40.."));
    }

    #[test]
    fn a_code_falls_into_every_category_that_lists_it_or_a_prefix_of_it() {
        let text = "# Source: made up\nsystem,code,match,category,label,weight\n\
                    icd10,F,prefix,mental,Mental illness,\nicd10,F00,prefix,dementia,Dementia,7.1\nicd10,F03X,exact,dementia,,7.1\n";
        let list = CodeList::parse("x", text).unwrap();
        let names = |code: &[u8]| -> Vec<_> {
            list.categories_of(System::Icd10, code)
                .into_iter()
                .map(|c| list.categories[c as usize].name.as_str())
                .collect()
        };
        assert_eq!(names(b"F001"), ["dementia", "mental"]);
        assert_eq!(names(b"F03"), ["dementia", "mental"]);
        assert_eq!(names(b"F031"), ["mental"]);
        assert_eq!(names(b"G30"), [""; 0]);
        assert_eq!(list.category("dementia").map(|c| list.categories[c as usize].weight), Some(Nano::parse("7.1")));
        assert_eq!(list.label_of(System::Icd10, b"F001"), Some("Dementia"));
    }

    #[test]
    fn every_fault_in_a_code_list_is_named_with_its_line() {
        let text = "# Source: made up\nsystem,code,match,category,label,weight\n\
                    icd11,F00,exact,a,,\nicd10,00F,exact,a,,\nicd10,F00,fuzzy,a,,\nicd10,F01,exact,a,,heavy\nicd10,F02,exact,b,,1\nicd10,F03,exact,b,,2\nicd10,F03,exact,b,,2\n";
        let problems = CodeList::parse("x", text).unwrap_err().join("\n");
        for expected in [
            "codelists/x.csv:3: unknown code system \"icd11\"; known are icd10, opcs4",
            "codelists/x.csv:4: \"00F\" does not have the form of a icd10 code",
            "codelists/x.csv:5: ",
            "codelists/x.csv:6: weight is not a number",
            "codelists/x.csv:8: category \"b\" has two weights",
            "codelists/x.csv:9: code is listed twice",
        ] {
            assert!(problems.contains(expected), "{expected} not in:\n{problems}");
        }
        assert!(CodeList::parse("x", "system,code\n").unwrap_err()[0].contains("no source line"));
    }
}
