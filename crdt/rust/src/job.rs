//! Handing changes to the crate, on a copy of the document that nobody else sees.
//!
//! A job begins and finishes while it holds the document, for microseconds each; in between it works on
//! copies. `spare` is the document as it was at some moment. What the document got since, by typing or by
//! replay, continues from there, so that the spare catches up by replay. The changes are applied to a copy of
//! the spare, and that copy takes the document's place if nothing was typed meanwhile; else the next round
//! begins. Its own copy becomes the spare of the next job, so that nobody waits while a copy is made.
//!
//! While nobody types here and what comes only continues from the document, no copies are made: the changes are
//! applied to the spare itself, and document and spare change places.

use std::time::{Duration, Instant};

use automerge::{Automerge, Change, ChangeHash, Patch, PatchLog, ReadDoc};

use crate::apply::{self, How, Report};
use crate::check;
use crate::chunk::MAX_OPERATIONS;
use crate::document::Document;
use crate::error::{guard, invalid, Error, Result};
use crate::incoming::{self, Incoming};
use crate::mend;
use crate::patches::{self, Seen};
use crate::replay::{self, Outcome};
use crate::winners;

/// How long a job tries to find the document unchanged at its end before it makes other writers wait for one
/// round. Only a program that never pauses for the length of a round meets it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Larger batches leave no spare behind: they are no typing.
const SPARE_CHANGES: usize = 1_000;

pub struct Job {
    /// Changes that are not decoded yet.
    bytes: Vec<Vec<u8>>,
    changes: Vec<Incoming>,
    how: How,
    begun: Instant,
    checked: bool,
    /// The document as it was, without the changes.
    spare: Option<Box<Document>>,
    /// Whether someone writes here.
    is_written: bool,
    /// What the document has got since.
    behind: Vec<Change>,
    made: Option<Made>,
    /// Replays on a copy that made another change than the one that came.
    misses: u32,
    /// What is of no more use: dropping it takes a while, so that is not done while holding the document.
    old: Option<(Document, Option<Box<Document>>)>,
}

/// What a round made.
struct Made {
    base: Vec<ChangeHash>,
    doc: Box<Document>,
    next: Next,
    report: Report,
}

/// What becomes the spare of the next job.
enum Next {
    Nothing,
    Copy(Box<Document>),
    /// What the document was.
    Old,
}

impl Job {
    pub fn of_bytes(bytes: Vec<Vec<u8>>, how: How) -> Self {
        Job { bytes, ..Job::new(Vec::new(), how) }
    }

    pub fn new(changes: Vec<Incoming>, how: How) -> Self {
        Job {
            bytes: Vec::new(),
            changes,
            how,
            begun: Instant::now(),
            checked: false,
            spare: None,
            is_written: false,
            behind: Vec::new(),
            made: None,
            misses: 0,
            old: None,
        }
    }

    /// Take what a round needs from the document, while holding it.
    pub fn look(&mut self, document: &mut Document) -> Result<()> {
        document.idle()?;
        self.spare = self.spare.take().or_else(|| document.spare.take());
        self.is_written |= document.is_written;
        let doc = document.idle()?;
        match &mut self.spare {
            Some(spare) => self.behind = doc.get_changes(&spare.idle()?.get_heads()),
            None => self.spare = Some(Box::new(Document::new(doc.clone()))),
        }
        Ok(())
    }

    /// One round, without holding the document. After an error the job can only be ended.
    pub fn run(&mut self) -> Result<()> {
        let Some(spare) = &mut self.spare else {
            return Ok(());
        };
        if !follow(spare, std::mem::take(&mut self.behind))? {
            self.spare = None;
            return Ok(());
        }
        if !self.bytes.is_empty() {
            self.changes = incoming::read_many(std::mem::take(&mut self.bytes), MAX_OPERATIONS)?;
        }
        let doc = spare.idle()?;
        let changes = std::mem::take(&mut self.changes);
        self.changes = incoming::order(doc, incoming::new_ones(doc, changes))?;
        self.made = self.make()?;
        if self.made.is_none() {
            // A replay went wrong: once more without.
            self.made = self.make()?;
        }
        Ok(())
    }

    fn make(&mut self) -> Result<Option<Made>> {
        let Some(mut spare) = self.spare.take() else {
            return Ok(None);
        };
        let base = spare.idle()?.get_heads();
        let swaps = !self.is_written && apply::is_chain(&mut spare, &self.changes)?;
        let mut doc = match swaps {
            true => spare,
            false => {
                let copy = Box::new(Document::new(spare.idle()?.clone()));
                self.spare = Some(spare);
                copy
            }
        };
        let mut report = Report::default();
        let replay = self.how.replay && self.misses == 0 && apply::can_begin(&mut doc, &self.changes)?;
        let mut done = 0;
        if replay {
            for change in &self.changes {
                match apply::replay(&mut doc, change, &mut report)? {
                    Outcome::Done => done += 1,
                    Outcome::NotPossible => break,
                    Outcome::Mismatch => {
                        self.misses += 1;
                        return Ok(None);
                    }
                }
            }
        }
        let check = (!self.checked).then_some(self.how.strict);
        if done < self.changes.len() {
            hand_over(doc.idle()?, &self.changes[done..], check, &mut report.seen)?;
            doc.tracker.forget();
        }
        self.checked |= done == 0;
        let keep = self.changes.len() <= SPARE_CHANGES && apply::is_large(doc.idle()?);
        let next = match keep {
            false => Next::Nothing,
            true if swaps => Next::Old,
            true => Next::Copy(Box::new(Document::new(doc.idle()?.clone()))),
        };
        let (known, tracker) = doc.parts()?;
        tracker.max_op(known);
        Ok(Some(Made { base, doc, next, report }))
    }

    /// Put the copy in the document's place, unless that has moved on: then None, and another round is due.
    pub fn finish(&mut self, document: &mut Document) -> Result<Option<Report>> {
        let heads = document.idle()?.get_heads();
        if self.made.as_ref().is_some_and(|made| made.base == heads) {
            return self.swap(document);
        }
        if self.begun.elapsed() < PATIENCE {
            return Ok(None);
        }
        self.look(document)?;
        self.run()?;
        self.swap(document)
    }

    fn swap(&mut self, document: &mut Document) -> Result<Option<Report>> {
        let Some(made) = self.made.take() else {
            return Ok(None);
        };
        let actor = document.idle()?.get_actor().clone();
        (0..std::mem::take(&mut self.misses)).for_each(|_| document.trust.missed());
        (0..made.report.replayed).for_each(|_| document.trust.hit());
        let old = document.exchange(*made.doc, &actor)?;
        match made.next {
            Next::Old => document.keep(Some(Box::new(old))),
            other => {
                self.old = Some((old, self.spare.take()));
                document.keep(if let Next::Copy(copy) = other { Some(copy) } else { None });
            }
        }
        document.replayed += made.report.replayed;
        Ok(Some(made.report))
    }

    /// Give the spare back that a failed job did not use up.
    pub fn give_back(&mut self, document: &mut Document) {
        if document.spare.is_none() {
            document.keep(self.spare.take());
        }
    }
}

/// Bring a copy up to date; false if it is of no more use.
fn follow(spare: &mut Document, changes: Vec<Change>) -> Result<bool> {
    let mut rest = changes.into_iter();
    for change in rest.by_ref() {
        match if apply::is_next(spare, &change)? {
            replay::replay(spare, &change, None)?
        } else {
            Outcome::NotPossible
        } {
            Outcome::Done => {}
            Outcome::Mismatch => return Ok(false),
            Outcome::NotPossible => {
                spare.tracker.forget();
                let doc = spare.idle()?;
                let left: Vec<Change> = std::iter::once(change).chain(rest).collect();
                return Ok(guard(|| Ok(doc.apply_changes(left)?)).is_ok());
            }
        }
    }
    Ok(true)
}

/// Check changes and give them to the crate; after an error the document is to be dropped.
pub fn hand_over(
    doc: &mut Automerge,
    incoming: &[Incoming],
    check: Option<bool>,
    seen: &mut Vec<Seen>,
) -> Result<()> {
    if let Some(strict) = check {
        check::check(doc, incoming, strict)?;
    }
    let before = doc.get_heads();
    let changes = incoming.iter().map(|incoming| incoming.change.clone());
    let known = doc.stats().num_changes;
    let mut log = PatchLog::active();
    let applied = guard(|| Ok(doc.apply_changes_log_patches(changes, &mut log)?));
    applied.map_err(|e| Error::InvalidChange(format!("the change does not fit: {e:?}")))?;
    if doc.stats().num_changes != known + incoming.len() as u64 {
        return invalid("the change was not taken");
    }
    check::mark_order(doc, incoming)?;
    let made = guard(|| mend::batch(doc, &before, make_patches(doc, &before, &mut log)?, incoming))?;
    patches::read(doc, made, seen)
}

fn make_patches(doc: &Automerge, before: &[ChangeHash], log: &mut PatchLog) -> Result<Vec<Patch>> {
    let made = doc.make_patches(log);
    // The difference of two versions is right where the log may not be.
    if made.iter().any(|patch| patches::is_doubtful(doc, patch)) {
        return winners::diff(doc, before, &doc.get_heads());
    }
    Ok(made)
}
