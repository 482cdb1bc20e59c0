//! What a cohort's rule says of everybody: Polars runs its SQL over the published columns.
//!
//! Nothing here depends on the order of rows that Polars gives back: every condition is asked of every row, and answers
//! stand in the order of the rows. A condition that is neither true nor false (NULL) does not hold.

use anyhow::{Context, Result, ensure};
use polars::prelude::{Column, DataFrame, DataType, IntoLazy, LazyFrame};
use polars::sql::SQLContext;
use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::columns::{Made, Values};
use super::spec::Cohort;
use crate::model::check::nearest;
use crate::person::WordColumn;

/// What the rule says, a row a person.
#[derive(Debug)]
pub struct Judged {
    pub holds: Vec<bool>,
    /// Whether it is enough for somebody who was on the last list.
    pub stays: Vec<bool>,
    /// The first exclusion that applies.
    pub excluded: Vec<Option<u8>>,
    pub derived: Vec<Made>,
}

/// A condition of a cohort with the key that it stands under.
struct Asked<'a> {
    key: String,
    condition: &'a str,
}

impl Cohort {
    /// Asks every condition of the cohort of everybody.
    ///
    /// # Errors
    /// SQL that does not run over these columns, or a condition that is not true or false.
    pub fn judge(&self, published: &DataFrame) -> Result<Judged> {
        let table = self.with_derived(published)?;
        let asked = self.asked();
        let answers = ask(&table, asked.iter().map(|asked| asked.condition))?;
        let mut answers = answers.into_iter();
        let holds = answers.next().expect("a rule has a condition");
        let stays = if self.stay.is_some() { answers.next().expect("asked after it") } else { holds.clone() };
        let mut excluded = vec![None; holds.len()];
        for (number, applies) in answers.enumerate() {
            for (first, applies) in excluded.iter_mut().zip(applies) {
                *first = first.or(applies.then_some(number as u8));
            }
        }
        let derived = self.derive.keys().map(|name| column_of(name, table.column(name)?)).collect::<Result<_>>()?;
        Ok(Judged { holds, stays, excluded, derived })
    }

    /// Which rows a condition holds for, with the cohort's own columns at hand.
    pub fn holds(&self, published: &DataFrame, condition: &str) -> Result<Vec<bool>> {
        let answers = ask(&self.with_derived(published)?, [condition].into_iter())?;
        Ok(answers.into_iter().next().expect("one was asked"))
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        let mut asked = vec![Asked { key: "where".to_owned(), condition: &self.condition }];
        asked.extend(self.stay.as_deref().map(|condition| Asked { key: "stay".to_owned(), condition }));
        asked.extend(self.exclusions.iter().map(|exclusion| Asked {
            key: format!("exclusion: \"{}\"", exclusion.name),
            condition: &exclusion.condition,
        }));
        asked
    }

    fn with_derived(&self, published: &DataFrame) -> Result<DataFrame> {
        if self.derive.is_empty() {
            return Ok(published.clone());
        }
        let derived: Vec<String> = self.derive.iter().map(|(name, sql)| format!("({sql}) AS \"{name}\"")).collect();
        run(published, &format!("SELECT *, {} FROM people", derived.join(", ")))
    }

    /// Faults of the cohort against the columns that a run publishes, found by asking it of nobody.
    ///
    /// # Errors
    /// Every unknown column, condition that does not run or is not true or false, in words that begin with the cohort
    /// and the key.
    pub fn check(&self, published: &DataFrame, elsewhere: &Elsewhere) -> Result<(), Vec<String>> {
        let nobody = published.head(Some(0));
        let known: Vec<&str> = nobody.get_column_names().into_iter().map(|name| name.as_str()).collect();
        let columns: Vec<&str> = known.into_iter().filter(|name| *name != super::ROW).collect();
        let known = Known { columns: &columns, elsewhere };
        let mut problems = Vec::new();
        let mut problem = |key: &str, what: String| problems.push(format!("cohort \"{}\": {key}: {what}", self.id));
        let own: Vec<&str> = self.derive.keys().map(String::as_str).collect();
        for name in own.iter().filter(|name| columns.contains(name)) {
            problem("derive", format!("\"{name}\" is a published column already"));
        }
        for (key, name) in self.named_columns() {
            if !columns.contains(&name) && !own.contains(&name) {
                problem(key, format!("no published column \"{name}\"{}", self.unknown(name, &known)));
            }
        }
        for (name, sql) in &self.derive {
            let alone = Cohort { derive: [(name.clone(), sql.clone())].into(), ..self.clone() };
            if let Err(error) = alone.with_derived(&nobody) {
                problem("derive", format!("\"{name}\" {}", self.told(&error, &known)));
            }
        }
        // With a derived column at fault, every condition that uses it would be told as one too.
        let table = self.with_derived(&nobody);
        for asked in self.asked().iter().filter(|_| table.is_ok()) {
            let table = table.as_ref().expect("it runs");
            match ask(table, [asked.condition].into_iter()) {
                Ok(_) => {}
                Err(error) => problem(&asked.key, self.told(&error, &known)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The columns that the cohort names outside SQL, with their keys.
    fn named_columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let order = self.order_by.iter().map(|name| ("order_by", name.strip_prefix('-').unwrap_or(name)));
        let columns = self.columns.iter().map(|name| ("columns", name.as_str()));
        let per = self.capacity.iter().filter(|capacity| capacity.per != super::fill::ALL);
        let per = per.map(|capacity| ("capacity", capacity.per.as_str()));
        let floor = self.floor.iter().map(|floor| ("floor", floor.by.as_str()));
        order.chain(columns).chain(per).chain(floor)
    }

    /// What to say of a column that is not there.
    fn unknown(&self, name: &str, known: &Known) -> String {
        let lists: Vec<&str> = known.columns.iter().copied().filter(|column| column.starts_with("on_")).collect();
        let lists = if lists.is_empty() { "there are none".to_owned() } else { lists.join(", ") };
        if name == self.on_column() {
            return format!(": a cohort cannot ask who is on its own list; of those before it {lists}");
        }
        if let Some(words) = (known.elsewhere)(name) {
            return format!(": {words}");
        }
        let near = nearest(name, known.columns.iter().copied());
        if name.starts_with("on_") && near.is_empty() {
            return format!(": a cohort asks about the lists of cohorts before it; {lists}");
        }
        format!("{near}; known are {}", known.columns.join(", "))
    }

    /// A fault of Polars in one line, with the column that may have been meant.
    fn told(&self, error: &anyhow::Error, known: &Known) -> String {
        // Polars puts its whole plan behind the first line.
        let cause = error.root_cause().to_string();
        let cause = cause.lines().next().unwrap_or_default().split("; valid columns").next().unwrap_or_default();
        let unknown = cause.split('"').nth(1).filter(|name| !known.columns.contains(name) && cause.contains("find"));
        match unknown {
            Some(name) => format!("no published column \"{name}\"{}", self.unknown(name, known)),
            None => format!("did not run: {cause}"),
        }
    }

    /// Whether the cohort's SQL mentions a column, so that it need not be laid out for Polars otherwise.
    pub fn mentions(&self, column: &str) -> bool {
        let derived = self.derive.values().map(String::as_str);
        self.asked().iter().map(|asked| asked.condition).chain(derived).any(|sql| sql.contains(column))
    }
}

/// Words on where a column that is not published here would come from, if that is known.
pub type Elsewhere<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The columns that a rule may use.
struct Known<'a> {
    columns: &'a [&'a str],
    elsewhere: &'a Elsewhere<'a>,
}

/// The answer of every row to every condition.
fn ask<'a>(table: &DataFrame, conditions: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<bool>>> {
    let asked: Vec<String> =
        conditions.enumerate().map(|(number, condition)| format!("({condition}) AS \"answer_{number}\"")).collect();
    let answers = run(table, &format!("SELECT {} FROM people", asked.join(", ")))?;
    answers.columns().iter().map(|column| truths(column, table.height())).collect()
}

fn truths(column: &Column, rows: usize) -> Result<Vec<bool>> {
    // A condition of constants alone is one row.
    let is_all = column.len() == rows;
    let truths: Vec<bool> = match column.dtype() {
        DataType::Boolean => column.bool()?.iter().map(|answer| answer == Some(true)).collect(),
        DataType::Null => vec![false; column.len()],
        other => {
            ensure!(false, "the condition is of type {other}, not true or false; compare it with something");
            Vec::new()
        }
    };
    Ok(if is_all { truths } else { vec![truths.first() == Some(&true); rows] })
}

fn run(table: &DataFrame, query: &str) -> Result<DataFrame> {
    let mut context = SQLContext::new();
    context.register("people", table.clone().lazy());
    context.execute(query).and_then(LazyFrame::collect).context("the SQL did not run")
}

/// A column that SQL made, as a published one.
fn column_of(name: &str, column: &Column) -> Result<Made> {
    let values = match column.dtype() {
        DataType::String => Values::Words(WordColumn::new(column.str()?.iter())),
        DataType::Boolean => Values::Whole(column.bool()?.iter().map(|truth| truth.map(i64::from)).collect()),
        DataType::Float32 | DataType::Float64 => {
            Values::Decimal(column.cast(&DataType::Float64)?.f64()?.iter().collect())
        }
        DataType::Null => Values::Whole(vec![None; column.len()]),
        _ => Values::Whole(column.cast(&DataType::Int64)?.i64()?.iter().collect()),
    };
    Ok(Made { name: name.to_owned(), values })
}

/// The parts of a condition that all have to hold.
pub fn parts(condition: &str) -> Result<Vec<String>> {
    let dialect = GenericDialect {};
    let expression = Parser::new(&dialect).try_with_sql(condition)?.parse_expr()?;
    let mut parts = Vec::new();
    split_and(&expression, &mut parts);
    Ok(parts)
}

fn split_and(expression: &Expr, parts: &mut Vec<String>) {
    match expression {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split_and(left, parts);
            split_and(right, parts);
        }
        Expr::Nested(inner) if matches!(**inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
            split_and(inner, parts)
        }
        other => parts.push(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_taken_apart_at_its_ands_and_nowhere_else() {
        let rule = "cpm_band IN ('very_high', 'high') AND (age_years BETWEEN 18 AND 90) AND (a = 1 OR b = 2 AND c = 3)";
        let found = parts(rule).unwrap();
        assert_eq!(
            found,
            ["cpm_band IN ('very_high', 'high')", "(age_years BETWEEN 18 AND 90)", "(a = 1 OR b = 2 AND c = 3)"]
        );
        assert!(parts("age_years >").is_err());
    }
}
