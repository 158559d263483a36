//! Applying changes from outside: replay what can be, and hand the rest to the crate.
//!
//! The crate works on a copy that takes the document's place when it is done. So an error or a panic
//! leaves the document as it was, and a large apply holds nobody up: see `Job`.

use automerge::{Automerge, ChangeHash, ReadDoc};

use crate::document::Document;
use crate::error::Result;
use crate::incoming::{self, Incoming};
use crate::job::{Ended, Job};
use crate::mend;
use crate::patches::{self, Seen};
use crate::replay::{self, Outcome};

/// Documents of fewer operations are applied to in one go.
const SMALL_OPERATIONS: u64 = 5_000;

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

/// Begin to apply changes, in any order. `Behind`: the job is to be run without holding the document.
pub fn begin(document: &mut Document, changes: Vec<Incoming>, how: How) -> Result<Ended> {
    let doc = document.idle()?;
    let changes = incoming::order(doc, incoming::new_ones(doc, changes))?;
    let mut run = Run { heads: None, report: Report::default() };
    match run.apply(document, changes, how) {
        Ok(None) => Ok(Ended::Done(run.report)),
        Ok(Some(job)) => Ok(Ended::Behind(job)),
        Err(error) => {
            if let Some(heads) = run.heads {
                document.trust.miss();
                replay::rebuild(document, &heads)?;
            }
            Err(error)
        }
    }
}

/// One call of `apply` while it holds the document.
struct Run {
    /// The heads before anything was replayed.
    heads: Option<Vec<ChangeHash>>,
    report: Report,
}

impl Run {
    fn apply(
        &mut self,
        document: &mut Document,
        changes: Vec<Incoming>,
        how: How,
    ) -> Result<Option<Box<Job>>> {
        let replay = how.replay && can_begin(document, &changes)?;
        let rest = if replay { self.replay_some(document, changes)? } else { changes };
        if rest.is_empty() {
            return Ok(None);
        }
        let doc = document.idle()?;
        let job = Box::new(Job::new(doc.clone(), rest, Some(how.strict)));
        if self.report.replayed == 0 && doc.stats().num_ops >= SMALL_OPERATIONS {
            return Ok(Some(job));
        }
        self.finish(document, job)?;
        Ok(None)
    }

    fn finish(&mut self, document: &mut Document, mut job: Box<Job>) -> Result<()> {
        job.run()?;
        if let Ended::Done(report) = job.end(document)? {
            self.report.seen.extend(report.seen);
        }
        Ok(())
    }

    /// Replay changes as long as that is possible; what is left.
    fn replay_some(&mut self, document: &mut Document, changes: Vec<Incoming>) -> Result<Vec<Incoming>> {
        let mut done = 0;
        for change in &changes {
            if !is_next(document.idle()?, change) || !self.replay(document, change)? {
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
        match replay::replay(document, &incoming.change)? {
            Outcome::Done(made) => {
                document.trust.hit();
                self.report.replayed += 1;
                let marked = mend::marked(std::slice::from_ref(incoming));
                let made = mend::step(document.idle()?, &heads, made, &marked)?;
                self.heads.get_or_insert(heads);
                patches::read(document.idle()?, made, &mut self.report.seen)?;
                Ok(true)
            }
            Outcome::NotPossible => Ok(false),
            Outcome::Mismatch => {
                document.trust.mismatches += 1;
                document.trust.miss();
                match copy {
                    Some(copy) => document.replace(copy),
                    None => replay::rebuild(document, &heads)?,
                }
                Ok(false)
            }
        }
    }
}

/// Whether to begin with replay: it must be possible, and faster than a batch apply of all.
///
/// Each replayed change is proven by its hash, but when a later one of the batch turns out to be
/// invalid the document must be built again: so batches are replayed only as long as none did.
fn can_begin(document: &mut Document, changes: &[Incoming]) -> Result<bool> {
    let trusted = changes.len() == 1 || !document.trust.is_careful();
    let doc = document.idle()?;
    let most = 8 + doc.stats().num_ops / 70;
    let first = changes.first().is_some_and(|first| is_next(doc, first));
    Ok(trusted && first && (changes.len() as u64) < most)
}

/// Whether a change builds on exactly the heads.
fn is_next(doc: &Automerge, incoming: &Incoming) -> bool {
    let heads = doc.get_heads();
    heads.len() == incoming.head.deps.len() && heads.iter().zip(&incoming.head.deps).all(|(a, b)| a.0 == *b)
}
