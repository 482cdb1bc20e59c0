//! What recalibration and fit have in common: people to estimate on and people to test with, figures before and after,
//! and the model file that comes of it.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::card::{Card, cell};
use super::files::{manifest, shared_cells};
use super::split::Split;
use super::validate::{People, check_classes};
use crate::day::Day;
use crate::estimate::calibration::{ObservedExpected, brier, in_the_large, line, scaled_brier};
use crate::estimate::discrimination::{auc, auc_difference, average_precision};
use crate::estimate::interval::Estimate;
use crate::model::check::check;
use crate::model::library::hex;
use crate::model::revise::{Revision, quoted, revise};
use crate::model::{Kind, Model, Problem};
use crate::number::Nano;
use crate::output::disclosure::{self, Shown};
use crate::output::figures::{self, Figure, Value};
use crate::output::{OutputFile, publish};
use crate::run::{BackCast, Cast, Failure, PastDay, Progress};

/// What is asked of an estimate besides the model and the day.
#[derive(Debug, Clone)]
pub struct Estimating {
    /// The part of the new model's id after `@`.
    pub name: String,
    /// The share of people held back to test with.
    pub test_share: f64,
    pub seed: u64,
    /// The folder whose `scores/` the model file goes to.
    pub into: PathBuf,
}

/// People of a past day, with a score and a known outcome, on either side of the split.
pub struct Study<'a> {
    pub back_cast: &'a BackCast<'a>,
    pub day: PastDay,
    pub cast: Cast,
    pub split: Split,
    pub train: People,
    pub test: People,
    pub estimating: &'a Estimating,
}

impl<'a> Study<'a> {
    /// # Errors
    /// A model that gives no probability; too few people of one class on either side.
    pub fn new(
        back_cast: &'a BackCast<'a>,
        estimating: &'a Estimating,
        folds: u8,
        progress: &dyn Progress,
    ) -> Result<Study<'a>, Failure> {
        let model = &back_cast.prepared.models[0];
        if model.kind != Kind::Logistic {
            let what = "the model is no logistic regression: its score is no probability, so it cannot be estimated; \
                        `riskstrat validate` tells how well it ranks";
            let file = format!("scores/{}.toml", model.id);
            return Err(Failure::Files(vec![Problem { file, line: 0, what: what.to_owned() }]));
        }
        let as_of = back_cast.prepared.settings.as_of.0[0];
        let day = back_cast.at(as_of, progress)?;
        let cast = day.cast(0);
        check_classes(&model.id, &day, &cast).map_err(Failure::Data)?;
        let spine = &back_cast.loaded.people.spine;
        let split = Split::new(spine, &cast.people, estimating.test_share, folds, estimating.seed);
        let people = People::new(model, &cast);
        let (train, test) = (people.only(&split.train), people.only(&split.test));
        for (side, people) in [("to estimate on", &train), ("to test with", &test)] {
            check_enough(as_of, side, people).map_err(Failure::Data)?;
        }
        Ok(Study { back_cast, day, cast, split, train, test, estimating })
    }

    pub fn model(&self) -> &Model {
        &self.back_cast.prepared.models[0]
    }

    pub fn new_id(&self) -> String {
        let old = &self.model().id;
        format!("{}@{}", old.split('@').next().unwrap_or(old), self.estimating.name)
    }

    /// The rows of `[estimated]` and what follows it, for a model file.
    pub fn sections(&self, method: &str, remarks: &[String], after: &After) -> String {
        let days = [self.day.as_of].map(|day| quoted(&day.to_string())).join(", ");
        let count = |people: u64| match disclosure::count(people) {
            Shown::Count(count) => count,
            Shown::Hidden => unreachable!("estimates on so few people were refused"),
        };
        let model = self.model();
        let mut text = format!(
            "[estimated]\nfrom              = {}\nmethod            = {}\nas_of             = [{days}]\nhorizon_days      = {}\n\
             followed_until    = {}\npeople            = {}\nwith_outcome      = {}\ntest_people       = {}\n\
             test_with_outcome = {}\nremarks           = [\n",
            quoted(&format!("{} {}", model.id, model.version)),
            quoted(method),
            self.back_cast.rule.days,
            quoted(&self.back_cast.followed.until.to_string()),
            count(self.train.events.len() as u64),
            count(self.train.with_outcome()),
            count(self.test.events.len() as u64),
            count(self.test.with_outcome()),
        );
        remarks.iter().for_each(|remark| text.push_str(&format!("  {},\n", quoted(remark))));
        text.push_str("]\n");
        for (name, before, after) in after.pairs() {
            let number = |estimate: &Option<Estimate>| estimate.map(|of| format!("{:.6}", of.value));
            text.push_str(&format!("\n[[estimated.figure]]\nname   = {}\n", quoted(name)));
            for (key, value) in [("before", number(before)), ("after ", number(after))] {
                if let Some(value) = value {
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
        }
        text
    }

    /// Checks the revised model, writes it beside the old one, and publishes card and figures.
    pub fn publish(&self, made: Made, out: &Path) -> Result<Published, Failure> {
        let id = self.new_id();
        let prepared = self.back_cast.prepared;
        let old = &prepared.library.models[&self.model().id];
        let file = format!("scores/{id}.toml");
        let text = revise(&old.file, &old.text, &made.revision).map_err(|problem| Failure::Files(vec![problem]))?;
        check(&file, &text, &prepared.library, &prepared.streams).map_err(Failure::Files)?;
        let path = self.estimating.into.join(&file);
        publish::write_new(&path, text.as_bytes()).map_err(Failure::Output)?;
        let shared = shared_cells(self.back_cast, self.day.as_of, self.model());
        let mut lines = made.figures;
        lines.extend(made.after.figures());
        let figures = figures::csv(&shared, &lines).map_err(Failure::Unexpected)?;
        let mut files = vec![figures, made.card.file()];
        files.extend(made.files);
        files.push(OutputFile::new(file, text.into_bytes()));
        files.push(manifest(self.back_cast, self.day.as_of, &files));
        let folder = super::publish_all(&out.join(&id), vec![(self.day.as_of.to_string(), files)])?;
        Ok(Published {
            id,
            model_file: path,
            folder: folder.into_iter().next().expect("one folder"),
            after: made.after,
        })
    }

    /// The card as far as recalibration and fit share it.
    pub fn card(&self, method: &str, remarks: &[String], after: &After) -> Card {
        let mut card = Card::new(&format!("{}: {method}", self.new_id()));
        card.about(self.back_cast, &self.day, self.model());
        card.section("Items 12 and 24: how it was estimated");
        card.items([
            format!("Method: {method}."),
            format!(
                "People were parted by a hash of the pseudonym, seed {}: {} to estimate on ({} with the outcome), {} to test with ({} with the outcome). Every figure below is of those to test with, whom the estimate has not seen.",
                self.estimating.seed,
                disclosure::count(self.train.events.len() as u64),
                disclosure::count(self.train.with_outcome()),
                disclosure::count(self.test.events.len() as u64),
                disclosure::count(self.test.with_outcome()),
            ),
        ]);
        card.items(remarks.iter().cloned());
        card.section("Item 23a: before and after");
        let (events, others) = (self.test.with_outcome(), self.test.events.len() as u64 - self.test.with_outcome());
        let shown = |estimate: &Option<Estimate>| cell(&Value::estimate(*estimate, events, others, "none"));
        card.table(
            &["figure", "before", "after"],
            after.pairs().map(|(name, before, after)| vec![name.to_owned(), shown(before), shown(after)]),
        );
        card
    }
}

/// What came of a recalibration or a fit, to be published.
pub struct Made {
    pub revision: Revision,
    pub after: After,
    pub figures: Vec<Figure>,
    pub card: Card,
    pub files: Vec<OutputFile>,
}

#[derive(Debug)]
pub struct Published {
    pub id: String,
    pub model_file: PathBuf,
    pub folder: PathBuf,
    pub after: After,
}

/// Fewer people of one class than this say nothing about a probability, and may not be shown.
const FEWEST: u64 = 8;

fn check_enough(as_of: Day, side: &str, people: &People) -> Result<()> {
    let (events, all) = (people.with_outcome(), people.events.len() as u64);
    if events >= FEWEST && all - events >= FEWEST {
        return Ok(());
    }
    Err(anyhow!(
        "as of {as_of} there are {} people {side}, {} of them with the outcome; {FEWEST} with and {FEWEST} without it are the least that an estimate is made on",
        disclosure::count(all),
        disclosure::count(events)
    ))
}

/// Figures of the people to test with, before and after.
#[derive(Debug, Clone)]
pub struct After {
    pub before: Vec<(&'static str, Option<Estimate>)>,
    pub after: Vec<(&'static str, Option<Estimate>)>,
    events: u64,
    others: u64,
}

impl After {
    /// `scores`, linear predictors and probabilities of the people to test with, as they are after.
    pub fn new(test: &People, scores: &[i64], linear_predictors: &[f64], probabilities: &[f64]) -> After {
        let difference = auc_difference(&test.scores, scores, &test.events).map(|of| of.difference);
        let mut before = of(&test.events, &test.scores, &test.linear_predictors, &test.probabilities);
        let mut after = of(&test.events, scores, linear_predictors, probabilities);
        before.push(("AUC after less before", None));
        after.push(("AUC after less before", difference));
        let events = test.with_outcome();
        After { before, after, events, others: test.events.len() as u64 - events }
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &Option<Estimate>, &Option<Estimate>)> {
        self.before.iter().zip(&self.after).map(|((name, before), (_, after))| (*name, before, after))
    }

    fn figures(&self) -> Vec<Figure> {
        let part = |at: &str, figures: &[(&'static str, Option<Estimate>)]| -> Vec<Figure> {
            let value = |estimate: &Option<Estimate>| Value::estimate(*estimate, self.events, self.others, "none");
            let line = |(name, estimate): &(&'static str, Option<Estimate>)| {
                super::validate::figure("tested", at, name, value(estimate))
            };
            figures.iter().map(line).collect()
        };
        [part("before", &self.before), part("after", &self.after)].concat()
    }
}

fn of(events: &[bool], scores: &[i64], lps: &[f64], probabilities: &[f64]) -> Vec<(&'static str, Option<Estimate>)> {
    let all = ObservedExpected::of(probabilities.iter().copied().zip(events.iter().copied()));
    let brier = brier(probabilities, events);
    let share = all.observed as f64 / all.people as f64;
    let slope = line(lps, events).ok().map(|line| Estimate::normal(line.slope, line.slope_error));
    vec![
        ("AUC", auc(scores, events).map(|auc| auc.estimate)),
        ("average precision", average_precision(scores, events).map(Estimate::alone)),
        ("observed / expected", all.ratio()),
        ("in the large", in_the_large(lps, events).ok()),
        ("slope", slope),
        ("Brier score", Some(Estimate::alone(brier))),
        ("scaled Brier score", Some(Estimate::alone(scaled_brier(brier, share)))),
    ]
}

/// The nearest number in units of 1e-9.
pub fn nano(number: f64) -> Nano {
    Nano((number * 1e9).round() as i64)
}

/// A version that names the data window and what the model is made of, short enough to be typed.
pub fn version(study: &Study, method: &str) -> String {
    use sha2::Digest;
    let text = format!("{} {method} {:?}", study.back_cast.decides.run_id(), study.estimating.seed);
    format!("{}+{}", study.day.as_of, &hex(&sha2::Sha256::digest(text.as_bytes()))[..8])
}
