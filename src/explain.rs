//! Why a person has a score: every term with its value, points, window and the events behind it.
//!
//! The person's rows are read again through the same readers, plan and sum as in the run that is explained; the sum is
//! checked against what that run published. Where the inputs, settings or models have changed since, it says so and
//! stops: an explanation of another run would be worse than none.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value as Json;

use crate::cohort::columns::{Published, PublishedColumn, Values};
use crate::cohort::rule::parts;
use crate::day::Day;
use crate::event::{AmountKind, Event};
use crate::ingest::classify::predicates_met;
use crate::measure::OnSpine;
use crate::measure::evaluate::{Evaluator, Scratch};
use crate::measure::plan::{Concept, Plan};
use crate::model::describe::in_words;
use crate::model::{Bands, Condition, Expression, Model};
use crate::number::{Micro, Nano};
use crate::person::{Found, key_of};
use crate::run::{Prepared, RunTables, read_events, read_people};
use crate::score::{published, sum};

/// One score, taken apart.
#[derive(Debug)]
pub struct Explanation {
    pub model: String,
    pub title: String,
    pub intercept: Nano,
    /// What the model's floor adds where the terms come to less; 0 where they do not.
    pub raised_to_floor: Nano,
    pub linear_predictor: Nano,
    pub score: f64,
    pub rank: Option<i64>,
    pub ranked: u64,
    pub band: Option<String>,
    pub fidelity: Option<String>,
    pub terms: Vec<TermExplained>,
    pub moves: Vec<Move>,
}

#[derive(Debug)]
pub struct TermExplained {
    pub name: String,
    pub label: String,
    pub how: String,
    pub value: Micro,
    pub coefficient: Nano,
    pub points: Nano,
    pub events: Vec<EventExplained>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventExplained {
    pub day: Day,
    pub stream: String,
    /// Fields with their codes and, where a code list has one, the code's label.
    pub what: String,
}

/// What would change the band.
#[derive(Debug)]
pub struct Move {
    pub to_band: String,
    /// How far the linear predictor is from that band.
    pub distance: Nano,
    /// The smallest single change that gets there, where one term can.
    pub change: Option<String>,
}

/// A person who has no score, or the scores of one who has.
#[derive(Debug)]
pub enum Answer {
    Scored(Vec<Explanation>),
    /// By model, the reason.
    NotScored(Vec<(String, String)>),
}

/// One condition of a cohort's rule, and whether it holds for the person.
#[derive(Debug)]
pub struct ConditionHeld {
    pub condition: String,
    pub holds: bool,
    /// The columns that it mentions, with the person's values.
    pub values: Vec<(String, String)>,
}

/// A published run, as it stands in its folder.
pub struct PublishedRun {
    pub as_of: Day,
    manifest: Json,
    quality: Json,
    /// The person's row of `scores.parquet`, if there is one.
    row: Option<Published<'static>>,
    not_scored: Vec<(String, String)>,
    /// By model: linear predictors of all, from the highest down.
    ranking: BTreeMap<String, Vec<i64>>,
}

impl PublishedRun {
    /// Opens a run for one person.
    ///
    /// # Errors
    /// A folder that is no run, or a pseudonym that is in none of its files.
    pub fn open(folder: &Path, person: &str) -> Result<PublishedRun> {
        let json = |name: &str| -> Result<Json> {
            let path = folder.join(name);
            let text = std::fs::read(&path).with_context(|| format!("{} is not a published run", folder.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("failed to read {}", path.display()))
        };
        let (manifest, quality) = (json("manifest.json")?, json("quality.json")?);
        let as_of = manifest["as_of"].as_str().and_then(|text| Day::parse(text.as_bytes()));
        let as_of = as_of.context("manifest.json has no as-of date")?;
        let mut run =
            PublishedRun { as_of, manifest, quality, row: None, not_scored: Vec::new(), ranking: BTreeMap::new() };
        run.read_scores(&folder.join("scores.parquet"), person)?;
        run.read_not_scored(&folder.join("not_scored.parquet"), person)?;
        run.read_lists(&folder.join("cohorts"), person)?;
        ensure!(
            run.row.is_some() || !run.not_scored.is_empty(),
            "the run has nobody with that pseudonym: not on its register, or opted out"
        );
        Ok(run)
    }

    fn read_scores(&mut self, path: &Path, person: &str) -> Result<()> {
        for_each_batch(path, |batch| {
            for (place, field) in batch.schema().fields().iter().enumerate() {
                if let Some(model) = field.name().strip_suffix("_linear_predictor") {
                    let column = batch.column(place).as_primitive::<Int64Type>();
                    self.ranking.entry(model.to_owned()).or_default().extend(column.iter().flatten());
                }
            }
            let people = batch.column_by_name("person").context("scores.parquet has no person")?.as_string::<i32>();
            if let Some(row) = (0..batch.num_rows()).find(|&row| same_person(people.value(row), person)) {
                self.row = Some(Published { people: vec![0], columns: row_of(&batch, row)? });
            }
            Ok(())
        })?;
        self.ranking.values_mut().for_each(|all| all.sort_unstable_by(|one, two| two.cmp(one)));
        Ok(())
    }

    fn read_not_scored(&mut self, path: &Path, person: &str) -> Result<()> {
        for_each_batch(path, |batch| {
            let text = |name: &str| batch.column_by_name(name).map(|column| column.as_string::<i32>().clone());
            let (Some(people), Some(models), Some(reasons)) = (text("person"), text("model"), text("reason")) else {
                bail!("not_scored.parquet lacks a column")
            };
            for row in (0..batch.num_rows()).filter(|&row| same_person(people.value(row), person)) {
                self.not_scored.push((models.value(row).to_owned(), reasons.value(row).to_owned()));
            }
            Ok(())
        })
    }

    /// Whether the person is on each list, as the column that later cohorts ask about.
    fn read_lists(&mut self, folder: &Path, person: &str) -> Result<()> {
        let Some(row) = &mut self.row else { return Ok(()) };
        let mut files: Vec<_> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
        files.sort();
        for path in files {
            let Some(cohort) = path.file_stem().map(|name| name.to_string_lossy().into_owned()) else { continue };
            let mut is_on = false;
            for_each_batch(&path, |batch| {
                let text = |name: &str| batch.column_by_name(name).map(|column| column.as_string::<i32>().clone());
                let (Some(people), Some(places)) = (text("person"), text("place")) else {
                    bail!("{} lacks a column", path.display())
                };
                is_on |= (0..batch.num_rows())
                    .any(|row| places.value(row) == "on_list" && same_person(people.value(row), person));
                Ok(())
            })?;
            let values = Values::Whole(vec![Some(i64::from(is_on))]);
            row.columns.push(PublishedColumn::given(format!("on_{cohort}"), values));
        }
        Ok(())
    }

    /// Whether the settings and models at hand are those of the run.
    ///
    /// # Errors
    /// What has changed since.
    pub fn check_same(&self, prepared: &Prepared) -> Result<()> {
        let now = prepared.decided();
        let then = &self.manifest["settings_sha256"];
        ensure!(
            then.as_str() == Some(&now.settings_sha256),
            "the settings file is not the one that the run was made with"
        );
        for (file, used) in &now.library {
            let then = self.manifest["library"][file]["sha256"].as_str();
            ensure!(then == Some(&used.sha256), "{file} has changed since the run was made");
        }
        Ok(())
    }

    fn cell(&self, column: &str) -> Option<String> {
        let cell = self.row.as_ref()?.column(column)?.cell(0);
        (!cell.is_empty()).then_some(cell)
    }

    /// The ratios that the run worked out, by provider.
    fn ratios(&self) -> BTreeMap<String, Micro> {
        let providers = self.quality["rehospitalisation"].as_object();
        let ratio = |(code, line): (&String, &Json)| Some((code.clone(), Micro::exact(line["ratio"].as_f64()?)?));
        providers.into_iter().flatten().filter_map(ratio).collect()
    }

    fn band_counts(&self, model: &str) -> Vec<(String, u64)> {
        let models = self.manifest["models"].as_array();
        let line = models.into_iter().flatten().find(|line| line["id"] == model);
        line.map_or(Vec::new(), |line| serde_json::from_value(line["bands"].clone()).unwrap_or_default())
    }
}

fn same_person(one: &str, two: &str) -> bool {
    key_of(one.as_bytes()) == key_of(two.as_bytes())
}

fn for_each_batch(path: &Path, mut each: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_projection(ProjectionMask::all());
    for batch in builder.build()? {
        each(batch?)?;
    }
    Ok(())
}

fn row_of(batch: &RecordBatch, row: usize) -> Result<Vec<PublishedColumn<'static>>> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let values = match field.data_type() {
            DataType::Int64 => {
                Values::Whole(vec![column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))])
            }
            DataType::Float64 => {
                Values::Decimal(vec![column.is_valid(row).then(|| column.as_primitive::<Float64Type>().value(row))])
            }
            DataType::Utf8 => {
                Values::Text(vec![column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())])
            }
            other => bail!("column \"{}\" of scores.parquet has type {other}", field.name()),
        };
        Ok(PublishedColumn::given(field.name(), values))
    });
    columns.collect()
}

/// Explains a person's scores, of one model or of all.
///
/// # Errors
/// Settings, models or inputs that are not those of the run; a sum that does not come to what was published.
pub fn explain(
    prepared: &Prepared,
    run: &PublishedRun,
    person: &str,
    only_model: Option<&str>,
    advance: &(dyn Fn(u64) + Sync),
) -> Result<Answer> {
    run.check_same(prepared)?;
    if run.row.is_none() {
        return Ok(Answer::NotScored(run.not_scored.clone()));
    }
    let people = read_people(prepared, advance)?;
    let Found::Person(number) = people.spine.find(key_of(person.as_bytes())) else {
        bail!("the register no longer has that pseudonym; the inputs have changed since the run")
    };
    let spine = people.spine.only(number);
    let plan = prepared.plan().keeping_codes();
    let linked = read_events(prepared, &plan, &spine, &mut |_, _| {}, advance)?;
    let tables = RunTables { library: &prepared.library, ratios: run.ratios() };
    let operations = plan.operations(&linked.concepts, &prepared.library, &tables);
    let evaluator = Evaluator::new(&plan, &operations);
    let mut scratch = evaluator.scratch();
    let events = linked.timelines.of(0);
    evaluator.evaluate(events, &OnSpine { spine: &spine, person: 0 }, run.as_of, &mut scratch);
    let looking = Looking {
        prepared,
        plan: &plan,
        evaluator: &evaluator,
        scratch: &scratch,
        concepts: &linked.concepts,
        events,
        run,
    };
    let mut explanations = Vec::new();
    for (number, model) in prepared.models.iter().enumerate().filter(|(_, model)| model.is_scored()) {
        if only_model.is_none_or(|only| only == model.id)
            && run.cell(&format!("{}_linear_predictor", model.id)).is_some()
        {
            explanations.push(looking.explain(number, model)?);
        }
    }
    if explanations.is_empty() {
        let wanted = |(model, _): &&(String, String)| only_model.is_none_or(|only| only == model);
        return Ok(Answer::NotScored(run.not_scored.iter().filter(wanted).cloned().collect()));
    }
    Ok(Answer::Scored(explanations))
}

/// One person's evaluation, looked at term by term.
struct Looking<'a> {
    prepared: &'a Prepared,
    plan: &'a Plan,
    evaluator: &'a Evaluator<'a>,
    scratch: &'a Scratch,
    concepts: &'a [Concept],
    events: &'a [Event],
    run: &'a PublishedRun,
}

impl Looking<'_> {
    fn explain(&self, number: usize, model: &Model) -> Result<Explanation> {
        let nodes = &self.plan.models[number].terms;
        let value = |place: usize| self.scratch.values[nodes[place]];
        let sum = sum(model, value)
            .map_err(|place| anyhow!("term \"{}\" is missing now, and was not in the run", model.terms[place].name))?;
        let published_lp =
            self.run.cell(&format!("{}_linear_predictor", model.id)).and_then(|cell| cell.parse().ok()).map(Nano);
        ensure!(
            published_lp == Some(sum.linear_predictor),
            "model \"{}\": the terms add up to {}, which is not what the run published; the inputs have changed since",
            model.id,
            sum.linear_predictor
        );
        let terms = model.terms.iter().enumerate().map(|(place, term)| TermExplained {
            name: term.name.clone(),
            label: term.label.clone(),
            how: in_words(&term.expression, model),
            value: value(place),
            coefficient: term.coefficient,
            points: sum.contributions[place],
            events: if value(place).is_true() { self.events_of(nodes[place]) } else { Vec::new() },
        });
        let cell = |suffix: &str| self.run.cell(&format!("{}{suffix}", model.id));
        let of_terms = sum.contributions.iter().fold(model.intercept, |sum, part| sum.plus(*part));
        Ok(Explanation {
            model: model.id.clone(),
            title: model.title.clone(),
            intercept: model.intercept,
            raised_to_floor: Nano(sum.linear_predictor.0 - of_terms.0),
            linear_predictor: sum.linear_predictor,
            score: published(model, sum.linear_predictor),
            rank: cell("_rank").and_then(|rank| rank.parse().ok()),
            ranked: self.run.ranking.get(&model.id).map_or(0, |all| all.len() as u64),
            band: cell("_band"),
            fidelity: cell("_fidelity"),
            terms: terms.collect(),
            moves: self.moves(model, sum.linear_predictor, &sum.contributions),
        })
    }

    fn events_of(&self, node: usize) -> Vec<EventExplained> {
        let measures = self.plan.measures_of(node);
        let mut places: Vec<usize> = measures
            .into_iter()
            .flat_map(|measure| self.evaluator.events_behind(measure, self.events, self.run.as_of, self.scratch))
            .collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| self.event(&self.events[place])).collect()
    }

    fn event(&self, event: &Event) -> EventExplained {
        let concept = &self.concepts[event.concept as usize];
        let stream = &self.plan.streams[concept.stream as usize];
        let mut what: Vec<String> = Vec::new();
        for (field, code) in stream.fields.iter().zip(&concept.codes).filter(|(_, code)| !code.is_empty()) {
            let text = String::from_utf8_lossy(code);
            let label = self.label(concept, &field.name, code);
            what.push(format!("{} {text}{}", field.name, label.map(|label| format!(" ({label})")).unwrap_or_default()));
        }
        if event.amount != Event::NO_AMOUNT {
            match stream.amount {
                AmountKind::Thousandths => what.push(format!("value {}", Micro::thousandths(event.amount.into()))),
                AmountKind::PencePerWeek if event.amount < 0 => {
                    what.push(format!("cost {}.{:02}, once", -event.amount / 100, -event.amount % 100));
                }
                AmountKind::PencePerWeek => {
                    what.push(format!("cost {}.{:02} a week", event.amount / 100, event.amount % 100));
                }
                AmountKind::Pence => what.push(format!("cost {}.{:02}", event.amount / 100, event.amount % 100)),
                AmountKind::None => {}
            }
        }
        if event.days == Event::OPEN || event.end_day().is_some_and(|end| end >= self.run.as_of.0) {
            what.push("goes on".to_owned());
        } else if event.days > 0 {
            what.push(format!("{} days", event.days));
        }
        if event.known_after > 0 {
            what.push(format!("recorded {}", Day(event.day + i32::from(event.known_after))));
        }
        EventExplained { day: Day(event.day), stream: stream.name.clone(), what: what.join(", ") }
    }

    /// What a code list that the models use calls a code.
    fn label(&self, concept: &Concept, field: &str, code: &[u8]) -> Option<String> {
        let stream = &self.plan.streams[concept.stream as usize];
        for predicate in predicates_met(concept, stream) {
            let Some(Condition::In(references)) = predicate.conditions.get(field) else { continue };
            for reference in references {
                let list = &self.prepared.library.code_lists[crate::model::check::split_reference(reference).0];
                let label = list.systems().into_iter().find_map(|system| list.label_of(system, code));
                if let Some(label) = label {
                    return Some(label.to_owned());
                }
            }
        }
        None
    }

    /// The nearest bands above and below, and the smallest single change of a term that gets there.
    fn moves(&self, model: &Model, lp: Nano, contributions: &[Nano]) -> Vec<Move> {
        let (Some(band), names) = (self.run.cell(&format!("{}_band", model.id)), model.bands.names()) else {
            return Vec::new();
        };
        let Some(place) = names.iter().position(|name| **name == band) else { return Vec::new() };
        let mut moves = Vec::new();
        if place > 0
            && let Some(floor) = self.band_floor(model, place - 1)
        {
            let distance = Nano(floor.0 - lp.0);
            moves.push(Move {
                to_band: names[place - 1].to_owned(),
                distance,
                change: smallest_change(model, contributions, distance),
            });
        }
        if place + 1 < names.len()
            && let Some(floor) = self.band_floor(model, place)
        {
            let distance = Nano(floor.0 - 1 - lp.0);
            moves.push(Move {
                to_band: names[place + 1].to_owned(),
                distance,
                change: smallest_change(model, contributions, distance),
            });
        }
        moves
    }

    /// The lowest linear predictor that was in a band or above it.
    fn band_floor(&self, model: &Model, band: usize) -> Option<Nano> {
        match &model.bands {
            Bands::None => None,
            Bands::Threshold(bands) => Some(bands[band].lowest),
            Bands::TopShare(_) => {
                let people: u64 = self.run.band_counts(&model.id).iter().take(band + 1).map(|(_, people)| people).sum();
                let all = self.run.ranking.get(&model.id)?;
                all.get((people as usize).checked_sub(1)?).copied().map(Nano)
            }
        }
    }
}

/// The single term whose change moves the sum at least this far, and no further than needed.
fn smallest_change(model: &Model, contributions: &[Nano], distance: Nano) -> Option<String> {
    let mut best: Option<(i64, String)> = None;
    let mut offer = |change: i64, words: String| {
        let reaches = if distance.0 >= 0 { change >= distance.0 } else { change <= distance.0 };
        if reaches && best.as_ref().is_none_or(|(known, _)| change.abs() < known.abs()) {
            best = Some((change, words));
        }
    };
    for (place, (term, part)) in model.terms.iter().zip(contributions).enumerate() {
        // Nobody's age or sex is a change to hope for.
        if is_about_the_person(model, &term.raw) {
            continue;
        }
        if part.0 != 0 {
            offer(-part.0, format!("without \"{}\" ({})", term.label, Nano(-part.0)));
            continue;
        }
        // Levels of one value exclude each other: the one that applies now would give way.
        let others = model.terms.iter().zip(contributions).enumerate();
        let gives_way: i64 = others
            .filter(|(other, (level, _))| *other != place && level.raw == term.raw)
            .map(|(_, (_, part))| part.0)
            .sum();
        let change = term.coefficient.0 - gives_way;
        offer(change, format!("with \"{}\" ({})", term.label, Nano(change)));
    }
    best.map(|(_, words)| words)
}

fn is_about_the_person(model: &Model, expression: &Expression) -> bool {
    match expression {
        Expression::AgeYears | Expression::Sex(_) | Expression::Number(_) | Expression::WordIn(..) => true,
        Expression::Named(place) => is_about_the_person(model, &model.values[*place].expression),
        Expression::Stepped(inner, _) => is_about_the_person(model, inner),
        _ => false,
    }
}

/// Which conditions of a cohort's rule hold for the person.
///
/// # Errors
/// A rule that is no SQL condition; a person who is not among the published.
pub fn why_not(prepared: &Prepared, run: &PublishedRun, cohort: &str) -> Result<Vec<ConditionHeld>> {
    run.check_same(prepared)?;
    let known: Vec<&str> = prepared.cohorts.iter().map(|cohort| cohort.id.as_str()).collect();
    let rule = prepared.cohorts.iter().find(|rule| rule.id == cohort);
    let rule =
        rule.with_context(|| format!("the settings have no cohort \"{cohort}\"; they have {}", known.join(", ")))?;
    let row = run.row.as_ref().context("the person is not registered on the as-of date, so no rule is asked")?;
    let table = row.table(|name| rule.mentions(name))?;
    let mut held = Vec::new();
    let excluded = rule.exclusions.iter().map(|exclusion| format!("NOT COALESCE(({}), FALSE)", exclusion.condition));
    for condition in parts(&rule.condition)?.into_iter().chain(excluded) {
        let holds = rule.holds(&table, &condition)?.first() == Some(&true);
        let names = row.columns.iter().map(|column| &column.name).filter(|name| mentions(&condition, name));
        let values = names.filter_map(|name| Some((name.clone(), row.column(name)?.cell(0)))).collect();
        held.push(ConditionHeld { condition, holds, values });
    }
    Ok(held)
}

fn mentions(condition: &str, column: &str) -> bool {
    condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column)
}
