//! Is a score true here? From past scores and what came of people to figures, tables, plots and new model files.
//!
//! `validate` holds one model against what came, `recalibrate` shifts its probabilities, `fit` estimates its
//! coefficients anew, `compare` holds two models against each other on the same people. Each makes files as bytes and
//! publishes them whole or not at all; what may be shown of few people is decided by `output::disclosure`.

use std::path::{Path, PathBuf};

use crate::day::Day;
use crate::output::OutputFile;
use crate::output::figures::Figure;
use crate::output::publish::{Folder, publish};
use crate::run::{BackCast, Failure, Progress};
use validate::{Options, check_classes};

pub mod card;
pub mod compare;
pub mod files;
pub mod fit;
pub mod groups;
pub mod local;
pub mod recalibrate;
pub mod split;
pub mod synthetic;
pub mod validate;

/// A validation that was published.
#[derive(Debug)]
pub struct Published {
    pub as_of: Day,
    pub folder: PathBuf,
    pub figures: Vec<Figure>,
}

/// Holds the first model of a back-cast against what came, at each of its days, and publishes `OUT/<model>/<as-of>/`.
///
/// # Errors
/// A day on which nobody, or everybody, has the outcome; whatever stops a run. Nothing is published then.
pub fn validate_all(
    back_cast: &BackCast,
    options: &Options,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Published>, Failure> {
    let model = &back_cast.prepared.models[0];
    let mut made = Vec::new();
    for as_of in &back_cast.prepared.settings.as_of.0 {
        let day = back_cast.at(*as_of, progress)?;
        check_classes(&model.id, &day, &day.cast(0)).map_err(Failure::Data)?;
        progress.stage(&format!("hold {as_of} against what came"), 0);
        let validation = validate::validate(back_cast, &day, 0, options);
        let files = files::files(back_cast, &day, model, options, &validation).map_err(Failure::Unexpected)?;
        made.push((*as_of, files, validation.figures));
    }
    let folder = out.join(&model.id);
    let names: Vec<(String, Vec<OutputFile>)> =
        made.iter().map(|(as_of, files, _)| (as_of.to_string(), files.clone())).collect();
    let folders = publish_all(&folder, names)?;
    let published = made.into_iter().zip(folders);
    Ok(published.map(|((as_of, _, figures), folder)| Published { as_of, folder, figures }).collect())
}

/// Publishes folders of files, all or none.
pub fn publish_all(out: &Path, folders: Vec<(String, Vec<OutputFile>)>) -> Result<Vec<PathBuf>, Failure> {
    let folder = Folder::open(out).map_err(Failure::Output)?;
    let mut stages = Vec::new();
    for (name, files) in &folders {
        let stage = folder.stage(name).map_err(Failure::Output)?;
        stage.write(files).map_err(Failure::Output)?;
        stages.push(stage);
    }
    publish(&folder, stages).map_err(Failure::Output)
}
