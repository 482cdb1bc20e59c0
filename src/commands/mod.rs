//! What each command does: from what was typed to what is printed.

pub mod appraise;
pub mod codelist;
pub mod cohort;
pub mod demo;
pub mod explain;
pub mod layouts;
pub mod models;
pub mod pseudonymise;
pub mod run;
pub mod synth;

use riskstrat::cli::{Cli, Command, LayoutsCommand, ModelsCommand};
use riskstrat::run::Failure;

pub fn command(cli: &Cli) -> Result<(), Failure> {
    let over = cli.models.as_deref();
    match &cli.command {
        Command::Demo { out, people, seed } => demo::run_demo(out, *people, *seed, over),
        Command::Run { settings, allow, because, memory } => run::run_settings(settings, over, allow, because, *memory),
        Command::Check { settings } => run::check_settings(settings, over),
        Command::Models { command: None | Some(ModelsCommand::List) } => models::list_models(over),
        Command::Models { command: Some(ModelsCommand::Show { id }) } => models::show_model(id, over),
        Command::Layouts { command: None | Some(LayoutsCommand::List) } => layouts::list_layouts(over),
        Command::Layouts { command: Some(LayoutsCommand::Show { id }) } => layouts::show_layout(id, over),
        Command::Layouts { command: Some(LayoutsCommand::Draft { file }) } => layouts::draft_layout(file, over),
        Command::Synth { out, people, seed, rows_per_person, format, defects, no_scores } => {
            synth::synth(*people, *seed, *rows_per_person, *format, *defects, *no_scores, out)
        }
        Command::Explain { run, person, model, why_not, settings, all } => {
            let settings = settings.clone().unwrap_or_else(|| run.join("../../riskstrat.toml"));
            explain::explain_person(&settings, run, person, model.as_deref(), why_not.as_deref(), *all, over)
        }
        Command::Pseudonymise(args) => pseudonymise::pseudonymise_file(args),
        Command::Validate { past, as_of, model, figures } => appraise::validate(past, as_of, model, figures, over),
        Command::Recalibrate { past, as_of, model, method, by, estimating } => {
            appraise::recalibrate(past, *as_of, model, appraise::method(*method, *by), estimating, over)
        }
        Command::Fit { past, as_of, like, penalty, lambda, folds, silent_terms, estimating } => {
            let options = appraise::fit_options(*penalty, *lambda, *folds, *silent_terms);
            appraise::fit(past, *as_of, like, &options, estimating, over)
        }
        Command::Compare { past, as_of, pair, list } => appraise::compare(past, as_of, pair, *list, over),
        Command::Cohort { command } => cohort::cohort(command, over),
        Command::Codelist { command } => codelist::codelist(command, over),
        Command::Score { model, given } => models::score_given(model, given, over),
    }
}
