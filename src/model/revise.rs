//! A model file made of another: the same terms, windows and words, with numbers that were estimated on local data.
//!
//! The text is edited where a number stands, so that all else, comments too, is as the analyst knows it. Worked examples
//! are left out, for they hold for the old numbers.

use std::ops::Range;

use super::Problem;
use super::check::toml_problem;
use super::spec::ModelFile;
use crate::number::Nano;

/// What is changed.
#[derive(Debug, Clone, Default)]
pub struct Revision {
    pub id: String,
    pub version: String,
    pub title: String,
    pub intercept: Option<Nano>,
    /// By term.
    pub coefficients: Vec<(String, Nano)>,
    /// TOML to add at the end: `[estimated]`, further terms.
    pub sections: String,
}

/// The text of the revised model.
///
/// # Errors
/// A text that is no model file, or that lacks a number which is to be changed.
pub fn revise(file: &str, text: &str, revision: &Revision) -> Result<String, Problem> {
    let spec: ModelFile = toml::from_str(text).map_err(|error| toml_problem(file, text, &error))?;
    let lacks = |what: String| Problem { file: file.to_owned(), line: 0, what };
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    if let Some(intercept) = revision.intercept {
        let old = spec.baseline.as_ref().and_then(|baseline| baseline.intercept.as_ref());
        edits.push((old.ok_or_else(|| lacks("no intercept to revise".to_owned()))?.span(), intercept.to_string()));
    }
    for (name, coefficient) in &revision.coefficients {
        let term = spec.terms.iter().find(|term| term.name.get_ref() == name);
        let old = term.and_then(|term| term.coefficient.as_ref());
        let old = old.ok_or_else(|| lacks(format!("term \"{name}\" has no coefficient to revise")))?;
        edits.push((old.span(), coefficient.to_string()));
    }
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, number) in edits {
        text.replace_range(span, &number);
    }
    Ok(format!("{}\n{}", with_header(&text, revision), revision.sections))
}

/// The text with another header, and without the parts that hold for the old numbers.
fn with_header(text: &str, revision: &Revision) -> String {
    let mut kept = String::new();
    // Blank lines and comments belong to what follows them.
    let mut pending: Vec<&str> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            pending.push(line);
            continue;
        }
        if line.starts_with('[') {
            let name = line.trim_start_matches('[');
            section = name[..name.find(']').unwrap_or(name.len())].to_owned();
        }
        let part = section.split('.').next().unwrap_or_default();
        let is_dropped = matches!(part, "example" | "estimated" | "isotonic");
        if !is_dropped {
            pending.iter().for_each(|line| push(&mut kept, line));
            push(&mut kept, &header_line(line, &section, revision));
        }
        pending.clear();
    }
    kept
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn header_line(line: &str, section: &str, revision: &Revision) -> String {
    let Some((key, _)) = line.split_once('=').filter(|_| section == "model") else { return line.to_owned() };
    let value = match key.trim() {
        "id" => &revision.id,
        "version" => &revision.version,
        "title" => &revision.title,
        _ => return line.to_owned(),
    };
    format!("{key}= {}", quoted(value))
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"# A comment that stays.
format = 1

[model]
id      = "old"
version = "1.0.0"
title   = "Old"
kind    = "logistic"

[source]
citation = "x"
location = "y"
derived  = []
assumed  = []

[baseline]
intercept = -2.5 # solved

[[term]]  # 36: b = 0.5
name         = "a"
label        = "A"
value        = { age_years = {} }
when_missing = "zero"
coefficient  = 0.5

# --- Examples ---
[[example]]
who      = "somebody"
decimals = 9
[example.given]
a = 1
"#;

    #[test]
    fn numbers_and_header_change_and_the_rest_stays_word_for_word() {
        let revision = Revision {
            id: "old@here".to_owned(),
            version: "2".to_owned(),
            title: "Old, \"here\"".to_owned(),
            intercept: Some(Nano(-1_000_000_001)),
            coefficients: vec![("a".to_owned(), Nano(250_000_000))],
            sections: "[estimated]\nfrom = \"old 1.0.0\"\n".to_owned(),
        };
        let expected = OLD
            .replace("\"old\"", "\"old@here\"")
            .replace("\"1.0.0\"", "\"2\"")
            .replace("\"Old\"", "\"Old, \\\"here\\\"\"")
            .replace("-2.5", "-1.000000001")
            .replace("coefficient  = 0.5", "coefficient  = 0.25");
        let expected =
            format!("{}\n[estimated]\nfrom = \"old 1.0.0\"\n", &expected[..expected.find("\n# --- Ex").unwrap()]);
        assert_eq!(revise("old.toml", OLD, &revision).unwrap(), expected);
        let unknown = Revision { coefficients: vec![("b".to_owned(), Nano(1))], ..revision };
        assert_eq!(revise("old.toml", OLD, &unknown).unwrap_err().what, "term \"b\" has no coefficient to revise");
    }
}
