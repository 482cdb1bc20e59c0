//! Every shipped file loads, and every worked example in a model file comes out as the file says.

use riskstrat::event::Streams;
use riskstrat::ingest::layout::LayoutFile;
use riskstrat::measure::plan::Tables;
use riskstrat::model::check::check;
use riskstrat::model::library::Library;
use riskstrat::model::{Model, Problem};
use riskstrat::number::Micro;
use riskstrat::score::given::check_example;

pub struct LibraryTables<'a>(pub &'a Library);

impl Tables for LibraryTables<'_> {
    fn value(&self, table: &str, code: &str) -> Option<Micro> {
        self.0.table(table)?.values.get(code).copied()
    }
}

pub fn library() -> Library {
    Library::load(None)
        .expect("the shipped files are embedded")
        .unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

pub fn streams(library: &Library) -> Streams {
    let mut streams = Streams::default();
    for (id, text) in &library.layouts {
        let layout =
            LayoutFile::parse(&text.file, &text.text).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
        assert_eq!(&layout.layout.id, id, "a layout is named as its file");
        layout.add_streams(&mut streams);
    }
    streams
}

pub fn model(library: &Library, streams: &Streams, id: &str) -> Model {
    let text = &library.models[id];
    check(&text.file, &text.text, library, streams).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_shipped_model_loads_and_passes_its_examples() {
    let library = library();
    let streams = streams(&library);
    let mut examples = 0;
    for id in library.models.keys() {
        let model = model(&library, &streams, id);
        assert_eq!(&model.id, id, "a model is named as its file");
        for example in &model.examples {
            if let Err(fault) = check_example(&model, example, &LibraryTables(&library)) {
                panic!("scores/{id}.toml:{}: example \"{}\": {fault}", example.line, example.who);
            }
            examples += 1;
        }
    }
    assert!(examples >= 20, "the shipped models have worked examples");
}

#[test]
fn the_combined_predictive_model_has_its_69_terms_and_gives_the_published_example() {
    let library = library();
    let streams = streams(&library);
    let cpm = model(&library, &streams, "cpm");
    assert_eq!(cpm.terms.len(), 69);
    assert_eq!(cpm.intercept.to_string(), "-3.8227");
    let given = &cpm.examples[0].given;
    let score = riskstrat::score::given::score(&cpm, given, &LibraryTables(&library)).unwrap();
    assert_eq!(format!("{:.1}", score.score * 100.0), "73.8");
}
