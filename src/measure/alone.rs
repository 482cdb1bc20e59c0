//! One model's plan alone, for whoever asks about that model only and has the concepts of a run of several.

use std::collections::BTreeMap;

use super::plan::{ModelPlan, Node, Plan, PlannedMeasure};

impl Plan {
    /// The plan with nothing but what the terms of one model are made of, which are then those of its only model.
    /// Streams and predicates stay, so that concepts and events of the whole plan are its own.
    pub fn alone(&self, number: usize) -> Plan {
        let terms = &self.models[number].terms;
        let mut is_kept = vec![false; self.nodes.len()];
        terms.iter().for_each(|&node| is_kept[node] = true);
        // A node is made of nodes before it.
        for node in (0..self.nodes.len()).rev() {
            if is_kept[node] {
                made_of(&self.nodes[node]).iter().for_each(|&inner| is_kept[inner] = true);
            }
        }
        let mut one = Plan { streams: self.streams.clone(), ..Plan::default() };
        let mut places = vec![0; self.nodes.len()];
        let mut anchors: BTreeMap<usize, usize> = BTreeMap::new();
        for (old, node) in self.nodes.iter().enumerate().filter(|(old, _)| is_kept[*old]) {
            let new = match node {
                Node::Measure(number) => {
                    let planned = &self.measures[*number];
                    let reference = match planned.reference {
                        0 => 0,
                        anchor => *anchors.entry(anchor).or_insert_with(|| {
                            one.anchors.push(self.anchors[anchor - 1].clone());
                            one.anchors.len()
                        }),
                    };
                    one.measures.push(PlannedMeasure { reference, ..planned.clone() });
                    Node::Measure(one.measures.len() - 1)
                }
                node => moved(node, |inner| places[inner]),
            };
            places[old] = one.nodes.len();
            one.nodes.push(new);
        }
        let terms = terms.iter().map(|&node| places[node]).collect();
        one.models.push(ModelPlan { terms, raw: Vec::new(), requires: Vec::new() });
        one
    }
}

/// The nodes that a node is made of.
fn made_of(node: &Node) -> Vec<usize> {
    let mut of = Vec::new();
    moved(node, |inner| {
        of.push(inner);
        inner
    });
    of
}

/// The node with those that it is made of in other places.
fn moved(node: &Node, mut place: impl FnMut(usize) -> usize) -> Node {
    let mut all = |of: &[usize]| of.iter().map(|&inner| place(inner)).collect();
    match node {
        Node::Product(of) => Node::Product(all(of)),
        Node::SumOf(of) => Node::SumOf(all(of)),
        Node::CountTrue(of) => Node::CountTrue(all(of)),
        Node::AnyTrue(of) => Node::AnyTrue(all(of)),
        Node::AllTrue(of) => Node::AllTrue(all(of)),
        Node::Ratio(of, over) => Node::Ratio(place(*of), place(*over)),
        Node::Not(of) => Node::Not(place(*of)),
        Node::Stepped(of, steps) => Node::Stepped(place(*of), steps.clone()),
        Node::AgeYears | Node::Sex(_) | Node::Number(_) | Node::WordIn(..) | Node::Measure(_) => node.clone(),
    }
}
