//! Applying changes from outside: replay what can be, and hand the rest to the crate.
//!
//! The crate works on a copy that takes the document's place when it is done. So an error or a panic
//! leaves the document as it was, and a large apply holds nobody up: see `Job`.

use std::collections::HashMap;

use automerge::{Automerge, Change, ChangeHash, ReadDoc};

use crate::check;
use crate::document::Document;
use crate::error::{guard, Result};
use crate::give::{hand_over, on_copy};
use crate::incoming::{self, Incoming};
use crate::job::Job;
use crate::mend;
use crate::patches::{self, Seen};
use crate::replay::{self, Outcome};
use crate::versions;

/// Documents of fewer operations are applied to in one go.
const SMALL_OPERATIONS: u64 = 5_000;

/// Larger batches are always applied to a copy.
pub const HELD_CHANGES: usize = 128;

/// Most operations that are replayed while holding a larger document: some milliseconds.
const HELD_OPERATIONS: u64 = 256;

/// Operations of a document that the crate's own way goes over in the time of one replay, and that a copy takes with it.
const APPLIED: u64 = 70;
const COPIED: u64 = 1_250;

/// How changes are to be applied.
#[derive(Clone, Copy)]
pub struct How {
    /// start_op must be exactly one above the past, else only above it.
    pub strict: bool,
    /// Use replay where it can be used.
    pub replay: bool,
}

/// What an apply did: its patches, and how many changes went by replay.
#[derive(Default)]
pub struct Report {
    pub seen: Vec<Seen>,
    pub replayed: usize,
}

pub enum Begun {
    Done(Report),
    /// The job is to be run without holding the document.
    Behind(Box<Job>),
}

/// Begin to apply changes, in any order.
pub fn begin(document: &mut Document, changes: Vec<Incoming>, how: How) -> Result<Begun> {
    document.expect_marks(&changes);
    let doc = document.idle()?;
    let operations = changes.iter().map(|change| change.head.operations).sum::<u64>();
    let large = is_large(doc);
    if large && operations > HELD_OPERATIONS {
        return Ok(behind(changes, how));
    }
    let changes = incoming::order(doc, incoming::new_ones(doc, changes))?;
    if large && !is_chain(document, &changes)? {
        return Ok(behind(changes, how));
    }
    if large && document.trust.is_careful() {
        let replay = how.replay && document.trust.allows();
        return Ok(behind(changes, How { replay, ..how }));
    }
    let mut run = Run { heads: None, report: Report::default() };
    match run.apply(document, changes, how, large) {
        Ok(None) => {
            document.replayed += run.report.replayed;
            Ok(Begun::Done(run.report))
        }
        Ok(Some(rest)) => Ok(behind(rest, how)),
        Err(error) => {
            if let Some(heads) = run.heads {
                document.trust.miss();
                replay::rebuild(document, &heads)?;
            }
            Err(error)
        }
    }
}

/// Whether copying and applying take so long that others should not wait for it.
pub fn is_large(doc: &Automerge) -> bool {
    doc.stats().num_ops >= SMALL_OPERATIONS
}

fn behind(changes: Vec<Incoming>, how: How) -> Begun {
    Begun::Behind(Box::new(Job::new(changes, how)))
}

/// One call of `apply` while it holds the document.
struct Run {
    /// The heads before anything was replayed.
    heads: Option<Vec<ChangeHash>>,
    report: Report,
}

impl Run {
    /// What is left for a job.
    fn apply(
        &mut self,
        document: &mut Document,
        changes: Vec<Incoming>,
        how: How,
        large: bool,
    ) -> Result<Option<Vec<Incoming>>> {
        let replay = how.replay && can_begin(document, &changes)?;
        let rest = if replay { self.replay_some(document, changes)? } else { changes };
        if rest.is_empty() {
            return Ok(None);
        }
        if large && self.report.replayed == 0 {
            return Ok(Some(rest));
        }
        let (doc, giants) = document.checking()?;
        check::check(doc, giants, &rest, 0, how.strict)?;
        let seen = &mut self.report.seen;
        let copy = on_copy(doc, |copy, scaffold| hand_over(copy, &rest, seen, scaffold))?;
        document.replace(copy);
        Ok(None)
    }

    /// Replay changes as long as that is possible; what is left.
    fn replay_some(&mut self, document: &mut Document, changes: Vec<Incoming>) -> Result<Vec<Incoming>> {
        let mut done = 0;
        for change in &changes {
            if !self.replay(document, change)? {
                break;
            }
            done += 1;
        }
        Ok(changes.into_iter().skip(done).collect())
    }

    /// Try to replay one change; false if it cannot be, with the document as it was.
    fn replay(&mut self, document: &mut Document, incoming: &Incoming) -> Result<bool> {
        if !document.trust.allows() {
            return Ok(false);
        }
        let careful = document.trust.is_careful();
        let doc = document.idle()?;
        let heads = doc.get_heads();
        let copy = careful.then(|| doc.clone());
        match replay(document, incoming, &mut self.report) {
            Ok(Outcome::Done) => {
                document.trust.hit();
                self.heads.get_or_insert(heads);
                Ok(true)
            }
            Ok(Outcome::NotPossible) => Ok(false),
            Ok(Outcome::Mismatch) => {
                document.trust.missed();
                match copy {
                    Some(copy) => document.replace(copy),
                    None => replay::rebuild(document, &heads)?,
                }
                Ok(false)
            }
            Err(error) => {
                // The change may be in the document all the same.
                self.heads.get_or_insert(heads);
                Err(error)
            }
        }
    }
}

/// Replay one change if it builds on what a local one would build on.
pub fn replay(document: &mut Document, incoming: &Incoming, report: &mut Report) -> Result<Outcome> {
    if !is_next(document, &incoming.change)? {
        return Ok(Outcome::NotPossible);
    }
    let before = document.idle()?.get_heads();
    let mut made = Vec::new();
    let outcome = replay::replay(document, &incoming.change, Some(&mut made))?;
    if matches!(outcome, Outcome::Done) {
        let marked = mend::marked(std::slice::from_ref(incoming));
        let (doc, shown) = (document.idle()?, report.seen.len());
        if guard(|| patches::read(doc, versions::step(doc, &before, made, &marked)?, &mut report.seen))
            .is_err()
        {
            report.seen.truncate(shown);
            return Ok(Outcome::Mismatch);
        }
        report.replayed += 1;
    }
    Ok(outcome)
}

/// Whether to begin with replay: it must be possible, and faster than a batch apply of all.
///
/// Each replayed change is proven by its hash, but when a later one of the batch turns out to be
/// invalid the document must be built again: so batches are replayed only as long as none did.
pub fn can_begin(document: &mut Document, changes: &[Incoming]) -> Result<bool> {
    let trusted = changes.len() == 1 || !document.trust.is_careful();
    let operations = document.idle()?.stats().num_ops;
    let copied =
        changes.iter().filter(|incoming| incoming.change.seq() == 1 && document.has_marks).count() as u64;
    let cost = changes.len() as u64 + copied * (operations / COPIED);
    let Some(first) = changes.first().filter(|_| trusted && cost < 8 + operations / APPLIED) else {
        return Ok(false);
    };
    is_next(document, &first.change)
}

/// Whether a change builds on what a local one of its actor would build on.
pub fn is_next(document: &mut Document, change: &Change) -> Result<bool> {
    let (doc, tracker) = document.parts()?;
    let heads = doc.get_heads();
    if !heads.iter().all(|head| change.deps().contains(head)) {
        return Ok(false);
    }
    Ok(tracker.deps(doc, change.actor_id()) == change.deps())
}

/// Whether each change builds on what a local one would build on after the one before it, and the first now.
pub fn is_chain(document: &mut Document, changes: &[Incoming]) -> Result<bool> {
    let Some(first) = changes.first() else {
        return Ok(true);
    };
    if !is_next(document, &first.change)? {
        return Ok(false);
    }
    let (doc, tracker) = document.parts()?;
    let mut last = HashMap::new();
    for pair in changes.windows(2) {
        let (before, change) = (&pair[0].change, &pair[1].change);
        last.insert(before.actor_id(), before.hash());
        let known = last.get(change.actor_id()).copied();
        let own = known.or_else(|| tracker.last(doc, change.actor_id()).map(|last| last.hash));
        let mut deps = vec![before.hash()];
        deps.extend(own.filter(|own| *own != before.hash()));
        deps.sort_unstable();
        if deps != change.deps() {
            return Ok(false);
        }
    }
    Ok(true)
}
