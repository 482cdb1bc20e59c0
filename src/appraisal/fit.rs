//! A model's coefficients estimated anew on local data: the same terms, other numbers.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::local::{After, Estimating, Made, Published, Study, nano, version};
use super::validate::figure;
use crate::estimate::design::Design;
use crate::estimate::fit::{Column, Fit, Fitting, NoFit, PathPoint, Penalty, cross_validate, lambdas};
use crate::estimate::interval::Estimate;
use crate::estimate::inverse_logit;
use crate::estimate::sample::Grouped;
use crate::model::Model;
use crate::model::revise::Revision;
use crate::number::Nano;
use crate::output::OutputFile;
use crate::output::figures::{Figure, Value};
use crate::run::{BackCast, Failure, Progress};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shrink {
    None,
    Ridge,
    Lasso,
}

/// What becomes of a term that local data says nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// Its published coefficient stays.
    Hold,
    /// Its coefficient becomes 0.
    Drop,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub shrink: Shrink,
    /// The penalty's weight; by cross-validation where absent.
    pub lambda: Option<f64>,
    pub folds: u8,
    pub silent: Silent,
}

/// Lambdas of a path that cross-validation goes over.
const PATH: usize = 30;
/// A term with fewer people of either class is left as it is, or dropped: it would tell of them.
const FEWEST: u64 = 8;

/// Refits the model of a back-cast at its day and writes the new model's file.
///
/// # Errors
/// What stops a back-cast; terms that separate people with and without the outcome without a fault.
pub fn fit(
    back_cast: &BackCast,
    options: &Options,
    estimating: &Estimating,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Published, Failure> {
    let study = Study::new(back_cast, estimating, options.folds, progress)?;
    progress.stage("take values", 0);
    let design = back_cast.design(&study.day, 0, &study.cast.people);
    let of_train = design.only(&study.split.train);
    let train = Grouped::new(&of_train, &study.train.events, &study.split.folds);
    progress.stage("fit", 0);
    let refit = refit(study.model(), &train, options)
        .map_err(|what| Failure::Data(anyhow!("as of {}: {what}", study.day.as_of)))?;
    let words = refit.words(options);
    let after = after(&study, &design.only(&study.split.test), &refit);
    let remarks = refit.remarks(study.model());
    let mut card = study.card(&words, &remarks, &after);
    card.section("Item 22: the model");
    let header = ["term", "published", "here", "standard error", "state"];
    card.table(&header, refit.lines(study.model()).into_iter().map(|line| line.cells()));
    card.open_items();
    let revision = Revision {
        id: study.new_id(),
        version: version(&study, &words),
        title: format!("{}; refitted: {}", study.model().title, estimating.name),
        intercept: Some(refit.intercept),
        coefficients: study
            .model()
            .terms
            .iter()
            .map(|term| term.name.clone())
            .zip(refit.coefficients.clone())
            .collect(),
        sections: study.sections(&words, &remarks, &after),
    };
    let made = Made { revision, after, figures: refit.figures(study.model()), card, files: refit.files() };
    study.publish(made, out)
}

/// What became of each term.
struct Refit {
    intercept: Nano,
    coefficients: Vec<Nano>,
    /// One a term; `None` where there is none.
    standard_errors: Vec<Option<f64>>,
    intercept_error: Option<f64>,
    states: Vec<Column>,
    fit: Fit,
    penalty: Penalty,
    path: Vec<PathPoint>,
    silent: Silent,
}

fn refit(model: &Model, rows: &Grouped, options: &Options) -> Result<Refit> {
    let states = Fitting::new(rows).screen(FEWEST);
    let is_fitted = |place: usize| states[place] == Column::Fitted;
    let fitted: Vec<usize> = (0..states.len()).filter(|&place| is_fitted(place)).collect();
    let held = |place: usize| match (&states[place], options.silent) {
        // What others make up, or is the same for everybody, is in them and in the intercept.
        (Column::Fitted | Column::Constant | Column::Collinear(_), _) | (_, Silent::Drop) => Nano::ZERO,
        (Column::Empty | Column::Few { .. }, Silent::Hold) => model.terms[place].coefficient,
    };
    let (narrow, offsets) = narrowed(rows, &fitted, &|place| held(place).to_f64());
    let fitting = Fitting::new(&narrow).with_offsets(offsets.clone());
    let weigh = |lambda: f64| match options.shrink {
        Shrink::None => Penalty::NONE,
        Shrink::Ridge => Penalty { ridge: lambda, lasso: 0.0 },
        Shrink::Lasso => Penalty { ridge: 0.0, lasso: lambda },
    };
    let told = |why: NoFit| why_not(model, &fitted, why, options);
    let mut path = Vec::new();
    let penalty = match (options.shrink, options.lambda) {
        (Shrink::None, _) => Penalty::NONE,
        (_, Some(lambda)) => weigh(lambda),
        (_, None) => {
            let lambdas = lambdas(fitting.largest_lambda().map_err(told)?, PATH);
            let (best, points) = cross_validate(&narrow, &offsets, options.folds, &lambdas, weigh).map_err(told)?;
            path = points;
            weigh(best)
        }
    };
    let fit = fitting.fit(penalty, None).map_err(told)?;
    let mut coefficients: Vec<Nano> = (0..states.len()).map(held).collect();
    let mut standard_errors = vec![None; states.len()];
    for (place, &term) in fitted.iter().enumerate() {
        coefficients[term] = nano(fit.coefficients[place]);
        standard_errors[term] = fit.standard_errors.get(place + 1).copied();
    }
    Ok(Refit {
        intercept: nano(fit.intercept),
        intercept_error: fit.standard_errors.first().copied(),
        coefficients,
        standard_errors,
        states,
        fit,
        penalty,
        path,
        silent: options.silent,
    })
}

/// The rows with only the columns that are fitted, and what the others add to each linear predictor.
fn narrowed(rows: &Grouped, fitted: &[usize], held: &dyn Fn(usize) -> f64) -> (Grouped, Vec<f64>) {
    let mut places = vec![None; rows.design.width];
    fitted.iter().enumerate().for_each(|(place, &column)| places[column] = Some(place));
    let mut narrow = Design::new(fitted.len());
    let mut offsets = Vec::with_capacity(rows.rows());
    for row in 0..rows.rows() {
        let (columns, values) = rows.design.row(row);
        let cells = || columns.iter().map(|column| usize::from(*column)).zip(values.iter().copied());
        narrow.push(cells().filter_map(|(column, value)| places[column].map(|place| (place, value))));
        offsets.push(
            cells().filter(|(column, _)| places[*column].is_none()).map(|(column, value)| held(column) * value).sum(),
        );
    }
    let grouped =
        Grouped { design: narrow, people: rows.people.clone(), with: rows.with.clone(), folds: rows.folds.clone() };
    (grouped, offsets)
}

fn why_not(model: &Model, fitted: &[usize], why: NoFit, options: &Options) -> anyhow::Error {
    match why {
        NoFit::OneClass => {
            anyhow!("people to estimate on, or of a fold, are all of one class; take fewer --folds or more people")
        }
        NoFit::Separated(columns) => {
            let names: Vec<&str> = columns.iter().map(|&place| model.terms[fitted[place]].name.as_str()).collect();
            let which = match &names[..] {
                [] => "the terms together tell".to_owned(),
                [name] => format!("the term {name} tells"),
                names => format!("the terms {} tell", names.join(", ")),
            };
            anyhow!(
                "perfect separation: {which} people with and without the outcome apart without a fault, so that no coefficient is large enough; fit with --penalty ridge, or leave such a term out of the model"
            )
        }
        NoFit::NotConverged(steps) => anyhow!(
            "no answer after {steps} steps with {}; take a larger --lambda",
            if options.shrink == Shrink::Lasso { "the lasso" } else { "the ridge" }
        ),
    }
}

fn after(study: &Study, test: &Design, refit: &Refit) -> After {
    // As a run sums: whole numbers.
    let score = |row: usize| {
        let (columns, values) = test.row(row);
        columns.iter().zip(values).fold(refit.intercept, |sum, (column, value)| {
            let value = crate::number::Micro((value * 1e6).round() as i64);
            sum.plus(refit.coefficients[usize::from(*column)].times(value))
        })
    };
    let scores: Vec<i64> = (0..test.rows()).map(|row| score(row).0).collect();
    let lps: Vec<f64> = scores.iter().map(|score| Nano(*score).to_f64()).collect();
    let probabilities: Vec<f64> = lps.iter().map(|lp| inverse_logit(*lp)).collect();
    After::new(&study.test, &scores, &lps, &probabilities)
}

/// A term as the card shows it.
struct Line {
    name: String,
    published: Nano,
    here: Nano,
    error: Option<f64>,
    state: String,
}

impl Line {
    fn cells(&self) -> Vec<String> {
        let error = self.error.map_or(String::new(), |error| format!("{error:.4}"));
        vec![
            self.name.clone(),
            self.published.to_string(),
            format!("{:.4}", self.here.to_f64()),
            error,
            self.state.clone(),
        ]
    }
}

impl Refit {
    fn words(&self, options: &Options) -> String {
        let lambda = match self.path.is_empty() {
            true => format!("lambda {}", options.lambda.unwrap_or_default()),
            false => format!(
                "lambda {:.3e} by cross-validation over {} folds of people and {PATH} lambdas",
                self.penalty.ridge.max(self.penalty.lasso),
                options.folds
            ),
        };
        match options.shrink {
            Shrink::None => "logistic regression by iteratively reweighted least squares, no penalty".to_owned(),
            Shrink::Ridge => format!("logistic regression with ridge, {lambda}, on standardised columns"),
            Shrink::Lasso => format!("logistic regression with lasso, {lambda}, on standardised columns"),
        }
    }

    fn state(&self, model: &Model, place: usize) -> String {
        let left = match self.silent {
            Silent::Hold => "the published coefficient stays",
            Silent::Drop => "dropped",
        };
        match &self.states[place] {
            Column::Fitted if self.penalty.lasso > 0.0 && self.coefficients[place] == Nano::ZERO => {
                "left out by the lasso".to_owned()
            }
            Column::Fitted => "fitted".to_owned(),
            Column::Empty => format!("nobody has it: {left}"),
            Column::Few { .. } => format!("fewer than {FEWEST} people with it have the outcome, or lack it: {left}"),
            Column::Constant => "the same for everybody: in the constant".to_owned(),
            Column::Collinear(of) => {
                let names: Vec<&str> = of.iter().map(|(column, _)| model.terms[*column].name.as_str()).collect();
                format!("made up by {}: dropped", names.join(", "))
            }
        }
    }

    fn lines(&self, model: &Model) -> Vec<Line> {
        let intercept = Line {
            name: "(constant)".to_owned(),
            published: model.intercept,
            here: self.intercept,
            error: self.intercept_error,
            state: "fitted".to_owned(),
        };
        let term = |place: usize| Line {
            name: model.terms[place].name.clone(),
            published: model.terms[place].coefficient,
            here: self.coefficients[place],
            error: self.standard_errors[place],
            state: self.state(model, place),
        };
        std::iter::once(intercept).chain((0..model.terms.len()).map(term)).collect()
    }

    fn remarks(&self, model: &Model) -> Vec<String> {
        let fitted = self.states.iter().filter(|state| **state == Column::Fitted).count();
        let explained = 1.0 - self.fit.deviance / self.fit.null_deviance;
        let mut remarks = vec![format!(
            "Converged in {} steps; {fitted} of {} terms fitted; share of the deviance explained {explained:.4}.",
            self.fit.steps,
            model.terms.len()
        )];
        for place in (0..model.terms.len()).filter(|&place| self.states[place] != Column::Fitted) {
            remarks.push(format!("{}: {}.", model.terms[place].name, self.state(model, place)));
        }
        if self.penalty.ridge > 0.0 {
            remarks.push("Standard errors are of the penalised estimates, which are pulled towards 0.".to_owned());
        }
        if self.penalty.lasso > 0.0 {
            remarks.push("A lasso has no standard errors of this kind.".to_owned());
        }
        remarks
    }

    fn figures(&self, model: &Model) -> Vec<Figure> {
        let mut figures = Vec::new();
        for line in self.lines(model) {
            let here = match line.error {
                Some(error) => Estimate::normal(line.here.to_f64(), error),
                None => Estimate::alone(line.here.to_f64()),
            };
            let value = Value::Estimate { estimate: here, events: 0, others: 0 };
            figures.push(figure("coefficients", line.name.clone(), "published", Value::Plain(line.published.to_f64())));
            figures.push(figure("coefficients", line.name, "here", value));
        }
        figures
    }

    /// `path.csv`: the penalties that were tried.
    fn files(&self) -> Vec<OutputFile> {
        if self.path.is_empty() {
            return Vec::new();
        }
        let mut text = "lambda,deviance_per_person_left_out\r\n".to_owned();
        self.path.iter().for_each(|point| text.push_str(&format!("{:.9e},{:.9}\r\n", point.lambda, point.left_out)));
        vec![OutputFile::new("path.csv", text.into_bytes())]
    }
}
