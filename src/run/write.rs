//! What is written for one as-of day.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use rayon::prelude::*;

use super::last::LastLists;
use super::memory::peak_bytes;
use super::parts::ScoreParts;
use super::past::Past;
use super::read::counted;
use super::{Clock, DateReport, Failure, Loaded, People, Prepared, RunTables, Scored};
use crate::cohort::columns::{Published, published_columns};
use crate::day::Day;
use crate::gate::Judged;
use crate::ingest::Input;
use crate::ingest::counts::{Counts, Reject};
use crate::measure::rehospitalisation::Provider;
use crate::model::Model;
use crate::output::OutputFile;
use crate::output::last::Counted;
use crate::output::lists::Glimpse;
use crate::output::manifest::{CohortLine, Decides, Manifest, ModelLine, SourceQuality, Step, rejects_csv};
use crate::output::publish::{Stage, leave_stopped};
use crate::output::tables::{self, ByReason, Desks};
use crate::person::Standing;
use crate::score::fidelity::Grade;
use crate::strata::Strata;
use crate::timeline::Picked;

pub(super) fn timings_json(clock: &Clock, as_of: Day) -> OutputFile {
    let stages: Vec<_> = clock
        .timings()
        .iter()
        .map(|(name, time)| serde_json::json!({ "stage": name, "milliseconds": time.as_millis() as u64 }))
        .collect();
    let json = serde_json::json!({
        "as_of": as_of.to_string(),
        "threads": rayon::current_num_threads(),
        "peak_memory_bytes": peak_bytes(),
        "stages": stages,
    });
    OutputFile::new("timings.json", pretty(&json))
}

/// What is written for one as-of day.
pub(super) struct AtDate<'a> {
    pub prepared: &'a Prepared,
    pub loaded: &'a Loaded,
    pub scored: &'a Scored,
    pub counted: &'a Counted,
    pub gates: &'a [&'a Judged],
    pub past: &'a Past<'a>,
    pub parts: &'a ScoreParts,
    /// The events that measures can count back from.
    pub anchors: &'a Picked,
    pub desks: &'a Desks,
    /// What the lists are compared with.
    pub last: Option<&'a LastLists>,
}

impl Scored {
    /// The tables of the day.
    pub(super) fn tables<'p>(&self, prepared: &'p Prepared) -> RunTables<'p> {
        let ratios = self.providers.iter().map(|(code, provider)| (code.clone(), provider.ratio())).collect();
        RunTables { library: &prepared.library, ratios }
    }

    /// The columns that are published of the day.
    pub(super) fn published<'a>(&'a self, prepared: &'a Prepared, people: &'a People) -> Published<'a> {
        let People { spine, practices, .. } = people;
        published_columns(&prepared.models, spine, practices, &self.scores, &self.strata, &self.availability)
    }
}

impl AtDate<'_> {
    /// Stages the files of the day; gives back what came of it, and what the next day's lists are compared with.
    pub fn write(
        &self,
        stage: &Stage,
        decides: &Decides,
        sources: &[SourceQuality],
    ) -> Result<(DateReport, LastLists), Failure> {
        let Files { mut files, models, cohorts, first_list } = self.files(sources).map_err(Failure::Unexpected)?;
        let hashes = || {
            let hashed = files.par_iter().filter(|file| !file.is_encrypted);
            hashed.map(|file| (file.path.clone(), file.sha256())).collect()
        };
        let (outputs, staged) = rayon::join(hashes, || stage.write(&files));
        staged.map_err(Failure::Output)?;
        let manifest = Manifest {
            run_id: decides.run_id(),
            decides: decides.clone(),
            attrition: self.attrition(),
            models,
            cohorts,
            outputs,
        };
        let json = serde_json::to_value(&manifest).map_err(|error| Failure::Unexpected(error.into()))?;
        files.push(OutputFile::new("manifest.json", pretty(&json)));
        stage.write(&files[files.len() - 1..]).map_err(Failure::Output)?;
        let as_of = self.scored.scores.as_of;
        let written = LastLists::of_this_run(as_of, &files, &self.prepared.cohort_names());
        let Manifest { models, cohorts, .. } = manifest;
        Ok((DateReport { as_of, models, cohorts, first_list }, written))
    }

    /// All files but the manifest, and what it says of them.
    fn files(&self, sources: &[SourceQuality]) -> Result<Files> {
        let mut published = self.scored.published(self.prepared, &self.loaded.people);
        published.columns.extend(self.past.columns(self.scored.scores.as_of));
        // The lists are mostly made on one thread; the others write the analysis files meanwhile.
        let analysis = || rayon::join(|| self.analysis(&published), || self.quality(sources));
        let ((analysis, quality), lists) = rayon::join(analysis, || self.lists(published.clone()));
        let ((scores, (not_scored, by_reason)), lists) = (analysis?, lists?);
        let mut files = vec![scores, not_scored];
        files.extend(lists.files);
        files.push(quality);
        for (input, counts) in counted(self.prepared, self.loaded) {
            if !counts.rejects.is_empty() {
                let names: Vec<String> = input.files.iter().map(|file| file.name.clone()).collect();
                files.push(OutputFile::new(format!("rejects/{}.csv", input.name), rejects_csv(counts, &names)));
            }
        }
        Ok(Files { files, models: self.model_lines(by_reason), cohorts: lists.lines, first_list: lists.first })
    }

    fn quality(&self, sources: &[SourceQuality]) -> OutputFile {
        let json = serde_json::json!({
            "sources": sources,
            "gates": self.gates,
            "counted": self.counted,
            "governance": governance(self.prepared, self.loaded),
            "fidelity": self.fidelity(),
            "rehospitalisation": self.rehospitalisation(),
        });
        OutputFile::new("quality.json", pretty(&json))
    }

    fn analysis(&self, published: &Published) -> Result<(OutputFile, (OutputFile, Vec<ByReason>))> {
        let (models, Scored { scores, strata, .. }) = (&self.prepared.models, self.scored);
        let (all, not_scored) = rayon::join(
            || tables::scores(published, models, scores, self.desks),
            || tables::not_scored(models, &self.loaded.people.spine, scores, strata, self.desks),
        );
        Ok((all?, not_scored?))
    }

    /// By scored model: people by grade, and what became of each term.
    fn fidelity(&self) -> serde_json::Value {
        let of_model = |(number, model): (usize, &Model)| {
            let scores = &self.scored.scores.models[number];
            let mut grades: BTreeMap<&str, u64> = Grade::ALL.iter().map(|grade| (grade.name(), 0)).collect();
            for (practice, people) in (0u32..).zip(self.scored_by_practice(number)) {
                let unavailable = self.scored.availability.unavailable(number, practice).into();
                *grades.entry(Grade::of(unavailable, model.terms.len()).name()).or_default() += people;
            }
            let terms = model.terms.iter().zip(&scores.terms).map(|(term, tally)| {
                serde_json::json!({
                    "term": term.name,
                    "observed": tally.observed,
                    "defaulted": tally.people - tally.observed - tally.unavailable,
                    "unavailable": tally.unavailable,
                    "the_same_for_everybody": tally.is_dead(),
                })
            });
            (model.id.clone(), serde_json::json!({ "people_by_grade": grades, "terms": terms.collect::<Vec<_>>() }))
        };
        let scored = self.prepared.models.iter().enumerate().filter(|(_, model)| model.is_scored());
        serde_json::Value::Object(scored.map(of_model).collect())
    }

    /// How many registered people of each practice have a score.
    fn scored_by_practice(&self, number: usize) -> Vec<u64> {
        let mut people = vec![0; self.loaded.people.spine.practices.len()];
        for &person in &self.scored.strata[number].scored {
            if let Standing::Registered { practice, .. } = self.scored.scores.standings[person as usize] {
                people[practice as usize] += 1;
            }
        }
        people
    }

    fn rehospitalisation(&self) -> serde_json::Value {
        let line = |(code, provider): (&String, &Provider)| {
            let expected = crate::number::Nano(provider.expected as i64);
            let value = serde_json::json!({
                "discharges": provider.discharges,
                "readmissions": provider.readmissions,
                "expected": expected.to_f64(),
                "ratio": provider.ratio().to_f64(),
            });
            (code.clone(), value)
        };
        serde_json::Value::Object(self.scored.providers.iter().map(line).collect())
    }

    fn attrition(&self) -> Vec<Step> {
        let standings = &self.scored.scores.standings;
        let count = |wanted: fn(&Standing) -> bool| standings.iter().filter(|standing| wanted(standing)).count() as u64;
        let all = standings.len() as u64;
        let people = &self.loaded.people;
        let step = |step: &str, people| Step { step: step.to_owned(), people };
        vec![
            step("on the register", all + people.opted_out_by_code + people.opted_out),
            step("after the list of opt-outs", all + people.opted_out_by_code),
            step("after opt-outs by code", all),
            step("died before the as-of date", count(|standing| *standing == Standing::Died)),
            step("not yet born on the as-of date", count(|standing| *standing == Standing::NotYetBorn)),
            step("not registered on the as-of date", count(|standing| *standing == Standing::NotRegistered)),
            step("registered on the as-of date", count(|standing| matches!(standing, Standing::Registered { .. }))),
        ]
    }

    fn model_lines(&self, by_reason: Vec<ByReason>) -> Vec<ModelLine> {
        let line = |((model, strata), not_scored): ((&Model, &Strata), ByReason)| {
            let names = model.bands.names().into_iter().map(str::to_owned);
            ModelLine {
                id: model.id.clone(),
                version: model.version.clone(),
                scored: strata.scored.len() as u64,
                not_scored,
                bands: names.zip(strata.in_bands.iter().copied()).collect(),
            }
        };
        let models = self.prepared.models.iter().zip(&self.scored.strata).zip(by_reason);
        models.filter(|((model, _), _)| model.is_scored()).map(line).collect()
    }
}

/// What is written of one as-of day but for the manifest, and what that says of it.
struct Files {
    files: Vec<OutputFile>,
    models: Vec<ModelLine>,
    cohorts: Vec<CohortLine>,
    first_list: Option<Glimpse>,
}

/// What a run that a gate stopped leaves for whoever has to find out why.
pub(super) struct Stopped<'a> {
    pub prepared: &'a Prepared,
    pub loaded: &'a Loaded,
    pub sources: &'a [SourceQuality],
    pub counted: &'a Counted,
}

impl Stopped<'_> {
    /// Every breach, every gate, what became of the rows of every source, and where rejects stand: nothing of a person.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, breaches: &str, judged: &[Judged], at: &[(String, Vec<Judged>)]) -> Result<PathBuf> {
        let as_of: Vec<String> = self.prepared.settings.as_of.0.iter().map(Day::to_string).collect();
        let rejects = |(input, counts): (&Input, &Counts)| {
            let place = |reject: &Reject| {
                serde_json::json!({
                    "file": input.files[reject.file].name,
                    "row": reject.row,
                    "column": reject.column,
                    "rule": reject.rule.name(),
                })
            };
            let places: Vec<_> = counts.rejects.iter().take(STOPPED_REJECTS).map(place).collect();
            (input.name.clone(), serde_json::Value::from(places))
        };
        let rejects: serde_json::Map<String, serde_json::Value> =
            counted(self.prepared, self.loaded).into_iter().map(rejects).collect();
        let at: BTreeMap<&String, &Vec<Judged>> = at.iter().map(|(as_of, judged)| (as_of, judged)).collect();
        let json = serde_json::json!({
            "as_of": as_of,
            "breaches": breaches.lines().collect::<Vec<_>>(),
            "gates": judged,
            "gates_by_as_of": at,
            "sources": self.sources,
            "counted": self.counted,
            "rejects": rejects,
        });
        leave_stopped(&self.prepared.settings.out_folder(), &pretty(&json))
    }
}

/// How many rejects of a source a stopped run lists.
const STOPPED_REJECTS: usize = 1_000;

/// What the settings say of purposes and of what is let through, and what opt-outs came to.
fn governance(prepared: &Prepared, loaded: &Loaded) -> serde_json::Value {
    let settings = &prepared.settings;
    let purposes: BTreeMap<&str, &str> =
        settings.sources.iter().map(|source| (source.name.as_str(), source.purpose.name())).collect();
    let accepted = settings.identifiers.accept.iter().map(|accepted| {
        serde_json::json!({ "source": accepted.source, "column": accepted.column, "because": accepted.because })
    });
    serde_json::json!({
        "purposes": purposes,
        "opt_outs": {
            "applied_upstream": settings.opt_outs.applied_upstream,
            "people_by_list": loaded.people.opted_out,
            "people_by_code": loaded.people.opted_out_by_code,
        },
        "sensitive": {
            "codes_kept_out": prepared.library.sensitive.codes(),
            "legal_basis": settings.sensitive.as_ref().map(|sensitive| &sensitive.legal_basis),
        },
        "identifiers": {
            "accept_test_numbers": settings.identifiers.accept_test_numbers,
            "accepted": accepted.collect::<Vec<_>>(),
        },
    })
}

fn pretty(json: &serde_json::Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(json).expect("plain data has a JSON form");
    bytes.push(b'\n');
    bytes
}

pub(super) fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    crate::model::library::hex(&sha2::Sha256::digest(bytes))
}
