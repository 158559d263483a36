//! Changes on their way in: decoded once, new to the document, dependencies first.

use std::num::NonZero;
use std::thread;

use automerge::legacy::Op;
use automerge::{Automerge, Change, ChangeHash, ExpandedChange, ReadDoc};
use foldhash::{HashMap, HashSet, HashSetExt};

use crate::chunk::Head;
use crate::error::{guard, Error, Result};
use crate::typed;

/// Fewer changes are not worth a thread.
const THREAD_CHANGES: usize = 512;
const MOST_THREADS: usize = 4;

/// One change that is not in the document yet.
#[derive(Clone)]
pub struct Incoming {
    /// In a box, since it is large and goes from list to list.
    pub change: Box<Change>,
    pub head: Head,
    /// It is known to be encoded in the one way that a save would keep.
    pub canonical: bool,
    /// It is known to be one keystroke.
    typed: bool,
}

/// The places of changes in a list, by their hashes.
type ByHash = HashMap<[u8; 32], usize>;

impl Incoming {
    /// A change that is in another copy of the document.
    pub fn of(change: &Change) -> Result<Self> {
        let head = Head::parse(change.raw_bytes(), u64::MAX)?;
        Ok(Incoming { change: Box::new(change.clone()), head, canonical: true, typed: false })
    }

    fn read(bytes: Vec<u8>, most: u64) -> Result<Self> {
        let head = Head::parse(&bytes, most)?;
        let change = guard(|| Change::from_bytes(bytes).map_err(|e| Error::InvalidChange(e.to_string())))
            .map_err(|_| Error::InvalidChange("the columns of the change do not decode".into()))?;
        Ok(Incoming { change: Box::new(change), head, canonical: false, typed: false })
    }

    fn read_closely(bytes: Vec<u8>, most: u64) -> Result<Self> {
        let read = Incoming::read(bytes, most)?;
        let typed = read.head.operations == 1 && typed::is_typed(&read.change, &read.head);
        let canonical =
            typed || guard(|| Ok(is_canonical(&read.change, read.change.decode()))).unwrap_or(false);
        Ok(Incoming { canonical, typed, ..read })
    }

    /// Its operations, in order.
    pub fn operations(&self) -> Vec<Op> {
        let typed = if self.typed { typed::operation(&self.change, &self.head) } else { None };
        typed.map_or_else(|| self.change.decode().operations, |op| vec![op])
    }

    /// Whether it is known to write nothing in the place of what is in a list or text.
    pub fn adds_only(&self) -> bool {
        self.typed
    }
}

/// Whether a change is encoded in the one way that a save would keep.
pub fn is_canonical(change: &Change, decoded: ExpandedChange) -> bool {
    Change::from(decoded).hash() == change.hash()
}

/// Decode changes, each once, with at most `most` operations in each.
pub fn read(bytes: Vec<Vec<u8>>, most: u64) -> Result<Vec<Incoming>> {
    let read: Result<_> = bytes.into_iter().map(|bytes| Incoming::read(bytes, most)).collect();
    Ok(each_once(read?))
}

/// The same for many changes that will be checked: whether they are canonical is looked at here, on several threads.
pub fn read_many(mut bytes: Vec<Vec<u8>>, most: u64) -> Result<Vec<Incoming>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let share = bytes.len().div_ceil(cores).max(THREAD_CHANGES);
    let read = |bytes: Vec<Vec<u8>>| -> Result<Vec<Incoming>> {
        bytes.into_iter().map(|bytes| Incoming::read_closely(bytes, most)).collect()
    };
    let read = thread::scope(|scope| {
        let mut begun = Vec::new();
        while bytes.len() > share {
            let part = bytes.split_off(bytes.len() - share);
            begun.push(scope.spawn(move || read(part)));
        }
        let mut all = read(bytes);
        for part in begun.into_iter().rev() {
            let part = part.join().unwrap_or_else(|_| Err(Error::Crdt("a thread failed".into())));
            all = all.and_then(|mut all| {
                all.append(&mut part?);
                Ok(all)
            });
        }
        all
    });
    Ok(each_once(read?))
}

/// Leave out those that are there a second time.
pub fn each_once(mut incoming: Vec<Incoming>) -> Vec<Incoming> {
    let mut seen = HashSet::with_capacity(incoming.len());
    incoming.retain(|incoming| seen.insert(incoming.head.hash));
    incoming
}

/// Leave out those that are here.
pub fn new_ones(doc: &Automerge, incoming: Vec<Incoming>) -> Vec<Incoming> {
    if doc.get_heads().is_empty() {
        return incoming;
    }
    let hashes: Vec<_> = incoming.iter().map(|c| ChangeHash(c.head.hash)).collect();
    let missing: HashSet<_> = doc.get_missing_deps(&hashes).into_iter().collect();
    incoming.into_iter().filter(|c| missing.contains(&ChangeHash(c.head.hash))).collect()
}

/// Sort so that dependencies come first; stable for changes that are ordered already.
pub fn order(doc: &Automerge, incoming: Vec<Incoming>) -> Result<Vec<Incoming>> {
    let index = by_hash(&incoming);
    let missing = missing(doc, &incoming, &index);
    if !missing.is_empty() {
        return Err(Error::MissingDependencies(missing.iter().map(|h| h.0).collect()));
    }
    if is_ordered(&incoming, &index) {
        return Ok(incoming);
    }
    let sorted = topological(&incoming, &index);
    let mut slots: Vec<Option<Incoming>> = incoming.into_iter().map(Some).collect();
    Ok(sorted.into_iter().filter_map(|i| slots[i].take()).collect())
}

/// Leave out those that build, directly or through others of them, on what is not here.
pub fn ready(doc: &Automerge, incoming: Vec<Incoming>) -> Vec<Incoming> {
    let index = by_hash(&incoming);
    let mut missing: HashSet<[u8; 32]> = missing(doc, &incoming, &index).into_iter().map(|h| h.0).collect();
    for i in topological(&incoming, &index) {
        let head = &incoming[i].head;
        if head.deps.iter().any(|dep| missing.contains(dep)) {
            missing.insert(head.hash);
        }
    }
    incoming.into_iter().filter(|c| !missing.contains(&c.head.hash)).collect()
}

fn by_hash(incoming: &[Incoming]) -> ByHash {
    incoming.iter().enumerate().map(|(i, c)| (c.head.hash, i)).collect()
}

/// Dependencies that are neither here nor among the changes.
fn missing(doc: &Automerge, incoming: &[Incoming], index: &ByHash) -> Vec<ChangeHash> {
    let deps = incoming.iter().flat_map(|c| &c.head.deps).filter(|dep| !index.contains_key(*dep));
    let outside: Vec<ChangeHash> = deps.map(|dep| ChangeHash(*dep)).collect();
    doc.get_missing_deps(&outside)
}

fn is_ordered(incoming: &[Incoming], index: &ByHash) -> bool {
    let before = |i: usize, dep| index.get(dep).is_none_or(|at| *at < i);
    incoming.iter().enumerate().all(|(i, c)| c.head.deps.iter().all(|dep| before(i, dep)))
}

fn topological(incoming: &[Incoming], index: &ByHash) -> Vec<usize> {
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
