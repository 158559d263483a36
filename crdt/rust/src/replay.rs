//! Replay: run the operations of a remote change as a local transaction of its actor.
//!
//! The crate's own way to apply a change walks every operation of each object it touches. A local
//! transaction does not. Where a change builds on what a local one would build on, its operations, run in
//! order under its actor with its message and time, make the same change again: the hash proves it.

use automerge::legacy::{ObjectId, OpType};
use automerge::transaction::CommitOptions;
use automerge::{Automerge, Change, ChangeHash, Patch, PatchLog};

use crate::document::{Document, State};
use crate::error::{guard, Result};
use crate::player::play;

/// Larger changes are left to the crate's own way, which then is the faster one.
const MOST_OPERATIONS: usize = 4_096;
/// Each mark is set by walking past those that begin or end at its place, of which a stranger may have made thousands.
const MOST_MARKS: usize = 16;

/// Where the last replayed operation was: the next one is likely to be beside it.
#[derive(Default)]
pub struct Hint {
    pub near: Option<(ObjectId, usize)>,
}

impl Hint {
    pub fn clear(&mut self) {
        self.near = None;
    }
}

pub enum Outcome {
    Done,
    /// It cannot be replayed; the document is as it was.
    NotPossible,
    /// It was replayed, and is not the same change: the document must be put back.
    Mismatch,
}

/// Replay one change whose dependencies are the heads of the document; its patches, where they are wanted.
pub fn replay(document: &mut Document, change: &Change, made: Option<&mut Vec<Patch>>) -> Result<Outcome> {
    if !fits(document, change)? {
        return Ok(Outcome::NotPossible);
    }
    let mut hint = std::mem::take(&mut document.hint);
    let kept = document.copy_for(change.seq())?;
    let doc = document.idle()?;
    let own = doc.get_actor().clone();
    doc.set_actor(change.actor_id().clone());
    let done = guard(|| run(doc, change, &mut hint, made));
    doc.set_actor(own);
    match done {
        Ok(Some(hash)) if hash == Some(change.hash()) => {
            document.added(change);
            document.hint = hint;
            document.mirror.forget();
            document.caret.forget();
            Ok(Outcome::Done)
        }
        Ok(None) => {
            if let Some(kept) = kept {
                document.state = State::Idle(kept);
            }
            Ok(Outcome::NotPossible)
        }
        Ok(Some(_)) | Err(_) => Ok(Outcome::Mismatch),
    }
}

/// Build the document again as it was at `heads`.
pub fn rebuild(document: &mut Document, heads: &[ChangeHash]) -> Result<()> {
    document.trust.rebuilds += 1;
    let doc = document.idle()?;
    let actor = doc.get_actor().clone();
    match guard(|| Ok(doc.fork_at(heads)?)) {
        Ok(built) => {
            document.replace(built.with_actor(actor));
            Ok(())
        }
        Err(error) => {
            document.state = State::Damaged;
            Err(error)
        }
    }
}

fn fits(document: &mut Document, change: &Change) -> Result<bool> {
    let (doc, tracker) = document.parts()?;
    Ok(change.extra_bytes().is_empty()
        && (1..=MOST_OPERATIONS).contains(&change.len())
        && change.start_op().get() == tracker.max_op(doc) + 1
        && change.seq() == tracker.seq(doc, change.actor_id()) + 1)
}

/// The hash of the change that was made; None if nothing was.
type Replayed = Option<Option<ChangeHash>>;

fn run(
    doc: &mut Automerge,
    change: &Change,
    hint: &mut Hint,
    made: Option<&mut Vec<Patch>>,
) -> Result<Replayed> {
    let decoded = change.decode();
    let begins = decoded.operations.iter().filter(|op| matches!(op.action, OpType::MarkBegin(_)));
    if begins.count() > MOST_MARKS {
        return Ok(None);
    }
    let log = if made.is_some() { PatchLog::active() } else { PatchLog::inactive() };
    let Some((hash, mut log)) = play(doc, change, &decoded.operations, hint, log)? else {
        return Ok(None);
    };
    if let Some(made) = made {
        made.extend(doc.make_patches(&mut log));
    }
    Ok(Some(hash))
}

/// The message and time of a change.
pub fn options(change: &Change) -> CommitOptions {
    let options = CommitOptions::default().with_time(change.timestamp());
    match change.message() {
        Some(message) => options.with_message(message),
        None => options,
    }
}
