//! The bare crate automerge, the limit of what a binding can reach: one workload in a process of its own.
//!
//! Usage: `bare WORKLOAD FOLDER N`. The folder holds what `workloads_peers.py` wrote there. Prints one number a
//! line: seconds, microseconds for the workloads of one change, MB for `memory`.

use std::time::Instant;

use automerge::transaction::Transactable;
use automerge::{
    Automerge, Change, ChangeHash, LoadOptions, ObjId, ObjType, PatchLog, ReadDoc, TextEncoding,
    ROOT,
};

const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (workload, folder) = (args[1].as_str(), &args[2]);
    let most: usize = args[3].parse().expect("how many");
    let read =
        |name: &str| std::fs::read(format!("{folder}/{name}")).expect("a file of the folder");
    match workload {
        "edit-one" => edit_one(&edits(&read("edits"), most)),
        "edit-each" => edit_each(&edits(&read("edits"), most)),
        "save" => {
            let doc = load(&read("document"));
            timed(|| doc.save());
        }
        "load" => {
            let saved = read("document");
            timed(|| load(&saved));
        }
        "to-py" => {
            let doc = load(&read("document"));
            timed(|| doc.hydrate(None));
        }
        "memory" => {
            let before = resident();
            let doc = load(&read("document"));
            println!("{}", resident() - before);
            drop(doc);
        }
        "fork-at" => {
            let (doc, versions) = (load(&read("document")), versions(&read("versions")));
            timed(|| doc.fork_at(&versions[0]).expect("a fork"));
        }
        "diff" => {
            let doc = load(&read("document"));
            for version in versions(&read("versions")) {
                timed(|| doc.diff(&version, &doc.get_heads()));
            }
        }
        "apply-all" => {
            let bytes = pieces(&read("changes"));
            timed(|| {
                let changes: Vec<Change> = bytes.into_iter().map(change).collect();
                let mut doc = Automerge::new_with_encoding(ENCODING);
                let mut log = PatchLog::active();
                doc.apply_changes_log_patches(changes, &mut log)
                    .expect("they apply");
                doc.make_patches(&mut log)
            });
        }
        "apply-one" | "apply-one-concurrent" => {
            apply_one(load(&read("before")), pieces(&read("last")), most, workload)
        }
        other => panic!("no workload {other}"),
    }
}

fn timed<T>(f: impl FnOnce() -> T) {
    let begin = Instant::now();
    let made = f();
    println!("{}", begin.elapsed().as_secs_f64());
    drop(made);
}

fn edit_one(edits: &[Edit]) {
    let mut doc = Automerge::new_with_encoding(ENCODING);
    timed(|| {
        let mut tx = doc.transaction();
        let body = tx.put_object(ROOT, "body", ObjType::Text).expect("a text");
        for (at, deleted, text) in edits {
            tx.splice_text(&body, *at, *deleted, text).expect("an edit");
        }
        tx.commit();
    });
}

fn edit_each(edits: &[Edit]) {
    let mut doc = Automerge::new_with_encoding(ENCODING);
    timed(|| {
        let mut tx = doc.transaction();
        let body: ObjId = tx.put_object(ROOT, "body", ObjType::Text).expect("a text");
        tx.commit();
        for (at, deleted, text) in edits {
            let mut tx = doc.transaction();
            tx.splice_text(&body, *at, *deleted, text).expect("an edit");
            tx.commit();
            // A program that sends its edits needs their bytes, as the binding gives them.
            std::hint::black_box(doc.get_last_local_change());
        }
    });
}

fn apply_one(mut doc: Automerge, changes: Vec<Vec<u8>>, most: usize, workload: &str) {
    if workload == "apply-one-concurrent" {
        let (_, body) = doc.get(ROOT, "body").expect("a document").expect("a text");
        let mut tx = doc.transaction();
        tx.splice_text(&body, 0, 0, "!").expect("an edit");
        tx.commit();
    }
    for bytes in changes.into_iter().take(most) {
        let begin = Instant::now();
        let mut log = PatchLog::active();
        doc.apply_changes_log_patches([change(bytes)], &mut log)
            .expect("it applies");
        assert!(!doc.make_patches(&mut log).is_empty());
        println!("{}", begin.elapsed().as_secs_f64() * 1e6);
    }
}

fn load(saved: &[u8]) -> Automerge {
    let options = LoadOptions::new().text_encoding(ENCODING);
    Automerge::load_with_options(saved, options).expect("a document")
}

fn change(bytes: Vec<u8>) -> Change {
    Change::from_bytes(bytes).expect("a change")
}

/// Resident memory of this process in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4096.0 / 1e6
}

/// Position, deleted code points, inserted text.
type Edit = (usize, isize, String);

fn edits(data: &[u8], most: usize) -> Vec<Edit> {
    let read = |piece: Vec<u8>| {
        let number =
            |at: usize| u32::from_le_bytes(piece[at..at + 4].try_into().expect("four bytes"));
        let text = String::from_utf8(piece[8..].to_vec()).expect("text");
        (number(0) as usize, number(4) as isize, text)
    };
    pieces(data).into_iter().take(most).map(read).collect()
}

fn versions(data: &[u8]) -> Vec<[ChangeHash; 1]> {
    let hash = |piece: Vec<u8>| [ChangeHash(piece.try_into().expect("a hash"))];
    pieces(data).into_iter().map(hash).collect()
}

fn pieces(mut data: &[u8]) -> Vec<Vec<u8>> {
    let next = || {
        let (length, rest) = data.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (piece, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(piece.to_vec())
    };
    std::iter::from_fn(next).collect()
}
