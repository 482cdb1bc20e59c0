//! Whom lists are encrypted to: one public key for each practice and each place of a view.
//!
//! A key that is not one is refused with the settings; a practice without a key is found as soon as the register is
//! read. Either stops the run before a list is made.

use std::collections::{BTreeMap, BTreeSet};

use age::x25519::Recipient;

use super::{Loaded, Prepared};
use crate::model::Problem;
use crate::output::lists::NOT_KNOWN;
use crate::person::Standing;
use crate::settings::Settings;

/// Keys by view (`practice` among them) and then by name; empty where lists are not encrypted.
#[derive(Default)]
pub(super) struct Recipients(BTreeMap<String, BTreeMap<String, Recipient>>);

/// The keys of the settings.
///
/// # Errors
/// Every key that is none, by its place in the settings.
pub(super) fn read_recipients(settings: &Settings) -> Result<Recipients, Vec<Problem>> {
    let mut recipients = Recipients::default();
    let mut problems = Vec::new();
    for (view, keys) in &settings.lists.recipients {
        for (name, key) in keys {
            let mut problem = |what: &str| {
                let what = format!("lists.recipients.{view}: \"{name}\": {what}");
                problems.push(Problem { file: settings.file.clone(), line: 0, what });
            };
            if key.trim().to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                problem(
                    "a secret key has no place here; take it out of the settings, make a new pair, and give the public key, which begins with age1",
                );
                continue;
            }
            match key.trim().parse() {
                Ok(key) => drop(recipients.0.entry(view.clone()).or_default().insert(name.clone(), key)),
                Err(_) => problem("not a public key of age; one begins with age1"),
            }
        }
    }
    if problems.is_empty() { Ok(recipients) } else { Err(problems) }
}

impl Recipients {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of a practice, or of a place of a view.
    pub fn of(&self, view: &str, name: &str) -> Option<&Recipient> {
        let name = if name.is_empty() { NOT_KNOWN } else { name };
        self.0.get(view)?.get(name)
    }
}

/// Stops a run in which somebody's list would have no key.
///
/// # Errors
/// Every practice, and every place of a view, that has people on an as-of day and no key.
pub(super) fn check_recipients(prepared: &Prepared, loaded: &Loaded) -> Result<(), Vec<Problem>> {
    if prepared.recipients.is_empty() {
        return Ok(());
    }
    let spine = &loaded.people.spine;
    let mut is_seen = vec![false; spine.practices.len()];
    for as_of in &prepared.settings.as_of.0 {
        for person in 0..spine.people() as u32 {
            if let Standing::Registered { practice, .. } = spine.standing(person, *as_of) {
                is_seen[practice as usize] = true;
            }
        }
    }
    let practices = spine.practices.iter().zip(is_seen).filter(|(_, is_seen)| *is_seen).map(|(practice, _)| practice);
    let practices: Vec<&str> = practices.map(String::as_str).collect();
    let mut problems = Vec::new();
    let mut check = |view: &str, names: BTreeSet<&str>| {
        let missing: Vec<&str> =
            names.into_iter().filter(|name| prepared.recipients.of(view, name).is_none()).collect();
        if !missing.is_empty() {
            let what = format!("lists.recipients.{view}: no key for {}", missing.join(", "));
            problems.push(Problem { file: prepared.settings.file.clone(), line: 0, what });
        }
    };
    check("practice", practices.iter().copied().collect());
    for view in &prepared.settings.lists.views {
        let place = |practice: &&str| loaded.people.practices.value(practice, view).unwrap_or(NOT_KNOWN);
        check(view, practices.iter().map(place).collect());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
