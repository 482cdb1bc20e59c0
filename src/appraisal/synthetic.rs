//! The King's Fund's models held against a synthetic population: a section of its report.
//!
//! The population was made to resemble published rates, not to suit a model, so these figures say something about the
//! population and nothing about the models. They are printed beside what is published and never tuned to.

use std::fmt::Write;
use std::path::Path;

use crate::day::Day;
use crate::estimate::calibration::ObservedExpected;
use crate::estimate::decision::{Cut, Ranking};
use crate::estimate::discrimination::auc;
use crate::estimate::interval::Estimate;
use crate::run::{Cast, Failure, Progress, Request, back_cast, prepare_back_cast};
use crate::score::published;

/// A model, and the area under the curve that its paper prints, where one does.
const MODELS: [(&str, Option<f64>); 2] = [("cpm", None), ("parr30", Some(0.70))];
/// Where the King's Fund cuts the ranking of the Combined Predictive Model.
const CUTS: [Cut; 3] = [Cut::TopShare(5_000), Cut::TopShare(50_000), Cut::TopShare(200_000)];

/// What one model makes of a population.
#[derive(Debug, Clone, PartialEq)]
pub struct Discrimination {
    pub model: String,
    pub outcome: String,
    pub people: u64,
    pub with_outcome: u64,
    /// Area under the curve; `None` where everybody or nobody has the outcome.
    pub area: Option<Estimate>,
    pub published_area: Option<f64>,
    pub observed_over_expected: Option<Estimate>,
    pub cuts: Vec<AtCut>,
}

/// What the top of a ranking holds.
#[derive(Debug, Clone, PartialEq)]
pub struct AtCut {
    pub cut: Cut,
    pub flagged: u64,
    /// Of those flagged, people with the outcome.
    pub found: u64,
    /// Events of the outcome's kind of those flagged, and of everybody.
    pub events: u64,
    pub all_events: u64,
}

/// Scores a population with the King's Fund's models on a day and holds them against what came.
///
/// # Errors
/// Whatever stops a run, such as the faults of a hostile population.
pub fn discrimination(settings: &Path, as_of: Day, progress: &dyn Progress) -> Result<Vec<Discrimination>, Failure> {
    MODELS
        .into_iter()
        .map(|(model, published_area)| of_model(settings, model, published_area, as_of, progress))
        .collect()
}

fn of_model(
    settings: &Path,
    model: &str,
    published_area: Option<f64>,
    as_of: Day,
    progress: &dyn Progress,
) -> Result<Discrimination, Failure> {
    let request =
        Request { models: vec![model.to_owned()], as_of: vec![as_of], horizon_days: None, followed_until: None };
    let prepared = prepare_back_cast(settings, None, &request)?;
    let back_cast = back_cast(&prepared, &request, progress)?;
    let cast = back_cast.at(as_of, progress)?.cast(0);
    let model = &prepared.models[0];
    let (scores, outcomes) = (cast.scores(), cast.events());
    let expected = cast.linear_predictors.iter().map(|lp| published(model, *lp)).zip(outcomes.iter().copied());
    let ranking = Ranking::new(&scores);
    Ok(Discrimination {
        model: model.id.clone(),
        outcome: format!(
            "{} in {} days",
            model.outcome.as_deref().unwrap_or("the outcome"),
            model.horizon_days.unwrap_or_default()
        ),
        people: cast.people.len() as u64,
        with_outcome: outcomes.iter().filter(|outcome| **outcome).count() as u64,
        area: auc(&scores, &outcomes).map(|auc| auc.estimate),
        published_area,
        observed_over_expected: ObservedExpected::of(expected).ratio(),
        cuts: CUTS.into_iter().filter_map(|cut| at_cut(cut, &ranking, &cast)).collect(),
    })
}

fn at_cut(cut: Cut, ranking: &Ranking, cast: &Cast) -> Option<AtCut> {
    let flagged = cut.flagged(ranking, &[])?;
    let top = ranking.order[..flagged].iter().map(|&row| &cast.outcomes[row as usize]);
    Some(AtCut {
        cut,
        flagged: flagged as u64,
        found: top.clone().filter(|outcome| outcome.event).count() as u64,
        events: top.map(|outcome| u64::from(outcome.events)).sum(),
        all_events: cast.outcomes.iter().map(|outcome| u64::from(outcome.events)).sum(),
    })
}

/// The section of the report, as Markdown.
pub fn section(as_of: Day, models: &[Discrimination]) -> String {
    let mut out = format!(
        "\n## The King's Fund's models on it\n\nScored as of {as_of} with the constants as published, and held against the follow-up \
         year. Nothing here is tuned: it shows how the population behaves, not how good a model is.\n\n\
         | model | outcome | people | with it, % | area under the curve | published | observed / expected |\n\
         |---|---|---:|---:|---:|---:|---:|\n"
    );
    for of in models {
        let published = of.published_area.map_or("-".to_owned(), |area| format!("{area:.2}"));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {} | {published} | {} |",
            of.model,
            of.outcome,
            of.people,
            percent(of.with_outcome, of.people),
            estimate(of.area),
            estimate(of.observed_over_expected)
        );
    }
    out.push_str(
        "\n| model | flagged | people | of them with the outcome, % | of all events, % |\n|---|---|---:|---:|---:|\n",
    );
    for of in models {
        for at in &of.cuts {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {:.1} | {:.1} |",
                of.model,
                at.cut,
                at.flagged,
                percent(at.found, at.flagged),
                percent(at.events, at.all_events)
            );
        }
    }
    out
}

/// What the report says where the models could not be run.
pub fn section_without(as_of: Day, failure: &Failure) -> String {
    format!(
        "\n## The King's Fund's models on it\n\nNot scored as of {as_of}: the run stops on this population.\n\n{failure}\n"
    )
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn estimate(of: Option<Estimate>) -> String {
    let Some(of) = of else { return "-".to_owned() };
    let interval = of.interval.map(|(low, high)| format!(" ({low:.3} to {high:.3})")).unwrap_or_default();
    format!("{:.3}{interval}", of.value)
}
