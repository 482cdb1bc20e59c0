//! The command line: what is printed, and the exit code.

#![allow(clippy::print_stderr, reason = "this is where errors are told")]

use std::process::ExitCode;

use clap::Parser;
use riskstrat::cli::Cli;

mod print;

mod bars;
mod commands;
mod fault;
mod report;

/// Batches and buffers come and go on every thread; the system allocator gives their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(threads) = cli.threads {
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        if let Err(error) = built {
            eprintln!("failed to start {threads} threads: {error}");
            return ExitCode::from(1);
        }
    }
    fault::keep_quiet();
    match std::panic::catch_unwind(|| commands::command(&cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Err(_) => {
            eprintln!("{}", fault::last());
            ExitCode::from(1)
        }
        Ok(Err(failure)) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
