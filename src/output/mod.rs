//! What a run leaves behind.
//!
//! Everything is made as bytes first and written in one place, `publish`, whole or not at all. There are three classes
//! of output and no fourth: pseudonymised analysis files, lists for one practice each, and aggregates; a file says its
//! class where it is made. Nothing here computes a score.

pub mod disclosure;
pub mod encode;
pub mod figures;
pub mod last;
pub mod lists;
pub mod manifest;
pub mod plots;
pub mod publish;
pub mod tables;
pub mod workbook;

use sha2::{Digest, Sha256};

use crate::model::library::hex;

/// A file to be published: its place below the run's folder, and its bytes.
#[derive(Debug, Clone)]
pub struct OutputFile {
    pub path: String,
    pub bytes: Vec<u8>,
    /// Encrypted: other bytes in every run, so that its hash says nothing.
    pub is_encrypted: bool,
}

impl OutputFile {
    pub fn new(path: impl Into<String>, bytes: Vec<u8>) -> OutputFile {
        OutputFile { path: path.into(), bytes, is_encrypted: false }
    }

    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.bytes))
    }
}
