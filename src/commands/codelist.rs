//! `riskstrat codelist`.

use std::path::Path;

use anyhow::{Context, anyhow};
use riskstrat::cli::CodelistCommand;
use riskstrat::code::{CodeList, System};
use riskstrat::model::import::import;
use riskstrat::run::Failure;

use super::models::library;
use crate::print::{out, out_line};
use crate::report;

pub fn codelist(command: &CodelistCommand, over: Option<&Path>) -> Result<(), Failure> {
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .with_context(|| format!("failed to read {}", file.display()))
            .map_err(Failure::Data)
    };
    let (text, id) = match command {
        CodelistCommand::Check { file } => (read(file)?, stem(file)),
        CodelistCommand::Import { file, system, category, source, out } => {
            let named = System::named(system).ok_or_else(|| {
                let known = System::ALL.map(System::name).join(", ");
                Failure::Data(anyhow!("unknown code system \"{system}\"; known are {known}"))
            })?;
            let imported = import(&read(file)?, source, named, category)
                .with_context(|| file.display().to_string())
                .map_err(Failure::Data)?;
            out!("{}", report::imported_in_words(&imported));
            std::fs::write(out, &imported.text)
                .with_context(|| format!("failed to write {}", out.display()))
                .map_err(Failure::Output)?;
            out_line!("written: {}", out.display());
            (imported.text, stem(out))
        }
    };
    let list = CodeList::parse(&id, &text).map_err(|problems| Failure::Data(anyhow!(problems.join("\n"))))?;
    let library = library(over)?;
    out!("{}", report::changes_in_words(&list, library.code_lists.get(&id)));
    Ok(())
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
