//! Printing to standard output.

/// Prints; whoever reads may have stopped reading, as `head` does, which is no fault.
macro_rules! out {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!($($text)*));
    }};
}

macro_rules! out_line {
    ($($text:tt)*) => { $crate::print::out!("{}\n", format_args!($($text)*)) };
}

pub(crate) use {out, out_line};
