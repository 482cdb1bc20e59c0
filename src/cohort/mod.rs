//! Cohorts: who is on a list, by a rule that an analyst can read.
//!
//! A rule is a SQL condition over the published columns, and an order. Polars runs it over a table with one row per
//! scored person; ties go by pseudonym, so the same inputs give the same list. Nothing here writes files.

pub mod columns;

use anyhow::{Context, Result};
use polars::prelude::{DataFrame, IntoLazy};
use polars::sql::SQLContext;
use serde::Deserialize;

use crate::model::Problem;
use crate::model::check::toml_problem;

/// The mirror of a cohort file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortFile {
    pub format: u32,
    pub cohort: Cohort,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    pub id: String,
    pub title: String,
    /// What a team is to do with the list.
    pub purpose: String,
    pub source: String,
    /// The model whose score, band and reasons the list shows.
    pub model: String,
    /// A SQL condition over the published columns.
    #[serde(rename = "where")]
    pub condition: String,
    /// Published columns, the first counting most; `-` before a name puts the largest first.
    pub order_by: Vec<String>,
    /// Published columns to show beside pseudonym, order, score, band and reasons.
    #[serde(default)]
    pub columns: Vec<String>,
}

impl Cohort {
    /// Reads a cohort file.
    ///
    /// # Errors
    /// Every problem that can be seen without the published columns.
    pub fn parse(file: &str, text: &str) -> Result<Cohort, Vec<Problem>> {
        let mirror: CohortFile = toml::from_str(text).map_err(|error| vec![toml_problem(file, text, &error)])?;
        let mut problems = Vec::new();
        let mut problem = |what: String| problems.push(Problem { file: file.to_owned(), line: 0, what });
        if mirror.format != 1 {
            problem(format!("format {} is not known; this version reads format 1", mirror.format));
        }
        let cohort = mirror.cohort;
        if !cohort.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            || cohort.id.is_empty()
        {
            problem(format!("cohort id \"{}\" may hold small letters, digits and `_` only", cohort.id));
        }
        if cohort.order_by.is_empty() {
            problem("order_by is empty: a list has an order".to_owned());
        }
        if problems.is_empty() { Ok(cohort) } else { Err(problems) }
    }

    /// Faults of the rule against the columns that a run publishes, found by running it over none of them.
    ///
    /// # Errors
    /// An unknown column or a condition that is no SQL, in words.
    pub fn check(&self, published: &DataFrame) -> Result<(), String> {
        let known: Vec<&str> = published.get_column_names().into_iter().map(|name| name.as_str()).collect();
        let named = self
            .order_by
            .iter()
            .map(|name| name.trim_start_matches('-'))
            .chain(self.columns.iter().map(String::as_str));
        for name in named {
            if !known.contains(&name) {
                let near = crate::model::check::nearest(name, known.iter().copied());
                return Err(format!(
                    "cohort \"{}\": no published column \"{name}\"{near}; known are {}",
                    self.id,
                    known.join(", ")
                ));
            }
        }
        let Err(error) = self.members(&published.head(Some(0))) else { return Ok(()) };
        // Polars puts its whole plan behind the first line.
        let cause = error.root_cause().to_string();
        let cause = cause.lines().next().unwrap_or_default().split("; valid columns").next().unwrap_or_default();
        let unknown = cause.split('"').nth(1).filter(|name| !known.contains(name));
        let near = unknown.map(|name| crate::model::check::nearest(name, known.iter().copied())).unwrap_or_default();
        Err(format!(
            "cohort \"{}\": the rule's condition did not run: {cause}{near}; known columns are {}",
            self.id,
            known.join(", ")
        ))
    }

    /// Whether the rule mentions a column, so that it need not be laid out for Polars otherwise.
    pub fn mentions(&self, column: &str) -> bool {
        self.condition.contains(column) || self.order_by.iter().any(|name| name.trim_start_matches('-') == column)
    }

    /// The people whom the rule holds for, in the list's order, as rows of the published columns.
    ///
    /// # Boundaries
    /// A condition that is null (a person without a score, say) does not hold. Ties of the order go by pseudonym.
    pub fn members(&self, published: &DataFrame) -> Result<Vec<u32>> {
        let order: Vec<String> = self
            .order_by
            .iter()
            .map(|name| match name.strip_prefix('-') {
                Some(name) => format!("\"{name}\" DESC"),
                None => format!("\"{name}\" ASC"),
            })
            .collect();
        let query = format!(
            "SELECT \"{ROW}\" FROM people WHERE ({}) ORDER BY {}, \"{ROW}\" ASC",
            self.condition,
            order.join(", ")
        );
        let mut context = SQLContext::new();
        context.register("people", published.clone().lazy());
        let found = context
            .execute(&query)
            .and_then(polars::prelude::LazyFrame::collect)
            .context("the rule's condition did not run")?;
        Ok(found.column(ROW)?.u32()?.into_no_null_iter().collect())
    }
}

/// The published column that holds a row's number.
pub const ROW: &str = "row";
