//! The bare crate, for comparison: apply changes one by one to a saved document.
//!
//! Usage: `bare_apply DOCUMENT CHANGES N`, where CHANGES holds changes, each after its length (u32,
//! little-endian). Prints the microseconds of each of the first N applies, one a line.

use std::time::Instant;

use automerge::{Automerge, Change, LoadOptions, PatchLog, TextEncoding};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let saved = std::fs::read(&args[1]).expect("the document");
    let changes = std::fs::read(&args[2]).expect("the changes");
    let most: usize = args[3].parse().expect("how many");
    let options = LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint);
    let mut doc = Automerge::load_with_options(&saved, options).expect("a document");
    for bytes in pieces(&changes).take(most) {
        let begin = Instant::now();
        let change = Change::from_bytes(bytes.to_vec()).expect("a change");
        let mut log = PatchLog::active();
        doc.apply_changes_log_patches([change], &mut log).expect("it applies");
        let patches = doc.make_patches(&mut log);
        let took = begin.elapsed();
        assert!(!patches.is_empty());
        println!("{}", took.as_nanos() as f64 / 1000.0);
    }
}

fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (piece, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(piece)
    })
}
