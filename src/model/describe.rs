//! A model in plain words.
