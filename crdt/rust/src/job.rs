//! Handing changes to the crate, on a copy of the document that nobody else sees.
//!
//! A job begins and finishes while it holds the document: for microseconds each, or as long as a copy takes where
//! there is none yet. In between it works on the document's **spare**: the document as it was at some moment, and a
//! list of what it got since. Both go into the spare with what came from outside, by replay or in one call of the
//! crate, and then document and spare change places, if nothing was typed meanwhile. Else the next round begins,
//! which adds what was typed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use automerge::{Change, ChangeHash, PatchLog, ReadDoc};

use crate::apply::{self, How, Report};
use crate::check;
use crate::chunk::MAX_OPERATIONS;
use crate::document::Document;
use crate::error::{guard, Error, Result};
use crate::give::{give, hand_over};
use crate::incoming::{self, Incoming};
use crate::patches::{self, Seen};
use crate::plain::Plain;
use crate::replay::{self, Outcome};
use crate::versions;

/// How long a job tries to find the document unchanged at its end before it makes other writers wait for one
/// round. Only a program that never pauses for the length of a round meets it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Larger batches leave no spare behind: they are no typing.
const SPARE_CHANGES: usize = 1_000;

/// More operations are no typing.
const MOST_TYPED: usize = 64;

pub struct Job {
    /// Changes that are not decoded yet.
    bytes: Vec<Vec<u8>>,
    changes: Vec<Incoming>,
    how: How,
    begun: Instant,
    /// The document as it was, with or without the changes.
    spare: Option<Box<Document>>,
    /// Whether the spare has the changes.
    is_applied: bool,
    /// What the document has, and the spare has not.
    behind: Vec<Change>,
    /// The document at the last look, and the number of that look.
    base: Base,
    look: u64,
    made: Option<Made>,
    /// The crate panicked without a scaffold.
    scaffold: bool,
    /// Replays that made another change than the one that came.
    misses: u32,
    /// What is of no more use: dropping it takes a while, so that is not done while holding the document.
    old: Option<Document>,
}

#[derive(Default)]
struct Base {
    heads: Vec<ChangeHash>,
    changes: u64,
}

/// What a round made: the spare is what the document is to be.
struct Made {
    shows: Shows,
    replayed: usize,
}

/// What the changes do to the document.
enum Shows {
    Seen(Vec<Seen>),
    Plain(Plain),
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
            spare: None,
            is_applied: false,
            behind: Vec::new(),
            base: Base::default(),
            look: 0,
            made: None,
            scaffold: false,
            misses: 0,
            old: None,
        }
    }

    /// Take what a round needs from the document, while holding it.
    pub fn look(&mut self, document: &mut Document) -> Result<()> {
        let doc = document.idle()?;
        self.base = Base { heads: doc.get_heads(), changes: doc.stats().num_changes };
        self.made = None;
        if self.look != document.looks {
            // What the document got since is counted from the look of another job.
            self.spare = None;
        }
        document.looks += 1;
        self.look = document.looks;
        let kept = document.spare.take();
        let spare = self.spare.take().or(kept);
        let since = document.since_spare.replace(Vec::new());
        let has_marks = document.has_marks;
        if let (Some(mut spare), Some(since)) = (spare, since) {
            spare.has_marks |= has_marks;
            self.spare = Some(spare);
            self.behind.extend(since);
        } else {
            self.spare = Some(Box::new(Document::new(document.idle()?.clone(), has_marks)));
            self.is_applied = false;
            self.behind.clear();
        }
        Ok(())
    }

    /// One round, without holding the document. After an error the job can only be ended.
    pub fn run(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            self.changes = incoming::read_many(std::mem::take(&mut self.bytes), MAX_OPERATIONS)?;
        }
        let Some(mut spare) = self.spare.take() else {
            return Ok(());
        };
        spare.expect_marks(&self.changes);
        let made = match self.is_applied {
            true => self.add_behind(&mut spare),
            false => self.apply(&mut spare),
        };
        match made {
            Ok(Some(made)) if self.is_complete(&mut spare)? => {
                self.behind.clear();
                self.is_applied = true;
                let (doc, tracker) = spare.parts()?;
                tracker.max_op(doc);
                self.made = Some(made);
                self.spare = Some(spare);
            }
            // The next round begins with another spare.
            Ok(_) => {}
            Err(Failed::Before(error)) => {
                self.spare = Some(spare);
                return Err(error);
            }
            Err(Failed::Within(error)) => return Err(error),
            Err(Failed::WithoutScaffold) => self.scaffold = true,
        }
        Ok(())
    }

    /// Whether the spare is the document of the last look with the changes.
    fn is_complete(&self, spare: &mut Document) -> Result<bool> {
        let doc = spare.idle()?;
        let changes = self.base.changes + self.changes.len() as u64;
        Ok(doc.stats().num_changes == changes && doc.get_missing_deps(&self.base.heads).is_empty())
    }

    /// Bring the spare up to date and apply the changes to it; None if it is of no more use.
    fn apply(&mut self, spare: &mut Document) -> std::result::Result<Option<Made>, Failed> {
        let Some(rest) = follow(spare, std::mem::take(&mut self.behind)).map_err(Failed::Within)? else {
            return Ok(None);
        };
        let behind: Result<Vec<Incoming>> = rest.iter().map(Incoming::of).collect();
        self.behind = rest;
        let mut all = self.ordered(spare, behind.map_err(Failed::Before)?).map_err(Failed::Before)?;
        if self.behind.is_empty() {
            self.changes = all;
            return self.apply_next(spare);
        }
        let behind = self.behind.len();
        let (doc, giants) = spare.checking().map_err(Failed::Before)?;
        check::check(doc, giants, &all, behind, self.how.strict).map_err(Failed::Before)?;
        self.changes = all.split_off(behind);
        let all = self.behind.iter().chain(self.changes.iter().map(|incoming| &*incoming.change));
        given(give(doc, all, &mut PatchLog::inactive(), self.scaffold))?;
        check::mark_order(doc, &self.changes).map_err(Failed::Within)?;
        spare.tracker.forget();
        self.shown(spare).map(|shows| Some(Made { shows, replayed: 0 })).map_err(Failed::Within)
    }

    /// What the spare lacks, those that are in the document first.
    fn ordered(&mut self, spare: &mut Document, mut behind: Vec<Incoming>) -> Result<Vec<Incoming>> {
        let all = if behind.is_empty() {
            std::mem::take(&mut self.changes)
        } else {
            behind.append(&mut self.changes);
            incoming::each_once(behind)
        };
        let doc = spare.idle()?;
        incoming::order(doc, incoming::new_ones(doc, all))
    }

    /// Apply the changes to the spare, which is as the document is.
    fn apply_next(&mut self, spare: &mut Document) -> std::result::Result<Option<Made>, Failed> {
        let mut report = Report::default();
        let replays = self.how.replay && self.misses == 0;
        let replays = replays && apply::can_begin(spare, &self.changes).map_err(Failed::Before)?;
        for change in self.changes.iter().filter(|_| replays) {
            match apply::replay(spare, change, &mut report).map_err(Failed::Within)? {
                Outcome::Done => {}
                Outcome::NotPossible => break,
                Outcome::Mismatch => {
                    self.misses += 1;
                    return Ok(None);
                }
            }
        }
        let rest = &self.changes[report.replayed..];
        if !rest.is_empty() {
            let (doc, giants) = spare.checking().map_err(Failed::Before)?;
            let checked = check::check(doc, giants, rest, 0, self.how.strict);
            checked.map_err(if report.replayed == 0 { Failed::Before } else { Failed::Within })?;
            given(hand_over(doc, rest, &mut report.seen, self.scaffold))?;
            spare.tracker.forget();
        }
        Ok(Some(Made { shows: Shows::Seen(report.seen), replayed: report.replayed }))
    }

    /// Add what was typed meanwhile to the spare, which has the changes.
    fn add_behind(&mut self, spare: &mut Document) -> std::result::Result<Option<Made>, Failed> {
        let doc = spare.idle().map_err(Failed::Before)?;
        let hashes: Vec<ChangeHash> = self.behind.iter().map(Change::hash).collect();
        let missing: HashSet<ChangeHash> = doc.get_missing_deps(&hashes).into_iter().collect();
        self.behind.retain(|change| missing.contains(&change.hash()));
        let behind = std::mem::take(&mut self.behind);
        given(give(doc, behind.iter(), &mut PatchLog::inactive(), false))?;
        spare.tracker.forget();
        self.shown(spare).map(|shows| Some(Made { shows, replayed: 0 })).map_err(Failed::Within)
    }

    /// What the changes do to the document of the last look.
    fn shown(&self, spare: &mut Document) -> Result<Shows> {
        let doc = spare.idle()?;
        let changes = self.changes.iter().map(|incoming| &*incoming.change);
        if let Some(plain) = guard(|| Plain::of(doc, changes, MOST_TYPED))? {
            return Ok(Shows::Plain(plain));
        }
        let mut seen = Vec::new();
        guard(|| {
            let (before, after) = (&self.base.heads, doc.get_heads());
            patches::read(doc, versions::diff(doc, before, &after)?, &mut seen)
        })?;
        Ok(Shows::Seen(seen))
    }

    /// Put the spare in the document's place, unless that has moved on: then None, and another round is due.
    pub fn finish(&mut self, document: &mut Document) -> Result<Option<Report>> {
        let heads = document.idle()?.get_heads();
        if self.base.heads == heads {
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
        let (Some(made), Some(mut spare)) = (self.made.take(), self.spare.take()) else {
            return Ok(None);
        };
        let seen = match made.shows {
            Shows::Seen(seen) => seen,
            Shows::Plain(plain) => plain.between(document.idle()?, spare.idle()?)?,
        };
        document.expect_marks(&self.changes);
        let actor = document.idle()?.get_actor().clone();
        (0..std::mem::take(&mut self.misses)).for_each(|_| document.trust.missed());
        (0..made.replayed).for_each(|_| document.trust.hit());
        let old = document.exchange(*spare, &actor)?;
        // A spare that still lacks changes that need a scaffold would need one too.
        if !self.scaffold && self.changes.len() <= SPARE_CHANGES && apply::is_large(document.idle()?) {
            let lacks = self.changes.iter().map(|incoming| (*incoming.change).clone()).collect();
            document.keep(Box::new(old), lacks);
        } else {
            document.since_spare = None;
            self.old = Some(old);
        }
        document.replayed += made.replayed;
        Ok(Some(Report { seen, replayed: made.replayed }))
    }

    /// Give the spare back that a failed job did not use up.
    pub fn give_back(&mut self, document: &mut Document) {
        if self.is_applied || document.spare.is_some() || self.look != document.looks {
            return;
        }
        if let (Some(spare), Some(since)) = (self.spare.take(), document.since_spare.take()) {
            self.behind.extend(since);
            document.keep(spare, std::mem::take(&mut self.behind));
        }
    }
}

/// Why a round failed.
enum Failed {
    /// The spare is as it was.
    Before(Error),
    /// The spare is spoiled.
    Within(Error),
    /// The spare is spoiled, and the next one takes a scaffold.
    WithoutScaffold,
}

fn given(result: Result<bool>) -> std::result::Result<(), Failed> {
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failed::WithoutScaffold),
        Err(error) => Err(Failed::Within(error)),
    }
}

/// Bring a copy up to date by replay: the changes that it still lacks; None if it is of no more use.
fn follow(spare: &mut Document, mut changes: Vec<Change>) -> Result<Option<Vec<Change>>> {
    let mut done = 0;
    for change in &changes {
        match if apply::is_next(spare, change)? {
            replay::replay(spare, change, None)?
        } else {
            Outcome::NotPossible
        } {
            Outcome::Done => done += 1,
            Outcome::Mismatch => return Ok(None),
            Outcome::NotPossible => break,
        }
    }
    Ok(Some(changes.split_off(done)))
}
