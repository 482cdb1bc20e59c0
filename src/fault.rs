//! A fault of the program itself: told without what it was working on.
//!
//! A panic's message may be made of what a cell says, so it is not shown unless it is a text fixed in the program; its
//! place in the source is enough to find the fault. A panic that the program deals with itself says nothing at all.

use std::panic::{self, PanicHookInfo};
use std::sync::Mutex;

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// From here on a panic prints nothing by itself.
pub fn keep_quiet() {
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST.lock() {
            *last = Some(in_words(info));
        }
    }));
}

/// What the last panic may say.
pub fn last() -> String {
    let kept = LAST.lock().ok().and_then(|mut last| last.take());
    kept.unwrap_or_else(|| "unexpected fault of the program".to_owned())
}

fn in_words(info: &PanicHookInfo) -> String {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let what = info.payload().downcast_ref::<&str>().map(|what| format!(": {what}")).unwrap_or_default();
    format!("unexpected fault of the program{place}{what}; nothing was published. Please report this line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_never_shows_what_it_was_made_of() {
        keep_quiet();
        let cell = "9434765919".to_owned();
        assert!(panic::catch_unwind(|| panic!("no number: {cell}")).is_err());
        let said = last();
        assert!(
            said.contains("src/fault.rs:") && !said.contains("9434765919") && !said.contains("no number"),
            "{said}"
        );
        assert!(panic::catch_unwind(|| panic!("a fixed text")).is_err());
        assert!(last().contains(": a fixed text"));
        let _ = panic::take_hook();
    }
}
