//! Handing changes to the crate, on a copy of the document that nobody else sees.
//!
//! A job is made while holding the document, runs while not holding it, and ends while holding it
//! again. When the document has moved on meanwhile, because someone typed, the job starts anew on
//! another copy, so that its patches lead on from what the document is by then.

use automerge::{Automerge, Change, ChangeHash, PatchLog, ReadDoc};

use crate::apply::Report;
use crate::check;
use crate::document::Document;
use crate::error::{guard, invalid, Error, Result};
use crate::incoming::Incoming;
use crate::mend;
use crate::patches::{self, Seen};

pub struct Job {
    copy: Automerge,
    /// The heads that the document had when it was copied.
    base: Vec<ChangeHash>,
    changes: Vec<Incoming>,
    /// Whether the changes are still to be checked, and how.
    check: Option<bool>,
    seen: Vec<Seen>,
}

pub enum Ended {
    Done(Report),
    /// The job is to be run (again) without holding the document.
    Behind(Box<Job>),
}

impl Job {
    pub fn new(copy: Automerge, changes: Vec<Incoming>, check: Option<bool>) -> Self {
        let base = copy.get_heads();
        Job { copy, base, changes, check, seen: Vec::new() }
    }

    /// Do the work; after an error the job is to be dropped.
    pub fn run(&mut self) -> Result<()> {
        if let Some(strict) = self.check.take() {
            check::check(&mut self.copy, &self.changes, strict)?;
        }
        let changes: Vec<Change> = self.changes.iter().map(|incoming| incoming.change.clone()).collect();
        let doc = &mut self.copy;
        let mut log = PatchLog::active();
        let applied = guard(|| Ok(doc.apply_changes_log_patches(changes, &mut log)?));
        applied.map_err(|e| Error::InvalidChange(format!("the change does not fit: {e:?}")))?;
        let hashes: Vec<_> = self.changes.iter().map(|incoming| incoming.change.hash()).collect();
        if !doc.get_missing_deps(&hashes).is_empty() {
            return invalid("the change was not taken");
        }
        check::mark_order(doc, &self.changes)?;
        let marked = mend::marked(&self.changes);
        let made = guard(|| mend::step(doc, &self.base, make_patches(doc, &self.base, &mut log), &marked))?;
        patches::read(doc, made, &mut self.seen)
    }

    /// Put the copy in the document's place, unless that has moved on.
    pub fn end(mut self: Box<Self>, document: &mut Document) -> Result<Ended> {
        let doc = document.idle()?;
        if doc.get_heads() != self.base {
            return Ok(Ended::Behind(Box::new(Job::new(doc.clone(), self.changes, self.check))));
        }
        let actor = doc.get_actor().clone();
        let seen = std::mem::take(&mut self.seen);
        document.replace(self.copy.with_actor(actor));
        Ok(Ended::Done(Report { seen, replayed: 0 }))
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
