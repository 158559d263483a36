//! Applying changes from outside: check, then replay or hand to the crate.

use std::collections::{HashMap, VecDeque};

use automerge::{Automerge, Change, ChangeHash, PatchLog, ReadDoc};

use crate::check;
use crate::document::Document;
use crate::error::{guard, invalid, Error, Result};
use crate::incoming::{take_in, Incoming};
use crate::patches::{self, Seen};
use crate::replay::{self, Outcome};

/// How changes are to be applied.
#[derive(Clone, Copy)]
pub struct How {
    /// start_op must be exactly one above the past, else only above it.
    pub strict: bool,
    /// Use replay where it can be used.
    pub replay: bool,
}

/// Apply changes in any order; the document is unchanged after an error.
///
/// Returns the patches and how many changes went by replay.
pub fn apply(document: &mut Document, bytes: Vec<Vec<u8>>, how: How) -> Result<(Vec<Seen>, usize)> {
    let changes = take_in(document.idle()?, bytes)?;
    let mut run = Run { heads: None, copy: None, seen: Vec::new(), replayed: 0 };
    match run.apply(document, changes, how) {
        Ok(()) => Ok((run.seen, run.replayed)),
        Err(error) => {
            run.restore(document)?;
            Err(error)
        }
    }
}

/// One call of `apply`, and what is needed to undo it.
struct Run {
    /// The heads before anything was replayed.
    heads: Option<Vec<ChangeHash>>,
    /// The document before the crate was given anything.
    copy: Option<Box<Automerge>>,
    seen: Vec<Seen>,
    replayed: usize,
}

impl Run {
    fn apply(&mut self, document: &mut Document, changes: Vec<Incoming>, how: How) -> Result<()> {
        // A replay proves a change by its hash. Only a batch must be known to be good before any of it
        // is in the document, since taking a replay back means to build the document again.
        let checked = changes.len() > 1;
        if checked {
            validate(document, &changes, how.strict)?;
        }
        let rest = if how.replay { self.replay_some(document, changes)? } else { changes };
        if rest.is_empty() {
            return Ok(());
        }
        if !checked {
            validate(document, &rest, how.strict)?;
        }
        self.by_crate(document, rest.into_iter().map(|c| c.change).collect())
    }

    /// Replay changes as long as that is possible and worth it; what is left.
    fn replay_some(&mut self, document: &mut Document, changes: Vec<Incoming>) -> Result<Vec<Incoming>> {
        let mut rest = VecDeque::from(changes);
        while let Some(next) = rest.front() {
            if !worth_replaying(document.idle()?, next, rest.len()) || !self.replay(document, &next.change)? {
                break;
            }
            rest.pop_front();
        }
        Ok(Vec::from(rest))
    }

    /// Try to replay one change; false if it cannot be, with the document as it was.
    fn replay(&mut self, document: &mut Document, change: &Change) -> Result<bool> {
        if !document.trust.allows() {
            return Ok(false);
        }
        let careful = document.trust.wants_copy();
        let doc = document.idle()?;
        let heads = doc.get_heads();
        let copy = careful.then(|| doc.clone());
        match replay::replay(document, change)? {
            Outcome::Done(made) => {
                document.trust.hit();
                patches::read(document.idle()?, made, &mut self.seen)?;
                self.heads.get_or_insert(heads);
                self.replayed += 1;
                Ok(true)
            }
            Outcome::NotPossible => Ok(false),
            Outcome::Mismatch => {
                document.trust.miss();
                match copy {
                    Some(copy) => document.replace(copy),
                    None => replay::rebuild(document, &heads)?,
                }
                Ok(false)
            }
        }
    }

    fn by_crate(&mut self, document: &mut Document, changes: Vec<Change>) -> Result<()> {
        self.copy = Some(Box::new(document.idle()?.clone()));
        document.hint.clear();
        changes.iter().for_each(|change| document.tracker.add(change));
        let doc = document.idle()?;
        let before = doc.get_heads();
        let hashes: Vec<_> = changes.iter().map(Change::hash).collect();
        let marked: Vec<Change> = changes.iter().filter(|c| check::has_marks(c)).cloned().collect();
        let mut log = PatchLog::active();
        let applied = guard(|| Ok(doc.apply_changes_log_patches(changes, &mut log)?));
        applied.map_err(|e| Error::InvalidChange(format!("the change does not fit: {e:?}")))?;
        if !doc.get_missing_deps(&hashes).is_empty() {
            return invalid("the change was not taken");
        }
        check::mark_order(doc, &marked)?;
        let made = guard(|| Ok(make_patches(doc, &before, &mut log)))?;
        patches::read(doc, made, &mut self.seen)
    }

    fn restore(&mut self, document: &mut Document) -> Result<()> {
        if let Some(copy) = self.copy.take() {
            document.replace(*copy);
        }
        match self.heads.take() {
            Some(heads) => replay::rebuild(document, &heads),
            None => Ok(()),
        }
    }
}

fn make_patches(doc: &Automerge, before: &[ChangeHash], log: &mut PatchLog) -> Vec<automerge::Patch> {
    let made = doc.make_patches(log);
    // Where writers clash the log of a batch may be wrong; the difference of two versions is not.
    if made.iter().any(patches::is_clash) {
        return doc.diff(before, &doc.get_heads());
    }
    made
}

fn validate(document: &mut Document, changes: &[Incoming], strict: bool) -> Result<()> {
    let (doc, tracker) = document.parts()?;
    let mut seqs = HashMap::new();
    for incoming in changes {
        let actor = incoming.change.actor_id();
        if !seqs.contains_key(actor) {
            seqs.insert(actor.clone(), tracker.seq(doc, actor));
        }
    }
    let checked = guard(|| check::check(doc, seqs, changes, strict));
    checked.map_err(|error| match error {
        Error::Crdt(why) => Error::InvalidChange(why),
        other => other,
    })
}

/// Whether replaying is likely to be faster than a batch apply of all that is left.
fn worth_replaying(doc: &Automerge, next: &Incoming, left: usize) -> bool {
    let heads = doc.get_heads();
    let same =
        heads.len() == next.head.deps.len() && heads.iter().zip(&next.head.deps).all(|(a, b)| a.0 == *b);
    same && (left as u64) < 8 + doc.stats().num_ops / 70
}
