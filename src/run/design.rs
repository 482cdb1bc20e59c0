//! The values of a model's terms for the people of a back-cast, for fitting.

use rayon::prelude::*;

use super::{BackCast, PastDay, operations_at};
use crate::estimate::design::Design;
use crate::measure::OnSpine;
use crate::measure::evaluate::{Evaluator, Scratch};
use crate::number::Micro;

const CHUNK: usize = 2_048;

impl BackCast<'_> {
    /// What each coefficient of a model multiplies, for people who have a score of it.
    ///
    /// # Shape
    /// One row a person, in the order given; one column a term.
    /// # Missing
    /// A missing value of a term that counts nothing recorded as none is 0, and so is what a hierarchy sets to zero:
    /// the linear predictor is the intercept and coefficients times these values.
    pub fn design(&self, day: &PastDay, model: usize, people: &[u32]) -> Design {
        let (operations, _) = operations_at(self.prepared, &self.loaded, day.as_of);
        let evaluator = Evaluator::new(&self.loaded.plan, &operations);
        let width = self.prepared.models[model].terms.len();
        let chunks: Vec<Design> = people
            .par_chunks(CHUNK)
            .map_init(
                || evaluator.scratch(),
                |scratch, people| {
                    let mut design = Design::new(width);
                    for &person in people {
                        self.take_row(&evaluator, day, model, person, scratch, &mut design);
                    }
                    design
                },
            )
            .collect();
        let mut all = Design::new(width);
        chunks.into_iter().for_each(|chunk| all.append(chunk));
        all
    }

    fn take_row(
        &self,
        evaluator: &Evaluator,
        day: &PastDay,
        model: usize,
        person: u32,
        scratch: &mut Scratch,
        design: &mut Design,
    ) {
        let attributes = OnSpine { spine: &self.loaded.people.spine, person };
        evaluator.evaluate(self.loaded.linked.timelines.of(person), &attributes, day.as_of, scratch);
        let terms = &self.loaded.plan.models[model].terms;
        let mut values: Vec<Micro> = terms.iter().map(|&node| scratch.values[node]).collect();
        for hierarchy in &self.prepared.models[model].hierarchies {
            if scratch.values[terms[hierarchy.if_present]].is_true() {
                hierarchy.then_zero.iter().for_each(|&place| values[place] = Micro::ZERO);
            }
        }
        let number = |value: &Micro| if value.is_missing() { 0.0 } else { value.to_f64() };
        design.push(values.iter().map(number).enumerate());
    }
}
