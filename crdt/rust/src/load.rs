//! Loading a document from bytes of anyone: bounded and checked before the crate sees them.

use automerge::{Automerge, LoadOptions, PatchLog, ReadDoc};

use crate::check;
use crate::error::{guard, invalid, Error, Result};
use crate::giants::Giants;
use crate::give::{give, on_copy};
use crate::graph::Graph;
use crate::incoming;
use crate::rows;
use crate::save::{Chunk, Chunks, Limits, Saved};
use crate::values::ENCODING;

/// A document, and whether there is a mark in it.
pub type Loaded = (Automerge, bool);

/// Load what `save`, followed by any number of changes, gave. `partial`: leave out changes whose dependencies are missing.
pub fn load(file: &[u8], limits: Limits, partial: bool) -> Result<Loaded> {
    guard(|| read(file, limits, partial)).map_err(|error| match error {
        Error::MissingDependencies(_) | Error::InvalidDocument(_) => error,
        Error::InvalidChange(why) | Error::ActorReused(why) | Error::Crdt(why) => Error::InvalidDocument(why),
        other => Error::InvalidDocument(format!("{other:?}")),
    })
}

fn read(file: &[u8], limits: Limits, partial: bool) -> Result<Loaded> {
    let mut doc: Option<Automerge> = None;
    let mut has_marks = false;
    let mut changes = Vec::new();
    let mut chunks = Chunks::new(file, limits)?;
    while let Some(chunk) = chunks.next()? {
        match chunk {
            Chunk::Change(change) => changes.push(change),
            Chunk::Document { chunk, body } => {
                let (loaded, marks) = document(chunk, &chunks.document(body)?, limits)?;
                has_marks |= marks;
                match &doc {
                    None => doc = Some(loaded),
                    Some(_) => changes.extend(loaded.get_changes(&[]).iter().map(|c| c.raw_bytes().to_vec())),
                }
            }
        }
    }
    let mut doc = doc.unwrap_or_else(|| Automerge::new_with_encoding(ENCODING));
    has_marks |= add(&mut doc, changes, limits, partial)?;
    Ok((doc, has_marks))
}

/// Load one document chunk.
fn document(chunk: &[u8], saved: &Saved<'_>, limits: Limits) -> Result<Loaded> {
    let mut graph = Graph::read(&saved.changes, saved.actors.len(), limits.operations)?;
    let has_marks = rows::check(&saved.operations, &mut graph, limits)?;
    let (has_merges, has_idle_actors) = (graph.has_merges(), graph.has_idle_actors());
    graph.check_pasts()?;
    let load = |chunk: &[u8]| {
        guard(|| Ok(Automerge::load_with_options(chunk, LoadOptions::new().text_encoding(ENCODING))?))
    };
    let mut doc = load(chunk)?;
    if has_idle_actors && has_marks {
        // The crate (0.12.0) takes such actors out, but not out of its index of marks.
        doc = load(&doc.save_nocompress())?;
    }
    let sorted = |deps: &[_]| deps.windows(2).all(|pair| pair[0] < pair[1]);
    if has_merges && !doc.get_changes_meta(&[]).iter().all(|meta| sorted(&meta.deps)) {
        return invalid("the dependencies of a change are not sorted");
    }
    Ok((doc, has_marks))
}

/// Apply the changes that follow a document: whether they have marks.
fn add(doc: &mut Automerge, changes: Vec<Vec<u8>>, limits: Limits, partial: bool) -> Result<bool> {
    let changes = incoming::new_ones(doc, incoming::read_many(changes, limits.operations)?);
    let operations: u64 = changes.iter().map(|incoming| incoming.head.operations).sum();
    if operations.saturating_add(doc.stats().num_ops) > limits.operations {
        return invalid("too many operations");
    }
    let changes = if partial { incoming::ready(doc, changes) } else { changes };
    let changes = incoming::order(doc, changes)?;
    if changes.is_empty() {
        return Ok(false);
    }
    check::check(doc, &mut Giants::default(), &changes, 0, false)?;
    let marked: Vec<_> = changes.iter().filter(|incoming| incoming.head.has_marks).cloned().collect();
    let given = changes.iter().map(|incoming| &*incoming.change);
    *doc = on_copy(doc, |copy, scaffold| give(copy, given.clone(), &mut PatchLog::inactive(), scaffold))?;
    check::mark_order(doc, &marked)?;
    Ok(!marked.is_empty())
}
