//! Progress on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use riskstrat::run::Progress;

/// One bar a stage on a terminal; nothing where the output goes to a file.
pub struct Bars {
    bar: ProgressBar,
}

impl Bars {
    pub fn new() -> Bars {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.enable_steady_tick(Duration::from_millis(120));
        Bars { bar }
    }

    pub fn set(&self, done: u64, expected: u64) {
        self.bar.set_length(expected.max(done));
        self.bar.set_position(done);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bars {
    fn stage(&self, name: &str, units: u64) {
        let style = match units {
            0 => "{msg:<22} {spinner}",
            _ => "{msg:<22} [{bar:40}] {percent:>3}%  {eta} left",
        };
        self.bar.reset();
        self.bar.set_length(units.max(1));
        self.bar.set_style(ProgressStyle::with_template(style).expect("the template is fixed"));
        self.bar.set_message(name.to_owned());
    }

    fn advance(&self, units: u64) {
        self.bar.inc(units);
    }
}
