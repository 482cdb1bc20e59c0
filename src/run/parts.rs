//! What the parts of one model's score are made of: a plan of its own, so that taking apart the scores of a list costs
//! what that model costs, whatever else the run works out.

use std::collections::BTreeMap;

use super::{Loaded, Prepared, RunTables};
use crate::measure::plan::{Operations, Plan};

/// One model's plan alone, over the concepts of the run, and what each concept does for it.
pub(super) struct OfModel {
    pub plan: Plan,
    pub operations: Operations,
}

/// The plans of the models that cohorts are made from, by the model's number.
pub(super) struct ScoreParts(BTreeMap<usize, OfModel>);

impl ScoreParts {
    pub fn new(prepared: &Prepared, loaded: &Loaded) -> ScoreParts {
        let tables = RunTables { library: &prepared.library, ratios: BTreeMap::new() };
        let of_model = |number: usize| {
            let plan = loaded.plan.alone(number);
            let operations = plan.operations(&loaded.linked.concepts, &prepared.library, &tables);
            OfModel { plan, operations }
        };
        let is_asked =
            |number: &usize| prepared.cohorts.iter().any(|cohort| cohort.model == prepared.models[*number].id);
        let numbers = (0..prepared.models.len()).filter(is_asked);
        ScoreParts(numbers.map(|number| (number, of_model(number))).collect())
    }

    /// Looks codes up in the tables of a day.
    pub fn look_up(&mut self, tables: &RunTables) {
        self.0.values_mut().for_each(|of| of.operations.look_up(&of.plan, tables));
    }

    /// A model that some cohort is made from.
    pub fn of(&self, number: usize) -> &OfModel {
        &self.0[&number]
    }
}
