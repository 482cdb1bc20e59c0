//! What stops a run before anything is published.

use anyhow::{Result, anyhow};

use super::read::counted;
use super::{Loaded, Prepared, Scored};
use crate::ingest::counts::{Reject, Rule};
use crate::model::Take;
use crate::output::manifest::{SourceQuality, share};

/// Stops a run whose data is not fit to make lists of.
pub(super) fn check_limits(prepared: &Prepared, loaded: &Loaded, sources: &[SourceQuality]) -> Result<()> {
    let limits = &prepared.settings.limits;
    let mut breaches = Vec::new();
    for source in sources {
        if source.rows == 0 {
            breaches.push(format!(
                "source \"{}\": no rows; leave a source that is not there out of the settings",
                source.source
            ));
        }
        for (field, malformed) in &source.malformed_codes {
            let share = share(*malformed, source.rows);
            if share > limits.malformed_codes_share {
                breaches.push(format!(
                    "source \"{}\": a share of {share:.4} of rows has a {field} that is not in the form of its coding system; limits.malformed_codes_share is {}",
                    source.source, limits.malformed_codes_share
                ));
            }
        }
        if source.rejected_share > limits.rejects_share {
            let (rejected, rows, limit) = (source.rejected, source.rows, limits.rejects_share);
            let name = &source.source;
            let rules: Vec<String> =
                source.dropped.iter().map(|(rule, dropped)| format!("{rule} {}", dropped.rows)).collect();
            breaches.push(format!(
                "source \"{name}\": {rejected} of {rows} rows break a rule, a share of {:.4}; limits.rejects_share is {limit} ({}){}",
                source.rejected_share,
                rules.join(", "),
                first_rejects(prepared, loaded, name)
            ));
        }
    }
    for (input, counts) in prepared.sources.iter().zip(&loaded.linked.counts) {
        let strangers = share(counts.of(Rule::NotOnRegister), counts.rows);
        if strangers > limits.not_on_register_share {
            breaches.push(format!(
                "source \"{}\": a share of {strangers:.4} of rows belongs to people who are not on the register; limits.not_on_register_share is {}",
                input.name, limits.not_on_register_share
            ));
        }
    }
    if loaded.people.spine.people() == 0 {
        breaches.push("the register has no people".to_owned());
    }
    if breaches.is_empty() { Ok(()) } else { Err(anyhow!(breaches.join("\n"))) }
}

/// Stops a run in which a term says nothing, or a look-up finds nothing: a feed is cut, or a code list does not fit.
pub(super) fn check_terms(prepared: &Prepared, loaded: &Loaded, scored: &Scored) -> Result<()> {
    let scores = &scored.scores;
    let limits = &prepared.settings.limits;
    let mut breaches = Vec::new();
    for (model, of) in prepared.models.iter().zip(&scores.models).filter(|(model, _)| model.is_scored()) {
        for (term, tally) in model.terms.iter().zip(&of.terms) {
            let is_judged =
                tally.people >= limits.dead_terms_from_people && !limits.expects_dead(&model.id, &term.name);
            if is_judged && tally.is_dead() {
                breaches.push(format!(
                    "model \"{}\", term \"{}\": the same ({}) for all {} people scored; a feed or a code list may be missing. Where it is known to be so, name it under limits.expected_dead_terms",
                    model.id, term.name, tally.lowest, tally.people
                ));
            }
        }
    }
    for (planned, look_ups) in loaded.plan.measures.iter().zip(&scores.look_ups) {
        let missed = share(look_ups.missed, look_ups.done);
        if let Take::LookUp { table, field, .. } = &planned.measure.take
            && missed > limits.look_up_misses_share
        {
            breaches.push(format!(
                "table \"{table}\" lacks the {field} of a share of {missed:.4} of the {} look-ups; limits.look_up_misses_share is {}",
                look_ups.done, limits.look_up_misses_share
            ));
        }
    }
    if breaches.is_empty() { Ok(()) } else { Err(anyhow!("as of {}: {}", scores.as_of, breaches.join("\n"))) }
}

/// The first places where a source's rows break a rule, a line each.
fn first_rejects(prepared: &Prepared, loaded: &Loaded, source: &str) -> String {
    let counted = counted(prepared, loaded);
    let Some((input, counts)) = counted.into_iter().find(|(input, _)| input.name == source) else {
        return String::new();
    };
    let place = |reject: &Reject| {
        let file = &input.files[reject.file].name;
        format!("\n  {file}, row {}, column \"{}\": {}", reject.row, reject.column, reject.rule.meaning())
    };
    counts.rejects.iter().take(3).map(place).collect()
}
