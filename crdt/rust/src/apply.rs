//! Applying changes from outside: check, order, then replay or hand to the crate.

use std::collections::{HashMap, HashSet, VecDeque};

use automerge::legacy::OpType;
use automerge::{Automerge, Change, ChangeHash, PatchLog, ReadDoc};

use crate::check;
use crate::chunk::Head;
use crate::document::Document;
use crate::error::{guard, invalid, Error, Result};
use crate::patches::{self, Seen};
use crate::replay;

/// How changes are to be applied.
#[derive(Clone, Copy)]
pub struct How {
    /// start_op must be exactly one above the past, else only above it.
    pub strict: bool,
    /// Use replay where it can be used.
    pub replay: bool,
}

/// One change that is not in the document yet.
pub struct Incoming {
    pub change: Change,
    pub head: Head,
}

/// Apply changes in any order; the document is unchanged after an error.
///
/// Returns the patches and how many changes went by replay.
pub fn apply(document: &mut Document, bytes: Vec<Vec<u8>>, how: How) -> Result<(Vec<Seen>, usize)> {
    document.idle()?;
    let incoming = read(bytes)?;
    let incoming = new_ones(document.idle()?, incoming);
    let ordered = order(document.idle()?, incoming)?;
    let mut run = Run { before: None, seen: Vec::new(), replayed: 0 };
    let result = run.apply(document, ordered, how);
    match result {
        Ok(()) => Ok((run.seen, run.replayed)),
        Err(error) => {
            run.restore(document)?;
            Err(error)
        }
    }
}

fn read(bytes: Vec<Vec<u8>>) -> Result<Vec<Incoming>> {
    let mut seen = HashSet::new();
    let mut incoming = Vec::with_capacity(bytes.len());
    for bytes in bytes {
        let head = Head::parse(&bytes)?;
        if seen.insert(head.hash) {
            let change = guard(|| Change::from_bytes(bytes).map_err(|e| Error::InvalidChange(e.to_string())))
                .map_err(|_| Error::InvalidChange("the columns of the change do not decode".into()))?;
            incoming.push(Incoming { change, head });
        }
    }
    Ok(incoming)
}

fn new_ones(doc: &Automerge, incoming: Vec<Incoming>) -> Vec<Incoming> {
    let hashes: Vec<_> = incoming.iter().map(|c| ChangeHash(c.head.hash)).collect();
    let missing: HashSet<_> = doc.get_missing_deps(&hashes).into_iter().collect();
    incoming.into_iter().filter(|c| missing.contains(&ChangeHash(c.head.hash))).collect()
}

/// Sort so that dependencies come first; stable for changes that are ordered already.
fn order(doc: &Automerge, incoming: Vec<Incoming>) -> Result<Vec<Incoming>> {
    let index: HashMap<[u8; 32], usize> =
        incoming.iter().enumerate().map(|(i, c)| (c.head.hash, i)).collect();
    let outside: Vec<ChangeHash> = incoming
        .iter()
        .flat_map(|c| &c.head.deps)
        .filter(|dep| !index.contains_key(*dep))
        .map(|dep| ChangeHash(*dep))
        .collect();
    let missing = doc.get_missing_deps(&outside);
    if !missing.is_empty() {
        return Err(Error::MissingDependencies(missing.iter().map(|h| h.0).collect()));
    }
    let sorted = topological(&incoming, &index);
    let mut slots: Vec<Option<Incoming>> = incoming.into_iter().map(Some).collect();
    Ok(sorted.into_iter().filter_map(|i| slots[i].take()).collect())
}

fn topological(incoming: &[Incoming], index: &HashMap<[u8; 32], usize>) -> Vec<usize> {
    let mut sorted = Vec::with_capacity(incoming.len());
    let mut visited = vec![false; incoming.len()];
    for start in 0..incoming.len() {
        let mut stack = vec![(start, false)];
        while let Some((i, expanded)) = stack.pop() {
            if expanded {
                sorted.push(i);
                continue;
            }
            if std::mem::replace(&mut visited[i], true) {
                continue;
            }
            stack.push((i, true));
            let deps = incoming[i].head.deps.iter().rev();
            stack.extend(deps.filter_map(|d| index.get(d)).filter(|d| !visited[**d]).map(|d| (*d, false)));
        }
    }
    sorted
}

/// One call of `apply`, and what is needed to undo it.
struct Run {
    before: Option<Before>,
    seen: Vec<Seen>,
    replayed: usize,
}

enum Before {
    /// A copy of the document.
    Copy(Box<Automerge>),
    /// Only its heads, from which it can be built again.
    Heads(Vec<ChangeHash>),
}

impl Run {
    fn apply(&mut self, document: &mut Document, changes: Vec<Incoming>, how: How) -> Result<()> {
        let mut rest = VecDeque::from(changes);
        while let Some(next) = rest.front() {
            let worth = how.replay && worth_replaying(document.idle()?, next, rest.len());
            if !worth || !self.replay(document, &next.change)? {
                break;
            }
            rest.pop_front();
        }
        let rest = Vec::from(rest);
        if rest.is_empty() {
            return Ok(());
        }
        validate(document, &rest, how.strict)?;
        self.by_crate(document, rest.into_iter().map(|c| c.change).collect())
    }

    /// Try to replay one change; false if it cannot be, with the document as it was.
    fn replay(&mut self, document: &mut Document, change: &Change) -> Result<bool> {
        if self.before.is_none() {
            self.before = Some(Before::Heads(document.idle()?.get_heads()));
        }
        match replay::replay(document, change)? {
            replay::Outcome::Done(patches) => {
                patches::read(document.idle()?, patches, &mut self.seen)?;
                self.replayed += 1;
                Ok(true)
            }
            replay::Outcome::NotPossible => Ok(false),
        }
    }

    fn by_crate(&mut self, document: &mut Document, changes: Vec<Change>) -> Result<()> {
        let copy = document.idle()?.clone();
        if self.replayed == 0 {
            self.before = Some(Before::Copy(Box::new(copy)));
        }
        document.hint.clear();
        for change in &changes {
            document.tracker.add(change);
        }
        let doc = document.idle()?;
        let before = doc.get_heads();
        let hashes: Vec<_> = changes.iter().map(Change::hash).collect();
        let marked: Vec<Change> = changes.iter().filter(|c| has_marks(c)).cloned().collect();
        let mut log = PatchLog::active();
        let applied = guard(|| Ok(doc.apply_changes_log_patches(changes, &mut log)?));
        applied.map_err(|e| Error::InvalidChange(format!("the change does not fit: {e:?}")))?;
        if !doc.get_missing_deps(&hashes).is_empty() {
            return invalid("the change was not taken");
        }
        check::mark_order(doc, &marked)?;
        let made = guard(|| {
            let made = doc.make_patches(&mut log);
            // Where writers clash the log of a batch may be wrong: the difference of versions is not.
            let clash = made.iter().any(patches::is_clash);
            Ok(if clash { doc.diff(&before, &doc.get_heads()) } else { made })
        })?;
        patches::read(doc, made, &mut self.seen)
    }

    fn restore(&mut self, document: &mut Document) -> Result<()> {
        match self.before.take() {
            None => Ok(()),
            Some(Before::Copy(copy)) => {
                document.replace(*copy);
                Ok(())
            }
            Some(Before::Heads(heads)) => replay::rebuild(document, &heads),
        }
    }
}

fn has_marks(change: &Change) -> bool {
    change.decode().operations.iter().any(|op| matches!(op.action, OpType::MarkBegin(_)))
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
